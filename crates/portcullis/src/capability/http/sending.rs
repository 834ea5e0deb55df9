//! The half of a request that needs no gate: its body, its addresses, the exchange, and the lines about them. It goes on
//! while the guest waits, or beside the guest.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use portcullis_audit::{Effect, Masked};
use portcullis_policy::{Capability, Code, Denial, Grants, GuestError, HttpTerms, PluginId, shown};

use super::HttpAnswer;
use super::client::Client;
use super::dial::{NoWay, Way, way};
use super::exchange::{Broken, Outgoing, Progress, exchange};
use super::failure::HttpFailure;
use crate::gate::{Unwritten, UseLines};

/// What a request is about, for messages.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) method: String,
    pub(super) url: String,
}

/// A request that was decided on by its URL, and all that sending it takes.
#[derive(Debug)]
pub(crate) struct Sending {
    pub(super) wanted: Wanted,
    pub(super) lines: UseLines,
    pub(super) client: Arc<Client>,
    pub(super) grants: Arc<Grants>,
    pub(super) terms: HttpTerms,
    /// Without its body.
    pub(super) outgoing: Outgoing,
    /// When its time is over. `None`: never.
    pub(super) end: Option<tokio::time::Instant>,
}

/// What came of a request.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) answer: Result<HttpAnswer, HttpFailure>,
    pub(crate) told: Option<Told>,
}

/// What the operator is told of it, once the gate is at hand.
#[derive(Debug)]
pub(crate) enum Told {
    Denial(Box<Denial>),
    Failure(String),
}

impl Sent {
    fn closed(Unwritten(why): Unwritten) -> Self {
        Self {
            answer: Err(HttpFailure::Closed),
            told: Some(Told::Failure(why)),
        }
    }

    fn refused(failure: HttpFailure, denial: Denial) -> Self {
        Self {
            answer: Err(failure),
            told: Some(Told::Denial(Box::new(denial))),
        }
    }
}

impl Sending {
    /// Waits for the body, sends the request, and waits for the response.
    ///
    /// A body that is too large is refused. Looking a name up tells others about it, so the decision is written down before; an
    /// address that is refused then is one more line. Dropped in between, it leaves the line that the request was given up.
    pub(crate) async fn send(self, body: impl Future<Output = Result<Bytes, HttpFailure>>) -> Sent {
        let body = in_time(self.end, async { body.await.map_err(NotSent::NoBody) }).await;
        if let Err(NotSent::NoBody(failure)) = &body
            && let Some(denial) = self.wanted.invalid(&self.grants.plugin, failure)
        {
            return match self.lines.refused(&denial) {
                Ok(()) => Sent::refused(failure.clone(), denial),
                Err(unwritten) => Sent::closed(unwritten),
            };
        }
        if let Err(unwritten) = self.lines.before(Some(&self.terms.rule)) {
            return Sent::closed(unwritten);
        }
        let mut under_way = UnderWay {
            lines: Some(self.lines),
            progress: Progress::default(),
        };
        let max = self.grants.limits.http_response;
        let sent = match body {
            Ok(body) => {
                let outgoing = Outgoing {
                    body,
                    ..self.outgoing
                };
                let progress = &mut under_way.progress;
                in_time(self.end, async {
                    let way: Way = way(&self.client, &self.grants, &outgoing.request).await?;
                    let answer = exchange(&self.client, way, outgoing, max, progress).await;
                    Ok(answer?)
                })
                .await
            }
            Err(not_sent) => Err(not_sent),
        };
        under_way.over(&self.wanted, sent)
    }
}

/// A request whose decision is written down. Dropped without an end, it leaves the line that it was given up.
struct UnderWay {
    lines: Option<UseLines>,
    progress: Progress,
}

impl UnderWay {
    fn over(mut self, wanted: &Wanted, sent: Result<HttpAnswer, NotSent>) -> Sent {
        let Some(lines) = self.lines.take() else {
            unreachable!("it is taken once")
        };
        let failure = match sent {
            Ok(answer) => {
                let effect = Effect {
                    bytes_in: answer.body.len() as u64,
                    http_status: Some(answer.status),
                    ..self.effect(None)
                };
                return match lines.done(effect) {
                    Ok(()) => Sent {
                        answer: Ok(answer),
                        told: None,
                    },
                    Err(unwritten) => Sent::closed(unwritten),
                };
            }
            Err(NotSent::Denied(denial, address)) => {
                return match lines.refused(&denial) {
                    Ok(()) => Sent::refused(HttpFailure::Address(address), *denial),
                    Err(unwritten) => Sent::closed(unwritten),
                };
            }
            Err(NotSent::NoBody(failure)) => failure,
            Err(NotSent::Failed(why)) => HttpFailure::Io(why),
            Err(NotSent::TimedOut) => HttpFailure::TimedOut,
        };
        let why = failure.why();
        match lines.done(self.effect(Some(&why))) {
            Ok(()) => Sent {
                answer: Err(failure),
                told: Some(Told::Failure(format!("{wanted}: {why}"))),
            },
            Err(unwritten) => Sent::closed(unwritten),
        }
    }

    fn effect(&self, failed: Option<&str>) -> Effect {
        Effect {
            failed: failed.map(Masked::new),
            bytes_out: self.progress.sent,
            address: self.progress.address.map(|address| address.to_string()),
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

impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{} {}`", self.method, shown(&self.url))
    }
}

impl Wanted {
    /// The denial of what is no request, or too large a one; `None` for every other failure.
    pub(super) fn invalid(&self, plugin: &PluginId, failure: &HttpFailure) -> Option<Denial> {
        let code = failure.code()?;
        Some(Denial {
            code,
            plugin: plugin.clone(),
            capability: Capability::Http,
            action: format!("send {self}"),
            object: self.url.clone(),
            notes: vec![failure.why()],
            remedies: Vec::new(),
            rule: None,
            guest: match code {
                Code::HttpTooLarge => GuestError::Limit,
                _ => GuestError::Invalid,
            },
        })
    }
}

/// Why there is no answer to what was allowed.
enum NotSent {
    /// The guest has not given the body.
    NoBody(HttpFailure),
    Denied(Box<Denial>, std::net::IpAddr),
    Failed(String),
    TimedOut,
}

impl From<NoWay> for NotSent {
    fn from(no_way: NoWay) -> Self {
        match no_way {
            NoWay::Denied(denial, address) => Self::Denied(denial, address),
            NoWay::Unresolved(why) => Self::Failed(why),
        }
    }
}

impl From<Broken> for NotSent {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Late => Self::TimedOut,
            Broken::Why(why) => Self::Failed(why),
        }
    }
}

async fn in_time<T>(
    end: Option<tokio::time::Instant>,
    work: impl Future<Output = Result<T, NotSent>>,
) -> Result<T, NotSent> {
    // A time so far off that no clock shows it does not come.
    let Some(end) = end else { return work.await };
    if Instant::now() >= end.into_std() {
        return Err(NotSent::TimedOut);
    }
    let timed = tokio::time::timeout_at(end, work).await;
    timed.unwrap_or(Err(NotSent::TimedOut))
}
