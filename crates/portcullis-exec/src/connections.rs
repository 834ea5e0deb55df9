//! What a command asked its proxy for, summed up: it may ask for the same a million times.

use std::sync::{Arc, Mutex, PoisonError};

use portcullis_proxy::{ProxyOptions, Verdict};

/// Connections that were asked for, and what became of them: equal ones once.
#[derive(Clone, Debug)]
pub struct Connections {
    /// The last of them, with the bytes of all.
    pub verdict: Verdict,
    /// How many there were.
    pub count: u64,
}

/// Different ones that are kept of one command.
const MAX_KEPT: usize = 256;

/// Collects the verdicts of one proxy.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger(Arc<Mutex<Vec<Connections>>>);

impl Ledger {
    /// The options with this ledger told about verdicts, besides whoever was told before.
    pub(crate) fn told(&self, options: &ProxyOptions) -> ProxyOptions {
        let (ledger, before) = (self.clone(), Arc::clone(&options.on_verdict));
        ProxyOptions {
            on_verdict: Arc::new(move |verdict| {
                ledger.note(verdict.clone());
                before(verdict);
            }),
            ..options.clone()
        }
    }

    fn note(&self, verdict: Verdict) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |known: &&mut Connections| {
            let known = &known.verdict;
            (&known.host, known.port, &known.why) == (&verdict.host, verdict.port, &verdict.why)
        };
        if let Some(known) = kept.iter_mut().find(same) {
            known.count = known.count.saturating_add(1);
            known.verdict = Verdict {
                bytes_up: known.verdict.bytes_up.saturating_add(verdict.bytes_up),
                bytes_down: known.verdict.bytes_down.saturating_add(verdict.bytes_down),
                ..verdict
            };
        } else if kept.len() < MAX_KEPT {
            kept.push(Connections { verdict, count: 1 });
        } else if let Some(last) = kept.last_mut() {
            // Nobody asks for so many but to fill this; how many is all that is left to know.
            last.count = last.count.saturating_add(1);
        }
    }

    /// What was collected, in the order of the first of each.
    pub(crate) fn take(&self) -> Vec<Connections> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
