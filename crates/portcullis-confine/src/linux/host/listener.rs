//! The host's end of the filter by which a command is observed.
//!
//! Source: `seccomp_unotify(2)`.
#![expect(
    unsafe_code,
    reason = "rustix has no calls for it, and none that read another process"
)]

use std::{
    io,
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

use rustix::io::Errno;

/// Room for messages, for the kernel may have longer ones than the C library knows.
const ROOM: usize = 512;
/// The longest path that the kernel takes, its zero byte included.
const PATH_BYTES: usize = 4096;
/// What is read at once never lies in two pages, of which one may be missing.
const PAGE: usize = 4096;

/// Aligned as every message is.
#[repr(C, align(8))]
struct Room<T> {
    message: T,
    more: [u8; ROOM],
}

/// Tells of each call that the filter stops; all of them wait until they are answered, or this is closed.
#[derive(Debug)]
pub(super) struct Listener(OwnedFd);

/// A call that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stopped {
    id: u64,
    /// The thread that makes it.
    pub(super) thread: u32,
    pub(super) number: i32,
    pub(super) arguments: [u64; 6],
}

impl Listener {
    /// `None` for any other descriptor, and for a kernel whose messages would not fit.
    pub(super) fn new(fd: OwnedFd) -> Option<Self> {
        let listener = Self(fd);
        // There is no such call; of no other descriptor this is the answer.
        let mut none = u64::MAX;
        let answer = listener.ioctl(libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &mut none);
        (answer == Err(Errno::NOENT) && messages_fit()).then_some(listener)
    }

    /// Takes the next call that waits. Only to be asked when there is one to read; `None` if it has gone meanwhile.
    pub(super) fn receive(&self) -> io::Result<Option<Stopped>> {
        // SAFETY: plain numbers. The kernel wants them to be zero.
        let mut room: Room<libc::seccomp_notif> = unsafe { MaybeUninit::zeroed().assume_init() };
        match self.ioctl(libc::SECCOMP_IOCTL_NOTIF_RECV, &mut room) {
            Ok(()) => {}
            Err(Errno::NOENT | Errno::INTR) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let libc::seccomp_notif { id, pid, data, .. } = room.message;
        Ok(Some(Stopped {
            id,
            thread: pid,
            number: data.nr,
            arguments: data.args,
        }))
    }

    /// Whether the call still waits: until then its thread has been there all the time, and its number was no other's.
    pub(super) fn still_waits(&self, stopped: &Stopped) -> bool {
        let mut id = stopped.id;
        self.ioctl(libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &mut id)
            .is_ok()
    }

    /// Lets the call go on as if nobody had looked.
    pub(super) fn go_on(&self, stopped: &Stopped) {
        // SAFETY: plain numbers.
        let mut room: Room<libc::seccomp_notif_resp> =
            unsafe { MaybeUninit::zeroed().assume_init() };
        room.message.id = stopped.id;
        room.message.flags = u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).unwrap_or(1);
        // Whoever made it may be gone.
        let _: Result<(), Errno> = self.ioctl(libc::SECCOMP_IOCTL_NOTIF_SEND, &mut room);
    }

    fn ioctl<T>(&self, request: libc::Ioctl, message: &mut T) -> Result<(), Errno> {
        // SAFETY: each request is made with the message that belongs to it, which has room for what the kernel may
        // know beyond it, and lives until the call returns.
        match unsafe { libc::ioctl(self.0.as_raw_fd(), request, std::ptr::from_mut(message)) } {
            -1 => Err(last_error()),
            _ => Ok(()),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn last_error() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)
}

fn messages_fit() -> bool {
    // SAFETY: plain numbers, and the kernel writes them before it returns.
    let sizes = unsafe {
        let mut sizes: libc::seccomp_notif_sizes = std::mem::zeroed();
        let (operation, flags) = (libc::SECCOMP_GET_NOTIF_SIZES, 0);
        match libc::syscall(libc::SYS_seccomp, operation, flags, &raw mut sizes) {
            0 => sizes,
            _ => return false,
        }
    };
    usize::from(sizes.seccomp_notif.max(sizes.seccomp_notif_resp)) <= ROOM
}

/// Reads a string of another process; `None` if it is not there, has no end, or may not be read.
pub(super) fn read_string(thread: u32, address: u64) -> Option<Vec<u8>> {
    let mut bytes = vec![0; PATH_BYTES];
    let read = read(thread, address, &mut bytes)?;
    let end = bytes.get(..read)?.iter().position(|&byte| byte == 0)?;
    bytes.truncate(end);
    Some(bytes)
}

/// Reads a word of another process.
pub(super) fn read_word(thread: u32, address: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    (read(thread, address, &mut bytes)? == bytes.len()).then_some(u64::from_ne_bytes(bytes))
}

/// How many bytes of another process were read, up to where something is missing.
fn read(thread: u32, address: u64, bytes: &mut [u8]) -> Option<usize> {
    let address = usize::try_from(address).ok()?;
    let local = libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    };
    let first = bytes.len().min(PAGE - address % PAGE);
    let remote = [
        (address, first),
        (address.checked_add(first)?, bytes.len() - first),
    ]
    .map(|(address, iov_len)| libc::iovec {
        iov_base: std::ptr::without_provenance_mut(address),
        iov_len,
    });
    let thread = libc::pid_t::try_from(thread).ok()?;
    // SAFETY: at most as many bytes as there are in `bytes` are written there; the other addresses lie in another
    // process, of which the kernel reads what is there.
    let read =
        unsafe { libc::process_vm_readv(thread, &raw const local, 1, remote.as_ptr(), 2, 0) };
    usize::try_from(read).ok()
}
