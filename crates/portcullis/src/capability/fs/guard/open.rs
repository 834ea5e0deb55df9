//! Opening for WASI: a regular file or a directory, and what was looked at is what is opened.
//!
//! Opening a pipe waits until somebody opens its other end, and opening a device may do anything. So a name is held
//! first, and opened when it is known what it stands for.

use std::fs::File;
use std::os::fd::OwnedFd;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use wasmtime_wasi::filesystem::OpenMode;
use wasmtime_wasi::p2::bindings::filesystem::types::{DescriptorFlags, ErrorCode, OpenFlags};

use crate::capability::fs::open::Held;
use crate::capability::fs::spot::Spot;

/// Attempts to open or make a name while others make and remove it.
const ATTEMPTS: usize = 16;

/// How something is to be opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct How {
    pub(super) create: bool,
    exclusive: bool,
    truncate: bool,
    directory: bool,
    read: bool,
    write: bool,
}

/// What was opened.
pub(super) enum Opened {
    File(File),
    Directory(File),
}

impl How {
    /// As Wasmtime reads the flags.
    ///
    /// # Errors
    /// They do not go together, or ask for what there is not.
    pub(super) fn of(open: OpenFlags, flags: DescriptorFlags) -> Result<Self, ErrorCode> {
        let synchronized = DescriptorFlags::FILE_INTEGRITY_SYNC
            | DescriptorFlags::DATA_INTEGRITY_SYNC
            | DescriptorFlags::REQUESTED_WRITE_SYNC;
        if flags.intersects(synchronized) {
            return Err(ErrorCode::Unsupported);
        }
        let changes = OpenFlags::CREATE | OpenFlags::EXCLUSIVE | OpenFlags::TRUNCATE;
        if open.contains(OpenFlags::DIRECTORY) && open.intersects(changes) {
            return Err(ErrorCode::Invalid);
        }
        let writes = flags.contains(DescriptorFlags::WRITE);
        Ok(Self {
            create: open.contains(OpenFlags::CREATE),
            exclusive: open.contains(OpenFlags::CREATE | OpenFlags::EXCLUSIVE),
            truncate: open.contains(OpenFlags::TRUNCATE),
            directory: open.contains(OpenFlags::DIRECTORY),
            read: flags.contains(DescriptorFlags::READ) || !writes,
            write: writes || open.intersects(OpenFlags::CREATE | OpenFlags::TRUNCATE),
        })
    }

    pub(super) fn writes(self) -> bool {
        self.write
    }

    pub(super) fn mode(self) -> OpenMode {
        let mut mode = OpenMode::empty();
        mode.set(OpenMode::READ, self.read);
        mode.set(OpenMode::WRITE, self.write);
        mode
    }

    fn access(self) -> OFlags {
        match (self.read, self.write) {
            (true, true) => OFlags::RDWR,
            (false, true) => OFlags::WRONLY,
            (_, false) => OFlags::RDONLY,
        }
    }
}

/// Opens what has the name at a spot, or makes a file there.
///
/// # Errors
/// It is neither a regular file nor a directory, it is not what is wanted, or the system refuses.
pub(super) fn open(spot: &Spot, how: How) -> Result<Opened, ErrorCode> {
    for _ in 0..ATTEMPTS {
        if how.exclusive || how.create && spot.kind.is_none() {
            match make(spot, how) {
                Ok(made) => return Ok(Opened::File(File::from(made))),
                Err(Errno::EXIST) if !how.exclusive => {}
                Err(errno) => return Err(code(errno)),
            }
        }
        match Held::at(spot) {
            Ok(held) => return reopen(&held, how),
            Err(Errno::NOENT) if how.create && spot.kind.is_none() => {}
            Err(errno) => return Err(code(errno)),
        }
    }
    Err(ErrorCode::Busy)
}

fn make(spot: &Spot, how: How) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP | Mode::ROTH | Mode::WOTH;
    rustix::fs::openat(&spot.parent, &spot.name, how.access() | flags, mode)
}

fn reopen(held: &Held, how: How) -> Result<Opened, ErrorCode> {
    let open = |flags| held.reopen(flags).map(File::from).map_err(code);
    match held.kind() {
        FileType::RegularFile if how.directory => Err(ErrorCode::NotDirectory),
        FileType::RegularFile => {
            let truncate = if how.truncate {
                OFlags::TRUNC
            } else {
                OFlags::empty()
            };
            open(how.access() | truncate).map(Opened::File)
        }
        FileType::Directory if how.write => Err(ErrorCode::IsDirectory),
        FileType::Directory => open(OFlags::RDONLY | OFlags::DIRECTORY).map(Opened::Directory),
        FileType::Symlink => Err(ErrorCode::Loop),
        FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => Err(ErrorCode::NotPermitted),
    }
}

fn code(errno: Errno) -> ErrorCode {
    std::io::Error::from(errno).into()
}
