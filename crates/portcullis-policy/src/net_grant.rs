//! Which names the guest itself may look up, and where it may connect to.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::address::AddressClass;
use crate::host::{Host, HostName, InvalidHost, Target, port};
use crate::host_rule::{HostPattern, HostRule};
use crate::http_grant::normalized;
use crate::{Bounded, Origin, RuleId};

/// The hosts and ports of one rule.
///
/// As with [`HostRule`] a name unlocks no addresses: only public addresses are reached by it, and those in `addresses`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// The hosts; `None`: every host at a public address.
    host: Option<HostPattern>,
    /// The TCP ports from the first to the last.
    ports: (u16, u16),
    addresses: Vec<IpNet>,
}

/// Connections that are allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectRule {
    /// What the rule is called in messages.
    pub id: RuleId,
    /// Where it is written.
    pub origin: Origin,
    /// Where they lead.
    pub places: Places,
}

/// The names of one rule; `None`: every name. Never an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsNames(Option<HostPattern>);

/// DnsNames that may be looked up: every record of them, not only their addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupRule {
    /// What the rule is called in messages.
    pub id: RuleId,
    /// Where it is written.
    pub origin: Origin,
    /// The names.
    pub names: DnsNames,
}

/// The right to look up names and to connect. What any rule allows is allowed, within all bounds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetGrant {
    /// Where connections may lead.
    pub connect: Vec<ConnectRule>,
    /// What may be looked up.
    pub lookup: Vec<LookupRule>,
    /// What a request must be allowed by as well.
    pub ceiling: NetCeiling,
    /// If present, all that the plugin asks for: it looks up and reaches nothing else.
    pub asked: Option<NetAsked>,
}

/// What a plugin asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetAsked {
    /// To connect to.
    pub connect: Vec<Places>,
    /// To look up.
    pub lookup: Vec<DnsNames>,
}

/// The most that may be granted of it.
///
/// # Defaults
/// `None` is no bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetCeiling {
    /// The only connections.
    pub connect: Option<Bounded<Vec<ConnectRule>>>,
    /// The only lookups.
    pub lookup: Option<Bounded<Vec<LookupRule>>>,
}

/// Why a lookup or a connection is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetRefusal {
    /// The plugin does not ask for it.
    NotAsked,
    /// No rule is about it.
    NoRule,
    /// No rule lets the host be reached at this address, which is of this class.
    Address(AddressClass),
    /// Rules allow it, the ceiling does not.
    Ceiling,
}

impl Places {
    /// Reads `HOST:PORT`, `HOST:FIRST-LAST` or `HOST:*`, where the host is a name, `*.` and a name, an address, or `*` for
    /// every host of the public network.
    ///
    /// A final dot of a name counts for nothing, and letters beyond ASCII are written as DNS has them.
    ///
    /// # Errors
    /// [`InvalidHost`], as for [`HostRule::parse`], and for more than one port of an address outside the public network.
    pub fn parse(text: &str) -> Result<Self, InvalidHost> {
        let wrong = |why| InvalidHost::new(text, why);
        let missing = || wrong("is not `host:port`: the port is missing");
        let (host, ports) = text.rsplit_once(':').ok_or_else(missing)?;
        if host.is_empty() || ports.is_empty() || ports.contains(']') {
            return Err(missing());
        }
        let ports = read_ports(ports).ok_or_else(|| {
            wrong("has no port: it is 1 to 65535, two of them as in `8000-8999`, or `*`")
        })?;
        let host = pattern(host, text)?;
        if host.as_ref().is_some_and(HostPattern::is_inside) && ports.0 != ports.1 {
            return Err(wrong(
                "is an address outside the public network, which is granted with one port",
            ));
        }
        Ok(Self {
            host,
            ports,
            addresses: Vec::new(),
        })
    }

