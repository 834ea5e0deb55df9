//! The host's handle of one template: cells of one plan.

use std::{
    collections::VecDeque,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::{io::Errno, net::Shutdown};

use super::{
    cell::{self, Cell},
    cgroup::{Group, Limited},
};
use crate::{
    ServerError, Step,
    linux::socket,
    wire::{self, CellReply, REPLY_BYTES},
};

const PEER: &str = "template";

/// A process in which everything that cells of one plan have in common is set up once: user namespace, root, mounts.
///
/// Cells are asked for and come later, so that making them costs their user no time. Dropping it ends its cells,
/// parked or running.
#[derive(Debug)]
pub struct Template {
    socket: OwnedFd,
    given_up: AtomicBool,
    limited: Option<Limited>,
    /// The groups of the cells that were asked for, in the order in which they come.
    asked: Mutex<VecDeque<Option<Group>>>,
}

impl Template {
    pub(super) fn new(socket: OwnedFd, limited: Option<Limited>) -> Self {
        Self {
            socket,
            given_up: AtomicBool::new(false),
            limited,
            asked: Mutex::default(),
        }
    }

    /// The socket: non-blocking, readable when [`Template::receive_cell`] has something.
    #[must_use]
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Asks for one cell; it, or an error, comes through [`Template::receive_cell`].
    ///
    /// # Errors
    /// [`ServerError::Busy`] if hundreds are under way; otherwise the template has been given up.
    pub fn request_cell(&self) -> Result<(), ServerError> {
        self.check()?;
        let group = self.limited.as_ref().and_then(Limited::make);
        let sent = {
            let mut asked = self.asked();
            let fds: Vec<_> = group.iter().map(Group::dir).collect();
            let sent = socket::send(&self.socket, &wire::make_cell(), &fds);
            if sent.is_ok() {
                asked.push_back(group);
            }
            sent
        };
        sent.map_err(|source| match Errno::from_io_error(&source) {
            Some(Errno::AGAIN) => ServerError::Busy,
            Some(Errno::PIPE | Errno::CONNRESET) => self.give_up(match self.receive_cell() {
                // What it said before it ended.
                Err(said @ ServerError::Cell { .. }) => said,
                _ => ServerError::Gone { peer: PEER },
            }),
            _ => self.give_up(ServerError::Io { peer: PEER, source }),
        })
    }

    /// Receives a cell that was asked for; `None` if there is none yet.
    ///
    /// # Errors
    /// [`ServerError::Cell`] if this one could not be made; otherwise the template has been given up.
    pub fn receive_cell(&self) -> Result<Option<Cell>, ServerError> {
        self.check()?;
        let mut message = [0; REPLY_BYTES];
        let protocol = |problem| {
            self.give_up(ServerError::Protocol {
                peer: PEER,
                problem,
            })
        };
        let mut asked = self.asked();
        let received = match cell::receive(&self.socket, &mut message, PEER) {
            Ok(Some(received)) => received,
            Ok(None) => return Ok(None),
            Err(error) => return Err(self.give_up(error)),
        };
        let group = asked.pop_front().flatten();
        drop(asked);
        match CellReply::parse(&message[..received.bytes]).map_err(protocol)? {
            CellReply::Cell { pid, report } => {
                let cell = Cell::adopt(pid, report, received.fds, group).map_err(protocol)?;
                // One that was killed meanwhile is in no group any more.
                cell.map(Some).ok_or(ServerError::Cell {
                    step: Step::Cgroup,
                    errno: libc::ESRCH,
                })
            }
            CellReply::Error { step, errno } if received.fds.is_empty() => {
                Err(ServerError::Cell { step, errno })
            }
            CellReply::Error { .. } => Err(protocol("it has descriptors")),
        }
    }

    /// Whether it has been given up, after an error that says so: no more cells come from it.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Acquire)
    }

    fn asked(&self) -> MutexGuard<'_, VecDeque<Option<Group>>> {
        // No code panics while it holds the lock half way through a change.
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self) -> Result<(), ServerError> {
        if self.is_given_up() {
            Err(ServerError::GivenUp)
        } else {
            Ok(())
        }
    }

    /// Lets the template end, and its cells with it, and passes on why.
    fn give_up(&self, why: ServerError) -> ServerError {
        self.given_up.store(true, Ordering::Release);
        let _: rustix::io::Result<()> = rustix::net::shutdown(&self.socket, Shutdown::Both);
        why
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io, os::unix::net::UnixStream, process::Command};

    use rustix::{
        event::{PollFd, PollFlags, Timespec},
        net::SocketFlags,
        process::{Pid, PidfdFlags},
    };

    use super::*;
    use crate::{Report, Tier};

    const PATIENCE: Timespec = Timespec {
        tv_sec: 10,
        tv_nsec: 0,
    };

    /// A handle whose template is the test itself.
    fn hostile() -> (Template, OwnedFd) {
        let (socket, theirs) = socket::pair(SocketFlags::NONBLOCK).unwrap();
        (Template::new(socket, None), theirs)
    }

    /// A process that another test is just starting may hold a copy of a closed end for a moment.
    fn wait_readable(fd: BorrowedFd<'_>) {
        let mut ready = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
        assert_eq!(rustix::event::poll(&mut ready, Some(&PATIENCE)), Ok(1));
    }

    fn own_pidfd() -> OwnedFd {
        rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty()).unwrap()
    }

    fn reply(pid: u32) -> [u8; REPLY_BYTES] {
        CellReply::Cell {
            pid,
            report: Report::new(Tier::Limits, 0, []),
        }
        .encode()
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "stands in for an init")]
    fn a_cell_is_taken_with_the_right_descriptors() {
        let (server, theirs) = hostile();
        assert!(server.receive_cell().unwrap().is_none());
        // Dropping a cell kills its init, so this one is not ourselves.
        let mut other = Command::new("/bin/true").spawn().unwrap();
        let init = Pid::from_child(&other);
        let pidfd = rustix::process::pidfd_open(init, PidfdFlags::empty()).unwrap();
        let sockets = [(); 2].map(|()| socket::pair(SocketFlags::empty()).unwrap().0);
        let fds = [sockets[0].as_fd(), sockets[1].as_fd(), pidfd.as_fd()];
        socket::send(&theirs, &reply(other.id()), &fds).unwrap();
        let cell = server.receive_cell().unwrap().unwrap();
        wait_readable(cell.socket());
        assert!(
            matches!(cell.receive(), Err(ServerError::Gone { .. })),
            "its other end is closed"
        );
        drop(cell);
        other.wait().unwrap();
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
            (
                "four, of which the last is no listener",
                own,
                vec![packets(), packets(), own_pidfd(), file()],
            ),
            (
                "more than there is room for",
                own,
                (0..7).map(|_| packets()).collect(),
            ),
            ("one socket", own, vec![packets(), own_pidfd()]),
            ("a stream", own, vec![stream(), packets(), own_pidfd()]),
            (
                "a stream for the second",
                own,
                vec![packets(), stream(), own_pidfd()],
            ),
            (
                "a file for the socket",
                own,
                vec![file(), packets(), own_pidfd()],
            ),
            (
                "a directory of /proc for the pidfd",
                own,
                vec![packets(), packets(), file()],
            ),
            (
                "the pidfd of another process",
                own + 1,
                vec![packets(), packets(), own_pidfd()],
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
            assert!(matches!(server.request_cell(), Err(ServerError::GivenUp)));
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
        assert!(server.request_cell().is_ok());
        // An error with descriptors is not one of ours.
        socket::send(&theirs, &error.encode(), &[theirs.as_fd()]).unwrap();
        assert!(matches!(
            server.receive_cell(),
            Err(ServerError::Protocol { .. })
        ));
    }

    #[test]
    fn the_end_of_the_socket_is_the_end_of_the_template() {
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
