//! A template: one plan, set up once, and a copy of itself for every cell.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec},
    mount::MountPropagationFlags,
    net::SocketFlags,
    process::{Pid, PidfdFlags, Signal, WaitOptions},
};

use super::{
    capabilities,
    failure::Failure,
    ground::{self, Ground},
    identity::Identity,
    init::{self, Sockets},
    leash, mounts,
    root::{self, Built, Source},
    scratch,
    seccomp::Filter,
    server::Origin,
    tree::Tree,
};
use crate::{
    Net, Plan, Report, Step, Tier,
    ablation::{Layer, is_left_out},
    linux::{
        process::{self, Side},
        socket,
    },
    wire::{self, CellReply, MAKE_CELL_BYTES, REPLY_BYTES},
};

/// What a template is made of.
pub(super) struct Parts {
    pub(super) plan: Plan,
    pub(super) host: OwnedFd,
    pub(super) identity: Identity,
    /// At its end when the server has mapped the user; for [`Identity::Mapped`].
    pub(super) mapped: Option<OwnedFd>,
    pub(super) sources: Option<Vec<Source>>,
    pub(super) origin: Origin,
}

/// What cells of one plan have in common; each has a copy.
pub(super) struct Common {
    pub(super) plan: Plan,
    pub(super) identity: Identity,
    pub(super) origin: Origin,
    /// The root, where there is one of our own.
    pub(super) built: Option<Built>,
    /// The filter, for tiers that confine.
    pub(super) filter: Option<Filter>,
    /// `CLONE_NEW*` flags of a cell.
    pub(super) namespaces: i32,
}

impl Common {
    /// What will hold the processes of a command together.
    pub(super) fn tree(&self) -> Tree {
        if self.namespaces & libc::CLONE_NEWPID != 0 {
            Tree::Namespace
        } else if self.plan.tier == Tier::Landlock {
            Tree::Domain
        } else {
            // "All processes" would be those of the machine.
            Tree::Subreaper
        }
    }
}

/// The `CLONE_NEW*` flags of a template.
pub(super) fn namespaces(plan: &Plan) -> i32 {
    if !plan.tier.has_own_root() {
        return 0;
    }
    let mounts = libc::CLONE_NEWUSER | libc::CLONE_NEWNS;
    if is_left_out(Layer::Namespaces) {
        return if is_left_out(Layer::Mounts) {
            0
        } else {
            mounts
        };
    }
    let own = mounts | libc::CLONE_NEWUTS;
    if plan.shared {
        own | shareable(plan)
    } else {
        own
    }
}

/// Those that cells of a plan may share if it says so.
pub(super) fn shareable(plan: &Plan) -> i32 {
    match plan.net {
        Net::Open => libc::CLONE_NEWIPC,
        Net::None | Net::Loopback | Net::Proxy => libc::CLONE_NEWIPC | libc::CLONE_NEWNET,
    }
}

/// The `CLONE_NEW*` flags of a template's cell, to be tried first; the others it has from its ground.
fn cell_namespaces(plan: &Plan) -> i32 {
    let tree = libc::CLONE_NEWPID | libc::CLONE_NEWNS;
    if plan.tier.has_own_root() && is_left_out(Layer::Namespaces) {
        return 0;
    }
    match plan.tier {
        Tier::Full | Tier::Namespaces => libc::CLONE_NEWPID,
        Tier::Landlock => 0,
        // Root needs no user namespace to make the others.
        Tier::Limits if rustix::process::geteuid().is_root() => tree,
        Tier::Limits => tree | libc::CLONE_NEWUSER,
    }
}

/// Runs this copy of the server as a template; never returns.
pub(super) fn run(parts: Parts) -> ! {
    let ran = catch_unwind(AssertUnwindSafe(|| {
        let host = parts.host.try_clone()?;
        let server = parts.origin.maker.try_clone()?;
        match Template::set_up(parts) {
            Ok(mut template) => {
                let ran = template.serve();
                template.end_inits();
                ran
            }
            Err(failure) => {
                // It may have been untied on the way, or never tied: then nobody would end it but the host.
                leash::hang_on(&server)
                    .map_err(|Failure { errno, .. }| io::Error::from_raw_os_error(errno))?;
                answer_all(&host, failure)
            }
        }
    }));
    process::exit(i32::from(!matches!(ran, Ok(Ok(())))))
}

