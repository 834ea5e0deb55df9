//! The lines of a record, and reading them: a record is a file that anybody may have written.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::recognize::Kind;

/// The version of the format.
pub(crate) const VERSION: u32 = 1;
/// Bytes that a record may have.
pub(crate) const MAX_BYTES: u64 = 256 * 1024 * 1024;
/// Bytes that a line of it may have.
const MAX_LINE: usize = 64 * 1024 * 1024;
/// Lines that it may have.
const MAX_LINES: usize = 2_000_000;

/// One line of a record: what was said between a guest and its host, in its order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Line {
    /// The first: what was run.
    Record(Header),
    /// The host calls the guest.
    Into(Asked),
    /// The guest has called the host.
    Call(Called),
    /// The guest has dropped what it held.
    Drop(u32),
    /// What passed the gate in that call, whatever the guest's interface. It is not compared.
    Passed(Value),
    /// Bytes that arrived at the host's own output. They are not compared: the call that they came by is.
    Wrote(Wrote),
    /// The guest has returned.
    Answer(Value),
    /// The last: a record without it is not whole.
    End(End),
}

/// What was run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Header {
    /// The version of the format.
    pub version: u32,
    /// The plugin's id.
    pub plugin: String,
    /// What it is.
    pub kind: Kind,
    /// The SHA-256 of its bytes.
    pub sha256: String,
    /// Where it was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub path: Option<String>,
    /// The policy files that were named for it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub policy: Vec<String>,
    /// Bytes of memory that it may have.
    pub memory: u64,
    /// Elements of tables that it may have.
    pub table_elements: u64,
    /// Instructions that it may execute in a call, if they are counted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fuel: Option<u64>,
    /// Milliseconds that a call may take.
    pub call_ms: u64,
}

/// What a guest is called for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Asked {
    /// `run` of our worlds.
    Run(Vec<String>),
    /// A command of WASI, with its name.
    Command(Vec<String>),
    /// `_start` of fledge.
    Start(Vec<String>),
    /// A tool of clawft.
    Tool { name: String, params: String },
    /// What a plugin of clawft says of itself.
    DescribeTools,
    /// `observe` of Reglet.
    Observe(String),
    /// What a plugin of Reglet says of itself.
    Describe,
    /// Its schema.
    Schema,
}

/// A call of the host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Called {
    /// The interface, or the module.
    pub(crate) of: String,
    /// The function.
    pub(crate) name: String,
    /// What it was called with.
    pub(crate) with: Vec<Value>,
    /// What became of it.
    #[serde(flatten)]
    pub(crate) outcome: Outcome,
    /// Secrets that were taken out of it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(crate) hidden: Vec<Hidden>,
}

/// A call of the host in a record.
#[derive(Clone, Copy, Debug)]
pub struct CallOfHost<'a> {
    /// The interface, or the module.
    pub of: &'a str,
    /// The function.
    pub name: &'a str,
    /// What it was called with.
    pub with: &'a [Value],
    /// What it gave, if it returned.
    pub gave: Option<&'a [Value]>,
}

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// It returned.
    Gave(Vec<Value>),
    /// The guest left by it.
    Exited(i32),
    /// The guest left by it as fledge has it.
    Left(i32),
    /// It ended the guest.
    Failed(String),
}

/// A text that had a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Hidden {
    /// Its digest under the key of this installation, if it has one.
    pub(crate) digest: Option<String>,
    /// Its bytes.
    pub(crate) length: usize,
}

/// Bytes at the host's own output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Wrote {
    /// Which.
    pub to: Channel,
    /// The bytes.
    pub bytes: Bytes,
}

/// An output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// The end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct End {
    /// Lines before it.
    pub(crate) lines: u64,
}

/// Bytes as they stand in a record: as text where they are one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Bytes(pub Vec<u8>);

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Written {
    Text(String),
    Base64(String),
}

impl From<Bytes> for Written {
    fn from(Bytes(bytes): Bytes) -> Self {
        match text(&bytes) {
            Some(text) => Self::Text(text.to_owned()),
            None => Self::Base64(STANDARD.encode(bytes)),
        }
    }
}

/// Bytes as a text that a person reads: what has other control characters than those of lines is none, and would be six times as
/// long.
fn text(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let is_control = |byte: u8| byte.is_ascii_control() && !matches!(byte, b'\t' | b'\n' | b'\r');
    (!text.bytes().any(is_control)).then_some(text)
}

