//! The process that becomes the command.
//!
//! It is cloned when the cell is parked and waits for the request itself, so that a command's start is one message, one
//! process that wakes up, and exec. The clone shares all memory with the init and runs at the same time, so it may not
//! allocate, not take a lock, not touch `errno`, not panic: it keeps to memory made beforehand and to raw system
//! calls. The init does not wait for it (no `CLONE_VFORK`), so a program on a file system that hangs cannot keep the
//! init from its leash. An error comes back through the shared memory.
#![expect(unsafe_code, reason = "clone with shared memory, raw system calls")]

use std::{
    arch::asm,
    ffi::{c_int, c_void},
    io,
    mem::size_of,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    sync::atomic::{AtomicU8, AtomicU64, Ordering},
};

use rustix::process::Pid;

use super::{
    failure::Failure,
    launch::{self, Order, PATH_BYTES, Room},
    seccomp::notify,
    turns::Turns,
};
use crate::{
    MAX_ARGV_BYTES, MAX_ENV_BYTES, Step,
    ablation::{Layer, is_left_out},
    linux::socket,
    wire::{self, MAX_REQUEST_BYTES},
};

const STACK_BYTES: usize = 32 * 1024;
/// What is touched ahead, because a page fault then is none on the way of a command: of the stack all that is used,
/// of the request's buffer more than most requests need.
const TOUCHED_STACK: usize = 12 * 1024;
const TOUCHED_MESSAGE: usize = 12 * 1024;
const PAGE: usize = 4096;
/// A string takes at least one byte, and each of the two lists ends with a null pointer.
const MAX_STRINGS: usize = MAX_ARGV_BYTES + MAX_ENV_BYTES + 2;

/// One resource limit, soft and hard.
#[derive(Clone, Copy)]
pub(super) struct Limit {
    resource: u32,
    values: [u64; 2],
}

impl Limit {
    pub(super) fn new(resource: u32, value: u64) -> Self {
        Self {
            resource,
            values: [value; 2],
        }
    }
}

/// What the clone is told when it is made.
pub(super) struct Wait<'a> {
    /// Where the request will come.
    pub(super) request: BorrowedFd<'a>,
    /// Descriptors of the init that are none of its business.
    pub(super) not_its: [BorrowedFd<'a>; 2],
    /// A Landlock domain of its own.
    pub(super) domain: Option<BorrowedFd<'a>>,
    /// Whether it is to be killed when the init ends, for want of a namespace that would do that.
    pub(super) tied: bool,
    pub(super) confined: bool,
    /// The turns on the processor that the command is to have.
    pub(super) turns: Option<Turns>,
}

/// The memory that clone and init share; never freed.
struct Shared {
    request: RawFd,
    not_its: [RawFd; 2],
    domain: Option<RawFd>,
    tied: bool,
    confined: bool,
    /// Only in tests: the command inherits what the host has open.
    keeps_descriptors: bool,
    turns: Option<Turns>,
    /// [`MAX_REQUEST_BYTES`], zero until the kernel writes the request there.
    message: *mut u8,
    /// [`MAX_STRINGS`].
    strings: *mut *const u8,
    path: *mut [u8; PATH_BYTES],
    /// Step in the upper half, error number in the lower; 0 as long as nothing failed.
    failure: AtomicU64,
}

// SAFETY: the buffers are used by the clone alone, but for the first byte of the message, which is read atomically.
unsafe impl Sync for Shared {}

/// The process of the command, from before there is a command.
#[derive(Clone, Copy)]
pub(super) struct Command {
    pub(super) pid: Pid,
    shared: &'static Shared,
}