/// Says to whoever asks for a cell why there is none.
fn answer_all(host: &OwnedFd, Failure { step, errno }: Failure) -> io::Result<()> {
    let mut message = [0; MAKE_CELL_BYTES];
    // Ended by the server's end too, through the parent-death signal.
    while socket::receive(host, &mut message)?.bytes != 0 {
        socket::send(host, &CellReply::Error { step, errno }.encode(), &[])?;
    }
    Ok(())
}

struct Template {
    host: OwnedFd,
    children: OwnedFd,
    common: Common,
    grounds: ground::Source,
    /// What the next cell will stand on; `None` if it could not be made, which will be told to who asks for a cell.
    ground: Option<Ground>,
    /// The inits that have not been reaped; their numbers cannot go to anybody else.
    inits: Vec<Pid>,
}

/// A cell on its way to the host.
struct Parked {
    pid: u32,
    report: Report,
    fds: Vec<OwnedFd>,
}

impl Template {
    fn set_up(parts: Parts) -> Result<Self, Failure> {
        let Parts {
            plan,
            host,
            identity,
            mapped,
            sources,
            origin,
        } = parts;
        #[cfg(feature = "test-points")]
        plan.stop_at(crate::TestPoint::InTemplate);
        rustix::thread::set_name(c"cell-template").map_err(Failure::at(Step::Hide))?;
        let filter = plan.tier.confines().then(|| Filter::new(&plan));
        let built = if plan.tier.has_own_root() {
            enter_own(&plan, identity, mapped, sources)?
        } else {
            None
        };
        leash::hang_on(&origin.maker)?;
        let children = process::child_signals().map_err(Failure::at(Step::Signals))?;
        let grounds = ground::Source::open(&plan, built.as_ref())?;
        let own = rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty());
        let origin = Origin {
            maker: own.map_err(Failure::at(Step::Leash))?,
            ..origin
        };
        Ok(Self {
            host,
            children,
            common: Common {
                namespaces: cell_namespaces(&plan),
                plan,
                identity,
                origin,
                built,
                filter,
            },
            grounds,
            ground: None,
            inits: Vec::new(),
        })
    }

    /// Makes the ground of the next cell ready.
    fn prepare(&mut self) -> Result<Ground, Failure> {
        let Common {
            plan,
            origin,
            built,
            ..
        } = &self.common;
        self.grounds
            .prepare(plan, origin.namespaces, built.as_ref())
    }

    fn serve(&mut self) -> io::Result<()> {
        loop {
            let [host, children] = {
                let mut ready =
                    [&self.host, &self.children].map(|fd| PollFd::new(fd, PollFlags::IN));
                rustix::io::retry_on_intr(|| rustix::event::poll(&mut ready, None))?;
                ready.map(|fd| !fd.revents().is_empty())
            };
            if children {
                if process::drain_signals(self.children.as_fd()) {
                    // The server ends.
                    return Ok(());
                }
                self.reap();
            }
            if host && !self.answer()? {
                return Ok(());
            }
        }
    }

    fn reap(&mut self) {
        while let Ok(Some((ended, _))) = rustix::process::wait(WaitOptions::NOHANG) {
            self.inits.retain(|&init| init != ended);
        }
    }

    /// Kills every init, and with it its cell, and waits until they are gone.
    fn end_inits(&self) {
        if self.common.tree() != Tree::Namespace {
            // Theirs is no namespace that would die with them. Each has a leash of its own to the host.
            return;
        }
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
        let mut cgroup = received.fds;
        if cgroup.len() > 1 {
            return Err(io::Error::other("more than one cgroup"));
        }
        match self.make_cell(cgroup.pop()) {
            Ok(Parked { pid, report, fds }) => {
                let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
                let reply = CellReply::Cell { pid, report };
                socket::send(&self.host, &reply.encode(), &fds)?;
            }
            Err(Failure { step, errno }) => {
                socket::send(&self.host, &CellReply::Error { step, errno }.encode(), &[])?;
            }
        }
        // Now, while nobody waits for it.
        self.prepare_ahead();
        Ok(true)
    }

    fn prepare_ahead(&mut self) {
        if self.ground.is_none() {
            self.ground = self.prepare().ok();
        }
    }

    /// Whether more cells were asked for.
    fn is_asked_again(&self) -> bool {
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let mut ready = [PollFd::new(&self.host, PollFlags::IN)];
        rustix::event::poll(&mut ready, Some(&now)) == Ok(1)
    }

    fn make_cell(&mut self, cgroup: Option<OwnedFd>) -> Result<Parked, Failure> {
        let ground = match self.ground.take() {
            Some(ground) => ground,
            None => self.prepare()?,
        };
        let pair = || socket::pair(SocketFlags::empty()).map_err(Failure::at(Step::Socket));
        let ((control, its_control), (request, its_request)) = (pair()?, pair()?);
        #[cfg(feature = "test-points")]
        self.common.plan.stop_at(crate::TestPoint::BeforeCell);
        let namespaces = &mut self.common.namespaces;
        let cgroup = cgroup.as_ref().map(AsFd::as_fd);
        let side = match process::fork_into(*namespaces, cgroup) {
            // Root without CAP_SYS_ADMIN, as in most containers, may still make a user namespace.
            Err(error)
                if error.raw_os_error() == Some(libc::EPERM)
                    && self.common.plan.tier == Tier::Limits
                    && *namespaces & libc::CLONE_NEWUSER == 0 =>
            {
                *namespaces |= libc::CLONE_NEWUSER;
                process::fork_into(*namespaces, cgroup)
            }
            side => side,
        };
        match side.map_err(Failure::at(Step::Namespaces))? {
            Side::Child => {
                let sockets = Sockets {
                    control: its_control.as_fd(),
                    request: its_request.as_fd(),
                };
                init::run(sockets, &self.common, ground)
            }
            Side::Parent { pid, pidfd } => {
                drop((its_control, its_request));
                self.inits
                    .extend(i32::try_from(pid).ok().and_then(Pid::from_raw));
                if self.is_asked_again() {
                    // At the same time as the init does its part.
                    self.prepare_ahead();
                }
                // Whatever the init says, a cell that is not handed on must not stay: dropping
                // `control` is its leash.
                let (report, handed) = self.await_parked(&control)?;
                let fds = [control, request, pidfd]
                    .into_iter()
                    .chain(handed)
                    .collect();
                Ok(Parked { pid, report, fds })
            }
        }
    }

    /// Waits until the init says that it is parked.
    fn await_parked(&self, control: &OwnedFd) -> Result<(Report, Vec<OwnedFd>), Failure> {
        let mut message = [0; REPLY_BYTES];
        let received =
            socket::receive(control, &mut message).map_err(Failure::at(Step::ReadBack))?;
        match CellReply::parse(&message[..received.bytes]) {
            Ok(CellReply::Cell { report, .. }) => Ok((report, received.fds)),
            Ok(CellReply::Error { step, errno }) => Err(Failure { step, errno }),
            // An init that ended while it was set up was killed; there is no better number.
            Err(_) => Err(Failure {
                step: Step::ReadBack,
                errno: libc::ESRCH,
            }),
        }
    }
}

