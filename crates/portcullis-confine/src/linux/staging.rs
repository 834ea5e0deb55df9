//! The staging namespace: where everything sees its changes, and nothing outside does.
//!
//! ```text
//! this process ──clone(user, mount, pid)──> init ──clone──> the process that goes on, without capabilities
//!   waits                                   overlays, /proc; reaps, passes signals on, ends with its child
//! ```
//!
//! In the namespace each root has an overlay mounted over its own path, so that paths, grants and cells mean there what
//! they always do, and cells make their namespaces below it as below any other. The user is mapped to itself. The process
//! that goes on has no capability there, so it cannot take an overlay away; nor can its cells, in whose namespaces the
//! overlays are locked.
//!
//! When the process that goes on is gone its init ends, and the kernel kills what is left in the pid namespace before
//! anybody learns of that. So when [`Outside::wait`] returns, nobody is left who could change a layer. When this process
//! ends, by whatever, the init reads the end of its leash and ends too.
//!
//! What is not staged: directories without an overlay, and what is no file, such as the network.

use std::{
    fs, io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::{
    event::{PollFd, PollFlags},
    fs::{Mode, OFlags},
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags,
        fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount_change,
    },
    pipe::PipeFlags,
    process::{Gid, Pid, Signal, Uid, WaitOptions, WaitStatus},
};

use super::{
    inside::{capabilities, identity, mounts},
    process::{self as calls, Caught, Side},
};
use crate::{Overlay, Staged, StagingError, StagingStep};

/// Signals that are passed on to the process inside.
const PASSED_ON: [Signal; 3] = [Signal::INT, Signal::TERM, Signal::HUP];
const PLACE: OFlags = OFlags::PATH
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Which of the two processes this is.
#[derive(Debug)]
pub enum Staging {
    /// The one that was there before. It waits, and then looks at what was changed.
    Outside(Outside),
    /// A copy of it, inside. It goes on with what there is to do, and ends.
    Inside(Staged),
}

/// A staging namespace, seen from outside. Dropped, it is ended, with everything in it.
#[derive(Debug)]
pub struct Outside {
    /// Until it has been waited for.
    init: Option<Pid>,
    pidfd: OwnedFd,
    /// Closed by whatever ends this process.
    _leash: OwnedFd,
}

/// Copies this process into a namespace in which changes below these roots go to their layers.
///
/// Both processes return from this call, as after fork(2): the copy has everything that this one has opened, and its
/// working directory is the same path, seen through the overlays. What was opened below a root before is not staged.
/// No root may lie in another.
///
/// # Authority
/// Ambient: an ordinary user's, in a user namespace. Needs Linux 5.11 and user namespaces.
///
/// # Errors
/// [`StagingError`]; there is no second process then. For root it is always [`StagingError::Root`]: a command of root is
/// another user, and an overlay cannot show root's files as that user's, as other mounts can (idmapped mounts).
pub fn enter_staging(overlays: &[Overlay]) -> Result<Staging, StagingError> {
    // In a new user namespace nobody is anybody before the user is mapped.
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    if user.is_root() {
        return Err(StagingError::Root);
    }
    let failed = |step| {
        move |error: io::Error| StagingError::System {
            step,
            root: None,
            source: error,
        }
    };
    let threads = fs::read_dir("/proc/self/task").map_err(failed(StagingStep::Start))?;
    if threads.count() != 1 {
        return Err(StagingError::Threads);
    }
    let mut places = Vec::with_capacity(overlays.len());
    for Overlay { root, .. } in overlays {
        if root.parent().is_none() || !root.is_absolute() {
            return Err(StagingError::Unfit(root.clone()));
        }
        let place = rustix::fs::open(root, PLACE, Mode::empty());
        places.push(place.map_err(|errno| StagingError::System {
            step: StagingStep::Root,
            root: Some(root.clone()),
            source: errno.into(),
        })?);
    }
    let pipe = || rustix::pipe::pipe_with(PipeFlags::CLOEXEC);
    let (leash, held) = pipe().map_err(|errno| failed(StagingStep::Start)(errno.into()))?;
    let (reply, answer) = pipe().map_err(|errno| failed(StagingStep::Start)(errno.into()))?;
    // What comes before the init listens waits for it: the kernel passes the first process of a namespace nothing else.
    let held_back = Caught::new(&PASSED_ON).map_err(failed(StagingStep::Start))?;
    let namespaces = libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWPID;
    let side = calls::fork_into(namespaces, None).map_err(failed(StagingStep::Namespaces))?;
    match side {
        Side::Parent { pid, pidfd } => {
            drop((leash, answer));
            let init = i32::try_from(pid).ok().and_then(Pid::from_raw);
            let outside = Outside {
                init,
                pidfd,
                _leash: held,
            };
            match heard(&reply) {
                None => Ok(Staging::Outside(outside)),
                Some((step, errno, number)) => Err(StagingError::System {
                    step,
                    root: overlays.get(number).map(|overlay| overlay.root.clone()),
                    source: io::Error::from_raw_os_error(errno),
                }),
            }
        }
        Side::Child => {
            drop((held, reply));
            match begin(overlays, &places, user, group) {
                Ok(staged) => {
                    drop(places);
                    go_on(staged, leash, answer, held_back)
                }
                Err((step, error, number)) => {
                    let errno = error.raw_os_error().unwrap_or(libc::EIO);
                    tell(&answer, step, errno, number);
                    calls::exit(1)
                }
            }
        }
    }
}

