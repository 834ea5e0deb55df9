//! What is passed on of the audit trail: the table `[audit]` of trusted files.

use std::path::PathBuf;

use crate::error::ConfigCode;
use crate::raw::{Audit as RawAudit, SelectWord};
use crate::reader::Reader;
use crate::source::At;

/// Where the audit trail is passed on to, besides being written.
///
/// # Defaults
/// Nowhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditForwards {
    /// The Unix datagram socket of the system's log.
    pub syslog: Option<(PathBuf, Forwarded)>,
    /// The endpoint of an OTLP collector.
    pub otlp: Option<(String, Forwarded)>,
}

/// Which part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// Which events.
    pub events: ForwardedEvents,
    /// The head of the trail goes with each record whose number this divides, and with the end of each run. At least 1.
    pub head_every: u64,
    /// Whether what cannot be passed on may not be done.
    pub required: bool,
}

/// Which events are passed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedEvents {
    /// None: the head alone.
    None,
    /// What was denied.
    #[default]
    Denials,
    /// All of them.
    All,
}

const SYSLOG: &str = "/dev/log";
const HEAD_EVERY: u64 = 100;

impl Reader<'_> {
    /// Takes over what is written; of two layers the later holds for each destination.
    pub(crate) fn audit(&mut self, raw: &RawAudit, forwards: &mut AuditForwards) {
        if let Some(syslog) = &raw.syslog {
            let socket = syslog.socket.as_ref();
            let path = socket.map_or(SYSLOG, |text| text.as_str());
            let path = Some(PathBuf::from(path)).filter(|path| path.is_absolute());
            let passed = self.passed(&syslog.events, &syslog.head_every, &syslog.required);
            match (path, socket) {
                (Some(path), _) => forwards.syslog = Some((path, passed)),
                (None, Some(text)) => {
                    self.wrong(
                        ConfigCode::Path,
                        text,
                        format!("`{text}` is not an absolute path"),
                    );
                }
                (None, None) => {}
            }
        }
        if let Some(otlp) = &raw.otlp {
            let passed = self.passed(&otlp.events, &otlp.head_every, &otlp.required);
            let endpoint = &otlp.endpoint;
            let place = endpoint.strip_prefix("http://").unwrap_or_default();
            if place.is_empty() || place.contains('@') {
                // What is written there may hold a password, and is not repeated.
                let error = self
                    .error(
                        ConfigCode::Pattern,
                        endpoint,
                        "this is no endpoint of a collector",
                    )
                    .label("expected `http://host:port/v1/logs`, without a name and a password")
                    .note("a collector elsewhere is reached through one on this machine");
                self.report.push(error);
            } else {
                forwards.otlp = Some(((**endpoint).clone(), passed));
            }
        }
    }

    fn passed(
        &mut self,
        events: &Option<At<SelectWord>>,
        head_every: &Option<At<u64>>,
        required: &Option<At<bool>>,
    ) -> Forwarded {
        if let Some(zero) = head_every.as_ref().filter(|every| ***every == 0) {
            self.wrong(ConfigCode::Value, zero, "`head_every` must be at least 1");
        }
        let events = events.as_ref().map(|word| match **word {
            SelectWord::None => ForwardedEvents::None,
            SelectWord::Denials => ForwardedEvents::Denials,
            SelectWord::All => ForwardedEvents::All,
        });
        let every = head_every.as_ref().map_or(HEAD_EVERY, |every| **every);
        Forwarded {
            events: events.unwrap_or_default(),
            head_every: every.max(1),
            required: required.as_ref().is_some_and(|required| **required),
        }
    }
}
