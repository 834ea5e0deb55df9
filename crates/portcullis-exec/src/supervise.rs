//! Watching over a running command: its pipes, its time, its end.

use std::future::pending;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::pin::pin;
use std::time::{Duration, Instant};

use portcullis_confine::{self as confine, Cell, Event, ServerError, Usage};
use portcullis_policy::Code;
use tokio::io::AsyncRead;
use tokio::io::unix::AsyncFd;
use tokio::time::sleep_until;

use crate::aftermath::Aftermath;
use crate::capture::{Feed, Interrupted};
use crate::care::TreeNote;
use crate::piped::{Piped, Stop};
use crate::relay::{self, Gone, Sink};
use crate::{ExecFailure, Pauses, Quota, Status};

/// How long a cell may take to confirm a kill.
const KILL_WAIT: Duration = Duration::from_secs(1);

/// When a command is asked to end, and when it is made to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    term: Option<tokio::time::Instant>,
    pub(crate) kill: tokio::time::Instant,
}

impl Times {
    pub(crate) fn new(
        started: Instant,
        deadline: Option<Instant>,
        timeout: Duration,
        grace: Duration,
    ) -> Self {
        // Beyond what the clock can say there is no end.
        let far = started + Duration::from_secs(60 * 60 * 24 * 365);
        let own = started.checked_add(timeout).unwrap_or(far);
        let kill = deadline.map_or(own, |deadline| deadline.min(own));
        let term = kill
            .checked_sub(grace)
            .map_or(started, |term| term.max(started));
        let term = (!grace.is_zero()).then(|| term.into());
        Self {
            term,
            kill: kill.into(),
        }
    }
}

/// What is still to be written to the command.
pub(crate) enum Source {
    /// All that it gets, as far as the pipe did not hold it at once.
    Bytes(Feed),
    /// What comes while it runs.
    Relay(OwnedFd, Box<dyn AsyncRead + Send + Unpin>),
    /// What somebody writes while it runs.
    Piped(Piped),
}

impl std::fmt::Debug for Source {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What is passed to a command may be a secret.
        out.write_str("Source(..)")
    }
}

/// What is known when the tree is gone.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: Status,
    pub(crate) stragglers: u32,
    pub(crate) usage: Usage,
    pub(crate) killed_for: Option<Code>,
    pub(crate) asked: bool,
    pub(crate) trees: Vec<TreeNote>,
}

/// A cell whose socket is waited for. Dropping it kills everything in it.
pub(crate) type Leash = AsyncFd<Held>;

#[derive(Debug)]
pub(crate) struct Held(pub(crate) Cell);

impl AsFd for Held {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.socket()
    }
}

impl AsRawFd for Held {
    fn as_raw_fd(&self) -> RawFd {
        self.0.socket().as_raw_fd()
    }
}

/// Waits for what becomes of the command.
async fn event(cell: &Leash) -> Result<Event, ExecFailure> {
    let lost = |source| {
        ExecFailure::Server(ServerError::Io {
            peer: "cell",
            source,
        })
    };
    loop {
        let mut ready = cell.readable().await.map_err(lost)?;
        match cell.get_ref().0.receive().map_err(ExecFailure::Server)? {
            Some(event) => return Ok(event),
            None => ready.clear_ready(),
        }
    }
}

/// A command that is watched over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watched<'a> {
    pub(crate) cell: &'a Leash,
    /// Whoever may have it killed before its time.
    pub(crate) stop: Option<&'a Piped>,
    pub(crate) times: Times,
    /// When its time stands still.
    pub(crate) pauses: &'a Pauses,
    /// How long they were when its time began.
    pub(crate) paused_before: Duration,
    pub(crate) quota: &'a Quota,
}

impl Watched<'_> {
    /// How much later than by the clock its time is over.
    fn late(&self) -> Duration {
        self.pauses.late(self.paused_before)
    }
}

/// Feeds and drains until the tree is gone, and sees to it that it is in time.
pub(crate) async fn supervise(
    watched: Watched<'_>,
    source: Option<Source>,
    sinks: [&mut Sink; 2],
    aftermath: &mut Aftermath,
) -> Result<Ended, ExecFailure> {
    let Watched {
        cell, stop, times, ..
    } = watched;
    let (tell, gone) = Gone::channel();
    let mut streams = pin!(exchange(source, sinks, watched.quota, &gone));
    let mut stopped = pin!(async {
        match stop {
            Some(piped) => piped.stopped().await,
            None => pending().await,
        }
    });
    let mut open = true;
    let mut watch = Watch::new(times);
    let mut event = pin!(event(cell));
    let event = loop {
        tokio::select! {
            biased;
            event = &mut event => break event?,
            ended = &mut streams, if open => {
                open = false;
                match ended {
                    Ok(()) => {}
                    Err(Interrupted::Pipe(error)) => return Err(ExecFailure::Pipe(error)),
                    Err(Interrupted::Limit(code)) => {
                        watch.killed_for = Some(code);
                        watch.kill(cell);
                    }
                    Err(Interrupted::Relay(error)) => {
                        watch.cut_off = Some(error);
                        watch.kill(cell);
                    }
                }
            }
            stop = &mut stopped, if !watch.is_killed() => {
                match stop {
                    Stop::Asked => watch.asked = true,
                    Stop::Limit(code) => watch.killed_for = Some(code),
                }
                watch.kill(cell);
            }
            () = sleep_until(watch.next(watched.late())) => watch.expired(cell, watched.late())?,
        }
    };
    if !watch.is_killed()
        && let Some(code) = stop.and_then(Piped::beyond)
    {
        // It ended by itself meanwhile: whoever reads it may have closed the stream that was too long.
        watch.killed_for = Some(code);
    }
    tell.send_replace(true);
    let rest = async { if open { streams.await } else { Ok(()) } };
    let trees = async {
        match event {
            Event::Failed { .. } => Vec::new(),
            Event::Exited { .. } | Event::OverMemory { .. } | Event::Killed { .. } => {
                aftermath.settle().await
            }
        }
    };
    // Whoever reads the rest may take a long time over it; what the command left is not left for as long.
    let (rest, trees) = tokio::join!(rest, trees);
    match rest {
        Err(Interrupted::Pipe(error)) => return Err(ExecFailure::Pipe(error)),
        Err(Interrupted::Relay(error)) => watch.cut_off = Some(error),
        // What came after the end of the command was only counted; the command is over.
        Ok(()) | Err(Interrupted::Limit(_)) => {}
    }
    match watch.cut_off.take() {
        Some(error) => {
            for note in trees {
                tracing::warn!(?note, "a command that was cut off left this");
            }
            Err(ExecFailure::Relay(error))
        }
        None => ended(event, &watch, trees),
    }
}

