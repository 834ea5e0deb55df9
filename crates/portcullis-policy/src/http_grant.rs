//! Which hosts the guest itself may send requests to.

use std::fmt;
use std::net::IpAddr;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::address::AddressClass;
use crate::host::{Host, InvalidHost};
use crate::host_rule::{HostRule, HostRules};
use crate::http_secret::HttpSecret;
use crate::http_url::HttpUrl;
use crate::url::{is_pattern, matches};
use crate::{Bounded, Origin, RuleId};

/// The hosts of one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpHosts {
    /// Every host at a public address, at port 80 or 443.
    Any,
    /// These hosts, each with its port.
    Listed(HostRules),
}

/// Requests that are allowed.
///
/// # Defaults
/// Empty lists leave out nothing: every scheme, method and path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRule {
    /// What the rule is called in messages.
    pub id: RuleId,
    /// Where it is written.
    pub origin: Origin,
    /// Where requests go.
    pub hosts: HttpHosts,
    /// `http`, `https`.
    pub schemes: Vec<String>,
    /// Methods, as they are sent.
    pub methods: Vec<String>,
    /// Path patterns: `*` is one segment, `**` stands last and is any number. The query does not count.
    pub paths: Vec<String>,
}

/// The right to send HTTP requests. What any rule allows is allowed, within both bounds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpGrant {
    /// The rules. Without any the capability itself is not granted.
    pub allow: Vec<HttpRule>,
    /// If present, what a request must be allowed by as well.
    pub ceiling: Option<Bounded<Vec<HttpRule>>>,
    /// If present, the only hosts that the plugin asks for, at whatever ports: it reaches no others.
    pub asked: Option<Vec<HttpHosts>>,
    /// If present, how servers are told who asks: in place of what the guest says of itself in `User-Agent`.
    pub agent: Option<String>,
    /// Headers that the host adds.
    pub secrets: Vec<HttpSecret>,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpRefusal {
    /// The plugin does not ask for the host.
    NotAsked,
    /// No rule is about the host and its port.
    Host,
    /// Rules are about the host, none about this scheme, method and path.
    Request,
    /// No rule lets the host be reached at this address, which is of this class.
    Address(AddressClass),
    /// Rules allow it, the ceiling does not.
    Ceiling,
}

/// Methods that a request may have. `CONNECT` asks for a tunnel and `TRACE` for an echo of what was sent.
pub const HTTP_METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
/// The ports of a host that is written without one.
const PORTS: [u16; 2] = [80, 443];

