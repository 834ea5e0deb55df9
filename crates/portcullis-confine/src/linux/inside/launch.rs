//! From the host's request to all that the command's process needs to become the command.
//!
//! This runs in the clone of the init that waits for the request (see [`child`](super::child)): it shares all memory
//! with the init, so nothing here may allocate, take a lock or panic. `rustix` makes its calls without the C library.

use std::{
    ffi::CStr,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd},
};

use rustix::{
    fs::{CWD, Mode, OFlags, SealFlags},
    io::Errno,
    process::Resource,
};

use super::{child::Limit, directory};
use crate::{
    Step,
    ablation::{Layer, is_left_out},
    linux::socket,
    rlimits::RLIMIT_COUNT,
    wire::{self, REQUEST_FDS, Request},
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

/// The longest path that the kernel takes, its zero byte included.
pub(super) const PATH_BYTES: usize = 4096;

/// Memory that is needed on the way.
pub(super) struct Room<'a> {
    pub(super) message: &'a mut [u8],
    /// For the addresses of the strings, and a null pointer behind each of the two lists.
    pub(super) strings: &'a mut [*const u8],
    pub(super) path: &'a mut [u8; PATH_BYTES],
}

impl Room<'_> {
    /// The same memory for a shorter time.
    pub(super) fn reborrow(&mut self) -> Room<'_> {
        Room {
            message: &mut *self.message,
            strings: &mut *self.strings,
            path: &mut *self.path,
        }
    }
}

/// A request that was read and checked. The descriptors are open until the program is executed.
pub(super) struct Order<'a> {
    pub(super) stdio: [RawFd; 3],
    pub(super) program: RawFd,
    pub(super) working_directory: RawFd,
    pub(super) limits: [Option<Limit>; RLIMIT_COUNT],
    /// Both end with a null pointer.
    pub(super) argv: &'a [*const u8],
    pub(super) env: &'a [*const u8],
    /// Whether the host wants to see what the command looks at.
    pub(super) observed: bool,
    #[cfg(feature = "test-points")]
    pub(super) test_point: Option<(crate::TestPoint, RawFd)>,
}

/// A step that failed, and the kernel's number for it.
type Failed = (Step, Errno);

/// Waits for the one request and checks it; `None` if the host has gone instead.
pub(super) fn receive<'a>(
    request: BorrowedFd<'_>,
    room: Room<'a>,
    confined: bool,
) -> Result<Option<Order<'a>>, Failed> {
    let at = |step: Step| move |errno: Errno| (step, errno);
    // With a test point there is one more.
    let mut fds: [Option<OwnedFd>; REQUEST_FDS + 1] = [const { None }; REQUEST_FDS + 1];
    let mut count = 0;
    let bytes = socket::receive_with(request, room.message, |fd| {
        if let Some(place) = fds.get_mut(count) {
            *place = Some(fd);
        }
        count += 1;
    });
    let bytes = bytes.map_err(at(Step::Request))?;
    if bytes == 0 {
        return Ok(None);
    }
    let invalid = (Step::Request, Errno::BADMSG);
    let message: &'a [u8] = room.message.get(..bytes).ok_or(invalid)?;
    let request = wire::parse_request(message).map_err(|_| invalid)?;
    let [
        Some(stdin),
        Some(stdout),
        Some(stderr),
        Some(program),
        Some(directory),
        extra,
    ] = fds
    else {
        return Err(invalid);
    };
    if count != REQUEST_FDS + usize::from(extra.is_some()) || !agrees(&request, extra.as_ref()) {
        return Err(invalid);
    }
    let directory = match own_view(&directory, OFlags::DIRECTORY, room.path) {
        Some(View { own, same }) if same || (confined && is_own(&own)) => own,
        _ if !confined => directory,
        // From the host's descriptor a command could walk up and out of its cell.
        _ => return Err((Step::WorkingDirectory, Errno::NOENT)),
    };
    check_program(&program).map_err(at(Step::CheckProgram))?;
    let program = match own_view(&program, OFlags::empty(), room.path) {
        Some(View { own, same: true }) => own,
        _ if !confined || is_sealed(&program) => program,
        // `/proc/self/exe` would lead back to the host's mount, where the file may be written.
        _ => return Err((Step::CheckProgram, Errno::NOENT)),
    };
    let (argv, env) = strings(&request, room.strings).ok_or(invalid)?;
    Ok(Some(Order {
        stdio: [stdin, stdout, stderr].map(keep),
        program: keep(program),
        working_directory: keep(directory),
        limits: limits(&request),
        argv,
        env,
        observed: request.observed,
        #[cfg(feature = "test-points")]
        test_point: crate::TestPoint::from_flags(request.flags).zip(extra.map(keep)),
    }))
}

/// Leaves a descriptor open until the program is executed.
fn keep(fd: OwnedFd) -> RawFd {
    std::os::fd::IntoRawFd::into_raw_fd(fd)
}

/// Without test points there are no flags and no sixth descriptor; with one there are both.
fn agrees(request: &Request<'_>, extra: Option<&OwnedFd>) -> bool {
    #[cfg(feature = "test-points")]
    if crate::TestPoint::from_flags(request.flags).is_some() {
        return extra.is_some();
    }
    request.flags == 0 && extra.is_none()
}

/// What lies in the cell where a file or directory of the host lies.
struct View {
    own: OwnedFd,
    /// Whether it is that very one.
    same: bool,
}

