//! Finding the executable that serves.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::fs::{FileType, Mode, OFlags, Stat};

use crate::{HelperError, linux::enter};

/// The executable that is started as spawn server, opened once: what was checked is what runs.
#[derive(Debug)]
pub struct Helper {
    program: OwnedFd,
    path: PathBuf,
}

impl Helper {
    /// Finds the executable that serves.
    ///
    /// In this order: the absolute path that the embedder names; this very executable, if
    /// [`enter`](crate::enter) was called in it; a binary `portcullis` beside this executable, if it
    /// has the same owner. Never `PATH`, the working directory or the environment.
    ///
    /// # Errors
    /// [`HelperError::NotEntered`] if none of the three is there, else why the one that is there
    /// cannot be used.
    pub fn find(explicit: Option<&Path>) -> Result<Self, HelperError> {
        enter::exit_if_reentered();
        if let Some(path) = explicit {
            if !path.is_absolute() {
                return Err(HelperError::NotAbsolute {
                    path: path.to_owned(),
                });
            }
            return Self::open(path, path).map(|(helper, _)| helper);
        }
        // The link leads to the running file even if another has taken its name meanwhile.
        let own_path = std::env::current_exe().unwrap_or_else(|_| "/proc/self/exe".into());
        let (own, own_stat) = Self::open(Path::new("/proc/self/exe"), &own_path)?;
        if enter::entered() {
            return Ok(own);
        }
        let beside = own_path.with_file_name("portcullis");
        match Self::open(&beside, &beside) {
            Ok((helper, stat)) if stat.st_uid == own_stat.st_uid => Ok(helper),
            Ok(_) => Err(HelperError::Unfit {
                path: beside,
                problem: "has another owner",
            }),
            Err(HelperError::Open { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Err(HelperError::NotEntered)
            }
            Err(error) => Err(error),
        }
    }

    /// The path that was found, for messages; the file that runs is the one that was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The opened file once more, for reading, and the path where it lies now.
    ///
    /// # Errors
    /// The operating system's, if it may be executed and not read.
    pub fn reopen(&self) -> io::Result<(File, PathBuf)> {
        let link = self.exec_path();
        let path = std::fs::read_link(&link)?;
        Ok((File::open(link)?, path))
    }

    /// A path by which only this process can run the opened file.
    pub(super) fn exec_path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.program.as_fd().as_raw_fd()).into()
    }

    fn open(path: &Path, shown: &Path) -> Result<(Self, Stat), HelperError> {
        let failed = |error: rustix::io::Errno| HelperError::Open {
            path: shown.into(),
            source: error.into(),
        };
        let program = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
            .map_err(failed)?;
        let stat = rustix::fs::fstat(&program).map_err(failed)?;
        let mode = Mode::from_raw_mode(stat.st_mode);
        let problem = if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            Some("is not a file")
        } else if !mode.intersects(Mode::XUSR | Mode::XGRP | Mode::XOTH) {
            Some("is not executable")
        } else if mode.contains(Mode::WOTH) {
            Some("is writable by everyone")
        } else {
            None
        };
        match problem {
            Some(problem) => Err(HelperError::Unfit {
                path: shown.into(),
                problem,
            }),
            None => Ok((
                Self {
                    program,
                    path: shown.into(),
                },
                stat,
            )),
        }
    }
}
