//! The gate in front of requests: resolve, decide, write down, send, write down what came of it.

use std::time::Instant;

use bytes::Bytes;
use portcullis_audit::{Effect, Masked};
use portcullis_policy::{
    Capability, Code, Denial, GuestError, Host, HttpDial, HttpRequest, HttpTerms, HttpUrl,
    InvalidUrl, shown,
};

use super::dial::{NoWay, Way, way};
use super::exchange::{Outgoing, Progress, Unanswered, exchange};
use super::failure::HttpFailure;
use super::redacted::{self, MAX_URL};
use super::secret::{self, Secrets};
use super::{HttpAnswer, HttpAsk, head};
use crate::gate::{Gate, Refused, Use};

/// A call under way: its line in the trail, and what it is about for messages.
struct Call {
    used: Use,
    method: String,
    url: String,
}

impl Gate {
    /// Sends a request and gives what came back. Redirects are not followed.
    ///
    /// It takes no longer than `limits.http_timeout`, and no longer than the guest's own call.
    ///
    /// # Errors
    /// [`HttpFailure`]
    pub(crate) async fn http(&mut self, ask: HttpAsk) -> Result<HttpAnswer, HttpFailure> {
        let (method, url) = (shown(&ask.method), redacted::url(&ask.url));
        let object = Masked::new(&format!("{method} {url}"));
        let used = self.begin(Capability::Http, "send", object)?;
        let call = Call { used, method, url };
        let outgoing = match self.outgoing(&ask) {
            Ok(outgoing) => outgoing,
            Err(failure) => return Err(self.http_refused(&call, failure)),
        };
        let allowed = self.authorize(&call.used, outgoing.request.clone());
        let terms = match allowed {
            Ok(authorized) => authorized.terms().clone(),
            Err(refused) => return Err(self.not_allowed(&outgoing.request, refused)),
        };
        // What is written out needs no looking up: it is decided on before anything is written down as allowed.
        if let Host::Address(address) = outgoing.request.url.target().host {
            let request = outgoing.request.clone();
            let allowed = self.authorize(&call.used, HttpDial { request, address });
            if let Err(refused) = allowed {
                return Err(self.not_allowed(&outgoing.request, refused));
            }
        }
        let (bytes, max) = (ask.body.len() as u64, self.limits().http_request);
        if bytes > max {
            return Err(self.http_refused(&call, HttpFailure::BodyTooLarge { bytes, max }));
        }
        let read = self.secrets(&terms, &outgoing).await;
        let secrets = read.map_err(|failure| self.http_refused(&call, failure))?;
        let body = Bytes::from(ask.body);
        let outgoing = Outgoing {
            body,
            secrets,
            ..outgoing
        };
        self.send(&call, terms, outgoing).await
    }

    /// The request as it would be sent, without its body.
    fn outgoing(&self, ask: &HttpAsk) -> Result<Outgoing, HttpFailure> {
        let url = parsed(&ask.url)?;
        let method = head::method(&ask.method)?;
        let headers = head::headers(&ask.headers, &url, &self.grants())?;
        Ok(Outgoing {
            request: HttpRequest {
                method: method.as_str().to_owned(),
                url,
            },
            method,
            headers,
            body: Bytes::new(),
            secrets: Secrets::default(),
        })
    }

    /// The secrets that go with the request, read now, and those that its response is searched for.
    async fn secrets(
        &self,
        terms: &HttpTerms,
        outgoing: &Outgoing,
    ) -> Result<Secrets, HttpFailure> {
        let (grants, host_env, added) = (self.grants(), self.secret_env(), terms.secrets.clone());
        if grants.http.secrets.is_empty() {
            return Ok(Secrets::default());
        }
        secret::leaves_room(&outgoing.headers, &added, &grants, &outgoing.request)?;
        let read = tokio::task::spawn_blocking(move || Secrets::read(&added, &grants, &host_env));
        let read = async { read.await.map_err(|error| error.to_string()) };
        let read = match self.until(Some(self.limits().http_timeout)) {
            None => read.await,
            Some(end) => {
                let timed = tokio::time::timeout_at(end.into(), read).await;
                timed.unwrap_or_else(|_| Err("it could not be read in time".to_owned()))
            }
        };
        read.unwrap_or_else(|why| Err(HttpFailure::NoSecret(why)))
    }

