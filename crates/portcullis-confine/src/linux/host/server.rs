//! The host's handle of the spawn server.

use std::{
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::{
    event::{PollFd, PollFlags, Timespec},
    io::Errno,
    net::{Shutdown, SocketFlags},
    process::{Pid, PidfdFlags},
};

use super::{cgroup::Groups, helper::Helper, remedy, template::Template};
use crate::{
    COOKIE, Plan, ServerError, StartError,
    ablation::{Layer, is_left_out},
    linux::{SERVER_NAME, enter, socket},
    wire,
};

/// How long a server may take to make its first cell; it takes about a millisecond.
const START_TIMEOUT: Timespec = Timespec {
    tv_sec: 10,
    tv_nsec: 0,
};

/// How long a server may take to end its cells before it is killed; a cell takes a millisecond.
const END_TIMEOUT: Timespec = Timespec {
    tv_sec: 2,
    tv_nsec: 0,
};

/// A limit that nothing comes near, of bytes and of processes.
const MANY: u64 = 1 << 40;

const PEER: &str = "spawn server";

/// The small process from which all cells descend.
///
/// Dropping it ends it, and with it every template and every cell, parked or running; that takes a few
/// milliseconds, at most two seconds.
#[derive(Debug)]
pub struct SpawnServer {
    socket: OwnedFd,
    process: Child,
    given_up: AtomicBool,
    /// Where cells have cgroups of their own.
    groups: Option<Arc<Groups>>,
}

impl SpawnServer {
    /// Starts `helper` as spawn server and has one cell of `plan` made, as proof that this system can: the cell
    /// tries what it must not be able to do.
    ///
    /// # Authority
    /// Ambient: the server runs as the user of this process.
    ///
    /// # Errors
    /// [`StartError`]; [`StartError::Cell`] names the step that this system refused and, where it is
    /// known, what to change.
    pub fn start(helper: &Helper, plan: &Plan) -> Result<Self, StartError> {
        enter::exit_if_reentered();
        if enter::cookie().is_some() {
            return Err(StartError::Reentered);
        }
        let failed = |source: io::Error| StartError::Run {
            path: helper.path().into(),
            source,
        };
        let (socket, theirs) = socket::pair(SocketFlags::empty()).map_err(failed)?;
        rustix::io::ioctl_fionbio(&socket, true).map_err(|errno| failed(errno.into()))?;
        let process = spawn(helper, theirs).map_err(failed)?;
        let groups = (!is_left_out(Layer::Rlimits)).then(Groups::open);
        let groups = groups
            .and_then(Result::ok)
            .filter(|groups| groups.take_in(process.id()).is_ok());
        let server = Self {
            socket,
            process,
            given_up: AtomicBool::new(false),
            groups: groups.map(Arc::new),
        };
        let proved = match &server.groups {
            // Any limit will do to see whether a cell can be made in a group.
            Some(_) => server.prove(
                helper,
                &plan.clone().limit_memory(MANY).limit_processes(MANY),
            ),
            None => server.prove(helper, plan),
        };
        match (&server.groups, proved) {
            (Some(groups), Err(StartError::Cell { .. })) => {
                // A kernel or a container that makes no process in another group.
                groups.give_up();
                server.prove(helper, plan)?;
            }
            (_, proved) => proved?,
        }
        Ok(server)
    }

    /// The socket: readable when the server has ended.
    #[must_use]
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// The process number of the server.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Whether cells have cgroups of their own, if their plan limits something.
    #[must_use]
    pub fn has_cgroups(&self) -> bool {
        self.groups
            .as_ref()
            .is_some_and(|groups| groups.is_in_use())
    }

    /// Whether it has ended, or has been given up.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let mut ready = [PollFd::new(&self.socket, PollFlags::IN)];
        // It never says anything here, so all there is to read is its end.
        self.check().is_err() || rustix::event::poll(&mut ready, Some(&now)) != Ok(0)
    }

    /// Asks for a template of this plan. Never waits: what becomes of it shows when a cell is asked for.
    ///
    /// # Errors
    /// [`ServerError::PlanTooLarge`], [`ServerError::Busy`] if hundreds are under way; otherwise the server has been
    /// given up.
    pub fn template(&self, plan: &Plan) -> Result<Template, ServerError> {
        self.check()?;
        let (message, roots) = wire::plan::encode(plan).ok_or(ServerError::PlanTooLarge)?;
        let io = |source| ServerError::Io { peer: PEER, source };
        let (ours, theirs) = socket::pair(SocketFlags::empty()).map_err(io)?;
        rustix::io::ioctl_fionbio(&ours, true).map_err(|errno| io(errno.into()))?;
        let fds: Vec<_> = std::iter::once(theirs.as_fd()).chain(roots).collect();
        match socket::send(&self.socket, &message, &fds) {
            Ok(()) => {
                let limited = self.groups.as_ref().and_then(|groups| groups.limited(plan));
                Ok(Template::new(ours, limited))
            }
            Err(source) => Err(match Errno::from_io_error(&source) {
                Some(Errno::AGAIN) => ServerError::Busy,
                Some(Errno::PIPE | Errno::CONNRESET) => {
                    self.give_up(ServerError::Gone { peer: PEER })
                }
                _ => self.give_up(io(source)),
            }),
        }
    }

    fn check(&self) -> Result<(), ServerError> {
        if self.given_up.load(Ordering::Acquire) {
            Err(ServerError::GivenUp)
        } else {
            Ok(())
        }
    }

    /// Lets the server end, and its cells with it, and passes on why.
    fn give_up(&self, why: ServerError) -> ServerError {
        self.given_up.store(true, Ordering::Release);
        let _: rustix::io::Result<()> = rustix::net::shutdown(&self.socket, Shutdown::Both);
        why
    }

    /// Has one cell made and lets it go.
    fn prove(&self, helper: &Helper, plan: &Plan) -> Result<(), StartError> {
        let not_serving = |problem| StartError::NotServing {
            path: helper.path().into(),
            problem,
        };
        let template = match self.template(plan) {
            Err(ServerError::Gone { .. }) => return Err(not_serving("ended at once")),
            other => other?,
        };
        let no_cell = |step, errno| StartError::Cell {
            step,
            errno,
            remedy: remedy::find(plan.tier(), step, errno, helper.path()),
        };
        match template.request_cell() {
            Ok(()) => {}
            Err(ServerError::Gone { .. }) => return Err(not_serving("ended at once")),
            // It can have said so before it was asked.
            Err(ServerError::Cell { step, errno }) => return Err(no_cell(step, errno)),
            Err(error) => return Err(error.into()),
        }
        let socket = template.socket();
        let mut ready = [PollFd::new(&socket, PollFlags::IN)];
        match rustix::io::retry_on_intr(|| rustix::event::poll(&mut ready, Some(&START_TIMEOUT))) {
            Ok(0) => return Err(not_serving("did not answer within 10 seconds")),
            Ok(_) => {}
            Err(errno) => {
                return Err(ServerError::Io {
                    peer: PEER,
                    source: errno.into(),
                }
                .into());
            }
        }
        match template.receive_cell() {
            Ok(Some(_)) => Ok(()),
            Ok(None) | Err(ServerError::Gone { .. }) => Err(not_serving("ended at once")),
            Err(ServerError::Cell { step, errno }) => Err(no_cell(step, errno)),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for SpawnServer {
    fn drop(&mut self) {
        // Asked first, because it then reaps its inits; nothing but the time limit can be waited for.
        let _: rustix::io::Result<()> = rustix::net::shutdown(&self.socket, Shutdown::Both);
        wait_for_end(&self.process);
        // Neither can fail in a way that leaves something to do.
        let _: io::Result<()> = self.process.kill();
        let _: io::Result<std::process::ExitStatus> = self.process.wait();
    }
}

/// Waits until a child has ended, but not for long.
fn wait_for_end(child: &Child) {
    // Not reaped yet, so the number is still the child's.
    if let Ok(pidfd) = rustix::process::pidfd_open(Pid::from_child(child), PidfdFlags::empty()) {
        let mut ended = [PollFd::new(&pidfd, PollFlags::IN)];
        let _: rustix::io::Result<usize> = rustix::event::poll(&mut ended, Some(&END_TIMEOUT));
    }
}

/// Runs the helper with one socket, one variable and nothing else.
///
/// Nothing here may make the standard library fork (`pre_exec`, `uid`): the host may be large.
#[expect(
    clippy::disallowed_methods,
    reason = "the spawn server itself, under no decision"
)]
fn spawn(helper: &Helper, socket: OwnedFd) -> io::Result<Child> {
    let mut command = Command::new(helper.exec_path());
    command
        .arg0(SERVER_NAME)
        .env_clear()
        .env(COOKIE, std::process::id().to_string());
    #[cfg(feature = "ablation")]
    command.envs(crate::ablation::variable());
    command
        .stdin(socket)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}
