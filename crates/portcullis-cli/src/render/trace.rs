//! `run --trace`: what goes into the trail, on standard error as it happens, a line each.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use portcullis_audit::{AppendError, Event, Head, Sink};

use super::guest::GuestOutput;
use super::line;

/// A trail, and whoever watches it. The trail comes first: what is not written there is not shown as if it had happened.
pub(crate) struct Traced {
    trail: Arc<dyn Sink>,
    stderr: GuestOutput,
    began: Instant,
    /// An event in words.
    words: fn(&Event) -> String,
}

impl Traced {
    pub(crate) fn new(
        trail: Arc<dyn Sink>,
        stderr: &GuestOutput,
        words: fn(&Event) -> String,
    ) -> Self {
        Self {
            trail,
            stderr: stderr.clone(),
            began: Instant::now(),
            words,
        }
    }
}

impl Sink for Traced {
    fn append(&self, at: Timestamp, event: &Event) -> Result<Option<Head>, AppendError> {
        let head = self.trail.append(at, event)?;
        let after = self.began.elapsed().as_secs_f64() * 1000.0;
        let text = line(&(self.words)(event));
        // Nobody is left to tell when standard error is gone.
        let _ = self
            .stderr
            .paragraph(&format!("trace {after:9.3} ms  {text}"));
        Ok(head)
    }
}