    /// Adds a range that names of this entry may resolve to.
    ///
    /// # Errors
    /// [`InvalidHost`], as for [`HostRule::unlock`], and for `*`: ranges belong to a host.
    pub fn unlock(&mut self, range: &str) -> Result<(), InvalidHost> {
        let Some(host) = &self.host else {
            let why = "is unlocked for a host, not for all of them";
            return Err(InvalidHost::new(range, why));
        };
        let mut rule = self.at(host, self.ports.0);
        rule.unlock(range)?;
        self.addresses = rule.addresses;
        Ok(())
    }

    /// Ranges that were added.
    pub fn addresses(&self) -> &[IpNet] {
        &self.addresses
    }

    /// Whether everything that `other` is about, this is about too. Addresses are not compared.
    pub fn covers(&self, other: &Self) -> bool {
        let hosts = match (&self.host, &other.host) {
            (None, None) => true,
            (None, Some(other)) => !other.is_inside(),
            (Some(_), None) => false,
            (Some(one), Some(other)) => one.covers(other),
        };
        hosts && self.ports.0 <= other.ports.0 && other.ports.1 <= self.ports.1
    }

    /// Whether it is about every host of the public network.
    pub fn is_any_host(&self) -> bool {
        self.host.is_none()
    }

    /// Whether it is about what is asked for. The text is compared, nothing is resolved.
    fn matches(&self, target: &Target) -> bool {
        let host = self.host.as_ref();
        (self.ports.0..=self.ports.1).contains(&target.port)
            && host.is_none_or(|host| host.matches(&target.host))
    }

    fn decide_address(&self, port: u16, address: IpAddr) -> Result<(), AddressClass> {
        match &self.host {
            None => AddressClass::of(address).map_or(Ok(()), Err),
            Some(host) => self.at(host, port).decide_address(address),
        }
    }

    /// The same at one port.
    fn at(&self, host: &HostPattern, port: u16) -> HostRule {
        HostRule {
            host: host.clone(),
            port,
            addresses: self.addresses.clone(),
        }
    }
}

/// The host of an entry; `None` for `*`.
fn pattern(host: &str, text: &str) -> Result<Option<HostPattern>, InvalidHost> {
    if host == "*" {
        return Ok(None);
    }
    let host = normalized(host).ok_or_else(|| InvalidHost::new(text, "is no host name"))?;
    // What a host is does not depend on the port.
    let rule = HostRule::parse(&format!("{host}:1"));
    let rule = rule.map_err(|error| InvalidHost::new(text, error.why()))?;
    Ok(Some(rule.host))
}

fn read_ports(text: &str) -> Option<(u16, u16)> {
    if text == "*" {
        return Some((1, u16::MAX));
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (port(first)?, port(last)?);
    (first <= last).then_some((first, last))
}

impl ConnectRule {
    /// A rule for an entry, as an application writes it.
    ///
    /// # Errors
    /// As for [`Places::parse`].
    pub fn parse(text: &str) -> Result<Self, InvalidHost> {
        Ok(Self {
            id: RuleId(text.to_owned()),
            origin: Origin::Code,
            places: Places::parse(text)?,
        })
    }
}

impl DnsNames {
    /// Reads a name, `*.` and a name, or `*` for every name.
    ///
    /// A final dot counts for nothing, and letters beyond ASCII are written as DNS has them.
    ///
    /// # Errors
    /// [`InvalidHost`] for anything else, also for an address, which is not looked up.
    pub fn parse(text: &str) -> Result<Self, InvalidHost> {
        let names = pattern(text, text)?;
        if matches!(names, Some(HostPattern::Address(_))) {
            let why = "is an address, and names are looked up";
            return Err(InvalidHost::new(text, why));
        }
        Ok(Self(names))
    }

    /// Whether every name that `other` is about, this is about too.
    pub fn covers(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(one), Some(other)) => one.covers(other),
        }
    }

    /// Whether it is about every name.
    pub fn is_any(&self) -> bool {
        self.0.is_none()
    }

    fn matches(&self, name: &HostName) -> bool {
        let names = self.0.as_ref();
        names.is_none_or(|names| names.matches(&Host::Name(name.clone())))
    }
}