/// Sets up what does not change from cell to cell, in the namespaces that this process was made in.
fn enter_own(
    plan: &Plan,
    identity: Identity,
    mapped: Option<OwnedFd>,
    sources: Option<Vec<Source>>,
) -> Result<Option<Built>, Failure> {
    if namespaces(plan) == 0 {
        init::hide()?;
        return Ok(None);
    }
    identity.enter(mapped)?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).map_err(Failure::at(Step::PrivateMounts))?;
    let built = if is_left_out(Layer::Mounts) {
        None
    } else {
        Some(build(plan, sources)?)
    };
    if !is_left_out(Layer::Namespaces) {
        let proc = built.as_ref().map(|_| scratch::host_proc());
        forbid_user_namespaces(proc.as_deref().unwrap_or("/proc".as_ref()))
            .map_err(Failure::at(Step::UserNamespaces))?;
        rustix::system::sethostname(b"cell").map_err(Failure::at(Step::System))?;
        mounts::forget_handlers();
    }
    if !is_left_out(Layer::Caps) {
        capabilities::empty_bounding_set().map_err(Failure::at(Step::Capabilities))?;
    }
    Ok(built)
}

fn build(plan: &Plan, sources: Option<Vec<Source>>) -> Result<Built, Failure> {
    let sources = match sources {
        Some(sources) => sources,
        None => root::sources(plan, None).map_err(Failure::at(Step::Roots))?,
    };
    let built = root::build(plan, sources)?;
    if plan.shared {
        scratch::mount(&built)?;
        ground::loopback(plan)?;
    }
    Ok(built)
}

/// A second wall behind the filter: in this user namespace nobody may make another.
fn forbid_user_namespaces(proc: &Path) -> io::Result<()> {
    std::fs::write(proc.join("sys/user/max_user_namespaces"), "0")
}
