//! Where a gate writes down what it decides and what becomes of it.

use std::sync::Arc;

use jiff::Timestamp;
use portcullis_audit::{self as audit, AppendError, DigestKey, Event, Head, Sink};

/// Where decisions and outcomes are written down.
#[derive(Clone)]
pub(crate) struct Trail {
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) key: Option<Arc<DigestKey>>,
}

impl std::fmt::Debug for Trail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trail").finish_non_exhaustive()
    }
}

/// The trail of an application that keeps none.
pub(crate) struct Nowhere;

impl Sink for Nowhere {
    fn append(&self, _: Timestamp, _: &Event) -> Result<Option<Head>, AppendError> {
        Ok(None)
    }
}

/// A command under way: if its call is dropped, the trail says that it was given up.
pub(crate) struct Running {
    pub(crate) trail: Trail,
    pub(crate) given_up: Option<audit::Outcome>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(outcome) = self.given_up.take() {
            // The command is being killed all the same; nobody is left to be told.
            let _ = self
                .trail
                .sink
                .append(Timestamp::now(), &Event::Outcome(outcome));
        }
    }
}