impl LookupRule {
    /// A rule for an entry, as an application writes it.
    ///
    /// # Errors
    /// As for [`DnsNames::parse`].
    pub fn parse(text: &str) -> Result<Self, InvalidHost> {
        Ok(Self {
            id: RuleId(text.to_owned()),
            origin: Origin::Code,
            names: DnsNames::parse(text)?,
        })
    }
}

/// The first of these rules that is about a target.
fn by_name<'a>(rules: &'a [ConnectRule], target: &Target) -> Result<&'a ConnectRule, NetRefusal> {
    let mut rules = rules.iter();
    rules
        .find(|rule| rule.places.matches(target))
        .ok_or(NetRefusal::NoRule)
}

/// The first of these rules that a target may be reached at this address by.
fn by_address<'a>(
    rules: &'a [ConnectRule],
    target: &Target,
    address: IpAddr,
) -> Result<&'a ConnectRule, NetRefusal> {
    let mut refused = NetRefusal::NoRule;
    for rule in rules.iter().filter(|rule| rule.places.matches(target)) {
        match rule.places.decide_address(target.port, address) {
            Ok(()) => return Ok(rule),
            Err(class) => refused = NetRefusal::Address(class),
        }
    }
    Err(refused)
}

fn of_name<'a>(rules: &'a [LookupRule], name: &HostName) -> Result<&'a LookupRule, NetRefusal> {
    let mut rules = rules.iter();
    rules
        .find(|rule| rule.names.matches(name))
        .ok_or(NetRefusal::NoRule)
}

/// What the ceiling leaves of what rules allow.
fn within<'a, R>(
    rule: &'a R,
    ceiling: Option<&Bounded<Vec<R>>>,
    decide: impl FnOnce(&[R]) -> bool,
) -> Result<&'a R, NetRefusal> {
    match ceiling {
        Some(ceiling) if !decide(&ceiling.most) => Err(NetRefusal::Ceiling),
        Some(_) | None => Ok(rule),
    }
}

impl NetGrant {
    /// Whether nothing is granted.
    pub fn is_empty(&self) -> bool {
        self.connect.is_empty() && self.lookup.is_empty()
    }

    /// Takes all of it away.
    pub fn clear(&mut self) {
        self.connect.clear();
        self.lookup.clear();
    }

    /// The rule by which a target may be connected to, before anything is resolved.
    ///
    /// # Errors
    /// What does not allow it.
    pub fn decide(&self, target: &Target) -> Result<&ConnectRule, NetRefusal> {
        let rule = by_name(&self.connect, target)?;
        self.is_asked(|asked| asked.connect.iter().any(|places| places.matches(target)))?;
        within(rule, self.ceiling.connect.as_ref(), |most| {
            by_name(most, target).is_ok()
        })
    }

    /// The rule by which a target may be connected to at this address. It is asked for every address that is dialled, also
    /// for those that are written out.
    ///
    /// # Errors
    /// As [`decide`](Self::decide), or the class of the address.
    pub fn decide_address(
        &self,
        target: &Target,
        address: IpAddr,
    ) -> Result<&ConnectRule, NetRefusal> {
        self.decide(target)?;
        let rule = by_address(&self.connect, target, address)?;
        within(rule, self.ceiling.connect.as_ref(), |most| {
            by_address(most, target, address).is_ok()
        })
    }

    /// The rule by which a name may be looked up.
    ///
    /// # Errors
    /// What does not allow it.
    pub fn decide_lookup(&self, name: &HostName) -> Result<&LookupRule, NetRefusal> {
        let rule = of_name(&self.lookup, name)?;
        self.is_asked(|asked| asked.lookup.iter().any(|names| names.matches(name)))?;
        within(rule, self.ceiling.lookup.as_ref(), |most| {
            of_name(most, name).is_ok()
        })
    }

