//! The host's handle of the spawn server.

use std::{
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec},
    io::Errno,
    net::{Shutdown, SocketFlags},
    process::{Pid, PidfdFlags},
};

use super::{SERVER_NAME, cell, cell::Cell, enter, helper::Helper, remedy, socket};
use crate::{
    COOKIE, Plan, ServerError, StartError,
    wire::{self, CellReply, REPLY_BYTES},
};

/// How long a server may take to make its first cell; it takes about a millisecond.
const START_TIMEOUT: Timespec = Timespec {
    tv_sec: 10,
    tv_nsec: 0,
};

/// How long a server may take to end its cells before it is killed; a cell takes a millisecond.
const END_TIMEOUT: Timespec = Timespec {
    tv_sec: 2,
    tv_nsec: 0,
};

const PEER: &str = "spawn server";

/// The small process that makes cells.
///
/// Dropping it ends it, and with it every cell that it made, parked or running; that takes a few
/// milliseconds, at most two seconds.
#[derive(Debug)]
pub struct SpawnServer {
    socket: OwnedFd,
    process: Child,
    given_up: AtomicBool,
}

impl SpawnServer {
    /// Starts `helper` as spawn server and has it make one cell, as proof that this system can.
    ///
    /// # Authority
    /// Ambient: the server runs as the user of this process.
    ///
    /// # Errors
    /// [`StartError`]; [`StartError::Cell`] names the step that this system refused and, where it is
    /// known, what to change.
    pub fn start(helper: &Helper) -> Result<Self, StartError> {
        enter::exit_if_reentered();
        if enter::cookie().is_some() {
            return Err(StartError::Reentered);
        }
        let failed = |source: io::Error| StartError::Run {
            path: helper.path().into(),
            source,
        };
        let (socket, theirs) = socket::pair(SocketFlags::empty()).map_err(failed)?;
        rustix::io::ioctl_fionbio(&socket, true).map_err(|errno| failed(errno.into()))?;
        let process = spawn(helper, theirs).map_err(failed)?;
        let server = Self {
            socket,
            process,
            given_up: AtomicBool::new(false),
        };
        server.prove(helper)?;
        Ok(server)
    }

    /// The socket: non-blocking, readable when [`SpawnServer::receive_cell`] has something.
    #[must_use]
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// The process number of the server.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Asks for one cell; it, or an error, comes through [`SpawnServer::receive_cell`].
    ///
    /// # Errors
    /// [`ServerError::Busy`] if hundreds are under way; otherwise the server has been given up.
    pub fn request_cell(&self, plan: &Plan) -> Result<(), ServerError> {
        self.check()?;
        let sent = socket::send(&self.socket, &wire::make_cell(plan), &[]);
        sent.map_err(|source| match Errno::from_io_error(&source) {
            Some(Errno::AGAIN) => ServerError::Busy,
            Some(Errno::PIPE | Errno::CONNRESET) => self.give_up(ServerError::Gone { peer: PEER }),
            _ => self.give_up(ServerError::Io { peer: PEER, source }),
        })
    }

    /// Receives a cell that was asked for; `None` if there is none yet.
    ///
    /// # Errors
    /// [`ServerError::Cell`] if this one could not be made; otherwise the server has been given up.
    pub fn receive_cell(&self) -> Result<Option<Cell>, ServerError> {
        self.check()?;
        let mut message = [0; REPLY_BYTES];
        let protocol = |problem| {
            self.give_up(ServerError::Protocol {
                peer: PEER,
                problem,
            })
        };
        let received = match cell::receive(&self.socket, &mut message, PEER) {
            Ok(Some(received)) => received,
            Ok(None) => return Ok(None),
            Err(error) => return Err(self.give_up(error)),
        };
        let reply = CellReply::parse(&message[..received.bytes]).map_err(protocol)?;
        match (reply, <[OwnedFd; 2]>::try_from(received.fds)) {
            (CellReply::Cell { pid, report }, Ok([socket, pidfd])) => {
                Cell::adopt(pid, report, socket, pidfd)
                    .map(Some)
                    .map_err(protocol)
            }
            (CellReply::Error { step, errno }, Err(fds)) if fds.is_empty() => {
                Err(ServerError::Cell { step, errno })
            }
            (CellReply::Cell { .. } | CellReply::Error { .. }, _) => {
                Err(protocol("it has not the descriptors that it should have"))
            }
        }
    }