impl TryFrom<Written> for Bytes {
    type Error = base64::DecodeError;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        Ok(Self(match written {
            Written::Text(text) => text.into_bytes(),
            Written::Base64(text) => STANDARD.decode(text)?,
        }))
    }
}

impl Bytes {
    /// As a value.
    pub(crate) fn value(bytes: &[u8]) -> Value {
        match text(bytes) {
            Some(text) => serde_json::json!({ "text": text }),
            None => serde_json::json!({ "base64": STANDARD.encode(bytes) }),
        }
    }

    /// From a value.
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn of(value: &Value) -> Result<Vec<u8>, String> {
        let bytes = Self::deserialize(value).map_err(|error| error.to_string());
        bytes.map(|Self(bytes)| bytes)
    }
}

/// A record that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its first line.
    pub header: Header,
    /// Those after it. The number of the first is 2.
    pub(crate) lines: Vec<Line>,
    /// Whether its last line is the end.
    pub whole: bool,
}

/// Why a record cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct Unreadable {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

impl Record {
    /// Reads a record.
    ///
    /// # Errors
    /// [`Unreadable`]: it has another format, is too long, or a line of it is none.
    pub fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        let fail = |line, why: &str| Unreadable {
            line,
            why: why.to_owned(),
        };
        if bytes.len() as u64 > MAX_BYTES {
            return Err(fail(1, "the record has more than 256 MiB"));
        }
        let mut header = None;
        let mut lines = Vec::new();
        let mut whole = false;
        let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        for (line, bytes) in (1..).zip(text.split(|byte| *byte == b'\n')) {
            if whole {
                return Err(fail(line, "it comes after the end"));
            }
            if bytes.len() > MAX_LINE || line > MAX_LINES {
                return Err(fail(line, "the record is longer than any is"));
            }
            let read: Result<Line, _> = serde_json::from_slice(bytes);
            let read = read.map_err(|error| fail(line, &error.to_string()))?;
            match read {
                Line::Record(first) if line == 1 => {
                    if first.version != VERSION {
                        return Err(fail(1, "the record has another version of the format"));
                    }
                    header = Some(first);
                }
                Line::Record(_) => {
                    return Err(fail(line, "a record begins in the middle of another"));
                }
                _ if line == 1 => return Err(fail(1, "no record begins like this")),
                Line::End(end) => {
                    if end.lines != line as u64 - 1 {
                        return Err(fail(line, "the end counts another number of lines"));
                    }
                    whole = true;
                }
                read => lines.push(read),
            }
        }
        let header = header.ok_or_else(|| fail(1, "the record is empty"))?;
        Ok(Self {
            header,
            lines,
            whole,
        })
    }

    /// Whether a secret was taken out of anything.
    pub fn has_secrets(&self) -> bool {
        self.lines
            .iter()
            .any(|line| matches!(line, Line::Call(called) if !called.hidden.is_empty()))
    }

    /// What the plugin was called for, in its order.
    pub fn asked(&self) -> Vec<Value> {
        let asked = self.lines.iter().filter_map(|line| match line {
            Line::Into(asked) => serde_json::to_value(asked).ok(),
            _ => None,
        });
        asked.collect()
    }

    /// What it called, in its order.
    pub fn calls(&self) -> impl Iterator<Item = CallOfHost<'_>> {
        self.lines.iter().filter_map(|line| match line {
            Line::Call(called) => Some(CallOfHost {
                of: &called.of,
                name: &called.name,
                with: &called.with,
                gave: match &called.outcome {
                    Outcome::Gave(gave) => Some(gave),
                    _ => None,
                },
            }),
            _ => None,
        })
    }

    /// What arrived at the host's own output.
    pub fn wrote(&self) -> impl Iterator<Item = &Wrote> {
        self.lines.iter().filter_map(|line| match line {
            Line::Wrote(wrote) => Some(wrote),
            _ => None,
        })
    }

    /// What it returned at last.
    pub fn answer(&self) -> Option<&Value> {
        self.lines.iter().rev().find_map(|line| match line {
            Line::Answer(answer) => Some(answer),
            _ => None,
        })
    }

    /// What passed the gate, in its order.
    pub fn passed(&self) -> impl Iterator<Item = &Value> {
        self.lines.iter().filter_map(|line| match line {
            Line::Passed(passed) => Some(passed),
            _ => None,
        })
    }
}
