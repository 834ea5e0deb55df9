//! The host's handle of one cell.

use std::{
    ffi::CString,
    fs, io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::{
    io::Errno,
    net::Shutdown,
    process::{Gid, Signal, Uid},
};

use super::{cgroup::Group, observing::Observing};
use crate::{
    Event, Protection, Report, Rlimits, SendError, ServerError,
    linux::{
        inside::OUTSIDE,
        socket::{self, Received},
    },
    wire::{self, EVENT_BYTES, REQUEST_FDS},
};

/// A parked cell: it waits for one command, runs it, and is gone.
///
/// The cell lives on a leash: dropping this value, [`Cell::kill`], or the end of the host's process
/// for whatever reason kills every process of the command's tree.
#[derive(Debug)]
pub struct Cell {
    socket: OwnedFd,
    /// Where the cell waits for its command.
    request: OwnedFd,
    pidfd: OwnedFd,
    pid: u32,
    report: Report,
    started: AtomicBool,
    listener: Option<OwnedFd>,
    copies: Option<OwnedFd>,
    group: Option<Group>,
    /// Whether it has been said what became of the command.
    told: AtomicBool,
    observing: Mutex<Option<Observing>>,
}

/// The one command of a cell. All descriptors are borrowed; the cell gets copies.
///
/// # Shapes and units
/// `argv` is `[name, argument...]`, at most [`MAX_ARGV_BYTES`](crate::MAX_ARGV_BYTES); `env` is
/// `NAME=value` each, at most [`MAX_ENV_BYTES`](crate::MAX_ENV_BYTES), and is the whole environment.
#[derive(Clone, Copy, Debug)]
pub struct CellCommand<'a> {
    /// The program: an ELF file opened for reading (not `O_PATH`). This very file is executed,
    /// whatever its path leads to by then; scripts are resolved to their interpreter by the caller.
    pub program: BorrowedFd<'a>,
    /// Name and arguments.
    pub argv: &'a [CString],
    /// The whole environment.
    pub env: &'a [CString],
    /// The working directory, opened.
    pub cwd: BorrowedFd<'a>,
    /// Standard input.
    pub stdin: BorrowedFd<'a>,
    /// Standard output.
    pub stdout: BorrowedFd<'a>,
    /// Standard error.
    pub stderr: BorrowedFd<'a>,
    /// Resource limits.
    pub limits: Rlimits,
    /// Whether what it and all that it starts look at is to be seen, by [`Cell::take_observing`]. It takes time; it
    /// decides nothing.
    pub observed: bool,
}

/// Who is to blame in a [`ServerError`].
const PEER: &str = "cell";