    fn check(&self) -> Result<(), ServerError> {
        if self.given_up.load(Ordering::Acquire) {
            Err(ServerError::GivenUp)
        } else {
            Ok(())
        }
    }

    /// Lets the server end, and its cells with it, and passes on why.
    fn give_up(&self, why: ServerError) -> ServerError {
        self.given_up.store(true, Ordering::Release);
        let _: rustix::io::Result<()> = rustix::net::shutdown(&self.socket, Shutdown::Both);
        why
    }

    /// Has one cell made and lets it go.
    fn prove(&self, helper: &Helper) -> Result<(), StartError> {
        let not_serving = |problem| StartError::NotServing {
            path: helper.path().into(),
            problem,
        };
        match self.request_cell(&Plan::limits()) {
            Err(ServerError::Gone { .. }) => return Err(not_serving("ended at once")),
            other => other?,
        }
        let mut ready = [PollFd::new(&self.socket, PollFlags::IN)];
        match rustix::io::retry_on_intr(|| rustix::event::poll(&mut ready, Some(&START_TIMEOUT))) {
            Ok(0) => return Err(not_serving("did not answer within 10 seconds")),
            Ok(_) => {}
            Err(errno) => {
                return Err(ServerError::Io {
                    peer: PEER,
                    source: errno.into(),
                }
                .into());
            }
        }
        match self.receive_cell() {
            Ok(Some(_)) => Ok(()),
            Ok(None) | Err(ServerError::Gone { .. }) => Err(not_serving("ended at once")),
            Err(ServerError::Cell { step, errno }) => Err(StartError::Cell {
                step,
                errno,
                remedy: remedy::find(step, errno),
            }),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for SpawnServer {
    fn drop(&mut self) {
        // Asked first, because it then reaps its inits; nothing but the time limit can be waited for.
        let _: rustix::io::Result<()> = rustix::net::shutdown(&self.socket, Shutdown::Both);
        wait_for_end(&self.process);
        // Neither can fail in a way that leaves something to do.
        let _: io::Result<()> = self.process.kill();
        let _: io::Result<std::process::ExitStatus> = self.process.wait();
    }
}

/// Waits until a child has ended, but not for long.
fn wait_for_end(child: &Child) {
    // Not reaped yet, so the number is still the child's.
    if let Ok(pidfd) = rustix::process::pidfd_open(Pid::from_child(child), PidfdFlags::empty()) {
        let mut ended = [PollFd::new(&pidfd, PollFlags::IN)];
        let _: rustix::io::Result<usize> = rustix::event::poll(&mut ended, Some(&END_TIMEOUT));
    }
}

/// Runs the helper with one socket, one variable and nothing else.
///
/// Nothing here may make the standard library fork (`pre_exec`, `uid`): the host may be large.
#[expect(
    clippy::disallowed_methods,
    reason = "the spawn server itself, under no decision"
)]
fn spawn(helper: &Helper, socket: OwnedFd) -> io::Result<Child> {
    Command::new(helper.exec_path())
        .arg0(SERVER_NAME)
        .env_clear()
        .env(COOKIE, std::process::id().to_string())
        .stdin(socket)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

#[cfg(test)]
mod tests {
    use std::{fs::File, os::unix::net::UnixStream};

    use super::*;
    use crate::{Report, Step};

    /// A handle whose server is the test itself.
    #[expect(
        clippy::disallowed_methods,
        reason = "stands in for a server's process"
    )]
    fn hostile() -> (SpawnServer, OwnedFd) {
        let (socket, theirs) = socket::pair(SocketFlags::NONBLOCK).unwrap();
        let process = Command::new("/bin/true").spawn().unwrap();
        (
            SpawnServer {
                socket,
                process,
                given_up: AtomicBool::new(false),
            },
            theirs,
        )
    }

    /// A process that another test is just starting may hold a copy of a closed end for a moment.
    fn wait_readable(fd: BorrowedFd<'_>) {
        let mut ready = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
        assert_eq!(rustix::event::poll(&mut ready, Some(&START_TIMEOUT)), Ok(1));
    }