    fn is_asked(&self, about: impl FnOnce(&NetAsked) -> bool) -> Result<(), NetRefusal> {
        match self.asked.as_ref().is_none_or(about) {
            true => Ok(()),
            false => Err(NetRefusal::NotAsked),
        }
    }
}

impl NetCeiling {
    /// Takes over the bounds that another one has.
    pub(crate) fn meet(&mut self, other: &Self) {
        if other.connect.is_some() {
            self.connect.clone_from(&other.connect);
        }
        if other.lookup.is_some() {
            self.lookup.clone_from(&other.lookup);
        }
    }
}

/// As an entry is written, without `addresses`.
impl fmt::Display for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            None => f.write_str("*:")?,
            Some(host) => write!(f, "{host}:")?,
        }
        match self.ports {
            (1, u16::MAX) => f.write_str("*"),
            (first, last) if first == last => write!(f, "{first}"),
            (first, last) => write!(f, "{first}-{last}"),
        }
    }
}

/// As an entry is written.
impl fmt::Display for DnsNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("*"),
            Some(names) => names.fmt(f),
        }
    }
}

/// As in the policy file: text, or a table where ranges are unlocked.
impl Serialize for ConnectRule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ranges = self.places.addresses.iter();
        let ranges: Vec<_> = ranges.map(IpNet::to_string).collect();
        if ranges.is_empty() {
            return serializer.collect_str(&self.places);
        }
        let mut table = serializer.serialize_struct("ConnectRule", 2)?;
        table.serialize_field("host", &self.places.to_string())?;
        table.serialize_field("addresses", &ranges)?;
        table.end()
    }
}

