//! What a file or a process looks like from outside, in a form that can be compared.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

/// The state of something at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trace(String);

impl Trace {
    pub(crate) fn of_text(text: String) -> Self {
        Self(text)
    }

    /// Existence, kind, mode, owner, times, attributes and content.
    pub(crate) fn of_file(path: &Path) -> Self {
        let Ok(found) = fs::symlink_metadata(path) else {
            return Self("absent".to_owned());
        };
        let content = if found.is_file() {
            fs::read(path).unwrap_or_default()
        } else {
            Vec::new()
        };
        let mut value = [0; 16];
        let attribute = rustix::fs::getxattr(path, "user.probe", &mut value).is_ok();
        Self(format!(
            "{:o} {}:{} inode {} modified {} links {} attribute {attribute} {}",
            found.mode(),
            found.uid(),
            found.gid(),
            found.ino(),
            // A directory's time is that of its entries, which the act's neighbours may change.
            if found.is_dir() { 0 } else { found.mtime() },
            if found.is_dir() { 0 } else { found.nlink() },
            String::from_utf8_lossy(&content),
        ))
    }
}
