//! Finding the end of a trail that this handle did not write last.
//!
//! Every head that was kept (in memory, in the sidecar, in the data directory) must be found in the
//! files. From the newest of them the records are followed to the end. What does not fit is never
//! passed over: the next file begins with a record that names it.

use crate::chain::{self, Head, RecordHash};
use crate::event::Opened;
use crate::files::{self, Noted, Position};
use portcullis_private::{PrivateDir, PrivateError};

/// How a trail goes on.
#[derive(Debug)]
pub(crate) enum Next {
    /// With the next record, at this place.
    Append(Position),
    /// In a new file, whose first record names the reason.
    NewFile {
        /// The number of the new file.
        ordinal: u32,
        /// The record that the new file's first one follows.
        previous: Head,
        /// Why there is a new file.
        because: Opened,
    },
}

/// Finds out how the trail goes on, given what was kept of its end.
pub(crate) fn next(dir: &PrivateDir, noted: &[Noted]) -> Result<Next, PrivateError> {
    let files = files::list(dir)?;
    let kept: Vec<Position> = noted.iter().filter_map(|noted| noted.position()).collect();
    let last = files
        .last()
        .copied()
        .into_iter()
        .chain(kept.iter().map(|p| p.ordinal))
        .max();
    let ordinal = last.unwrap_or(0) + 1;

    let mut lost = None::<Position>;
    for position in &kept {
        let newer = lost.is_none_or(|lost| position.head.seq > lost.head.seq);
        if newer && !files::holds(dir, *position)? {
            lost = Some(*position);
        }
    }
    if let Some(Position { head, .. }) = lost {
        let because = Opened::Lost { expected: head };
        return Ok(Next::NewFile {
            ordinal,
            previous: head,
            because,
        });
    }

    let newest = kept.into_iter().max_by_key(|position| position.head.seq);
    let unreadable = noted.contains(&Noted::Unreadable);
    let start = match newest {
        Some(start) => start,
        None if !unreadable && no_bytes(dir, &files)? => {
            return Ok(Next::NewFile {
                ordinal,
                previous: Head::EMPTY,
                because: Opened::Started,
            });
        }
        None => beginning(dir, &files)?,
    };
    let (end, torn) = walk(dir, &files, start)?;
    Ok(match torn {
        _ if unreadable || newest.is_none() => Next::NewFile {
            ordinal,
            previous: end.head,
            because: Opened::Headless,
        },
        Some(because) => Next::NewFile {
            ordinal,
            previous: end.head,
            because,
        },
        None => Next::Append(end),
    })
}

/// Whether no file holds anything: there is none, or the first append was interrupted.
fn no_bytes(dir: &PrivateDir, files: &[u32]) -> Result<bool, PrivateError> {
    for ordinal in files {
        if files::read(dir, *ordinal, 0, Some(1))?.is_some_and(|bytes| !bytes.is_empty()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The place before the first record of the last file that has one.
fn beginning(dir: &PrivateDir, files: &[u32]) -> Result<Position, PrivateError> {
    for ordinal in files.iter().rev() {
        let bytes = files::read(dir, *ordinal, 0, None)?.unwrap_or_default();
        if let Some(link) = bytes.split(|b| *b == b'\n').next().and_then(chain::check) {
            let head = Head {
                seq: link.head.seq.saturating_sub(1),
                hash: link.prev,
            };
            return Ok(Position {
                ordinal: *ordinal,
                length: 0,
                head,
            });
        }
    }
    Ok(Position {
        ordinal: 1,
        length: 0,
        head: Head {
            seq: 0,
            hash: RecordHash::ZERO,
        },
    })
}

/// Follows the records from `start` to the end, and names what stands behind the last one.
fn walk(
    dir: &PrivateDir,
    files: &[u32],
    start: Position,
) -> Result<(Position, Option<Opened>), PrivateError> {
    let mut end = start;
    let mut torn = None;
    for ordinal in files
        .iter()
        .copied()
        .filter(|ordinal| *ordinal >= start.ordinal)
    {
        let from = if ordinal == start.ordinal {
            start.length
        } else {
            0
        };
        let bytes = files::read(dir, ordinal, from, None)?.unwrap_or_default();
        let mut rest = bytes.as_slice();
        while let Some(newline) = rest.iter().position(|b| *b == b'\n') {
            let fits = chain::check(&rest[..newline])
                .filter(|link| link.prev == end.head.hash && link.head.seq == end.head.seq + 1);
            let Some(link) = fits else { break };
            rest = &rest[newline + 1..];
            let length = from + (bytes.len() - rest.len()) as u64;
            end = Position {
                ordinal,
                length,
                head: link.head,
            };
            torn = None;
        }
        // An empty file is what is left when a process ends between making it and its first record.
        if !rest.is_empty() || end.ordinal != ordinal {
            torn = Some(Opened::Torn {
                after: files::name(ordinal),
                offset: from + (bytes.len() - rest.len()) as u64,
                bytes: rest.len() as u64,
                digest: blake3::hash(rest).to_string(),
            });
        }
    }
    Ok((end, torn))
}
