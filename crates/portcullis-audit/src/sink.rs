//! Where events go.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::chain::{self, Head};
use crate::event::Event;
use crate::trail::AppendError;

/// Takes the events of a host, one after the other.
///
/// An event is appended *before* the effect it speaks of. If that fails, the effect must not happen:
/// the caller denies the call.
pub trait Sink: Send + Sync {
    /// Writes one event down and gives the head of the trail with it, or `None` if the event was only
    /// counted ([`Folding`](crate::Folding)). The time comes from the caller; a sink reads no clock.
    ///
    /// # Errors
    /// [`AppendError`] if the event was not written; nothing of it is left then.
    fn append(&self, at: Timestamp, event: &Event) -> Result<Option<Head>, AppendError>;
}

impl<S: Sink + ?Sized> Sink for std::sync::Arc<S> {
    fn append(&self, at: Timestamp, event: &Event) -> Result<Option<Head>, AppendError> {
        (**self).append(at, event)
    }
}

/// Keeps the events in memory, chained as on disk: for applications that store them by themselves.
#[derive(Debug, Default)]
pub struct Memory(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    head: Option<Head>,
    events: Vec<(Timestamp, Event)>,
    lines: Vec<u8>,
}

impl Memory {
    /// A trail without events.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// All events so far, in order.
    #[must_use]
    pub fn events(&self) -> Vec<(Timestamp, Event)> {
        self.kept().events.clone()
    }

    /// The records so far as JSON lines, as a file of the trail would hold them.
    #[must_use]
    pub fn lines(&self) -> Vec<u8> {
        self.kept().lines.clone()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Nothing panics between two changes of one append, so a poisoned lock guards whole records.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Memory {
    fn append(&self, at: Timestamp, event: &Event) -> Result<Option<Head>, AppendError> {
        let mut kept = self.kept();
        let previous = kept.head.unwrap_or(Head::EMPTY);
        let head =
            chain::encode(&mut kept.lines, previous, at, event).map_err(AppendError::Encode)?;
        kept.head = Some(head);
        kept.events.push((at, event.clone()));
        Ok(Some(head))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::RunEnded;

    #[test]
    fn memory_keeps_a_chain_that_checks() {
        let sink = Memory::new();
        let event = Event::RunEnded(RunEnded {
            run: "r".into(),
            exit_code: 1,
            duration_us: 2,
        });
        let heads: Vec<Head> = (0..3)
            .map(|_| sink.append(Timestamp::UNIX_EPOCH, &event).unwrap().unwrap())
            .collect();
        let lines = sink.lines();
        let links: Vec<_> = lines
            .split(|b| *b == b'\n')
            .filter_map(chain::check)
            .collect();
        assert_eq!(
            links.iter().map(|link| link.head).collect::<Vec<_>>(),
            heads
        );
        assert_eq!(links[2].prev, heads[1].hash);
        assert_eq!(sink.events().len(), 3);
    }
}
