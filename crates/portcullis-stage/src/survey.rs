//! Walking what a run left in the upper layer of a root, and comparing it with what is there.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, OFlags, Stat};
use rustix::io::{Errno, Result};

use crate::difference::{After, Before, Change, Conflict, Difference, Object, Refusal, Why};
use crate::place::{self, Ident};
use crate::{Root, TEMPORARY, link, special};

const READ: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY);
/// Set-group-id, which directories hand down.
const GROUP: u32 = 0o2000;

/// One root.
pub(crate) struct Survey<'a> {
    root: &'a Root,
    number: usize,
    upper: &'a OwnedFd,
    found: &'a mut Difference,
}

impl<'a> Survey<'a> {
    /// Adds what is different in one root.
    pub(crate) fn add(
        root: &'a Root,
        number: usize,
        upper: &'a OwnedFd,
        found: &'a mut Difference,
    ) -> Result<()> {
        let mut survey = Self {
            root,
            number,
            upper,
            found,
        };
        let (above, top) = (rustix::fs::fstat(upper)?, rustix::fs::fstat(&root.dir)?);
        if place::permissions(&above) != place::permissions(&top) {
            survey.refuse(Path::new(""), Why::RootMode);
        }
        if root.stamp.is_void() {
            survey.conflict(
                Path::new(""),
                "cannot be told from what it was: the clock was set back",
            );
        }
        survey.directory(Path::new(""), true)
    }

    fn directory(&mut self, path: &Path, merged: bool) -> Result<()> {
        let names = self.in_upper(path, |upper| place::names(upper, path))?;
        if merged && !path.as_os_str().is_empty() {
            let dir = place::open(self.upper, path, OFlags::RDONLY | OFlags::DIRECTORY)?;
            if special::is_opaque(&dir)? {
                self.hidden(path, &names)?;
            }
        }
        for name in names {
            let path = path.join(name);
            if let Err(errno) = self.entry(&path) {
                let why = std::io::Error::from(errno).to_string();
                self.refuse(&path, Why::Unreadable(why));
            }
        }
        Ok(())
    }

