//! The SHA-256 of a program, so that it holds for the bytes that will run.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, SealFlags, Stat};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use super::open;

const CHUNK_BYTES: usize = 64 * 1024;

/// Hashes an opened program.
///
/// A file that only root can change is hashed where it is. The content of any other could change
/// after it was hashed, so it is copied into sealed memory at the same time, and that copy is what
/// has to run.
pub(super) fn of(file: &OwnedFd, stat: &Stat) -> io::Result<([u8; 32], Option<OwnedFd>)> {
    if open::is_roots_alone(stat) {
        return Ok((hash(file, |_| Ok(()))?, None));
    }
    let copy = memory()?;
    let sha256 = hash(file, |bytes| write_all(&copy, bytes))?;
    let sealed = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&copy, sealed)?;
    // A file that anybody has open for writing cannot be executed (ETXTBSY), this process included.
    let readable = open::content(&copy)?;
    Ok((sha256, Some(readable)))
}

fn hash(file: &OwnedFd, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut offset = 0;
    loop {
        let read = rustix::io::retry_on_intr(|| rustix::io::pread(file, &mut buffer[..], offset))?;
        if read == 0 {
            return Ok(hasher.finalize().into());
        }
        hasher.update(&buffer[..read]);
        each(&buffer[..read])?;
        offset += read as u64;
    }
}

fn memory() -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match rustix::fs::memfd_create("program", flags | MemfdFlags::EXEC) {
        // Before Linux 6.3 there was no such flag, and every memory file could be executed.
        Err(Errno::INVAL) => Ok(rustix::fs::memfd_create("program", flags)?),
        result => Ok(result?),
    }
}

fn write_all(file: &OwnedFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = rustix::io::retry_on_intr(|| rustix::io::write(file, bytes))?;
        bytes = &bytes[written..];
    }
    Ok(())
}