/// Writes standard input and reads both outputs until all three are at their end, or the command is gone.
async fn exchange(
    source: Option<Source>,
    [stdout, stderr]: [&mut Sink; 2],
    quota: &Quota,
    gone: &Gone,
) -> Result<(), Interrupted> {
    let feed = async {
        match source {
            Some(Source::Bytes(feed)) => feed.finish().await,
            Some(Source::Relay(pipe, source)) => relay::feed(pipe, source).await,
            Some(Source::Piped(piped)) => piped.feed().await,
            None => Ok(()),
        }
    };
    let feed = async {
        tokio::select! {
            fed = feed => fed,
            // Nobody is left to read it, and whoever gives it may have nothing more to give for ever.
            () = gone.wait() => Ok(()),
        }
    };
    let out = stdout.drain(quota, gone);
    let err = stderr.drain(quota, gone);
    tokio::try_join!(out, err, feed).map(|_| ())
}

/// What has been done to end a command, and what comes next.
#[derive(Debug)]
struct Watch {
    term: Option<tokio::time::Instant>,
    kill: tokio::time::Instant,
    /// When the cell must have confirmed a kill.
    confirm: Option<tokio::time::Instant>,
    timed_out: bool,
    killed_for: Option<Code>,
    /// Whether somebody asked for its end.
    asked: bool,
    /// Why its streams could not be passed on.
    cut_off: Option<io::Error>,
}

impl Watch {
    fn new(Times { term, kill }: Times) -> Self {
        Self {
            term,
            kill,
            confirm: None,
            timed_out: false,
            killed_for: None,
            asked: false,
            cut_off: None,
        }
    }

    fn is_killed(&self) -> bool {
        self.confirm.is_some()
    }

    /// When something is due, for a command whose time is over so much later than by the clock.
    fn next(&self, late: Duration) -> tokio::time::Instant {
        let end = || self.term.unwrap_or(self.kill) + late;
        self.confirm.unwrap_or_else(end)
    }

    /// Does what is due, unless time stood still since that was reckoned.
    fn expired(&mut self, cell: &Leash, late: Duration) -> Result<(), ExecFailure> {
        if self.confirm.is_some() {
            return Err(ExecFailure::NotReaped);
        }
        if tokio::time::Instant::now() < self.next(late) {
            return Ok(());
        }
        self.timed_out = true;
        match self.term.take() {
            Some(_) => cell.get_ref().0.terminate(),
            None => self.kill(cell),
        }
        Ok(())
    }

    /// Pulls the leash. The cell then has a second to say that nothing is left.
    fn kill(&mut self, cell: &Leash) {
        cell.get_ref().0.kill();
        self.confirm = Some(tokio::time::Instant::now() + KILL_WAIT);
    }
}

/// What the cell's event means for who waits for a status.
fn ended(event: Event, watch: &Watch, trees: Vec<TreeNote>) -> Result<Ended, ExecFailure> {
    let Watch {
        timed_out,
        killed_for,
        asked,
        ..
    } = *watch;
    let unasked = || ServerError::Protocol {
        peer: "cell",
        problem: "it was killed, and nobody asked",
    };
    match event {
        Event::Failed { step, errno } => Err(ExecFailure::CannotStart { step, errno }),
        Event::Exited {
            status,
            stragglers,
            usage,
        } => {
            let status = match status {
                _ if timed_out => Status::TimedOut,
                confine::Status::Code(code) => Status::Exited(code),
                confine::Status::Signal(signal) => Status::Signalled(signal),
            };
            Ok(Ended {
                status,
                stragglers,
                usage,
                killed_for,
                asked: false,
                trees,
            })
        }
        Event::Killed { processes, usage } => {
            let status = match killed_for {
                _ if timed_out => Status::TimedOut,
                _ if asked || killed_for.is_some() => {
                    Status::Signalled(rustix::process::Signal::KILL.as_raw())
                }
                _ => return Err(ExecFailure::Server(unasked())),
            };
            // The command itself is one of them.
            Ok(Ended {
                status,
                stragglers: processes.saturating_sub(1),
                usage,
                killed_for,
                asked: asked && !timed_out,
                trees,
            })
        }
        Event::OverMemory { processes, usage } => Ok(Ended {
            status: Status::Signalled(rustix::process::Signal::KILL.as_raw()),
            stragglers: processes.saturating_sub(1),
            usage,
            killed_for: Some(Code::LimitMemory),
            asked: false,
            trees,
        }),
    }
}