impl HttpHosts {
    /// Reads an entry: `*`, or a host with or without a port. Without one it means ports 80 and 443.
    ///
    /// A final dot of a name counts for nothing, and letters beyond ASCII are written as DNS has them.
    ///
    /// # Errors
    /// [`InvalidHost`], as for [`HostRule::parse`], and for an address outside the public network without its port.
    pub fn parse(text: &str) -> Result<Self, InvalidHost> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            Some(_) | None => (text, None),
        };
        let host = normalized(host).ok_or_else(|| InvalidHost::new(text, "is no host name"))?;
        if let Some(port) = port {
            let rule = HostRule::parse(&format!("{host}:{port}"))?;
            return Ok(Self::Listed(vec![rule].into()));
        }
        let rules: Result<Vec<_>, _> = PORTS
            .iter()
            .map(|port| HostRule::parse(&format!("{host}:{port}")))
            .collect();
        let rules = rules?;
        if rules.iter().any(|rule| rule.host.is_inside()) {
            return Err(InvalidHost::new(
                text,
                "is an address outside the public network: write its port, as in `127.0.0.1:8080`",
            ));
        }
        Ok(Self::Listed(rules.into()))
    }

    /// Adds a range that names of this entry may resolve to.
    ///
    /// # Errors
    /// [`InvalidHost`], as for [`HostRule::unlock`], and for `*`: ranges belong to a host.
    pub fn unlock(&mut self, range: &str) -> Result<(), InvalidHost> {
        let Self::Listed(rules) = self else {
            let why = "is unlocked for a host, not for all of them";
            return Err(InvalidHost::new(range, why));
        };
        let mut unlocked = rules.as_slice().to_vec();
        for rule in &mut unlocked {
            rule.unlock(range)?;
        }
        *rules = unlocked.into();
        Ok(())
    }

    /// Ranges that were added.
    pub fn addresses(&self) -> &[ipnet::IpNet] {
        match self {
            Self::Any => &[],
            Self::Listed(rules) => rules.as_slice().first().map_or(&[], |rule| &rule.addresses),
        }
    }

    /// Whether everything that `other` is about, this is about too. Addresses are not compared.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, Self::Any) => true,
            (Self::Any, Self::Listed(others)) => {
                let mut others = others.as_slice().iter();
                others.all(|other| PORTS.contains(&other.port) && !other.host.is_inside())
            }
            (Self::Listed(_), Self::Any) => false,
            (Self::Listed(rules), Self::Listed(others)) => others.as_slice().iter().all(|other| {
                let plain = HostRule {
                    addresses: Vec::new(),
                    ..other.clone()
                };
                let mut rules = rules.as_slice().iter();
                rules.any(|rule| rule.meet(&plain).as_ref() == Some(&plain))
            }),
        }
    }

    /// Reads what a plugin asks for: an entry whose port does not matter.
    ///
    /// # Errors
    /// As for [`parse`](Self::parse), but for an address without a port.
    pub fn asked(text: &str) -> Result<Self, InvalidHost> {
        Self::parse(text).or_else(|why| Self::parse(&format!("{text}:80")).map_err(|_| why))
    }

    /// As [`covers`](Self::covers), whatever the ports.
    pub fn covers_hosts(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::Listed(_), Self::Any) => false,
            (Self::Listed(rules), Self::Listed(others)) => others.as_slice().iter().all(|other| {
                let mut rules = rules.as_slice().iter();
                rules.any(|rule| {
                    let rule = HostRule {
                        port: other.port,
                        ..rule.clone()
                    };
                    rule.meet(other).is_some_and(|met| met.host == other.host)
                })
            }),
        }
    }

    fn is_about(&self, url: &HttpUrl) -> bool {
        match self {
            Self::Any => PORTS.contains(&url.target().port),
            Self::Listed(rules) => rules.decide_name(url.target()).is_some(),
        }
    }

    /// As [`is_about`](Self::is_about), whatever the port.
    fn names(&self, host: &Host) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(rules) => rules.as_slice().iter().any(|rule| rule.host.matches(host)),
        }
    }

    fn decide_address(&self, url: &HttpUrl, address: IpAddr) -> Result<(), AddressClass> {
        match self {
            Self::Any => AddressClass::of(address).map_or(Ok(()), Err),
            Self::Listed(rules) => match rules.decide_address(url.target(), address) {
                Ok(_) => Ok(()),
                Err(class) => Err(class.unwrap_or(AddressClass::Reserved)),
            },
        }
    }
}

/// A host as [`HostRule::parse`] has it: without a final dot, with letters beyond ASCII as DNS has them.
pub(crate) fn normalized(host: &str) -> Option<String> {
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.is_ascii() {
        return Some(host.to_owned());
    }
    let (below, name) = host
        .strip_prefix("*.")
        .map_or(("", host), |name| ("*.", name));
    match ::url::Host::parse(name) {
        Ok(::url::Host::Domain(name)) => Some(format!("{below}{name}")),
        // Full-width digits, for instance, which nobody writes by accident.
        Ok(::url::Host::Ipv4(_) | ::url::Host::Ipv6(_)) | Err(_) => None,
    }
}

impl HttpRule {
    /// A rule for a host with every method and path, as an application writes it.
    ///
    /// # Errors
    /// As for [`HttpHosts::parse`].
    pub fn any_request(host: &str) -> Result<Self, InvalidHost> {
        Ok(Self {
            id: RuleId(host.to_owned()),
            origin: Origin::Code,
            hosts: HttpHosts::parse(host)?,
            schemes: Vec::new(),
            methods: Vec::new(),
            paths: Vec::new(),
        })
    }

