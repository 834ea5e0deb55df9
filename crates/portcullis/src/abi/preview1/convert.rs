//! What preview 1 calls what 0.2 tells.

use wasmtime_wasi::p1::types::{
    Errno, Fdflags, Fdstat, Filestat, Filetype, Fstflags, Rights, Timestamp,
};
use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, DescriptorStat, DescriptorType, MetadataHashValue, NewTimestamp,
};

use super::Result;
use super::numbers::Opened;

const SECOND: u64 = 1_000_000_000;

pub(super) fn filetype(kind: DescriptorType) -> Filetype {
    match kind {
        DescriptorType::RegularFile => Filetype::RegularFile,
        DescriptorType::Directory => Filetype::Directory,
        DescriptorType::BlockDevice => Filetype::BlockDevice,
        DescriptorType::CharacterDevice => Filetype::CharacterDevice,
        DescriptorType::SymbolicLink => Filetype::SymbolicLink,
        DescriptorType::Socket => Filetype::SocketStream,
        // Preview 1 has no word for a pipe.
        DescriptorType::Fifo | DescriptorType::Unknown => Filetype::Unknown,
    }
}

pub(super) fn filestat(stat: &DescriptorStat, hash: &MetadataHashValue) -> Result<Filestat> {
    let time = |time: Option<Datetime>| match time {
        Some(time) => Timestamp::try_from(time),
        None => Ok(0),
    };
    Ok(Filestat {
        dev: 1,
        ino: hash.lower,
        filetype: filetype(stat.type_),
        nlink: stat.link_count,
        size: stat.size,
        atim: time(stat.data_access_timestamp)?,
        mtim: time(stat.data_modification_timestamp)?,
        ctim: time(stat.status_change_timestamp)?,
    })
}

/// The times to set, of access and of modification.
///
/// # Errors
/// One is both given and to be that of now.
pub(super) fn times(
    accessed: Timestamp,
    modified: Timestamp,
    flags: Fstflags,
) -> Result<(NewTimestamp, NewTimestamp)> {
    let one = |time: Timestamp, given, now| match (flags.contains(given), flags.contains(now)) {
        (true, true) => Err(Errno::Inval),
        (true, false) => Ok(NewTimestamp::Timestamp(Datetime {
            seconds: time / SECOND,
            nanoseconds: u32::try_from(time % SECOND).map_err(|_| Errno::Overflow)?,
        })),
        (false, true) => Ok(NewTimestamp::Now),
        (false, false) => Ok(NewTimestamp::NoChange),
    };
    Ok((
        one(accessed, Fstflags::ATIM, Fstflags::ATIM_NOW)?,
        one(modified, Fstflags::MTIM, Fstflags::MTIM_NOW)?,
    ))
}

/// What a file or directory is told to be good for. Nothing goes by it but guests: what is allowed is decided with each
/// call.
pub(super) fn fdstat(opened: &Opened, kind: DescriptorType, flags: DescriptorFlags) -> Fdstat {
    let mut rights = Rights::all();
    let mut told = Fdflags::empty();
    let inherited = rights;
    match opened {
        Opened::Directory(_) => {
            rights &= !(Rights::FD_SEEK
                | Rights::FD_FILESTAT_SET_SIZE
                | Rights::PATH_FILESTAT_SET_SIZE
                | Rights::FD_WRITE);
        }
        Opened::File(file) => {
            if !flags.contains(DescriptorFlags::READ) {
                rights &= !(Rights::FD_READ | Rights::FD_READDIR);
            }
            if !flags.contains(DescriptorFlags::WRITE) {
                rights &= !Rights::FD_WRITE;
            }
            told.set(Fdflags::APPEND, file.append);
            told.set(Fdflags::NONBLOCK, file.nonblocking);
        }
        Opened::Stream(_) => {}
    }
    Fdstat {
        fs_filetype: filetype(kind),
        fs_flags: told,
        fs_rights_base: rights,
        fs_rights_inheriting: inherited,
    }
}
