//! What the page says, in the words and numbers of a page.

use portcullis_audit::{Answer, Decision, Timestamp};

use super::shown::Shown;
use super::spread::Spread;

/// One run.
#[derive(Debug)]
pub(super) struct Story {
    pub(super) id: String,
    pub(super) plugin: Shown,
    /// The same as it stands in the trail.
    pub(super) plugin_id: String,
    pub(super) digest: Shown,
    pub(super) args: Shown,
    pub(super) policy_files: Vec<Shown>,
    pub(super) began: Timestamp,
    /// The exit code and the microseconds that it took.
    pub(super) ended: Option<(i32, u64)>,
    pub(super) sums: Sums,
    pub(super) hosts: Vec<Host>,
    /// Hosts that are counted in no entry of `hosts`.
    pub(super) more_hosts: u64,
    pub(super) rows: Vec<Row>,
    pub(super) refusals: Vec<Refusal>,
    /// Denials that are counted in no entry of `refusals`.
    pub(super) more_refusals: u64,
    pub(super) exhausted: Vec<(u64, Shown)>,
    pub(super) spread: Spread,
}

/// What is counted over all calls, those that are not shown as well.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    /// Requests that were decided, folded ones among them.
    pub(super) calls: u64,
    pub(super) denied: u64,
    pub(super) asked: u64,
    pub(super) failed: u64,
    pub(super) commands: u64,
    /// What the plugin was given: contents, responses, output of its commands.
    pub(super) bytes_in: u64,
    /// What the plugin sent away or wrote, itself.
    pub(super) bytes_out: u64,
    /// What its commands sent to hosts and got from them.
    pub(super) bytes_up: u64,
    pub(super) bytes_down: u64,
    /// The last thing that happened, in microseconds of the run.
    pub(super) last_us: u64,
}

/// A host that was asked for.
#[derive(Debug, Default)]
pub(super) struct Host {
    pub(super) name: Shown,
    pub(super) allowed: u64,
    pub(super) denied: u64,
    pub(super) up: u64,
    pub(super) down: u64,
}

/// What is asked for; the class of its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Exec,
    Fs,
    Http,
    Net,
    Env,
    Kv,
    Log,
    Prompt,
    Other,
}

impl Kind {
    pub(super) const ALL: [Self; 9] = [
        Self::Exec,
        Self::Fs,
        Self::Http,
        Self::Net,
        Self::Env,
        Self::Kv,
        Self::Log,
        Self::Prompt,
        Self::Other,
    ];

    pub(super) fn of(capability: &str) -> Self {
        let known = Self::ALL
            .into_iter()
            .find(|kind| kind.class() == capability);
        known.unwrap_or(Self::Other)
    }

    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Exec => "exec",
            Self::Fs => "fs",
            Self::Http => "http",
            Self::Net => "net",
            Self::Env => "env",
            Self::Kv => "kv",
            Self::Log => "log",
            Self::Prompt => "prompt",
            Self::Other => "other",
        }
    }

    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Exec => "commands",
            Self::Fs => "files",
            Self::Http => "HTTP",
            Self::Net => "network",
            Self::Env => "variables",
            Self::Kv => "state",
            Self::Log => "log",
            Self::Prompt => "questions",
            Self::Other => "other",
        }
    }
}

/// What a row can be found by; the class of its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mark {
    Allowed,
    Denied,
    Asked,
    Failed,
}

impl Mark {
    pub(super) const ALL: [Self; 4] = [Self::Allowed, Self::Denied, Self::Asked, Self::Failed];

    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Asked => "asked",
            Self::Failed => "failed",
        }
    }
}

/// One call.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) call: u64,
    /// The number of the record of its decision.
    pub(super) seq: u64,
    /// Microseconds since the run began.
    pub(super) at_us: u64,
    pub(super) took_us: Option<u64>,
    pub(super) kind: Kind,
    /// Capability and function.
    pub(super) name: Shown,
    pub(super) object: Shown,
    pub(super) request: Option<Shown>,
    pub(super) is_allowed: bool,
    pub(super) answer: Option<Answer>,
    /// The rule and its place.
    pub(super) rule: Option<(Shown, Shown)>,
    pub(super) code: Option<Shown>,
    pub(super) reason: Option<Shown>,
    /// Where it stands for repeats: how many, and the last of them.
    pub(super) folded: Option<(u64, u64)>,
    pub(super) came: Option<Shown>,
    pub(super) has_failed: bool,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) facts: Vec<(&'static str, Shown)>,
    pub(super) links: Vec<Link>,
    pub(super) more_links: u64,
    /// The entry of `refusals` about it, or about a host that its command was refused.
    pub(super) refusal: Option<usize>,
}

impl Row {
    pub(super) fn is(&self, mark: Mark) -> bool {
        match mark {
            Mark::Allowed => self.is_allowed,
            // Its command may have been refused a host.
            Mark::Denied => self.refusal.is_some() || !self.is_allowed,
            Mark::Asked => self.answer.is_some(),
            Mark::Failed => self.has_failed,
        }
    }

    /// Where it ends, in microseconds since the run began.
    pub(super) fn end_us(&self) -> u64 {
        self.at_us.saturating_add(self.took_us.unwrap_or(0))
    }
}

/// A host that a command asked its proxy for.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) host: Shown,
    pub(super) is_allowed: bool,
    pub(super) rule: Option<Shown>,
    pub(super) why: Shown,
    pub(super) count: u64,
    pub(super) up: u64,
    pub(super) down: u64,
}

/// What was denied.
#[derive(Debug)]
pub(super) enum Refused {
    /// A request of the plugin.
    Request(Box<Decision>),
    /// A host, to a command that asked its proxy for it.
    Host {
        /// Host and port, where no rule was about them and all of them is written down.
        place: Option<String>,
        name: Shown,
        why: Shown,
    },
}

/// Something that was denied, once for all times that it was.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) what: Refused,
    pub(super) first_call: u64,
    pub(super) count: u64,
    /// What today's policy says to it, and what would allow it: what for, and the command.
    pub(super) today: Option<Shown>,
    pub(super) remedies: Vec<(Shown, Option<Shown>)>,
}