    fn own_pidfd() -> OwnedFd {
        rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty()).unwrap()
    }

    fn reply(pid: u32) -> [u8; REPLY_BYTES] {
        CellReply::Cell {
            pid,
            report: Report::from_bits(1).unwrap(),
        }
        .encode()
    }

    #[test]
    fn a_cell_is_taken_with_the_right_descriptors() {
        let (server, theirs) = hostile();
        assert!(server.receive_cell().unwrap().is_none());
        // Dropping a cell kills its init, so this one is not ourselves.
        let init = Pid::from_child(&server.process);
        let pidfd = rustix::process::pidfd_open(init, PidfdFlags::empty()).unwrap();
        let socket = socket::pair(SocketFlags::empty()).unwrap().0;
        let fds = [socket.as_fd(), pidfd.as_fd()];
        socket::send(&theirs, &reply(server.pid()), &fds).unwrap();
        let cell = server.receive_cell().unwrap().unwrap();
        wait_readable(cell.socket());
        assert!(
            matches!(cell.receive(), Err(ServerError::Gone { .. })),
            "its other end is closed"
        );
    }

    #[test]
    fn wrong_descriptors_are_refused_and_the_server_is_given_up() {
        let own = std::process::id();
        let packets = || socket::pair(SocketFlags::empty()).unwrap().0;
        let stream = || OwnedFd::from(UnixStream::pair().unwrap().0);
        let file = || OwnedFd::from(File::open("/proc/self").unwrap());
        let cases: Vec<(&str, u32, Vec<OwnedFd>)> = vec![
            ("none", own, vec![]),
            ("one", own, vec![packets()]),
            ("three", own, vec![packets(), own_pidfd(), file()]),
            (
                "more than there is room for",
                own,
                (0..7).map(|_| packets()).collect(),
            ),
            ("a stream", own, vec![stream(), own_pidfd()]),
            ("a file for the socket", own, vec![file(), own_pidfd()]),
            (
                "a directory of /proc for the pidfd",
                own,
                vec![packets(), file()],
            ),
            (
                "the pidfd of another process",
                own + 1,
                vec![packets(), own_pidfd()],
            ),
        ];
        for (name, pid, fds) in cases {
            let (server, theirs) = hostile();
            let borrowed: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
            send_any(&theirs, &reply(pid), &borrowed);
            assert!(
                matches!(server.receive_cell(), Err(ServerError::Protocol { .. })),
                "{name}"
            );
            assert!(
                matches!(server.receive_cell(), Err(ServerError::GivenUp)),
                "{name}"
            );
            assert!(matches!(
                server.request_cell(&Plan::limits()),
                Err(ServerError::GivenUp)
            ));
        }
    }

    /// As `socket::send`, with any number of descriptors.
    fn send_any(socket: &OwnedFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) {
        use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(16))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(fds.is_empty() || control.push(SendAncillaryMessage::ScmRights(fds)));
        sendmsg(
            socket,
            &[io::IoSlice::new(bytes)],
            &mut control,
            SendFlags::NOSIGNAL,
        )
        .unwrap();
    }

    #[test]
    fn wrong_messages_are_refused() {
        for message in [
            &[0; REPLY_BYTES][..],
            &[1],
            &[0xff; REPLY_BYTES],
            &[0; REPLY_BYTES + 1],
        ] {
            let (server, theirs) = hostile();
            socket::send(&theirs, message, &[]).unwrap();
            assert!(matches!(
                server.receive_cell(),
                Err(ServerError::Protocol { .. })
            ));
        }
    }

    #[test]
    fn one_failed_cell_is_not_the_end() {
        let (server, theirs) = hostile();
        let error = CellReply::Error {
            step: Step::Namespaces,
            errno: 28,
        };
        socket::send(&theirs, &error.encode(), &[]).unwrap();
        assert!(matches!(
            server.receive_cell(),
            Err(ServerError::Cell {
                step: Step::Namespaces,
                errno: 28
            })
        ));
        assert!(server.request_cell(&Plan::limits()).is_ok());
        // An error with descriptors is not one of ours.
        socket::send(&theirs, &error.encode(), &[theirs.as_fd()]).unwrap();
        assert!(matches!(
            server.receive_cell(),
            Err(ServerError::Protocol { .. })
        ));
    }

    #[test]
    fn the_end_of_the_socket_is_the_end_of_the_server() {
        let (server, theirs) = hostile();
        drop(theirs);
        wait_readable(server.socket());
        assert!(matches!(
            server.receive_cell(),
            Err(ServerError::Gone { .. })
        ));
        assert!(matches!(server.receive_cell(), Err(ServerError::GivenUp)));
    }
}
