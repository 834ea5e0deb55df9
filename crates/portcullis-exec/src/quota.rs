use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use portcullis_policy::{Code, Limits};

use crate::{CacheOwner, Pauses, Sharer};

/// The span that `spawns_per_minute` is about.
const MINUTE: Duration = Duration::from_secs(60);

/// How many commands a plugin may run, and how much they may write in all. Clones share one count.
///
/// Counted in this process only. The time is a parameter, so that a rate can be tested without
/// waiting for it.
#[derive(Clone, Debug)]
pub struct Quota(Arc<Mutex<Count>>);

#[derive(Debug)]
struct Count {
    children: u32,
    max_children: u32,
    /// When the commands of the last minute were started, oldest first.
    starts: VecDeque<Instant>,
    max_starts: usize,
    output_left: u64,
    /// Bytes that may still be held for who does not read them yet.
    hold_left: u64,
}

/// Bytes that are held for who reads them later; they count until this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    quota: Quota,
    bytes: u64,
}

impl Held {
    /// Counts up to `wanted` bytes more, and says how many there was room for.
    pub(crate) fn more(&mut self, wanted: u64) -> u64 {
        let mut count = self.quota.count();
        let granted = wanted.min(count.hold_left);
        count.hold_left -= granted;
        self.bytes += granted;
        granted
    }

    /// Counts as many less, as far as they were counted.
    pub(crate) fn less(&mut self, bytes: u64) {
        let released = bytes.min(self.bytes);
        self.bytes -= released;
        self.quota.count().hold_left += released;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.quota.count().hold_left += self.bytes;
    }
}

/// The right to have one command running; it ends when this is dropped.
#[derive(Debug)]
pub struct Permit {
    quota: Quota,
    sharer: Sharer,
    cache: Option<CacheOwner>,
    pauses: Pauses,
}

impl Quota {
    /// A fresh count with the limits `children`, `spawns_per_minute` and `total_output`.
    pub fn new(limits: &Limits) -> Self {
        Self(Arc::new(Mutex::new(Count {
            children: 0,
            max_children: limits.children,
            starts: VecDeque::new(),
            max_starts: usize::try_from(limits.spawns_per_minute).unwrap_or(usize::MAX),
            output_left: limits.total_output,
            hold_left: limits.output.saturating_mul(u64::from(limits.children)),
        })))
    }

    /// Counts one command that starts now.
    ///
    /// # Errors
    /// The code of the limit that is reached: [`Code::LimitChildren`], [`Code::LimitRate`] or
    /// [`Code::LimitTotalOutput`]. What is refused is not counted.
    pub fn begin(&self, now: Instant) -> Result<Permit, Code> {
        let mut count = self.count();
        while count
            .starts
            .front()
            .is_some_and(|&start| now.duration_since(start) >= MINUTE)
        {
            count.starts.pop_front();
        }
        if count.children >= count.max_children {
            return Err(Code::LimitChildren);
        }
        if count.starts.len() >= count.max_starts {
            return Err(Code::LimitRate);
        }
        if count.output_left == 0 {
            return Err(Code::LimitTotalOutput);
        }
        count.children += 1;
        count.starts.push_back(now);
        Ok(Permit {
            quota: self.clone(),
            sharer: Sharer::new(),
            cache: None,
            pauses: Pauses::default(),
        })
    }

    /// How many more commands may run now.
    pub fn children_left(&self) -> u32 {
        let count = self.count();
        count.max_children.saturating_sub(count.children)
    }

    /// Bytes of output that are left of the total.
    pub fn output_left(&self) -> u64 {
        self.count().output_left
    }

    /// Takes up to `wanted` bytes from the total and says how many were left to take.
    pub(crate) fn take_output(&self, wanted: u64) -> u64 {
        let mut count = self.count();
        let taken = wanted.min(count.output_left);
        count.output_left -= taken;
        taken
    }

    /// Counts bytes that are held; what may be held in all is one stream for each command at once.
    pub(crate) fn hold(&self) -> Held {
        Held {
            quota: self.clone(),
            bytes: 0,
        }
    }

    fn count(&self) -> MutexGuard<'_, Count> {
        // No code panics while it holds the lock half way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// Says which instance the command is of. Without it the command shares nothing, whatever its rights say.
    #[must_use]
    pub fn of(mut self, sharer: &Sharer) -> Self {
        self.sharer = sharer.clone();
        self
    }

    /// Says whose caches the command has. Without it nothing is kept, whatever its rights say.
    #[must_use]
    pub fn with_caches_of(mut self, owner: Option<CacheOwner>) -> Self {
        self.cache = owner;
        self
    }

    /// Says when the command's time stands still. Without it that is never.
    #[must_use]
    pub fn with_pauses(mut self, pauses: &Pauses) -> Self {
        self.pauses = pauses.clone();
        self
    }

    pub(crate) fn pauses(&self) -> &Pauses {
        &self.pauses
    }

    pub(crate) fn cache(&self) -> Option<&CacheOwner> {
        self.cache.as_ref()
    }

    /// The count it was taken from.
    pub(crate) fn quota(&self) -> &Quota {
        &self.quota
    }

    pub(crate) fn sharer(&self) -> &Sharer {
        &self.sharer
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.quota.count().children -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(children: u32, spawns_per_minute: u32, total_output: u64) -> Quota {
        Quota::new(&Limits {
            children,
            spawns_per_minute,
            total_output,
            ..Limits::default()
        })
    }

    #[test]
    fn children_at_once() {
        let (quota, now) = (quota(2, 100, 1), Instant::now());
        let first = quota.begin(now).unwrap();
        let _second = quota.begin(now).unwrap();
        assert_eq!(quota.begin(now).unwrap_err(), Code::LimitChildren);
        drop(first);
        assert!(quota.begin(now).is_ok());
    }

    #[test]
    fn starts_in_any_minute() {
        let (quota, start) = (quota(8, 3, 1), Instant::now());
        let at = |seconds| {
            quota
                .clone()
                .begin(start + Duration::from_secs(seconds))
                .map(drop)
        };
        for seconds in [0, 30, 59] {
            assert_eq!(at(seconds), Ok(()));
        }
        assert_eq!(at(59), Err(Code::LimitRate));
        assert_eq!(at(60), Ok(()), "the first is a minute old");
        assert_eq!(
            at(61),
            Err(Code::LimitRate),
            "what was refused was not counted, what ran was"
        );
        assert_eq!(at(90), Ok(()));
    }

    #[test]
    fn output_in_all() {
        let quota = quota(8, 100, 10);
        assert_eq!(quota.take_output(7), 7);
        assert_eq!(quota.take_output(7), 3);
        assert_eq!(
            quota.begin(Instant::now()).unwrap_err(),
            Code::LimitTotalOutput
        );
    }

    #[test]
    fn bytes_held_at_once() {
        let quota = Quota::new(&Limits {
            output: 5,
            children: 2,
            ..Limits::default()
        });
        let mut first = quota.hold();
        assert_eq!(first.more(7), 7);
        let mut second = quota.hold();
        assert_eq!(second.more(7), 3);
        first.less(2);
        assert_eq!(second.more(7), 2);
        drop(first);
        assert_eq!(second.more(70), 5);
        second.less(u64::MAX);
        assert_eq!(quota.hold().more(70), 10);
    }

    #[test]
    fn a_limit_of_zero_allows_none() {
        assert_eq!(
            quota(0, 1, 1).begin(Instant::now()).unwrap_err(),
            Code::LimitChildren
        );
        assert_eq!(
            quota(1, 0, 1).begin(Instant::now()).unwrap_err(),
            Code::LimitRate
        );
    }
}