impl Command {
    /// Clones the process that waits for the request.
    pub(super) fn park(wait: &Wait<'_>) -> io::Result<Self> {
        let shared: &'static Shared = Box::leak(Box::new(Shared {
            request: wait.request.as_raw_fd(),
            not_its: wait.not_its.map(|fd| fd.as_raw_fd()),
            domain: wait.domain.map(|fd| fd.as_raw_fd()),
            tied: wait.tied,
            keeps_descriptors: is_left_out(Layer::Fds),
            confined: wait.confined,
            turns: wait.turns,
            message: touched(vec![0; MAX_REQUEST_BYTES].leak(), TOUCHED_MESSAGE),
            strings: touched(vec![std::ptr::null(); MAX_STRINGS].leak(), PAGE),
            path: Box::leak(Box::new([0; PATH_BYTES])),
            failure: AtomicU64::new(0),
        }));
        let argument = std::ptr::from_ref(shared).cast_mut().cast::<c_void>();
        // SAFETY: the stack is used by nobody else and never freed; `shared` and all that it points to live for ever;
        // `follow` keeps to what may be done with shared memory. Without CLONE_FILES, CLONE_FS and CLONE_SIGHAND the
        // clone's descriptors, directory and signals are its own.
        let pid = unsafe { libc::clone(follow, stack(), libc::CLONE_VM | libc::SIGCHLD, argument) };
        let pid = Pid::from_raw(pid)
            .filter(|_| pid > 0)
            .ok_or_else(io::Error::last_os_error)?;
        Ok(Self { pid, shared })
    }

    /// Whether the host has asked for a command. Certain once the process has ended; `request` is the init's copy of
    /// the descriptor where it waits.
    pub(super) fn asked_for(&self, request: impl AsFd) -> bool {
        // SAFETY: the byte lives for ever, and from here on is only read, or written by the kernel.
        let first = unsafe { AtomicU8::from_ptr(self.shared.message) };
        // No message begins with a zero byte. While the kernel moves it from the socket to here it is in neither.
        first.load(Ordering::Acquire) != 0 || socket::holds_message(request)
    }

    /// Why the program was never executed; only to be asked once the process has ended.
    pub(super) fn failure(&self) -> Option<Failure> {
        let word = self.shared.failure.load(Ordering::Acquire);
        let errno = i32::try_from(word & 0xffff_ffff).ok()?;
        let step = u32::try_from(word >> 32).ok().and_then(Step::from_code)?;
        Some(Failure { step, errno })
    }
}

/// Makes the kernel give the first pages of some memory, without changing what is there.
fn touched<T: Copy>(memory: &'static mut [T], bytes: usize) -> *mut T {
    for place in memory
        .iter_mut()
        .take(bytes / size_of::<T>())
        .step_by(PAGE / size_of::<T>())
    {
        // SAFETY: a reference is valid to read and to write. Volatile, because writing back what was read has no
        // effect that a compiler would keep.
        unsafe { std::ptr::from_mut(place).write_volatile(*place) };
    }
    memory.as_mut_ptr()
}

/// The end of a new stack, from which it grows down; aligned as both architectures want it.
fn stack() -> *mut c_void {
    let words = vec![0_u128; STACK_BYTES / size_of::<u128>()].leak();
    let unused = words.len() - TOUCHED_STACK / size_of::<u128>();
    let (_, used) = words.split_at_mut(unused);
    let count = used.len();
    // SAFETY: one past the last element of the slice.
    unsafe { touched(used, TOUCHED_STACK).add(count).cast() }
}

/// The clone's whole life in our memory.
extern "C" fn follow(argument: *mut c_void) -> c_int {
    // SAFETY: `park` passes a `Shared` that lives for ever.
    let shared = unsafe { &*argument.cast_const().cast::<Shared>() };
    // SAFETY: this is the clone that it was made for.
    if let Err((step, errno)) = unsafe { wait_and_become(shared) } {
        let word = u64::from(step.code()) << 32 | u64::from(errno);
        shared.failure.store(word, Ordering::Release);
    }
    // Nobody reads this code: the init looks at the failure first.
    127
}

