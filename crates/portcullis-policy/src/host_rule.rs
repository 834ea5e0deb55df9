//! Rules about which hosts a command may reach.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::address::{self, AddressClass};
use crate::host::{Host, HostName, InvalidHost, Target, split_port};

/// The hosts that one rule is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// This name.
    Name(HostName),
    /// Every name below this one, at any depth, and not this one.
    Below(HostName),
    /// This address, asked for as an address: no name stands for it.
    Address(IpAddr),
}

/// Hosts and a port that a command may connect to.
///
/// A name unlocks no addresses: whoever owns it decides what it resolves to. Only public addresses are reached by
/// it, and those in `addresses`; loopback, link-local and metadata addresses are reached only where the rule is
/// that very address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostRule {
    /// The hosts.
    pub host: HostPattern,
    /// The TCP port.
    pub port: u16,
    /// Ranges outside the public network that a name of this rule may resolve to.
    pub addresses: Vec<IpNet>,
}

/// The rules for one command: what any of them allows is allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostRules(Vec<HostRule>);

impl HostRule {
    /// Reads `api.example.com:443`, `*.example.com:443`, `127.0.0.1:8080` or `[::1]:443`.
    ///
    /// `*` stands for one label or more and stands only first; what follows it has at least two labels.
    ///
    /// # Errors
    /// [`InvalidHost`] when the text is something else, has no port, or can allow nothing: `localhost` (loopback is
    /// granted as an address), an address of no single host.
    pub fn parse(text: &str) -> Result<Self, InvalidHost> {
        let (host, port) = split_port(text)?;
        let wrong = |why| Err(InvalidHost::new(text, why));
        let host = if let Some(parent) = host.strip_prefix("*.") {
            let parent = HostName::parse(parent)?;
            if parent.labels() < 2 && !parent.is_localhost() {
                return wrong("is too wide: at least two labels follow `*.`");
            }
            HostPattern::Below(parent)
        } else if host.contains('*') {
            return wrong(
                "is no host: `*` stands only for the first labels, as in `*.example.com`",
            );
        } else {
            match Host::parse(host)? {
                Host::Name(name) => HostPattern::Name(name),
                Host::Address(_) if host.starts_with("[::ffff:") => {
                    return wrong("is an IPv4 address: write it as one");
                }
                Host::Address(address) => HostPattern::Address(address),
            }
        };
        match &host {
            HostPattern::Name(name) | HostPattern::Below(name) if name.is_localhost() => {
                wrong("is loopback, which is granted as an address: `127.0.0.1` or `[::1]`")
            }
            HostPattern::Address(address)
                if AddressClass::of(*address).is_some_and(|class| !class.is_one_host()) =>
            {
                wrong("is not the address of one host")
            }
            HostPattern::Name(_) | HostPattern::Below(_) | HostPattern::Address(_) => Ok(Self {
                host,
                port,
                addresses: Vec::new(),
            }),
        }
    }

    /// Adds a range that names of this rule may resolve to: `10.2.0.0/16`, or one address.
    ///
    /// # Errors
    /// [`InvalidHost`] when the text is no range, has bits beyond its prefix, does not lie in one block that can be
    /// unlocked, or the rule is about an address.
    pub fn unlock(&mut self, range: &str) -> Result<(), InvalidHost> {
        let wrong = |why| Err(InvalidHost::new(range, why));
        if matches!(self.host, HostPattern::Address(_)) {
            return wrong("unlocks nothing: the rule is about an address already");
        }
        let Some(net) = parse_range(range) else {
            return wrong("is no range of addresses, as in `10.2.0.0/16`");
        };
        if net.trunc() != net {
            return wrong("has bits beyond its prefix");
        }
        if !address::is_unlockable(&net) {
            return wrong(
                "cannot be unlocked: a range lies in private, shared, unique local or reserved addresses; loopback and link-local are granted as an address, public ones need nothing",
            );
        }
        self.addresses.push(net);
        Ok(())
    }

    /// Whether the rule is about what was asked for. The text is compared, nothing is resolved.
    pub fn matches(&self, target: &Target) -> bool {
        self.port == target.port && self.host.matches(&target.host)
    }

