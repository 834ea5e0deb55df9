//! Which hosts the guest itself may send requests to.

use std::net::IpAddr;

use crate::address::AddressClass;
use crate::host_rule::{HostRule, HostRules};
use crate::http_url::HttpUrl;
use crate::url::matches;

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
    /// Where they go.
    pub hosts: HttpHosts,
    /// `http`, `https`.
    pub schemes: Vec<String>,
    /// Methods, as they are sent.
    pub methods: Vec<String>,
    /// Path patterns: `*` is one segment, `**` stands last and is any number. The query does not count.
    pub paths: Vec<String>,
}

/// The right to send HTTP requests. What any rule allows is allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpGrant {
    /// The rules.
    pub allow: Vec<HttpRule>,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpRefusal {
    /// No rule is about the host and its port.
    Host,
    /// Rules are about the host, none about this scheme, method and path.
    Request,
    /// No rule lets the host be reached at this address, which is of this class.
    Address(AddressClass),
}

impl HttpHosts {
    /// Reads an entry: `*`, or a host with or without a port. Without one it means ports 80 and 443.
    ///
    /// # Errors
    /// [`InvalidHost`](crate::InvalidHost), as for [`HostRule::parse`].
    pub fn parse(text: &str) -> Result<Self, crate::InvalidHost> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let has_port = text
            .rsplit_once(':')
            .is_some_and(|(_, port)| !port.contains(']'));
        let ports: &[&str] = if has_port { &[""] } else { &[":80", ":443"] };
        let rules: Result<Vec<_>, _> = ports
            .iter()
            .map(|port| HostRule::parse(&format!("{text}{port}")))
            .collect();
        rules.map(|rules| Self::Listed(rules.into()))
    }

    fn is_about(&self, url: &HttpUrl) -> bool {
        match self {
            Self::Any => matches!(url.target().port, 80 | 443),
            Self::Listed(rules) => rules.decide_name(url.target()).is_some(),
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

impl HttpRule {
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

impl HttpGrant {
    /// Whether a request may be sent, before anything is resolved.
    ///
    /// # Errors
    /// What no rule allows: the host, or the rest of the request.
    pub fn decide(&self, method: &str, url: &HttpUrl) -> Result<(), HttpRefusal> {
        let mut about = self.allow.iter().filter(|rule| rule.hosts.is_about(url));
        let Some(first) = about.next() else {
            return Err(HttpRefusal::Host);
        };
        let fits = first.fits(method, url) || about.any(|rule| rule.fits(method, url));
        fits.then_some(()).ok_or(HttpRefusal::Request)
    }

    /// Whether a request may be sent to this address. It is asked for every address that is dialled, also for those
    /// that the URL has written out.
    ///
    /// # Errors
    /// As [`decide`](Self::decide), or the class of the address.
    pub fn decide_address(
        &self,
        method: &str,
        url: &HttpUrl,
        address: IpAddr,
    ) -> Result<(), HttpRefusal> {
        self.decide(method, url)?;
        let mut refused = HttpRefusal::Host;
        let about = |rule: &&HttpRule| rule.hosts.is_about(url) && rule.fits(method, url);
        for rule in self.allow.iter().filter(about) {
            match rule.hosts.decide_address(url, address) {
                Ok(()) => return Ok(()),
                Err(class) => refused = HttpRefusal::Address(class),
            }
        }
        Err(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(entries: &[&str]) -> HttpGrant {
        let rule = |entry: &&str| HttpRule {
            hosts: HttpHosts::parse(entry).expect("an entry"),
            schemes: Vec::new(),
            methods: Vec::new(),
            paths: Vec::new(),
        };
        HttpGrant {
            allow: entries.iter().map(rule).collect(),
        }
    }

    fn sent(grant: &HttpGrant, url: &str, address: &str) -> Result<(), HttpRefusal> {
        let url = HttpUrl::parse(url).expect("a URL");
        grant.decide_address("GET", &url, address.parse().unwrap())
    }

    #[test]
    fn hosts_are_compared_whole_and_only_at_their_ports() {
        for (entry, url) in [
            ("api.example.com", "https://API.example.com./v1"),
            ("api.example.com:8443", "https://api.example.com:8443/"),
            ("*.example.com", "http://a.b.example.com/"),
            ("*", "https://anything.example/"),
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
        let decide = |method, url| grant.decide(method, &HttpUrl::parse(url).unwrap());
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
}
