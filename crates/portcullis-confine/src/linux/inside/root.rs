//! The root of a template: a file system in memory that nobody can write, with the system, the plan's roots and
//! nothing else in it.
//!
//! What lies in a scratch directory (`/tmp`, `HOME`, `/dev/shm`) cannot be mounted here, because each cell has scratch
//! directories of its own: it is kept on a stage, from which [`scratch`](super::scratch) takes it.

use std::{
    ffi::OsString,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Mode, OFlags},
    mount::UnmountFlags,
};

use super::{
    certificates, directory,
    failure::Failure,
    layout,
    mounts::{self, DEVICE, PROGRAMS, READ_ONLY_DATA, WRITABLE_DATA, WRITABLE_PROGRAMS},
};
use crate::{Access, Net, Plan, Root, Step, plan::system};

/// Any directory that every system has; what lies there is covered only in the template's own mount namespace.
const MOUNT_POINT: &str = "/tmp";

/// A root as a detached mount.
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) tree: OwnedFd,
    directory: bool,
    /// Whether another root of the plan lies around it.
    nested: bool,
}

/// What cells still have to mount.
pub(super) struct Staged {
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
}

/// How a staged root is put in its place.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Directory,
    File,
    /// On top of itself, in another root.
    Nested,
    /// Covered by something empty.
    Masked,
    /// A link that lies on the name of what it is a way round.
    Link,
}

/// What a template's cells have to know about its root.
pub(super) struct Built {
    /// Roots and empty directories that lie in a scratch directory; the roots are on the stage, by their number.
    pub(super) staged: Vec<Staged>,
    pub(super) empty: Vec<PathBuf>,
    pub(super) scratch: Vec<PathBuf>,
    /// The names of the files that each cell has copies of.
    pub(super) copies: Vec<OsString>,
}

/// Makes a detached mount of each root of the plan, restricted to its access.
///
/// `owners` is the namespace by which the owners of files are mapped. Without it the roots are opened again by path,
/// because a descriptor of another mount namespace cannot be mounted in this one, and must turn out to be the same.
pub(super) fn sources(plan: &Plan, owners: Option<BorrowedFd<'_>>) -> io::Result<Vec<Source>> {
    let nested = |root: &Root| {
        let mut around = plan
            .roots
            .iter()
            .filter(|other| other.path() != root.path());
        around.any(|other| root.path().starts_with(other.path()))
    };
    let source = |root: &Root| {
        let opened = match owners {
            Some(_) => root.file().as_fd().try_clone_to_owned()?,
            None => reopen(root)?,
        };
        let directory = directory::is_directory(&opened)?;
        let tree = mounts::clone_restricted(opened.as_fd(), attributes(root.access()))?;
        if let Some(namespace) = owners {
            mounts::map_owners(tree.as_fd(), namespace)?;
        }
        Ok(Source {
            path: root.path().to_owned(),
            tree,
            directory,
            nested: nested(root),
        })
    };
    plan.roots.iter().map(source).collect()
}

fn attributes(access: Access) -> u64 {
    match access {
        // A masked root is covered when it is put in its place.
        Access::Read | Access::Masked | Access::Copied => READ_ONLY_DATA,
        Access::Program => PROGRAMS,
        Access::Write => WRITABLE_DATA,
        Access::WriteExec => WRITABLE_PROGRAMS,
    }
}

fn reopen(root: &Root) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::open(root.path(), flags, Mode::empty())?;
    if directory::same(&opened, root.file())? {
        Ok(opened)
    } else {
        // Something else lies there since it was granted.
        Err(io::Error::from_raw_os_error(libc::ESTALE))
    }
}

