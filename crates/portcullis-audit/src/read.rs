//! Reading a trail back, for people and programs that look at it. Nothing is verified here.

use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;

use crate::chain::Head;
use crate::event::Event;
use crate::files;
use portcullis_private::{PrivateDir, PrivateError};

/// One record of a trail.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Entry {
    /// Number and hash of the record.
    pub head: Head,
    /// When it was written.
    pub time: Timestamp,
    /// The event; `None` if its kind or form is of a later version than this library knows.
    pub event: Option<Event>,
    /// The whole record as it stands in the file.
    pub json: serde_json::Value,
}

impl Entry {
    /// Reads one line; `None` if it is no record.
    fn parse(line: &[u8]) -> Option<Self> {
        let json: serde_json::Value = serde_json::from_slice(line).ok()?;
        Some(Entry {
            head: Head::deserialize(&json).ok()?,
            time: json.get("time")?.as_str()?.parse().ok()?,
            event: Event::deserialize(json.get("event")?).ok(),
            json,
        })
    }
}

/// All records of a trail, oldest first. Lines that are no records are passed over: finding those is
/// [`verify`](crate::verify)'s part.
///
/// # Errors
/// [`PrivateError`] if the directory cannot be read or is not ours; a file that cannot be read is an
/// error in its place.
pub fn entries(
    dir: &Path,
) -> Result<impl Iterator<Item = Result<Entry, PrivateError>> + use<>, PrivateError> {
    let dir = PrivateDir::open(dir)?;
    let files = files::list(&dir)?;
    let read = move |ordinal| {
        let bytes = files::read(&dir, ordinal, 0, None);
        let (bytes, error) = match bytes {
            Ok(bytes) => (bytes.unwrap_or_default(), None),
            Err(error) => (Vec::new(), Some(Err(error))),
        };
        records(bytes).map(Ok).chain(error)
    };
    Ok(files.into_iter().flat_map(read))
}

/// The records of a file, each parsed when it is asked for: parsed, they are many times as large.
fn records(bytes: Vec<u8>) -> impl Iterator<Item = Entry> {
    let mut at = 0;
    let lines = std::iter::from_fn(move || {
        let rest = bytes.get(at..).filter(|rest| !rest.is_empty())?;
        let end = rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
        at += end + 1;
        Some(Entry::parse(&rest[..end]))
    });
    lines.flatten()
}

/// The last `count` records, oldest first.
///
/// # Errors
/// [`PrivateError`] if the directory or a file cannot be read or is not ours.
pub fn tail(dir: &Path, count: usize) -> Result<Vec<Entry>, PrivateError> {
    let dir = PrivateDir::open(dir)?;
    let mut newest = Vec::new();
    for ordinal in files::list(&dir)?.into_iter().rev() {
        if newest.len() >= count {
            break;
        }
        newest.extend(
            file(&dir, ordinal)?
                .into_iter()
                .rev()
                .take(count - newest.len()),
        );
    }
    newest.reverse();
    Ok(newest)
}

/// The record with this number, if there is one.
///
/// # Errors
/// [`PrivateError`] if the directory or a file cannot be read or is not ours.
pub fn find(dir: &Path, seq: u64) -> Result<Option<Entry>, PrivateError> {
    entries(dir)?
        .find(|entry| entry.as_ref().map_or(true, |entry| entry.head.seq == seq))
        .transpose()
}

fn file(dir: &PrivateDir, ordinal: u32) -> Result<Vec<Entry>, PrivateError> {
    let bytes = files::read(dir, ordinal, 0, None)?.unwrap_or_default();
    Ok(records(bytes).collect())
}
