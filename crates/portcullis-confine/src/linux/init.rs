//! The init of a cell: pid 1, one socket, one command.
//!
//! It blocks on nothing that its command controls: once there is a command its socket does not block,
//! nothing is read from the command, and a process is waited for without a time limit only after
//! SIGKILL. The socket is the leash. When the host's end closes, parked or running, everything in the namespace
//! is killed.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    panic::{AssertUnwindSafe, catch_unwind},
};

use rustix::{
    event::{PollFd, PollFlags},
    process::{Pid, Signal, WaitOptions, WaitStatus},
};

use super::{
    launch::{self, Launched, Memory},
    namespaces::{self, Failure, Origin},
    process, socket,
};
use crate::{
    Plan, Report, Step,
    wire::{self, CellReply, Outcome, REPLY_BYTES},
};

/// Runs this copy of the server as the init of a cell; never returns.
pub(super) fn run(socket: &OwnedFd, origin: &Origin, namespaces: i32) -> ! {
    // A panic must not unwind into the server, of which this is a copy.
    let ran = catch_unwind(AssertUnwindSafe(|| {
        match set_up(socket, origin, namespaces) {
            Ok((report, init)) => {
                let parked = CellReply::Cell { pid: 0, report };
                if socket::send(&init.socket, &parked.encode(), &[]).is_ok() {
                    init.serve();
                }
            }
            Err(Failure { step, errno }) => {
                // If even this fails, the server sees the end of the socket.
                let _: std::io::Result<()> =
                    socket::send(socket, &CellReply::Error { step, errno }.encode(), &[]);
            }
        }
    }));
    process::exit(i32::from(ran.is_err()))
}

fn set_up(socket: &OwnedFd, origin: &Origin, namespaces: i32) -> Result<(Report, Init), Failure> {
    namespaces::set_up(origin, namespaces)?;
    rustix::thread::set_name(c"cell-init").map_err(Failure::at(Step::Hide))?;
    let report = namespaces::read_back(origin).map_err(Failure::at(Step::ReadBack))?;
    if !report.satisfies(&Plan::limits()) {
        return Err(Failure {
            step: Step::ReadBack,
            errno: libc::ENOSYS,
        });
    }
    let socket = process::keep_only(socket.as_fd()).map_err(Failure::at(Step::Signals))?;
    let children = process::child_signals().map_err(Failure::at(Step::Signals))?;
    Ok((
        report,
        Init {
            socket,
            children,
            memory: Memory::touched(origin.turns),
        },
    ))
}

struct Init {
    socket: OwnedFd,
    children: OwnedFd,
    memory: Memory,
}

/// What the host wants of a running command.
enum Control {
    Nothing,
    Terminate,
    Kill,
}

impl Init {
    /// Waits for the one command, runs it, and says what became of it.
    fn serve(self) {
        let Self {
            socket,
            children,
            memory,
        } = self;
        let outcome = match launch::receive_and_start(socket.as_fd(), memory) {
            Ok(None) => return,
            Ok(Some(command)) => supervise(socket.as_fd(), children.as_fd(), &command),
            Err(Failure { step, errno }) => Outcome::Failed { step, errno },
        };
        // The host may be gone; then nobody wants to know.
        let _: std::io::Result<()> = socket::send(&socket, &wire::outcome(outcome), &[]);
    }
}

/// Watches over the command until it has ended and everything that it started is gone.
fn supervise(socket: BorrowedFd<'_>, children: BorrowedFd<'_>, command: &Launched) -> Outcome {
    loop {
        let mut ready = [socket, children].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        if rustix::event::poll(&mut ready, None).is_err() {
            return kill_tree();
        }
        let [control, child] = ready.map(|fd| !fd.revents().is_empty());
        if child && let Some(status) = reap_until(command.pid, children) {
            return ended(command, status);
        }
        if control {
            match read_control(socket) {
                Control::Nothing => {}
                Control::Terminate => terminate(command.pid),
                Control::Kill => return kill_tree(),
            }
        }
    }
}

/// Reaps what has ended; stops at the command itself.
fn reap_until(command: Pid, children: BorrowedFd<'_>) -> Option<WaitStatus> {
    let reap = || {
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if pid == command {
                return Some(status);
            }
        }
        None
    };
    // Mostly it is the command, and then the signal need not be read. If it is not, whoever ends
    // after the signal has been read sends another.
    reap().or_else(|| {
        process::drain_signals(children);
        reap()
    })
}

fn ended(command: &Launched, status: WaitStatus) -> Outcome {
    let stragglers = kill_rest();
    match command.failure() {
        Some(Failure { step, errno }) => Outcome::Failed { step, errno },
        None => Outcome::Exited {
            wait_status: status.as_raw(),
            stragglers,
            usage: process::children_usage(),
        },
    }
}

fn kill_tree() -> Outcome {
    Outcome::Killed {
        processes: kill_rest(),
        usage: process::children_usage(),
    }
}

/// Kills and reaps every other process of the cell; says how many of them were still alive.
///
/// Without a child there is nobody left at all: whatever lives in a pid namespace descends from its
/// init, and is handed to it when its own parent ends.
fn kill_rest() -> u32 {
    // Those that have ended by themselves do not count.
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(_) => return 0,
        }
    }
    // Once is enough: the kernel lets nobody fork between being chosen and being killed.
    process::kill_all();
    let mut killed = 0;
    while let Ok(Some((_, status))) = rustix::process::wait(WaitOptions::empty()) {
        killed += u32::from(status.terminating_signal() == Some(libc::SIGKILL));
    }
    killed
}

/// SIGTERM for the command and its process group.
fn terminate(command: Pid) {
    if rustix::process::kill_process_group(command, Signal::TERM).is_err() {
        // It has not made its group yet. The signal waits until it unblocks signals.
        let _: rustix::io::Result<()> = rustix::process::kill_process(command, Signal::TERM);
    }
}

fn read_control(socket: BorrowedFd<'_>) -> Control {
    let mut message = [0; REPLY_BYTES];
    match socket::receive(socket, &mut message) {
        Ok(received) if wire::is_terminate(&message[..received.bytes]) => Control::Terminate,
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Control::Nothing,
        // The end of the socket is the leash; a message that makes no sense is no reason to go on.
        Ok(_) | Err(_) => Control::Kill,
    }
}
