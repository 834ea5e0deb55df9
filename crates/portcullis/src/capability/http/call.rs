//! The gate in front of requests: resolve, decide, write down, send, write down what came of it.

use std::future;

use bytes::Bytes;
use portcullis_audit::Masked;
use portcullis_policy::{
    Capability, Code, Host, HttpDial, HttpRequest, HttpUrl, InvalidUrl, shown,
};

use super::exchange::{Outgoing, Waits};
use super::failure::HttpFailure;
use super::redacted::{self, MAX_URL};
use super::secret::Secrets;
use super::sending::{Sending, Sent, Told, Wanted};
use super::{HttpAnswer, HttpAsk, head};
use crate::gate::{Gate, Refused};
use crate::needs::Need;

impl Gate {
    /// Sends a request and gives what came back. Redirects are not followed.
    ///
    /// It takes no longer than `limits.http_timeout`, and no longer than the guest's own call.
    ///
    /// # Errors
    /// [`HttpFailure`]
    pub(crate) async fn http(&mut self, mut ask: HttpAsk) -> Result<HttpAnswer, HttpFailure> {
        let body = Bytes::from(std::mem::take(&mut ask.body));
        let sending = self.http_allowed(&ask)?;
        let (bytes, max) = (body.len() as u64, self.limits().http_request);
        let body = match bytes > max {
            true => Err(HttpFailure::BodyTooLarge { bytes, max }),
            false => Ok(body),
        };
        let sent = body.clone().unwrap_or_default();
        let Sent { answer, told } = sending.send(future::ready(body)).await;
        self.http_told(told);
        if let Ok(answer) = &answer {
            self.note_http((&ask.method, &ask.url, &sent), answer);
        }
        answer
    }

    /// Decides on a request by all but its body and the addresses of its host. Nothing is looked up, and nothing written down
    /// but a denial.
    ///
    /// # Errors
    /// [`HttpFailure`]
    pub(crate) fn http_allowed(&mut self, ask: &HttpAsk) -> Result<Sending, HttpFailure> {
        let (method, url) = (shown(&ask.method), redacted::url(&ask.url));
        let object = Masked::new(&format!("{method} {url}"));
        let used = self.begin(Capability::Http, "send", object)?;
        let wanted = Wanted { method, url };
        let outgoing = match self.outgoing(ask) {
            Ok(outgoing) => outgoing,
            Err(failure) => {
                let denial = wanted.invalid(&self.grants().plugin, &failure);
                let written = denial.map_or(Ok(()), |denial| self.refused(&used, denial).map(drop));
                return Err(written.map_or(HttpFailure::Closed, |()| failure));
            }
        };
        let allowed = self.authorize(&used, outgoing.request.clone());
        let terms = match allowed {
            Ok(authorized) => {
                let request = authorized.request();
                self.parts().needs.tell(|| Need::Request(request.clone()));
                authorized.terms().clone()
            }
            Err(refused) => return Err(self.not_allowed(&outgoing.request, refused)),
        };
        // What is written out needs no looking up: it is decided on before anything is written down as allowed.
        if let Host::Address(address) = outgoing.request.url.target().host {
            let request = outgoing.request.clone();
            let allowed = self.authorize(&used, HttpDial { request, address });
            if let Err(refused) = allowed {
                return Err(self.not_allowed(&outgoing.request, refused));
            }
        }
        let end = self.until(Some(self.limits().http_timeout));
        Ok(Sending {
            wanted,
            lines: self.apart(used),
            client: self.http_client(),
            grants: self.grants(),
            secret_env: self.secret_env(),
            terms,
            outgoing,
            end: end.map(tokio::time::Instant::from_std),
        })
    }

    /// Tells the operator what came of a request.
    pub(super) fn http_told(&mut self, told: Option<Told>) {
        match told {
            Some(Told::Denial(denial)) => self.activity.denial(*denial),
            Some(Told::Failure(why)) => self.activity.failure(why),
            None => {}
        }
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
            waits: Waits::default(),
            secrets: Secrets::default(),
        })
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
