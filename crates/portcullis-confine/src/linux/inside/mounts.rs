//! Mount calls by descriptor: a tree is cloned, restricted while nobody can see it, and then put in its place.
//!
//! Source: `open_tree(2)`, `mount_setattr(2)` (Linux 5.12), `move_mount(2)`.
#![expect(unsafe_code, reason = "rustix has no mount_setattr")]

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};

/// Only reading, no set-id, no devices, nothing to execute.
pub(super) const READ_ONLY_DATA: u64 = libc::MOUNT_ATTR_RDONLY
    | libc::MOUNT_ATTR_NOSUID
    | libc::MOUNT_ATTR_NODEV
    | libc::MOUNT_ATTR_NOEXEC;
/// As [`READ_ONLY_DATA`], but programs can be executed.
pub(super) const PROGRAMS: u64 =
    libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
/// Writable, but nothing there can be executed.
pub(super) const WRITABLE_DATA: u64 =
    libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOEXEC;
/// Writable, and what is there can be executed.
pub(super) const WRITABLE_PROGRAMS: u64 = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
/// A device node: it must work, and nothing else. What is written to a device is not written to its file system.
pub(super) const DEVICE: u64 =
    libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NOEXEC;

/// Clones the tree that starts at `of`, with everything mounted in it. Nobody sees it before [`put`].
pub(super) fn clone_tree(of: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    Ok(open_tree(of, c"", flags)?)
}

/// As [`clone_tree`], restricted.
pub(super) fn clone_restricted(of: BorrowedFd<'_>, attributes: u64) -> io::Result<OwnedFd> {
    let tree = clone_tree(of)?;
    restrict(tree.as_fd(), attributes, true)?;
    Ok(tree)
}

/// Adds attributes to a mount, and to all in it if `recursive`.
pub(super) fn restrict(mount: BorrowedFd<'_>, attributes: u64, recursive: bool) -> io::Result<()> {
    set_attributes(mount, attributes, None, recursive)
}

/// Lets a detached tree show each owner as the user namespace maps it. Needs the rights of the file system's own
/// namespace, and a file system that supports it.
pub(super) fn map_owners(tree: BorrowedFd<'_>, namespace: BorrowedFd<'_>) -> io::Result<()> {
    set_attributes(tree, libc::MOUNT_ATTR_IDMAP, Some(namespace), true)
}

fn set_attributes(
    mount: BorrowedFd<'_>,
    set: u64,
    namespace: Option<BorrowedFd<'_>>,
    recursive: bool,
) -> io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: set,
        attr_clr: 0,
        propagation: 0,
        userns_fd: namespace.map_or(0, |fd| u64::try_from(fd.as_raw_fd()).unwrap_or_default()),
    };
    let recursive = if recursive { libc::AT_RECURSIVE } else { 0 };
    let flags = libc::AT_EMPTY_PATH | recursive;
    // SAFETY: the path is a constant, and the kernel reads as many bytes of `attributes` as it is told.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Puts a detached tree on top of an opened directory or file.
pub(in crate::linux) fn put(tree: BorrowedFd<'_>, target: BorrowedFd<'_>) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(move_mount(tree, c"", target, c"", flags)?)
}

/// Gives this user namespace a list of its own, an empty one, of handlers for formats that the kernel does not know
/// (binfmt_misc). It stays when the file system that shows it is gone.
///
/// Before Linux 6.7 there is one list for all, and no way around the machine's handlers.
pub(super) fn forget_handlers() {
    if let Ok(context) = fsopen("binfmt_misc", FsOpenFlags::FSOPEN_CLOEXEC) {
        let _: rustix::io::Result<()> = fsconfig_create(context.as_fd());
    }
}

/// Makes an empty file system in memory, of so many bytes and files at most.
pub(super) fn tmpfs(bytes: u64, files: u64, mode: &str) -> io::Result<OwnedFd> {
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(context.as_fd(), "size", bytes.to_string())?;
    fsconfig_set_string(context.as_fd(), "nr_inodes", files.to_string())?;
    fsconfig_set_string(context.as_fd(), "mode", mode)?;
    fsconfig_create(context.as_fd())?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    Ok(fsmount(
        context.as_fd(),
        FsMountFlags::FSMOUNT_CLOEXEC,
        attributes,
    )?)
}
