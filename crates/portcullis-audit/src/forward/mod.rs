//! Passing on what is written down: to the system's log, to a collector of telemetry.
//!
//! The trail comes first: what is passed on is in it already, with its number and hash, so that whoever keeps the copy
//! can tell later whether the trail was cut or rewritten. Only masked text is in an event, so only masked text is
//! passed on.

mod otlp;
mod syslog;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::chain::Head;
use crate::event::{Event, Verdict};
use crate::sink::Sink;
use crate::trail::AppendError;

/// Which events are passed on, besides the head of the trail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Select {
    /// None.
    None,
    /// What was denied.
    #[default]
    Denials,
    /// All of them.
    All,
}

/// Where to pass something on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Destination {
    /// The Unix datagram socket of the system's log, such as `/dev/log`; RFC 5424.
    Syslog(PathBuf),
    /// The logs endpoint of an OTLP collector over HTTP, such as `http://127.0.0.1:4318/v1/logs`; JSON.
    Otlp(String),
}

/// What is passed on to one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Where to.
    pub to: Destination,
    /// Which events.
    pub events: Select,
    /// The head is passed on with each record whose number this divides, and at the end of each run. At least 1.
    pub head_every: u64,
    /// Whether an event that could not be passed on counts as not written down, so that nothing is done about which
    /// nothing could be said. Otherwise it is lost there, and counted.
    pub required: bool,
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syslog(socket) => write!(f, "the log at `{}`", socket.display()),
            Self::Otlp(endpoint) => write!(f, "the collector at `{endpoint}`"),
        }
    }
}

/// What could not be passed on to one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Where to.
    pub to: String,
    /// How many messages.
    pub messages: u64,
    /// Why the last of them was lost.
    pub why: String,
}

/// One message: an event or a head.
#[derive(Clone, Debug)]
struct Message {
    at: Timestamp,
    /// The kind of the event, or `head`.
    kind: &'static str,
    denied: bool,
    /// JSON.
    text: String,
}

#[derive(Serialize)]
struct Body<'a> {
    seq: u64,
    hash: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a Event>,
}

/// Sends messages. Unless it `must`, it neither waits nor fails: what it lost it says when it is asked.
trait Outlet: Send {
    fn send(&mut self, message: &Message, must: bool) -> io::Result<()>;

    /// Waits until everything was sent, but no longer than that, and says what was lost.
    fn settle(&mut self, within: Duration) -> Option<(u64, String)>;
}

/// A sink before another one that passes on what that one has written.
pub struct Forwarding<S> {
    sink: S,
    outlets: Mutex<Vec<(Forward, Box<dyn Outlet>)>>,
}

impl<S: fmt::Debug> fmt::Debug for Forwarding<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forwarding")
            .field("sink", &self.sink)
            .finish_non_exhaustive()
    }
}

impl<S: Sink> Forwarding<S> {
    /// Passes on what `sink` has written. A destination that is not there yet is tried again at each message.
    ///
    /// # Errors
    /// For [`Destination::Otlp`] in a build without the feature `otlp`, and for an endpoint that is none.
    pub fn new(sink: S, forwards: Vec<Forward>) -> io::Result<Self> {
        let outlet = |forward: Forward| {
            let outlet: Box<dyn Outlet> = match &forward.to {
                Destination::Syslog(socket) => Box::new(syslog::Syslog::new(socket.clone())),
                Destination::Otlp(endpoint) => otlp::open(endpoint)?,
            };
            Ok((forward, outlet))
        };
        let outlets = forwards
            .into_iter()
            .map(outlet)
            .collect::<io::Result<_>>()?;
        Ok(Self {
            sink,
            outlets: Mutex::new(outlets),
        })
    }

    /// The sink behind.
    pub fn sink(&self) -> &S {
        &self.sink
    }

    /// Waits until everything was passed on, for each destination no longer than that, and says what was lost.
    pub fn settle(&self, within: Duration) -> Vec<Lost> {
        let mut outlets = self.outlets();
        let lost = outlets.iter_mut().filter_map(|(forward, outlet)| {
            let (messages, why) = outlet.settle(within)?;
            let to = forward.to.to_string();
            Some(Lost { to, messages, why })
        });
        lost.collect()
    }

    fn outlets(&self) -> MutexGuard<'_, Vec<(Forward, Box<dyn Outlet>)>> {
        // Nothing is half changed when an outlet panics.
        self.outlets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Sink> Sink for Forwarding<S> {
    fn append(&self, at: Timestamp, event: &Event) -> Result<Option<Head>, AppendError> {
        let head = self.sink.append(at, event)?;
        let Some(written) = head else {
            return Ok(None);
        };
        for (forward, outlet) in self.outlets().iter_mut() {
            for message in messages(forward, at, written, event)? {
                let sent = outlet.send(&message, forward.required);
                sent.map_err(|source| AppendError::Forward {
                    to: forward.to.to_string(),
                    source,
                })?;
            }
        }
        Ok(head)
    }
}

/// What a destination is told of one record.
fn messages(
    forward: &Forward,
    at: Timestamp,
    head: Head,
    event: &Event,
) -> Result<Vec<Message>, AppendError> {
    let denied = is_denial(event);
    let selected = match forward.events {
        Select::None => false,
        Select::Denials => denied,
        Select::All => true,
    };
    let due = head.seq.is_multiple_of(forward.head_every.max(1));
    let head_too = due || matches!(event, Event::RunEnded(_));
    let message = |kind, denied, event| {
        let body = Body {
            seq: head.seq,
            hash: head.hash.to_string(),
            event,
        };
        let text = serde_json::to_string(&body).map_err(AppendError::Encode)?;
        Ok(Message {
            at,
            kind,
            denied,
            text,
        })
    };
    let event = selected.then(|| message(kind(event), denied, Some(event)));
    let head = head_too.then(|| message("head", false, None));
    event.into_iter().chain(head).collect()
}

const fn is_denial(event: &Event) -> bool {
    match event {
        Event::Decision(decision) => matches!(decision.verdict, Verdict::Deny),
        Event::DenialsFolded(_) => true,
        Event::Opened(_)
        | Event::RunStarted(_)
        | Event::RunEnded(_)
        | Event::Asked(_)
        | Event::TrustChanged(_)
        | Event::PluginChanged(_)
        | Event::Committing(_)
        | Event::Outcome(_)
        | Event::Done(_)
        | Event::Exhausted(_) => false,
    }
}

/// As the field `kind` of a record.
const fn kind(event: &Event) -> &'static str {
    match event {
        Event::Opened(_) => "opened",
        Event::RunStarted(_) => "run_started",
        Event::RunEnded(_) => "run_ended",
        Event::Asked(_) => "asked",
        Event::TrustChanged(_) => "trust_changed",
        Event::PluginChanged(_) => "plugin_changed",
        Event::Committing(_) => "committing",
        Event::Decision(_) => "decision",
        Event::Outcome(_) => "outcome",
        Event::Done(_) => "done",
        Event::DenialsFolded(_) => "denials_folded",
        Event::Exhausted(_) => "exhausted",
    }
}
