//! What became of each connection that a command asked for.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use portcullis_policy::{AddressClass, HostRule, Target};

use crate::meter::Meter;

/// Characters of what a command asked for that are kept when it is no host.
const MAX_SHOWN: usize = 256;

/// One connection, or one request of plain HTTP: what was asked for, whether it was allowed, and what went through.
///
/// It is reported once, when it is over.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The host as asked for, in lower case; where it is none the text, escaped and cut.
    pub host: String,
    /// The port; 0 where none could be read.
    pub port: u16,
    /// The address that was connected to. `None` when nothing was, or when an upstream proxy chose it.
    pub address: Option<IpAddr>,
    /// The rule that is about the host.
    pub rule: Option<HostRule>,
    /// Whether the policy allowed it. A host that is allowed can still fail to answer.
    pub allowed: bool,
    /// Why, or how it ended.
    pub why: Why,
    /// Bytes sent to the host.
    pub bytes_up: u64,
    /// Bytes received from the host.
    pub bytes_down: u64,
}

/// Why a connection was refused, or how an allowed one ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Allowed; the address was checked here.
    Allowed,
    /// Allowed by name; the upstream proxy resolves it, and nobody here checks the address.
    AllowedUnchecked,
    /// Refused: what was asked for is no request that has one meaning.
    Malformed(&'static str),
    /// Refused: no rule is about this host and port.
    NoRule,
    /// Refused: the name leads only to addresses that no rule unlocks. Nothing was connected to.
    Address(IpAddr, AddressClass),
    /// Refused: the tunnel speaks TLS and names another server, or none.
    ServerName(Option<String>),
    /// Refused: all connections together have used up their bytes.
    Bytes,
    /// Allowed, and the name could not be resolved.
    Unresolved,
    /// Allowed, and the host could not be connected to.
    Unreachable(std::io::ErrorKind),
}

impl Why {
    fn is_allowed(&self) -> bool {
        match self {
            Self::Allowed | Self::AllowedUnchecked | Self::Unresolved | Self::Unreachable(_) => {
                true
            }
            Self::Malformed(_)
            | Self::NoRule
            | Self::Address(..)
            | Self::ServerName(_)
            | Self::Bytes => false,
        }
    }
}

impl Verdict {
    /// The entry of a rule's `net` list that would allow exactly this; `None` when it is allowed, or no entry can.
    pub fn remedy(&self) -> Option<String> {
        let text = format!("{}:{}", self.host, self.port);
        let mut rule = HostRule::parse(&text).ok()?;
        match &self.why {
            Why::NoRule => Some(format!("\"{rule}\"")),
            Why::Address(address, _) => {
                rule.unlock(&address.to_string()).ok()?;
                Some(format!(
                    "{{ host = \"{rule}\", addresses = [\"{address}\"] }}"
                ))
            }
            Why::Allowed
            | Why::AllowedUnchecked
            | Why::Malformed(_)
            | Why::ServerName(_)
            | Why::Bytes
            | Why::Unresolved
            | Why::Unreachable(_) => None,
        }
    }
}

/// One clause for the operator.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port) = (&self.host, self.port);
        if self.allowed {
            write!(f, "connect to `{host}:{port}` was allowed: ")?;
        } else {
            write!(f, "connect to `{host}:{port}` was refused: ")?;
        }
        match &self.why {
            Why::Allowed => f.write_str("a rule is about it"),
            Why::AllowedUnchecked => f.write_str(
                "a rule is about it; its address is checked by the upstream proxy, not here",
            ),
            Why::Malformed(what) => f.write_str(what),
            Why::NoRule => f.write_str("no rule is about it"),
            Why::Address(address, class) => write!(f, "it resolved to {address}, {class}"),
            Why::ServerName(Some(name)) => write!(f, "its TLS asked for `{name}`"),
            Why::ServerName(None) => f.write_str("its TLS named no server"),
            Why::Bytes => f.write_str("the command's connections have used up their bytes"),
            Why::Unresolved => f.write_str("but the name could not be resolved"),
            Why::Unreachable(kind) => write!(f, "but it could not be reached: {kind}"),
        }
    }
}

/// Who is told about verdicts. It is called from the proxy's tasks and must not block.
pub(crate) type Report = Arc<dyn Fn(Verdict) + Send + Sync>;

/// A verdict that is not over yet. Dropping it reports it, also when its task is aborted.
pub(crate) struct Attempt {
    report: Report,
    verdict: Verdict,
    /// What goes through the connection to the host.
    pub(crate) meter: Arc<Meter>,
}

impl Attempt {
    /// Of a host that could be read.
    pub(crate) fn new(report: &Report, target: &Target, meter: Arc<Meter>) -> Self {
        Self::open(report, target.host.to_string(), target.port, meter)
    }

    /// Reports a request that could not be read.
    pub(crate) fn malformed(report: &Report, text: &str, what: &'static str) {
        let shown: String = text
            .chars()
            .take(MAX_SHOWN)
            .flat_map(char::escape_debug)
            .collect();
        Self::open(report, shown, 0, Arc::default()).end(Why::Malformed(what));
    }

    fn open(report: &Report, host: String, port: u16, meter: Arc<Meter>) -> Self {
        let verdict = Verdict {
            host,
            port,
            address: None,
            rule: None,
            allowed: false,
            why: Why::NoRule,
            bytes_up: 0,
            bytes_down: 0,
        };
        Self {
            report: Arc::clone(report),
            verdict,
            meter,
        }
    }

    /// The rule that is about the host.
    pub(crate) fn rule(&mut self, rule: &HostRule) {
        self.verdict.rule = Some(rule.clone());
    }

    /// What has become of it up to now.
    pub(crate) fn set(&mut self, why: Why) {
        self.verdict.allowed = why.is_allowed();
        self.verdict.why = why;
    }

    /// It is connected.
    pub(crate) fn connected(&mut self, address: IpAddr) {
        self.verdict.address = Some(address);
        self.set(Why::Allowed);
    }

    /// How it ended.
    pub(crate) fn end(mut self, why: Why) {
        self.set(why);
    }

    pub(crate) fn why(&self) -> &Why {
        &self.verdict.why
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.meter.is_over_budget() {
            self.set(Why::Bytes);
        }
        let mut verdict = self.verdict.clone();
        verdict.bytes_up = self.meter.written();
        verdict.bytes_down = self.meter.read();
        (self.report)(verdict);
    }
}