    /// Sends what was decided on by its URL.
    ///
    /// Looking a name up tells others about it, so the decision is written down before; an address that is refused then is
    /// one more line.
    async fn send(
        &mut self,
        call: &Call,
        terms: HttpTerms,
        outgoing: Outgoing,
    ) -> Result<HttpAnswer, HttpFailure> {
        let (client, grants) = (self.http_client(), self.grants());
        let (max, limit) = (self.limits().http_response, self.limits().http_timeout);
        let end = self.until(Some(limit)).map(tokio::time::Instant::from_std);
        let host = outgoing.request.url.target().host.to_string();
        self.before(&call.used, Some(&terms.rule))?;
        let mut progress = Progress::default();
        let sent = in_time(end, async {
            let way: Way = way(&client, &grants, &outgoing.request).await?;
            let answer = exchange(&client, way, outgoing, max, &mut progress).await;
            Ok(answer?)
        });
        let (failure, answer) = match sent.await {
            Ok(answer) => (None, Some(answer)),
            Err(NotSent::Denied(denial)) => {
                self.refused(&call.used, *denial)
                    .map_err(|_| HttpFailure::Closed)?;
                return Err(HttpFailure::Address(host));
            }
            Err(NotSent::Failed(why)) => (Some(HttpFailure::Io(why)), None),
            Err(NotSent::Secret(name)) => (Some(HttpFailure::Secret(name)), None),
            Err(NotSent::TimedOut) => (Some(HttpFailure::TimedOut), None),
        };
        let bytes_in = answer.as_ref().map_or(0, |answer| answer.body.len() as u64);
        let effect = Effect {
            failed: failure.as_ref().map(|failure| Masked::new(&failure.why())),
            bytes_in,
            bytes_out: progress.sent,
            http_status: progress.status,
            secrets: progress.secrets,
            address: progress.address.map(|address| address.to_string()),
            ..Effect::default()
        };
        self.done(&call.used, effect)?;
        match (answer, failure) {
            (Some(answer), _) => Ok(answer),
            (None, Some(failure @ HttpFailure::Secret(_))) => Err(self.http_refused(call, failure)),
            (None, failure) => {
                let failure = failure.unwrap_or(HttpFailure::TimedOut);
                let (method, url) = (&call.method, &call.url);
                let told = format!("`{method} {}`: {}", shown(url), failure.why());
                self.activity.failure(told);
                Err(failure)
            }
        }
    }

    /// Writes down that there is no such request, or that it is too large.
    fn http_refused(&mut self, call: &Call, failure: HttpFailure) -> HttpFailure {
        let Some(code) = failure.code() else {
            return failure;
        };
        let denial = Denial {
            code,
            plugin: self.grants().plugin.clone(),
            capability: Capability::Http,
            action: match failure {
                HttpFailure::Secret(_) => format!(
                    "have the response to `{} {}`",
                    call.method,
                    shown(&call.url)
                ),
                _ => format!("send `{} {}`", call.method, shown(&call.url)),
            },
            object: call.url.clone(),
            notes: vec![failure.why()],
            remedies: Vec::new(),
            rule: None,
            guest: match code {
                Code::HttpTooLarge => GuestError::Limit,
                Code::HttpSecret | Code::HttpNoSecret => GuestError::Denied,
                _ => GuestError::Invalid,
            },
        };
        match self.refused(&call.used, denial) {
            Ok(_) => failure,
            Err(_) => HttpFailure::Closed,
        }
    }

    /// What a denial by policy, which is written down, is to a guest.
    fn not_allowed(&self, request: &HttpRequest, refused: Refused) -> HttpFailure {
        match refused.code {
            Some(Code::HttpNotGranted) if self.grants().http.allow.is_empty() => {
                HttpFailure::NotGranted
            }
            Some(Code::HttpRequest) => HttpFailure::Request,
            Some(code) => match request.url.target().host {
                Host::Address(address) if code == Code::HttpAddress => {
                    HttpFailure::Address(address.to_string())
                }
                ref host => HttpFailure::HostNotAllowed(host.to_string()),
            },
            None => HttpFailure::Closed,
        }
    }
}

/// Why there is no answer to what was allowed.
enum NotSent {
    Denied(Box<Denial>),
    Failed(String),
    Secret(String),
    TimedOut,
}

impl From<Unanswered> for NotSent {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Failed(why) => Self::Failed(why),
            Unanswered::Secret(name) => Self::Secret(name),
        }
    }
}

impl From<NoWay> for NotSent {
    fn from(no_way: NoWay) -> Self {
        match no_way {
            NoWay::Denied(denial) => Self::Denied(denial),
            NoWay::Unresolved(why) => Self::Failed(why),
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

fn parsed(text: &str) -> Result<HttpUrl, HttpFailure> {
    if text.len() > MAX_URL {
        let why = format!("its URL is longer than {MAX_URL} bytes");
        return Err(HttpFailure::InvalidUrl(why));
    }
    HttpUrl::parse(text).map_err(|error| match error {
        InvalidUrl::Scheme(scheme) => HttpFailure::Scheme(scheme),
        InvalidUrl::Malformed(_) | InvalidUrl::Userinfo | InvalidUrl::Host | InvalidUrl::Port => {
            HttpFailure::InvalidUrl(error.to_string())
        }
    })
}
