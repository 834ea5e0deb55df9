//! Packed pointers: `(pointer << 32) | length`, both unsigned; 0 is nothing.
//!
//! A module has 32-bit pointers, but an end may lie at 4 GiB, so ends are computed in 64 bits. Nothing of the engine is
//! known here.

use std::ops::Range;

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

    /// Pointer and length.
    pub(crate) const fn halves(self) -> (u32, u32) {
        (self.pointer, self.length)
    }

    /// Where it is in a memory of this many bytes.
    ///
    /// # Errors
    /// When any of it lies outside.
    pub(crate) fn within(self, size: usize) -> Result<Range<usize>, Outside> {
        let (start, length) = (u64::from(self.pointer), u64::from(self.length));
        let end = start + length;
        match (usize::try_from(start), usize::try_from(end)) {
            (Ok(start), Ok(end)) if end <= size => Ok(start..end),
            _ => Err(Outside {
                start,
                length,
                size,
            }),
        }
    }
}

/// A place that is not in the guest's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it passed {length} bytes at {start:#x}, and its memory has {size} bytes in all")]
pub(crate) struct Outside {
    start: u64,
    length: u64,
    size: usize,
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
