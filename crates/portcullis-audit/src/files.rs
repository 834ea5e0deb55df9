//! The files of a trail: numbered record files, the sidecar that names the end, and the lock.

use std::io::Write as _;
use std::path::Path;

use rustix::fs::{AtFlags, OFlags, StatxFlags};
use serde::{Deserialize, Serialize};

use crate::chain::{self, Head, RecordHash, SCHEMA_VERSION};
use portcullis_private::{PrivateDir, PrivateError, io_error, read_range};

pub(crate) const LOCK: &str = "audit.lock";
pub(crate) const SIDECAR: &str = "head.json";

/// Length of a sidecar. Fixed, so that it is overwritten in place by one write within one block.
pub(crate) const SIDECAR_BYTES: usize = 256;

/// The name of the record file with this number, counted from 1.
pub(crate) fn name(ordinal: u32) -> String {
    format!("audit-{ordinal:06}.jsonl")
}

/// The numbers of the record files there are, ascending.
pub(crate) fn list(dir: &PrivateDir) -> Result<Vec<u32>, PrivateError> {
    let mut ordinals: Vec<u32> = dir
        .names()?
        .iter()
        .filter_map(|name| {
            name.strip_prefix("audit-")?
                .strip_suffix(".jsonl")?
                .parse()
                .ok()
        })
        .collect();
    ordinals.sort_unstable();
    Ok(ordinals)
}

/// The name under which the data directory keeps the head of the trail in `audit_dir`.
pub(crate) fn kept_name(audit_dir: &Path) -> Result<String, PrivateError> {
    let path = audit_dir
        .canonicalize()
        .map_err(|source| PrivateError::Io {
            action: "resolve",
            path: audit_dir.to_owned(),
            source,
        })?;
    let hash = blake3::hash(path.as_os_str().as_encoded_bytes()).to_hex();
    Ok(format!("audit-head-{}.json", &hash[..16]))
}

/// The end of a trail: its last record and where that record ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) ordinal: u32,
    pub(crate) length: u64,
    pub(crate) head: Head,
}

#[derive(Serialize, Deserialize)]
struct Sidecar {
    schema_version: u32,
    seq: u64,
    hash: RecordHash,
    file: u32,
    length: u64,
}

impl Position {
    /// The sidecar's text: JSON, filled up with spaces.
    pub(crate) fn to_sidecar(self) -> [u8; SIDECAR_BYTES] {
        let mut text = [b' '; SIDECAR_BYTES];
        let mut rest = &mut text[..];
        write!(
            rest,
            r#"{{"schema_version":{SCHEMA_VERSION},"seq":{},"hash":"{}","file":{},"length":{}}}"#,
            self.head.seq, self.head.hash, self.ordinal, self.length
        )
        .unwrap_or_else(|_| unreachable!("the longest is shorter"));
        text[SIDECAR_BYTES - 1] = b'\n';
        text
    }

    fn from_sidecar(text: &[u8]) -> Option<Self> {
        let Sidecar {
            seq,
            hash,
            file,
            length,
            ..
        } = serde_json::from_slice(text).ok()?;
        let position = Position {
            ordinal: file,
            length,
            head: Head { seq, hash },
        };
        // Only what we would write ourselves counts: a changed byte anywhere makes it unreadable.
        (position.to_sidecar() == text).then_some(position)
    }
}

/// What a sidecar (or the copy of it) says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Noted {
    /// There is none, or it was made and nothing written yet.
    Nothing,
    /// It cannot be read.
    Unreadable,
    /// The end of the trail, as of the last completed append.
    At(Position),
}

impl Noted {
    pub(crate) fn read(dir: &PrivateDir, name: &str) -> Result<Self, PrivateError> {
        let Some(fd) = dir.open_file(name, OFlags::RDONLY)? else {
            return Ok(Noted::Nothing);
        };
        let text = read_range(&fd, 0, SIDECAR_BYTES as u64 + 1)
            .map_err(|e| io_error("read", &dir.path().join(name), e))?;
        Ok(match Position::from_sidecar(&text) {
            Some(position) => Noted::At(position),
            None if text.is_empty() => Noted::Nothing,
            None => Noted::Unreadable,
        })
    }

    pub(crate) fn position(self) -> Option<Position> {
        match self {
            Noted::At(position) => Some(position),
            Noted::Nothing | Noted::Unreadable => None,
        }
    }
}

/// Whether a record with this hash ends at this place.
pub(crate) fn holds(dir: &PrivateDir, position: Position) -> Result<bool, PrivateError> {
    let name = name(position.ordinal);
    let Some(fd) = dir.open_file(&name, OFlags::RDONLY)? else {
        return Ok(false);
    };
    let start = position.length.saturating_sub(chain::SUFFIX as u64 + 1);
    let tail = read_range(&fd, start, position.length)
        .map_err(|e| io_error("read", &dir.path().join(&name), e))?;
    let Some((b'\n', line)) = tail.split_last() else {
        return Ok(false);
    };
    Ok(chain::claimed_hash(line) == Some(position.head.hash))
}

/// Reads a record file from an offset to an end, both in bytes; `None` if it is not there.
pub(crate) fn read(
    dir: &PrivateDir,
    ordinal: u32,
    offset: u64,
    end: Option<u64>,
) -> Result<Option<Vec<u8>>, PrivateError> {
    let name = name(ordinal);
    let Some(fd) = dir.open_file(&name, OFlags::RDONLY)? else {
        return Ok(None);
    };
    let failed = |e| io_error("read", &dir.path().join(&name), e);
    let size = size(&fd).map_err(failed)?;
    read_range(&fd, offset, end.unwrap_or(size).min(size))
        .map(Some)
        .map_err(failed)
}

/// The size of an open file in bytes, if it still has a name of its own and no second one.
///
/// Nothing else is asked for: who asks for the times of a file has the kernel note the exact time of the next write to
/// it, which makes that write twice as expensive.
pub(crate) fn size_of_linked(fd: &rustix::fd::OwnedFd) -> rustix::io::Result<Option<u64>> {
    let wanted = StatxFlags::NLINK | StatxFlags::SIZE;
    let stat = rustix::fs::statx(fd, "", AtFlags::EMPTY_PATH, wanted)?;
    Ok((stat.stx_nlink == 1).then_some(stat.stx_size))
}

/// The size of an open file in bytes.
pub(crate) fn size(fd: &rustix::fd::OwnedFd) -> rustix::io::Result<u64> {
    let stat = rustix::fs::fstat(fd)?;
    u64::try_from(stat.st_size).map_err(|_| rustix::io::Errno::INVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sidecar_with_any_byte_changed_is_unreadable() {
        let head = Head {
            seq: u64::MAX,
            hash: RecordHash::ZERO,
        };
        let position = Position {
            ordinal: u32::MAX,
            length: u64::MAX,
            head,
        };
        let text = position.to_sidecar();
        assert_eq!(Position::from_sidecar(&text), Some(position));
        for index in 0..text.len() {
            let mut changed = text;
            changed[index] ^= 1;
            assert_ne!(
                Position::from_sidecar(&changed),
                Some(position),
                "byte {index}"
            );
        }
    }
}
