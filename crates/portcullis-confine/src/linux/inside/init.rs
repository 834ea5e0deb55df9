//! The init of a cell: pid 1, one command.
//!
//! The process that becomes the command waits for the host's request itself. The init blocks on nothing that its
//! command controls: its socket does not block, nothing is read from the command, and a process is waited for without
//! a time limit only after SIGKILL. The socket is the leash. When the host's end closes, parked or running, everything in the namespace
//! is killed.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags},
    mount::{MountFlags, MountPropagationFlags},
    process::{DumpableBehavior, Pid, Resource, Rlimit, Signal, WaitOptions, WaitStatus},
};

use super::{
    capabilities,
    child::{Command, Wait},
    failure::Failure,
    ground::Ground,
    identity::{self, Identity},
    landlock::{self, Rules},
    leash,
    memory::Watch,
    network,
    read_back::{self, Inherited},
    scratch,
    template::Common,
    tree::Tree,
};
use crate::{
    Net, Report, Step, Tier,
    ablation::{Layer, is_left_out},
    linux::{process, socket},
    wire::{self, CellReply, Outcome, REPLY_BYTES},
};

/// Runs this copy of the template as the init of a cell; never returns.
pub(super) fn run(sockets: Sockets<'_>, common: &Common, ground: Ground) -> ! {
    // A panic must not unwind into the template, of which this is a copy.
    let ran = catch_unwind(AssertUnwindSafe(|| {
        let set_up = set_up(common, ground);
        let parked = set_up.and_then(|walls| park(sockets, common, walls));
        if let Err(failure) = parked {
            tell(sockets.control, failure);
        }
    }));
    process::exit(i32::from(ran.is_err()))
}

/// The cell's ends of its two sockets.
#[derive(Clone, Copy)]
pub(super) struct Sockets<'a> {
    /// The leash: from the host what is to be done with a command, to it what became of one.
    pub(super) control: BorrowedFd<'a>,
    /// Where the one request comes.
    pub(super) request: BorrowedFd<'a>,
}

/// A process behind its walls.
struct Walls {
    tree: Tree,
    report: Report,
    listener: Option<OwnedFd>,
}

fn set_up(common: &Common, ground: Ground) -> Result<Walls, Failure> {
    let Ground { rules, inherited } = ground;
    #[cfg(feature = "test-points")]
    common.plan.stop_at(crate::TestPoint::InCell);
    let tree = common.tree();
    match tree {
        Tree::Namespace => leash::hang_on(&common.origin.maker)?,
        // If it were killed, its command would not be: it is told, and kills it.
        Tree::Domain | Tree::Subreaper => {
            leash::be_told(&common.origin.maker, Signal::TERM)?;
            rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
                .map_err(Failure::at(Step::Leash))?;
        }
    }
    rustix::thread::set_name(c"cell-init").map_err(Failure::at(Step::Hide))?;
    // The command's session: without a terminal, and not led by the command, so it can get none. Made
    // here because the kernel takes its time over a session's scheduling group.
    rustix::process::setsid().map_err(Failure::at(Step::Session))?;
    let listener = match common.plan.tier {
        Tier::Full | Tier::Namespaces => enclose(common)?,
        Tier::Landlock => {
            hide()?;
            None
        }
        Tier::Limits => {
            limit(common)?;
            None
        }
    };
    let landlock_abi = confine(common, rules)?;
    if is_left_out(Layer::Hidden) {
        rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable)
            .map_err(Failure::at(Step::Hide))?;
    }
    Ok(Walls {
        tree,
        report: read_back(common, inherited, landlock_abi)?,
        listener,
    })
}

/// What the kernel says is in force; an error if anything is missing that the plan promises.
fn read_back(
    common: &Common,
    inherited: Option<Inherited>,
    landlock_abi: u8,
) -> Result<Report, Failure> {
    #[cfg(feature = "ablation")]
    if crate::ablation::is_any_left_out() {
        // Trying what the layers refuse would do it.
        return Ok(Report::new(common.plan.tier, landlock_abi, []));
    }
    let host = common.origin.namespaces;
    let report = read_back::report(&common.plan, host, inherited, landlock_abi)
        .map_err(Failure::at(Step::ReadBack))?;
    match report.missing(&common.plan) {
        None => Ok(report),
        Some(_) => Err(Failure {
            step: Step::ReadBack,
            errno: libc::ENOSYS,
        }),
    }
}

/// Hands the cell out, waits for its one command and sees to it; an error only as long as it can be told by the socket
/// that the process was made with.
fn park(sockets: Sockets<'_>, common: &Common, walls: Walls) -> Result<(), Failure> {
    let keep: Vec<_> = [sockets.control, sockets.request]
        .into_iter()
        .chain(walls.listener.as_ref().map(AsFd::as_fd))
        .collect();
    let kept = process::keep_only(&keep).map_err(Failure::at(Step::Signals))?;
    // Its number belongs to another by now.
    std::mem::forget(walls.listener);
    let mut kept = kept.into_iter();
    if let (Some(control), Some(request), listener) = (kept.next(), kept.next(), kept.next()) {
        match Init::hand_out(
            &control,
            request,
            listener,
            common,
            walls.tree,
            walls.report,
        ) {
            Ok(init) => init.serve(),
            Err(failure) => tell(control.as_fd(), failure),
        }
    }
    Ok(())
}