/// What a step that failed was about: the number of a root, or none.
type Failed = (StagingStep, io::Error, Option<usize>);

/// Everything that needs the rights of the new namespace.
fn begin(
    overlays: &[Overlay],
    places: &[OwnedFd],
    user: Uid,
    group: Gid,
) -> Result<Staged, Failed> {
    let at = |step| move |error: io::Error| (step, error, None);
    let cwd = std::env::current_dir().map_err(at(StagingStep::Cwd))?;
    identity::map_own(user, group).map_err(at(StagingStep::UserMap))?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).map_err(|errno| at(StagingStep::Private)(errno.into()))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount("proc", "/proc", "proc", flags, None)
        .map_err(|errno| at(StagingStep::Proc)(errno.into()))?;
    let mut roots = Vec::with_capacity(overlays.len());
    for (number, (overlay, seen)) in overlays.iter().zip(places).enumerate() {
        let at = |step| move |error: io::Error| (step, error, Some(number));
        let place = again(&overlay.root, seen).map_err(at(StagingStep::Root))?;
        for name in [Overlay::UPPER, Overlay::WORK] {
            let path = overlay.layers.join(name);
            let made = rustix::fs::mkdir(&path, Mode::RWXU);
            made.map_err(|errno| at(StagingStep::Layers)(errno.into()))?;
        }
        cover(&place, &overlay.layers).map_err(at(StagingStep::Overlay))?;
        let top = rustix::fs::stat(&overlay.root)
            .map_err(|errno| at(StagingStep::Overlay)(errno.into()))?;
        roots.push((overlay.root.clone(), top.st_dev, top.st_ino));
    }
    // What it was is below the overlay now, if it is staged.
    std::env::set_current_dir(cwd).map_err(at(StagingStep::Cwd))?;
    Ok(Staged { roots })
}

/// A root as this namespace has it. The one that was opened belongs to the namespace outside, which mounts nothing here.
fn again(root: &Path, seen: &OwnedFd) -> io::Result<OwnedFd> {
    let place = rustix::fs::open(root, PLACE, Mode::empty())?;
    let (now, before) = (rustix::fs::fstat(&place)?, rustix::fs::fstat(seen)?);
    if (now.st_dev, now.st_ino) == (before.st_dev, before.st_ino) {
        Ok(place)
    } else {
        Err(io::Error::from_raw_os_error(libc::ESTALE))
    }
}

