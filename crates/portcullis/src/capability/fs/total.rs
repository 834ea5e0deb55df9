//! What an instance may write to files in all, by the plain calls and by WASI together.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use portcullis_audit::Masked;
use portcullis_policy::{Capability, Code, Denial, GuestError, Limits};

use crate::gate::Gate;

/// Bytes that are left. All clones are the same: a stream takes of them while the guest does something else.
#[derive(Clone, Debug)]
pub(crate) struct Total(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    left: AtomicU64,
    refused: AtomicBool,
}

/// There are not so many left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("that is more than may be written to files in all")]
pub(crate) struct Spent;

impl Total {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self(Arc::new(Inner {
            left: AtomicU64::new(limits.total_file_write),
            refused: AtomicBool::new(false),
        }))
    }

    /// Takes so many bytes, or none.
    pub(super) fn take(&self, bytes: u64) -> Result<(), Spent> {
        let left = &self.0.left;
        let taken = left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| {
            left.checked_sub(bytes)
        });
        taken.map(drop).map_err(|_| Spent)
    }

    /// As [`take`](Self::take), for a call of WASI: the operator is told when the guest's call is over.
    pub(crate) fn take_or_tell(&self, bytes: u64) -> Result<(), Spent> {
        self.take(bytes).map_err(|Spent| self.tell())
    }

    /// Has the operator told of a refusal by WASI.
    pub(super) fn tell(&self) -> Spent {
        self.0.refused.store(true, Ordering::Release);
        Spent
    }

    /// Gives back what was taken and not written.
    pub(crate) fn give_back(&self, bytes: u64) {
        self.0.left.fetch_add(bytes, Ordering::AcqRel);
    }

    /// Counts what was there before: it takes what is left, and no more.
    pub(crate) fn fill(&self, bytes: u64) {
        let filled = |left: u64| Some(left.saturating_sub(bytes));
        let _ = self
            .0
            .left
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, filled);
    }

    pub(super) fn left(&self) -> u64 {
        self.0.left.load(Ordering::Acquire)
    }
}

impl Gate {
    /// Tells once what WASI refused since the call began: a guest may have tried each byte.
    pub(crate) fn end_files(&mut self) {
        if !self.written.0.refused.swap(false, Ordering::AcqRel) {
            return;
        }
        let max = self.limits().total_file_write;
        let object = "files".to_owned();
        let used = self.uncounted(Capability::Fs, "write", Masked::new(&object));
        let denial = Denial {
            code: Code::FsTotal,
            plugin: self.grants().plugin.clone(),
            capability: Capability::Fs,
            action: "write more to files by WASI".to_owned(),
            object,
            notes: vec![format!(
                "an instance may write {max} bytes in all (`limits.total_file_write`), and what it wanted is more"
            )],
            remedies: Vec::new(),
            rule: None,
            guest: GuestError::Limit,
        };
        // The guest was told by the call itself.
        let _ = self.refused(&used, denial);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_gone_until_it_is_given_back() {
        let limits = Limits {
            total_file_write: 10,
            ..Limits::default()
        };
        let total = Total::new(&limits);
        let same = total.clone();
        assert_eq!(total.take(7), Ok(()));
        assert_eq!(same.take(4), Err(Spent), "all or nothing");
        assert_eq!(same.take(u64::MAX), Err(Spent));
        assert_eq!(same.left(), 3);
        same.give_back(7);
        assert_eq!(total.take(10), Ok(()));
        assert_eq!(total.take(1), Err(Spent));
        assert_eq!(total.take(0), Ok(()));
    }
}
