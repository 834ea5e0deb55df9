//! The first call in `main`: is this process a spawn server, or what it seems to be?

use std::{
    ffi::OsStr,
    io,
    os::fd::{AsFd, OwnedFd},
    process,
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::{
    fs::{Mode, OFlags},
    process::{DumpableBehavior, Pid, PidfdFlags},
};

use super::{SERVER_NAME, inside, process as calls, socket};
use crate::COOKIE;

/// How a process ends that was to be a server but is none: the code for our own failures.
const NOT_A_SERVER: i32 = 125;

static ENTERED: AtomicBool = AtomicBool::new(false);

/// Serves if this process was started as a spawn server; otherwise returns at once.
///
/// Must be the first call in `main` of every program that starts commands through this crate, before
/// threads are made, files are opened and arguments are read: the spawn server is the same executable
/// started again, and everything before this call would run in it too.
///
/// A process is a server only if it has the cookie in its environment, the server's name in `argv[0]`
/// and on descriptor 0 a SEQPACKET socket whose other end belongs to its parent. With the first two
/// and without the third it exits with code 125.
///
/// # Authority
/// Ambient: a server uses the process's own rights.
///
/// # Examples
/// ```
/// portcullis_confine::enter();
/// // From here on this is the program itself.
/// ```
pub fn enter() {
    ENTERED.store(true, Ordering::Relaxed);
    let (Some(parent), true) = (cookie(), has_server_name()) else {
        return;
    };
    match connect(parent) {
        Ok((host, parent)) => inside::serve(host, parent),
        Err(_) => give_way(),
    }
}

/// Ends this process if it was started as a spawn server but its `main` never called [`enter`].
///
/// Such a process is an application that runs itself again; it must not do so a second time.
/// [`Helper::find`](super::Helper::find) and [`SpawnServer::start`](super::SpawnServer::start) call
/// this first.
pub fn exit_if_reentered() {
    if !entered() && cookie().is_some() && has_server_name() {
        give_way();
    }
}

/// Whether [`enter`] was called in this process.
pub(super) fn entered() -> bool {
    ENTERED.load(Ordering::Relaxed)
}

/// The parent that the cookie names; `None` without a cookie.
pub(super) fn cookie() -> Option<i32> {
    // An unreadable cookie is still one: it names nobody, and no check below will hold.
    std::env::var_os(COOKIE).map(|text| text.to_str().and_then(|s| s.parse().ok()).unwrap_or(0))
}

fn has_server_name() -> bool {
    std::env::args_os().next().as_deref() == Some(OsStr::new(SERVER_NAME))
}

#[expect(
    clippy::exit,
    reason = "a second copy of an application must not run on"
)]
fn give_way() -> ! {
    process::exit(NOT_A_SERVER)
}

/// Checks that descriptor 0 leads to our parent, then gives up everything else this process has.
fn connect(claimed: i32) -> io::Result<(OwnedFd, OwnedFd)> {
    let refused = || io::Error::from(io::ErrorKind::PermissionDenied);
    let parent = Pid::from_raw(claimed).ok_or_else(refused)?;
    let stdin = io::stdin();
    if !socket::is_ours(stdin.as_fd()) {
        return Err(refused());
    }
    let peer = rustix::net::sockopt::socket_peercred(&stdin)?;
    // The descriptor of the parent counts because the parent is asked for again after it was
    // opened: until then its number cannot have gone to another process.
    calls::close_from(3)?;
    let parent_pidfd = rustix::process::pidfd_open(parent, PidfdFlags::empty())?;
    if peer.pid != parent || rustix::process::getppid() != Some(parent) {
        return Err(refused());
    }
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let host = rustix::io::fcntl_dupfd_cloexec(&stdin, 3)?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    for standard in 0..=2 {
        calls::place(null.as_fd(), standard, false)?;
    }
    Ok((host, parent_pidfd))
}
