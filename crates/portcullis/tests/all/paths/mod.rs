//! Paths that would lead out of a grant, and their legal twins, tried by a guest: by the calls of `portcullis:cli/fs` and
//! by WASI.
//!
//! What is believed is never the product's own answer. Every file says its own real path, so that what is read tells
//! which file was opened; the kernel reports whatever is opened outside; and afterwards all that lies outside is
//! compared with what it was.

pub(crate) mod plain;
pub(crate) mod races;
mod table;
pub(crate) mod wasi;

use std::collections::BTreeMap;
use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use portcullis::policy::{FsAccess, Grants, Limits};
use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};

use crate::files::said;
use crate::fixture::{Fixture, directory, none};

/// Names of the granted directory: its real path, relative to the project, and the name it was given.
const GUEST_NAME: &str = "/data";

/// A granted directory `inside`, and what surrounds it.
struct World {
    fixture: Fixture,
    above: PathBuf,
    inside: PathBuf,
    outside: PathBuf,
}

impl World {
    fn new() -> Self {
        let fixture = Fixture::new();
        let above = fixture.path();
        let (inside, outside) = (above.join("inside"), above.join("outside"));
        for dir in [
            "inside/sub/deep",
            "inside/many/1/2/3/4/5/6/7/8/9/10",
            "inside/ ",
            "inside/etc",
            "inside/proc/self",
            "inside/%2e%2e/outside",
            "inside/\u{ff0e}\u{ff0e}/outside",
            "inside/\u{2025}/outside",
            "inside-2",
            "outside/sub",
        ] {
            fs::create_dir_all(above.join(dir)).unwrap();
        }
        for file in ["secret", "inside-2/secret", "inside.secret"] {
            says_where(&above.join(file));
        }
        for file in ["secret", "sub/secret"] {
            says_where(&outside.join(file));
        }
        links(&inside, &outside);
        let plain = table::LEGAL
            .iter()
            .filter_map(|path| path.strip_prefix("@/"));
        for name in plain {
            let path = inside.join(name.trim_start_matches('/'));
            // Those that a link leads to are there.
            if !path.exists() {
                says_where(&path);
            }
        }
        fs::hard_link(inside.join("sub/b.txt"), inside.join("twice")).unwrap();
        Self {
            fixture,
            above,
            inside,
            outside,
        }
    }

    fn grants(&self, access: FsAccess) -> Grants {
        Grants {
            fs: vec![directory(&self.inside, GUEST_NAME, access)],
            limits: Limits {
                calls_per_minute: u32::MAX,
                ..Limits::default()
            },
            ..none()
        }
    }

    /// A path of the table in each of its spellings.
    fn spelled(&self, path: &str) -> Vec<String> {
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let path = path
            .replace("{I}", &text(&self.inside))
            .replace("{O}", &text(&self.outside))
            .replace("{P}", &text(&self.above));
        match path.strip_prefix('@') {
            Some(rest) => [
                text(&self.inside),
                "inside".to_owned(),
                GUEST_NAME.to_owned(),
            ]
            .iter()
            .map(|root| format!("{root}{rest}"))
            .collect(),
            None => vec![path],
        }
    }

    fn all(&self, lists: &[&[&str]]) -> Vec<String> {
        let paths = lists.iter().flat_map(|list| list.iter());
        paths.flat_map(|path| self.spelled(path)).collect()
    }

    fn attacks(&self) -> Vec<String> {
        let mut paths = self.all(&[table::CLIMBING, table::LINKS, table::ELSEWHERE]);
        let long = table::too_long();
        paths.extend(long.iter().flat_map(|path| self.spelled(path)));
        paths
    }

    /// Where a legal path leads, by the kernel's walk and not by ours.
    fn real(&self, path: &str) -> PathBuf {
        let host = match Path::new(path).strip_prefix(GUEST_NAME) {
            Ok(rest) => self.inside.join(rest),
            Err(_) => self.above.join(path),
        };
        let real = match host.canonicalize() {
            Ok(real) => real,
            // A name that is yet to be made, or a link to one.
            Err(_) => {
                let link = fs::read_link(&host).unwrap_or_default();
                let named = host.parent().unwrap().join(&link);
                let named = if link.as_os_str().is_empty() {
                    host
                } else {
                    named
                };
                let above = named.parent().unwrap().canonicalize().unwrap();
                above.join(named.file_name().unwrap())
            }
        };
        assert!(real.starts_with(&self.inside), "{path} is legal");
        real
    }

    fn say(&self, access: FsAccess, acts: &[String]) -> Vec<String> {
        let said = said(&self.fixture, self.grants(access), acts);
        assert_eq!(said.len(), acts.len(), "an answer for each act");
        said
    }

    /// Makes links that lead to nothing, beside those that lead to something.
    fn link_to_nothing(&self) {
        for entry in fs::read_dir(&self.inside).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if let (Some(other), Ok(target)) = (to_nothing(name), fs::read_link(&path)) {
                let target = target.to_str().unwrap();
                let target = to_nothing(target).unwrap_or_else(|| target.to_owned());
                symlink(target, path.with_file_name(other)).unwrap();
            }
        }
        symlink("../../outside/absent", self.inside.join("sub/up-absent")).unwrap();
    }
}

