//! From authenticated bytes to code: the only place that calls wasmtime's unsafe functions.
#![expect(
    unsafe_code,
    reason = "deserializing compiled code is unsafe; here it is authenticated first"
)]

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;
use wasmtime::component::Component;
use wasmtime::{Engine, Module};

use crate::entry::{Kind, Mac, PIECE, PREAMBLE};
use portcullis_private::{read_some, write_all_at};

/// Read and written at once: small enough for the processor's cache, enough for BLAKE3's full width.
const BUFFER: usize = 64 << 10;
/// Below this, starting threads takes longer than they save.
const PARALLEL: usize = 4 << 20;
const MAX_THREADS: usize = 4;

/// Code whose MAC was right, in memory that nobody can change any more.
///
/// Only [`Authenticated::read`] makes one, and [`Order::accept`](crate::Order::accept) by way of
/// [`Authenticated::compiled`].
pub(crate) struct Authenticated(Memory);

enum Memory {
    /// A little code, in memory of our own: copying it once more costs less than mapping it.
    Own(Vec<u8>),
    /// More code, in sealed memory that wasmtime can map.
    Sealed { fd: OwnedFd, length: usize },
}

impl Authenticated {
    /// Copies `length` bytes of code from the file and authenticates what was copied.
    ///
    /// Each part is hashed and copied from one buffer, so the bytes that were authenticated are the
    /// bytes in the memory, whatever happens to the file meanwhile. `None` if the MAC is wrong or the
    /// file ends early.
    pub(crate) fn read(
        file: &OwnedFd,
        length: usize,
        mac: Mac<'_>,
        expected: &[u8; 32],
    ) -> rustix::io::Result<Option<Self>> {
        if length <= PIECE {
            return Self::read_little(file, length, mac, expected);
        }
        let memory = sealable_memory()?;
        let pieces = length.div_ceil(PIECE);
        let threads = match length {
            0..PARALLEL => 1,
            _ => std::thread::available_parallelism().map_or(1, |n| n.get().min(MAX_THREADS)),
        };
        let copy = &|first: usize, after: usize| -> rustix::io::Result<Vec<blake3::Hash>> {
            let mut buffer = vec![0; BUFFER.min(length)];
            (first..after)
                .map(|piece| {
                    let end = length.min((piece + 1) * PIECE);
                    copy_piece(file, &memory, piece * PIECE..end, mac.piece(), &mut buffer)
                })
                .collect()
        };
        let hashes = std::thread::scope(|scope| {
            let bound = |thread: usize| thread * pieces / threads;
            let helpers: Vec<_> = (1..threads)
                .map(|thread| scope.spawn(move || copy(bound(thread), bound(thread + 1))))
                .collect();
            let mut hashes = copy(0, bound(1))?;
            for helper in helpers {
                hashes.extend(helper.join().map_err(|_| Errno::CANCELED)??);
            }
            Ok::<_, Errno>(hashes)
        });
        let hashes = match hashes {
            Err(ENDED_EARLY) => return Ok(None),
            hashes => hashes?,
        };
        // Comparing `blake3::Hash` values takes the same time wherever they differ.
        if mac.finish(&hashes) != *expected {
            return Ok(None);
        }
        let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&memory, seals)?;
        Ok(Some(Self(Memory::Sealed { fd: memory, length })))
    }

    /// Code that came back authentic from the compiler that it was ordered from.
    pub(crate) fn compiled(code: Vec<u8>) -> Self {
        Self(Memory::Own(code))
    }

    fn read_little(
        file: &OwnedFd,
        length: usize,
        mac: Mac<'_>,
        expected: &[u8; 32],
    ) -> rustix::io::Result<Option<Self>> {
        let mut bytes = vec![0; length];
        if read_some(file, &mut bytes, PREAMBLE as u64)? < length {
            return Ok(None);
        }
        let hash = mac.piece().update(&bytes).finalize();
        let authentic = mac.finish(&[hash]) == *expected;
        Ok(authentic.then_some(Self(Memory::Own(bytes))))
    }
}

