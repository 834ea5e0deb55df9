//! Packed pointers: how a core module and its host pass bytes. `(pointer << 32) | length`, both unsigned; 0 is nothing.
//!
//! A module has 32-bit pointers, but an end may lie at 4 GiB, so ends are computed in 64 bits. What a guest says is
//! checked each time it is used, since the memory may have grown or been written to meanwhile.

use std::ops::Range;

use wasmtime::{AsContext, AsContextMut, Caller, Extern, Memory, Result, TypedFunc, bail};

/// The export that is a guest's memory.
pub(crate) const MEMORY: &str = "memory";
/// The export that makes room in it: `(size: i32) -> pointer: i32`, 0 when there is none.
pub(crate) const ALLOCATE: &str = "allocate";

/// A place in a guest's memory, as the guest says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packed {
    pointer: u32,
    length: u32,
}

impl Packed {
    pub(crate) const fn new(pointer: u32, length: u32) -> Self {
        Self { pointer, length }
    }

    /// What the guest passed as `i64`; its sign has no meaning.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the two halves are what is meant"
    )]
    pub(crate) const fn from_wasm(packed: i64) -> Self {
        let packed = packed.cast_unsigned();
        Self::new((packed >> 32) as u32, packed as u32)
    }

    pub(crate) const fn into_wasm(self) -> i64 {
        ((self.pointer as u64) << 32 | self.length as u64).cast_signed()
    }

    /// Where it is in a memory of this many bytes.
    ///
    /// # Errors
    /// When any of it lies outside.
    pub(crate) fn within(self, size: usize) -> Result<Range<usize>> {
        let (start, length) = (u64::from(self.pointer), u64::from(self.length));
        let end = start + length;
        match (usize::try_from(start), usize::try_from(end)) {
            (Ok(start), Ok(end)) if end <= size => Ok(start..end),
            _ => bail!(
                "it passed {length} bytes at {start:#x}, and its memory has {size} bytes in all"
            ),
        }
    }

    /// The bytes themselves, for as long as nothing of the guest runs.
    ///
    /// # Errors
    /// When any of them lies outside of the memory.
    pub(crate) fn bytes<'a>(self, memory: &Memory, store: &'a impl AsContext) -> Result<&'a [u8]> {
        let data = memory.data(store);
        self.within(data.len()).map(|range| &data[range])
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_unsigned() {
        for (pointer, length, packed) in [
            (0, 0, 0),
            (1, 2, 0x1_0000_0002),
            (u32::MAX, 1, -0xffff_ffff),
            (u32::MAX, u32::MAX, -1),
            (0x8000_0000, 0, i64::MIN),
        ] {
            let place = Packed::new(pointer, length);
            assert_eq!(place.into_wasm(), packed, "{place:?}");
            assert_eq!(Packed::from_wasm(packed), place, "{packed:#x}");
        }
    }

    #[test]
    fn only_what_lies_inside_is_a_place() {
        let page = 65536;
        for (pointer, length) in [(0, 0), (0, 65536), (65535, 1), (65536, 0)] {
            let range = Packed::new(pointer, length).within(page).unwrap();
            assert_eq!(
                (range.start, range.len()),
                (pointer as usize, length as usize)
            );
        }
        for (pointer, length) in [
            (0, 65537),
            (65536, 1),
            (65537, 0),
            (u32::MAX, 0),
            // In 32 bits each of these ends at a small number.
            (u32::MAX, 1),
            (u32::MAX, 2),
            (1, u32::MAX),
            (0x8000_0000, 0x8000_0000),
            (u32::MAX, u32::MAX),
        ] {
            let place = Packed::new(pointer, length);
            assert!(place.within(page).is_err(), "{place:?}");
        }
        let whole = 1 << 32;
        assert!(Packed::new(u32::MAX, 1).within(whole).is_ok());
        assert!(Packed::new(u32::MAX, 2).within(whole).is_err());
    }
}
