//! Verifying a trail: every record, every link, and the heads that were kept.

use std::fmt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags};
use serde::{Deserialize, Serialize};

use crate::chain::{self, Head, Link, RecordHash};
use crate::event::Opened;
use crate::files::{self, LOCK, Noted, Position, SIDECAR};
use portcullis_private::{PrivateDir, PrivateError, io_error};

/// What the trail is held against, beside its own sidecar.
///
/// The sidecar lies with the trail, so whoever rewrites the one rewrites the other. Only a head that
/// was kept elsewhere shows that.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// The directory that keeps a copy of the head: `keep_head_in` of the [`Options`](crate::Options).
    pub kept_in: Option<PathBuf>,
    /// A head from elsewhere, such as the report of a run.
    pub head: Option<Head>,
}

/// What [`verify`] found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// How many records were read and are whole.
    pub records: u64,
    /// How many files there are.
    pub files: usize,
    /// The last record.
    pub head: Head,
    /// Everything that is not as it was written.
    pub findings: Vec<Finding>,
}

impl Verification {
    /// Whether every record is there and unchanged. Interrupted writes do not count against it:
    /// they left no record.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.findings
            .iter()
            .all(|finding| matches!(finding, Finding::Interrupted { .. }))
    }
}

/// Which head does not fit the trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HeadSource {
    /// `head.json` beside the trail.
    Sidecar,
    /// The copy in the second directory.
    KeptCopy,
    /// The head that was given.
    Given,
}

/// One thing that is not as it was written. Lines are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Finding {
    /// The bytes of a record do not match its hash.
    Changed {
        /// The file.
        file: String,
        /// The line in the file.
        line: u64,
    },
    /// Records are missing before this line.
    Missing {
        /// The file.
        file: String,
        /// The line in the file.
        line: u64,
        /// The first missing record.
        first: u64,
        /// The last missing record.
        last: u64,
    },
    /// A record does not follow from the one before it: that one was replaced, or this one added.
    BrokenLink {
        /// The file.
        file: String,
        /// The line in the file.
        line: u64,
        /// The number of the record.
        seq: u64,
    },
    /// A file of records is gone.
    MissingFile {
        /// The file.
        file: String,
    },
    /// A write was interrupted here. The remains are no record.
    Interrupted {
        /// The file.
        file: String,
        /// Where the remains begin, in bytes.
        offset: u64,
        /// How many bytes they are.
        bytes: u64,
    },
    /// A writer could not find the record of a kept head and said so in a new file.
    Lost {
        /// The file.
        file: String,
        /// The head that was kept.
        expected: Head,
    },
    /// A writer found no readable head beside the trail and said so in a new file.
    Headless {
        /// The file.
        file: String,
    },
    /// The trail ends before a record that is known to have been written.
    CutTail {
        /// Where the head was kept.
        source: HeadSource,
        /// The head that was kept.
        expected: Head,
        /// The last record there is.
        found: Head,
    },
    /// The record of a kept head is another one now: the trail was rewritten.
    Rewritten {
        /// Where the head was kept.
        source: HeadSource,
        /// The head that was kept.
        expected: Head,
    },
    /// A head that should be there is missing or cannot be read.
    NoHead {
        /// Where the head was kept.
        source: HeadSource,
    },
}

