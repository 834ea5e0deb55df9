//! What a guest has open, by the numbers that it knows.

use std::collections::BTreeMap;

use wasmtime::component::Resource;
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemCtxView};
use wasmtime_wasi::p1::types::{Errno, Fd};
use wasmtime_wasi::p2::bindings::filesystem::preopens::Host as _;

use super::listing::Listing;
use super::{Result, not_one};

/// Something open.
pub(super) enum Opened {
    /// A standard stream, by the number that it has from the beginning.
    Stream(u32),
    File(File),
    Directory(Directory),
}

pub(super) struct File {
    pub(super) fd: Resource<Descriptor>,
    /// Where it is read and written next.
    pub(super) position: u64,
    /// Whether it is written at its end.
    pub(super) append: bool,
    /// As it was asked for. Files are never waited for.
    pub(super) nonblocking: bool,
}

pub(super) struct Directory {
    pub(super) fd: Resource<Descriptor>,
    /// What it is called, if the guest was given it.
    pub(super) name: Option<String>,
    /// While it is listed.
    pub(super) listing: Option<Listing>,
}

/// The standard streams.
const STREAMS: std::ops::Range<u32> = 0..3;

pub(super) struct Numbers(BTreeMap<u32, Opened>);

impl Numbers {
    /// The streams, and the directories that were granted.
    ///
    /// # Errors
    /// The instance may hold nothing more.
    pub(super) fn new(files: &mut WasiFilesystemCtxView<'_>) -> wasmtime::Result<Self> {
        let mut numbers = Self(STREAMS.map(|own| (own, Opened::Stream(own))).collect());
        for (fd, name) in files.get_directories()? {
            numbers.add(Opened::Directory(Directory {
                fd,
                name: Some(name),
                listing: None,
            }));
        }
        Ok(numbers)
    }

    /// Gives something opened the lowest number that is free.
    pub(super) fn add(&mut self, opened: Opened) -> Fd {
        let mut free = 0;
        for number in self.0.keys() {
            if *number != free {
                break;
            }
            free += 1;
        }
        self.0.insert(free, opened);
        free.into()
    }

    pub(super) fn get(&mut self, number: Fd) -> Result<&mut Opened> {
        self.0.get_mut(&number.into()).ok_or_else(not_one)
    }

    pub(super) fn remove(&mut self, number: Fd) -> Result<Opened> {
        self.0.remove(&number.into()).ok_or_else(not_one)
    }

    /// Gives what has one number the other, and gives back what had that.
    ///
    /// # Errors
    /// Nothing has one of them.
    pub(super) fn renumber(&mut self, from: Fd, to: Fd) -> Result<Option<Opened>> {
        self.get(to)?;
        self.get(from)?;
        if from == to {
            return Ok(None);
        }
        let moved = self.remove(from)?;
        Ok(self.0.insert(to.into(), moved))
    }
}

impl Opened {
    /// A file or directory, for one call.
    ///
    /// # Errors
    /// It is a stream.
    pub(super) fn descriptor(&self) -> Result<Resource<Descriptor>> {
        let rep = match self {
            Self::File(file) => file.fd.rep(),
            Self::Directory(directory) => directory.fd.rep(),
            Self::Stream(_) => return Err(not_one()),
        };
        Ok(Resource::new_borrow(rep))
    }

    /// # Errors
    /// It is no file. A stream has no place to be at.
    pub(super) fn file(&mut self) -> Result<&mut File> {
        match self {
            Self::File(file) => Ok(file),
            Self::Stream(_) => Err(Errno::Spipe.into()),
            Self::Directory(_) => Err(not_one()),
        }
    }

    /// # Errors
    /// It is no directory.
    pub(super) fn directory(&mut self) -> Result<&mut Directory> {
        match self {
            Self::Directory(directory) => Ok(directory),
            Self::Stream(_) => Err(not_one()),
            Self::File(_) => Err(Errno::Notdir.into()),
        }
    }
}