/// Makes a file whose content is its real path.
fn says_where(path: &Path) {
    let above = path.parent().unwrap();
    let real = above
        .canonicalize()
        .unwrap()
        .join(path.file_name().unwrap());
    fs::write(path, text_of(&real)).unwrap();
}

/// A path on one line, as files say it.
fn text_of(path: &Path) -> String {
    path.to_str().unwrap().escape_debug().to_string()
}

fn links(inside: &Path, outside: &Path) {
    let outside_text = outside.to_str().unwrap();
    says_where(&inside.join("a.txt"));
    says_where(&inside.join("sub/b.txt"));
    says_where(&inside.join("sub/deep/c.txt"));
    let absolute = format!("{outside_text}/secret");
    let far = format!("{}etc/passwd", "../".repeat(30));
    for (name, target) in [
        // Out.
        ("to-secret", "../outside/secret"),
        ("abs-secret", &*absolute),
        ("etc-passwd", "/etc/passwd"),
        ("far-passwd", &*far),
        ("chain-secret", "to-secret"),
        ("round-secret", "sub/../../inside/../outside/secret"),
        ("back", "../inside"),
        ("sub/up-secret", "../../outside/secret"),
        ("dir-out", "../outside"),
        ("dir-abs", outside_text),
        ("dir-chain", "dir-out"),
        ("root", "/"),
        ("proc-root", "/proc/self/root"),
        ("proc-cwd", "/proc/self/cwd"),
        ("proc-fd", "/proc/self/fd"),
        ("sibling", "../inside-2"),
        ("loop", "loop"),
        ("loop-a", "loop-b"),
        ("loop-b", "loop-a"),
        // Inside.
        ("link", "a.txt"),
        ("link-chain", "link"),
        ("link-sub", "sub"),
        ("sub/up-inside", "../a.txt"),
        ("sub/link-deep", "../sub/./deep"),
        ("self", "."),
        ("second-name", "link-sub/../link-chain"),
        ("dangling", "sub/made"),
    ] {
        symlink(target, inside.join(name)).unwrap();
    }
    // A walk that the kernel begins again counts its links twice, so that there are fewer of them than it follows.
    for (last, length, target) in [
        ("chain-12-secret", 12, "to-secret"),
        ("link-chain-12", 12, "a.txt"),
    ] {
        for at in 0..length {
            let name = match at {
                0 => last.to_owned(),
                at => format!("{last}.{at}"),
            };
            let next = match at + 1 {
                next if next == length => target.to_owned(),
                next => format!("{last}.{next}"),
            };
            symlink(next, inside.join(name)).unwrap();
        }
    }
}

/// All that lies below a directory, as far as a guest could change it.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    kind: u32,
    inode: u64,
    links: u64,
    changed: (i64, i64),
    content: Vec<u8>,
}

fn seen(dir: &Path) -> BTreeMap<PathBuf, Seen> {
    let mut found = BTreeMap::new();
    look(dir, &mut found);
    found
}

fn look(path: &Path, found: &mut BTreeMap<PathBuf, Seen>) {
    let meta = fs::symlink_metadata(path).unwrap();
    let content = match meta.file_type() {
        kind if kind.is_file() => fs::read(path).unwrap(),
        kind if kind.is_symlink() => fs::read_link(path)
            .unwrap()
            .into_os_string()
            .into_encoded_bytes(),
        _ => Vec::new(),
    };
    found.insert(
        path.to_owned(),
        Seen {
            kind: meta.mode(),
            inode: meta.ino(),
            links: meta.nlink(),
            changed: (meta.ctime(), meta.ctime_nsec()),
            content,
        },
    );
    if meta.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            look(&entry.unwrap().path(), found);
        }
    }
}

/// All that lies outside the grant, and what the kernel tells of it meanwhile.
struct Outside {
    places: Vec<PathBuf>,
    before: Vec<BTreeMap<PathBuf, Seen>>,
    watch: OwnedFd,
}

impl Outside {
    fn of(world: &World) -> Self {
        let above = &world.above;
        let places: Vec<_> = ["outside", "inside-2", "secret", "inside.secret"]
            .map(|name| above.join(name))
            .to_vec();
        let before = places.iter().map(|place| seen(place)).collect();
        let watch = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap();
        let flags = WatchFlags::OPEN
            | WatchFlags::ACCESS
            | WatchFlags::MODIFY
            | WatchFlags::ATTRIB
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVE;
        for place in places.iter().chain([&above.join("outside/sub")]) {
            inotify::add_watch(&watch, place, flags).unwrap();
        }
        Self {
            places,
            before,
            watch,
        }
    }

    /// Nothing there was opened, and nothing changed.
    fn is_untouched(&self) {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&self.watch, &mut buffer);
        match reader.next() {
            Err(rustix::io::Errno::AGAIN) => {}
            Ok(event) => panic!("outside: {event:?}"),
            Err(errno) => panic!("{errno}"),
        }
        let after: Vec<_> = self.places.iter().map(|place| seen(place)).collect();
        assert_eq!(after, self.before);
    }
}

fn failed(answer: &str) -> bool {
    answer.starts_with("failed: ")
}

/// The same path to what is not there.
fn to_nothing(path: &str) -> Option<String> {
    let other = ["secret", "passwd", "shadow"]
        .iter()
        .fold(path.to_owned(), |path, name| path.replace(name, "absent"));
    (other != path).then_some(other)
}
