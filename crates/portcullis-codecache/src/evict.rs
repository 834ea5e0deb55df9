//! Keeping the cache to its size: what was not used for longest goes first.

use rustix::io::Errno;

use crate::entry::SUFFIX;
use portcullis_private::{PrivateDir, PrivateError, TEMPORARY, io_error};

/// Entries and their size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// How many entries.
    pub entries: u64,
    /// Their size in bytes.
    pub bytes: u64,
}

struct Entry {
    name: String,
    bytes: u64,
    /// Seconds and nanoseconds of the last use.
    used: (i64, u64),
}

/// What is in the cache now.
pub(crate) fn stats(dir: &PrivateDir) -> Result<Stats, PrivateError> {
    Ok(total(
        list(dir)?
            .iter()
            .filter(|entry| !entry.name.starts_with(TEMPORARY)),
    ))
}

/// Removes the entries that were not used for longest until the rest fits; gives what was removed.
pub(crate) fn make_room(dir: &PrivateDir, max_bytes: u64) -> Result<Stats, PrivateError> {
    let mut entries = list(dir)?;
    entries.sort_by_key(|entry| entry.used);
    let mut bytes = total(&entries).bytes;
    let mut removed = Stats::default();
    for entry in entries {
        if bytes <= max_bytes && max_bytes > 0 {
            break;
        }
        match dir.remove(&entry.name) {
            // Another process that makes room at the same time may have been first.
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(io_error("remove", &dir.path().join(&entry.name), errno)),
        }
        bytes -= entry.bytes;
        if !entry.name.starts_with(TEMPORARY) {
            removed.entries += 1;
            removed.bytes += entry.bytes;
        }
    }
    Ok(removed)
}

fn total<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Stats {
    entries
        .into_iter()
        .fold(Stats::default(), |sum, entry| Stats {
            entries: sum.entries + 1,
            bytes: sum.bytes + entry.bytes,
        })
}

fn list(dir: &PrivateDir) -> Result<Vec<Entry>, PrivateError> {
    let mut entries = Vec::new();
    for name in dir.names()? {
        if !name.ends_with(SUFFIX) && !name.starts_with(TEMPORARY) {
            continue;
        }
        let stat = dir
            .examine(&name)
            .map_err(|e| io_error("examine", &dir.path().join(&name), e))?;
        if let Some(stat) = stat {
            let bytes = u64::try_from(stat.st_size).unwrap_or(0);
            entries.push(Entry {
                name,
                bytes,
                used: (stat.st_mtime, stat.st_mtime_nsec),
            });
        }
    }
    Ok(entries)
}
