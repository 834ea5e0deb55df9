//! The few calls about processes that rustix does not have.
#![expect(unsafe_code, reason = "clone, signal masks, signalfd and close_range")]

use std::{
    ffi::c_long,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    time::Duration,
};

use rustix::{process::Signal, thread::UnshareFlags};

use crate::{
    Usage,
    ablation::{Layer, is_left_out},
};

/// Ends this process at once: no destructors, no `atexit`, which belong to the process it is a copy of.
pub(super) fn exit(code: i32) -> ! {
    // SAFETY: `_exit` takes any value and does not return.
    unsafe { libc::_exit(code) }
}

/// Which side of a [`fork_into`] this is.
#[derive(Debug)]
pub(super) enum Side {
    Parent { pid: u32, pidfd: OwnedFd },
    Child,
}

/// Copies this process into new namespaces (`CLONE_NEW*`) and, if one is given, into a cgroup.
///
/// The caller must be single-threaded: the copy has only the calling thread, and runs on.
pub(super) fn fork_into(namespaces: i32, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Side> {
    let flags = namespaces | libc::CLONE_PIDFD;
    let mut pidfd: RawFd = -1;
    let pid = match cgroup {
        None => clone(flags, &mut pidfd),
        Some(cgroup) => clone_in(flags, &mut pidfd, cgroup),
    };
    match u32::try_from(pid) {
        Err(_) => Err(io::Error::last_os_error()),
        Ok(0) => Ok(Side::Child),
        Ok(pid) => {
            // SAFETY: the kernel has just made this descriptor for us, and nobody else has it.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Side::Parent { pid, pidfd })
        }
    }
}

fn clone(flags: i32, pidfd: &mut RawFd) -> c_long {
    let flags = c_long::from(flags | libc::SIGCHLD);
    let pidfd = std::ptr::from_mut(pidfd);
    // SAFETY: without CLONE_VM the child has its own copy of all memory, as after `fork`; a null
    // stack keeps the current one. With CLONE_PIDFD the third argument is where the kernel stores
    // the descriptor, and `pidfd` lives until the call returns.
    unsafe { libc::syscall(libc::SYS_clone, flags, 0_usize, pidfd, 0_usize, 0_usize) }
}

/// As [`clone`]. Since Linux 5.7; some container runtimes refuse `clone3`, which filters cannot look into.
fn clone_in(flags: i32, pidfd: &mut RawFd, cgroup: BorrowedFd<'_>) -> c_long {
    const INTO_CGROUP: u64 = 0x2_0000_0000;
    // SAFETY: plain numbers, of which zero is "not asked for"; without a stack the current one is kept.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = u64::from(flags.cast_unsigned()) | INTO_CGROUP;
    arguments.pidfd = std::ptr::from_mut(pidfd) as u64;
    arguments.exit_signal = u64::from(libc::SIGCHLD.cast_unsigned());
    arguments.cgroup = u64::from(cgroup.as_raw_fd().cast_unsigned());
    let (address, size) = (&raw const arguments, size_of::<libc::clone_args>());
    // SAFETY: as in `clone`; the arguments live until the call returns.
    unsafe { libc::syscall(libc::SYS_clone3, address, size) }
}

/// Moves this process, which must be single-threaded, into new namespaces (`CLONE_NEW*`).
pub(super) fn unshare(namespaces: i32) -> io::Result<()> {
    let flags = UnshareFlags::from_bits_retain(namespaces.cast_unsigned());
    // SAFETY: what rustix warns of is a table of descriptors that is no longer shared, and namespaces have none.
    Ok(unsafe { rustix::thread::unshare_unsafe(flags - UnshareFlags::FILES) }?)
}

/// Blocks every signal and gives every signal its default action.
///
/// Actions and the mask are inherited over `fork` and (if ignored) over `execve`, so a command gets
/// what a login shell would give it, whatever the embedding application and its parents had set.
/// Not through the C library, which keeps two signals to itself and passes them on as they are.
pub(super) fn block_and_reset_signals() {
    const SIGNALS: c_long = 64;
    let (all, default) = (u64::MAX, [0_u64; 4]);
    let (set, none) = (c_long::from(libc::SIG_SETMASK), std::ptr::null_mut::<u64>());
    // SAFETY: the kernel's signal set is 8 bytes; its `sigaction` is four words, of which zero
    // stands for the default action, no flags, no restorer and an empty mask. Both live until the
    // calls return. SIGKILL and SIGSTOP give an error, which is right for them.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            set,
            &raw const all,
            none,
            size_of::<u64>(),
        );
        for signal in 1..=SIGNALS {
            let action = default.as_ptr();
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                action,
                none,
                size_of::<u64>(),
            );
        }
    }
}