impl Cell {
    /// Takes over what a template sent, if it is what it should be. `None` if it is not in the group that was made for
    /// it.
    pub(super) fn adopt(
        pid: u32,
        report: Report,
        fds: Vec<OwnedFd>,
        group: Option<Group>,
    ) -> Result<Option<Self>, &'static str> {
        let mut fds = fds.into_iter();
        let (Some(socket), Some(request), Some(pidfd)) = (fds.next(), fds.next(), fds.next())
        else {
            return Err("it has not the descriptors that it should have");
        };
        if ![&socket, &request]
            .into_iter()
            .all(|fd| socket::is_ours(fd.as_fd()))
        {
            return Err("its first two descriptors are no cell's sockets");
        }
        if pidfd_process(pidfd.as_fd()) != Some(pid) {
            return Err("its third descriptor is not of the process that it names");
        }
        let (mut listener, mut copies) = (None, None);
        for fd in fds {
            let place = match () {
                () if socket::is_listener(fd.as_fd()) => &mut listener,
                () if is_memory_directory(fd.as_fd()) => &mut copies,
                () => return Err("a descriptor is neither a listener nor a directory of copies"),
            };
            if place.replace(fd).is_some() {
                return Err("it has two descriptors of a kind");
            }
        }
        for fd in [&socket, &request] {
            rustix::io::ioctl_fionbio(fd, true).map_err(|_| "its socket cannot be set up")?;
        }
        let is_inside = group.as_ref().is_none_or(|group| group.holds(pid));
        let limits = group.iter().flat_map(Group::in_force);
        let cell = Self {
            socket,
            request,
            pidfd,
            pid,
            report: report.in_cgroup(limits),
            started: AtomicBool::new(false),
            listener,
            copies,
            group,
            told: AtomicBool::new(false),
            observing: Mutex::new(None),
        };
        Ok(is_inside.then_some(cell))
    }

    /// The listener in the cell's own network, once; `None` for plans without [`Net::Proxy`](crate::Net::Proxy).
    pub fn take_listener(&mut self) -> Option<OwnedFd> {
        self.listener.take()
    }

    /// The directory of the cell's copies, once; `None` for plans without [`Access::Copied`](crate::Access::Copied).
    ///
    /// In it is one directory for each, `0`, `1` and so on in the order of [`Plan::roots`](crate::Plan::roots), and there
    /// an empty file of the name that it is a copy of. Fill it before the command is started and read it when the
    /// command's tree is gone; what it is by then, the command alone decided. The descriptor outlives the cell.
    pub fn take_copies(&mut self) -> Option<OwnedFd> {
        self.copies.take()
    }

    /// The socket: non-blocking, readable when [`Cell::receive`] has something to say.
    #[must_use]
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// The pidfd of the cell's init: readable when the cell is gone.
    #[must_use]
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// The process number of the cell's init, as the host sees it.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// What is in force in this cell.
    #[must_use]
    pub fn report(&self) -> Report {
        self.report
    }

    /// Hands the cell its command. What becomes of it comes as the one [`Event`].
    ///
    /// # Errors
    /// [`SendError`], in which case the cell runs nothing: too long, empty, a second command, or a
    /// cell that is gone.
    pub fn start(&self, command: &CellCommand<'_>) -> Result<(), SendError> {
        self.send(command, 0, None)
    }

    /// As [`Cell::start`], with a stop at `point`, announced on the socket `announce`.
    ///
    /// # Errors
    /// As [`Cell::start`].
    #[cfg(feature = "test-points")]
    pub fn start_stopping_at(
        &self,
        command: &CellCommand<'_>,
        point: crate::TestPoint,
        announce: BorrowedFd<'_>,
    ) -> Result<(), SendError> {
        self.send(command, point.flags(), Some(announce))
    }

    fn send(
        &self,
        command: &CellCommand<'_>,
        flags: u32,
        extra: Option<BorrowedFd<'_>>,
    ) -> Result<(), SendError> {
        let limits = self.limits(command.limits);
        let observed = command.observed;
        let message = wire::request(command.argv, command.env, &limits, observed, flags)?;
        if self.started.swap(true, Ordering::Relaxed) {
            return Err(SendError::AlreadyStarted);
        }
        if observed {
            // Before the command: it waits for whoever looks.
            let observing = Observing::start(&self.request);
            *self.observing() = Some(observing.map_err(SendError::Observe)?);
        }
        let CellCommand {
            stdin,
            stdout,
            stderr,
            program,
            cwd,
            ..
        } = *command;
        if self.report.has(Protection::OwnRoot) && rustix::process::geteuid().is_root() {
            [stdin, stdout, stderr].into_iter().for_each(hand_over);
        }
        // Unused unless there is a sixth, which then takes its place.
        let all = [stdin, stdout, stderr, program, cwd, extra.unwrap_or(cwd)];
        let count = REQUEST_FDS + usize::from(extra.is_some());
        let watched = match limits.memory_bytes {
            Some(most) => socket::send(&self.socket, &wire::watch_memory(most), &[]),
            None => Ok(()),
        };
        let sent = watched.and_then(|()| socket::send(&self.request, &message, &all[..count]));
        sent.map_err(|error| match Errno::from_io_error(&error) {
            Some(Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN) => SendError::Gone,
            _ => SendError::Io(error),
        })
    }

    fn observing(&self) -> std::sync::MutexGuard<'_, Option<Observing>> {
        self.observing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// What sees what the command looks at, once; `None` if it was not started with [`CellCommand::observed`].
    pub fn take_observing(&self) -> Option<Observing> {
        self.observing().take()
    }

    /// What is left to be limited beside what the cell's group keeps.
    fn limits(&self, mut limits: Rlimits) -> Rlimits {
        if let Some(group) = &self.group {
            limits.memory_bytes = limits
                .memory_bytes
                .filter(|&most| !group.keeps_memory(most));
            limits.processes = limits
                .processes
                .filter(|&most| !group.keeps_processes(most));
        }
        limits
    }

    /// Receives what became of the command; `None` if nothing has been said yet.
    ///
    /// When it is [`Event::Exited`], [`Event::Killed`] or [`Event::OverMemory`], every process of the tree is gone. For
    /// the last, if it is the kernel that killed it, this waits for that, at most two seconds.
    ///
    /// # Errors
    /// [`ServerError::Gone`] if the cell ended without saying anything, also after its one event;
    /// [`ServerError::Protocol`] if it said something that it could not have.
    pub fn receive(&self) -> Result<Option<Event>, ServerError> {
        let mut message = [0; EVENT_BYTES];
        let received = match receive(&self.socket, &mut message, PEER) {
            Ok(Some(received)) => received,
            Ok(None) => return Ok(None),
            Err(gone @ ServerError::Gone { .. }) => {
                return self.over_memory().ok_or(gone).map(Some);
            }
            Err(error) => return Err(error),
        };
        self.told.store(true, Ordering::Relaxed);
        if !received.fds.is_empty() {
            return Err(ServerError::Protocol {
                peer: PEER,
                problem: "it has descriptors",
            });
        }
        match wire::parse_event(&message[..received.bytes]) {
            Ok(event) => Ok(Some(event)),
            Err(problem) => Err(ServerError::Protocol {
                peer: PEER,
                problem,
            }),
        }
    }

    /// What became of a command whose cell ended without a word: the kernel kills all processes of its group together,
    /// the init too.
    fn over_memory(&self) -> Option<Event> {
        let group = self.group.as_ref()?;
        let is_new =
            self.started.load(Ordering::Relaxed) && !self.told.swap(true, Ordering::Relaxed);
        is_new.then(|| group.over_memory())?
    }

    /// Sends SIGTERM to the command and its process group. A parked cell ends.
    pub fn terminate(&self) {
        // A cell that cannot be told any more has ended, which is what was asked for.
        let _: io::Result<()> = socket::send(&self.socket, &wire::terminate(), &[]);
    }

    /// Pulls the leash: everything in the cell is killed, then [`Event::Killed`] comes.
    pub fn kill(&self) {
        let _: rustix::io::Result<()> = rustix::net::shutdown(&self.socket, Shutdown::Write);
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        // The end of the socket is enough for an init that listens. One that was stopped, or taken over by a command
        // of root, does not; the kernel ends its namespace all the same. Mostly it has ended already.
        let _: rustix::io::Result<()> =
            rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
    }
}

