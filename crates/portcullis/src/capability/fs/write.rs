//! Writing a file whole: beside the old one, then in its place.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat, Uid};
use rustix::io::Errno;

use super::failure::FsFailure;
use super::spot::Spot;

/// Attempts to find a name that nobody has.
const NAMES: usize = 16;

/// A file under a name of its own, removed unless it takes its place.
struct Draft<'a> {
    spot: &'a Spot,
    name: String,
    file: File,
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if !self.name.is_empty() {
            // A directory that cannot be changed any more keeps it; there is nobody to tell.
            let _ = rustix::fs::unlinkat(&self.spot.parent, &self.name, AtFlags::empty());
        }
    }
}

/// Puts a file with this content at the spot, in place of what is there. Nobody sees a part of it, also after a crash; a
/// link or a second name that came meanwhile is replaced, never followed. Permissions and, as root, the owner stay
/// those of the old file; other attributes do not.
///
/// # Errors
/// What stands there is no regular file, or the system refuses.
pub(super) fn replace(spot: &Spot, content: &[u8]) -> Result<(), FsFailure> {
    let old = match rustix::fs::statat(&spot.parent, &spot.name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => Some(stat),
        Ok(_) => return Err(FsFailure::NotRegular),
        Err(Errno::NOENT) => None,
        Err(errno) => return Err(errno.into()),
    };
    let mut draft = Draft::new(spot)?;
    draft
        .file
        .write_all(content)
        .and_then(|()| draft.file.sync_all())
        .map_err(|error| FsFailure::Io(error.to_string()))?;
    draft.resemble(old.as_ref())?;
    rustix::fs::renameat(&spot.parent, &draft.name, &spot.parent, &spot.name)?;
    draft.name.clear();
    Ok(())
}

impl<'a> Draft<'a> {
    fn new(spot: &'a Spot) -> Result<Self, FsFailure> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for _ in 0..NAMES {
            let mut random = [0; 8];
            getrandom::fill(&mut random).map_err(|error| FsFailure::Io(error.to_string()))?;
            let name = format!(".portcullis-{}", hex::encode(random));
            let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP | Mode::ROTH | Mode::WOTH;
            match rustix::fs::openat(&spot.parent, &name, flags, mode) {
                Ok(fd) => {
                    let file = File::from(fd);
                    return Ok(Self { spot, name, file });
                }
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Err(FsFailure::Io("no name was free for a draft".to_owned()))
    }

    /// Gives it the permissions and the owner of what it replaces.
    fn resemble(&self, old: Option<&Stat>) -> Result<(), FsFailure> {
        let Some(old) = old else { return Ok(()) };
        let new = rustix::fs::fstat(&self.file)?;
        if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid) {
            let (uid, gid) = (Uid::from_raw(old.st_uid), Gid::from_raw(old.st_gid));
            // Only root may; for others it is theirs now, as with an editor.
            let _ = rustix::fs::fchown(self.file.as_fd(), Some(uid), Some(gid));
        }
        // Never set-id or sticky.
        let kept = Mode::from_raw_mode(old.st_mode) & (Mode::RWXU | Mode::RWXG | Mode::RWXO);
        Ok(rustix::fs::fchmod(&self.file, kept)?)
    }
}