/// As in the policy file.
impl Serialize for LookupRule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(connect: &[&str], lookup: &[&str]) -> NetGrant {
        let connect = connect.iter().map(|text| ConnectRule::parse(text).unwrap());
        let lookup = lookup.iter().map(|text| LookupRule::parse(text).unwrap());
        NetGrant {
            connect: connect.collect(),
            lookup: lookup.collect(),
            ..NetGrant::default()
        }
    }

    fn target(text: &str) -> Target {
        Target::parse(text).unwrap()
    }

    fn reached(grant: &NetGrant, to: &str, address: &str) -> Result<(), NetRefusal> {
        let decided = grant.decide_address(&target(to), address.parse().unwrap());
        decided.map(drop)
    }

    fn at_most<R>(most: Vec<R>) -> Option<Bounded<Vec<R>>> {
        Some(Bounded {
            most,
            origin: Origin::Code,
        })
    }

    #[test]
    fn hosts_are_compared_whole_and_only_at_their_ports() {
        for (entry, to) in [
            ("mail.example.com:25", "MAIL.example.com:25"),
            ("MAIL.example.com.:25", "mail.example.com:25"),
            ("*.example.com:587", "a.b.example.com:587"),
            ("*:443", "anything.example:443"),
            ("*:8000-8002", "anything.example:8002"),
            ("db.example.com:*", "db.example.com:5432"),
            ("8.8.8.8:53", "8.8.8.8:53"),
            ("b\u{fc}cher.example:25", "xn--bcher-kva.example:25"),
        ] {
            let answer = reached(&grant(&[entry], &[]), to, "8.8.8.8");
            assert_eq!(answer, Ok(()), "{entry} {to}");
        }
        for (entry, to) in [
            ("mail.example.com:25", "mail.example.com:26"),
            ("mail.example.com:25", "mail.example.com.evil.example:25"),
            ("*.example.com:25", "example.com:25"),
            ("*.example.com:25", "badexample.com:25"),
            ("*:8000-8002", "anything.example:8003"),
            ("*:8000-8002", "anything.example:7999"),
            ("8.8.8.8:53", "8.8.4.4:53"),
            ("dns.example:53", "8.8.8.8:53"),
        ] {
            let answer = reached(&grant(&[entry], &[]), to, "8.8.8.8");
            assert_eq!(answer, Err(NetRefusal::NoRule), "{entry} {to}");
        }
    }

    #[test]
    fn what_could_mean_nothing_or_everything_is_no_entry() {
        for entry in [
            "",
            "*",
            ":25",
            "mail.example.com",
            "mail.example.com:",
            "mail.example.com:0",
            "mail.example.com:025",
            "mail.example.com:+25",
            "mail.example.com:65536",
            "mail.example.com:smtp",
            "mail.example.com:30-20",
            "mail.example.com:20-",
            "mail.example.com:-20",
            "mail.example.com:20-30-40",
            "*.com:25",
            "*.*.example.com:25",
            "localhost:25",
            "*.localhost:25",
            "[::1]",
            "::1:25",
            "[::ffff:127.0.0.1]:25",
            "127.1:25",
            "0x7f.0.0.1:25",
            "\u{ff11}27.0.0.1:25",
            "0.0.0.0:25",
            "224.0.0.1:25",
            "127.0.0.1:*",
            "10.0.0.1:20-30",
            "[fe80::1]:1-2",
            "smtp://mail.example.com:25",
            "user@mail.example.com:25",
        ] {
            assert!(Places::parse(entry).is_err(), "{entry}");
        }
        for entry in [
            "",
            "*.com",
            "localhost",
            "a..b",
            "127.0.0.1",
            "8.8.8.8",
            "[::1]",
            "example.com:53",
            "127.1",
        ] {
            assert!(DnsNames::parse(entry).is_err(), "{entry}");
        }
    }

    #[test]
    fn an_entry_is_shown_as_it_is_written() {
        for entry in [
            "mail.example.com:25",
            "*.example.com:20-30",
            "*:*",
            "*:443",
            "127.0.0.1:2525",
            "[2606:4700:4700::1111]:53",
        ] {
            assert_eq!(Places::parse(entry).unwrap().to_string(), entry);
            let shown = serde_json::to_string(&ConnectRule::parse(entry).unwrap()).unwrap();
            assert_eq!(shown, format!("\"{entry}\""));
        }
        let mut rule = ConnectRule::parse("db.corp.example:5432").unwrap();
        rule.places.unlock("10.2.0.0/16").unwrap();
        assert_eq!(
            serde_json::to_string(&rule).unwrap(),
            r#"{"host":"db.corp.example:5432","addresses":["10.2.0.0/16"]}"#
        );
        for entry in ["*", "example.com", "*.example.com"] {
            assert_eq!(DnsNames::parse(entry).unwrap().to_string(), entry);
        }
    }

    #[test]
    fn an_address_outside_the_public_network_is_reached_only_where_it_was_granted() {
        for entry in ["*:25", "mail.example.com:25", "*.example.com:*"] {
            for address in [
                "127.0.0.1",
                "10.0.0.1",
                "169.254.169.254",
                "100.64.0.1",
                "0.0.0.0",
                "::1",
                "::ffff:127.0.0.1",
                "fe80::1",
                "fd00::1",
                "64:ff9b::7f00:1",
            ] {
                let answer = reached(&grant(&[entry], &[]), "mail.example.com:25", address);
                assert!(
                    matches!(answer, Err(NetRefusal::Address(_))),
                    "{entry} {address}"
                );
            }
        }
        let literal = grant(&["127.0.0.1:2525"], &[]);
        assert_eq!(reached(&literal, "127.0.0.1:2525", "127.0.0.1"), Ok(()));
        assert!(reached(&literal, "127.0.0.1:2525", "127.0.0.2").is_err());
        let any = grant(&["*:2525"], &[]);
        assert_eq!(
            reached(&any, "127.0.0.1:2525", "127.0.0.1"),
            Err(NetRefusal::Address(AddressClass::Loopback))
        );
    }

    #[test]
    fn ranges_are_unlocked_for_a_host_and_within_the_ceiling() {
        let mut inside = grant(&["db.corp.example:5432"], &[]);
        let to = "db.corp.example:5432";
        inside.connect[0].places.unlock("10.2.0.0/16").unwrap();
        assert_eq!(reached(&inside, to, "10.2.0.7"), Ok(()));
        assert!(reached(&inside, to, "10.3.0.7").is_err());
        inside.ceiling.connect = at_most(grant(&["*:*"], &[]).connect);
        assert_eq!(reached(&inside, to, "10.2.0.7"), Err(NetRefusal::Ceiling));
        assert_eq!(reached(&inside, to, "8.8.8.8"), Ok(()));
        for (entry, range) in [
            ("*:25", "10.0.0.0/8"),
            ("db.corp.example:1", "127.0.0.0/8"),
            ("10.0.0.1:1", "10.0.0.0/8"),
        ] {
            assert!(Places::parse(entry).unwrap().unlock(range).is_err());
        }
    }

    #[test]
    fn names_are_looked_up_that_a_rule_is_about_and_no_connection_goes_with_it() {
        let name = |text: &str| HostName::parse(text).unwrap();
        let mut both = grant(&["mail.example.com:25"], &["example.com", "*.example.org"]);
        assert!(both.decide_lookup(&name("Example.com")).is_ok());
        assert!(both.decide_lookup(&name("_dmarc.example.org")).is_ok());
        for other in ["mail.example.com", "example.org", "_dmarc.example.com"] {
            let refused = both.decide_lookup(&name(other)).map(drop);
            assert_eq!(refused, Err(NetRefusal::NoRule), "{other}");
        }
        assert!(both.decide(&target("example.com:25")).is_err());
        both.ceiling.lookup = at_most(grant(&[], &["*.example.org"]).lookup);
        assert_eq!(
            both.decide_lookup(&name("example.com")).map(drop),
            Err(NetRefusal::Ceiling)
        );
        assert!(both.decide_lookup(&name("a.example.org")).is_ok());
        assert!(both.decide(&target("mail.example.com:25")).is_ok());
    }

    #[test]
    fn what_the_plugin_does_not_ask_for_is_refused() {
        let mut all = grant(&["*:*"], &["*"]);
        all.asked = Some(NetAsked {
            connect: vec![Places::parse("*.example.com:25").unwrap()],
            lookup: vec![DnsNames::parse("example.com").unwrap()],
        });
        let name = |text: &str| HostName::parse(text).unwrap();
        assert!(all.decide(&target("mail.example.com:25")).is_ok());
        assert!(all.decide_lookup(&name("example.com")).is_ok());
        let refused = Err(NetRefusal::NotAsked);
        for other in ["mail.example.com:26", "example.org:25"] {
            assert_eq!(all.decide(&target(other)).map(drop), refused);
        }
        let other = all.decide_lookup(&name("mail.example.com"));
        assert_eq!(other.map(drop), refused);
    }

    #[test]
    fn an_entry_covers_what_it_is_about() {
        let covers = |one, other| {
            let [one, other] = [one, other].map(|entry| Places::parse(entry).unwrap());
            one.covers(&other)
        };
        for (one, other) in [
            ("*:*", "mail.example.com:25"),
            ("*:20-30", "8.8.8.8:25"),
            ("*.example.com:25", "a.example.com:25"),
            ("*.example.com:25", "*.a.example.com:25"),
        ] {
            assert!(covers(one, other), "{one} {other}");
            assert!(!covers(other, one), "{other} {one}");
        }
        for (one, other) in [
            ("*:*", "127.0.0.1:25"),
            ("*:25", "mail.example.com:20-30"),
            ("*.example.com:25", "example.com:25"),
        ] {
            assert!(!covers(one, other), "{one} {other}");
        }
    }
}
