use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often at most it is seen whether a pause is over.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Spans that count for no command, because whoever started it waits for a person. Clones are one.
#[derive(Clone, Debug, Default)]
pub struct Pauses(Arc<Mutex<Spans>>);

#[derive(Debug, Default)]
struct Spans {
    over: Duration,
    /// Since when there is one, and how many keep it.
    now: Option<(Instant, u32)>,
}

/// Keeps a pause from ending.
#[derive(Debug)]
pub struct Paused(Pauses);

impl Pauses {
    /// Lets no command's time pass until what is returned is dropped. The commands themselves go on.
    #[must_use]
    pub fn begin(&self) -> Paused {
        let now = &mut self.spans().now;
        match now {
            Some((_, keepers)) => *keepers += 1,
            None => *now = Some((Instant::now(), 1)),
        }
        Paused(self.clone())
    }

    /// Whether there is one now.
    pub fn is_on(&self) -> bool {
        self.spans().now.is_some()
    }

    /// The length of those that are over.
    pub fn over(&self) -> Duration {
        self.spans().over
    }

    /// The length of all of them so far.
    pub fn total(&self) -> Duration {
        let spans = self.spans();
        let now = spans
            .now
            .map_or(Duration::ZERO, |(since, _)| since.elapsed());
        spans.over + now
    }

    /// How much later than by the clock something is due, which was reckoned when all pauses were `before` long.
    pub(crate) fn late(&self, before: Duration) -> Duration {
        // Nobody knows when one that is on will end, and nobody should look all the time.
        let look_again = if self.is_on() {
            LOOK_AGAIN
        } else {
            Duration::ZERO
        };
        self.total().saturating_sub(before) + look_again
    }

    fn spans(&self) -> MutexGuard<'_, Spans> {
        // No code panics while it holds the lock half way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        let mut spans = self.0.spans();
        match &mut spans.now {
            Some((_, keepers)) if *keepers > 1 => *keepers -= 1,
            Some((since, _)) => {
                let span = since.elapsed();
                spans.over += span;
                spans.now = None;
            }
            None => {}
        }
    }
}