    /// What an opaque directory hides of the base is removed.
    fn hidden(&mut self, path: &Path, names: &[OsString]) -> Result<()> {
        let kept: BTreeSet<_> = names.iter().collect();
        for name in place::names(&self.root.dir, path)? {
            if !kept.contains(&name) {
                self.remove(&path.join(name))?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path) -> Result<()> {
        let (place, stat) = place::find(self.upper, path)?;
        let before = match place::look(&self.root.dir, path) {
            Ok(before) => before,
            Err(Errno::LOOP | Errno::XDEV) => {
                self.conflict(path, "is reached over a link or another file system now");
                return Ok(());
            }
            Err(errno) => return Err(errno),
        };
        let kind = place::kind(&stat);
        if kind == FileType::CharacterDevice && stat.st_rdev == 0 {
            return match before {
                Some(_) => self.remove(path),
                None => {
                    self.conflict(path, "is gone");
                    Ok(())
                }
            };
        }
        let top = path
            .parent()
            .is_none_or(|above| above.as_os_str().is_empty());
        let ours = |name: &[u8]| name.starts_with(TEMPORARY.as_bytes());
        if top
            && path
                .file_name()
                .is_some_and(|name| ours(name.as_encoded_bytes()))
        {
            self.refuse(path, Why::OurName);
            return Ok(());
        }
        match kind {
            FileType::RegularFile => self.file(path, &place, &stat, before),
            FileType::Directory => self.subdirectory(path, &stat, before),
            FileType::Symlink => {
                let target = place::target(&place)?;
                self.link(path, target, before)
            }
            _ => {
                self.refuse(path, Why::Special);
                Ok(())
            }
        }
    }

    fn file(
        &mut self,
        path: &Path,
        place: &OwnedFd,
        stat: &Stat,
        before: Option<Stat>,
    ) -> Result<()> {
        if place::special_bits(stat) != 0 {
            self.refuse(path, Why::SpecialBits);
            return Ok(());
        }
        if stat.st_mode & 0o400 == 0 {
            // Ours to read, whatever the run made of it; nobody is left who sees this.
            place::set_mode(place, place::permissions(stat) | 0o400)?;
        }
        let file = place::open(self.upper, path, READ)?;
        let base_file = before.filter(|before| place::kind(before) == FileType::RegularFile);
        let base_file = base_file.map(|before| (before, place::open(&self.root.dir, path, READ)));
        let allowed = match &base_file {
            Some((_, Ok(base))) => special::attributes(base)?,
            Some((_, Err(errno))) => return Err(*errno),
            None => Vec::new(),
        };
        let own = special::attributes(&file)?;
        if own.iter().any(|attribute| !allowed.contains(attribute)) {
            self.refuse(path, Why::Attributes);
            return Ok(());
        }
        if before.is_none() && special::has_origin(&file)? {
            self.conflict(path, "is gone");
            return Ok(());
        }
        let (size, digest) = digest(&file)?;
        let mode = place::permissions(stat);
        if let Some((before, Ok(base))) = &base_file
            && u64::try_from(before.st_size) == Ok(size)
            && self::digest(base)?.1 == digest
        {
            if place::permissions(before) != mode {
                self.put(path, Some(before), After::Mode { mode });
            }
            return Ok(());
        }
        let after = After::File {
            size,
            mode,
            digest,
            instead: None,
        };
        self.replace(path, before, after)
    }

    fn link(&mut self, path: &Path, target: PathBuf, before: Option<Stat>) -> Result<()> {
        if before.is_some_and(|before| place::kind(&before) == FileType::Symlink) {
            let (base, _) = place::find(&self.root.dir, path)?;
            if place::target(&base)? == target {
                return Ok(());
            }
        }
        if !link::stays(self.root.dir.as_fd(), self.upper.as_fd(), path, &target) {
            self.refuse(path, Why::LeadsOut(target));
            return Ok(());
        }
        self.replace(path, before, After::Link { target })
    }

    fn subdirectory(&mut self, path: &Path, stat: &Stat, before: Option<Stat>) -> Result<()> {
        if stat.st_mode & 0o500 != 0o500 {
            let (place, _) = place::find(self.upper, path)?;
            place::set_mode(&place, place::permissions(stat) | 0o500)?;
        }
        let dir = place::open(self.upper, path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let merged = before.filter(|before| place::kind(before) == FileType::Directory);
        let allowed = match merged {
            Some(_) => special::attributes(place::open(
                &self.root.dir,
                path,
                OFlags::RDONLY | OFlags::DIRECTORY,
            )?)?,
            None => Vec::new(),
        };
        let own = special::attributes(&dir)?;
        if own.iter().any(|attribute| !allowed.contains(attribute)) {
            self.refuse(path, Why::Attributes);
            return Ok(());
        }
        let mode = place::permissions(stat);
        let Some(before) = merged else {
            // A directory gets this one from that in which it is made.
            if place::special_bits(stat) & !GROUP != 0 {
                self.refuse(path, Why::SpecialBits);
                return Ok(());
            }
            if before.is_none() && special::has_origin(&dir)? {
                self.conflict(path, "is gone");
                return Ok(());
            }
            if before.is_some() {
                self.remove(path)?;
            }
            self.put(path, None, After::Directory { mode });
            return self.directory(path, false);
        };
        if place::special_bits(stat) & !place::special_bits(&before) & !GROUP != 0 {
            self.refuse(path, Why::SpecialBits);
            return Ok(());
        }
        if place::permissions(&before) != mode {
            self.put(path, Some(&before), After::Mode { mode });
        }
        self.directory(path, true)
    }

    /// Puts something in the place of whatever is there.
    fn replace(&mut self, path: &Path, before: Option<Stat>, after: After) -> Result<()> {
        match before {
            Some(before) if place::kind(&before) == FileType::Directory => {
                self.remove(path)?;
                self.put(path, None, after);
            }
            Some(before) if before.st_uid != rustix::process::geteuid().as_raw() => {
                self.refuse(path, Why::OtherOwner);
            }
            before => self.put(path, before.as_ref(), after),
        }
        Ok(())
    }

    /// Removes what is there, with everything in it; each by itself, so that each is shown and looked at.
    fn remove(&mut self, path: &Path) -> Result<()> {
        let Some(stat) = place::look(&self.root.dir, path)? else {
            self.conflict(path, "is gone");
            return Ok(());
        };
        if place::kind(&stat) == FileType::Directory {
            for name in place::names(&self.root.dir, path)? {
                self.remove(&path.join(name))?;
            }
        }
        self.check(path, &stat);
        self.found.changes.push(Change {
            root: self.number,
            path: path.to_owned(),
            before: Some(before(&stat)),
            after: None,
        });
        Ok(())
    }

    fn put(&mut self, path: &Path, stat: Option<&Stat>, after: After) {
        if let Some(stat) = stat {
            self.check(path, stat);
        }
        self.found.changes.push(Change {
            root: self.number,
            path: path.to_owned(),
            before: stat.map(before),
            after: Some(after),
        });
    }

    /// What changed since the stage began is not overwritten.
    fn check(&mut self, path: &Path, stat: &Stat) {
        if !self.root.stamp.is_after(stat) {
            self.conflict(path, "was changed meanwhile");
        }
    }

    fn refuse(&mut self, path: &Path, why: Why) {
        self.found.refused.push(Refusal {
            root: self.number,
            path: path.to_owned(),
            why,
        });
    }

    fn conflict(&mut self, path: &Path, what: &'static str) {
        self.found.conflicts.push(Conflict {
            root: self.number,
            path: path.to_owned(),
            what,
        });
    }

    /// Something in the upper layer, made readable to us if the run has made it unreadable.
    fn in_upper<T>(&self, path: &Path, act: impl Fn(&OwnedFd) -> Result<T>) -> Result<T> {
        match act(self.upper) {
            Err(Errno::ACCESS) => {
                let (place, stat) = place::find(self.upper, path)?;
                place::set_mode(&place, place::permissions(&stat) | 0o700)?;
                act(self.upper)
            }
            result => result,
        }
    }
}

fn before(stat: &Stat) -> Before {
    Before {
        object: Object::of(place::kind(stat)),
        size: u64::try_from(stat.st_size).unwrap_or_default(),
        mode: place::permissions(stat),
        ident: Ident::of(stat),
    }
}

/// The size and digest of what an opened file has.
fn digest(file: &OwnedFd) -> Result<(u64, [u8; 32])> {
    let mut hasher = blake3::Hasher::new();
    let mut chunk = vec![0; 64 * 1024];
    let mut at = 0;
    loop {
        match rustix::io::retry_on_intr(|| rustix::io::pread(file, &mut chunk[..], at))? {
            0 => return Ok((at, *hasher.finalize().as_bytes())),
            read => {
                hasher.update(chunk.get(..read).unwrap_or_default());
                at += read as u64;
            }
        }
    }
}
