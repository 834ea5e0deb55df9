//! The chain: how one line is made, and how its hash is checked.
//!
//! The hash covers the bytes of the line itself, up to the hash, and those bytes hold the hash of
//! the line before. So a reader needs no knowledge of the fields to check a line, and a line that
//! a newer version wrote is checked like any other.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::Event;

/// The version of the record format, in each line as `schema_version`.
pub const SCHEMA_VERSION: u32 = 1;

const HASH_KEY: &[u8] = b",\"hash\":\"";
const LINE_END: &[u8] = b"\"}";
const HEX: usize = 64;

/// Length of `,"hash":"<64 hex>"}`, with which each line ends.
pub(crate) const SUFFIX: usize = HASH_KEY.len() + HEX + LINE_END.len();

/// The BLAKE3 hash of one record, written as 64 lower-case hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct RecordHash([u8; 32]);

impl RecordHash {
    /// What the first record of a trail names as the record before it.
    pub const ZERO: RecordHash = RecordHash([0; 32]);

    /// Hashes the bytes of a line that stand before its own hash.
    pub(crate) fn of(prefix: &[u8]) -> Self {
        RecordHash(*blake3::hash(prefix).as_bytes())
    }

    fn hex(&self) -> [u8; HEX] {
        let mut text = [0; HEX];
        hex::encode_to_slice(self.0, &mut text)
            .unwrap_or_else(|_| unreachable!("32 bytes are 64 digits"));
        text
    }
}

impl fmt::Display for RecordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.hex()).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for RecordHash {
    type Err = InvalidHead;

    fn from_str(text: &str) -> Result<Self, InvalidHead> {
        let invalid = || InvalidHead(text.chars().take(80).collect());
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(invalid());
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| invalid())?;
        Ok(RecordHash(bytes))
    }
}

impl TryFrom<String> for RecordHash {
    type Error = InvalidHead;

    fn try_from(text: String) -> Result<Self, InvalidHead> {
        text.parse()
    }
}

impl Serialize for RecordHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.hex();
        serializer.serialize_str(std::str::from_utf8(&text).map_err(serde::ser::Error::custom)?)
    }
}

/// The last record of a trail: its number and its hash. Written as `<seq>:<hash>`.
///
/// Whoever keeps a head elsewhere can later tell that records up to it were cut off or rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The number of the record, counted from 1 without gaps: also the count of records.
    pub seq: u64,
    /// The hash of the record.
    pub hash: RecordHash,
}

impl Head {
    /// The head of a trail without records.
    pub const EMPTY: Head = Head {
        seq: 0,
        hash: RecordHash::ZERO,
    };
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, self.hash)
    }
}

impl FromStr for Head {
    type Err = InvalidHead;

    fn from_str(text: &str) -> Result<Self, InvalidHead> {
        let invalid = || InvalidHead(text.chars().take(80).collect());
        let (seq, hash) = text.split_once(':').ok_or_else(invalid)?;
        let seq = seq.parse().map_err(|_| invalid())?;
        Ok(Head {
            seq,
            hash: hash.parse().map_err(|_| invalid())?,
        })
    }
}

/// A text that is not the head of a trail.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a head: expected `<count>:<64 lower-case hex digits>`")]
pub struct InvalidHead(String);

#[derive(Serialize)]
struct Line<'a> {
    schema_version: u32,
    seq: u64,
    time: Milliseconds,
    event: &'a Event,
    prev: RecordHash,
}

/// RFC 3339 in UTC with three digits of a second, so that lines sort as text.
struct Milliseconds(Timestamp);

impl Serialize for Milliseconds {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:.3}", self.0))
    }
}

/// Appends the record after `previous`, with its final newline, to `buffer`, and gives the new head.
pub(crate) fn encode(
    buffer: &mut Vec<u8>,
    previous: Head,
    at: Timestamp,
    event: &Event,
) -> Result<Head, serde_json::Error> {
    let start = buffer.len();
    let seq = previous.seq + 1;
    let line = Line {
        schema_version: SCHEMA_VERSION,
        seq,
        time: Milliseconds(at),
        event,
        prev: previous.hash,
    };
    if let Err(error) = serde_json::to_writer(&mut *buffer, &line) {
        buffer.truncate(start);
        return Err(error);
    }
    buffer.pop(); // the closing brace: it comes back after the hash
    let hash = RecordHash::of(&buffer[start..]);
    buffer.extend_from_slice(HASH_KEY);
    buffer.extend_from_slice(&hash.hex());
    buffer.extend_from_slice(LINE_END);
    buffer.push(b'\n');
    Ok(Head { seq, hash })
}

/// What a line says of its place in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) head: Head,
    pub(crate) prev: RecordHash,
}

#[derive(Deserialize)]
struct Place {
    seq: u64,
    prev: RecordHash,
}

/// The hash a line claims for itself, or `None` if the line does not end as records end.
pub(crate) fn claimed_hash(line: &[u8]) -> Option<RecordHash> {
    let suffix = line.len().checked_sub(SUFFIX).map(|start| &line[start..])?;
    let hex = suffix.strip_prefix(HASH_KEY)?.strip_suffix(LINE_END)?;
    std::str::from_utf8(hex).ok()?.parse().ok()
}

/// The place of a line (without its newline) in the chain, or `None` if its bytes do not match its hash.
pub(crate) fn check(line: &[u8]) -> Option<Link> {
    let hash = claimed_hash(line)?;
    if RecordHash::of(&line[..line.len() - SUFFIX]) != hash {
        return None;
    }
    let Place { seq, prev } = serde_json::from_slice(line).ok()?;
    Some(Link {
        head: Head { seq, hash },
        prev,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, RunEnded};

    fn record() -> (Vec<u8>, Head) {
        let event = Event::RunEnded(RunEnded {
            run: "r1".into(),
            exit_code: 0,
            duration_us: 7,
        });
        let mut line = Vec::new();
        let at = "2026-01-02T03:04:05.678901Z".parse().unwrap();
        let head = encode(&mut line, Head::EMPTY, at, &event).unwrap();
        (line, head)
    }

    #[test]
    fn a_line_is_json_with_time_in_milliseconds_and_ends_with_its_hash() {
        let (line, head) = record();
        let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(value["schema_version"], 1);
        assert_eq!(value["time"], "2026-01-02T03:04:05.678Z");
        assert_eq!(value["event"]["kind"], "run_ended");
        assert_eq!(value["hash"], head.hash.to_string());
        let link = check(&line[..line.len() - 1]).unwrap();
        assert_eq!(
            link,
            Link {
                head,
                prev: RecordHash::ZERO
            }
        );
    }

    #[test]
    fn every_single_changed_byte_is_found() {
        let (line, _) = record();
        let line = &line[..line.len() - 1];
        for index in 0..line.len() {
            for flip in [0x01, 0x20, 0x80] {
                let mut changed = line.to_vec();
                changed[index] ^= flip;
                assert_eq!(check(&changed), None, "byte {index} ^ {flip:#x}");
            }
        }
    }

    #[test]
    fn a_head_survives_its_text_form_and_refuses_others() {
        let (_, head) = record();
        assert_eq!(head.to_string().parse(), Ok(head));
        for text in ["", "1", "1:", "x:00", "1:ABCDEF", &head.hash.to_string()] {
            assert!(text.parse::<Head>().is_err(), "{text}");
        }
        let upper = format!("1:{}", "AB".repeat(32));
        assert!(upper.parse::<Head>().is_err());
        assert!(upper.to_lowercase().parse::<Head>().is_ok());
    }
}
