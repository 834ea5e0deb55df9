//! The spawn server: one thread, one socket, and a copy of itself for every plan.
//!
//! It never touches a running command. It makes templates, reaps those that are done, and ends when its host does.
//! First it kills and reaps the templates that are left, so that nobody inherits them; if it is killed itself, the
//! kernel's parent-death signal kills them, and with them their cells.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    panic::{AssertUnwindSafe, catch_unwind},
};

use rustix::{
    event::{PollFd, PollFlags},
    process::{Pid, PidfdFlags, Signal, WaitOptions},
};

use super::{
    failure::Failure,
    identity::{self, Identity},
    read_back::Namespaces,
    root::{self, Source},
    template::{self, Parts},
    turns::{self, Turns},
};
use crate::{
    Plan, Step,
    ablation::{Layer, is_left_out},
    linux::{
        process::{self, Side},
        socket,
    },
    wire::{self, CellReply, MAX_REQUEST_BYTES},
};

/// Serves `host` until it or its process is gone; never returns.
pub(in crate::linux) fn serve(host: OwnedFd, parent: OwnedFd) -> ! {
    // A panic must not unwind into the application's `main`, of which this is a second copy.
    let served = catch_unwind(AssertUnwindSafe(|| {
        let mut server = Server::new(host, parent)?;
        let ran = server.run();
        server.end_templates();
        ran
    }));
    process::exit(i32::from(!matches!(served, Ok(Ok(())))))
}

/// What a process has to know about the server that it descends from.
pub(super) struct Origin {
    /// The pidfd of the process that made this one.
    pub(super) maker: OwnedFd,
    pub(super) namespaces: Namespaces,
    /// The host's turns on the processor, which the server has shortened for itself and its copies.
    pub(super) turns: Option<Turns>,
}

struct Server {
    /// Host, its process, and signals of children; taken away from copies.
    ends: Option<[OwnedFd; 3]>,
    origin: Option<Origin>,
    /// The namespace by which root's files are shown to root's commands, made when it is needed.
    owners: Option<OwnedFd>,
    /// The templates that have not been reaped; their numbers cannot go to anybody else.
    templates: Vec<Pid>,
    message: Vec<u8>,
}

/// A template about to be made.
struct Order {
    plan: Plan,
    host: OwnedFd,
    identity: Identity,
    /// The plan's roots, where only the server can mount them.
    sources: Option<Vec<Source>>,
}

