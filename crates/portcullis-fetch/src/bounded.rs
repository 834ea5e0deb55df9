//! Reading no more than there is room for, whatever was announced.

use std::io::{self, Read};

/// All bytes of a reader, or `None` when there are more than `most`. Never more than one byte beyond them is read.
pub(crate) fn read(reader: impl Read, most: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    reader
        .take(most.saturating_add(1))
        .read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= most).then_some(bytes))
}

/// The first bytes of a reader, fewer where it ends before.
pub(crate) fn head(reader: impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_longer_is_not_read_to_its_end() {
        let mut endless = io::repeat(7);
        assert_eq!(read(&mut endless, 1000).unwrap(), None);
        assert_eq!(read(&[7; 1000][..], 1000).unwrap(), Some(vec![7; 1000]));
        assert_eq!(read(&[7; 1001][..], 1000).unwrap(), None);
    }
}