/// Makes a descriptor that is readable while a SIGCHLD or SIGTERM is pending.
pub(super) fn child_signals() -> io::Result<OwnedFd> {
    // SAFETY: `sigset_t` is plain data that `sigemptyset` initialises, the pointers are valid for
    // the calls, and the descriptor that comes back is nobody else's.
    unsafe {
        let mut signals = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut signals);
        libc::sigaddset(&raw mut signals, libc::SIGCHLD);
        libc::sigaddset(&raw mut signals, libc::SIGTERM);
        match libc::signalfd(
            -1,
            &raw const signals,
            libc::SFD_CLOEXEC | libc::SFD_NONBLOCK,
        ) {
            -1 => Err(io::Error::last_os_error()),
            fd => Ok(OwnedFd::from_raw_fd(fd)),
        }
    }
}

/// Signals that are kept from this thread and read from a descriptor instead, until this is dropped.
#[derive(Debug)]
pub(super) struct Caught {
    before: libc::sigset_t,
    pub(super) fd: OwnedFd,
}

impl Caught {
    pub(super) fn new(signals: &[Signal]) -> io::Result<Self> {
        // SAFETY: `sigset_t` is plain data that `sigemptyset` initialises, the pointers are valid for the calls, and the
        // descriptor that comes back is nobody else's.
        unsafe {
            let mut set = std::mem::zeroed::<libc::sigset_t>();
            libc::sigemptyset(&raw mut set);
            for signal in signals {
                libc::sigaddset(&raw mut set, signal.as_raw());
            }
            let fd = libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
            if fd == -1 {
                return Err(io::Error::last_os_error());
            }
            let fd = OwnedFd::from_raw_fd(fd);
            let mut before = std::mem::zeroed::<libc::sigset_t>();
            match libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, &raw mut before) {
                0 => Ok(Self { before, fd }),
                errno => Err(io::Error::from_raw_os_error(errno)),
            }
        }
    }

    /// The signals that processes have sent since, not the terminal.
    pub(super) fn sent(&self) -> Vec<Signal> {
        const INFO: usize = size_of::<libc::signalfd_siginfo>();
        let mut infos = [0_u8; 8 * INFO];
        let read = rustix::io::read(&self.fd, &mut infos).unwrap_or(0);
        let word = |info: &[u8], at: usize| {
            let bytes = info.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
            bytes.map_or(0, i32::from_ne_bytes)
        };
        // Number, error and code are the first words of a record. What the kernel sends has a positive code.
        let sent = infos[..read]
            .chunks_exact(INFO)
            .filter(|info| word(info, 8) <= 0);
        sent.filter_map(|info| Signal::from_named_raw(word(info, 0)))
            .collect()
    }
}

impl Drop for Caught {
    fn drop(&mut self) {
        // SAFETY: the mask is one that the system gave, and lives until the call returns.
        unsafe {
            libc::pthread_sigmask(
                libc::SIG_SETMASK,
                &raw const self.before,
                std::ptr::null_mut(),
            );
        }
    }
}

/// Forgets the pending signals, and says whether SIGTERM was one of them; must come before reaping, or a SIGCHLD that
/// arrives in between is lost.
pub(super) fn drain_signals(signals: BorrowedFd<'_>) -> bool {
    const INFO: usize = size_of::<libc::signalfd_siginfo>();
    let mut infos = [0_u8; 2 * INFO];
    // Neither signal queues, so one read takes all there is; EAGAIN says there was none.
    let read = rustix::io::read(signals, &mut infos).unwrap_or(0);
    // The number of a signal is the first word of its record.
    infos[..read]
        .chunks_exact(INFO)
        .any(|info| info.first_chunk() == Some(&libc::SIGTERM.cast_unsigned().to_ne_bytes()))
}