/// Waits for the request and turns into its command; comes back with an error, or because the host has gone.
///
/// # Safety
/// Only for the clone made by [`Command::park`].
unsafe fn wait_and_become(shared: &Shared) -> Result<(), (Step, u32)> {
    // SAFETY: the buffers are of these sizes, live for ever, and are the clone's alone; `request` is open in the clone
    // until it executes its program.
    let (request, mut room) = unsafe {
        let room = Room {
            message: std::slice::from_raw_parts_mut(shared.message, MAX_REQUEST_BYTES),
            strings: std::slice::from_raw_parts_mut(shared.strings, MAX_STRINGS),
            path: &mut *shared.path,
        };
        (BorrowedFd::borrow_raw(shared.request), room)
    };
    // SAFETY: no memory is involved. A copy of the init's socket would keep the host from seeing that the init ended.
    unsafe {
        for fd in shared.not_its {
            let _: Result<usize, u32> = syscall(libc::SYS_close, [fd_argument(fd), 0, 0, 0, 0]);
        }
        syscall(libc::SYS_setpgid, [0; 5]).map_err(|errno| (Step::ProcessGroup, errno))?;
        if shared.tied {
            let arguments = [libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0];
            let arguments = arguments.map(|word| word.cast_unsigned() as usize);
            syscall(libc::SYS_prctl, arguments).map_err(|errno| (Step::Leash, errno))?;
        }
        if let Some(domain) = shared.domain {
            let arguments = [fd_argument(domain), 0, 0, 0, 0];
            syscall(libc::SYS_landlock_restrict_self, arguments)
                .map_err(|errno| (Step::Landlock, errno))?;
        }
    }
    launch::walk_ahead(request, room.path);
    let received = launch::receive(request, room.reborrow(), shared.confined);
    let received = received.map_err(|(step, errno)| (step, errno.raw_os_error().unsigned_abs()))?;
    let Some(order) = received else {
        return Ok(());
    };
    #[cfg(feature = "test-points")]
    for point in [
        crate::TestPoint::BeforeClone,
        crate::TestPoint::BetweenCloneAndExec,
    ] {
        stop_at(point, &order);
    }
    // SAFETY: the strings lie in the message, which lives for ever.
    unsafe { steps(&order, shared) }
}

/// Writes one byte to the test's socket and waits for one.
#[cfg(feature = "test-points")]
fn stop_at(here: crate::TestPoint, order: &Order<'_>) {
    if let Some((point, fd)) = order.test_point
        && point == here
    {
        let byte = [b'.'];
        let (fd, address) = (fd_argument(fd), byte.as_ptr() as usize);
        // SAFETY: one byte is read from and written to `byte`, which outlives both calls.
        unsafe {
            let _: Result<usize, u32> = syscall(libc::SYS_write, [fd, address, 1, 0, 0]);
            let _: Result<usize, u32> = syscall(libc::SYS_read, [fd, address, 1, 0, 0]);
        }
    }
}