/// Builds the root in this mount namespace and makes it `/`. The host's own is gone afterwards.
pub(super) fn build(plan: &Plan, sources: Vec<Source>) -> Result<Built, Failure> {
    let at = Failure::at::<io::Error>;
    let system = system_mounts(plan).map_err(at(Step::System))?;
    let proc = open_host("/proc").and_then(|proc| mounts::clone_tree(proc.as_fd()));
    let proc = proc.map_err(at(Step::System))?;
    let root = mount_root().map_err(at(Step::Root))?;
    let root = root.as_fd();
    system.put(root).map_err(at(Step::System))?;
    stage(root, proc.as_fd()).map_err(at(Step::Stage))?;
    let trusted = plan.certificates.as_ref();
    let trusted = trusted.map(|trusted| certificates::put(root, trusted));
    let trusted = trusted.transpose().map_err(at(Step::System))?;
    let scratch = scratch_directories(plan);
    for path in &scratch {
        directory::make(root, path).map_err(at(Step::Scratch))?;
    }
    let staged = place_roots(plan, root, sources, &scratch).map_err(at(Step::Roots))?;
    let empty = empty_directories(plan, root, &scratch).map_err(at(Step::Roots))?;
    if let Some(trusted) = trusted {
        trusted.seal().map_err(at(Step::System))?;
    }
    pivot(root).map_err(at(Step::Root))?;
    Ok(Built {
        staged,
        empty,
        scratch,
        copies: copies(plan),
    })
}

fn copies(plan: &Plan) -> Vec<OsString> {
    let copied = plan
        .roots
        .iter()
        .filter(|root| root.access() == Access::Copied);
    copied
        .filter_map(|root| root.path().file_name())
        .map(OsString::from)
        .collect()
}

fn open_host(path: impl AsRef<Path>) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(
        path.as_ref(),
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
    )?)
}

/// What is opened before the host's root is covered.
struct System {
    mounts: Vec<(PathBuf, OwnedFd, bool)>,
    links: Vec<(PathBuf, Vec<u8>)>,
    hidden: Vec<PathBuf>,
}

