//! A company's proxy, through which names are reached.

use std::fmt;
use std::io;

use hyper::Uri;
use hyper::header::HeaderValue;
use portcullis_policy::{Host, InvalidHost, Target};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Bytes of its answer to `CONNECT`.
const MAX_HEAD: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;

/// An HTTP proxy that knows the way out. It comes from trusted configuration.
#[derive(Clone)]
pub struct Upstream {
    pub(crate) target: Target,
    pub(crate) authorization: Option<HeaderValue>,
}

/// Text that is no upstream proxy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidUpstream {
    /// It is no `http://host:port`.
    #[error("an upstream proxy is `http://host:port`, without a path and without credentials")]
    Shape,
    /// Its host or port is none.
    #[error("the upstream proxy has no host and port")]
    Host(#[source] InvalidHost),
    /// The value for `Proxy-Authorization` has characters that no header has.
    #[error("the credentials of the upstream proxy are no value of a header")]
    Authorization,
}

impl From<Target> for Upstream {
    fn from(target: Target) -> Self {
        Self {
            target,
            authorization: None,
        }
    }
}

impl Upstream {
    /// Reads `http://host:port`.
    ///
    /// # Errors
    /// [`InvalidUpstream`] for other schemes, a missing port, a path or credentials in the text.
    pub fn parse(text: &str) -> Result<Self, InvalidUpstream> {
        let uri: Uri = text.parse().map_err(|_| InvalidUpstream::Shape)?;
        let plain = uri.scheme_str() == Some("http") && uri.path() == "/" && uri.query().is_none();
        let authority = uri
            .authority()
            .filter(|_| plain)
            .ok_or(InvalidUpstream::Shape)?;
        Ok(Self {
            target: Target::parse(authority.as_str()).map_err(InvalidUpstream::Host)?,
            authorization: None,
        })
    }

    /// Adds the value of `Proxy-Authorization`, for instance `Basic …`. No output of this type shows it.
    ///
    /// # Errors
    /// [`InvalidUpstream::Authorization`] when it cannot stand in a header.
    pub fn with_authorization(mut self, value: &str) -> Result<Self, InvalidUpstream> {
        let mut value = HeaderValue::from_str(value).map_err(|_| InvalidUpstream::Authorization)?;
        value.set_sensitive(true);
        self.authorization = Some(value);
        Ok(self)
    }

    /// The host and port of the proxy itself.
    pub fn target(&self) -> &Target {
        &self.target
    }

    pub(crate) fn host(&self) -> &Host {
        &self.target.host
    }

    /// Asks the proxy behind this stream for a tunnel.
    ///
    /// # Errors
    /// The proxy does not make one, or does not answer as proxies do.
    pub async fn connect(&self, stream: &mut TcpStream, to: &Target) -> io::Result<()> {
        let mut head = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n").into_bytes();
        if let Some(value) = &self.authorization {
            head.extend_from_slice(b"Proxy-Authorization: ");
            head.extend_from_slice(value.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"\r\n");
        stream.write_all(&head).await?;
        let status = read_status(stream).await?;
        if (200..300).contains(&status) {
            Ok(())
        } else {
            Err(io::ErrorKind::ConnectionRefused.into())
        }
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upstream({})", self.target)
    }
}

/// Byte by byte, because what follows the head belongs to the tunnel.
async fn read_status(stream: &mut TcpStream) -> io::Result<u16> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == MAX_HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
        head.push(stream.read_u8().await?);
    }
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(&head) {
        Ok(httparse::Status::Complete(length)) if length == head.len() => response
            .code
            .ok_or_else(|| io::ErrorKind::InvalidData.into()),
        Ok(_) | Err(_) => Err(io::ErrorKind::InvalidData.into()),
    }
}