/// Turns the clone into the command; comes back only with an error.
///
/// # Safety
/// Only for the clone made by [`Command::park`].
unsafe fn steps(order: &Order<'_>, shared: &Shared) -> Result<(), (Step, u32)> {
    let at = |step: Step| move |errno: u32| (step, errno);
    // SAFETY: the addresses passed are those of values in `order` or of constants, of the size that
    // each call expects, and live until it returns; `execve` copies what it reads.
    unsafe {
        if order.observed {
            // Before the limits, which may leave no room for a descriptor. None of the calls from here to the program's
            // own first is one that waits for the host.
            let request = BorrowedFd::borrow_raw(shared.request);
            be_observed(request).map_err(at(Step::Observer))?;
        }
        for limit in order.limits.iter().flatten() {
            let values = limit.values.as_ptr() as usize;
            syscall(
                libc::SYS_prlimit64,
                [0, limit.resource as usize, values, 0, 0],
            )
            .map_err(at(Step::Limits))?;
        }
        for (target, &fd) in order.stdio.iter().enumerate() {
            // The source is never 0 to 2, which are taken in the init, so this clears close-on-exec.
            syscall(libc::SYS_dup3, [fd_argument(fd), target, 0, 0, 0]).map_err(at(Step::Stdio))?;
        }
        syscall(
            libc::SYS_fchdir,
            [fd_argument(order.working_directory), 0, 0, 0, 0],
        )
        .map_err(at(Step::WorkingDirectory))?;
        if !shared.keeps_descriptors {
            // Marked, not closed: the program's own descriptor is among them.
            let to_the_end = u32::MAX as usize;
            syscall(
                libc::SYS_close_range,
                [3, to_the_end, libc::CLOSE_RANGE_CLOEXEC as usize, 0, 0],
            )
            .map_err(at(Step::CloseDescriptors))?;
        }
        if let Some(turns) = &shared.turns {
            // That it worked for the init is all that is known; the command runs without it too.
            let address = std::ptr::from_ref(turns) as usize;
            let _: Result<usize, u32> = syscall(libc::SYS_sched_setattr, [0, address, 0, 0, 0]);
        }
        let none = 0_u64;
        let mask = (&raw const none) as usize;
        let set_mask = libc::SIG_SETMASK.cast_unsigned() as usize;
        syscall(
            libc::SYS_rt_sigprocmask,
            [set_mask, mask, 0, size_of::<u64>(), 0],
        )
        .map_err(at(Step::SignalMask))?;
        let (argv, env) = (order.argv.as_ptr() as usize, order.env.as_ptr() as usize);
        let by_descriptor = libc::AT_EMPTY_PATH.cast_unsigned() as usize;
        let empty = c"".as_ptr() as usize;
        let arguments = [fd_argument(order.program), empty, argv, env, by_descriptor];
        syscall(libc::SYS_execveat, arguments).map_err(at(Step::Exec))?;
    }
    Ok(())
}

/// Lets the host see what this process, and all that it will start, names.
///
/// # Safety
/// Only for the clone made by [`Command::park`].
unsafe fn be_observed(request: BorrowedFd<'_>) -> Result<(), u32> {
    let program = libc::sock_fprog {
        len: u16::try_from(notify::PROGRAM.len()).map_err(|_| libc::EINVAL.unsigned_abs())?,
        filter: notify::PROGRAM.as_ptr().cast_mut(),
    };
    let install = |flags: usize| {
        let mode = libc::SECCOMP_SET_MODE_FILTER as usize;
        let address = (&raw const program) as usize;
        // SAFETY: the kernel reads `len` instructions from `filter`, which are there for ever, before it returns.
        unsafe { syscall(libc::SYS_seccomp, [mode, flags, address, 0, 0]) }
    };
    let [with, without] = notify::FLAGS;
    let listener = match install(with) {
        Err(errno) if errno == libc::EINVAL.unsigned_abs() => install(without),
        other => other,
    }?;
    let number = RawFd::try_from(listener).map_err(|_| libc::EBADF.unsigned_abs())?;
    // SAFETY: the kernel has just made it, for this process alone. The host is to have the only one: when it has gone,
    // nobody may wait for an answer.
    let listener = unsafe { OwnedFd::from_raw_fd(number) };
    let sent = socket::send(request, &wire::listener(), &[listener.as_fd()]);
    sent.map_err(|error| error.raw_os_error().unwrap_or(libc::EIO).unsigned_abs())
}

/// A descriptor as a register holds it.
fn fd_argument(fd: RawFd) -> usize {
    fd.cast_unsigned() as usize
}

/// A system call that leaves `errno`, which the init uses at the same time, alone.
///
/// # Safety
/// As for the system call itself.
unsafe fn syscall(number: libc::c_long, arguments: [usize; 5]) -> Result<usize, u32> {
    let [a, b, c, d, e] = arguments;
    let result: i64;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the kernel changes only rax, rcx and r11, and memory as the caller vouches for.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: the kernel changes only x0, and memory as the caller vouches for.
    unsafe {
        asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") a => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e,
            options(nostack),
        );
    }
    match usize::try_from(result) {
        Ok(value) => Ok(value),
        Err(_) => Err(u32::try_from(result.unsigned_abs()).unwrap_or(u32::MAX)),
    }
}