/// Says to the template why there is no cell. If even this fails, it sees the end of the socket.
fn tell(control: BorrowedFd<'_>, Failure { step, errno }: Failure) {
    let message = CellReply::Error { step, errno }.encode();
    let _: std::io::Result<()> = socket::send(control, &message, &[]);
}

/// What the cell itself has to do in the namespaces that its template made ready.
fn enclose(common: &Common) -> Result<Option<OwnedFd>, Failure> {
    if common.namespaces & libc::CLONE_NEWPID != 0 {
        scratch::mount_proc(common.built.is_some()).map_err(Failure::at(Step::MountProc))?;
    } else if common.built.is_some() {
        scratch::bind_proc().map_err(Failure::at(Step::MountProc))?;
    }
    if common.built.is_some() {
        scratch::leave_stage().map_err(Failure::at(Step::Stage))?;
    }
    match common.plan.net {
        _ if is_left_out(Layer::Namespaces) => Ok(None),
        Net::Proxy => Some(network::listen_for_proxy())
            .transpose()
            .map_err(Failure::at(Step::Network)),
        Net::None | Net::Loopback | Net::Open => Ok(None),
    }
}

pub(super) fn hide() -> Result<(), Failure> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(Failure::at(Step::Hide))
}

/// Namespaces for processes and mounts, and `/proc`: what an exact kill needs, and no more.
fn limit(common: &Common) -> Result<(), Failure> {
    if let Identity::Own { user, group } = common.identity
        && common.namespaces & libc::CLONE_NEWUSER != 0
    {
        identity::map_own(user, group).map_err(Failure::at(Step::UserMap))?;
    }
    hide()?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).map_err(Failure::at(Step::PrivateMounts))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount("proc", "/proc", "proc", flags, None)
        .map_err(Failure::at(Step::MountProc))?;
    capabilities::keep_from_command().map_err(Failure::at(Step::Hide))
}

/// No turn on the processor before everybody else's, though the user may be allowed that.
fn no_precedence() -> rustix::io::Result<()> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    rustix::process::setrlimit(Resource::Rtprio, none)?;
    rustix::process::setrlimit(Resource::Nice, none)
}

/// The walls that a process puts around itself; says which Landlock is one of them.
fn confine(common: &Common, rules: Option<Rules>) -> Result<u8, Failure> {
    let Some(filter) = &common.filter else {
        return Ok(0);
    };
    no_precedence().map_err(Failure::at(Step::Limits))?;
    if is_left_out(Layer::Caps) {
        capabilities::pass_on().map_err(Failure::at(Step::Capabilities))?;
    } else {
        capabilities::give_up().map_err(Failure::at(Step::Capabilities))?;
    }
    let landlock_abi = match rules {
        Some(rules) => rules.restrict().map_err(Failure::at(Step::Landlock))?,
        None => 0,
    };
    if !is_left_out(Layer::Seccomp) {
        filter.install().map_err(Failure::at(Step::Seccomp))?;
    }
    Ok(landlock_abi)
}

struct Init<'a> {
    control: BorrowedFd<'a>,
    request: OwnedFd,
    children: OwnedFd,
    tree: Tree,
    /// Whether the cell has scratch directories of its own.
    has_scratch: bool,
    command: Command,
}

/// How long a request may be on its way from the socket into memory, on a machine that is busy with others.
const MOMENT: Duration = Duration::from_millis(1);
const MOMENTS: u32 = 100;

/// What the host wants of a running command.
enum Control {
    Nothing,
    Terminate,
    /// To kill a tree that has more memory than this.
    Watch(u64),
    Kill,
}

impl<'a> Init<'a> {
    /// Makes the process that waits for the request, and hands the cell to its template.
    fn hand_out(
        control: &'a OwnedFd,
        request: OwnedFd,
        listener: Option<OwnedFd>,
        common: &Common,
        tree: Tree,
        report: Report,
    ) -> Result<Self, Failure> {
        let children = process::child_signals().map_err(Failure::at(Step::Signals))?;
        let domain = match common.plan.tier {
            Tier::Landlock => {
                Some(landlock::apart_from_init().map_err(Failure::at(Step::Landlock))?)
            }
            Tier::Full | Tier::Namespaces | Tier::Limits => None,
        };
        let wait = Wait {
            request: request.as_fd(),
            not_its: [control.as_fd(), children.as_fd()],
            domain: domain.as_ref().map(AsFd::as_fd),
            tied: tree != Tree::Namespace,
            confined: common.plan.tier.confines(),
            turns: common.origin.turns,
        };
        let command = Command::park(&wait).map_err(Failure::at(Step::Clone))?;
        let has_copies = common
            .built
            .as_ref()
            .is_some_and(|built| !built.copies.is_empty());
        let copies = has_copies.then(scratch::open_copies).transpose();
        let handed: Vec<_> = listener
            .into_iter()
            .chain(copies.map_err(Failure::at(Step::Scratch))?)
            .collect();
        let handed: Vec<_> = handed.iter().map(AsFd::as_fd).collect();
        let parked = CellReply::Cell { pid: 0, report }.encode();
        socket::send(control, &parked, &handed).map_err(Failure::at(Step::Socket))?;
        // From here on it waits for two things at once, and may block on neither.
        rustix::io::ioctl_fionbio(control, true).map_err(Failure::at(Step::Signals))?;
        Ok(Self {
            control: control.as_fd(),
            request,
            children,
            tree,
            has_scratch: common.built.is_some(),
            command,
        })
    }

