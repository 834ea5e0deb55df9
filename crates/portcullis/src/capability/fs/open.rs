//! Opening what a path means, to look at it.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

use portcullis_policy::FsKind;
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::failure::FsFailure;
use super::place::{Place, climbs_out};
use super::roots::Roots;
use super::spot::{Spot, real_path};

/// Something found, held without being opened to read: a pipe or a device that is only held notices nothing.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) fd: OwnedFd,
    pub(super) kind: FileType,
    pub(super) real: PathBuf,
    /// Its bytes, if it was [at hand](Self::at_hand).
    pub(super) bytes_at_hand: Option<u64>,
}

/// Finds the spot that a path means, in the first of these places that it does not lead out of.
pub(super) fn spot(roots: &Roots, places: &[Place], follow: bool) -> Result<Spot, FsFailure> {
    let mut failure = FsFailure::Outside;
    for place in places {
        // The name of a granted file is that file, and no link.
        let follow = follow && place.grant.kind != FsKind::File;
        let found = roots.open(&place.grant);
        match found.and_then(|root| Spot::find(&root, &place.rest, follow)) {
            Ok(spot) => return Ok(spot),
            Err(Errno::XDEV) if climbs_out(&place.rest) => {}
            Err(Errno::XDEV) => failure = FsFailure::LinkOutside,
            Err(errno) => return Err(errno.into()),
        }
    }
    Err(failure)
}

impl Held {
    /// Holds what a path means, links followed.
    pub(super) fn find(roots: &Roots, places: &[Place]) -> Result<Self, FsFailure> {
        Ok(Self::at(&spot(roots, places, true)?)?)
    }

    /// Holds what has the name at a spot, also a link itself.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn at(spot: &Spot) -> rustix::io::Result<Self> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let name = spot.name.as_str();
        let fd = rustix::fs::openat2(&spot.parent, name, flags, Mode::empty(), resolve)?;
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode);
        if spot.must_be_directory && kind != FileType::Directory {
            return Err(Errno::NOTDIR);
        }
        Ok(Self {
            real: real_path(&fd)?,
            fd,
            kind,
            bytes_at_hand: None,
        })
    }

    pub(super) fn kind(&self) -> FileType {
        self.kind
    }

    pub(super) fn stat(&self) -> Result<rustix::fs::Stat, FsFailure> {
        Ok(rustix::fs::fstat(&self.fd)?)
    }

    /// Opens the regular file itself to read.
    pub(super) fn file(&self) -> Result<File, FsFailure> {
        if self.kind != FileType::RegularFile {
            return Err(FsFailure::NotRegular);
        }
        Ok(File::from(self.reopen(OFlags::RDONLY)?))
    }

    /// Opens the directory itself to list.
    pub(super) fn directory(&self) -> Result<OwnedFd, FsFailure> {
        if self.kind != FileType::Directory {
            return Err(FsFailure::NotDirectory);
        }
        Ok(self.reopen(OFlags::RDONLY | OFlags::DIRECTORY)?)
    }

    /// The very object that is held, by the one link of `/proc` that names it.
    pub(super) fn reopen(&self, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let link = format!("/proc/self/fd/{}", self.fd.as_raw_fd());
        rustix::fs::openat(CWD, link, flags | OFlags::CLOEXEC, Mode::empty())
    }
}
