//! Extended attributes: the overlay's own, the base's, and what a plugin has put there.

use std::os::fd::AsFd;

use rustix::fs::XattrFlags;
use rustix::io::{Errno, Result};

/// What overlayfs says of its own, with `userxattr`.
const OVERLAY: &[u8] = b"user.overlay.";
/// Set by the system, and not by whoever owns a file.
const SYSTEM: &[u8] = b"security.selinux";

/// An attribute and its value.
type Attribute = (Vec<u8>, Vec<u8>);

/// The attributes of an opened file or directory, without those of overlays and of the system.
pub(crate) fn attributes(fd: impl AsFd) -> Result<Vec<Attribute>> {
    let names = list(&fd)?;
    let own = names.split(|&byte| byte == 0);
    let own = own.filter(|name| !name.is_empty() && !name.starts_with(OVERLAY) && *name != SYSTEM);
    let mut all = Vec::new();
    for name in own {
        if let Some(value) = get(&fd, name)? {
            all.push((name.to_vec(), value));
        }
    }
    all.sort();
    Ok(all)
}

/// Gives an opened file these attributes.
pub(crate) fn carry(fd: impl AsFd, attributes: &[Attribute]) -> Result<()> {
    for (name, value) in attributes {
        rustix::fs::fsetxattr(&fd, name.as_slice(), value, XattrFlags::empty())?;
    }
    Ok(())
}

/// Whether a directory of an upper layer hides everything that the base has in it.
pub(crate) fn is_opaque(fd: impl AsFd) -> Result<bool> {
    Ok(get(fd, b"user.overlay.opaque")?.is_some_and(|value| value == b"y"))
}

/// Whether something in an upper layer was copied from the base.
pub(crate) fn has_origin(fd: impl AsFd) -> Result<bool> {
    Ok(get(fd, b"user.overlay.origin")?.is_some())
}

fn get(fd: impl AsFd, name: &[u8]) -> Result<Option<Vec<u8>>> {
    match whole(|buffer| rustix::fs::fgetxattr(&fd, name, buffer)) {
        Ok(value) => Ok(Some(value)),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn list(fd: impl AsFd) -> Result<Vec<u8>> {
    match whole(|buffer| rustix::fs::flistxattr(&fd, buffer)) {
        Err(Errno::OPNOTSUPP) => Ok(Vec::new()),
        result => result,
    }
}

/// What fits into a small buffer, or else into one of the size that the kernel has for a value and for all names
/// (`XATTR_SIZE_MAX`, `XATTR_LIST_MAX`).
fn whole(read: impl Fn(&mut [u8]) -> Result<usize>) -> Result<Vec<u8>> {
    for size in [1024, 64 * 1024] {
        let mut buffer = vec![0; size];
        match read(&mut buffer) {
            Err(Errno::RANGE) => {}
            Ok(length) => {
                buffer.truncate(length);
                return Ok(buffer);
            }
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno::RANGE)
}
