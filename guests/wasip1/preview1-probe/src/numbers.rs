//! What can be done with the numbers of descriptors: none of it reaches what was not granted.

use wasip1::{Errno, Fd};

use crate::files::{File, first, name};

/// Does all of it in a directory that has a `file` of four bytes, and says how each went, a line each.
pub(crate) fn tricks() -> Result<String, String> {
    let dir = first()?;
    let open = || dir.open("file", 0, wasip1::RIGHTS_FD_READ).map_err(name);
    let mut told = Vec::new();
    let mut tell = |what: &str, done: Result<String, Errno>| {
        told.push(format!("{what}: {}", done.unwrap_or_else(name)));
    };
    let ok = |()| "ok".to_owned();

    let (one, other) = (open()?, open()?);
    tell(
        "the lowest number is free",
        Ok(format!("{} {}", one.0 - dir.fd(), other.0 - dir.fd())),
    );
    tell("onto an open one", renumber(one.0, other.0).map(ok));
    tell("the old number", one.read(4, 0).map(text));
    tell("the new number", other.read(4, 0).map(text));
    tell("from a closed one", renumber(one.0, other.0).map(ok));
    tell("onto a closed one", renumber(other.0, one.0).map(ok));
    tell("onto itself", renumber(other.0, other.0).map(ok));
    tell("far away", renumber(other.0, u32::MAX).map(ok));
    tell("still there", other.read(4, 0).map(text));

    // A file in the place of standard output, and the stream in the place of a file.
    let third = open()?;
    tell("output onto a file", renumber(1, third.0).map(ok));
    tell("a stream has no place", third.read(4, 0).map(text));
    tell(
        "it is written",
        third
            .write_on(b"by another number\n")
            .map(|n| n.to_string()),
    );
    let fourth = open()?;
    tell(
        "the free number is that of output",
        Ok(fourth.0.to_string()),
    );
    tell("a file may be output", fourth.read(4, 0).map(text));
    tell(
        "and is not written",
        fourth.write_on(b"x").map(|n| n.to_string()),
    );

    // A directory that is closed is no way in any more, and another file has its number.
    let given: Fd = dir.fd();
    tell("closed", unsafe { wasip1::fd_close(given) }.map(ok));
    tell("closed twice", unsafe { wasip1::fd_close(given) }.map(ok));
    tell(
        "nothing there",
        dir.open("file", 0, wasip1::RIGHTS_FD_READ)
            .map(|_| "open".to_owned()),
    );
    tell(
        "nor a name",
        unsafe { wasip1::fd_prestat_get(given) }.map(|_| "a name".to_owned()),
    );
    tell("a file in its place", renumber(other.0, fourth.0).map(ok));
    tell(
        "is no directory",
        in_file(&fourth).map(|_| "open".to_owned()),
    );
    Ok(told.join("\n"))
}

fn in_file(file: &File) -> Result<Fd, Errno> {
    unsafe { wasip1::path_open(file.0, 0, "file", 0, wasip1::RIGHTS_FD_READ, 0, 0) }
}

fn renumber(from: Fd, to: Fd) -> Result<(), Errno> {
    unsafe { wasip1::fd_renumber(from, to) }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}