impl fmt::Display for HeadSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HeadSource::Sidecar => "the head beside the trail",
            HeadSource::KeptCopy => "the head in the data directory",
            HeadSource::Given => "the given head",
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::Changed { file, line } => write!(f, "{file}:{line}: the record was changed"),
            Finding::Missing {
                file,
                line,
                first,
                last,
            } => {
                write!(
                    f,
                    "{file}:{line}: records {first} to {last} are missing before this one"
                )
            }
            Finding::BrokenLink { file, line, seq } => {
                write!(
                    f,
                    "{file}:{line}: record {seq} does not follow from the one before it"
                )
            }
            Finding::MissingFile { file } => write!(f, "{file}: the file is gone"),
            Finding::Interrupted {
                file,
                offset,
                bytes,
            } => {
                write!(
                    f,
                    "{file}: a write was interrupted at byte {offset}, leaving {bytes} bytes"
                )
            }
            Finding::Lost { file, expected } => {
                write!(
                    f,
                    "{file}: when it was begun, record {} could not be found",
                    expected.seq
                )
            }
            Finding::Headless { file } => {
                write!(f, "{file}: when it was begun, there was no readable head")
            }
            Finding::CutTail {
                source,
                expected,
                found,
            } => write!(
                f,
                "the trail ends with record {}, but {source} names record {}",
                found.seq, expected.seq
            ),
            Finding::Rewritten { source, expected } => {
                write!(
                    f,
                    "record {} is not the one that {source} names",
                    expected.seq
                )
            }
            Finding::NoHead { source } => write!(f, "{source} is missing or cannot be read"),
        }
    }
}

/// Reads a whole trail and finds what was changed, removed, cut off or rewritten.
///
/// Writers may go on meanwhile; what they add is not looked at.
///
/// # Errors
/// [`PrivateError`] if the trail cannot be read, or is not ours alone to write.
pub fn verify(dir: &Path, evidence: &Evidence) -> Result<Verification, PrivateError> {
    let dir = PrivateDir::open(dir)?;
    let (files, heads) = snapshot(&dir, evidence)?;
    let mut walk = Walk::new(heads);
    let mut expected = 1;
    for (ordinal, size) in &files {
        for missing in expected..*ordinal {
            walk.findings.push(Finding::MissingFile {
                file: files::name(missing),
            });
        }
        expected = ordinal + 1;
        match files::read(&dir, *ordinal, 0, Some(*size))? {
            Some(bytes) => walk.file(*ordinal, &bytes),
            None => walk.findings.push(Finding::MissingFile {
                file: files::name(*ordinal),
            }),
        }
    }
    Ok(walk.finish(files.len()))
}

struct KnownHead {
    source: HeadSource,
    head: Head,
    /// Where the record ends, if that is known too.
    place: Option<(u32, u64)>,
    found: bool,
}

type Snapshot = (
    Vec<(u32, u64)>,
    Result<Vec<KnownHead>, (Vec<KnownHead>, HeadSource)>,
);

/// Takes sizes and heads at one moment, under the lock of the writers.
fn snapshot(dir: &PrivateDir, evidence: &Evidence) -> Result<Snapshot, PrivateError> {
    let lock = dir.open_file(LOCK, OFlags::RDONLY)?;
    if let Some(lock) = &lock {
        rustix::io::retry_on_intr(|| rustix::fs::flock(lock, FlockOperation::LockShared))
            .map_err(|e| io_error("lock", &dir.path().join(LOCK), e))?;
    }
    let mut sizes = Vec::new();
    for ordinal in files::list(dir)? {
        let name = files::name(ordinal);
        if let Some(fd) = dir.open_file(&name, OFlags::RDONLY)? {
            let size =
                files::size(&fd).map_err(|e| io_error("examine", &dir.path().join(name), e))?;
            sizes.push((ordinal, size));
        }
    }
    let holds_records = sizes.iter().any(|(_, size)| *size > 0);
    let mut heads = Vec::new();
    let mut absent = None;
    let mut note = |source, noted| match noted {
        Noted::At(Position {
            ordinal,
            length,
            head,
        }) => {
            heads.push(KnownHead {
                source,
                head,
                place: Some((ordinal, length)),
                found: false,
            });
        }
        Noted::Nothing if !holds_records => {}
        Noted::Nothing | Noted::Unreadable => absent = Some(source),
    };
    note(HeadSource::Sidecar, Noted::read(dir, SIDECAR)?);
    if let Some(kept_in) = &evidence.kept_in {
        let kept = PrivateDir::open(kept_in)?;
        note(
            HeadSource::KeptCopy,
            Noted::read(&kept, &files::kept_name(dir.path())?)?,
        );
    }
    if let Some(head) = evidence.head {
        heads.push(KnownHead {
            source: HeadSource::Given,
            head,
            place: None,
            found: false,
        });
    }
    Ok((
        sizes,
        match absent {
            None => Ok(heads),
            Some(source) => Err((heads, source)),
        },
    ))
}

