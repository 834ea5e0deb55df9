//! What a server, a template or a cell that has been taken over may send: any bytes, with any descriptors. The host
//! never panics, keeps none of the descriptors, and gives up whoever sent it.

use std::{
    fs::File,
    io,
    mem::MaybeUninit,
    net::TcpListener,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use proptest::prelude::*;
use rustix::{
    event::{PollFd, PollFlags, Timespec},
    net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, sendmsg},
    process::{Pid, PidfdFlags},
};

use super::{cell::Cell, template::Template};
use crate::{
    Report, ServerError, Tier,
    linux::socket,
    wire::{self, CellReply, EVENT_BYTES, Outcome, REPLY_BYTES},
};

/// Kinds of descriptors that a message may bring.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Packets,
    Stream,
    Pipe,
    File,
    Pidfd,
    Listener,
}

const KINDS: [Kind; 6] = [
    Kind::Packets,
    Kind::Stream,
    Kind::Pipe,
    Kind::File,
    Kind::Pidfd,
    Kind::Listener,
];

/// A descriptor to send, and where it can be told the other end of it, by which its end is seen.
fn made(kind: Kind) -> (OwnedFd, Option<OwnedFd>) {
    match kind {
        Kind::Packets => {
            let (one, other) = socket::pair(SocketFlags::empty()).unwrap();
            (one, Some(other))
        }
        Kind::Stream => {
            let (one, other) = UnixStream::pair().unwrap();
            (one.into(), Some(other.into()))
        }
        Kind::Pipe => {
            let (reader, writer) = io::pipe().unwrap();
            (writer.into(), Some(reader.into()))
        }
        Kind::File => (File::open("/dev/null").unwrap().into(), None),
        Kind::Pidfd => (ended_process().1, None),
        Kind::Listener => (TcpListener::bind("127.0.0.1:0").unwrap().into(), None),
    }
}

/// One message: bytes, and which descriptors go with them.
type Message = (Vec<u8>, Vec<Kind>);

