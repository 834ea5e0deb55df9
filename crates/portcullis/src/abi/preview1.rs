//! WASI preview 1 of core modules: Wasmtime's, with two bounds of the guard that stands in front of 0.2.
//!
//! What was granted can be read only; what a plugin of fledge writes into a directory of its own is counted by its world. Opening a pipe would wait for somebody at its other
//! end, beyond every deadline; so what a path stands for is looked at first. Whoever swaps it meanwhile gains a
//! thread that waits, and nothing else.

use wasmtime::{AsContextMut, Caller, Extern, Linker, Result};
use wasmtime_wasi::p1::wasi_snapshot_preview1::{self, WasiSnapshotPreview1};
use wasmtime_wasi::p1::{self, WasiP1Ctx};
use wiggle::GuestMemory;

use crate::capability::fs::guard::OPEN;
use crate::state::State;

pub(crate) const MODULE: &str = "wasi_snapshot_preview1";

/// What an instance holds besides what it opens: streams, and a listing while it is read.
const BESIDES: usize = 16;

/// `errno`: `success`, `perm`.
const SUCCESS: i32 = 0;
const NOT_PERMITTED: i32 = 63;
/// `filetype`: `directory`, `regular_file`, `symbolic_link`. A link that is not followed is refused when it is opened.
const OPENED: [u8; 3] = [3, 4, 7];
/// Bytes of a `filestat`, and where the type of the file is in it.
const FILESTAT: usize = 64;
const FILETYPE: usize = 16;

/// `fd`, `dirflags`, `path` and its length, `oflags`, both `rights`, `fdflags`, and where the descriptor goes.
pub(crate) type Open = (i32, i32, i32, i32, i32, i64, i64, i32, i32);

/// Makes it known to the linker.
pub(crate) fn link(linker: &mut Linker<State>) -> Result<()> {
    p1::add_to_linker_async(linker, |state: &mut State| state.p1())?;
    linker.allow_shadowing(true);
    linker.func_wrap_async(MODULE, "path_open", |mut caller, open: Open| {
        Box::new(async move { path_open(&mut caller, open).await })
    })?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Bounds what an instance opens, besides the directories that it was given.
pub(crate) fn bound(p1: &mut WasiP1Ctx, preopened: usize) {
    use wasmtime_wasi::WasiView;
    p1.ctx().table.set_max_capacity(OPEN + preopened + BESIDES);
}

/// Opens what may be opened.
pub(crate) async fn path_open(caller: &mut Caller<'_, State>, open: Open) -> Result<i32> {
    let fuel = caller.as_context_mut().hostcall_fuel();
    let Some(Extern::Memory(memory)) = caller.get_export("memory") else {
        return Err(wasmtime::Error::msg("missing required memory export"));
    };
    let (memory, state) = memory.data_and_store_mut(caller);
    let p1 = state.p1();
    let (fd, flags, path, length, how, rights, inherited, fdflags, out) = open;
    // A path that does not lie in its memory is refused when it is opened.
    if let Some(path) = slice(memory, path, length)
        && path.len() <= fuel
        && !may_be_opened(p1, fd, flags, path).await?
    {
        return Ok(NOT_PERMITTED);
    }
    p1.set_hostcall_fuel(fuel);
    let memory = &mut GuestMemory::Unshared(memory);
    wasi_snapshot_preview1::path_open(
        p1, memory, fd, flags, path, length, how, rights, inherited, fdflags, out,
    )
    .await
}

fn slice(memory: &[u8], start: i32, length: i32) -> Option<&[u8]> {
    let start = usize::try_from(start.cast_unsigned()).ok()?;
    let length = usize::try_from(length.cast_unsigned()).ok()?;
    memory.get(start..start.checked_add(length)?)
}

/// Whether a path stands for what may be opened, or for nothing.
async fn may_be_opened(p1: &mut WasiP1Ctx, fd: i32, flags: i32, path: &[u8]) -> Result<bool> {
    // A memory of its own, so that the guest's has no need of room for the answer.
    let mut own = vec![0; FILESTAT];
    own.extend_from_slice(path);
    let length = i32::try_from(path.len())?;
    let at = i32::try_from(FILESTAT)?;
    p1.set_hostcall_fuel(own.len());
    let memory = &mut GuestMemory::Unshared(&mut own);
    let looked = wasi_snapshot_preview1::path_filestat_get(p1, memory, fd, flags, at, length, 0);
    let looked = looked.await?;
    Ok(looked != SUCCESS || own.get(FILETYPE).is_some_and(|kind| OPENED.contains(kind)))
}
