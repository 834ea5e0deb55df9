//! What happens between clone and exec.
//!
//! The clone shares all memory with the init and runs at the same time, so it may not allocate, not
//! take a lock, not touch `errno`, not panic: it follows a script made beforehand, by raw system calls.
//! The init does not wait for it (no `CLONE_VFORK`), so a program on a file system that hangs cannot
//! keep the init from its leash. An error comes back through the script.
#![expect(unsafe_code, reason = "clone with shared memory, raw system calls")]

use std::{
    arch::asm,
    ffi::{c_int, c_void},
    io,
    mem::size_of,
    os::fd::RawFd,
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::process::Pid;

use super::{failure::Failure, turns::Turns};
use crate::{Step, rlimits::RLIMIT_COUNT};

const STACK_BYTES: usize = 32 * 1024;

/// The stack of the clone until it executes the program; never freed.
pub(super) struct Stack(&'static mut [u128]);

impl Stack {
    /// Makes a stack and touches the pages that will be used.
    pub(super) fn touched() -> Self {
        Self(vec![1_u128; STACK_BYTES / size_of::<u128>()].leak())
    }

    /// The end, from which a stack grows down; aligned as both architectures want it.
    fn top(self) -> *mut c_void {
        self.0.as_mut_ptr_range().end.cast()
    }
}

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

/// What a [`Script`] is made of. The lists of strings end with a null pointer.
pub(super) struct Parts {
    pub(super) stdio: [RawFd; 3],
    pub(super) program: RawFd,
    pub(super) working_directory: RawFd,
    pub(super) limits: [Option<Limit>; RLIMIT_COUNT],
    pub(super) turns: Option<Turns>,
    pub(super) argv: &'static [*const u8],
    pub(super) env: &'static [*const u8],
    /// A Landlock domain of its own, by its descriptor.
    pub(super) domain: Option<RawFd>,
    /// Only in tests: the command inherits what the host has open.
    pub(super) keeps_descriptors: bool,
    #[cfg(feature = "test-points")]
    pub(super) test_point: Option<(crate::TestPoint, RawFd)>,
}

/// Everything that the clone does, prepared; and where it says what failed.
pub(super) struct Script {
    parts: Parts,
    /// Step in the upper half, error number in the lower; 0 as long as nothing failed.
    failure: AtomicU64,
}

// SAFETY: the pointers lead to memory that is never freed and never written again.
unsafe impl Sync for Script {}

impl Script {
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            parts,
            failure: AtomicU64::new(0),
        }
    }

    pub(super) fn failure(&self) -> Option<Failure> {
        let word = self.failure.load(Ordering::Acquire);
        let errno = i32::try_from(word & 0xffff_ffff).ok()?;
        let step = u32::try_from(word >> 32).ok().and_then(Step::from_code)?;
        Some(Failure { step, errno })
    }

    #[cfg(feature = "test-points")]
    pub(super) fn stop_before_clone(&self) {
        self.stop_at(crate::TestPoint::BeforeClone);
    }

    /// Writes one byte to the test's socket and waits for one.
    #[cfg(feature = "test-points")]
    fn stop_at(&self, here: crate::TestPoint) {
        if let Some((point, fd)) = self.parts.test_point
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
}

/// Clones the process that follows `script`, and does not wait for it.
pub(super) fn start(script: &'static Script, stack: Stack) -> io::Result<Pid> {
    let argument = std::ptr::from_ref(script).cast_mut().cast::<c_void>();
    // SAFETY: the stack is used by nobody else and never freed; `script` and all that it points to
    // live for ever; `follow` keeps to what may be done with shared memory. Without CLONE_FILES,
    // CLONE_FS and CLONE_SIGHAND the clone's descriptors, directory and signals are its own.
    let pid = unsafe {
        libc::clone(
            follow,
            stack.top(),
            libc::CLONE_VM | libc::SIGCHLD,
            argument,
        )
    };
    Pid::from_raw(pid)
        .filter(|_| pid > 0)
        .ok_or_else(io::Error::last_os_error)
}

/// The clone's whole life in our memory.
extern "C" fn follow(argument: *mut c_void) -> c_int {
    // SAFETY: `start` passes a `Script` that lives for ever.
    let script = unsafe { &*argument.cast_const().cast::<Script>() };
    #[cfg(feature = "test-points")]
    script.stop_at(crate::TestPoint::BetweenCloneAndExec);
    // SAFETY: this is the clone that the script was made for.
    if let Err((step, errno)) = unsafe { steps(&script.parts) } {
        let word = u64::from(step.code()) << 32 | u64::from(errno);
        script.failure.store(word, Ordering::Release);
    }
    // Nobody reads this code: the init looks at the script first.
    127
}

/// Turns the clone into the command; comes back only with an error.
///
/// # Safety
/// Only for the clone made by [`start`]; `parts` must be as [`Parts`] says.
unsafe fn steps(parts: &Parts) -> Result<(), (Step, u32)> {
    let at = |step: Step| move |errno: u32| (step, errno);
    // SAFETY: the addresses passed are those of values in `parts` or of constants, of the size that
    // each call expects, and live until it returns; `execve` copies what it reads.
    unsafe {
        syscall(libc::SYS_setpgid, [0; 5]).map_err(at(Step::ProcessGroup))?;
        for limit in parts.limits.iter().flatten() {
            let values = limit.values.as_ptr() as usize;
            syscall(
                libc::SYS_prlimit64,
                [0, limit.resource as usize, values, 0, 0],
            )
            .map_err(at(Step::Limits))?;
        }
        for (target, &fd) in parts.stdio.iter().enumerate() {
            // The source is never 0 to 2, which are taken in the init, so this clears close-on-exec.
            syscall(libc::SYS_dup3, [fd_argument(fd), target, 0, 0, 0]).map_err(at(Step::Stdio))?;
        }
        syscall(
            libc::SYS_fchdir,
            [fd_argument(parts.working_directory), 0, 0, 0, 0],
        )
        .map_err(at(Step::WorkingDirectory))?;
        if !parts.keeps_descriptors {
            // Marked, not closed: the program's own descriptor is among them.
            let to_the_end = u32::MAX as usize;
            syscall(
                libc::SYS_close_range,
                [3, to_the_end, libc::CLOSE_RANGE_CLOEXEC as usize, 0, 0],
            )
            .map_err(at(Step::CloseDescriptors))?;
        }
        if let Some(domain) = parts.domain {
            syscall(
                libc::SYS_landlock_restrict_self,
                [fd_argument(domain), 0, 0, 0, 0],
            )
            .map_err(at(Step::Landlock))?;
        }
        if let Some(turns) = &parts.turns {
            // That it worked for the init is all that is known; the command runs without it too.
            let address = (&raw const *turns) as usize;
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
        let (argv, env) = (parts.argv.as_ptr() as usize, parts.env.as_ptr() as usize);
        let by_descriptor = libc::AT_EMPTY_PATH.cast_unsigned() as usize;
        let empty = c"".as_ptr() as usize;
        let arguments = [fd_argument(parts.program), empty, argv, env, by_descriptor];
        syscall(libc::SYS_execveat, arguments).map_err(at(Step::Exec))?;
    }
    Ok(())
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
