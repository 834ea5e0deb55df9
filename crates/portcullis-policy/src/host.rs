//! Names and addresses of hosts, read once and strictly: what two readers could understand differently is no host.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Serialize, Serializer};

use crate::text::shown;

/// Bytes of a whole name and of one label, RFC 1035 section 2.3.4.
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// A DNS name: ASCII labels of letters, digits, `-` and `_`, in lower case, without a final dot.
///
/// A name written with other letters has to be spelled as DNS has it (`xn--…`). What some reader could take for an
/// IPv4 address (`0x7f.1`, `127.1`, `2130706433`: the last label is a number) is no name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostName(String);

/// What a connection is asked to: a name or an address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// A DNS name. It stands for no address until it is resolved.
    Name(HostName),
    /// An address, written as one. An IPv4-mapped IPv6 address is kept as the IPv4 address.
    Address(IpAddr),
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// The name or the address.
    pub host: Host,
    /// The TCP port, never 0.
    pub port: u16,
}

/// Text that is no host, no port or no rule about them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` {why}", shown(.text))]
pub struct InvalidHost {
    /// The text.
    text: String,
    /// A predicate: what is wrong with it.
    why: &'static str,
}

impl InvalidHost {
    pub(crate) fn new(text: &str, why: &'static str) -> Self {
        Self {
            text: text.to_owned(),
            why,
        }
    }

    /// What is wrong, without the text: for messages that name it already.
    pub fn why(&self) -> &'static str {
        self.why
    }
}

impl HostName {
    /// Reads a name; upper case becomes lower case.
    ///
    /// # Errors
    /// [`InvalidHost`] for anything but a DNS name, also for an address in any notation.
    pub fn parse(text: &str) -> Result<Self, InvalidHost> {
        let wrong = |why| Err(InvalidHost::new(text, why));
        if text.is_empty() || text.len() > MAX_NAME {
            return wrong("is no host name: it has 1 to 253 characters");
        }
        if !text.is_ascii() {
            return wrong("is no host name: other letters are written as DNS has them, `xn--…`");
        }
        if text.ends_with('.') {
            return wrong("is no host name: it ends in a dot");
        }
        let labels_ok = text.split('.').all(|label| {
            (1..=MAX_LABEL).contains(&label.len())
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
                && !label.starts_with('-')
                && !label.ends_with('-')
        });
        if !labels_ok {
            return wrong("is no host name: labels are letters, digits, `-` and `_`, between dots");
        }
        // The rule of https://url.spec.whatwg.org/#ends-in-a-number-checker: such a host is IPv4 or nothing.
        let last = text.rsplit('.').next().unwrap_or_default();
        if is_number(last) {
            return wrong(
                "is neither a host name nor an IPv4 address: that is four decimal numbers",
            );
        }
        Ok(Self(text.to_ascii_lowercase()))
    }

    /// The name, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this name lies below the other one, at any depth: whole labels, and not the other name itself.
    pub fn is_below(&self, parent: &Self) -> bool {
        self.0
            .strip_suffix(parent.as_str())
            .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
    }

    pub(crate) fn labels(&self) -> usize {
        self.0.split('.').count()
    }

    /// RFC 6761: these are loopback whatever DNS says, and loopback is granted as an address only.
    pub fn is_localhost(&self) -> bool {
        self.0.rsplit('.').next() == Some("localhost")
    }
}

/// Whether `inet_aton` would read the label as a number: decimal, octal or hexadecimal.
fn is_number(label: &str) -> bool {
    let hex = label
        .strip_prefix("0x")
        .or_else(|| label.strip_prefix("0X"));
    hex.map_or_else(
        || label.bytes().all(|byte| byte.is_ascii_digit()),
        |digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
    )
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for HostName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl Host {
    /// Reads a name, an IPv4 address of four decimal numbers, or an IPv6 address in brackets without a zone.
    ///
    /// # Errors
    /// [`InvalidHost`] for anything else.
    pub fn parse(text: &str) -> Result<Self, InvalidHost> {
        if let Some(inside) = text.strip_prefix('[') {
            let address = inside
                .strip_suffix(']')
                .and_then(|inside| inside.parse::<Ipv6Addr>().ok());
            return address
                .map(|address| Self::from(IpAddr::V6(address)))
                .ok_or_else(|| InvalidHost::new(text, "is no IPv6 address in brackets"));
        }
        // The standard library knows four decimal numbers without leading zeros, and nothing else.
        match text.parse::<Ipv4Addr>() {
            Ok(address) => Ok(Self::Address(address.into())),
            Err(_) => HostName::parse(text).map(Self::Name),
        }
    }
}

impl From<IpAddr> for Host {
    /// The address; an IPv4-mapped IPv6 address as the IPv4 address that it is.
    fn from(address: IpAddr) -> Self {
        Self::Address(address.to_canonical())
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

impl Target {
    /// Reads `host:port`.
    ///
    /// # Errors
    /// [`InvalidHost`] when the host is none, or the port is missing or 0.
    pub fn parse(text: &str) -> Result<Self, InvalidHost> {
        let (host, port) = split_port(text)?;
        Ok(Self {
            host: Host::parse(host)?,
            port,
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// What stands before the port, and the port: 1 to 65535, in decimal digits without a sign or leading zeros.
pub(crate) fn split_port(text: &str) -> Result<(&str, u16), InvalidHost> {
    let missing = || InvalidHost::new(text, "is not `host:port`: the port is missing");
    let (host, digits) = text.rsplit_once(':').ok_or_else(missing)?;
    if host.is_empty() || digits.is_empty() || digits.contains(']') {
        return Err(missing());
    }
    port(digits)
        .map(|port| (host, port))
        .ok_or_else(|| InvalidHost::new(text, "is not `host:port`: a port is 1 to 65535"))
}

/// A port: 1 to 65535, in decimal digits without a sign or leading zeros.
pub(crate) fn port(digits: &str) -> Option<u16> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    digits.parse().ok().filter(|_| plain)
}