    /// Whether a text can stand in [`paths`](Self::paths).
    pub fn is_path(pattern: &str) -> bool {
        pattern.starts_with('/')
            && !pattern.contains(['?', '#'])
            && is_pattern(&format!("http://host{pattern}"))
    }

    fn fits(&self, method: &str, url: &HttpUrl) -> bool {
        let parsed = url.as_url();
        let any = |list: &[String], asked: &str| {
            list.is_empty() || list.iter().any(|allowed| allowed == asked)
        };
        // The host was compared before: here it stands for itself on both sides.
        let path = format!("http://host{}", parsed.path());
        let in_path = |pattern: &String| matches(&format!("http://host{pattern}"), &path);
        any(&self.schemes, parsed.scheme())
            && any(&self.methods, method)
            && (self.paths.is_empty() || self.paths.iter().any(in_path))
    }
}

/// The first of these rules that a request may be sent by.
fn by_name<'a>(
    rules: &'a [HttpRule],
    method: &str,
    url: &HttpUrl,
) -> Result<&'a HttpRule, HttpRefusal> {
    let mut about = rules
        .iter()
        .filter(|rule| rule.hosts.is_about(url))
        .peekable();
    if about.peek().is_none() {
        return Err(HttpRefusal::Host);
    }
    about
        .find(|rule| rule.fits(method, url))
        .ok_or(HttpRefusal::Request)
}

/// The first of these rules that a request may be sent to this address by.
fn by_address<'a>(
    rules: &'a [HttpRule],
    method: &str,
    url: &HttpUrl,
    address: IpAddr,
) -> Result<&'a HttpRule, HttpRefusal> {
    by_name(rules, method, url)?;
    let mut refused = HttpRefusal::Host;
    let about = |rule: &&HttpRule| rule.hosts.is_about(url) && rule.fits(method, url);
    for rule in rules.iter().filter(about) {
        match rule.hosts.decide_address(url, address) {
            Ok(()) => return Ok(rule),
            Err(class) => refused = HttpRefusal::Address(class),
        }
    }
    Err(refused)
}

impl HttpGrant {
    /// The rule by which a request may be sent, before anything is resolved.
    ///
    /// # Errors
    /// What does not allow it.
    pub fn decide(&self, method: &str, url: &HttpUrl) -> Result<&HttpRule, HttpRefusal> {
        let rule = by_name(&self.allow, method, url)?;
        let mut asked = self.asked.iter();
        if !asked.all(|asked| asked.iter().any(|hosts| hosts.names(&url.target().host))) {
            return Err(HttpRefusal::NotAsked);
        }
        match &self.ceiling {
            Some(ceiling) if by_name(&ceiling.most, method, url).is_err() => {
                Err(HttpRefusal::Ceiling)
            }
            Some(_) | None => Ok(rule),
        }
    }

    /// The rule by which a request may be sent to this address. It is asked for every address that is dialled, also for
    /// those that the URL has written out.
    ///
    /// # Errors
    /// As [`decide`](Self::decide), or the class of the address.
    pub fn decide_address(
        &self,
        method: &str,
        url: &HttpUrl,
        address: IpAddr,
    ) -> Result<&HttpRule, HttpRefusal> {
        self.decide(method, url)?;
        let rule = by_address(&self.allow, method, url, address)?;
        match &self.ceiling {
            Some(ceiling) if by_address(&ceiling.most, method, url, address).is_err() => {
                Err(HttpRefusal::Ceiling)
            }
            Some(_) | None => Ok(rule),
        }
    }
}

/// As a rule is written, without `addresses`.
impl fmt::Display for HttpHosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Listed(rules) => match rules.as_slice() {
                [one] => one.fmt(f),
                [one, ..] => one.host.fmt(f),
                [] => Ok(()),
            },
        }
    }
}

