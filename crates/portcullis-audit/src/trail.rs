//! The trail on disk: one chain, appended to by any number of processes.

use std::io;
use std::iter;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use rustix::fs::{FlockOperation, OFlags};

use crate::chain::{self, Head};
use crate::event::{Event, Opened};
use crate::files::{self, LOCK, Noted, Position, SIDECAR, SIDECAR_BYTES};
use crate::recover::{self, Next};
use crate::sink::Sink;
use portcullis_private::{PrivateDir, PrivateError, io_error, read_some, write_all_at};

/// How a [`Trail`] writes.
///
/// # Defaults
/// - `max_file_bytes`: 64 MiB
/// - `fsync`: false
/// - `keep_head_in`: none
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// A file of at least this many bytes is followed by a new one.
    pub max_file_bytes: u64,
    /// Whether each record is on the disk, not only with the kernel, before `append` returns.
    /// Without it a record survives the end of the process, not a power cut.
    pub fsync: bool,
    /// A second directory, such as the data directory, that keeps a copy of the head.
    pub keep_head_in: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            max_file_bytes: 64 << 20,
            fsync: false,
            keep_head_in: None,
        }
    }
}

/// Why a record was not written. Except for the last, nothing of it is in the trail then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The directory or a file of it cannot be used.
    #[error("the audit trail cannot be used")]
    Store(#[from] PrivateError),
    /// The record could not be written, for example because the disk is full.
    #[error("failed to write a record to `{path}`")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The event could not be written as JSON.
    #[error("failed to encode a record")]
    Encode(#[source] serde_json::Error),
    /// The record is in the trail, but could not be passed on to where it is required
    /// ([`Forward::required`](crate::Forward::required)).
    #[error("failed to pass a record on to {to}")]
    Forward {
        /// Where to.
        to: String,
        /// Why it failed.
        source: io::Error,
    },
}

/// A trail in a directory of its own.
///
/// Any number of handles, in any number of processes, append to one chain: each append holds the
/// lock file of the directory (`flock`) from reading the end to writing the record. Record files are
/// named `audit-000001.jsonl` and so on; `head.json` beside them names the last record.
///
/// ```
/// use jiff::Timestamp;
/// use portcullis_audit::{Event, Evidence, Options, RunEnded, Sink, Trail, verify};
///
/// # let parent = tempfile::tempdir()?;
/// # let dir = parent.path().join("audit");
/// let trail = Trail::open(&dir, Options::default())?;
/// let event = Event::RunEnded(RunEnded { run: "r1".into(), exit_code: 0, duration_us: 1250 });
/// let head = trail.append(Timestamp::UNIX_EPOCH, &event)?;
///
/// let verification = verify(&dir, &Evidence::default())?;
/// assert!(verification.is_intact());
/// assert_eq!(Some(verification.head), head);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Trail(Mutex<Writer>);

#[derive(Debug)]
struct Writer {
    options: Options,
    dir: PrivateDir,
    lock: OwnedFd,
    /// The directory that keeps a copy of the head, and the name of the copy in it.
    kept: Option<(PrivateDir, String)>,
    open: Option<OpenFiles>,
    /// The last record of this handle, also after a failure that closed the files.
    last: Option<Position>,
    /// Reused from record to record.
    line: Vec<u8>,
}

/// The files of the last append, and what they held then.
#[derive(Debug)]
struct OpenFiles {
    records: OwnedFd,
    sidecar: OwnedFd,
    kept: Option<OwnedFd>,
    end: Position,
    /// What the sidecar says of the end.
    noted: [u8; SIDECAR_BYTES],
}

impl Trail {
    /// Opens the trail in `dir`, making the directory (0700) if need be. Nothing is written yet.
    ///
    /// # Errors
    /// [`PrivateError`] if the directory, or the one that keeps the head, belongs to somebody else, can
    /// be written by others, is a link, or cannot be made.
    pub fn open(dir: &Path, options: Options) -> Result<Self, PrivateError> {
        let dir = PrivateDir::open_or_create(dir)?;
        let kept = match &options.keep_head_in {
            Some(path) => Some((
                PrivateDir::open_or_create(path)?,
                files::kept_name(dir.path())?,
            )),
            None => None,
        };
        let lock = dir.open_or_create_file(LOCK)?;
        let line = Vec::with_capacity(1024);
        let writer = Writer {
            options,
            dir,
            lock,
            kept,
            open: None,
            last: None,
            line,
        };
        Ok(Trail(Mutex::new(writer)))
    }

    /// The last record that this handle wrote or found; `None` before its first append.
    #[must_use]
    pub fn head(&self) -> Option<Head> {
        self.writer().last.map(|end| end.head)
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        // A writer that panicked left the files to be examined again, which each append does.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Trail {
    fn append(&self, at: Timestamp, event: &Event) -> Result<Option<Head>, AppendError> {
        let mut writer = self.writer();
        writer.flock(FlockOperation::LockExclusive)?;
        let result = writer.append(at, event);
        writer.flock(FlockOperation::Unlock)?;
        result.map(Some)
    }
}

impl Writer {
    fn flock(&self, operation: FlockOperation) -> Result<(), PrivateError> {
        rustix::io::retry_on_intr(|| rustix::fs::flock(&self.lock, operation))
            .map_err(|e| io_error("lock", &self.dir.path().join(LOCK), e))
    }

    fn append(&mut self, at: Timestamp, event: &Event) -> Result<Head, AppendError> {
        let open = match self.open.take() {
            Some(open) if open.are_current()? => open,
            _ => self.catch_up(at)?,
        };
        let mut open = if open.end.length >= self.options.max_file_bytes {
            let because = Opened::Rotated {
                after: files::name(open.end.ordinal),
            };
            self.new_file(at, open.end.ordinal + 1, open.end.head, because)?
        } else {
            open
        };
        let written = self.write(&mut open, at, event);
        self.last = Some(open.end);
        self.open = Some(open);
        written
    }

    /// Opens the files at the end of the trail, after others wrote to it or at the first append.
    fn catch_up(&self, at: Timestamp) -> Result<OpenFiles, AppendError> {
        let own = self.last.map_or(Noted::Nothing, Noted::At);
        let mut noted = vec![own, Noted::read(&self.dir, SIDECAR)?];
        if let Some((dir, name)) = &self.kept {
            noted.push(Noted::read(dir, name)?);
        }
        match recover::next(&self.dir, &noted)? {
            Next::Append(end) => self
                .open_files(end, OFlags::empty())
                .map_err(AppendError::from),
            Next::NewFile {
                ordinal,
                previous,
                because,
            } => self.new_file(at, ordinal, previous, because),
        }
    }

    fn open_files(&self, end: Position, create: OFlags) -> Result<OpenFiles, PrivateError> {
        let name = files::name(end.ordinal);
        let records = self
            .dir
            .open_file(&name, OFlags::RDWR | create)?
            .ok_or_else(|| {
                io_error(
                    "open",
                    &self.dir.path().join(&name),
                    rustix::io::Errno::NOENT,
                )
            })?;
        let sidecar = self.dir.open_or_create_file(SIDECAR)?;
        let kept = match &self.kept {
            Some((dir, name)) => Some(dir.open_or_create_file(name)?),
            None => None,
        };
        Ok(OpenFiles {
            records,
            sidecar,
            kept,
            end,
            noted: end.to_sidecar(),
        })
    }

    fn new_file(
        &self,
        at: Timestamp,
        ordinal: u32,
        previous: Head,
        because: Opened,
    ) -> Result<OpenFiles, AppendError> {
        let start = Position {
            ordinal,
            length: 0,
            head: previous,
        };
        let mut open = self.open_files(start, OFlags::CREATE | OFlags::EXCL)?;
        let mut line = Vec::new();
        let head = chain::encode(&mut line, previous, at, &Event::Opened(because))
            .map_err(AppendError::Encode)?;
        if let Err(errno) = open.write(&line, head, self.options.fsync) {
            // An empty file that stays behind does no harm: the next append passes it by.
            let _ = self.dir.remove(&files::name(ordinal));
            return Err(self.write_error(ordinal, errno));
        }
        Ok(open)
    }

    fn write(
        &mut self,
        open: &mut OpenFiles,
        at: Timestamp,
        event: &Event,
    ) -> Result<Head, AppendError> {
        self.line.clear();
        let head =
            chain::encode(&mut self.line, open.end.head, at, event).map_err(AppendError::Encode)?;
        open.write(&self.line, head, self.options.fsync)
            .map_err(|e| self.write_error(open.end.ordinal, e))?;
        Ok(head)
    }

    fn write_error(&self, ordinal: u32, errno: rustix::io::Errno) -> AppendError {
        AppendError::Write {
            path: self.dir.path().join(files::name(ordinal)),
            source: errno.into(),
        }
    }
}

impl OpenFiles {
    /// Whether the trail still ends where this handle left it, in files that are still there.
    fn are_current(&self) -> Result<bool, PrivateError> {
        let examine = || {
            for fd in iter::once(&self.sidecar).chain(&self.kept) {
                if files::size_of_linked(fd)?.is_none() {
                    return Ok(false);
                }
            }
            let mut sidecar = [0; SIDECAR_BYTES];
            read_some(&self.sidecar, &mut sidecar, 0)?;
            let size = files::size_of_linked(&self.records)?;
            Ok(size == Some(self.end.length) && sidecar == self.noted)
        };
        examine().map_err(|e| io_error("examine", Path::new(SIDECAR), e))
    }

    /// Writes a record and notes the new end, or leaves everything as it was.
    fn write(&mut self, line: &[u8], head: Head, fsync: bool) -> rustix::io::Result<()> {
        let end = Position {
            ordinal: self.end.ordinal,
            length: self.end.length + line.len() as u64,
            head,
        };
        let noted = end.to_sidecar();
        let written = write_all_at(&self.records, line, self.end.length)
            .and_then(|()| {
                if fsync {
                    rustix::fs::fdatasync(&self.records)
                } else {
                    Ok(())
                }
            })
            .and_then(|()| self.note(&noted));
        if let Err(errno) = written {
            // Should this fail too, the next append finds the remains and names them in a new file.
            let _ = rustix::fs::ftruncate(&self.records, self.end.length);
            if self.end.length > 0 {
                let _ = self.note(&self.noted);
            }
            return Err(errno);
        }
        (self.end, self.noted) = (end, noted);
        Ok(())
    }

    fn note(&self, text: &[u8; SIDECAR_BYTES]) -> rustix::io::Result<()> {
        for fd in iter::once(&self.sidecar).chain(&self.kept) {
            write_all_at(fd, text, 0)?;
        }
        Ok(())
    }
}
