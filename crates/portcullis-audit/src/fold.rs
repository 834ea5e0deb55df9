//! Folding: a plugin that asks for the same thing in a loop does not fill the disk with its denials.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::chain::Head;
use crate::event::{Decision, DenialsFolded, Event, Verdict};
use crate::mask::Masked;
use crate::sink::Sink;
use crate::trail::AppendError;

/// When denials are folded.
///
/// # Defaults
/// - `written`: 8
/// - `objects`: 256
/// - `window`: 1 second
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct FoldOptions {
    /// How many equal denials of one window are written out.
    pub written: u64,
    /// How many different denials of one run have a window of their own at a time; those beyond are counted together,
    /// so that a plugin that asks for something else each time does not fill the disk either.
    pub objects: usize,
    /// How long a window is, by the times of the events.
    pub window: SignedDuration,
}

impl Default for FoldOptions {
    fn default() -> Self {
        FoldOptions {
            written: 8,
            objects: 256,
            window: SignedDuration::from_secs(1),
        }
    }
}

/// What the denials beyond [`FoldOptions::objects`] are about.
const OTHERS: &str = "(others)";

/// A sink before another one that counts repeated denials instead of writing each.
///
/// Denials are equal if run, plugin, capability, function, object and code are. The first few of a window are written
/// as they are; the rest become one [`DenialsFolded`] record when the window is over, which is seen
/// at the next event, or at the end of the run. Nothing but denials is ever folded, and a denial has
/// no effect, so the rule "no record, no effect" holds.
#[derive(Debug)]
pub struct Folding<S> {
    sink: S,
    options: FoldOptions,
    open: Mutex<HashMap<Key, Window>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    run: String,
    plugin: String,
    capability: String,
    function: Option<String>,
    object: Masked,
    code: Option<String>,
}

#[derive(Debug)]
struct Window {
    began: Timestamp,
    seen: u64,
    folded: u64,
    first_call: u64,
    last_call: u64,
}

impl<S: Sink> Folding<S> {
    /// Folds denials on their way into `sink`.
    pub fn new(sink: S, options: FoldOptions) -> Self {
        Folding {
            sink,
            options,
            open: Mutex::default(),
        }
    }

    /// The sink behind.
    pub fn sink(&self) -> &S {
        &self.sink
    }

    /// Writes the records of all windows that are over at this time, or of all windows.
    fn close(
        &self,
        open: &mut HashMap<Key, Window>,
        at: Timestamp,
        all: bool,
    ) -> Result<(), AppendError> {
        let mut over: Vec<Key> = open
            .iter()
            .filter(|(_, window)| all || at.duration_since(window.began) >= self.options.window)
            .map(|(key, _)| key.clone())
            .collect();
        over.sort_by_key(|key| open[key].first_call);
        for key in over {
            let window = &open[&key];
            if window.folded > 0 {
                // Kept until it is written: after a failure the count is still there.
                self.sink.append(at, &window.event(key.clone()))?;
            }
            open.remove(&key);
        }
        Ok(())
    }
}

impl Window {
    fn event(&self, key: Key) -> Event {
        Event::DenialsFolded(DenialsFolded {
            run: key.run,
            plugin: key.plugin,
            capability: key.capability,
            function: key.function,
            object: key.object,
            code: key.code,
            count: self.folded,
            first_call: self.first_call,
            last_call: self.last_call,
        })
    }
}

impl<S: Sink> Sink for Folding<S> {
    /// As the sink behind; for a denial that is only counted, `None`.
    fn append(&self, at: Timestamp, event: &Event) -> Result<Option<Head>, AppendError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        self.close(&mut open, at, matches!(event, Event::RunEnded(_)))?;
        if let Event::Decision(decision) = event
            && decision.verdict == Verdict::Deny
        {
            let key = Key::of(decision);
            let of_run = open.keys().filter(|other| other.run == key.run);
            let beyond = !open.contains_key(&key) && of_run.count() >= self.options.objects;
            let key = if beyond { key.of_others() } else { key };
            let window = open.entry(key).or_insert_with(|| Window::new(at));
            window.seen += 1;
            if beyond || window.seen > self.options.written {
                window.fold(decision.call);
                return Ok(None);
            }
        }
        self.sink.append(at, event)
    }
}

impl Window {
    fn new(began: Timestamp) -> Self {
        Window {
            began,
            seen: 0,
            folded: 0,
            first_call: 0,
            last_call: 0,
        }
    }

    fn fold(&mut self, call: u64) {
        if self.folded == 0 {
            self.first_call = call;
        }
        self.folded += 1;
        self.last_call = call;
    }
}

impl Key {
    fn of(decision: &Decision) -> Self {
        Key {
            run: decision.run.clone(),
            plugin: decision.plugin.clone(),
            capability: decision.capability.clone(),
            function: decision.function.clone(),
            object: decision.object.clone(),
            code: decision.code.clone(),
        }
    }

    fn of_others(self) -> Self {
        Key {
            object: Masked::new(OTHERS),
            ..self
        }
    }
}
