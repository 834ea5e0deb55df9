//! What lies below a directory, for who counts it.

use std::fs::{Metadata, ReadDir, read_dir};
use std::io;
use std::path::{Path, PathBuf};

/// Everything below a directory, in no order. No link is followed; what is taken away meanwhile is passed over.
#[derive(Debug)]
pub struct Below {
    entries: ReadDir,
    /// Directories that were found and not looked into yet.
    left: Vec<PathBuf>,
}

impl Below {
    /// Opens the directory.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn new(dir: &Path) -> io::Result<Self> {
        Ok(Self {
            entries: read_dir(dir)?,
            left: Vec::new(),
        })
    }
}

impl Iterator for Below {
    type Item = io::Result<Metadata>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let found = match self.entries.next() {
                Some(entry) => entry.and_then(|entry| {
                    let meta = entry.metadata()?;
                    if meta.is_dir() {
                        self.left.push(entry.path());
                    }
                    Ok(Some(meta))
                }),
                None => {
                    let opened = read_dir(self.left.pop()?);
                    opened.map(|entries| {
                        self.entries = entries;
                        None
                    })
                }
            };
            match found {
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Ok(Some(meta)) => return Some(Ok(meta)),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// Bytes of all files below a directory. It is counted no further than to more than `limit`.
///
/// # Errors
/// What cannot be read, and more names than any plugin has.
pub fn directory_size(dir: &Path, limit: u64) -> io::Result<u64> {
    const MOST: usize = 100_000;
    let mut size = 0_u64;
    for (names, meta) in Below::new(dir)?.enumerate() {
        let meta = meta?;
        if !meta.is_dir() {
            size = size.saturating_add(meta.len());
        }
        if size > limit {
            break;
        }
        if names >= MOST {
            return Err(io::Error::other("it has more than 100000 names"));
        }
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_lies_at_any_depth_is_counted_and_no_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b");
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("file"), "12345").unwrap();
        std::os::unix::fs::symlink(dir.path(), deep.join("up")).unwrap();
        let found: Vec<_> = Below::new(dir.path()).unwrap().flatten().collect();
        assert_eq!(found.len(), 4);
        let link = found.iter().find(|meta| meta.is_symlink()).unwrap().len();
        assert_eq!(directory_size(dir.path(), 1000).unwrap(), 5 + link);
        assert!(directory_size(dir.path(), 3).unwrap() > 3);
        assert!(Below::new(&dir.path().join("none")).is_err());
    }
}
