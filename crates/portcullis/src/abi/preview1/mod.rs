//! WASI preview 1 of core modules, by functions of the host: made of WASI 0.2, so that each call on a file passes the same
//! [guard](crate::capability::fs::guard) with the same limits and leaves the same lines in the trail.
//!
//! Files and directories are [ours](calls). All else is Wasmtime's preview 1, in a context that has no directories: standard
//! streams, variables, clocks, random numbers.

mod calls;
mod convert;
mod listing;
mod numbers;
mod poll;

use wasmtime::Linker;
use wasmtime_wasi::WasiView as _;
use wasmtime_wasi::p1::types::{Ciovec, Errno, Error, Iovec};
use wasmtime_wasi::p1::wasi_snapshot_preview1::{self, WasiSnapshotPreview1 as _};
use wasmtime_wasi::p1::{WasiP1Ctx, types};
use wiggle::{GuestError, GuestMemory, GuestPtr};

use crate::state::{MAX_RESOURCES, State};
use numbers::Numbers;

pub(crate) const MODULE: &str = "wasi_snapshot_preview1";

type Result<T, E = Error> = std::result::Result<T, E>;

/// What an instance of a core module has besides its files.
pub(crate) struct Preview1 {
    /// Streams, variables, clocks and random numbers.
    rest: WasiP1Ctx,
    /// What the guest has open; `None` until it first asks for any of it.
    numbers: Option<Numbers>,
    /// Bytes that the host may still take from the guest or keep for it in this call.
    fuel: usize,
}

impl Preview1 {
    /// `rest` must have no directories.
    pub(crate) fn new(mut rest: WasiP1Ctx) -> Self {
        rest.ctx().table.set_max_capacity(MAX_RESOURCES);
        Self {
            rest,
            numbers: None,
            fuel: 0,
        }
    }

    fn set_fuel(&mut self, fuel: usize) {
        self.fuel = fuel;
        self.rest.set_hostcall_fuel(fuel);
    }

    /// Counts bytes that the host has a copy of.
    ///
    /// # Errors
    /// They are too many for one call.
    fn spend(&mut self, bytes: u32, times: usize) -> Result<()> {
        let bytes = times.checked_mul(usize::try_from(bytes)?);
        let left = bytes.and_then(|bytes| self.fuel.checked_sub(bytes));
        self.fuel = left.ok_or(Errno::Nomem)?;
        Ok(())
    }

    fn text(&mut self, memory: &GuestMemory<'_>, text: GuestPtr<str>) -> Result<String> {
        self.spend(text.len(), 1)?;
        Ok(memory.as_cow_str(text)?.into_owned())
    }

    /// The first part that is not empty, as far as one call takes or fills it: doing less than was asked for is every call's
    /// right.
    fn first(
        &mut self,
        parts: impl ExactSizeIterator<Item = Result<(GuestPtr<u8>, u32), GuestError>>,
    ) -> Result<GuestPtr<[u8]>> {
        self.spend(PART, parts.len())?;
        for part in parts {
            let (start, length) = part?;
            if length > 0 {
                let most = u32::try_from(self.fuel).unwrap_or(u32::MAX);
                return Ok(start.as_array(length.min(most)));
            }
        }
        Ok(GuestPtr::new((0, 0)))
    }
}

/// Bytes of a part in a list of them.
const PART: u32 = 8;

fn to_fill(
    memory: &GuestMemory<'_>,
    part: Result<GuestPtr<Iovec>, GuestError>,
) -> Result<(GuestPtr<u8>, u32), GuestError> {
    let part = memory.read(part?)?;
    Ok((part.buf, part.buf_len))
}

fn to_take(
    memory: &GuestMemory<'_>,
    part: Result<GuestPtr<Ciovec>, GuestError>,
) -> Result<(GuestPtr<u8>, u32), GuestError> {
    let part = memory.read(part?)?;
    Ok((part.buf, part.buf_len))
}

/// Puts bytes into the guest's memory, and gives the place after them.
fn put(memory: &mut GuestMemory<'_>, at: GuestPtr<u8>, bytes: &[u8]) -> Result<GuestPtr<u8>> {
    let length = u32::try_from(bytes.len())?;
    memory.copy_from_slice(bytes, at.as_array(length))?;
    Ok(at.add(length)?)
}

/// Makes it known to the linker.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasi_snapshot_preview1::add_to_linker(linker, |state: &mut State| state)
}

/// A call on what may not be a file, or a directory, or open at all.
fn not_one() -> Error {
    types::Errno::Badf.into()
}