/// What a record says of its file, if it is the first one of it.
#[derive(Deserialize)]
struct First {
    event: Opened,
}

struct Walk {
    heads: Vec<KnownHead>,
    findings: Vec<Finding>,
    records: u64,
    head: Head,
}

impl Walk {
    fn new(heads: Result<Vec<KnownHead>, (Vec<KnownHead>, HeadSource)>) -> Self {
        let (heads, findings) = match heads {
            Ok(heads) => (heads, Vec::new()),
            Err((heads, source)) => (heads, vec![Finding::NoHead { source }]),
        };
        Walk {
            heads,
            findings,
            records: 0,
            head: Head::EMPTY,
        }
    }

    fn file(&mut self, ordinal: u32, bytes: &[u8]) {
        let file = files::name(ordinal);
        let mut end = 0;
        for (index, line) in bytes.split_inclusive(|b| *b == b'\n').enumerate() {
            let number = index as u64 + 1;
            let Some((b'\n', record)) = line.split_last() else {
                let (offset, bytes) = (end, line.len() as u64);
                self.findings.push(Finding::Interrupted {
                    file,
                    offset,
                    bytes,
                });
                return;
            };
            end += line.len() as u64;
            match chain::check(record) {
                Some(link) => self.record(ordinal, number, end, record, link),
                None => self.changed(&file, number, record),
            }
        }
    }

    fn changed(&mut self, file: &str, line: u64, record: &[u8]) {
        self.findings.push(Finding::Changed {
            file: file.to_owned(),
            line,
        });
        // The next record is held against what this one claims, so that one change is one finding.
        let hash = chain::claimed_hash(record).unwrap_or(RecordHash::ZERO);
        self.head = Head {
            seq: self.head.seq + 1,
            hash,
        };
    }

    fn record(&mut self, ordinal: u32, line: u64, end: u64, record: &[u8], link: Link) {
        let file = files::name(ordinal);
        let reset = line == 1 && self.admitted_break(&file, record);
        let (before, seq) = (self.head, link.head.seq);
        let after_changed = self.findings.last().is_some_and(|finding| {
            matches!(finding, Finding::Changed { file: f, line: l } if *f == file && l + 1 == line)
        });
        if reset {
        } else if seq > before.seq + 1 {
            let (first, last) = (before.seq + 1, seq - 1);
            self.findings.push(Finding::Missing {
                file,
                line,
                first,
                last,
            });
        } else if seq != before.seq + 1 || (link.prev != before.hash && !after_changed) {
            self.findings.push(Finding::BrokenLink { file, line, seq });
        }
        for known in self
            .heads
            .iter_mut()
            .filter(|known| known.head == link.head)
        {
            known.found = known.place.is_none_or(|place| place == (ordinal, end));
        }
        self.records += 1;
        self.head = link.head;
    }

    /// Whether the first record of a file says that the chain was found broken when it was written.
    fn admitted_break(&mut self, file: &str, record: &[u8]) -> bool {
        let file = file.to_owned();
        match serde_json::from_slice(record) {
            Ok(First {
                event: Opened::Lost { expected },
            }) => {
                self.findings.push(Finding::Lost { file, expected });
                true
            }
            Ok(First {
                event: Opened::Headless,
            }) => {
                self.findings.push(Finding::Headless { file });
                false
            }
            _ => false,
        }
    }

    fn finish(mut self, files: usize) -> Verification {
        let found = self.head;
        for KnownHead {
            source,
            head: expected,
            ..
        } in self.heads.iter().filter(|head| !head.found)
        {
            let (source, expected) = (*source, *expected);
            self.findings.push(if expected.seq > found.seq {
                Finding::CutTail {
                    source,
                    expected,
                    found,
                }
            } else {
                Finding::Rewritten { source, expected }
            });
        }
        Verification {
            records: self.records,
            files,
            head: found,
            findings: self.findings,
        }
    }
}
