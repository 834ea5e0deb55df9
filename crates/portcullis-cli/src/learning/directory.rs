//! Where one learning keeps what its runs share.

use std::fs::{self, File};
use std::io::{self, IsTerminal, Read as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Signal, set_parent_process_death_signal};

use crate::code;
use crate::failure::{Failure, Result, diagnostic};
use crate::settings::Settings;
use crate::target::Target;

/// Bytes of standard input that are kept for the trials.
const INPUT: u64 = 64 * 1024 * 1024;

/// The directory of one learning, removed with it.
pub(super) struct Directory {
    pub(super) path: PathBuf,
    /// Says for as long as it is locked that the directory is in use.
    _lock: File,
}

impl Directory {
    pub(super) fn make(settings: &Settings) -> Result<Self> {
        let above = settings.directories.data.join("learning");
        for dir in [&settings.directories.data, &above] {
            let private = portcullis_private::PrivateDir::open_or_create(dir);
            private.map_err(|error| Failure::audit(&error))?;
        }
        Self::make_in(&above).map_err(|error| Failure::unusable("use", &above, &error))
    }

    fn make_in(above: &Path) -> io::Result<Self> {
        // Nobody else makes or removes one meanwhile.
        let alone = File::open(above)?;
        flock(&alone, FlockOperation::LockExclusive)?;
        for left in fs::read_dir(above)?.flatten() {
            let lock = File::open(left.path())?;
            if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
                // Of one that was killed.
                let _: io::Result<()> = fs::remove_dir_all(left.path());
            }
        }
        let mut number = 0_u64;
        let dir = loop {
            let dir = above.join(number.to_string());
            match fs::create_dir(&dir) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                made => break made.map(|()| dir)?,
            }
        };
        let lock = File::open(&dir)?;
        flock(&lock, FlockOperation::LockExclusive)?;
        Ok(Self {
            path: dir,
            _lock: lock,
        })
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // The next learning removes what is left.
        let _: io::Result<()> = fs::remove_dir_all(&self.path);
    }
}

/// Ends this run with the learning that it belongs to, which has the directory above its state locked. Gives whether that is
/// still there.
pub(crate) fn follow(state: &Path) -> io::Result<bool> {
    set_parent_process_death_signal(Some(Signal::TERM))?;
    let Some(place) = state.parent() else {
        return Ok(false);
    };
    let lock = File::open(place)?;
    Ok(flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err())
}

/// What the plugin is to read, kept because it reads it in each run.
pub(super) fn input(wanted: bool, target: &Target, dir: &Path) -> Result<Option<PathBuf>> {
    let is_command = portcullis::Kind::of(&target.bytes).is_command();
    if !wanted && (!is_command || io::stdin().is_terminal()) {
        return Ok(None);
    }
    let file = dir.join("input");
    let mut bytes = Vec::new();
    io::stdin().lock().take(INPUT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > INPUT {
        let most = INPUT / (1024 * 1024);
        let report = diagnostic(
            code::UNLEARNT,
            format!("standard input has more than {most} MiB, which is what is kept for each run"),
        );
        return Err(Failure::usage(report));
    }
    fs::write(&file, bytes).map_err(|error| Failure::unusable("write", &file, &error))?;
    Ok(Some(file))
}
