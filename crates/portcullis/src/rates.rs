//! How often a plugin may call what it was granted: a token bucket for each function.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use portcullis_policy::{Capability, Limits, PluginId};

use crate::guest_log::Dropped;

/// The buckets of every plugin of a host. They outlive instances, and the plugin itself when it is loaded again.
#[derive(Debug, Default)]
pub(crate) struct AllRates(Mutex<HashMap<PluginId, Arc<Rates>>>);

/// The buckets of one plugin. Each call takes a token, those that are refused included.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    buckets: Mutex<HashMap<(Capability, &'static str), Bucket>>,
    /// Lines of log for which there was no token.
    pub(crate) dropped: Dropped,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// Parts of tokens: one token is a minute of them at a rate of one a minute.
    parts: u128,
    filled: Instant,
}

/// Parts of a token: nanoseconds of a minute.
const TOKEN: u128 = 60_000_000_000;

impl AllRates {
    pub(crate) fn of(&self, plugin: &PluginId) -> Arc<Rates> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(plugin.clone()).or_default())
    }
}

impl Rates {
    /// Takes a token for a call of this function now, if there is one. The time is a parameter, so that a rate can be tested
    /// without waiting for it.
    pub(crate) fn take(
        &self,
        limits: &Limits,
        capability: Capability,
        function: &'static str,
        now: Instant,
    ) -> bool {
        let (limit, _key) = per_minute(limits, capability);
        let full = u128::from(limit) * TOKEN;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry((capability, function)).or_insert(Bucket {
            parts: full,
            filled: now,
        });
        let passed = now.saturating_duration_since(bucket.filled).as_nanos();
        let more = passed.saturating_mul(u128::from(limit));
        bucket.parts = bucket.parts.saturating_add(more).min(full);
        bucket.filled = bucket.filled.max(now);
        let left = bucket.parts.checked_sub(TOKEN);
        bucket.parts = left.unwrap_or(bucket.parts);
        left.is_some()
    }
}

/// The limit on each function of a capability, and its key in `limits`.
pub(crate) fn per_minute(limits: &Limits, capability: Capability) -> (u32, &'static str) {
    match capability {
        Capability::Http => (limits.http_per_minute, "http_per_minute"),
        Capability::Net => (limits.net_per_minute, "net_per_minute"),
        Capability::Log => (limits.log_per_minute, "log_per_minute"),
        Capability::Exec
        | Capability::Fs
        | Capability::Env
        | Capability::Kv
        | Capability::Prompt
        | Capability::Metadata => (limits.calls_per_minute, "calls_per_minute"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn taken(rates: &Rates, limits: &Limits, now: Instant, tries: u32) -> u32 {
        let took = |_: &u32| rates.take(limits, Capability::Http, "send", now);
        u32::try_from((0..tries).filter(took).count()).unwrap()
    }

    fn ten() -> Limits {
        Limits {
            http_per_minute: 10,
            ..Limits::default()
        }
    }

    #[test]
    fn as_many_as_a_minute_allows_come_at_once_and_then_one_after_the_other() {
        let (rates, limits, start) = (Rates::default(), ten(), Instant::now());
        assert_eq!(taken(&rates, &limits, start, 30), 10);
        let later = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(taken(&rates, &limits, later(5), 30), 0);
        assert_eq!(taken(&rates, &limits, later(6), 30), 1);
        assert_eq!(taken(&rates, &limits, later(18), 30), 2);
        assert_eq!(taken(&rates, &limits, later(10_000), 30), 10);
    }

    #[test]
    fn no_minute_has_twice_as_many_as_a_fixed_window_would_let_through_at_its_edge() {
        let (rates, limits, start) = (Rates::default(), ten(), Instant::now());
        let edge = start + Duration::from_millis(59_999);
        let after = edge + Duration::from_millis(2);
        let whole = taken(&rates, &limits, edge, 10) + taken(&rates, &limits, after, 10);
        assert_eq!(whole, 10);
    }

    #[test]
    fn no_rate_lets_nothing_through_and_each_function_and_plugin_has_its_own() {
        let all = AllRates::default();
        let (one, two) = (PluginId::new("one").unwrap(), PluginId::new("two").unwrap());
        let now = Instant::now();
        let none = Limits {
            http_per_minute: 0,
            ..Limits::default()
        };
        assert_eq!(
            taken(&all.of(&one), &none, now + Duration::from_secs(600), 3),
            0
        );
        assert_eq!(taken(&all.of(&two), &ten(), now, 30), 10);
        let again = all.of(&two);
        assert_eq!(taken(&again, &ten(), now, 30), 0, "the plugin loaded again");
        assert!(again.take(&ten(), Capability::Http, "other", now));
    }
}