impl Server {
    fn new(host: OwnedFd, parent: OwnedFd) -> io::Result<Self> {
        // A session of its own: a terminal's signals are for the host, which then ends us.
        rustix::process::setsid()?;
        rustix::process::chdir("/")?;
        rustix::thread::set_name(c"spawn-server")?;
        if !is_left_out(Layer::Caps) {
            rustix::thread::set_no_new_privs(true)?;
        }
        process::block_and_reset_signals();
        let own = rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty())?;
        Ok(Self {
            ends: Some([host, parent, process::child_signals()?]),
            origin: Some(Origin {
                maker: own,
                namespaces: Namespaces::read()?,
                turns: turns::shorten(),
            }),
            owners: None,
            templates: Vec::new(),
            message: vec![0; MAX_REQUEST_BYTES],
        })
    }

    fn run(&mut self) -> io::Result<()> {
        loop {
            let Some(ends) = &self.ends else {
                return Ok(());
            };
            let [host, parent, children] = {
                let mut ready = ends.each_ref().map(|fd| PollFd::new(fd, PollFlags::IN));
                rustix::io::retry_on_intr(|| rustix::event::poll(&mut ready, None))?;
                ready.map(|fd| !fd.revents().is_empty())
            };
            if parent {
                return Ok(());
            }
            if children {
                process::drain_signals(ends[2].as_fd());
                self.reap();
            }
            if host && !self.answer()? {
                return Ok(());
            }
        }
    }

    fn reap(&mut self) {
        while let Ok(Some((ended, _))) = rustix::process::wait(WaitOptions::NOHANG) {
            self.templates.retain(|&template| template != ended);
        }
    }

    /// Has every template end its cells and itself, and waits until they are gone.
    ///
    /// A template that does not would be killed by the kernel when the host has lost its patience with us.
    fn end_templates(&self) {
        for &template in &self.templates {
            // It may have ended by itself; it is waited for below.
            let _: rustix::io::Result<()> = rustix::process::kill_process(template, Signal::TERM);
        }
        while let Ok(Some(_)) = rustix::process::wait(WaitOptions::empty()) {}
    }

    /// Answers one request; `false` when there will be no more.
    fn answer(&mut self) -> io::Result<bool> {
        let Some([host, ..]) = &self.ends else {
            return Ok(false);
        };
        let received = socket::receive(host, &mut self.message)?;
        if received.bytes == 0 {
            return Ok(false);
        }
        let mut fds = received.fds;
        if fds.is_empty() {
            return Err(io::Error::other("a plan without a socket"));
        }
        let host = fds.remove(0);
        // A host that does not speak our language is not our host.
        let plan =
            wire::plan::parse(&self.message[..received.bytes], fds).map_err(io::Error::other)?;
        let copy = host.try_clone()?;
        if let Err(Failure { step, errno }) =
            self.prepare(plan, host).and_then(|order| self.make(order))
        {
            // The host may have lost interest; then nobody wants to know.
            let _: io::Result<()> =
                socket::send(&copy, &CellReply::Error { step, errno }.encode(), &[]);
        }
        Ok(true)
    }

    fn prepare(&mut self, plan: Plan, host: OwnedFd) -> Result<Order, Failure> {
        let identity = Identity::of(&plan)?;
        let sources = match identity {
            Identity::Own { .. } => None,
            Identity::Mapped => Some(
                self.mapped_sources(&plan)
                    .map_err(Failure::at(Step::Owners))?,
            ),
        };
        Ok(Order {
            plan,
            host,
            identity,
            sources,
        })
    }

    fn mapped_sources(&mut self, plan: &Plan) -> io::Result<Vec<Source>> {
        let owners = match self.owners.take() {
            Some(owners) => owners,
            None => identity::owners()?,
        };
        let sources = root::sources(plan, Some(owners.as_fd()));
        self.owners = Some(owners);
        sources
    }

    fn make(&mut self, order: Order) -> Result<(), Failure> {
        let (mapped, map) = match order.identity {
            Identity::Own { .. } => (None, None),
            Identity::Mapped => {
                let flags = rustix::pipe::PipeFlags::CLOEXEC;
                let (read, write) =
                    rustix::pipe::pipe_with(flags).map_err(Failure::at(Step::Namespaces))?;
                (Some(read), Some(write))
            }
        };
        #[cfg(feature = "test-points")]
        order.plan.stop_at(crate::TestPoint::BeforeTemplate);
        let side = process::fork_into(template::namespaces(&order.plan), None);
        match side.map_err(Failure::at(Step::Namespaces))? {
            Side::Child => {
                drop(map);
                self.become_template(order, mapped)
            }
            Side::Parent { pid, .. } => {
                self.templates
                    .extend(i32::try_from(pid).ok().and_then(Pid::from_raw));
                map.map_or(Ok(()), |map| let_go(pid, map.as_fd()))
            }
        }
    }

    /// The rest of a copy's life.
    fn become_template(&mut self, order: Order, mapped: Option<OwnedFd>) -> ! {
        // The host must not have to wait for us to see that the server has ended.
        drop(self.ends.take());
        match self.origin.take() {
            Some(origin) => template::run(Parts {
                plan: order.plan,
                host: order.host,
                identity: order.identity,
                mapped,
                sources: order.sources,
                origin,
            }),
            None => process::exit(1),
        }
    }
}

/// Maps a template's user and lets it go on. If that fails the template sees the pipe's end and says so.
fn let_go(pid: u32, map: BorrowedFd<'_>) -> Result<(), Failure> {
    identity::map_nobody(pid).map_err(Failure::at(Step::UserMap))?;
    rustix::io::write(map, &[1]).map_err(Failure::at(Step::UserMap))?;
    Ok(())
}