/// As in the policy file.
impl Serialize for HttpRule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let addresses: Vec<_> = self
            .hosts
            .addresses()
            .iter()
            .map(|net| net.to_string())
            .collect();
        let lists = [
            ("schemes", &self.schemes),
            ("methods", &self.methods),
            ("paths", &self.paths),
            ("addresses", &addresses),
        ];
        if lists.iter().all(|(_, list)| list.is_empty()) {
            return serializer.collect_str(&self.hosts);
        }
        let mut table = serializer.serialize_struct("HttpRule", 5)?;
        table.serialize_field("host", &self.hosts.to_string())?;
        for (key, list) in lists {
            if list.is_empty() {
                table.skip_field(key)?;
            } else {
                table.serialize_field(key, list)?;
            }
        }
        table.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(entries: &[&str]) -> HttpGrant {
        let rule = |entry: &&str| HttpRule::any_request(entry).expect("an entry");
        HttpGrant {
            allow: entries.iter().map(rule).collect(),
            ..HttpGrant::default()
        }
    }

    fn sent(grant: &HttpGrant, url: &str, address: &str) -> Result<(), HttpRefusal> {
        let url = HttpUrl::parse(url).expect("a URL");
        let decided = grant.decide_address("GET", &url, address.parse().unwrap());
        decided.map(drop)
    }

    #[test]
    fn hosts_are_compared_whole_and_only_at_their_ports() {
        for (entry, url) in [
            ("api.example.com", "https://API.example.com./v1"),
            ("api.example.com:8443", "https://api.example.com:8443/"),
            ("*.example.com", "http://a.b.example.com/"),
            ("*", "https://anything.example/"),
            ("API.example.com.", "https://api.example.com/"),
            ("bücher.example", "https://xn--bcher-kva.example/"),
            ("*.bücher.example", "https://a.bücher.example/"),
        ] {
            assert_eq!(
                sent(&grant(&[entry]), url, "8.8.8.8"),
                Ok(()),
                "{entry} {url}"
            );
        }
        for (entry, url) in [
            ("api.example.com", "https://api.example.com.evil.example/"),
            ("api.example.com", "https://api.example.com:8443/"),
            ("api.example.com:8443", "https://api.example.com/"),
            ("*.example.com", "https://example.com/"),
            ("*.example.com", "https://badexample.com/"),
            ("*", "http://anything.example:22/"),
        ] {
            let refused = Err(HttpRefusal::Host);
            assert_eq!(
                sent(&grant(&[entry]), url, "8.8.8.8"),
                refused,
                "{entry} {url}"
            );
        }
        for entry in [
            "*.com",
            "localhost",
            "a..b",
            "*.*.example.com",
            "a.example:0",
            "*:8443",
            "127.0.0.1",
            "[::1]",
            "10.0.0.1",
            "\u{ff11}27.0.0.1:80",
            "https://a.example",
            "a.example/path",
            "user@a.example",
            "",
        ] {
            assert!(HttpHosts::parse(entry).is_err(), "{entry}");
        }
    }

    #[test]
    fn an_address_outside_the_public_network_is_reached_only_where_it_was_granted() {
        for entry in ["*", "api.example.com"] {
            for address in [
                "127.0.0.1",
                "10.0.0.1",
                "169.254.169.254",
                "::1",
                "::ffff:10.0.0.1",
            ] {
                let answer = sent(&grant(&[entry]), "http://api.example.com/", address);
                assert!(
                    matches!(answer, Err(HttpRefusal::Address(_))),
                    "{entry} {address}"
                );
            }
        }
        let answer = sent(&grant(&["*"]), "http://2130706433/", "127.0.0.1");
        assert_eq!(answer, Err(HttpRefusal::Address(AddressClass::Loopback)));
        let literal = grant(&["127.0.0.1:8080"]);
        assert_eq!(sent(&literal, "http://127.1:8080/", "127.0.0.1"), Ok(()));
        assert!(sent(&literal, "http://127.1:8080/", "127.0.0.2").is_err());
    }

    #[test]
    fn a_rule_can_be_about_a_scheme_a_method_and_paths() {
        let mut grant = grant(&["api.example.com"]);
        grant.allow[0].schemes = vec!["https".to_owned()];
        grant.allow[0].methods = vec!["GET".to_owned()];
        grant.allow[0].paths = vec!["/v1/**".to_owned()];
        let decide = |method, url| {
            let decided = grant.decide(method, &HttpUrl::parse(url).unwrap());
            decided.map(drop)
        };
        assert_eq!(decide("GET", "https://api.example.com/v1/a/b?q=1"), Ok(()));
        for (method, url) in [
            ("POST", "https://api.example.com/v1/a"),
            ("GET", "http://api.example.com/v1/a"),
            ("GET", "https://api.example.com/v2/a"),
            ("GET", "https://api.example.com/v1/%2e%2e/v2"),
            ("GET", "https://api.example.com/v1/..%2fv2"),
        ] {
            assert_eq!(
                decide(method, url),
                Err(HttpRefusal::Request),
                "{method} {url}"
            );
        }
    }

    #[test]
    fn what_the_plugin_does_not_ask_for_and_what_the_ceiling_leaves_out_is_refused() {
        let mut bounded = grant(&["*.example.com", "api.example.com:8443"]);
        bounded.asked = Some(vec![HttpHosts::parse("api.example.com").unwrap()]);
        let api = "https://api.example.com:8443/";
        assert_eq!(sent(&bounded, api, "8.8.8.8"), Ok(()), "at any port");
        assert_eq!(
            sent(&bounded, "https://other.example.com/", "8.8.8.8"),
            Err(HttpRefusal::NotAsked)
        );
        bounded.ceiling = Some(Bounded {
            most: grant(&["api.example.com"]).allow,
            origin: Origin::Code,
        });
        assert_eq!(sent(&bounded, api, "8.8.8.8"), Err(HttpRefusal::Ceiling));
        assert_eq!(
            sent(&bounded, "https://api.example.com/", "8.8.8.8"),
            Ok(())
        );
    }

    #[test]
    fn ranges_are_unlocked_for_a_host_and_within_the_ceiling() {
        let mut inside = grant(&["db.corp.example"]);
        inside.allow[0].hosts.unlock("10.2.0.0/16").unwrap();
        let url = "http://db.corp.example/";
        assert_eq!(sent(&inside, url, "10.2.0.7"), Ok(()));
        assert!(sent(&inside, url, "10.3.0.7").is_err());
        inside.ceiling = Some(Bounded {
            most: grant(&["*"]).allow,
            origin: Origin::Code,
        });
        assert_eq!(sent(&inside, url, "10.2.0.7"), Err(HttpRefusal::Ceiling));
        assert!(HttpHosts::Any.clone().unlock("10.2.0.0/16").is_err());
        for (entry, range) in [
            ("db.corp.example", "127.0.0.0/8"),
            ("db.corp.example", "8.8.8.8"),
            ("127.0.0.1:80", "10.0.0.0/8"),
        ] {
            let mut hosts = HttpHosts::parse(entry).unwrap();
            assert!(hosts.unlock(range).is_err(), "{entry} {range}");
        }
    }

    #[test]
    fn an_entry_covers_what_it_is_about() {
        let covers = |one, other| {
            let [one, other] = [one, other].map(|entry| HttpHosts::parse(entry).unwrap());
            one.covers(&other)
        };
        for (one, other) in [
            ("*", "api.example.com"),
            ("*.example.com", "api.example.com:443"),
            ("api.example.com", "api.example.com:80"),
        ] {
            assert!(covers(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("*", "api.example.com:8443"),
            ("*", "127.0.0.1:80"),
            ("api.example.com:80", "api.example.com"),
            ("*.example.com", "example.com"),
            ("api.example.com", "*"),
        ] {
            assert!(!covers(one, other), "{one} {other}");
        }
    }
}
