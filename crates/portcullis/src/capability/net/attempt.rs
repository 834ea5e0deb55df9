//! The steps that a lookup, a connection and a look at a mail server have in common.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use portcullis_audit::{Effect, Masked};
use portcullis_policy::{
    Capability, Code, ConnectRequest, Connection, Denial, Grants, GuestError, Host, Origin, RuleId,
    Target, shown,
};

use super::failure::{Failed, NetFailure};
use crate::capability::Client;
use crate::gate::{Gate, Refused, Unwritten, Use, UseLines};
use crate::needs::Need;

/// A use that was decided on, as far as it is known before anything is resolved.
#[derive(Debug)]
pub(super) struct Allowed {
    /// What it is about, for messages.
    what: String,
    lines: UseLines,
    rule: (RuleId, Origin),
    /// When its time is over. `None`: never.
    end: Option<tokio::time::Instant>,
    reached: Arc<OnceLock<SocketAddr>>,
}

/// All that reaching out takes.
#[derive(Clone, Debug)]
pub(super) struct Outside {
    pub(super) client: Arc<Client>,
    pub(super) grants: Arc<Grants>,
    /// The place that was connected to.
    pub(super) reached: Arc<OnceLock<SocketAddr>>,
}

/// What a guest is given.
pub(super) trait Given {
    /// Its bytes, about.
    fn bytes(&self) -> usize;
}

impl Gate {
    /// Counts a use. `what` is what it is about.
    pub(super) fn net_begin(
        &mut self,
        function: &'static str,
        what: &str,
    ) -> Result<Use, NetFailure> {
        Ok(self.begin(Capability::Net, function, Masked::new(what))?)
    }

    /// Writes down that this is no request.
    pub(super) fn net_invalid(&mut self, used: &Use, what: &str, why: String) -> NetFailure {
        let denial = Denial {
            code: Code::NetInvalid,
            plugin: self.grants().plugin.clone(),
            capability: Capability::Net,
            action: format!("ask for `{}`", shown(what)),
            object: what.to_owned(),
            notes: vec![why.clone()],
            remedies: Vec::new(),
            rule: None,
            guest: GuestError::Invalid,
        };
        match self.refused(used, denial) {
            Ok(_) => NetFailure::Invalid(why),
            Err(_) => NetFailure::Closed,
        }
    }

    /// Decides on a connection by its host and port, and by its address where that is written out: such a one needs no looking
    /// up, and is refused in one line.
    pub(super) fn net_reachable(
        &mut self,
        used: &Use,
        target: &Target,
    ) -> Result<(RuleId, Origin), NetFailure> {
        let denied = |refused| of_denial(refused, &target.to_string());
        let request = ConnectRequest {
            target: target.clone(),
        };
        let allowed = self.authorize(used, request).map_err(denied)?;
        if let Host::Address(address) = target.host {
            let place = Connection {
                target: target.clone(),
                address,
            };
            self.authorize(used, place).map_err(denied)?;
        }
        let told = || Need::Connection(target.to_string());
        self.parts().needs.tell(told);
        Ok(allowed.terms().clone())
    }

    /// The use, which may take this long.
    pub(super) fn net_allowed(
        &mut self,
        used: Use,
        what: String,
        rule: (RuleId, Origin),
        timeout: Option<Duration>,
    ) -> (Allowed, Outside) {
        let most = self.limits().net_timeout;
        let timeout = timeout.map_or(most, |timeout| timeout.min(most));
        let outside = Outside {
            client: self.http_client(),
            grants: self.grants(),
            reached: Arc::default(),
        };
        let allowed = Allowed {
            what,
            rule,
            end: self
                .until(Some(timeout))
                .map(tokio::time::Instant::from_std),
            lines: self.apart(used),
            reached: outside.reached.clone(),
        };
        (allowed, outside)
    }

    /// Writes down that it is allowed, does it in time, and writes down what came of it. An address that is refused is a line
    /// more. Dropped in between, it leaves the line that it was given up.
    pub(super) async fn net_attempt<T: Given>(
        &mut self,
        allowed: Allowed,
        work: impl Future<Output = Result<T, Failed>>,
    ) -> Result<T, NetFailure> {
        let Allowed {
            what,
            lines,
            rule,
            end,
            reached,
        } = allowed;
        let written = lines.before(Some(&rule));
        self.net_written(written)?;
        let mut under_way = UnderWay {
            lines: Some(lines),
            reached,
        };
        let came = in_time(end, work).await;
        let Some(lines) = under_way.lines.take() else {
            unreachable!("it is taken once")
        };
        let failure = match came {
            Ok(answer) => {
                let effect = Effect {
                    bytes_in: answer.bytes() as u64,
                    ..under_way.effect(None)
                };
                self.net_written(lines.done(effect))?;
                return Ok(answer);
            }
            Err(Failed::Denied(denial)) => {
                self.net_written(lines.refused(&denial))?;
                self.activity.denial(*denial);
                return Err(NetFailure::Address(what));
            }
            Err(Failed::Other(failure)) => failure,
        };
        let why = failure.why();
        self.net_written(lines.done(under_way.effect(Some(&why))))?;
        self.activity.failure(format!("`{}`: {why}", shown(&what)));
        Err(failure)
    }

    fn net_written(&mut self, written: Result<(), Unwritten>) -> Result<(), NetFailure> {
        written.map_err(|Unwritten(why)| {
            self.activity.failure(why);
            NetFailure::Closed
        })
    }
}

/// What a denial by policy, which is written down, is to a guest.
pub(super) fn of_denial(refused: Refused, object: &str) -> NetFailure {
    match refused.code {
        Some(Code::NetAddress) => NetFailure::Address(object.to_owned()),
        Some(_) => NetFailure::Denied(object.to_owned()),
        None => NetFailure::Closed,
    }
}

/// A use whose decision is written down. Dropped without an end, it leaves the line that it was given up.
struct UnderWay {
    lines: Option<UseLines>,
    reached: Arc<OnceLock<SocketAddr>>,
}

impl UnderWay {
    fn effect(&self, failed: Option<&str>) -> Effect {
        Effect {
            failed: failed.map(Masked::new),
            address: self.reached.get().map(ToString::to_string),
            ..Effect::default()
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(lines) = self.lines.take() {
            // Nobody is left to be told.
            let _ = lines.done(self.effect(Some("it was given up before it was over")));
        }
    }
}

async fn in_time<T>(
    end: Option<tokio::time::Instant>,
    work: impl Future<Output = Result<T, Failed>>,
) -> Result<T, Failed> {
    // A time so far off that no clock shows it does not come.
    let Some(end) = end else { return work.await };
    if Instant::now() >= end.into_std() {
        return Err(Failed::Other(NetFailure::TimedOut));
    }
    let timed = tokio::time::timeout_at(end, work).await;
    timed.unwrap_or(Err(Failed::Other(NetFailure::TimedOut)))
}
