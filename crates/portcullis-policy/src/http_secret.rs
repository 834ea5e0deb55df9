//! Secrets of the operator that the host adds to requests of a guest, which never sees them. Here is where each belongs, and
//! never what it is.

use std::fmt;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use serde::ser::{SerializeMap, SerializeStruct};
use serde::{Serialize, Serializer};

use crate::address::AddressClass;
use crate::host::{Host, Target};
use crate::http_grant::HttpGrant;
use crate::http_url::HttpUrl;
use crate::{Origin, RuleId};

/// Bytes of what stands before a secret in its header.
const MAX_PREFIX: usize = 128;
/// A path that is percent-encoded more often than this is none that a secret goes to.
const MAX_LAYERS: usize = 8;

/// A header with a secret of the operator, and the requests that the host adds it to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSecret {
    /// What it is called in messages and the trail.
    pub id: RuleId,
    /// Where it is written.
    pub origin: Origin,
    /// The header, in lower case.
    pub header: String,
    /// What stands before the secret, such as `Bearer `.
    pub prefix: String,
    /// Where the secret is. It is read for each request.
    pub source: SecretSource,
    /// The only requests that it goes with.
    pub to: HttpPlace,
}

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// In a variable of the host's environment. Neither the plugin nor its commands have it.
    Env(String),
    /// In a file: all of it, without a line break at its end.
    File(PathBuf),
}

/// A part of one server: a scheme, a host, a port, and a path with everything below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpPlace {
    secure: bool,
    target: Target,
    /// Without a final `/`.
    path: String,
}

/// Why a text is no place for a secret, as a clause.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidPlace(String);

impl HttpSecret {
    /// Whether a header of this name, in lower case, can carry a secret: it is a name, and not the host's own.
    pub fn is_header(name: &str) -> bool {
        let token =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
        let answers_in_pieces = matches!(name, "range" | "if-range");
        !name.is_empty()
            && name.len() <= 64
            && name.bytes().all(token)
            && !is_own_http_header(name)
            && !answers_in_pieces
            && !matches!(name, "accept-encoding" | "user-agent")
    }

    /// Whether this can stand before a secret: visible ASCII and spaces, not first, and no more than 128 bytes.
    pub fn is_prefix(text: &str) -> bool {
        let visible = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
        text.len() <= MAX_PREFIX && text.bytes().all(visible) && !text.starts_with(' ')
    }
}

impl HttpPlace {
    /// Reads the beginning of a URL: `https://api.example.com/v1`. Plain `http` leads only to a loopback address.
    ///
    /// # Errors
    /// [`InvalidPlace`]: it is no URL, has a query, a fragment or a path that is not written out, or the secret could be
    /// read on the way.
    pub fn parse(text: &str) -> Result<Self, InvalidPlace> {
        let wrong = |why: &str| Err(InvalidPlace(why.to_owned()));
        let url = HttpUrl::parse(text).map_err(|error| InvalidPlace(error.to_string()))?;
        let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        if !plain || text.contains(['?', '#', '\\', '*', '%']) {
            return wrong("it has a scheme, a host and a path, without patterns, a query and `%`");
        }
        let written = text
            .split_once("://")
            .and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]));
        if written.is_some_and(is_led_elsewhere) {
            return wrong("its path has `.` or `..`");
        }
        let target = url.target().clone();
        let secure = url.as_url().scheme() == "https";
        let inside = match target.host {
            Host::Address(address) => AddressClass::of(address) == Some(AddressClass::Loopback),
            Host::Name(_) => false,
        };
        if !secure && !inside {
            return wrong(
                "by `http` it could be read on the way: only `https`, or `http` to a loopback address",
            );
        }
        Ok(Self {
            secure,
            target,
            path: url.as_url().path().trim_end_matches('/').to_owned(),
        })
    }

    /// Whether a request is to this place. A path that some reader could take for one outside of it is not.
    pub fn has(&self, url: &HttpUrl) -> bool {
        let path = url.as_url().path();
        let secure = url.as_url().scheme() == "https";
        secure == self.secure
            && *url.target() == self.target
            && self.is_above(path)
            && !is_led_elsewhere(path)
    }

    /// Whether everything at another place is at this one too.
    pub fn covers(&self, other: &Self) -> bool {
        self.secure == other.secure && self.target == other.target && self.is_above(&other.path)
    }

    fn is_above(&self, path: &str) -> bool {
        let rest = path.strip_prefix(&self.path);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl HttpGrant {
    /// The secrets that go with a request: of those for one header the one whose place is the narrowest.
    pub fn secrets_for(&self, url: &HttpUrl) -> Vec<HttpSecret> {
        let mut found: Vec<&HttpSecret> = Vec::new();
        for secret in self.secrets.iter().filter(|secret| secret.to.has(url)) {
            match found.iter_mut().find(|other| other.header == secret.header) {
                Some(other) if other.to.path.len() < secret.to.path.len() => *other = secret,
                Some(_) => {}
                None => found.push(secret),
            }
        }
        found.into_iter().cloned().collect()
    }

    /// Whether a secret goes to this server with some request: then no answer of it may be asked for in pieces.
    pub fn has_secret_for_host(&self, url: &HttpUrl) -> bool {
        self.secrets
            .iter()
            .any(|secret| secret.to.target.host == url.target().host)
    }
}

/// Headers that are the host's own matter: those about the connection and the length of the body (RFC 9110 section 7.6.1), the
/// host that was decided on, and those by which servers are known to be asked for another method or path than were decided on.
const OWN: [&str; 16] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "trailers",
    "transfer-encoding",
    "upgrade",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
];
/// The beginning of headers that are for proxies.
const FOR_PROXIES: &str = "proxy-";

