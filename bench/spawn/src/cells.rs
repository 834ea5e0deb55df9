//! Commands in cells, straight through `portcullis-confine`: a template, the cells that it has parked, and one command
//! at a time or several.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use portcullis_confine::{
    Cell, CellCommand, Event, Plan, Protection, Rlimits, SpawnServer, Status, Template, Tier,
};
use rustix::event::{PollFd, PollFlags};

use crate::floor::read_all;

/// A template and its parked cells.
#[derive(Debug)]
pub struct Cells {
    template: Template,
    tier: Tier,
    parked: Mutex<Vec<Cell>>,
}

/// What a command is made of that does not change.
#[derive(Debug)]
pub struct Task {
    program: File,
    cwd: File,
    null: File,
    argv: Vec<CString>,
}

impl Task {
    /// Opens a program.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn new(program: &Path, args: &[&str]) -> anyhow::Result<Self> {
        let argv = args.iter().map(|&arg| CString::new(arg));
        Ok(Self {
            program: File::open(program)?,
            cwd: File::open("/")?,
            null: File::open("/dev/null")?,
            argv: argv.collect::<Result<_, _>>()?,
        })
    }
}

impl Cells {
    /// Has `parked` cells of `plan` made.
    ///
    /// # Errors
    /// They cannot be made.
    pub fn new(server: &SpawnServer, plan: &Plan, parked: usize) -> anyhow::Result<Self> {
        let cells = Self {
            template: server.template(plan)?,
            tier: plan.tier(),
            parked: Mutex::default(),
        };
        let made: anyhow::Result<Vec<Cell>> = (0..parked).map(|_| cells.make()).collect();
        *cells.lock() = made?;
        Ok(cells)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Cell>> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A cell made now.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn make(&self) -> anyhow::Result<Cell> {
        self.template.request_cell()?;
        loop {
            wait_readable(self.template.socket());
            if let Some(cell) = self.template.receive_cell()? {
                return Ok(cell);
            }
        }
    }

    /// A parked cell; another one is made in its place when [`Cells::park`] is called.
    ///
    /// # Errors
    /// None is parked.
    pub fn take(&self) -> anyhow::Result<Cell> {
        let cell = self.lock().pop();
        cell.ok_or_else(|| anyhow::anyhow!("no cell is parked"))
    }

    /// Parks one more cell, and waits until it is.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn park(&self) -> anyhow::Result<()> {
        let cell = self.make()?;
        self.lock().push(cell);
        Ok(())
    }

    /// A cell for one of several commands at once, a parked one if there is one; another is asked for in its place.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn next(&self) -> anyhow::Result<Cell> {
        self.template.request_cell()?;
        loop {
            let mut parked = self.lock();
            // One at a time: another thread may wait for the next.
            let found = match parked.pop() {
                Some(cell) => Some(cell),
                None => self.template.receive_cell()?,
            };
            drop(parked);
            match found {
                Some(cell) => return Ok(cell),
                None => wait_readable(self.template.socket()),
            }
        }
    }

    /// Runs a command in a cell and gives back what it wrote, when its whole tree is gone.
    ///
    /// # Errors
    /// It fails, or the cell was not proved by its own attempts: writing to the system, making a user namespace,
    /// opening what no rule grants.
    pub fn run(&self, cell: &Cell, task: &Task) -> anyhow::Result<[Vec<u8>; 2]> {
        let (stdout, its_stdout) = pipe()?;
        let (stderr, its_stderr) = pipe()?;
        cell.start(&CellCommand {
            program: task.program.as_fd(),
            argv: &task.argv,
            env: &[],
            cwd: task.cwd.as_fd(),
            stdin: task.null.as_fd(),
            stdout: its_stdout.as_fd(),
            stderr: its_stderr.as_fd(),
            limits: Rlimits::default(),
            observed: false,
        })?;
        drop((its_stdout, its_stderr));
        let outputs = [read_all(stdout)?, read_all(stderr)?];
        wait_readable(cell.socket());
        let event = cell.receive()?;
        let done = matches!(
            event,
            Some(Event::Exited {
                status: Status::Code(0),
                ..
            })
        );
        anyhow::ensure!(done, "{event:?}");
        let probed: &[Protection] = match self.tier {
            Tier::Full => &[
                Protection::OwnRoot,
                Protection::Seccomp,
                Protection::Landlock,
            ],
            Tier::Landlock => &[Protection::Seccomp, Protection::Landlock],
            Tier::Namespaces => &[Protection::OwnRoot, Protection::Seccomp],
            _ => &[],
        };
        anyhow::ensure!(
            probed.iter().all(|&probed| cell.report().has(probed)),
            "a cell without its probes: {}",
            cell.report()
        );
        Ok(outputs)
    }
}

/// Waits until a cell is gone, so that its end is no part of what is measured next.
pub fn settle(cell: &Cell) {
    wait_readable(cell.pidfd());
}

fn pipe() -> std::io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?)
}

fn wait_readable(fd: impl AsFd) {
    // A failure shows at the read that follows.
    let _: rustix::io::Result<usize> =
        rustix::event::poll(&mut [PollFd::new(&fd, PollFlags::IN)], None);
}
