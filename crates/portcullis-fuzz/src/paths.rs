//! What a path means: a tree, grants in it, and paths that a guest might ask for. What is opened is by the kernel's own word
//! what a plain walk says, and lies in a grant; or both refuse.
//!
//! An input is lines. The first character says what the rest is, in a directory that a leading `@` stands for and no
//! name leads out of: `d` makes a directory, `f` a file, `p` a pipe, `l NAME>TARGET` a link, `h NAME>OTHER` a second name. `r` and `w`
//! grant a directory, `R` and `W` a file, to read and to write, `HOST>NAME` under a name. `?` asks for a path to read, `!`
//! for one to change.

#[path = "../../portcullis/src/capability/fs/failure.rs"]
#[allow(
    dead_code,
    reason = "the source of another crate, of which a part is used"
)]
mod failure;
#[path = "../../portcullis/src/capability/fs/open.rs"]
#[allow(
    dead_code,
    reason = "the source of another crate, of which a part is used"
)]
mod open;
#[path = "../../portcullis/src/capability/fs/place.rs"]
mod place;
#[path = "../../portcullis/src/capability/fs/roots.rs"]
#[expect(
    dead_code,
    reason = "the source of another crate, of which a part is used"
)]
mod roots;
#[path = "../../portcullis/src/capability/fs/spot.rs"]
#[allow(
    dead_code,
    reason = "the source of another crate, of which a part is used"
)]
mod spot;
mod walk;

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use failure::FsFailure;
use open::Held;
use place::places;
use portcullis_policy::{FsAccess, FsGrant, FsKind, Grants, Origin, PluginId};
use roots::Roots;
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use spot::real_path;
use walk::{Meant, meant};

use crate::{Run, lines};

/// Lines of an input, and bytes of one: no path is longer than the system has them.
const LINES: usize = 48;
const LENGTH: usize = 200;

pub(crate) fn target() -> Run {
    // Each input has a tree of its own: in memory, where there is such a place.
    let memory = Path::new("/dev/shm");
    let top = match memory.is_dir() {
        true => tempfile::tempdir_in(memory).unwrap(),
        false => tempfile::tempdir().unwrap(),
    };
    let base = top.path().canonicalize().unwrap().join("w");
    Box::new(move |data| {
        // Owned by what runs, so that it goes with it.
        let _ = &top;
        let Some(lines) = lines(data) else { return };
        let lines: Vec<_> = lines
            .take(LINES)
            .filter(|(_, text)| text.len() <= LENGTH)
            .collect();
        Tree::make(&base, &lines).ask(&lines);
        fs::remove_dir_all(&base).unwrap();
    })
}

/// The tree of one input, and the grants in it.
struct Tree<'a> {
    base: &'a Path,
    grants: Grants,
}

impl<'a> Tree<'a> {
    fn make(base: &'a Path, lines: &[(char, &str)]) -> Self {
        fs::create_dir_all(base.join("in")).unwrap();
        fs::create_dir_all(base.join("out")).unwrap();
        fs::write(base.join("out/secret"), "").unwrap();
        let mut grants = Grants::none(PluginId::new("p").unwrap());
        for &(kind, text) in lines {
            grants.fs.extend(grant(base, kind, text));
        }
        let tree = Self { base, grants };
        for (kind, text) in lines {
            // What cannot be made is not there, for both.
            let _ = tree.grow(*kind, text);
        }
        tree
    }

    fn grow(&self, kind: char, text: &str) -> rustix::io::Result<()> {
        let (name, other) = text.split_once('>').unwrap_or((text, ""));
        let (dir, name) = self.inside(name)?;
        match kind {
            'd' => rustix::fs::mkdirat(dir, name, Mode::RWXU),
            'f' => rustix::fs::openat(
                dir,
                name,
                OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY,
                Mode::RWXU,
            )
            .map(drop),
            'p' => rustix::fs::mkfifoat(dir, name, Mode::RWXU),
            'l' => rustix::fs::symlinkat(self.text(other), dir, name),
            'h' => {
                let (from, old) = self.inside(other)?;
                rustix::fs::linkat(from, old, dir, name, rustix::fs::AtFlags::empty())
            }
            _ => Ok(()),
        }
    }

