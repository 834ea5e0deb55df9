//! Commands that run beside the guest.
//!
//! A task of its own watches over each, so that its time runs out, and its end is written down, whatever the guest does
//! meanwhile. None outlives the guest's call.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_exec::{Piped, Status, Stream, Streams};
use portcullis_policy::{Code, GuestError};
use tokio::io::AsyncWrite;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::begun::Ended;
use super::{Admitted, Asked, Gate, NotRun, Refused, Wish, no_server};
use crate::capability::http::Requests;
use crate::digest;

/// How long the end of a call waits for its commands to be gone. Killing them takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where the streams of a command lead that runs beside the guest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Modes {
    /// Whether the guest writes its standard input.
    pub(crate) stdin: bool,
    pub(crate) stdout: Way,
    /// `None`: where standard output goes.
    pub(crate) stderr: Option<Way>,
}

/// What becomes of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Null,
    /// The guest reads it.
    Pipe,
    /// Where the guest's own goes.
    Inherit,
}

/// A command that runs beside the guest. Dropping it kills the command; its streams stay readable.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) streams: Piped,
    over: watch::Receiver<Option<Over>>,
}

/// What the guest learns of the end of a command.
pub(crate) type Over = Result<Outcome, Refused>;

/// What became of a command.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) status: Status,
    /// The limit it was killed for.
    pub(crate) killed_for: Option<Code>,
    /// Whether it was killed because the guest wanted that, or came to its own end.
    pub(crate) asked: bool,
    pub(crate) stdout_truncated: bool,
    pub(crate) stderr_truncated: bool,
    pub(crate) duration: Duration,
}

impl Child {
    /// What became of it, if it is over.
    pub(crate) fn try_wait(&self) -> Option<Over> {
        let gone = self.over.has_changed().is_err();
        let over = *self.over.borrow();
        // A task that was given up tells nothing any more.
        over.or_else(|| gone.then(|| Err(GuestError::CannotStart.into())))
    }

    /// Waits until it is over. What it writes meanwhile is held.
    pub(crate) async fn wait(&self) -> Over {
        self.ending().wait().await;
        self.try_wait()
            .unwrap_or_else(|| Err(GuestError::CannotStart.into()))
    }

    /// What a pollable needs to wait for its end, whatever becomes of this.
    pub(crate) fn ending(&self) -> Ending {
        Ending {
            streams: self.streams.clone(),
            over: self.over.clone(),
        }
    }
}

/// The end of a command.
#[derive(Clone, Debug)]
pub(crate) struct Ending {
    streams: Piped,
    over: watch::Receiver<Option<Over>>,
}

impl Ending {
    /// Waits for it. What the command writes meanwhile is held.
    pub(crate) async fn wait(&self) {
        let mut over = self.over.clone();
        let over = async {
            // An error says that nobody is left to tell.
            let _ = over.wait_for(Option::is_some).await;
        };
        self.streams.meanwhile(over).await;
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.streams.kill();
    }
}

/// All commands that run beside one guest, and what became of those that ended. All clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Children(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    running: Vec<(Piped, JoinHandle<()>)>,
    ended: Vec<Ended>,
}

impl std::fmt::Debug for Children {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Children")
            .field("running", &self.inner().running.len())
            .finish_non_exhaustive()
    }
}

impl Children {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Whole between two statements.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, streams: Piped, task: JoinHandle<()>) {
        let mut inner = self.inner();
        inner.running.retain(|(_, task)| !task.is_finished());
        inner.running.push((streams, task));
    }

    /// Waits until those are gone that were dropped or killed: they are no reason to refuse another.
    async fn killed_are_gone(&self) {
        let killed: Vec<_> = {
            let mut inner = self.inner();
            let (killed, running) = std::mem::take(&mut inner.running)
                .into_iter()
                .partition(|(streams, _)| streams.is_killed());
            inner.running = running;
            killed
        };
        gone(killed).await;
    }

    fn kill(&self) {
        self.inner()
            .running
            .iter()
            .for_each(|(streams, _)| streams.kill());
    }

    /// Kills all and waits until they are gone.
    async fn end(&self) {
        self.kill();
        let running = std::mem::take(&mut self.inner().running);
        gone(running).await;
    }
}

/// Waits until these are gone.
async fn gone(killed: Vec<(Piped, JoinHandle<()>)>) {
    let until = tokio::time::Instant::now() + PATIENCE;
    for (_, mut task) in killed {
        if tokio::time::timeout_at(until, &mut task).await.is_err() {
            // Whoever takes its output does not come back; dropping the task kills all the same.
            task.abort();
            let _ = task.await;
        }
    }
}