    /// Whether a host that this rule matches may be reached at this address.
    ///
    /// # Errors
    /// The class of the address, when it is not public and not unlocked.
    pub fn decide_address(&self, address: IpAddr) -> Result<(), AddressClass> {
        let address = address.to_canonical();
        let class = AddressClass::of(address);
        if let HostPattern::Address(granted) = self.host {
            // Asked for as an address, it is that address; another one means that a caller mixed something up.
            return if granted == address {
                Ok(())
            } else {
                Err(class.unwrap_or(AddressClass::Reserved))
            };
        }
        let Some(class) = class else { return Ok(()) };
        if !class.is_unlockable() || !self.addresses.iter().any(|range| range.contains(&address)) {
            return Err(class);
        }
        // Behind NAT64 stands an IPv4 address, and it is judged too.
        address::nat64(address).map_or(Ok(()), |inside| self.decide_address(inside))
    }

    /// The rule that allows what both allow; `None` when that is nothing.
    pub fn meet(&self, other: &Self) -> Option<Self> {
        let host = if self.host.covers(&other.host) {
            &other.host
        } else if other.host.covers(&self.host) {
            &self.host
        } else {
            return None;
        };
        if self.port != other.port {
            return None;
        }
        let mut addresses = Vec::new();
        for one in &self.addresses {
            for two in &other.addresses {
                // Of two ranges one holds the other, or they have nothing in common.
                if one.contains(two) {
                    addresses.push(*two);
                } else if two.contains(one) {
                    addresses.push(*one);
                }
            }
        }
        addresses.sort_unstable();
        addresses.dedup();
        Some(Self {
            host: host.clone(),
            port: self.port,
            addresses,
        })
    }
}

impl HostPattern {
    /// Whether every host that `other` is about, this is about too.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Below(parent), Self::Name(name) | Self::Below(name))
                if name.is_below(parent) =>
            {
                true
            }
            (one, two) => one == two,
        }
    }

    /// Whether it is about an address outside the public network.
    pub(crate) fn is_inside(&self) -> bool {
        match self {
            Self::Address(address) => AddressClass::of(*address).is_some(),
            Self::Name(_) | Self::Below(_) => false,
        }
    }

    /// Whether it is about this host. The text is compared, nothing is resolved.
    pub(crate) fn matches(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Name(name), Host::Name(asked)) => name == asked,
            (Self::Below(parent), Host::Name(asked)) => asked.is_below(parent),
            (Self::Address(address), Host::Address(asked)) => address == asked,
            (Self::Name(_) | Self::Below(_), Host::Address(_))
            | (Self::Address(_), Host::Name(_)) => false,
        }
    }
}

fn parse_range(text: &str) -> Option<IpNet> {
    let (address, prefix) = match text.split_once('/') {
        None => return text.parse::<IpAddr>().ok().map(IpNet::from),
        Some(parts) => parts,
    };
    let plain = prefix.bytes().all(|byte| byte.is_ascii_digit())
        && (prefix == "0" || !prefix.starts_with('0'));
    let prefix = prefix.parse::<u8>().ok().filter(|_| plain)?;
    IpNet::new(address.parse().ok()?, prefix).ok()
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Below(parent) => write!(f, "*.{parent}"),
            Self::Address(address) => Host::Address(*address).fmt(f),
        }
    }
}

/// As a rule is written, without `addresses`.
impl fmt::Display for HostRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// As in the policy file: text, or a table where ranges are unlocked.
impl Serialize for HostRule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.addresses.is_empty() {
            return serializer.collect_str(self);
        }
        let ranges: Vec<_> = self.addresses.iter().map(IpNet::to_string).collect();
        let mut table = serializer.serialize_struct("HostRule", 2)?;
        table.serialize_field("host", &self.to_string())?;
        table.serialize_field("addresses", &ranges)?;
        table.end()
    }
}

impl From<Vec<HostRule>> for HostRules {
    fn from(rules: Vec<HostRule>) -> Self {
        Self(rules)
    }
}

impl HostRules {
    /// The rules, in the order they were given.
    pub fn as_slice(&self) -> &[HostRule] {
        &self.0
    }

    /// A rule that is about what was asked for, before anything is resolved; `None` denies.
    pub fn decide_name(&self, target: &Target) -> Option<&HostRule> {
        self.0.iter().find(|rule| rule.matches(target))
    }

    /// The rule by which the target may be reached at this address.
    ///
    /// # Errors
    /// `None` when no rule is about the target; otherwise the class of the address, which no such rule unlocks.
    pub fn decide_address(
        &self,
        target: &Target,
        address: IpAddr,
    ) -> Result<&HostRule, Option<AddressClass>> {
        let mut refused = None;
        for rule in self.0.iter().filter(|rule| rule.matches(target)) {
            match rule.decide_address(address) {
                Ok(()) => return Ok(rule),
                Err(class) => refused = Some(class),
            }
        }
        Err(refused)
    }
}