/// The path by which this thread can open a descriptor, if `/proc` is the kernel's.
fn path_of(fd: &OwnedFd) -> Option<String> {
    let fds = "/proc/thread-self/fd";
    let filesystem = rustix::fs::statfs(fds).ok()?;
    (filesystem.f_type == rustix::fs::PROC_SUPER_MAGIC).then(|| format!("{fds}/{}", fd.as_raw_fd()))
}

fn bytes_of(fd: &OwnedFd, length: usize) -> rustix::io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    match read_some(fd, &mut bytes, 0)? {
        read if read == length => Ok(bytes),
        _ => Err(Errno::IO),
    }
}

const ENDED_EARLY: Errno = Errno::NODATA;

/// Copies one piece of code to its place in the memory and hashes what is copied.
fn copy_piece(
    file: &OwnedFd,
    memory: &OwnedFd,
    piece: std::ops::Range<usize>,
    mut hasher: blake3::Hasher,
    buffer: &mut [u8],
) -> rustix::io::Result<blake3::Hash> {
    let mut at = piece.start;
    while at < piece.end {
        let wanted = buffer.len().min(piece.end - at);
        let part = &mut buffer[..wanted];
        if read_some(file, part, (PREAMBLE + at) as u64)? < wanted {
            return Err(ENDED_EARLY);
        }
        hasher.update(part);
        write_all_at(memory, part, at as u64)?;
        at += wanted;
    }
    Ok(hasher.finalize())
}

/// Memory with a descriptor, of which it can later be fixed that nobody writes to it.
fn sealable_memory() -> rustix::io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Some systems demand that such memory can never be run as a program; kernels before 6.3 do not
    // know the flag. Mapping code from it is possible either way.
    match rustix::fs::memfd_create("portcullis-code", flags | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => rustix::fs::memfd_create("portcullis-code", flags),
        result => result,
    }
}

/// Code that wasmtime can write out and take back.
pub(crate) trait Artifact: Sized {
    const KIND: Kind;

    fn serialize(&self) -> wasmtime::Result<Vec<u8>>;

    fn load(engine: &Engine, code: Authenticated) -> wasmtime::Result<Self>;
}

impl Artifact for Component {
    const KIND: Kind = Kind::Component;

    fn serialize(&self) -> wasmtime::Result<Vec<u8>> {
        Component::serialize(self)
    }

    fn load(engine: &Engine, code: Authenticated) -> wasmtime::Result<Self> {
        // SAFETY, of all three: wasmtime requires unmodified output of `Component::serialize`, and, for a file, one
        // that does not change while the component lives. The MAC, under a key that only this user has, shows the
        // first: only `CodeCache::put_code` and `serve` make MACs, over such output, the latter under a key that is used once
        // and that its compiler alone was given; what that means if the compiler itself was taken over says `order.rs`. The bytes of our own nobody else has; the seals
        // keep the file as it is, and the path leads to this very memory: it is a descriptor that we hold, named
        // through the kernel's own `/proc`.
        // JUSTIFICATION: wasmtime 48 offers no `Component::deserialize_open_file`, and deserializing from bytes copies
        // them once more.
        match code.0 {
            // SAFETY: as above.
            Memory::Own(bytes) => unsafe { Component::deserialize(engine, bytes) },
            Memory::Sealed { fd, length } => match path_of(&fd) {
                // SAFETY: as above.
                Some(path) => unsafe { Component::deserialize_file(engine, path) },
                None => {
                    let bytes = bytes_of(&fd, length).map_err(std::io::Error::from)?;
                    // SAFETY: as above; the bytes are a copy of the sealed memory.
                    unsafe { Component::deserialize(engine, bytes) }
                }
            },
        }
    }
}

impl Artifact for Module {
    const KIND: Kind = Kind::Module;

    fn serialize(&self) -> wasmtime::Result<Vec<u8>> {
        Module::serialize(self)
    }

    fn load(engine: &Engine, code: Authenticated) -> wasmtime::Result<Self> {
        match code.0 {
            // SAFETY: unmodified output of `Module::serialize` is required; the MAC shows it.
            Memory::Own(bytes) => unsafe { Module::deserialize(engine, bytes) },
            // SAFETY: as above, in a file that does not change while the module lives; the seals ensure it.
            Memory::Sealed { fd, .. } => unsafe {
                Module::deserialize_open_file(engine, File::from(fd))
            },
        }
    }
}
