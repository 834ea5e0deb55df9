//! The init of a cell: pid 1, one socket, one command.
//!
//! It blocks on nothing that its command controls: once there is a command its socket does not block,
//! nothing is read from the command, and a process is waited for without a time limit only after
//! SIGKILL. The socket is the leash. When the host's end closes, parked or running, everything in the namespace
//! is killed.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    panic::{AssertUnwindSafe, catch_unwind},
};

use rustix::{
    event::{PollFd, PollFlags},
    mount::{MountFlags, MountPropagationFlags},
    process::{DumpableBehavior, Pid, Resource, Rlimit, Signal, WaitOptions, WaitStatus},
};

use super::{
    capabilities,
    failure::Failure,
    identity::{self, Identity},
    landlock,
    launch::{self, Launched, Memory},
    leash,
    memory::Watch,
    network, read_back, scratch,
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
pub(super) fn run(socket: &OwnedFd, common: &Common) -> ! {
    // A panic must not unwind into the template, of which this is a copy.
    let ran = catch_unwind(AssertUnwindSafe(|| match set_up(socket, common) {
        Ok(Ready {
            report,
            init,
            handed,
        }) => {
            let parked = CellReply::Cell { pid: 0, report }.encode();
            let sent = {
                let fds: Vec<_> = handed.iter().map(AsFd::as_fd).collect();
                socket::send(&init.socket, &parked, &fds)
            };
            drop(handed);
            if sent.is_ok() {
                init.serve();
            }
        }
        Err(Failure { step, errno }) => {
            // If even this fails, the template sees the end of the socket.
            let _: std::io::Result<()> =
                socket::send(socket, &CellReply::Error { step, errno }.encode(), &[]);
        }
    }));
    process::exit(i32::from(ran.is_err()))
}

/// An init that has been set up.
struct Ready {
    report: Report,
    init: Init,
    /// For the host: the proxy's listener, the directory of copies.
    handed: Vec<OwnedFd>,
}

fn set_up(socket: &OwnedFd, common: &Common) -> Result<Ready, Failure> {
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
    let landlock_abi = confine(common)?;
    let report = read_back(common, landlock_abi)?;
    // Last, because a failure is told through the socket's old number.
    let (socket, listener) =
        process::keep_only(socket.as_fd(), listener).map_err(Failure::at(Step::Signals))?;
    let children = process::child_signals().map_err(Failure::at(Step::Signals))?;
    let domain = match common.plan.tier {
        Tier::Landlock => Some(landlock::apart_from_init().map_err(Failure::at(Step::Landlock))?),
        Tier::Full | Tier::Namespaces | Tier::Limits => None,
    };
    let copies = common
        .built
        .as_ref()
        .filter(|built| !built.copies.is_empty());
    let copies = copies.map(|_| scratch::open_copies()).transpose();
    let copies = copies.map_err(Failure::at(Step::Scratch))?;
    let init = Init {
        socket,
        children,
        tree,
        confined: common.plan.tier.confines(),
        has_scratch: common.built.is_some(),
        memory: Memory::touched(common.origin.turns, domain),
    };
    Ok(Ready {
        report,
        init,
        handed: listener.into_iter().chain(copies).collect(),
    })
}

/// What the kernel says is in force; an error if anything is missing that the plan promises.
fn read_back(common: &Common, landlock_abi: u8) -> Result<Report, Failure> {
    #[cfg(feature = "ablation")]
    if crate::ablation::is_any_left_out() {
        // Trying what the layers refuse would do it.
        return Ok(Report::new(common.plan.tier, landlock_abi, []));
    }
    let report = read_back::report(&common.plan, common.origin.namespaces, landlock_abi)
        .map_err(Failure::at(Step::ReadBack))?;
    match report.missing(&common.plan) {
        None => Ok(report),
        Some(_) => Err(Failure {
            step: Step::ReadBack,
            errno: libc::ENOSYS,
        }),
    }
}

/// The cell's own part of its template's root and network.
fn enclose(common: &Common) -> Result<Option<OwnedFd>, Failure> {
    if let Some(built) = common.built.as_ref().filter(|_| !common.plan.shared) {
        scratch::mount(built)?;
    }
    if common.namespaces & libc::CLONE_NEWPID != 0 {
        scratch::mount_proc(common.built.is_some()).map_err(Failure::at(Step::MountProc))?;
    } else if common.built.is_some() {
        scratch::bind_proc().map_err(Failure::at(Step::MountProc))?;
    }
    if common.built.is_some() {
        scratch::leave_stage().map_err(Failure::at(Step::Stage))?;
    }
    if is_left_out(Layer::Namespaces) {
        return Ok(None);
    }
    if matches!(common.plan.net, Net::Loopback | Net::Proxy) && !common.plan.shared {
        network::loopback_up().map_err(Failure::at(Step::Network))?;
    }
    let listener = match common.plan.net {
        Net::Proxy => Some(network::listen_for_proxy().map_err(Failure::at(Step::Network))?),
        Net::None | Net::Loopback | Net::Open => None,
    };
    Ok(listener)
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
    rustix::process::setrlimit(Resource::Rtprio, none.clone())?;
    rustix::process::setrlimit(Resource::Nice, none)
}

/// The walls that a process puts around itself; says which Landlock is one of them.
fn confine(common: &Common) -> Result<u8, Failure> {
    let Some(filter) = &common.filter else {
        return Ok(0);
    };
    no_precedence().map_err(Failure::at(Step::Limits))?;
    if is_left_out(Layer::Caps) {
        capabilities::pass_on().map_err(Failure::at(Step::Capabilities))?;
    } else {
        capabilities::give_up().map_err(Failure::at(Step::Capabilities))?;
    }
    let scratch = common.built.as_ref().map(|built| built.scratch.as_slice());
    let landlock_abi = if common.plan.tier.has_landlock() && !is_left_out(Layer::Landlock) {
        landlock::restrict(&common.plan, scratch.unwrap_or_default())
            .map_err(Failure::at(Step::Landlock))?
    } else {
        0
    };
    if !is_left_out(Layer::Seccomp) {
        filter.install().map_err(Failure::at(Step::Seccomp))?;
    }
    Ok(landlock_abi)
}

struct Init {
    socket: OwnedFd,
    children: OwnedFd,
    tree: Tree,
    /// Whether the command may use nothing but what is in the cell.
    confined: bool,
    /// Whether the cell has scratch directories of its own.
    has_scratch: bool,
    memory: Memory,
}

/// What the host wants of a running command.
enum Control {
    Nothing,
    Terminate,
    Kill,
}

impl Init {
    /// Waits for the one command, runs it, and says what became of it.
    fn serve(self) {
        let Self {
            socket,
            children,
            tree,
            confined,
            has_scratch,
            memory,
        } = self;
        if tree != Tree::Namespace && is_told_to_end(socket.as_fd(), children.as_fd()) {
            return;
        }
        let outcome = match launch::receive_and_start(socket.as_fd(), memory, confined) {
            Ok(None) => return,
            Ok(Some(command)) => {
                let watch = command
                    .memory
                    .map(|most| Watch::new(most, tree, has_scratch));
                supervise(socket.as_fd(), children.as_fd(), tree, &command, watch)
            }
            Err(Failure { step, errno }) => Outcome::Failed { step, errno },
        };
        // The host may be gone; then nobody wants to know.
        let _: std::io::Result<()> = socket::send(&socket, &wire::outcome(outcome), &[]);
    }
}

/// Waits for the request; true if the maker ended instead.
fn is_told_to_end(socket: BorrowedFd<'_>, children: BorrowedFd<'_>) -> bool {
    let mut ready = [socket, children].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
    // Every signal is blocked, so nothing interrupts it. There is no child yet: the only signal is the maker's end.
    rustix::event::poll(&mut ready, None).is_err() || !ready[1].revents().is_empty()
}

/// Watches over the command until it has ended and everything that it started is gone.
fn supervise(
    socket: BorrowedFd<'_>,
    children: BorrowedFd<'_>,
    tree: Tree,
    command: &Launched,
    mut watch: Option<Watch>,
) -> Outcome {
    loop {
        let mut ready = [socket, children].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        let until = watch.as_ref().map(Watch::due_in);
        if rustix::event::poll(&mut ready, until.as_ref()).is_err() {
            return killed(tree);
        }
        let [control, child] = ready.map(|fd| !fd.revents().is_empty());
        match child.then(|| reap_until(command.pid, children)) {
            Some(Reaped::Command(status)) => return ended(tree, command, status),
            // In a namespace the signal can only be the command's: its maker's end is no signal there.
            Some(Reaped::ToEnd) if tree != Tree::Namespace => return killed(tree),
            Some(Reaped::ToEnd | Reaped::Others) | None => {}
        }
        if control {
            match read_control(socket) {
                Control::Nothing => {}
                Control::Terminate => terminate(command.pid),
                Control::Kill => return killed(tree),
            }
        }
        if watch.as_mut().is_some_and(Watch::is_over) {
            return Outcome::OverMemory {
                processes: tree.kill(),
                usage: process::children_usage(),
            };
        }
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

fn ended(tree: Tree, command: &Launched, status: WaitStatus) -> Outcome {
    let stragglers = tree.kill();
    match command.failure() {
        Some(Failure { step, errno }) => Outcome::Failed { step, errno },
        None => Outcome::Exited {
            wait_status: status.as_raw(),
            stragglers,
            usage: process::children_usage(),
        },
    }
}

fn killed(tree: Tree) -> Outcome {
    Outcome::Killed {
        processes: tree.kill(),
        usage: process::children_usage(),
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
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Control::Nothing,
        // The end of the socket is the leash; a message that makes no sense is no reason to go on.
        Ok(_) | Err(_) => Control::Kill,
    }
}