fn system_mounts(plan: &Plan) -> io::Result<System> {
    let mut system = System {
        mounts: Vec::new(),
        links: Vec::new(),
        hidden: Vec::new(),
    };
    for path in system::DIRECTORIES.map(Path::new) {
        match directory::link(path) {
            Ok(Some(target)) => system.links.push((path.to_owned(), target)),
            Ok(None) => system.mount(path, PROGRAMS)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let resolver = (plan.net == Net::Open).then_some(&layout::RESOLVER);
    for file in layout::ETC.iter().chain(resolver) {
        system.mount_if_there(&Path::new("/etc").join(file.name), READ_ONLY_DATA)?;
    }
    for name in layout::DEVICES {
        system.mount(&Path::new("/dev").join(name), DEVICE)?;
    }
    for (name, target) in layout::DEVICE_LINKS {
        let target = target.as_bytes().to_vec();
        system.links.push((Path::new("/dev").join(name), target));
    }
    let hidden = layout::HIDDEN.map(|name| Path::new("/").join(name));
    system
        .hidden
        .extend(hidden.into_iter().filter(|path| path.exists()));
    Ok(system)
}

impl System {
    fn mount(&mut self, path: &Path, attributes: u64) -> io::Result<()> {
        // Links are followed: `/etc/localtime` is mostly one.
        let opened = open_host(path)?;
        let directory = directory::is_directory(&opened)?;
        let tree = mounts::clone_restricted(opened.as_fd(), attributes)?;
        self.mounts.push((path.to_owned(), tree, directory));
        Ok(())
    }

    fn mount_if_there(&mut self, path: &Path, attributes: u64) -> io::Result<()> {
        match self.mount(path, attributes) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    fn put(&self, root: BorrowedFd<'_>) -> io::Result<()> {
        for (path, tree, directory) in &self.mounts {
            put_new(root, path, tree.as_fd(), *directory)?;
        }
        for (path, target) in &self.links {
            let above = path.parent().unwrap_or(path);
            directory::make(root, above)?;
            let relative = path.strip_prefix("/").unwrap_or(path);
            rustix::fs::symlinkat(target.as_slice(), root, relative)?;
        }
        for path in &self.hidden {
            hide(root, path)?;
        }
        Ok(())
    }
}

/// Puts a root in its place.
pub(super) fn put(
    root: BorrowedFd<'_>,
    path: &Path,
    tree: BorrowedFd<'_>,
    kind: Kind,
) -> io::Result<()> {
    match kind {
        Kind::Directory => put_new(root, path, tree, true),
        Kind::File => put_new(root, path, tree, false),
        Kind::Nested => put_nested(root, path, tree),
        Kind::Masked => hide(root, path),
        Kind::Link => mounts::put(tree, directory::open(root, path)?.as_fd()),
    }
}

/// Puts a tree where nothing is yet.
fn put_new(
    root: BorrowedFd<'_>,
    path: &Path,
    tree: BorrowedFd<'_>,
    directory: bool,
) -> io::Result<()> {
    let target = if directory {
        directory::make(root, path)?
    } else {
        directory::make_file(root, path)?
    };
    mounts::put(tree, target.as_fd())
}

/// Covers a directory or file by an empty one.
fn hide(root: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let target = directory::open(root, path)?;
    let empty = mounts::tmpfs(4096, 2, "0555")?;
    if directory::is_directory(&target)? {
        mounts::restrict(empty.as_fd(), READ_ONLY_DATA, false)?;
        return mounts::put(empty.as_fd(), target.as_fd());
    }
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&empty, "empty", flags, Mode::from_raw_mode(0o444))?;
    let tree = mounts::clone_restricted(file.as_fd(), READ_ONLY_DATA)?;
    mounts::put(tree.as_fd(), target.as_fd())
}

/// Makes the file system that becomes `/`. It lies in the namespace already, so that things can be put into it.
fn mount_root() -> io::Result<OwnedFd> {
    let root = mounts::tmpfs(16 << 20, 10_000, "0755")?;
    let target = open_host(MOUNT_POINT)?;
    mounts::put(root.as_fd(), target.as_fd())?;
    Ok(root)
}

/// Makes the directory that Landlock is tried on, and on top of it the stage.
fn stage(root: BorrowedFd<'_>, proc: BorrowedFd<'_>) -> io::Result<()> {
    let path = Path::new("/").join(layout::STAGE);
    let below = directory::make(root, &path)?;
    directory::make_file(root, &path.join(layout::CANARY))?;
    let stage = mounts::tmpfs(1 << 20, 1000, "0700")?;
    mounts::put(stage.as_fd(), below.as_fd())?;
    put_new(root, &path.join(layout::HOST_PROC), proc, true)?;
    directory::make(root, &path.join(layout::SCRATCH))?;
    directory::make(root, Path::new("/proc"))?;
    Ok(())
}

/// The directories that each cell has for itself. A home that was granted as a whole is none.
fn scratch_directories(plan: &Plan) -> Vec<PathBuf> {
    let mut scratch = vec![PathBuf::from("/tmp"), PathBuf::from("/dev/shm")];
    let system = |home: &Path| {
        let ours = ["/etc", "/proc", "/dev", "/tmp"];
        let ours = ours.iter().any(|directory| home.starts_with(directory));
        ours || system::is_system(home) || home.parent().is_none()
    };
    let granted = |home: &Path| plan.roots.iter().any(|root| home.starts_with(root.path()));
    scratch.extend(
        plan.home
            .iter()
            .filter(|home| !system(home) && !granted(home))
            .cloned(),
    );
    if plan
        .roots
        .iter()
        .any(|root| root.access() == Access::Copied)
    {
        scratch.push(layout::COPIES.into());
    }
    scratch
}

fn in_scratch(path: &Path, scratch: &[PathBuf]) -> bool {
    scratch.iter().any(|directory| path.starts_with(directory))
}

/// Puts the roots in their places, outer ones first, and those of scratch directories on the stage.
fn place_roots(
    plan: &Plan,
    root: BorrowedFd<'_>,
    sources: Vec<Source>,
    scratch: &[PathBuf],
) -> io::Result<Vec<Staged>> {
    let mut staged = Vec::new();
    let mut copies = 0;
    for (source, planned) in sources.into_iter().zip(&plan.roots) {
        let Source {
            path,
            mut tree,
            directory,
            nested,
        } = source;
        let masked = planned.access() == Access::Masked;
        let copied = planned.access() == Access::Copied;
        if copied {
            if directory || !nested || plan.shared {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            tree = link_to_copy(root, copies, &path)?;
            copies += 1;
        }
        let kind = match () {
            () if copied => Kind::Link,
            () if masked => Kind::Masked,
            () if nested || system::is_system(&path) => Kind::Nested,
            () if directory => Kind::Directory,
            () => Kind::File,
        };
        // What is not there needs no mask.
        if masked && !nested {
            continue;
        }
        if !in_scratch(&path, scratch) {
            put(root, &path, tree.as_fd(), kind)?;
        } else if let Some(inner) = in_staged(&staged, &path) {
            // With the root that it lies in, each cell clones it at once.
            put(root, &inner, tree.as_fd(), kind)?;
        } else {
            let place = staged_place(staged.len());
            put_new(root, &place, tree.as_fd(), directory)?;
            staged.push(Staged { path, kind });
        }
    }
    Ok(staged)
}

/// Where the stage has a root, by its number.
pub(super) fn staged_place(number: usize) -> PathBuf {
    Path::new("/").join(layout::STAGE).join(number.to_string())
}

/// Where on the stage a path is that lies in a directory there.
fn in_staged(staged: &[Staged], path: &Path) -> Option<PathBuf> {
    let around = |(number, outer): (usize, &Staged)| {
        let inner = path.strip_prefix(&outer.path).ok()?;
        matches!(outer.kind, Kind::Directory).then(|| staged_place(number).join(inner))
    };
    // The innermost of several is the one that was put there last.
    staged.iter().enumerate().rev().find_map(around)
}

/// A detached mount of a link that leads to a copy.
fn link_to_copy(root: BorrowedFd<'_>, number: usize, of: &Path) -> io::Result<OwnedFd> {
    let name = of.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let target = Path::new(layout::COPIES)
        .join(number.to_string())
        .join(name);
    let place = Path::new("/")
        .join(layout::STAGE)
        .join(format!("link-{number}"));
    let relative = place.strip_prefix("/").unwrap_or(&place);
    rustix::fs::symlinkat(&target, root, relative)?;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let link = rustix::fs::openat(root, relative, flags, Mode::empty())?;
    mounts::clone_restricted(link.as_fd(), READ_ONLY_DATA)
}

/// Puts a tree on top of the very thing it is a tree of: a mount point cannot be renamed or removed.
fn put_nested(root: BorrowedFd<'_>, path: &Path, tree: BorrowedFd<'_>) -> io::Result<()> {
    let target = directory::open(root, path)?;
    if !directory::same(&target, tree)? {
        return Err(io::Error::from_raw_os_error(libc::ESTALE));
    }
    mounts::put(tree, target.as_fd())
}

/// Makes the plan's empty directories; gives back those that lie in scratch directories.
fn empty_directories(
    plan: &Plan,
    root: BorrowedFd<'_>,
    scratch: &[PathBuf],
) -> io::Result<Vec<PathBuf>> {
    let mut later = Vec::new();
    for path in &plan.empty {
        let granted = plan.roots.iter().any(|root| path.starts_with(root.path()));
        if granted || system::is_system(path) {
            continue;
        }
        if in_scratch(path, scratch) {
            later.push(path.clone());
        } else {
            directory::make(root, path)?;
        }
    }
    Ok(later)
}

/// Makes `root` the root of this process and its namespace, and lets go of the host's.
fn pivot(root: BorrowedFd<'_>) -> io::Result<()> {
    rustix::process::fchdir(root)?;
    // The old root comes to lie on top of the new one, and is taken off (pivot_root(2), "pivot_root(".", ".")").
    rustix::process::pivot_root(".", ".")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH)?;
    rustix::process::chdir("/")?;
    mounts::restrict(root, READ_ONLY_DATA, false)
}
