//! Requests over HTTP, to hosts that the operator granted.
//!
//! Redirects are not followed: the response that has one is the answer. Headers about the connection, the length and the host are set by
//! the host alone.
//!
//! ```
//! use portcullis::http::{self, Request, Response};
//! use portcullis::testing::Host;
//!
//! let host = Host::new()
//!     .response("GET", "https://example.com/version", Response::new(200).body("7\n"))
//!     .response("POST", "https://example.com/reports", Response::new(201));
//! host.run(|| {
//!     assert_eq!(http::get("https://example.com/version")?.text(), "7\n");
//!     let sent = Request::post("https://example.com/reports")
//!         .header("Content-Type", "application/json")
//!         .body(r#"{"ok":true}"#)
//!         .send()?;
//!     assert_eq!(sent.status, 201);
//!     # Ok::<_, portcullis::Error>(())
//! })?;
//! # Ok::<_, portcullis::Error>(())
//! ```
//!
//! Grant: `http`.

use std::borrow::Cow;

use crate::{Error, Result, host};

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// A request without headers and body. `method` is one of GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// A GET.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// A POST.
    pub fn post(url: impl Into<String>) -> Self {
        Self::new("POST", url)
    }

    /// A PUT.
    pub fn put(url: impl Into<String>) -> Self {
        Self::new("PUT", url)
    }

    /// A DELETE.
    pub fn delete(url: impl Into<String>) -> Self {
        Self::new("DELETE", url)
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body; 1 MiB at most, unless policy says otherwise.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends it, and waits for the whole response: 30 s at most, unless policy says otherwise.
    ///
    /// # Errors
    /// There is no response: [`Denied`](crate::ErrorKind::Denied), [`Invalid`](crate::ErrorKind::Invalid),
    /// [`TooLarge`](crate::ErrorKind::TooLarge), [`Limit`](crate::ErrorKind::Limit), [`TimedOut`](crate::ErrorKind::TimedOut), or
    /// [`Io`](crate::ErrorKind::Io) for a host that cannot be reached. Any status is a response.
    pub fn send(self) -> Result<Response> {
        host::http_send(&self).map_err(|kind| {
            // A query may have what is nobody's business.
            let place = self.url.split(['?', '#']).next().unwrap_or_default();
            Error::of(format_args!("cannot {} `{place}`", self.method), kind)
        })
    }
}

/// Sends a GET, as [`Request::send`] does.
///
/// # Errors
/// As [`Request::send`].
pub fn get(url: impl Into<String>) -> Result<Response> {
    Request::get(url).send()
}

/// A response, whatever its status.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Names and values, without those about the connection, the length and how the body was packed.
    pub headers: Vec<(String, String)>,
    /// The body, unpacked.
    pub body: Vec<u8>,
    /// Whether there was more of the body than a plugin is given: 4 MiB, unless policy says otherwise.
    pub truncated: bool,
}

impl Response {
    /// A response for a test to give.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            truncated: false,
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Whether its status says that it was a success: 200 to 299.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The first header of this name, in whatever case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let (_, value) = headers.find(|(own, _)| own.eq_ignore_ascii_case(name))?;
        Some(value)
    }

    /// The body as text; what is not UTF-8 becomes U+FFFD.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }
}
