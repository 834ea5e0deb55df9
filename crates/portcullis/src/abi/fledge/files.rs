//! What a plugin of fledge writes by WASI: to its streams as much as it may say, to files as much as an instance may write.

use wasmtime::{AsContextMut, Caller, Linker, Result};
use wasmtime_wasi::p1::wasi_snapshot_preview1::{self as wasi, WasiSnapshotPreview1 as _};
use wiggle::GuestMemory;

use super::{memory, room};
use crate::abi::preview1::MODULE;
use crate::capability::fs::Total;
use crate::state::State;

/// `errno`: `success`, `dquot`.
const SUCCESS: i32 = 0;
const QUOTA: i32 = 19;
/// `filetype`: `regular_file`.
const REGULAR: u8 = 4;
/// Bytes of a `filestat`, and where type and size are in it.
const FILESTAT: usize = 64;
const FILETYPE: usize = 16;
const SIZE: usize = 32;

/// What is counted for a call, to be given back as far as it was not written.
enum Counted {
    File(Total, u64),
    Stream,
}

/// Puts functions that count in the place of those that write.
pub(super) fn link(linker: &mut Linker<State>) -> Result<()> {
    linker.allow_shadowing(true);
    linker.func_wrap_async(
        MODULE,
        "fd_write",
        |mut caller, (fd, iovs, count, out): (i32, i32, i32, i32)| {
            Box::new(async move { write(&mut caller, fd, iovs, count, None, out).await })
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "fd_pwrite",
        |mut caller, (fd, iovs, count, offset, out): (i32, i32, i32, i64, i32)| {
            Box::new(async move { write(&mut caller, fd, iovs, count, Some(offset), out).await })
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "fd_filestat_set_size",
        |mut caller, (fd, size): (i32, i64)| {
            Box::new(async move { set_size(&mut caller, fd, size).await })
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

async fn write(
    caller: &mut Caller<'_, State>,
    fd: i32,
    iovs: i32,
    count: i32,
    offset: Option<i64>,
    out: i32,
) -> Result<i32> {
    let fuel = caller.as_context_mut().hostcall_fuel();
    let memory = memory(caller)?;
    let wanted = length(memory.data(&*caller), iovs, count);
    let counted = match count_write(caller.data_mut(), fd, offset, wanted).await? {
        Ok(counted) => counted,
        Err(errno) => return Ok(errno),
    };
    let (data, state) = memory.data_and_store_mut(&mut *caller);
    let p1 = state.p1();
    p1.set_hostcall_fuel(fuel);
    let guest = &mut GuestMemory::Unshared(&mut *data);
    let errno = match offset {
        None => wasi::fd_write(p1, guest, fd, iovs, count, out).await?,
        Some(offset) => wasi::fd_pwrite(p1, guest, fd, iovs, count, offset, out).await?,
    };
    if let Counted::File(total, taken) = counted {
        let written = if errno == SUCCESS {
            number(data, out)
        } else {
            0
        };
        total.give_back(taken.saturating_sub(written));
    }
    Ok(errno)
}

async fn set_size(caller: &mut Caller<'_, State>, fd: i32, size: i64) -> Result<i32> {
    let fuel = caller.as_context_mut().hostcall_fuel();
    let state = caller.data_mut();
    let size = size.cast_unsigned();
    let more = match file(state, fd).await? {
        Some(now) => {
            if let Some(errno) = room::too_long(state, fd, now, size, 0).await? {
                return Ok(errno);
            }
            size.saturating_sub(now)
        }
        None => 0,
    };
    if state.gate.written.take_or_tell(more).is_err() {
        return Ok(QUOTA);
    }
    let p1 = state.p1();
    p1.set_hostcall_fuel(fuel);
    let guest = &mut GuestMemory::Unshared(&mut []);
    let errno = wasi::fd_filestat_set_size(p1, guest, fd, size.cast_signed()).await?;
    if errno != SUCCESS {
        state.gate.written.give_back(more);
    }
    Ok(errno)
}

/// Counts what is about to be written; the inner error is what the guest is told where there is no room for it.
async fn count_write(
    state: &mut State,
    fd: i32,
    offset: Option<i64>,
    wanted: u64,
) -> Result<std::result::Result<Counted, i32>> {
    let Some(size) = file(state, fd).await? else {
        let taken = state.fledge().said.take(wanted);
        return Ok(taken.then_some(Counted::Stream).ok_or(QUOTA));
    };
    let at = match offset {
        Some(offset) => offset.cast_unsigned(),
        None => position(state, fd).await?,
    };
    if let Some(errno) = room::too_long(state, fd, size, at, wanted).await? {
        return Ok(Err(errno));
    }
    // A hole before what is written makes the file as long as if it were filled.
    let hole = at.saturating_sub(size);
    let total = state.gate.written.clone();
    let taken = total.take_or_tell(hole.saturating_add(wanted)).is_ok();
    // The hole is not given back: it is there when anything is written.
    Ok(taken.then_some(Counted::File(total, wanted)).ok_or(QUOTA))
}

/// The size of a file; `None` for a stream, and for what is no file.
async fn file(state: &mut State, fd: i32) -> Result<Option<u64>> {
    let mut own = [0; FILESTAT];
    let p1 = state.p1();
    p1.set_hostcall_fuel(own.len());
    let errno = wasi::fd_filestat_get(p1, &mut GuestMemory::Unshared(&mut own), fd, 0).await?;
    let is_file = errno == SUCCESS && own[FILETYPE] == REGULAR;
    let size = own[SIZE..]
        .first_chunk()
        .map(|bytes| u64::from_le_bytes(*bytes));
    Ok(size.filter(|_| is_file))
}

async fn position(state: &mut State, fd: i32) -> Result<u64> {
    let mut own = [0; 8];
    let p1 = state.p1();
    p1.set_hostcall_fuel(own.len());
    let errno = wasi::fd_tell(p1, &mut GuestMemory::Unshared(&mut own), fd, 0)?;
    Ok(if errno == SUCCESS {
        u64::from_le_bytes(own)
    } else {
        0
    })
}

/// Bytes of all parts of a write, as far as their list lies in the memory: what does not is refused when it is read.
fn length(memory: &[u8], iovs: i32, count: i32) -> u64 {
    let start = usize::try_from(iovs.cast_unsigned()).unwrap_or(usize::MAX);
    let list = memory.get(start..).unwrap_or_default();
    let count = usize::try_from(count.cast_unsigned()).unwrap_or(usize::MAX);
    let parts = list.as_chunks::<8>().0.iter().take(count);
    parts
        .map(|[.., a, b, c, d]| u64::from(u32::from_le_bytes([*a, *b, *c, *d])))
        .sum()
}

fn number(memory: &[u8], at: i32) -> u64 {
    let start = usize::try_from(at.cast_unsigned()).unwrap_or(usize::MAX);
    let bytes = memory.get(start..).and_then(|bytes| bytes.first_chunk());
    bytes.map_or(0, |bytes| u64::from(u32::from_le_bytes(*bytes)))
}
