//! What is no longer kept: it gets another name at once, and is removed while nobody waits for it. A command can leave so
//! much that removing it takes longer than the command was given.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

use super::tidy;

const PREFIX: &str = ".old-";

/// Whether this is the name of something that is being removed.
pub(super) fn is_old(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with(PREFIX))
}

/// Gives a directory below that of a plugin's caches another name, beside them.
pub(super) fn set_aside(plugin: &Path, path: &Path) -> io::Result<()> {
    for number in 0_u64.. {
        let to = plugin.join(format!("{PREFIX}{number}"));
        match rustix::fs::renameat_with(CWD, path, CWD, to, RenameFlags::NOREPLACE) {
            Ok(()) => break,
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Removes what was set aside.
///
/// # Errors
/// When some of it cannot be removed. Whoever does the same at the same time may be the reason.
pub(super) fn sweep(plugin: &Path) -> io::Result<()> {
    for path in found(plugin)? {
        let Some(name) = path.file_name().and_then(OsStr::to_str) else {
            continue;
        };
        tidy::empty(tidy::open(plugin, name)?.as_fd())?;
        fs::remove_dir(&path)?;
    }
    Ok(())
}

/// The same, on a thread of its own if there is anything. What is left when the process ends before, the next one
/// removes.
pub(super) fn sweep_meanwhile(plugin: &Path) {
    if !found(plugin).is_ok_and(|found| !found.is_empty()) {
        return;
    }
    let plugin = plugin.to_owned();
    let swept = std::thread::Builder::new()
        .name("cache-sweep".to_owned())
        .spawn(move || {
            if let Err(error) = sweep(&plugin) {
                tracing::debug!(%error, "some of a cache was not removed yet");
            }
        });
    if let Err(error) = swept {
        tracing::warn!(%error, "a cache is not removed yet");
    }
}

fn found(plugin: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(plugin)? {
        let entry = entry?;
        if is_old(&entry.file_name()) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_aside_is_removed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let plugin = dir.path();
        for _ in 0..3 {
            fs::create_dir_all(plugin.join("key/files/a")).unwrap();
            fs::write(plugin.join("key/files/a/file"), "x").unwrap();
            set_aside(plugin, &plugin.join("key/files")).unwrap();
            assert!(!plugin.join("key/files").exists());
        }
        set_aside(plugin, &plugin.join("key")).unwrap();
        fs::create_dir(plugin.join("other")).unwrap();
        assert_eq!(found(plugin).unwrap().len(), 4);
        sweep(plugin).unwrap();
        let left: Vec<_> = fs::read_dir(plugin)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, ["other"]);
        assert!(set_aside(plugin, &plugin.join("missing")).is_err());
    }
}
