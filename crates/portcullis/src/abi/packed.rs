//! How a core module and its host pass bytes: by [`Packed`] pointers into the guest's memory.
//!
//! What a guest says is checked each time it is used, since the memory may have grown or been written to meanwhile.

use wasmtime::{AsContext, AsContextMut, Caller, Extern, Memory, Result, TypedFunc, bail};

pub(crate) use super::place::Packed;

/// The export that is a guest's memory.
pub(crate) const MEMORY: &str = "memory";
/// The export that makes room in it: `(size: i32) -> pointer: i32`, 0 when there is none.
pub(crate) const ALLOCATE: &str = "allocate";

impl Packed {
    /// The bytes themselves, for as long as nothing of the guest runs.
    ///
    /// # Errors
    /// When any of them lies outside of the memory.
    pub(crate) fn bytes<'a>(self, memory: &Memory, store: &'a impl AsContext) -> Result<&'a [u8]> {
        let data = memory.data(store);
        Ok(&data[self.within(data.len())?])
    }
}

/// The memory of the guest that calls.
///
/// # Errors
/// When it exports none.
pub(crate) fn memory<T: 'static>(caller: &mut Caller<'_, T>) -> Result<Memory> {
    match caller.get_export(MEMORY) {
        Some(Extern::Memory(memory)) => Ok(memory),
        _ => bail!("it exports no memory `{MEMORY}`"),
    }
}

/// The `allocate` of the guest that calls.
///
/// # Errors
/// When it exports none of that type.
pub(crate) fn allocate<T: 'static>(caller: &mut Caller<'_, T>) -> Result<TypedFunc<u32, u32>> {
    match caller.get_export(ALLOCATE) {
        Some(Extern::Func(allocate)) => allocate.typed(&*caller),
        _ => bail!("it exports no function `{ALLOCATE}`"),
    }
}

/// Passes bytes to the guest, in room that its own `allocate` makes. Called once for each message.
///
/// `None` when the guest says it has no room.
///
/// # Errors
/// When `allocate` traps, or says a place outside of its memory.
pub(crate) async fn give(
    mut store: impl AsContextMut<Data: Send>,
    memory: Memory,
    allocate: &TypedFunc<u32, u32>,
    bytes: &[u8],
) -> Result<Option<Packed>> {
    let Ok(length) = u32::try_from(bytes.len()) else {
        return Ok(None);
    };
    let pointer = allocate.call_async(&mut store, length).await?;
    if pointer == 0 {
        return Ok(None);
    }
    let place = Packed::new(pointer, length);
    // Asked for only now: `allocate` may have made the memory larger, and so another.
    let data = memory.data_mut(&mut store);
    let range = match place.within(data.len()) {
        Ok(range) => range,
        Err(_) => bail!(
            "its `{ALLOCATE}` said {pointer:#x} for {length} bytes, and its memory has {} bytes in all",
            data.len()
        ),
    };
    data[range].copy_from_slice(bytes);
    Ok(Some(place))
}