/// Whether a header of this name, in lower case, is set by the host alone, or not at all.
pub fn is_own_http_header(name: &str) -> bool {
    OWN.contains(&name) || name.starts_with(FOR_PROXIES)
}

/// Whether a path has a dot segment for any reader of it: also one that decodes it again and again, takes encoded separators for
/// separators, or cuts parameters, spaces and control characters off.
fn is_led_elsewhere(path: &str) -> bool {
    let mut path = path.to_owned();
    for _ in 0..MAX_LAYERS {
        let mut segments = path.split(['/', '\\', '?', '#']);
        if segments.any(is_dots) {
            return true;
        }
        // What is no text could be anything to somebody, such as a `.` that is longer than it has to be.
        let Ok(decoded) = percent_decode_str(&path).decode_utf8() else {
            return true;
        };
        if decoded == path {
            return false;
        }
        path = decoded.into_owned();
    }
    true
}

fn is_dots(segment: &str) -> bool {
    let name = segment.split(';').next().unwrap_or_default();
    let name = name.trim_matches(|c: char| c.is_whitespace() || c.is_control());
    matches!(name, "." | "..")
}

/// As it is written, without a `/` at the end of its path.
impl fmt::Display for HttpPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, port) = if self.secure {
            ("https", 443)
        } else {
            ("http", 80)
        };
        write!(f, "{scheme}://{}", self.target.host)?;
        if self.target.port != port {
            write!(f, ":{}", self.target.port)?;
        }
        f.write_str(&self.path)
    }
}

/// As a phrase: ``the variable `X` ``.
impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "the variable `{name}`"),
            Self::File(path) => write!(f, "the file `{}`", path.display()),
        }
    }
}

/// As in the policy file.
impl Serialize for SecretSource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut table = serializer.serialize_map(Some(1))?;
        match self {
            Self::Env(name) => table.serialize_entry("env", name)?,
            Self::File(path) => table.serialize_entry("file", path)?,
        }
        table.end()
    }
}

