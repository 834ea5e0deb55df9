//! Requests over HTTP: encrypted, within one time, and with redirects that are looked at one by one.

use std::sync::Arc;
use std::time::Instant;

use rustls::crypto::ring;
use ureq::http::{Response, StatusCode, header};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};
use ureq::{Agent, Body, Proxy};
use url::{Host, Url};

use crate::bounded;
use crate::error::FetchError;
use crate::package::{Limits, Options};

pub(crate) struct Client<'a> {
    agent: Agent,
    pub(crate) limits: &'a Limits,
    plain_http: bool,
    deadline: Instant,
}

/// What a request says of itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Headers<'a> {
    /// The media types that are understood.
    pub(crate) accept: Option<&'a str>,
    /// Credentials. They go to the first host alone, never on to where that leads.
    pub(crate) authorization: Option<&'a str>,
}

impl<'a> Client<'a> {
    /// # Errors
    /// The certificates or the proxy cannot be used.
    pub(crate) fn new(limits: &'a Limits, options: &Options) -> Result<Self, FetchError> {
        let network = |why: String| FetchError::Network { why };
        let proxy = options
            .proxy
            .as_ref()
            .map(|proxy| Proxy::new(&format!("http://{proxy}")));
        let proxy = proxy
            .transpose()
            .map_err(|error| network(error.to_string()))?;
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
            .root_certs(roots(options).map_err(network)?)
            .build();
        // The operator names the way, not the environment.
        let agent = Agent::config_builder()
            .https_only(!options.plain_http)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(proxy)
            .tls_config(tls)
            .user_agent(concat!("portcullis/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self {
            agent: agent.into(),
            limits,
            plain_http: options.plain_http,
            deadline: Instant::now() + limits.time,
        })
    }

    /// Asks for what is at a URL, and goes where its server sends.
    pub(crate) fn get(
        &self,
        url: &Url,
        headers: Headers<'_>,
    ) -> Result<Response<Body>, FetchError> {
        let mut at = url.clone();
        let mut authorization = headers.authorization;
        for _ in 0..=self.limits.redirects {
            self.may_reach(&at)?;
            let mut request = self.agent.get(at.as_str());
            if let Some(accept) = headers.accept {
                request = request.header(header::ACCEPT, accept);
            }
            if let Some(authorization) = authorization.take() {
                request = request.header(header::AUTHORIZATION, authorization);
            }
            let left = self.time_left(&at)?;
            let sent = request.config().timeout_global(Some(left)).build().call();
            let response = sent.map_err(|error| unreachable(&at, error))?;
            if !is_redirect(response.status()) {
                return Ok(response);
            }
            at = location(&at, &response)?;
        }
        Err(FetchError::Unreachable {
            url: url.to_string(),
            why: format!("it leads on more than {} times", self.limits.redirects),
        })
    }

    /// Sends a body, or none. Where the server answers with a redirect, that is the answer.
    pub(crate) fn send(
        &self,
        method: &str,
        url: &Url,
        headers: &[(header::HeaderName, &str)],
        body: &[u8],
    ) -> Result<Response<Body>, FetchError> {
        self.may_reach(url)?;
        let left = self.time_left(url)?;
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(url.as_str());
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let request = request
            .body(body)
            .map_err(|error| unreachable(url, error.into()))?;
        let request = self.agent.configure_request(request);
        let sent = self.agent.run(request.timeout_global(Some(left)).build());
        sent.map_err(|error| unreachable(url, error))
    }

    /// Whether a host is spoken to without TLS.
    pub(crate) fn is_plain(&self, url: &Url) -> bool {
        self.plain_http && is_loopback(url)
    }

    /// Nothing is sent in the clear, but where that was allowed to this very machine.
    pub(crate) fn may_reach(&self, url: &Url) -> Result<(), FetchError> {
        let fits = url.scheme() == "https" || (url.scheme() == "http" && self.is_plain(url));
        let plain = url.username().is_empty() && url.password().is_none();
        if fits && plain {
            Ok(())
        } else {
            Err(FetchError::Insecure {
                url: without_secrets(url),
            })
        }
    }

    fn time_left(&self, url: &Url) -> Result<std::time::Duration, FetchError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(FetchError::Unreachable {
                url: url.to_string(),
                why: format!("it took more than {} s", self.limits.time.as_secs()),
            });
        }
        Ok(left)
    }
}

/// The bytes of a response, counted while they come, and not fewer than were announced.
pub(crate) fn body(url: &Url, response: Response<Body>, most: u64) -> Result<Vec<u8>, FetchError> {
    let too_large = || FetchError::TooLarge {
        what: url.to_string(),
        limit: most,
    };
    let body = response.into_body();
    if body
        .content_length()
        .is_some_and(|announced| announced > most)
    {
        return Err(too_large());
    }
    let reader = body.into_with_config().limit(u64::MAX).reader();
    let bytes = bounded::read(reader, most).map_err(|error| unreachable(url, error.into()))?;
    bytes.ok_or_else(too_large)
}

/// A response that has what was asked for.
pub(crate) fn expect_ok(url: &Url, response: Response<Body>) -> Result<Response<Body>, FetchError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    Err(FetchError::Status {
        url: url.to_string(),
        status: status.as_u16(),
    })
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Where a response leads.
pub(crate) fn location(at: &Url, response: &Response<Body>) -> Result<Url, FetchError> {
    let to = response.headers().get(header::LOCATION);
    let to = to
        .and_then(|to| to.to_str().ok())
        .and_then(|to| at.join(to).ok());
    to.ok_or_else(|| FetchError::Unreachable {
        url: at.to_string(),
        why: "it leads nowhere".to_owned(),
    })
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn without_secrets(url: &Url) -> String {
    let mut url = url.clone();
    // Of a URL that can have neither there is nothing to hide.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    url.to_string()
}

fn unreachable(url: &Url, error: ureq::Error) -> FetchError {
    let why = match error {
        ureq::Error::Timeout(_) => "it took too long".to_owned(),
        ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => {
            "it took too long".to_owned()
        }
        error => error.to_string(),
    };
    FetchError::Unreachable {
        url: url.to_string(),
        why,
    }
}

/// The certificates of the file that was named, or without one those of the system.
fn roots(options: &Options) -> Result<RootCerts, String> {
    let certificates: Vec<Certificate<'static>> = match &options.ca_file {
        None => {
            let found = rustls_native_certs::load_native_certs().certs;
            found
                .iter()
                .map(|found| Certificate::from_der(found).to_owned())
                .collect()
        }
        Some(file) => {
            let from = file.display();
            let pem = std::fs::read(file)
                .map_err(|error| format!("cannot read the certificates of `{from}`: {error}"))?;
            let items = parse_pem(&pem).filter_map(Result::ok);
            let found: Vec<_> = items
                .filter_map(|item| match item {
                    PemItem::Certificate(certificate) => Some(certificate),
                    _ => None,
                })
                .collect();
            if found.is_empty() {
                return Err(format!("`{from}` has no certificates to trust"));
            }
            found
        }
    };
    Ok(RootCerts::Specific(Arc::new(certificates)))
}