/// Looks for a file or directory by way of the cell's own mounts. The host's descriptor leads through the host's, which the
/// cell cannot see: getcwd(2) would answer `(unreachable)/…`, and programs without glibc's way around that would fail.
///
/// `None` if nothing lies there.
fn own_view(host: &OwnedFd, kind: OFlags, room: &mut [u8; PATH_BYTES]) -> Option<View> {
    let mut link = [0; LINK_BYTES];
    let link = link_of(host.as_raw_fd(), &mut link)?;
    let path = rustix::fs::readlinkat_raw(CWD, link, &mut room[..]).ok()?;
    // A path that fills the room may have been cut.
    *room.get_mut(path)? = 0;
    let path = CStr::from_bytes_until_nul(room).ok()?;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC | kind;
    let own = rustix::fs::open(path, flags, Mode::empty()).ok()?;
    let same = directory::same(host, &own).ok()?;
    Some(View { own, same })
}

const DESCRIPTORS: &[u8] = b"/proc/self/fd/";
/// Ten digits, and the zero byte.
const LINK_BYTES: usize = DESCRIPTORS.len() + 11;

/// The link by which the kernel shows where a descriptor leads.
fn link_of(fd: RawFd, room: &mut [u8; LINK_BYTES]) -> Option<&CStr> {
    let mut rest = u32::try_from(fd).ok()?;
    let mut digits = [0_u8; 10];
    let mut first = digits.len();
    loop {
        first = first.checked_sub(1)?;
        *digits.get_mut(first)? = b'0' + u8::try_from(rest % 10).ok()?;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    let text = DESCRIPTORS.iter().chain(digits.get(first..)?);
    for (place, &byte) in room.iter_mut().zip(text) {
        *place = byte;
    }
    CStr::from_bytes_until_nul(room).ok()
}

/// Walks to a descriptor as [`receive`] will, so that the kernel has made what it needs to show the next.
pub(super) fn walk_ahead(fd: BorrowedFd<'_>, room: &mut [u8; PATH_BYTES]) {
    let mut link = [0; LINK_BYTES];
    if let Some(link) = link_of(fd.as_raw_fd(), &mut link) {
        // Only the walk is wanted.
        let _: rustix::io::Result<usize> = rustix::fs::readlinkat_raw(CWD, link, &mut room[..]);
    }
}

/// Whether a directory is one of those that the cell made, empty, in place of one that was not granted.
fn is_own(directory: &OwnedFd) -> bool {
    let device = |stat: rustix::io::Result<rustix::fs::Stat>| stat.ok().map(|stat| stat.st_dev);
    let here = device(rustix::fs::fstat(directory));
    [c"/", c"/tmp"]
        .into_iter()
        .any(|own| here.is_some() && device(rustix::fs::stat(own)) == here)
}

/// Whether it is memory that nobody can write any more: there is no way from it to anything else.
fn is_sealed(program: &OwnedFd) -> bool {
    let all = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    rustix::fs::fcntl_get_seals(program).is_ok_and(|seals| seals.contains(all))
}

/// Refuses what this kernel would hand to some other program: only ELF runs as itself.
fn check_program(program: &OwnedFd) -> rustix::io::Result<()> {
    let mut magic = [0; 4];
    let read = rustix::io::pread(program, &mut magic, 0)?;
    if read == magic.len() && magic == *b"\x7fELF" {
        Ok(())
    } else {
        Err(Errno::NOEXEC)
    }
}

fn limits(request: &Request<'_>) -> [Option<Limit>; RLIMIT_COUNT] {
    let mut limits = [None; RLIMIT_COUNT];
    for ((limit, wanted), (resource, number)) in
        limits.iter_mut().zip(request.limits).zip(RESOURCES)
    {
        let wanted = wanted.filter(|_| !is_left_out(Layer::Rlimits));
        *limit = wanted.map(|wanted| {
            // An ordinary user cannot raise a hard limit, and need not: it only asks for less.
            let most = rustix::process::getrlimit(resource).maximum;
            Limit::new(number, wanted.min(most.unwrap_or(u64::MAX)))
        });
    }
    limits
}

/// The addresses of the request's strings, with the null pointers that end the lists.
fn strings<'a>(
    request: &Request<'a>,
    room: &'a mut [*const u8],
) -> Option<(&'a [*const u8], &'a [*const u8])> {
    if request.argc + request.envc + 2 > room.len() {
        return None;
    }
    let (argv, env) = room.split_at_mut(request.argc + 1);
    let env = env.get_mut(..=request.envc)?;
    for (list, bytes) in [(&mut *argv, request.argv), (&mut *env, request.env)] {
        let starts = bytes.split_inclusive(|&byte| byte == 0).map(<[u8]>::as_ptr);
        let ended = starts.chain(std::iter::once(std::ptr::null()));
        for (place, start) in list.iter_mut().zip(ended) {
            *place = start;
        }
    }
    Some((argv, env))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn links_of_descriptors() {
        for (fd, expected) in [(0, c"0"), (9, c"9"), (10, c"10"), (i32::MAX, c"2147483647")] {
            let mut room = [0; LINK_BYTES];
            let link = link_of(fd, &mut room).unwrap();
            let expected = format!("/proc/self/fd/{}", expected.to_str().unwrap());
            assert_eq!(link.to_str().unwrap(), expected);
        }
        assert!(link_of(-1, &mut [0; LINK_BYTES]).is_none());
    }

    #[test]
    fn a_view_is_found_by_the_path() {
        let dir = tempfile::tempdir().unwrap();
        let opened = OwnedFd::from(std::fs::File::open(dir.path()).unwrap());
        let mut room = [0xff; PATH_BYTES];
        walk_ahead(opened.as_fd(), &mut room);
        let view = own_view(&opened, OFlags::DIRECTORY, &mut room).unwrap();
        assert!(view.same);
        let moved = dir.path().with_extension("moved");
        std::fs::rename(dir.path(), &moved).unwrap();
        std::fs::remove_dir(&moved).unwrap();
        assert!(own_view(&opened, OFlags::DIRECTORY, &mut room).is_none());
    }
}