/// Mounts an overlay over a directory.
fn cover(place: &OwnedFd, layers: &Path) -> io::Result<()> {
    // By their descriptors: names may have what overlayfs takes for a separator.
    let open = |path: PathBuf| rustix::fs::open(path, PLACE, Mode::empty());
    let (upper, work) = (
        open(layers.join(Overlay::UPPER))?,
        open(layers.join(Overlay::WORK))?,
    );
    // The top is shown as it is.
    let top = rustix::fs::fstat(place)?;
    rustix::fs::chmod(
        layers.join(Overlay::UPPER),
        Mode::from_raw_mode(top.st_mode & 0o777),
    )?;
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let context = context.as_fd();
    let set = |key: &str, fd: &OwnedFd| {
        fsconfig_set_string(context, key, format!("/proc/self/fd/{}", fd.as_raw_fd()))
    };
    set("lowerdir", place)?;
    set("upperdir", &upper)?;
    set("workdir", &work)?;
    fsconfig_set_flag(context, "userxattr")?;
    // What is not known to a kernel, or not built into it, is not in force there.
    for (key, value) in [
        ("redirect_dir", "nofollow"),
        ("metacopy", "off"),
        ("index", "off"),
    ] {
        let _: rustix::io::Result<()> = fsconfig_set_string(context, key, value);
    }
    fsconfig_create(context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    let mount = fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
    mounts::put(mount.as_fd(), place.as_fd())
}

/// Splits into the init, which never returns, and the process that goes on.
fn go_on(
    staged: Staged,
    leash: OwnedFd,
    answer: OwnedFd,
    held_back: Caught,
) -> Result<Staging, StagingError> {
    match calls::fork_into(0, None) {
        Err(error) => {
            let errno = error.raw_os_error().unwrap_or(libc::EIO);
            tell(&answer, StagingStep::Start, errno, None);
            calls::exit(1)
        }
        Ok(Side::Child) => {
            drop((leash, held_back));
            if let Err(errno) = capabilities::give_up() {
                tell(
                    &answer,
                    StagingStep::Capabilities,
                    errno.raw_os_error(),
                    None,
                );
                calls::exit(1)
            }
            // Its end says that all went well, once the init's copy is closed too.
            drop(answer);
            Ok(Staging::Inside(staged))
        }
        Ok(Side::Parent { pid, pidfd }) => {
            drop(answer);
            init(pid, &pidfd, &leash)
        }
    }
}

fn tell(answer: &OwnedFd, step: StagingStep, errno: i32, number: Option<usize>) {
    let number = number.and_then(|number| u8::try_from(number).ok());
    let mut message = vec![step as u8, number.unwrap_or(u8::MAX)];
    message.extend(errno.to_ne_bytes());
    // Whoever is not there any more need not be told.
    let _: rustix::io::Result<usize> = rustix::io::write(answer, &message);
}

/// What failed, if anything did.
fn heard(reply: &OwnedFd) -> Option<(StagingStep, i32, usize)> {
    let mut message = [0; 6];
    let read = rustix::io::retry_on_intr(|| rustix::io::read(reply, &mut message));
    match read {
        Ok(0) => None,
        Ok(6) => {
            let errno = i32::from_ne_bytes([message[2], message[3], message[4], message[5]]);
            let step = StagingStep::of(message[0]).unwrap_or(StagingStep::Start);
            Some((step, errno, usize::from(message[1])))
        }
        Ok(_) | Err(_) => Some((StagingStep::Start, libc::EIO, usize::MAX)),
    }
}

/// The first process of the namespace: reaps, passes signals on, and ends with its child or its leash.
fn init(child: u32, pidfd: &OwnedFd, leash: &OwnedFd) -> ! {
    let child = i32::try_from(child).ok().and_then(Pid::from_raw);
    let signals = Caught::new(&[Signal::INT, Signal::TERM, Signal::HUP, Signal::CHILD]);
    let (Some(child), Ok(mut signals)) = (child, signals) else {
        calls::exit(1)
    };
    // It keeps nothing open that somebody waits for the end of.
    let kept = calls::keep_only(&[signals.fd.as_fd(), pidfd.as_fd(), leash.as_fd()]);
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
    let Ok([caught, pidfd, leash]) = kept
        .map(<[OwnedFd; 3]>::try_from)
        .and_then(|kept| kept.map_err(|_| io::Error::other("three descriptors were kept")))
    else {
        calls::exit(1)
    };
    for standard in 0..=2 {
        if let Ok(null) = &null {
            let _: io::Result<()> = calls::place(null.as_fd(), standard, false);
        }
    }
    // What it was is closed already.
    std::mem::forget(std::mem::replace(&mut signals.fd, caught));
    loop {
        // Before anything is waited for: what ended before signals were kept has left no signal.
        while let Ok(Some((ended, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if ended == child {
                calls::exit(code(status))
            }
        }
        let mut ready = [
            PollFd::new(&signals.fd, PollFlags::IN),
            PollFd::new(&leash, PollFlags::IN),
        ];
        if rustix::io::retry_on_intr(|| rustix::event::poll(&mut ready, None)).is_err() {
            calls::exit(1)
        }
        // Nothing is ever written to it: it is readable when it has ended.
        if !ready[1].revents().is_empty() {
            calls::exit(1)
        }
        for signal in signals.sent() {
            if PASSED_ON.contains(&signal) {
                let _: rustix::io::Result<()> = rustix::process::pidfd_send_signal(&pidfd, signal);
            }
        }
    }
}

/// A status as a shell reports it.
fn code(status: WaitStatus) -> i32 {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => 1,
    }
}

impl Outside {
    /// Waits until the process inside has ended, and everything that it started with it. Gives its exit code, or 128 and
    /// the number of the signal that ended it.
    ///
    /// Meanwhile signals that end a program are passed on, but not those that the terminal sends: it sends them to the
    /// process inside as well.
    ///
    /// # Errors
    /// The operating system's; the namespace is ended then.
    pub fn wait(mut self) -> io::Result<i32> {
        let signals = Caught::new(&PASSED_ON)?;
        loop {
            let mut ready = [
                PollFd::new(&signals.fd, PollFlags::IN),
                PollFd::new(&self.pidfd, PollFlags::IN),
            ];
            rustix::io::retry_on_intr(|| rustix::event::poll(&mut ready, None))?;
            let ended = !ready[1].revents().is_empty();
            for signal in signals.sent() {
                let _: rustix::io::Result<()> =
                    rustix::process::pidfd_send_signal(&self.pidfd, signal);
            }
            if ended {
                break;
            }
        }
        let waited = rustix::io::retry_on_intr(|| {
            rustix::process::waitpid(self.init, WaitOptions::empty())
        })?;
        self.init = None;
        Ok(waited.map_or(1, |(_, status)| code(status)))
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        if self.init.is_none() {
            return;
        }
        let _: rustix::io::Result<()> =
            rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
        let _: rustix::io::Result<_> = rustix::process::waitpid(self.init, WaitOptions::empty());
    }
}
