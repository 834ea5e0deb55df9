//! What there may be in the directory that a plugin of fledge has of its own: so many names, and no file longer than that.

use std::path::Path;

use portcullis_audit::Masked;
use portcullis_config::Below;
use portcullis_policy::{Capability, Code, Denial, GuestError};
use wasmtime::{AsContextMut, Caller, Linker, Result};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p1::wasi_snapshot_preview1::{self as wasi, WasiSnapshotPreview1 as _};
use wiggle::GuestMemory;

use super::memory;
use crate::abi::preview1::{MODULE, Open, path_open};
use crate::state::State;

/// `errno`: `dquot`, `fbig`, `noent`.
const QUOTA: i32 = 19;
const TOO_BIG: i32 = 22;
const NOT_THERE: i32 = 44;
/// `oflags`: `creat`, `excl`.
const CREATE: i32 = 1;
const EXCLUSIVE: i32 = 4;
/// `fdflags`: `append`, and where the flags are in a `fdstat` of so many bytes.
const APPEND: u8 = 1;
const FLAGS: usize = 2;
const FDSTAT: usize = 24;

/// What is known of the directory of its own.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// No fewer names than this instance has seen there; `None` before they were counted.
    names: Option<u64>,
    /// What the operator was told already: a guest may try without end.
    told: Vec<&'static str>,
}

/// Puts functions that count names in the place of those that make them.
pub(super) fn link(linker: &mut Linker<State>) -> Result<()> {
    linker.allow_shadowing(true);
    linker.func_wrap_async(MODULE, "path_open", |mut caller, open: Open| {
        Box::new(async move { open_or_make(&mut caller, open).await })
    })?;
    linker.func_wrap_async(
        MODULE,
        "path_create_directory",
        |mut caller, (fd, path, length): (i32, i32, i32)| {
            Box::new(async move {
                match making(&mut caller).await? {
                    Some((p1, mut guest)) => {
                        wasi::path_create_directory(p1, &mut guest, fd, path, length).await
                    }
                    None => Ok(QUOTA),
                }
            })
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "path_symlink",
        |mut caller, (to, to_length, fd, path, length): (i32, i32, i32, i32, i32)| {
            Box::new(async move {
                match making(&mut caller).await? {
                    Some((p1, mut guest)) => {
                        wasi::path_symlink(p1, &mut guest, to, to_length, fd, path, length).await
                    }
                    None => Ok(QUOTA),
                }
            })
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "path_link",
        |mut caller, (from, flags, old, old_length, fd, path, length): Link| {
            Box::new(async move {
                match making(&mut caller).await? {
                    Some((p1, mut guest)) => {
                        let (old, new) = ((old, old_length), (path, length));
                        wasi::path_link(p1, &mut guest, from, flags, old.0, old.1, fd, new.0, new.1)
                            .await
                    }
                    None => Ok(QUOTA),
                }
            })
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

/// A descriptor, `lookupflags`, a path and its length; a descriptor, a path and its length.
type Link = (i32, i32, i32, i32, i32, i32, i32);

/// What a call needs that makes a name; `None` where there is no room for one.
async fn making<'a>(
    caller: &'a mut Caller<'_, State>,
) -> Result<Option<(&'a mut WasiP1Ctx, GuestMemory<'a>)>> {
    let fuel = caller.as_context_mut().hostcall_fuel();
    if !has_room(caller.data_mut()).await {
        return Ok(None);
    }
    let memory = memory(caller)?;
    let (data, state) = memory.data_and_store_mut(caller);
    let p1 = state.p1();
    p1.set_hostcall_fuel(fuel);
    Ok(Some((p1, GuestMemory::Unshared(data))))
}

/// Opens a file, and makes it only if there is room.
async fn open_or_make(caller: &mut Caller<'_, State>, open: Open) -> Result<i32> {
    let (fd, flags, path, length, how, rights, inherited, fdflags, out) = open;
    if how & CREATE == 0 || has_room(caller.data_mut()).await {
        return path_open(caller, open).await;
    }
    if how & EXCLUSIVE != 0 {
        return Ok(QUOTA);
    }
    let how = how & !CREATE;
    let open = (
        fd, flags, path, length, how, rights, inherited, fdflags, out,
    );
    let opened = path_open(caller, open).await?;
    Ok(if opened == NOT_THERE { QUOTA } else { opened })
}

/// Whether there may be another name; it is counted as if it were made. The directory is looked at when there might not be.
async fn has_room(state: &mut State) -> bool {
    let Some(dir) = state.gate.own_data() else {
        return true;
    };
    let most = u64::from(state.gate.limits().data_files);
    let counted = match state.fledge().room.names {
        Some(names) if names < most => names,
        Some(_) | None => {
            let look = move || names(&dir, most);
            let names = tokio::task::spawn_blocking(look).await;
            // What cannot be counted leaves no room for more.
            names.ok().and_then(std::io::Result::ok).unwrap_or(u64::MAX)
        }
    };
    let has_room = counted < most;
    state.fledge().room.names = Some(counted.saturating_add(has_room.into()));
    if !has_room {
        let note = format!("it may have {most} files and directories there (`limits.data_files`)");
        refuse(state, "make another file", note);
    }
    has_room
}

/// How many names there are, counted no further than to `most`.
fn names(dir: &Path, most: u64) -> std::io::Result<u64> {
    let mut names = 0;
    for found in Below::new(dir)? {
        found?;
        names += 1;
        if names >= most {
            break;
        }
    }
    Ok(names)
}

/// What a guest is told of a write of so many bytes at a place, by which a file of this size would become too long; `None` where
/// it may be done.
pub(super) async fn too_long(
    state: &mut State,
    fd: i32,
    size: u64,
    at: u64,
    bytes: u64,
) -> Result<Option<i32>> {
    let most = state.gate.limits().data_file;
    let ends = |at: u64| at.saturating_add(bytes);
    let fits = |end: u64| end <= most.max(size);
    // What is appended is written at the end, wherever the guest stands.
    if fits(ends(size.max(at))) || (fits(ends(at)) && !appends(state, fd).await?) {
        return Ok(None);
    }
    let note = format!("a file there may have {most} bytes (`limits.data_file`)");
    refuse(state, "make a file so long", note);
    Ok(Some(TOO_BIG))
}

async fn appends(state: &mut State, fd: i32) -> Result<bool> {
    let mut own = [0; FDSTAT];
    let p1 = state.p1();
    p1.set_hostcall_fuel(own.len());
    let guest = &mut GuestMemory::Unshared(&mut own);
    let errno = wasi::fd_fdstat_get(p1, guest, fd, 0).await?;
    // What cannot be looked at is taken for the worse.
    Ok(errno != 0 || own[FLAGS] & APPEND != 0)
}

/// Tells the operator, once for each limit. The guest is told by its call.
fn refuse(state: &mut State, what: &'static str, note: String) {
    let told = &mut state.fledge().room.told;
    if told.contains(&what) {
        return;
    }
    told.push(what);
    let object = "/plugin".to_owned();
    let used = state
        .gate
        .uncounted(Capability::Fs, "write", Masked::new(&object));
    let denial = Denial {
        code: Code::FsOwnFull,
        plugin: state.gate.grants().plugin.clone(),
        capability: Capability::Fs,
        action: format!("{what} in `{object}`"),
        object,
        notes: vec![note],
        remedies: Vec::new(),
        rule: None,
        guest: GuestError::Limit,
    };
    // Nothing is done whether or not this can be written down.
    let _ = state.gate.refused(&used, denial);
}