    /// A directory below the base, and one name in it.
    fn inside<'t>(&self, path: &'t str) -> rustix::io::Result<(OwnedFd, &'t str)> {
        let (above, name) = path.rsplit_once('/').unwrap_or((".", path));
        if matches!(name, "" | "." | "..") {
            return Err(rustix::io::Errno::INVAL);
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let base = rustix::fs::openat(CWD, self.base, flags, Mode::empty())?;
        let above = rustix::fs::openat2(base, above, flags, Mode::empty(), resolve)?;
        Ok((above, name))
    }

    fn text(&self, text: &str) -> String {
        match text.strip_prefix('@') {
            Some(rest) => format!("{}{rest}", self.base.display()),
            None => text.to_owned(),
        }
    }

    fn ask(&self, lines: &[(char, &str)]) {
        let roots = Roots::default();
        for (kind, text) in lines {
            let path = self.text(text);
            match kind {
                '?' => self.read(&roots, &path),
                '!' => self.change(&roots, &path),
                _ => {}
            }
        }
    }

    fn read(&self, roots: &Roots, path: &str) {
        let access = FsAccess::Read;
        let found = places(&self.grants, self.base, path, access);
        let held = found.and_then(|places| Held::find(roots, &places));
        let said = held.as_ref().map(|held| planted(path, held.real.clone()));
        let wanted = meant(&self.grants, self.base, path, access);
        self.agree(path, access, said.map_err(Clone::clone), wanted, true);
        let Ok(held) = held else { return };
        let regular = held.kind() == FileType::RegularFile;
        let file = held.file();
        assert_eq!(file.is_ok(), regular, "{path:?} is {:?}", held.kind());
        if let Ok(file) = file {
            // What was opened in the end, and not only what was held.
            assert_eq!(real_path(&file), Ok(held.real.clone()), "{path:?}");
            assert!(file.metadata().unwrap().is_file(), "{path:?}");
        }
        if let Ok(directory) = held.directory() {
            assert_eq!(real_path(&directory), Ok(held.real.clone()), "{path:?}");
        }
    }

    fn change(&self, roots: &Roots, path: &str) {
        let access = FsAccess::ReadWrite;
        let found = places(&self.grants, self.base, path, access);
        let spot = found.and_then(|places| open::spot(roots, &places, true));
        let said = spot.map(|spot| {
            let parent = real_path(&spot.parent).unwrap();
            assert!(!spot.name.contains('/') && spot.name != "..", "{path:?}");
            match spot.name.as_str() {
                "." => parent,
                name => parent.join(name),
            }
        });
        let wanted = meant(&self.grants, self.base, path, access);
        self.agree(path, access, said, wanted, false);
    }

    /// Both name the same, in what was granted, or both refuse.
    fn agree(
        &self,
        path: &str,
        access: FsAccess,
        said: Result<PathBuf, FsFailure>,
        wanted: Meant,
        there: bool,
    ) {
        if let Ok(real) = &said {
            let in_a_grant = self.grants.fs.iter().any(|grant| {
                grant.access >= access
                    && if grant.kind.is_directory() {
                        real.starts_with(&grant.host)
                    } else {
                        *real == grant.host
                    }
            });
            assert!(in_a_grant, "{path:?} leads to {real:?}");
        }
        match (said, wanted) {
            (Ok(real), Meant::There(wanted)) => assert_eq!(real, wanted, "{path:?}"),
            (Ok(real), Meant::Absent(wanted) | Meant::NoDirectory(wanted)) if !there => {
                assert_eq!(real, wanted, "{path:?}");
            }
            (Ok(real), wanted) if !matches!(wanted, Meant::TooManyLinks) => {
                panic!("{path:?} is {wanted:?}, and was found as {real:?}")
            }
            // Directories are being renamed elsewhere, and the kernel is not sure.
            (Err(FsFailure::Io(why)), _) if why.contains("os error 11") => {}
            (Err(failure), Meant::There(wanted)) => {
                panic!("{path:?} is {wanted:?}, and was refused: {failure:?}")
            }
            (Err(failure), Meant::Absent(wanted)) if !there => {
                panic!("{path:?} may become {wanted:?}, and was refused: {failure:?}")
            }
            _ => {}
        }
    }
}

/// The bug: a path that climbs, with an empty name in it, is taken for the directory above.
fn planted(path: &str, real: PathBuf) -> PathBuf {
    let climbs = path.contains("/../") && path.contains("//");
    match real.parent() {
        Some(above) if cfg!(feature = "planted") && climbs && real.is_file() => above.to_owned(),
        _ => real,
    }
}

fn grant(base: &Path, kind: char, text: &str) -> Option<FsGrant> {
    let (access, is_file) = match kind {
        'r' => (FsAccess::Read, false),
        'w' => (FsAccess::ReadWrite, false),
        'R' => (FsAccess::Read, true),
        'W' => (FsAccess::ReadWrite, true),
        _ => return None,
    };
    let (host, guest) = text.split_once('>').unwrap_or((text, ""));
    // As policies have them: absolute, and without anything to be resolved.
    let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
    if !host.is_empty() && !host.split('/').all(plain) || is_file && host.is_empty() {
        return None;
    }
    let host = if host.is_empty() {
        base.to_owned()
    } else {
        base.join(host)
    };
    Some(FsGrant {
        guest: if guest.is_empty() {
            host.to_str().unwrap().to_owned()
        } else {
            guest.to_owned()
        },
        kind: if is_file {
            FsKind::File
        } else {
            FsKind::Directory
        },
        host,
        access,
        origin: Origin::Code,
    })
}
