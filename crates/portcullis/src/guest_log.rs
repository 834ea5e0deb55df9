//! Where the lines go that guests write into the operator's log, and how many.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use portcullis_policy::{LogLevel, PluginId};

/// A line that a guest wrote into the log.
#[derive(Clone, Copy, Debug)]
pub struct LogLine<'a> {
    /// The instance's name in the audit trail.
    pub run: &'a str,
    /// Who wrote it.
    pub plugin: &'a PluginId,
    /// How serious the guest says it is.
    pub level: LogLevel,
    /// One line of at most 4,096 bytes, without control, bidi and invisible characters: they are written out as escapes.
    pub message: &'a str,
}

/// Receives guests' lines. A line that gets here was granted, is within its rate and stands in the audit trail.
///
/// It is called on the guest's time and in its task: what takes long belongs behind a bounded queue.
pub trait GuestLog: Send + Sync {
    /// One line.
    fn line(&self, line: &LogLine<'_>);

    /// So many lines of a plugin were dropped within about a minute, because there were more than
    /// `limits.log_per_minute`. At most once a minute for each plugin; the guest does not know.
    fn dropped(&self, plugin: &PluginId, lines: u64);
}

/// At most one warning a minute for each plugin.
const EVERY: Duration = Duration::from_secs(60);

/// The lines of one plugin that were dropped and not told yet. It outlives instances.
#[derive(Debug, Default)]
pub(crate) struct Dropped(Mutex<Count>);

#[derive(Debug, Default)]
struct Count {
    lines: u64,
    /// When the first of them was dropped.
    since: Option<Instant>,
    told: Option<Instant>,
}

impl Dropped {
    /// One more. Returns whether it is the first since the operator was told.
    pub(crate) fn add(&self, now: Instant) -> bool {
        let mut count = self.count();
        count.lines += 1;
        let first = count.since.is_none();
        count.since.get_or_insert(now);
        first
    }

    /// How many to tell of, when a minute has passed since the first of them.
    pub(crate) fn after_a_minute(&self, now: Instant) -> Option<u64> {
        let mut count = self.count();
        let over = |since| now.saturating_duration_since(since) >= EVERY;
        count.since.is_some_and(over).then(|| count.take(now))
    }

    /// How many to tell of at the end of a call: nobody may come again. Nothing while the last warning is younger than
    /// a minute.
    pub(crate) fn at_the_end(&self, now: Instant) -> Option<u64> {
        let mut count = self.count();
        let young = |told| now.saturating_duration_since(told) < EVERY;
        let tells = count.lines > 0 && !count.told.is_some_and(young);
        tells.then(|| count.take(now))
    }

    fn count(&self) -> MutexGuard<'_, Count> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Count {
    fn take(&mut self, now: Instant) -> u64 {
        self.told = Some(now);
        self.since = None;
        std::mem::take(&mut self.lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_is_told_once_a_minute_and_of_every_line() {
        let (dropped, start) = (Dropped::default(), Instant::now());
        let later = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(dropped.at_the_end(start), None, "nothing to tell");
        assert!(dropped.add(start));
        assert!(!dropped.add(later(1)));
        assert_eq!(dropped.after_a_minute(later(59)), None);
        assert_eq!(dropped.after_a_minute(later(60)), Some(2));
        assert!(dropped.add(later(61)), "told, so it counts from the start");
        assert_eq!(dropped.at_the_end(later(62)), None, "told a moment ago");
        assert!(!dropped.add(later(63)));
        assert_eq!(dropped.at_the_end(later(120)), Some(2));
        assert_eq!(dropped.at_the_end(later(999)), None, "each line once");
    }
}
