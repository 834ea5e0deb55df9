//! What each cell mounts for itself, on top of its template's root.

use std::{
    ffi::OsString,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{AtFlags, Mode, OFlags},
    mount::{MountFlags, UnmountFlags},
};

use super::{
    directory,
    failure::Failure,
    layout, mounts,
    root::{self, Built, Staged},
};
use crate::Step;

const PLACE: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Mounts the scratch directories, and in them the roots that lie there.
pub(super) fn mount(built: &Built) -> Result<(), Failure> {
    let here = root_directory().map_err(Failure::at(Step::Scratch))?;
    mount_parts(built, here.as_fd()).map_err(Failure::at(Step::Scratch))?;
    place_staged(built, here.as_fd()).map_err(Failure::at(Step::Roots))
}

/// All scratch directories are parts of one file system, so that their sizes count together.
fn mount_parts(built: &Built, here: BorrowedFd<'_>) -> io::Result<()> {
    let whole = mounts::tmpfs(layout::SCRATCH_BYTES, layout::SCRATCH_FILES, "0700")?;
    let place = Path::new("/").join(layout::STAGE).join(layout::SCRATCH);
    mounts::put(whole.as_fd(), directory::open(here, &place)?.as_fd())?;
    for (number, path) in built.scratch.iter().enumerate() {
        let everybody = path == Path::new("/tmp") || path == Path::new("/dev/shm");
        let mode = Mode::from_raw_mode(if everybody { 0o1777 } else { 0o700 });
        let name = number.to_string();
        rustix::fs::mkdirat(&whole, &name, mode)?;
        rustix::fs::chmodat(&whole, &name, mode, AtFlags::empty())?;
        let part = rustix::fs::openat(&whole, &name, PLACE, Mode::empty())?;
        if path == Path::new(layout::COPIES) {
            make_copies(part.as_fd(), &built.copies)?;
        }
        let tree = mounts::clone_tree(part.as_fd())?;
        mounts::put(tree.as_fd(), directory::open(here, path)?.as_fd())?;
    }
    Ok(())
}

/// An empty file for each copy. The host writes into it: as root it could not make a file that the cell's user owns.
fn make_copies(place: BorrowedFd<'_>, copies: &[OsString]) -> io::Result<()> {
    for (number, name) in copies.iter().enumerate() {
        directory::make_file(place, &Path::new("/").join(number.to_string()).join(name))?;
    }
    Ok(())
}

/// The directory of the cell's copies, for the host.
pub(super) fn open_copies() -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(layout::COPIES, flags, Mode::empty())?)
}

fn root_directory() -> io::Result<OwnedFd> {
    Ok(rustix::fs::open("/", PLACE, Mode::empty())?)
}

fn place_staged(built: &Built, here: BorrowedFd<'_>) -> io::Result<()> {
    for (number, Staged { path, kind }) in built.staged.iter().enumerate() {
        let place = root::staged_place(number);
        let tree = mounts::clone_tree(directory::open(here, &place)?.as_fd())?;
        root::put(here, path, tree.as_fd(), *kind)?;
    }
    for path in &built.empty {
        directory::make(here, path)?;
    }
    Ok(())
}

/// Mounts the cell's own `/proc`, in which nothing can be written if it is `read_only`, not by root either.
pub(super) fn mount_proc(read_only: bool) -> io::Result<()> {
    let mut flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    flags.set(MountFlags::RDONLY, read_only);
    rustix::mount::mount("proc", "/proc", "proc", flags, None)?;
    if read_only { hide_keys() } else { Ok(()) }
}

/// Files of `/proc` that show what the user has in the kernel's key store, which is no part of any namespace.
const KEYS: [&str; 2] = ["/proc/keys", "/proc/key-users"];

fn hide_keys() -> io::Result<()> {
    let here = root_directory()?;
    let nothing = directory::open(here.as_fd(), Path::new("/dev/null"))?;
    for path in KEYS {
        match directory::open(here.as_fd(), Path::new(path)) {
            Ok(target) => {
                mounts::put(mounts::clone_tree(nothing.as_fd())?.as_fd(), target.as_fd())?
            }
            // A kernel without a key store.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Puts the host's `/proc`, read-only, where a cell without processes of its own has none.
pub(super) fn bind_proc() -> io::Result<()> {
    let here = root_directory()?;
    let host = directory::open(here.as_fd(), &host_proc())?;
    let tree = mounts::clone_restricted(host.as_fd(), mounts::READ_ONLY_DATA)?;
    let target = directory::open(here.as_fd(), Path::new("/proc"))?;
    mounts::put(tree.as_fd(), target.as_fd())
}

/// Takes the stage away, and the host's `/proc` with it.
pub(super) fn leave_stage() -> io::Result<()> {
    let stage = Path::new("/").join(layout::STAGE);
    Ok(rustix::mount::unmount(&stage, UnmountFlags::DETACH)?)
}

/// Where the host's `/proc` is until the stage is left.
pub(super) fn host_proc() -> std::path::PathBuf {
    Path::new("/").join(layout::STAGE).join(layout::HOST_PROC)
}