    /// Waits for the one command to end, and says what became of it; nothing if there was none.
    fn serve(self) {
        let control = self.control;
        if let Some(outcome) = self.supervise() {
            // The host may be gone; then nobody wants to know.
            let _: std::io::Result<()> = socket::send(control, &wire::outcome(outcome), &[]);
        }
    }

    /// Watches over the command until it has ended and everything that it started is gone.
    fn supervise(self) -> Option<Outcome> {
        let mut watch: Option<Watch> = None;
        loop {
            let fds = [self.control, self.children.as_fd()];
            let mut ready = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
            let until = watch.as_ref().map(Watch::due_in);
            if rustix::event::poll(&mut ready, until.as_ref()).is_err() {
                return self.killed();
            }
            let [control, child] = ready.map(|fd| !fd.revents().is_empty());
            match child.then(|| reap_until(self.command.pid, self.children.as_fd())) {
                Some(Reaped::Command(status)) => return self.ended(status),
                // The first process of a namespace is killed with its maker; there the signal is somebody else's.
                Some(Reaped::ToEnd) if self.tree != Tree::Namespace => return self.killed(),
                Some(Reaped::ToEnd | Reaped::Others) | None => {}
            }
            if control {
                match read_control(self.control) {
                    Control::Nothing => {}
                    // A cell that is only parked ends.
                    Control::Terminate if self.is_asked_for() => terminate(self.command.pid),
                    Control::Terminate | Control::Kill => return self.killed(),
                    Control::Watch(most) => {
                        watch = Some(Watch::new(most, self.tree, self.has_scratch));
                    }
                }
            }
            if watch.as_mut().is_some_and(Watch::is_over) {
                let outcome = Outcome::OverMemory {
                    processes: self.tree.kill(),
                    usage: process::children_usage(),
                };
                return self.over(outcome);
            }
        }
    }

    fn asked_for(&self) -> bool {
        self.command.asked_for(&self.request)
    }

    /// As [`Init::asked_for`] while the process may be just taking the request: for a moment it is neither in the socket
    /// any more nor in memory yet.
    fn is_asked_for(&self) -> bool {
        (0..MOMENTS).any(|moment| {
            if moment > 0 {
                std::thread::sleep(MOMENT);
            }
            self.asked_for()
        })
    }

    fn ended(self, status: WaitStatus) -> Option<Outcome> {
        let stragglers = self.tree.kill();
        let outcome = match self.command.failure() {
            Some(Failure { step, errno }) => Outcome::Failed { step, errno },
            None => Outcome::Exited {
                wait_status: status.as_raw(),
                stragglers,
                usage: process::children_usage(),
            },
        };
        self.over(outcome)
    }

    fn killed(self) -> Option<Outcome> {
        let outcome = Outcome::Killed {
            processes: self.tree.kill(),
            usage: process::children_usage(),
        };
        self.over(outcome)
    }

    /// What there is to say when the tree is gone. Nothing if no command was asked for: the host has gone, or somebody
    /// killed the process that waited.
    fn over(self, outcome: Outcome) -> Option<Outcome> {
        let asked_for = self.asked_for();
        // A request that nobody took holds the command's pipes open.
        drop(self.request);
        asked_for.then_some(outcome)
    }
}

/// What signals were about.
enum Reaped {
    Command(WaitStatus),
    Others,
    /// Not a child: the maker has ended.
    ToEnd,
}

/// Reaps what has ended; stops at the command itself.
fn reap_until(command: Pid, children: BorrowedFd<'_>) -> Reaped {
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
    if let Some(status) = reap() {
        return Reaped::Command(status);
    }
    let to_end = process::drain_signals(children);
    match reap() {
        Some(status) => Reaped::Command(status),
        None if to_end => Reaped::ToEnd,
        None => Reaped::Others,
    }
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
        Ok(received) if let Some(most) = wire::parse_watch(&message[..received.bytes]) => {
            Control::Watch(most)
        }
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Control::Nothing,
        // The end of the socket is the leash; a message that makes no sense is no reason to go on.
        Ok(_) | Err(_) => Control::Kill,
    }
}
