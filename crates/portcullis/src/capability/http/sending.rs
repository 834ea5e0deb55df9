//! The half of a request that needs no gate: its body, its addresses, the exchange, and the lines about them. It goes on
//! while the guest waits, or beside the guest.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use portcullis_audit::{Effect, Masked};
use portcullis_policy::{
    Capability, Code, Denial, Grants, GuestError, HostEnvironment, HttpDial, HttpRequest,
    HttpTerms, PluginId, shown,
};

use super::HttpAnswer;
use super::exchange::{Outgoing, Progress, Unanswered, exchange};
use super::failure::HttpFailure;
use super::secret::{self, Secrets};
use crate::capability::Client;
use crate::capability::dial::{NoWay, way};
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
    /// Where secrets are.
    pub(super) secret_env: HostEnvironment,
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
        let body = in_time(self.end, async { body.await.map_err(NotSent::Lacking) });
        let whole = match body.await {
            Ok(body) => {
                let secrets = self.secrets().await.map_err(NotSent::Lacking);
                secrets.map(|secrets| (body, secrets))
            }
            Err(not_sent) => Err(not_sent),
        };
        if let Err(NotSent::Lacking(failure)) = &whole
            && failure.code().is_some()
        {
            return refused(&self.lines, &self.grants, &self.wanted, failure.clone());
        }
        if let Err(unwritten) = self.lines.before(Some(&self.terms.rule)) {
            return Sent::closed(unwritten);
        }
        let mut under_way = UnderWay {
            lines: Some(self.lines),
            progress: Progress::default(),
        };
        let (client, grants, progress) = (&self.client, &self.grants, &mut under_way.progress);
        let sent = match whole {
            Ok((body, secrets)) => {
                let outgoing = Outgoing {
                    body,
                    secrets,
                    ..self.outgoing
                };
                in_time(self.end, async {
                    let request = &outgoing.request;
                    let place = |address| HttpDial {
                        request: request.clone(),
                        address,
                    };
                    let way = way(client, grants, &request.url.target().host, place).await;
                    let way = way.map_err(|no_way| NotSent::of(no_way, request))?;
                    let max = grants.limits.http_response;
                    Ok(exchange(client, way, outgoing, max, progress).await?)
                })
                .await
            }
            Err(not_sent) => Err(not_sent),
        };
        under_way.over(grants, &self.wanted, sent)
    }

    /// The secrets that go with the request, read now, and those that its response is searched for.
    async fn secrets(&self) -> Result<Secrets, HttpFailure> {
        let (grants, added) = (Arc::clone(&self.grants), self.terms.secrets.clone());
        if grants.http.secrets.is_empty() {
            return Ok(Secrets::default());
        }
        let outgoing = &self.outgoing;
        secret::leaves_room(&outgoing.headers, &added, &grants, &outgoing.request)?;
        let secret_env = self.secret_env.clone();
        let read = tokio::task::spawn_blocking(move || Secrets::read(&added, &grants, &secret_env));
        let read = async { read.await.map_err(|error| error.to_string()) };
        let read = match self.end {
            None => read.await,
            Some(end) => {
                let timed = tokio::time::timeout_at(end, read).await;
                timed.unwrap_or_else(|_| Err("it could not be read in time".to_owned()))
            }
        };
        read.unwrap_or_else(|why| Err(HttpFailure::NoSecret(why)))
    }
}

/// Writes down that there is no such request, that it is too large, or that its response is none for the guest.
fn refused(lines: &UseLines, grants: &Grants, wanted: &Wanted, failure: HttpFailure) -> Sent {
    let Some(denial) = wanted.invalid(&grants.plugin, &failure) else {
        unreachable!("what has no code is not refused")
    };
    match lines.refused(&denial) {
        Ok(()) => Sent::refused(failure, denial),
        Err(unwritten) => Sent::closed(unwritten),
    }
}

/// A request whose decision is written down. Dropped without an end, it leaves the line that it was given up.
struct UnderWay {
    lines: Option<UseLines>,
    progress: Progress,
}

impl UnderWay {
    fn over(mut self, grants: &Grants, wanted: &Wanted, sent: Result<HttpAnswer, NotSent>) -> Sent {
        let Some(lines) = self.lines.take() else {
            unreachable!("it is taken once")
        };
        let failure = match sent {
            Ok(answer) => {
                let effect = Effect {
                    bytes_in: answer.body.len() as u64,
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
            Err(NotSent::Denied(denial, host)) => {
                return match lines.refused(&denial) {
                    Ok(()) => Sent::refused(HttpFailure::Address(host), *denial),
                    Err(unwritten) => Sent::closed(unwritten),
                };
            }
            Err(NotSent::Lacking(failure)) => failure,
            Err(NotSent::Failed(why)) => HttpFailure::Io(why),
            Err(NotSent::Secret(name)) => HttpFailure::Secret(name),
            Err(NotSent::TimedOut) => HttpFailure::TimedOut,
        };
        let why = failure.why();
        if let Err(unwritten) = lines.done(self.effect(Some(&why))) {
            return Sent::closed(unwritten);
        }
        if failure.code().is_some() {
            return refused(&lines, grants, wanted, failure);
        }
        Sent {
            answer: Err(failure),
            told: Some(Told::Failure(format!("{wanted}: {why}"))),
        }
    }

    fn effect(&self, failed: Option<&str>) -> Effect {
        Effect {
            failed: failed.map(Masked::new),
            bytes_out: self.progress.sent,
            http_status: self.progress.status,
            secrets: self.progress.secrets.clone(),
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
    /// The denial of what is no request, or too large a one, or has to do with secrets; `None` for every other failure.
    pub(super) fn invalid(&self, plugin: &PluginId, failure: &HttpFailure) -> Option<Denial> {
        let code = failure.code()?;
        Some(Denial {
            code,
            plugin: plugin.clone(),
            capability: Capability::Http,
            action: match failure {
                HttpFailure::Secret(_) => format!("have the response to {self}"),
                _ => format!("send {self}"),
            },
            object: self.url.clone(),
            notes: vec![failure.why()],
            remedies: Vec::new(),
            rule: None,
            guest: match code {
                Code::HttpTooLarge => GuestError::Limit,
                Code::HttpSecret | Code::HttpNoSecret => GuestError::Denied,
                _ => GuestError::Invalid,
            },
        })
    }
}

/// Why there is no answer to what was allowed.
enum NotSent {
    /// The guest has not given the body, or the operator not a secret.
    Lacking(HttpFailure),
    /// An address that the host, as it was asked for, stands for.
    Denied(Box<Denial>, String),
    Failed(String),
    Secret(String),
    TimedOut,
}

impl NotSent {
    fn of(no_way: NoWay, request: &HttpRequest) -> Self {
        match no_way {
            NoWay::Denied(denial) => Self::Denied(denial, request.url.target().host.to_string()),
            NoWay::Unresolved(why) => Self::Failed(why),
        }
    }
}

impl From<Unanswered> for NotSent {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Failed(why) => Self::Failed(why),
            Unanswered::Secret(name) => Self::Secret(name),
            Unanswered::Late => Self::TimedOut,
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
