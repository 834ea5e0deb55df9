//! The spawn server: one thread, one socket, and a copy of itself for every cell.
//!
//! It never touches a running command. It answers each request with a parked cell or with the step
//! that failed, reaps the inits that are done, and ends when its host does. First it kills and reaps
//! the inits that are left, so that nobody inherits them; if it is killed itself, the kernel's
//! parent-death signal kills them.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    panic::{AssertUnwindSafe, catch_unwind},
};

use rustix::{
    event::{PollFd, PollFlags},
    net::SocketFlags,
    process::{Pid, PidfdFlags, Signal, WaitOptions},
};

use super::{
    init,
    namespaces::{self, Failure, Origin},
    process::{self, Side},
    socket,
};
use crate::{
    Report, Step,
    wire::{self, CellReply, MAKE_CELL_BYTES, REPLY_BYTES},
};

/// Serves `host` until it or its process is gone; never returns.
pub(super) fn serve(host: OwnedFd, parent: OwnedFd) -> ! {
    // A panic must not unwind into the application's `main`, of which this is a second copy.
    let served = catch_unwind(AssertUnwindSafe(|| {
        let mut server = Server::new(host, parent)?;
        let ran = server.run();
        server.end_inits();
        ran
    }));
    process::exit(i32::from(!matches!(served, Ok(Ok(())))))
}

struct Server {
    host: OwnedFd,
    parent: OwnedFd,
    children: OwnedFd,
    origin: Origin,
    /// `CLONE_NEW*` flags that have worked, or are to be tried first.
    namespaces: i32,
    /// The inits that have not been reaped; their numbers cannot go to anybody else.
    inits: Vec<Pid>,
}

/// A cell on its way to the host.
struct Parked {
    pid: u32,
    report: Report,
    socket: OwnedFd,
    pidfd: OwnedFd,
}

impl Server {
    fn new(host: OwnedFd, parent: OwnedFd) -> io::Result<Self> {
        // A session of its own: a terminal's signals are for the host, which then ends us.
        rustix::process::setsid()?;
        rustix::process::chdir("/")?;
        rustix::thread::set_name(c"spawn-server")?;
        rustix::thread::set_no_new_privs(true)?;
        process::block_and_reset_signals();
        let own = rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty())?;
        Ok(Self {
            host,
            parent,
            children: process::child_signals()?,
            origin: Origin::read(own)?,
            namespaces: namespaces::first_choice(),
            inits: Vec::new(),
        })
    }

    fn run(&mut self) -> io::Result<()> {
        loop {
            let [host, parent, children] = {
                let mut ready = [&self.host, &self.parent, &self.children]
                    .map(|fd| PollFd::new(fd, PollFlags::IN));
                rustix::io::retry_on_intr(|| rustix::event::poll(&mut ready, None))?;
                ready.map(|fd| !fd.revents().is_empty())
            };
            if parent {
                return Ok(());
            }
            if children {
                self.reap();
            }
            if host && !self.answer()? {
                return Ok(());
            }
        }
    }

    fn reap(&mut self) {
        process::drain_signals(self.children.as_fd());
        while let Ok(Some((ended, _))) = rustix::process::wait(WaitOptions::NOHANG) {
            self.inits.retain(|&init| init != ended);
        }
    }

    /// Kills every init, and with it its cell, and waits until they are gone.
    fn end_inits(&self) {
        for &init in &self.inits {
            // It may have ended by itself; it is waited for below.
            let _: rustix::io::Result<()> = rustix::process::kill_process(init, Signal::KILL);
        }
        while let Ok(Some(_)) = rustix::process::wait(WaitOptions::empty()) {}
    }

    /// Answers one request; `false` when there will be no more.
    fn answer(&mut self) -> io::Result<bool> {
        let mut message = [0; MAKE_CELL_BYTES];
        let received = socket::receive(&self.host, &mut message)?;
        if received.bytes == 0 {
            return Ok(false);
        }
        // A host that does not speak our language is not our host.
        wire::parse_make_cell(&message[..received.bytes]).map_err(io::Error::other)?;
        match self.make_cell() {
            Ok(cell) => {
                let reply = CellReply::Cell {
                    pid: cell.pid,
                    report: cell.report,
                };
                let fds = [cell.socket.as_fd(), cell.pidfd.as_fd()];
                socket::send(&self.host, &reply.encode(), &fds)?;
            }
            Err(Failure { step, errno }) => {
                socket::send(&self.host, &CellReply::Error { step, errno }.encode(), &[])?;
            }
        }
        Ok(true)
    }

    fn make_cell(&mut self) -> Result<Parked, Failure> {
        let (socket, init_end) =
            socket::pair(SocketFlags::empty()).map_err(Failure::at(Step::Socket))?;
        let side = match process::fork_into(self.namespaces) {
            // Root without CAP_SYS_ADMIN, as in most containers, may still make a user namespace.
            Err(error)
                if error.raw_os_error() == Some(libc::EPERM)
                    && self.namespaces & libc::CLONE_NEWUSER == 0 =>
            {
                self.namespaces |= libc::CLONE_NEWUSER;
                process::fork_into(self.namespaces)
            }
            side => side,
        };
        match side.map_err(Failure::at(Step::Namespaces))? {
            Side::Child => init::run(&init_end, &self.origin, self.namespaces),
            Side::Parent { pid, pidfd } => {
                drop(init_end);
                self.inits
                    .extend(i32::try_from(pid).ok().and_then(Pid::from_raw));
                // Whatever the init says, a cell that is not handed on must not stay: dropping
                // `socket` is its leash.
                let report = self.await_parked(&socket)?;
                Ok(Parked {
                    pid,
                    report,
                    socket,
                    pidfd,
                })
            }
        }
    }

    /// Waits until the init says that it is parked.
    fn await_parked(&self, socket: &OwnedFd) -> Result<Report, Failure> {
        let mut ready = [socket, &self.parent].map(|fd| PollFd::new(fd, PollFlags::IN));
        rustix::io::retry_on_intr(|| rustix::event::poll(&mut ready, None)).map_err(|error| {
            Failure {
                step: Step::ReadBack,
                errno: error.raw_os_error(),
            }
        })?;
        let mut message = [0; REPLY_BYTES];
        let received =
            socket::receive(socket, &mut message).map_err(Failure::at(Step::ReadBack))?;
        match CellReply::parse(&message[..received.bytes]) {
            Ok(CellReply::Cell { report, .. }) => Ok(report),
            Ok(CellReply::Error { step, errno }) => Err(Failure { step, errno }),
            // An init that ended while it was set up was killed; there is no better number.
            Err(_) => Err(Failure {
                step: Step::ReadBack,
                errno: libc::ESRCH,
            }),
        }
    }
}
