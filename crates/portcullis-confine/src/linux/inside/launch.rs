//! Starting the command: read the request, check it, clone.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
};

use rustix::{
    fs::{Mode, OFlags},
    process::{Pid, Resource},
};

use super::{
    child::{self, Limit, Script, Stack},
    directory,
    failure::Failure,
    turns::Turns,
};
use crate::{
    Step,
    ablation::{Layer, is_left_out},
    linux::socket,
    rlimits::RLIMIT_COUNT,
    wire::{self, MAX_REQUEST_BYTES, REQUEST_FDS, Request},
};

/// The resources of [`Rlimits`](crate::Rlimits), in the order of the message.
const RESOURCES: [(Resource, u32); RLIMIT_COUNT] = [
    (Resource::Core, libc::RLIMIT_CORE),
    (Resource::Cpu, libc::RLIMIT_CPU),
    (Resource::As, libc::RLIMIT_AS),
    (Resource::Fsize, libc::RLIMIT_FSIZE),
    (Resource::Nofile, libc::RLIMIT_NOFILE),
    (Resource::Nproc, libc::RLIMIT_NPROC),
];

/// The pages of the request's buffer that are touched ahead: more than most requests need.
const TOUCHED_BYTES: usize = 12 * 1024;

/// Memory that the command's start will need, made while the cell is parked.
///
/// Nothing of it is ever freed: the clone shares it until it has executed the program, and the init
/// ends with its command.
pub(super) struct Memory {
    message: &'static mut [u8],
    stack: Stack,
    /// The turns on the processor that the command is to have.
    turns: Option<Turns>,
    /// The domain that keeps the command from the init.
    domain: Option<OwnedFd>,
}

impl Memory {
    pub(super) fn touched(turns: Option<Turns>, domain: Option<OwnedFd>) -> Self {
        let message = vec![0; MAX_REQUEST_BYTES].leak();
        // A page fault now is none on the way of a command.
        message[..TOUCHED_BYTES].fill(1);
        Self {
            message,
            stack: Stack::touched(),
            turns,
            domain,
        }
    }
}

/// The running command.
pub(super) struct Launched {
    pub(super) pid: Pid,
    /// Bytes of memory that the whole tree may have.
    pub(super) memory: Option<u64>,
    script: &'static Script,
}

impl Launched {
    /// Why the program was never executed; only to be asked once the process has ended.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.script.failure()
    }
}

/// Waits for the one request and starts its command; `None` if the leash was pulled instead.
pub(super) fn receive_and_start(
    socket: BorrowedFd<'_>,
    memory: Memory,
    confined: bool,
) -> Result<Option<Launched>, Failure> {
    let Memory {
        message,
        stack,
        turns,
        domain,
    } = memory;
    let received = socket::receive(socket, message).map_err(Failure::at(Step::Request))?;
    if received.bytes == 0 {
        return Ok(None);
    }
    let message: &'static [u8] = message;
    if wire::is_terminate(&message[..received.bytes]) {
        return Ok(None);
    }
    let invalid = Failure {
        step: Step::Request,
        errno: libc::EBADMSG,
    };
    let request = wire::parse_request(&message[..received.bytes]).map_err(|_| invalid)?;
    let mut fds = received.fds;
    check_counts(&request, &fds).map_err(|()| invalid)?;
    let missing = |step| Failure {
        step,
        errno: libc::ENOENT,
    };
    match own_view(&fds[4], OFlags::DIRECTORY) {
        Some(View { opened, same }) if same || (confined && is_own(&opened)) => {
            fds[4] = opened;
        }
        _ if !confined => {}
        // From the host's descriptor a command could walk up and out of its cell.
        _ => return Err(missing(Step::WorkingDirectory)),
    }
    check_program(&fds[3]).map_err(Failure::at(Step::CheckProgram))?;
    match own_view(&fds[3], OFlags::empty()) {
        Some(View { opened, same: true }) => fds[3] = opened,
        _ if !confined => {}
        // `/proc/self/exe` would lead back to the host's mount, where the file may be written.
        _ => return Err(missing(Step::CheckProgram)),
    }
    let script: &'static Script =
        Box::leak(Box::new(script(&request, &fds, turns, domain.as_ref())));
    #[cfg(feature = "test-points")]
    script.stop_before_clone();
    let pid = child::start(script, stack).map_err(Failure::at(Step::Clone))?;
    // The clone has its own table of descriptors. Ours must not keep the command's pipes open.
    drop(fds);
    // From here on the init waits for two things at once, and may block on neither.
    rustix::io::ioctl_fionbio(socket, true).map_err(Failure::at(Step::Clone))?;
    Ok(Some(Launched {
        pid,
        memory: request.memory,
        script,
    }))
}