/// Messages that are random, or right but for a byte.
fn messages(size: usize, right: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<Message>> {
    let random = prop::collection::vec(any::<u8>(), 1..size * 2);
    let nearly = (
        prop::sample::select(right),
        any::<prop::sample::Index>(),
        any::<u8>(),
    );
    let nearly = nearly.prop_map(|(mut bytes, place, byte)| {
        let place = place.index(bytes.len() + 1);
        if let Some(there) = bytes.get_mut(place) {
            *there = byte;
        }
        bytes
    });
    let fds = prop::collection::vec(prop::sample::select(KINDS.to_vec()), 0..5);
    let message = (prop_oneof![1 => random, 3 => nearly], fds);
    prop::collection::vec(message, 1..4)
}

/// Sends a message and keeps nothing of it but the other ends.
fn send(socket: &OwnedFd, (bytes, kinds): &Message) -> Vec<OwnedFd> {
    let (fds, ends): (Vec<_>, Vec<_>) = kinds.iter().map(|kind| made(*kind)).unzip();
    let borrowed: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(borrowed.is_empty() || control.push(SendAncillaryMessage::ScmRights(&borrowed)));
    let parts = [io::IoSlice::new(bytes)];
    // Whoever has been given up listens no more, and then nothing has been sent.
    let _: rustix::io::Result<usize> = sendmsg(socket, &parts, &mut control, SendFlags::NOSIGNAL);
    ends.into_iter().flatten().collect()
}

/// Nobody holds what these are the other ends of. A process that another test is just starting may, for a moment.
fn assert_released(ends: &[OwnedFd]) {
    let patience = Timespec {
        tv_sec: 10,
        tv_nsec: 0,
    };
    for end in ends {
        let mut ready = [PollFd::new(end, PollFlags::IN)];
        let count = rustix::io::retry_on_intr(|| rustix::event::poll(&mut ready, Some(&patience)));
        assert_eq!(count, Ok(1), "a descriptor was kept");
        let hung_up = ready[0].revents().contains(PollFlags::HUP);
        assert!(hung_up, "a descriptor was kept");
    }
}

fn right_replies() -> Vec<Vec<u8>> {
    let report = Report::new(Tier::Full, 7, []);
    let cell = CellReply::Cell {
        pid: ended_process().0,
        report,
    };
    let error = CellReply::Error {
        step: crate::Step::Socket,
        errno: 1,
    };
    [cell, error].map(|reply| reply.encode().to_vec()).to_vec()
}

fn right_events() -> Vec<Vec<u8>> {
    let usage = crate::Usage::default();
    let outcomes = [
        Outcome::Exited {
            wait_status: 256,
            stragglers: 0,
            usage,
        },
        Outcome::Killed {
            processes: 1,
            usage,
        },
        Outcome::OverMemory {
            processes: 1,
            usage,
        },
    ];
    outcomes
        .map(|outcome| wire::outcome(outcome).to_vec())
        .to_vec()
}

/// A cell whose init is the test; its pidfd is of a process that is none of ours, so that dropping it does no harm.
fn cell() -> (Cell, OwnedFd) {
    let (ours, theirs) = socket::pair(SocketFlags::empty()).unwrap();
    // Nobody waits for a request.
    let (request, _) = socket::pair(SocketFlags::empty()).unwrap();
    let ended = ended_process();
    let fds = vec![ours, request, ended.1];
    let report = Report::new(Tier::Full, 7, []);
    let cell = Cell::adopt(ended.0, report, fds, None).unwrap();
    (cell.unwrap(), theirs)
}

/// The number and the descriptor of a child that has ended and is not reaped, so that both stay what they are.
#[expect(clippy::disallowed_methods, reason = "stands in for an init")]
fn ended_process() -> (u32, OwnedFd) {
    static CHILD: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    let pid = *CHILD.get_or_init(|| {
        let child = std::process::Command::new("/bin/true").spawn().unwrap();
        let pid = child.id();
        std::mem::forget(child);
        pid
    });
    let raw = Pid::from_raw(pid.try_into().unwrap()).unwrap();
    let pidfd = rustix::process::pidfd_open(raw, PidfdFlags::empty()).unwrap();
    (pid, pidfd)
}

proptest! {
    #[test]
    fn templates(messages in messages(REPLY_BYTES, right_replies())) {
        let (socket, theirs) = socket::pair(SocketFlags::NONBLOCK).unwrap();
        let template = Template::new(socket, None);
        let ends: Vec<_> = messages.iter().flat_map(|message| send(&theirs, message)).collect();
        let mut given_up = false;
        for _ in 0..=messages.len() {
            match template.receive_cell() {
                Ok(None) => break,
                // Everything about it was right. That it is dead will be seen.
                Ok(Some(cell)) => prop_assert_eq!(cell.pid(), ended_process().0),
                Err(ServerError::Cell { .. }) => {}
                Err(_) => given_up = true,
            }
        }
        if given_up {
            // From then on every call says so, and the pool makes another.
            prop_assert!(matches!(template.request_cell(), Err(ServerError::GivenUp)));
            prop_assert!(matches!(template.receive_cell(), Err(ServerError::GivenUp)));
        }
        drop((template, theirs));
        assert_released(&ends);
    }

    #[test]
    fn cells(messages in messages(EVENT_BYTES, right_events())) {
        let (cell, theirs) = cell();
        let ends: Vec<_> = messages.iter().flat_map(|message| send(&theirs, message)).collect();
        for (bytes, kinds) in &messages {
            match cell.receive() {
                Ok(None) => break,
                Ok(Some(_)) => {
                    prop_assert!(kinds.is_empty());
                    prop_assert_eq!(bytes.len(), EVENT_BYTES);
                }
                Err(ServerError::Protocol { .. }) => {}
                Err(other) => prop_assert!(false, "{:?}", other),
            }
        }
        drop((cell, theirs));
        assert_released(&ends);
    }
}
