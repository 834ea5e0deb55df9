//! Short turns on the processor for whoever stands between a host and its command.
//!
//! Server and init do a few microseconds of work when they are woken. On a busy machine the kernel would let
//! whoever has the processor finish a turn of about 3 ms first; a process that asks for short turns
//! goes before it, and gets no more time in all. The command itself gets the host's turns back.
#![expect(unsafe_code, reason = "sched_getattr and sched_setattr")]

use std::mem::size_of;

/// The shortest turn that the kernel accepts, in nanoseconds.
const SHORT: u64 = 100_000;

/// The kernel's `struct sched_attr`, as of its first version.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct Turns {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// Shortens the turns of this process; what they were, to be given to its command.
///
/// `None` if nothing was changed: by a kernel that knows no such thing (before Linux 6.12 it is
/// accepted and ignored), or because the host runs under another policy than the ordinary one.
pub(super) fn shorten() -> Option<Turns> {
    let mut before = Turns::default();
    let size = size_of::<Turns>();
    // SAFETY: the kernel writes at most `size` bytes to `before`, for which any bytes are valid.
    let got = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut before, size, 0) };
    if got != 0 || before.policy != libc::SCHED_OTHER.cast_unsigned() {
        return None;
    }
    let short = Turns {
        runtime: SHORT,
        ..before
    };
    // SAFETY: the kernel reads as many bytes of `short` as its first field says, which is its size.
    let set = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const short, 0) };
    (set == 0).then_some(before)
}