/// Closes every descriptor from `first` on.
///
/// Only for a process that owns all its descriptors and will never drop a value that holds one.
pub(super) fn close_from(first: RawFd) -> io::Result<()> {
    if is_left_out(Layer::Fds) {
        return close_ours_from(first);
    }
    let first = first.cast_unsigned();
    // SAFETY: no memory is involved.
    match unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0_u32) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// As [`close_from`], but only what this program itself has opened, which is closed on exec.
fn close_ours_from(first: RawFd) -> io::Result<()> {
    let numbers: Vec<RawFd> = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for number in numbers.into_iter().filter(|&number| number >= first) {
        // SAFETY: no memory is involved.
        let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
        if flags & libc::FD_CLOEXEC != 0 {
            // SAFETY: as the caller vouches, no value that holds it will be dropped. What the directory was read
            // with is closed already, and flags of nothing are all set.
            unsafe { libc::close(number) };
        }
    }
    Ok(())
}

/// Puts a copy of `fd` at the number `target`, closed on exec if `cloexec`.
pub(super) fn place(fd: BorrowedFd<'_>, target: RawFd, cloexec: bool) -> io::Result<()> {
    let flags = if cloexec { libc::O_CLOEXEC } else { 0 };
    // SAFETY: no memory is involved; what `target` was is closed, which the caller wants.
    match unsafe { libc::dup3(fd.as_raw_fd(), target, flags) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Keeps descriptors 0 to 2 and copies of these, which become numbers 3 and on, and closes everything else.
///
/// Only for a copy of a process that will never drop the values of the process it is a copy of.
pub(super) fn keep_only(keep: &[BorrowedFd<'_>]) -> io::Result<Vec<OwnedFd>> {
    let beyond = RawFd::try_from(3 + keep.len()).map_err(io::Error::other)?;
    // What is kept may have a number that another one is to get, so all are moved out of the way first.
    let copies: io::Result<Vec<OwnedFd>> = keep
        .iter()
        .map(|fd| Ok(rustix::io::fcntl_dupfd_cloexec(fd, beyond)?))
        .collect();
    let copies = copies?;
    let mut kept = Vec::with_capacity(copies.len());
    for (number, copy) in (3..).zip(&copies) {
        place(copy.as_fd(), number, true)?;
        // SAFETY: the number has just been made; what it was before belonged to a value that this process never
        // touches again.
        kept.push(unsafe { OwnedFd::from_raw_fd(number) });
    }
    // These are closed with everything else.
    copies.into_iter().for_each(std::mem::forget);
    close_from(beyond)?;
    Ok(kept)
}

/// Kills every process that this one may signal, except itself. For the init of a pid namespace or of a Landlock domain
/// out of which no signal goes.
pub(super) fn kill_all() {
    // SAFETY: no memory is involved. ESRCH only says that there was nobody left.
    unsafe { libc::kill(-1, libc::SIGKILL) };
}

/// What all reaped children and their reaped descendants used.
pub(super) fn children_usage() -> Usage {
    // SAFETY: `rusage` is plain data for which zero is valid, and the pointer is valid.
    let used = unsafe {
        let mut used = std::mem::zeroed::<libc::rusage>();
        libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut used);
        used
    };
    let time = |value: libc::timeval| {
        let seconds = Duration::from_secs(u64::try_from(value.tv_sec).unwrap_or_default());
        seconds + Duration::from_micros(u64::try_from(value.tv_usec).unwrap_or_default())
    };
    Usage {
        user: time(used.ru_utime),
        system: time(used.ru_stime),
        max_rss_bytes: u64::try_from(used.ru_maxrss)
            .unwrap_or_default()
            .saturating_mul(1024),
    }
}