/// As in the policy file, with the name and the line.
impl Serialize for HttpSecret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut table = serializer.serialize_struct("HttpSecret", 6)?;
        table.serialize_field("id", &self.id)?;
        table.serialize_field("header", &self.header)?;
        table.serialize_field("prefix", &self.prefix)?;
        table.serialize_field("value", &self.source)?;
        table.serialize_field("to", &self.to.to_string())?;
        table.serialize_field("origin", &self.origin)?;
        table.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> HttpPlace {
        HttpPlace::parse(text).expect(text)
    }

    fn secret(header: &str, to: &str) -> HttpSecret {
        HttpSecret {
            id: RuleId(to.to_owned()),
            origin: Origin::Code,
            header: header.to_owned(),
            prefix: String::new(),
            source: SecretSource::Env("T".to_owned()),
            to: place(to),
        }
    }

    #[test]
    fn a_place_is_one_scheme_host_port_and_path_whole_segment_by_segment() {
        let has = |to: &str, url: &str| place(to).has(&HttpUrl::parse(url).expect(url));
        let to = "https://api.example.com/v1";
        for url in [
            "https://api.example.com/v1",
            "https://api.example.com/v1/",
            "https://API.example.com.:443/v1/a?x=/../..",
            "https://api.example.com/v1/a#../..",
            "https://api.example.com/v2/../v1/a",
            "https://api.example.com/v1/group%2Fproject",
            "https://api.example.com/v1//a",
            "https://api.example.com/v1/...",
            "https://api.example.com/v1/a..b",
            "https://api.example.com/v1/100%25",
            "https://api.example.com/v1/%C3%BC",
        ] {
            assert!(has(to, url), "{url}");
            assert!(has("https://api.example.com/v1/", url), "{url}");
            assert!(has("https://api.example.com", url), "{url}");
        }
        for url in [
            "http://api.example.com/v1",
            "http://api.example.com:443/v1",
            "https://api.example.com:8443/v1",
            "https://api.example.com.evil.example/v1",
            "https://xapi.example.com/v1",
            "https://example.com/v1",
            "https://93.184.216.34/v1",
            "https://api.example.com/",
            "https://api.example.com/v10",
            "https://api.example.com/v1;x",
            "https://api.example.com/V1",
            "https://api.example.com//v1",
            "https://api.example.com/%761",
            "https://api.example.com/v1%2fa",
            "https://api.example.com/v1/../v2",
            "https://api.example.com/v1/%2e%2E/v2",
            "https://api.example.com/v1/.%2e/v2",
            "https://api.example.com/v1\\..\\v2",
            "https://api.example.com/v1/..%2fv2",
            "https://api.example.com/v1/%2e%2e%2fv2",
            "https://api.example.com/v1/a%2f..%2f..%2fv2",
            "https://api.example.com/v1/..%5cv2",
            "https://api.example.com/v1/..;/v2",
            "https://api.example.com/v1/..;x=1/v2",
            "https://api.example.com/v1/%252e%252e/v2",
            "https://api.example.com/v1/%25252e%25252e/v2",
            "https://api.example.com/v1/..%00/v2",
            "https://api.example.com/v1/..%20/v2",
            "https://api.example.com/v1/..%3fx/v2",
            "https://api.example.com/v1/%c0%ae%c0%ae/v2",
            "https://api.example.com/v1/%25252525252525252525/v2",
        ] {
            assert!(!has(to, url), "{url}");
        }
    }

    #[test]
    fn what_could_be_read_on_the_way_or_means_many_places_is_none() {
        for text in [
            "http://api.example.com/",
            "http://localhost/",
            "http://10.0.0.1/",
            "http://169.254.169.254/",
            "ftp://api.example.com/",
            "api.example.com",
            "https://",
            "https://*.example.com/",
            "https://api.example.com/*",
            "https://api.example.com/v1?x",
            "https://api.example.com/v1#x",
            "https://me@api.example.com/",
            "https://api.example.com/a/../b",
            "https://api.example.com/..;/b",
            "https://api.example.com/%2e%2e/b",
            "https://api.example.com/a\\b",
            "https://api.example.com/a b",
        ] {
            assert!(HttpPlace::parse(text).is_err(), "{text}");
        }
        for (text, shown) in [
            ("HTTPS://API.example.com:443/", "https://api.example.com"),
            ("https://10.0.0.1:8443/v1/", "https://10.0.0.1:8443/v1"),
            ("http://127.0.0.1:8080/v1", "http://127.0.0.1:8080/v1"),
            ("http://[::1]", "http://[::1]"),
        ] {
            assert_eq!(place(text).to_string(), shown);
        }
    }

    #[test]
    fn of_two_for_one_header_the_narrower_goes() {
        let grant = HttpGrant {
            secrets: vec![
                secret("authorization", "https://a.example"),
                secret("authorization", "https://a.example/v1"),
                secret("x-key", "https://a.example/v1"),
                secret("authorization", "https://b.example"),
            ],
            ..HttpGrant::default()
        };
        let ids = |url: &str| {
            let found = grant.secrets_for(&HttpUrl::parse(url).expect(url));
            found
                .into_iter()
                .map(|secret| format!("{} {}", secret.header, secret.id))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            ids("https://a.example/v1/x"),
            [
                "authorization https://a.example/v1",
                "x-key https://a.example/v1"
            ]
        );
        assert_eq!(
            ids("https://a.example/v2"),
            ["authorization https://a.example"]
        );
        assert!(ids("https://c.example/").is_empty());
        assert!(place("https://a.example").covers(&place("https://a.example/v1")));
        assert!(!place("https://a.example/v1").covers(&place("https://a.example")));
        assert!(!place("https://a.example/v1").covers(&place("https://a.example/v10")));
    }

    #[test]
    fn headers_that_are_the_hosts_own_carry_no_secret() {
        for name in ["authorization", "x-api-key", "private-token", "cookie"] {
            assert!(HttpSecret::is_header(name), "{name}");
        }
        for name in [
            "",
            "Authorization",
            "a b",
            "a:",
            "host",
            "te",
            "proxy-authorization",
            "range",
            "user-agent",
        ] {
            assert!(!HttpSecret::is_header(name), "{name}");
        }
        for (text, is) in [
            ("Bearer ", true),
            ("", true),
            (" x", false),
            ("a\r\nb", false),
            ("\u{e9}", false),
        ] {
            assert_eq!(HttpSecret::is_prefix(text), is, "{text}");
        }
    }
}
