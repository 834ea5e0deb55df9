//! Writing a record.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use serde_json::Value;

use super::line::{Asked, Bytes, Channel, End, Header, Line, MAX_BYTES, Wrote};
use super::secrets::Secrets;

/// The record of one run, in a file of its own.
pub struct Recorder {
    path: PathBuf,
    source: PathBuf,
    policy: Vec<PathBuf>,
    writing: Mutex<Writing>,
    secrets: OnceLock<Secrets>,
}

struct Writing {
    file: BufWriter<File>,
    lines: u64,
    bytes: u64,
    /// Why no more is written.
    failed: Option<String>,
    over: bool,
}

/// How much a record has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Lines.
    pub lines: u64,
    /// Bytes.
    pub bytes: u64,
}

/// A record cannot be written.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the record cannot be written: {0}")]
pub(crate) struct Unwritten(String);

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Recorder {
    /// Makes a record at a path where nothing is (0600). `source` is where the plugin was read, `policy` which policy files
    /// were named for it.
    ///
    /// # Errors
    /// Something is there, or no file can be made.
    pub fn create(path: &Path, source: &Path, policy: &[PathBuf]) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        Ok(Self {
            path: path.canonicalize()?,
            source: source.to_owned(),
            policy: policy.to_vec(),
            writing: Mutex::new(Writing {
                file: BufWriter::new(file),
                lines: 0,
                bytes: 0,
                failed: None,
                over: false,
            }),
            secrets: OnceLock::new(),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes its end.
    ///
    /// # Errors
    /// Anything of it could not be written.
    pub fn finish(&self) -> io::Result<Recorded> {
        let mut writing = self.writing();
        let lines = writing.lines;
        let written = writing.line(&Line::End(End { lines }));
        writing.over = true;
        written.map_err(io::Error::other)?;
        writing.file.flush()?;
        writing.file.get_ref().sync_all()?;
        Ok(Recorded {
            lines: writing.lines,
            bytes: writing.bytes,
        })
    }

    /// Writes its beginning.
    ///
    /// # Errors
    /// There is one already: a record is of one plugin.
    pub(super) fn begin(&self, mut header: Header, secrets: Secrets) -> Result<(), Unwritten> {
        if self.secrets.set(secrets).is_err() {
            return Err(Unwritten("it is the record of another plugin".to_owned()));
        }
        header.path = Some(self.source.display().to_string());
        let real = |path: &PathBuf| path.canonicalize().unwrap_or_else(|_| path.clone());
        let policy = self.policy.iter().map(real);
        header.policy = policy.map(|path| path.display().to_string()).collect();
        self.line(&Line::Record(header))
    }

    /// What is kept out of it.
    pub(super) fn secrets(&self) -> &Secrets {
        self.secrets.get_or_init(Secrets::default)
    }

    pub(crate) fn line(&self, line: &Line) -> Result<(), Unwritten> {
        self.writing().line(line)
    }

    /// What arrives at the host's own output. That it could not be written shows with the next call.
    pub(crate) fn wrote(&self, to: Channel, bytes: &[u8]) {
        let (bytes, _) = self.secrets().hide(bytes);
        let bytes = Bytes(bytes.into_owned());
        _ = self.line(&Line::Wrote(Wrote { to, bytes }));
    }

    /// What passed the gate.
    pub(crate) fn passed(&self, mut passed: Value) {
        self.secrets().hide_in(&mut passed);
        _ = self.line(&Line::Passed(passed));
    }

    /// Whether any of these texts has a secret: a record of them would not be what was asked.
    pub fn would_hide(&self, texts: &[String]) -> bool {
        let mut texts = texts.iter();
        texts.any(|text| self.secrets().hide(text.as_bytes()).1.is_some())
    }

    pub(crate) fn asked(&self, asked: Asked) {
        _ = self.line(&Line::Into(asked));
    }

    pub(crate) fn answered(&self, mut answer: Value) {
        self.secrets().hide_in(&mut answer);
        _ = self.line(&Line::Answer(answer));
    }

    fn writing(&self) -> MutexGuard<'_, Writing> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writing {
    fn line(&mut self, line: &Line) -> Result<(), Unwritten> {
        if let Some(why) = &self.failed {
            return Err(Unwritten(why.clone()));
        }
        if self.over {
            return Err(Unwritten("it is over".to_owned()));
        }
        self.write(line).map_err(|error| {
            let why = error.to_string();
            self.failed = Some(why.clone());
            Unwritten(why)
        })
    }

    fn write(&mut self, line: &Line) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.bytes += text.len() as u64;
        if self.bytes > MAX_BYTES {
            return Err(io::Error::other("it has more than 256 MiB"));
        }
        self.file.write_all(&text)?;
        self.lines += 1;
        Ok(())
    }
}
