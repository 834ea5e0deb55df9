//! Signals that ask us to stop.

use std::io;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::Exit;

/// Signals this close together are one wish: `timeout` and shells send the same one to the process and to its group.
const SAME_WISH: Duration = Duration::from_millis(200);

/// The signals that end a run. From the time this is made they do not end the process by themselves.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    pub(crate) fn install() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the first, and says how the process is to end for it.
    pub(crate) async fn next(&mut self) -> Exit {
        tokio::select! {
            _ = self.interrupt.recv() => Exit::signal(2),
            _ = self.terminate.recv() => Exit::signal(15),
            _ = self.hangup.recv() => Exit::signal(1),
        }
    }

    /// After one has come: the second ends the process at once.
    pub(crate) fn end_at_the_second(self) {
        self.end_at_the_next(SAME_WISH);
    }

    /// When all is done but the output, which may wait for its reader for ever: the first ends the process at once.
    pub(crate) fn end_at_the_first(self) {
        self.end_at_the_next(Duration::ZERO);
    }

    /// Children die with the process: the kernel closes their leash.
    fn end_at_the_next(mut self, unless_within: Duration) {
        tokio::spawn(async move {
            let armed = Instant::now();
            self.next().await;
            while armed.elapsed() < unless_within {
                self.next().await;
            }
            // A process can always send a signal to itself, and does not survive this one.
            let _ = rustix::process::kill_process(
                rustix::process::getpid(),
                rustix::process::Signal::KILL,
            );
        });
    }
}