/// Ends the commands and requests beside a guest whose call is given up.
#[derive(Debug)]
pub(crate) struct KilledOnDrop(Children, Requests);

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        self.0.kill();
        self.1.give_up();
    }
}

impl Gate {
    /// Starts a native command that runs beside the guest.
    pub(crate) async fn spawn(&mut self, wish: Wish, modes: Modes) -> Result<Child, Refused> {
        match self.beside(wish, modes).await {
            Ok(child) => Ok(child),
            Err(NotRun::Guest(refused)) => Err(refused),
            Err(NotRun::CutOff(_)) => Err(GuestError::CannotStart.into()),
        }
    }

    async fn beside(&mut self, wish: Wish, modes: Modes) -> Result<Child, NotRun> {
        self.note_beside(&wish.ask);
        let asked = Asked {
            stdin: modes.stdin,
            inherit_output: [Some(modes.stdout), modes.stderr].contains(&Some(Way::Inherit)),
        };
        self.make_room().await;
        let Admitted {
            mut begun,
            authorized,
            opened,
            permit,
        } = self.admit(wish.ask, asked).await?;
        let deadline = self.until(wish.timeout);
        let Some(executor) = self.parts.executor.clone() else {
            return Err(self.not_begun(begun.failed(no_server())));
        };
        let (streams, digests) =
            digest::of_streams(self.streams(modes), self.parts.trail.key.as_deref());
        begun.digests = digests;
        let spawned = executor.spawn(authorized, opened, streams, deadline, permit);
        let (streams, running) = match spawned.await {
            Ok(spawned) => spawned,
            Err(failure) => return Err(self.not_begun(begun.ended(Err(failure)))),
        };
        let (tell, over) = watch::channel(None);
        let children = self.children.clone();
        let task = tokio::spawn(async move {
            let ended = begun.ended(running.finish().await);
            let told = over_of(&ended);
            children.inner().ended.push(ended);
            tell.send_replace(Some(told));
        });
        self.children.add(streams.clone(), task);
        Ok(Child { streams, over })
    }

    fn not_begun(&mut self, ended: Ended) -> NotRun {
        match self.ended(ended) {
            Err(not_run) => not_run,
            Ok(_) => NotRun::Guest(GuestError::CannotStart.into()),
        }
    }

    fn streams(&self, modes: Modes) -> Streams {
        let stdio = &self.parts.stdio;
        let stream = |way, inherited: Option<Box<dyn AsyncWrite + Send + Unpin>>| match way {
            Way::Null => Stream::Null,
            Way::Pipe => Stream::Pipe(None),
            Way::Inherit => inherited.map_or(Stream::Null, Stream::Relay),
        };
        Streams {
            stdin: modes.stdin,
            stdout: stream(modes.stdout, stdio.stdout_of_command()),
            stderr: modes
                .stderr
                .map(|way| stream(way, stdio.stderr_of_command())),
        }
    }

    /// Makes room for one more command, if only those that were dropped take it.
    pub(super) async fn make_room(&mut self) {
        if self.parts.quota.children_left() == 0 {
            self.children.killed_are_gone().await;
        }
    }

    /// Tells the operator of the commands that have ended since the last time.
    pub(super) fn collect(&mut self) {
        let ended = std::mem::take(&mut self.children.inner().ended);
        for ended in ended {
            // The guest was told by the child itself.
            let _ = self.ended(ended);
        }
    }

    /// Ends all that is beside the guest when it is dropped: for a call that is given up.
    pub(crate) fn killed_on_drop(&self) -> KilledOnDrop {
        KilledOnDrop(self.children.clone(), self.requests.clone())
    }

    /// Ends the commands and requests of a guest whose call is over, and tells the operator of them.
    pub(crate) async fn settle(&mut self) {
        self.children.end().await;
        self.collect();
        self.end_requests().await;
    }
}

fn over_of(ended: &Ended) -> Over {
    if ended.written.is_err() {
        return Err(GuestError::CannotStart.into());
    }
    match &ended.became {
        Ok(completed) => Ok(Outcome {
            status: completed.status,
            killed_for: completed.killed_for,
            asked: completed.asked,
            stdout_truncated: completed.stdout_truncated,
            stderr_truncated: completed.stderr_truncated,
            duration: completed.duration,
        }),
        Err(_) => Err(GuestError::CannotStart.into()),
    }
}
