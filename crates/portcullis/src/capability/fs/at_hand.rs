//! What is at hand: a path without links that the kernel has in memory, on a file system that asks nobody else. It is
//! found and read without waiting, so no other thread has to be woken for it. Everything else is left to the way in which
//! all paths can be found and read: nothing is refused here.

use std::io::IoSliceMut;
use std::path::PathBuf;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::{Errno, ReadWriteFlags};

use super::open::Held;
use super::place::Place;
use super::roots::{self, Roots};
use super::spot::name;

/// Bytes that are copied on the guest's own thread.
const MOST: u64 = 64 * 1024;

impl Held {
    /// Holds what a path means, if it is at hand.
    pub(super) fn at_hand(roots: &Roots, places: &[Place]) -> Option<Self> {
        let place = places.first()?;
        let (root, device) = roots.local(&place.grant)?;
        let path = plain(place)?;
        // A link in the last place is refused too, as it is not with `NOFOLLOW`.
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::CACHED;
        let rest = place.rest.as_str();
        let fd = rustix::fs::openat2(&root, rest, flags, Mode::empty(), resolve).ok()?;
        let stat = rustix::fs::fstat(&fd).ok()?;
        let bytes = u64::try_from(stat.st_size).ok()?;
        // It is where it was asked for: neither was the granted directory moved away, nor one on the path.
        let real = name(&fd).ok()?;
        let is_there =
            stat.st_dev == device && stat.st_nlink > 0 && real.as_os_str() == path.as_os_str();
        is_there.then_some(Self {
            kind: FileType::from_raw_mode(stat.st_mode),
            fd,
            real,
            bytes_at_hand: Some(bytes),
        })
    }

    /// The whole content of a file at hand that is short and in memory.
    pub(super) fn content_at_hand(&self, max: u64) -> Option<Vec<u8>> {
        let bytes = self.bytes_at_hand.filter(|bytes| *bytes <= max.min(MOST))?;
        if self.kind != FileType::RegularFile {
            return None;
        }
        // Who has a lease on it is not waited for.
        let file = self.reopen(OFlags::RDONLY | OFlags::NONBLOCK).ok()?;
        let bytes = usize::try_from(bytes).ok()?;
        // Room for one more byte: that there is none shows the end.
        let mut content = vec![0; bytes + 1];
        let mut room = [IoSliceMut::new(&mut content)];
        let mut read = |flags| rustix::io::preadv2(&file, &mut room, 0, flags);
        let read = match read(ReadWriteFlags::NOWAIT) {
            // A file system in memory, which has nothing to wait for.
            Err(Errno::OPNOTSUPP) => read(ReadWriteFlags::empty()),
            read => read,
        };
        (read == Ok(bytes)).then(|| {
            content.truncate(bytes);
            content
        })
    }
}

