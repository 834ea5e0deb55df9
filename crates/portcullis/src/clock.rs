//! The time of a call, which does not pass while a person is asked.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use portcullis_exec::{Paused, Pauses};
use tokio::sync::Notify;

/// When a call is over. Clones are one clock.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallClock(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    times: Mutex<Times>,
    /// When it stands still, and the time of its commands with it.
    pauses: Pauses,
    /// The end is another one than before.
    moved: Notify,
}

/// A call as it began.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    end: Option<Instant>,
    /// How long the clock had stood still by then.
    paused_before: Duration,
}

/// Keeps a clock from going on.
#[derive(Debug)]
pub(crate) struct Stopped {
    clock: CallClock,
    paused: Option<Paused>,
}

impl CallClock {
    /// Begins a call that may take `limit`.
    pub(crate) fn start(&self, limit: Duration) {
        *self.times() = Times {
            end: Instant::now().checked_add(limit),
            paused_before: self.0.pauses.total(),
        };
        self.0.moved.notify_waiters();
    }

    /// When the call is over if nobody is asked any more. `None`: never.
    pub(crate) fn end(&self) -> Option<Instant> {
        let times = *self.times();
        let late = self.0.pauses.over().saturating_sub(times.paused_before);
        times.end?.checked_add(late)
    }

    /// Whether the call is over.
    pub(crate) fn is_over(&self) -> bool {
        !self.0.pauses.is_on() && self.end().is_some_and(|end| Instant::now() >= end)
    }

    /// Lets no time pass until what is returned is dropped.
    pub(crate) fn stop(&self) -> Stopped {
        Stopped {
            clock: self.clone(),
            paused: Some(self.0.pauses.begin()),
        }
    }

    /// When the time of commands stands still.
    pub(crate) fn pauses(&self) -> &Pauses {
        &self.0.pauses
    }

    /// Returns when the call has been over for `after`.
    pub(crate) async fn over(&self, after: Duration) {
        loop {
            let moved = self.0.moved.notified();
            match self.left(after) {
                Some(Duration::ZERO) => return,
                Some(left) => tokio::select! {
                    () = tokio::time::sleep(left) => {}
                    () = moved => {}
                },
                None => moved.await,
            }
        }
    }

    /// The time until the call has been over for `after`. `None` while the clock stands still.
    fn left(&self, after: Duration) -> Option<Duration> {
        if self.0.pauses.is_on() {
            return None;
        }
        let end = self.end()?.checked_add(after)?;
        Some(end.saturating_duration_since(Instant::now()))
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.0.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // The clock goes on before anybody is told.
        self.paused = None;
        self.clock.0.moved.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_time_passes_while_it_stands_still() {
        let clock = CallClock::default();
        clock.start(Duration::ZERO);
        assert!(clock.is_over());
        clock.over(Duration::ZERO).await;
        clock.start(Duration::from_secs(3600));
        let before = clock.end().unwrap();
        let (first, second) = (clock.stop(), clock.stop());
        let elapsed = Instant::now();
        while elapsed.elapsed() < Duration::from_millis(5) {
            tokio::task::yield_now().await;
        }
        drop(first);
        assert_eq!(clock.end(), Some(before), "somebody still asks");
        drop(second);
        assert!(clock.end().unwrap() >= before + Duration::from_millis(5));
    }

    #[tokio::test]
    async fn a_call_that_is_out_of_time_is_not_over_while_somebody_is_asked() {
        let clock = CallClock::default();
        clock.start(Duration::ZERO);
        let stopped = clock.stop();
        assert!(!clock.is_over());
        tokio::select! {
            biased;
            () = clock.over(Duration::ZERO) => panic!("it stands still"),
            () = tokio::task::yield_now() => {}
        }
        drop(stopped);
        clock.over(Duration::ZERO).await;
    }
}
