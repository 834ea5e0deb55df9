//! SEQPACKET sockets that carry one message and its descriptors at a time.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    io::Errno,
    net::{
        self, AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
        SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
    },
};

use crate::wire::MAX_REQUEST_BYTES;

/// Most descriptors that the kernel lets travel with one message (`SCM_MAX_FD`).
pub(super) const MAX_FDS: usize = 253;

/// One message as it arrived.
#[derive(Debug)]
pub(super) struct Received {
    /// Its size; 0 is the end of the stream, because no message of ours is empty.
    pub(super) bytes: usize,
    pub(super) fds: Vec<OwnedFd>,
}

/// Makes a pair of connected sockets, both close-on-exec, that hold the largest request.
pub(super) fn pair(flags: SocketFlags) -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = flags | SocketFlags::CLOEXEC;
    let (ours, theirs) = net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    // A message must fit whole, with the kernel's own bookkeeping; the kernel doubles what is set.
    let needed = MAX_REQUEST_BYTES + 4096;
    if net::sockopt::socket_send_buffer_size(&ours)? < needed {
        net::sockopt::set_socket_send_buffer_size(&ours, needed)?;
        if net::sockopt::socket_send_buffer_size(&ours)? < needed {
            return Err(Errno::NOBUFS.into());
        }
    }
    Ok((ours, theirs))
}

/// Whether `fd` is a socket of the kind that [`pair`] makes.
pub(super) fn is_ours(fd: BorrowedFd<'_>) -> bool {
    net::sockopt::socket_type(fd) == Ok(SocketType::SEQPACKET)
        && net::sockopt::socket_domain(fd) == Ok(AddressFamily::UNIX)
}

/// Whether `fd` is a TCP socket that listens.
pub(super) fn is_listener(fd: BorrowedFd<'_>) -> bool {
    net::sockopt::socket_domain(fd) == Ok(AddressFamily::INET)
        && net::sockopt::socket_type(fd) == Ok(SocketType::STREAM)
        && net::sockopt::socket_acceptconn(fd) == Ok(true)
}

/// Sends one message and descriptors with it.
pub(super) fn send(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(Errno::INVAL.into());
    }
    let parts = [IoSlice::new(bytes)];
    let sent = rustix::io::retry_on_intr(|| {
        net::sendmsg(&socket, &parts, &mut control, SendFlags::NOSIGNAL)
    })?;
    if sent == bytes.len() {
        Ok(())
    } else {
        Err(Errno::MSGSIZE.into())
    }
}

/// Receives one message; a message or descriptors that do not fit are an error.
pub(super) fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<Received> {
    let mut fds = Vec::new();
    let bytes = receive_with(socket, buffer, |fd| fds.push(fd))?;
    Ok(Received { bytes, fds })
}

/// As [`receive`], the descriptors one by one. Allocates nothing.
pub(super) fn receive_with(
    socket: impl AsFd,
    buffer: &mut [u8],
    mut take: impl FnMut(OwnedFd),
) -> rustix::io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = rustix::io::retry_on_intr(|| {
        net::recvmsg(
            &socket,
            &mut [IoSliceMut::new(buffer)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        )
    })?;
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = part {
            rights.for_each(&mut take);
        }
    }
    let cut = ReturnFlags::TRUNC | ReturnFlags::CTRUNC;
    if message.flags.intersects(cut) {
        return Err(Errno::MSGSIZE);
    }
    Ok(message.bytes)
}

/// Whether a message waits to be received.
pub(super) fn holds_message(socket: impl AsFd) -> bool {
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    let peeked = rustix::io::retry_on_intr(|| net::recv(&socket, &mut [0; 1], flags));
    peeked.is_ok_and(|(bytes, _)| bytes > 0)
}