/// Without test points there are five descriptors and no flags; with one there is a sixth.
fn check_counts(request: &Request<'_>, fds: &[OwnedFd]) -> Result<(), ()> {
    #[cfg(feature = "test-points")]
    if crate::TestPoint::from_flags(request.flags).is_some() && fds.len() == REQUEST_FDS + 1 {
        return Ok(());
    }
    if request.flags == 0 && fds.len() == REQUEST_FDS {
        Ok(())
    } else {
        Err(())
    }
}

/// What lies in the cell where a file or directory of the host lies.
struct View {
    opened: OwnedFd,
    /// Whether it is that very one.
    same: bool,
}

/// Looks for a file or directory by way of the cell's own mounts. The host's descriptor leads through the host's, which the
/// cell cannot see: getcwd(2) would answer `(unreachable)/…`, and programs without glibc's way around that would fail.
///
/// `None` if nothing lies there.
fn own_view(host: &OwnedFd, kind: OFlags) -> Option<View> {
    let link = format!("/proc/self/fd/{}", host.as_raw_fd());
    let path = rustix::fs::readlink(link, Vec::new()).ok()?;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC | kind;
    let opened = rustix::fs::open(path, flags, Mode::empty()).ok()?;
    let same = directory::same(host, &opened).ok()?;
    Some(View { opened, same })
}

/// Whether a directory is one of those that the cell made, empty, in place of one that was not granted.
fn is_own(directory: &OwnedFd) -> bool {
    let device = |stat: rustix::io::Result<rustix::fs::Stat>| stat.ok().map(|stat| stat.st_dev);
    let here = device(rustix::fs::fstat(directory));
    ["/", "/tmp"]
        .into_iter()
        .any(|own| here.is_some() && device(rustix::fs::stat(own)) == here)
}

/// Refuses what this kernel would hand to some other program: only ELF runs as itself.
fn check_program(program: &OwnedFd) -> io::Result<()> {
    let mut magic = [0; 4];
    let read = rustix::io::pread(program, &mut magic, 0)?;
    if read == magic.len() && magic == *b"\x7fELF" {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(libc::ENOEXEC))
    }
}

fn script(
    request: &Request<'static>,
    fds: &[OwnedFd],
    turns: Option<Turns>,
    domain: Option<&OwnedFd>,
) -> Script {
    let limits = std::array::from_fn(|index| {
        let (resource, number) = RESOURCES[index];
        let wanted = request.limits[index].filter(|_| !is_left_out(Layer::Rlimits));
        wanted.map(|wanted| {
            // An ordinary user cannot raise a hard limit, and need not: it only asks for less.
            let most = rustix::process::getrlimit(resource)
                .maximum
                .unwrap_or(u64::MAX);
            Limit::new(number, wanted.min(most))
        })
    });
    let number = |index: usize| fds[index].as_raw_fd();
    Script::new(child::Parts {
        stdio: [number(0), number(1), number(2)],
        program: number(3),
        working_directory: number(4),
        limits,
        turns,
        domain: domain.map(AsRawFd::as_raw_fd),
        argv: strings(request.argv, request.argc),
        env: strings(request.env, request.envc),
        keeps_descriptors: is_left_out(Layer::Fds),
        #[cfg(feature = "test-points")]
        test_point: crate::TestPoint::from_flags(request.flags).map(|point| (point, number(5))),
    })
}

/// The addresses of zero-terminated strings, with the null pointer that ends the list.
fn strings(bytes: &'static [u8], count: usize) -> &'static [*const u8] {
    let mut list = Vec::with_capacity(count + 1);
    list.extend(bytes.split_inclusive(|&byte| byte == 0).map(<[u8]>::as_ptr));
    list.push(std::ptr::null());
    list.leak()
}