/// Gives a pipe to the user that root's commands are, who could not open it again as `/dev/stdout` otherwise.
fn hand_over(fd: BorrowedFd<'_>) {
    // What has a name in a file system keeps its owner.
    let is_pipe = rustix::fs::fstatfs(fd).is_ok_and(|stat| stat.f_type == PIPEFS);
    if is_pipe {
        let owner = (Uid::from_raw(OUTSIDE), Gid::from_raw(OUTSIDE));
        // The pipe works all the same, as a descriptor.
        let _: rustix::io::Result<()> = rustix::fs::fchown(fd, Some(owner.0), Some(owner.1));
    }
}

/// `PIPEFS_MAGIC`.
const PIPEFS: rustix::fs::FsWord = 0x5049_5045;

/// Whether it is a directory of a file system in memory: what a cell has for itself is, the user's files are not.
fn is_memory_directory(fd: BorrowedFd<'_>) -> bool {
    // Linux, `include/uapi/linux/magic.h`.
    const TMPFS_MAGIC: rustix::fs::FsWord = 0x0102_1994;
    let directory = rustix::fs::fstat(fd)
        .is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir());
    directory && rustix::fs::fstatfs(fd).is_ok_and(|stat| stat.f_type == TMPFS_MAGIC)
}

/// One message from a peer that may be hostile; `None` if there is none yet.
pub(super) fn receive(
    socket: &OwnedFd,
    buffer: &mut [u8],
    peer: &'static str,
) -> Result<Option<Received>, ServerError> {
    let mut received = socket::receive(socket, buffer);
    // A peer that ended before it had read everything leaves this error once, before its last words.
    if received
        .as_ref()
        .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset)
    {
        received = socket::receive(socket, buffer);
    }
    match received {
        Ok(Received { bytes: 0, .. }) => Err(ServerError::Gone { peer }),
        Ok(received) => Ok(Some(received)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) if Errno::from_io_error(&error) == Some(Errno::MSGSIZE) => {
            Err(ServerError::Protocol {
                peer,
                problem: "it is too long",
            })
        }
        Err(source) => Err(ServerError::Io { peer, source }),
    }
}

/// The process that a pidfd stands for; `None` for any other descriptor.
fn pidfd_process(fd: BorrowedFd<'_>) -> Option<u32> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd())).ok()?;
    let pid = info.lines().find_map(|line| line.strip_prefix("Pid:"))?;
    pid.trim().parse().ok().filter(|&pid| pid > 0)
}