/// The path from the top, unless only walking it tells where it leads.
fn plain(place: &Place) -> Option<PathBuf> {
    let parts = place.rest.split('/');
    let walks = |part: &str| matches!(part, "" | "." | "..");
    if parts.into_iter().any(walks) {
        return None;
    }
    Some(roots::place(&place.grant)?.join(&place.rest))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::mem::MaybeUninit;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use portcullis_policy::{FsAccess, FsGrant, FsKind, Origin};
    use rustix::fs::{CWD, inotify};

    use super::*;

    /// A directory that is granted and was opened before; `None` where its file system is none that is known to be local.
    struct Granted {
        _dir: tempfile::TempDir,
        inside: PathBuf,
        grant: FsGrant,
        roots: Roots,
    }

    fn granted() -> Option<Granted> {
        let dir = tempfile::tempdir().unwrap();
        let inside = dir.path().canonicalize().unwrap().join("inside");
        fs::create_dir_all(inside.join("a/b")).unwrap();
        fs::write(inside.join("a/file"), "content").unwrap();
        let grant = grant(&inside, FsKind::Directory);
        let roots = Roots::default();
        roots.open(&grant).unwrap();
        if roots.local(&grant).is_none() {
            println!("SKIP what is at hand: the temporary directory is on no local file system");
            return None;
        }
        Some(Granted {
            _dir: dir,
            inside,
            grant,
            roots,
        })
    }

    fn grant(host: &Path, kind: FsKind) -> FsGrant {
        FsGrant {
            host: host.to_owned(),
            kind,
            guest: ".".to_owned(),
            access: FsAccess::Read,
            origin: Origin::Code,
        }
    }

    fn at_hand(roots: &Roots, grant: &FsGrant, rest: &str) -> Option<Held> {
        let place = Place {
            grant: grant.clone(),
            rest: rest.to_owned(),
        };
        Held::at_hand(roots, &[place])
    }

    impl Granted {
        fn held(&self, rest: &str) -> Option<Held> {
            at_hand(&self.roots, &self.grant, rest)
        }

        fn content(&self, rest: &str) -> Option<Vec<u8>> {
            self.held(rest)?.content_at_hand(u64::MAX)
        }
    }

    #[test]
    fn a_plain_path_is_found_under_its_real_path_and_read_whole() {
        let Some(granted) = granted() else { return };
        let held = granted.held("a/file").unwrap();
        assert_eq!(held.real, granted.inside.join("a/file"));
        assert_eq!(held.content_at_hand(7).unwrap(), b"content");
        assert!(held.content_at_hand(6).is_none(), "it is longer than that");
        let most = usize::try_from(MOST).unwrap();
        for (bytes, read) in [(0, true), (most, true), (most + 1, false)] {
            fs::write(granted.inside.join("n"), vec![b'x'; bytes]).unwrap();
            let content = granted.content("n").map(|content| content.len());
            assert_eq!(content, read.then_some(bytes));
        }
        assert!(granted.content("a").is_none(), "a directory");
        let one = grant(&granted.inside.join("a/file"), FsKind::File);
        assert!(
            at_hand(&granted.roots, &one, "file").is_none(),
            "not opened"
        );
        granted.roots.open(&one).unwrap();
        assert!(at_hand(&granted.roots, &one, "file").is_some());
    }

    #[test]
    fn what_has_to_be_walked_is_not_at_hand() {
        let Some(granted) = granted() else { return };
        symlink("a", granted.inside.join("link")).unwrap();
        symlink("file", granted.inside.join("a/last")).unwrap();
        for rest in [
            "link/file",
            "a/last",
            "a/b/../file",
            "../inside/a/file",
            "a/file/",
            "a//file",
            "./a/file",
            ".",
            "..",
            "",
            "/etc/passwd",
            "a/none",
        ] {
            assert!(granted.held(rest).is_none(), "{rest}");
        }
    }

    #[test]
    fn what_is_not_where_it_was_granted_is_not_at_hand() {
        let Some(granted) = granted() else { return };
        let elsewhere = granted.inside.with_file_name("elsewhere");
        fs::rename(&granted.inside, &elsewhere).unwrap();
        assert!(granted.held("a/file").is_none(), "the directory was moved");
        symlink(&elsewhere, &granted.inside).unwrap();
        assert!(granted.held("a/file").is_none(), "a link is in its place");
    }

    #[test]
    fn file_systems_that_ask_others_are_never_at_hand() {
        let roots = Roots::default();
        let process = grant(Path::new("/proc/sys/kernel"), FsKind::Directory);
        roots.open(&process).unwrap();
        assert!(at_hand(&roots, &process, "ostype").is_none());
        let devices = grant(Path::new("/"), FsKind::Directory);
        roots.open(&devices).unwrap();
        assert!(
            at_hand(&roots, &devices, "proc/sys/kernel/ostype").is_none(),
            "another one below"
        );
    }

    #[test]
    fn a_pipe_is_held_and_not_opened() {
        let Some(granted) = granted() else { return };
        rustix::fs::mkfifoat(CWD, granted.inside.join("pipe"), Mode::RWXU).unwrap();
        fs::write(granted.inside.join("file"), "x").unwrap();
        let watch = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
        inotify::add_watch(&watch, &granted.inside, inotify::WatchFlags::OPEN).unwrap();
        let opened = || {
            let mut buffer = [MaybeUninit::uninit(); 1024];
            let mut events = inotify::Reader::new(&watch, &mut buffer);
            events.next().is_ok()
        };
        assert!(granted.content("pipe").is_none());
        assert!(!opened(), "the pipe was opened");
        assert!(granted.content("file").is_some() && opened());
    }
}
