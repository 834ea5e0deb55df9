//! Where a request goes, read from its URL once: what is decided about is what will be dialled.

use std::net::IpAddr;

use ::url::Url;

use crate::host::{Host, HostName, Target};

/// A URL as the URL standard reads it, with the host and the port that it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpUrl {
    url: Url,
    target: Target,
}

/// Why a text is no URL that a request may have, whatever was granted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    /// The URL standard cannot read it.
    #[error("it is no URL: {0}")]
    Malformed(::url::ParseError),
    /// The scheme is neither `http` nor `https`.
    #[error("its scheme is neither `http` nor `https`")]
    Scheme(String),
    /// It carries a user name or a password.
    #[error("it carries a user name or a password")]
    Userinfo,
    /// Its host is no DNS name: an empty label, characters that DNS does not have.
    #[error("its host is no host name")]
    Host,
    /// Its port is 0.
    #[error("its port is 0")]
    Port,
}

impl HttpUrl {
    /// Reads a URL. One final dot of the host counts for nothing; an IPv4-mapped address is the IPv4 address.
    ///
    /// # Errors
    /// [`InvalidUrl`], for what no policy can make legal.
    pub fn parse(text: &str) -> Result<Self, InvalidUrl> {
        let mut url = Url::parse(text).map_err(InvalidUrl::Malformed)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(InvalidUrl::Scheme(url.scheme().to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidUrl::Userinfo);
        }
        let host = match url.host().ok_or(InvalidUrl::Host)? {
            ::url::Host::Domain(name) => {
                let name = name.strip_suffix('.').unwrap_or(name);
                Host::Name(HostName::parse(name).map_err(|_| InvalidUrl::Host)?)
            }
            ::url::Host::Ipv4(address) => Host::from(IpAddr::V4(address)),
            ::url::Host::Ipv6(address) => Host::from(IpAddr::V6(address)),
        };
        let port = url
            .port_or_known_default()
            .filter(|&port| port != 0)
            .ok_or(InvalidUrl::Port)?;
        url.set_host(Some(&host.to_string()))
            .map_err(InvalidUrl::Malformed)?;
        url.set_fragment(None);
        Ok(Self {
            target: Target { host, port },
            url,
        })
    }

    /// The host and the port that it leads to.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The URL to ask for: its host is that of [`target`](Self::target), and it has no fragment.
    pub fn as_url(&self) -> &Url {
        &self.url
    }

    /// The URL without its query, for messages and the trail.
    pub fn redacted(&self) -> String {
        let mut url = self.url.clone();
        url.set_query(None);
        url.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_host_leads_to_the_host_that_is_dialled() {
        for (text, target) in [
            ("https://API.Example.com/x", "api.example.com:443"),
            ("http://api.example.com./", "api.example.com:80"),
            ("http:\\\\api.example.com\\x", "api.example.com:80"),
            ("http://api.exa\tmple.com/", "api.example.com:80"),
            ("http://%61pi.example.com/", "api.example.com:80"),
            ("http://bücher.example/", "xn--bcher-kva.example:80"),
            ("http://good.example#@evil.example/", "good.example:80"),
            ("http://127.1/", "127.0.0.1:80"),
            ("http://0x7f.1:8080/", "127.0.0.1:8080"),
            ("http://0177.0.0.1/", "127.0.0.1:80"),
            ("http://\u{ff11}27\u{3002}0.0.1/", "127.0.0.1:80"),
            ("http://2130706433/", "127.0.0.1:80"),
            ("http://127.0.0.1./", "127.0.0.1:80"),
            ("http://127.0.0.1/", "127.0.0.1:80"),
            ("http://[::ffff:169.254.169.254]/", "169.254.169.254:80"),
        ] {
            let url = HttpUrl::parse(text).expect(text);
            assert_eq!(url.target().to_string(), target, "{text}");
            let again = HttpUrl::parse(url.as_url().as_str()).expect(text);
            assert_eq!(again.target(), url.target(), "{text}");
        }
    }

    #[test]
    fn what_no_policy_makes_legal_is_refused() {
        let scheme = |name: &str| InvalidUrl::Scheme(name.to_owned());
        for (text, why) in [
            ("ftp://example.com/", scheme("ftp")),
            ("file:///etc/passwd", scheme("file")),
            ("http://good.example@evil.example/", InvalidUrl::Userinfo),
            ("http://:pw@example.com/", InvalidUrl::Userinfo),
            ("http://a..example.com/", InvalidUrl::Host),
            ("http://example.com../", InvalidUrl::Host),
            ("http://example.com:0/", InvalidUrl::Port),
        ] {
            assert_eq!(HttpUrl::parse(text), Err(why), "{text}");
        }
        for text in [
            "example.com",
            "http://",
            "http://256.0.0.1/",
            "http://4294967296/",
            "http://1.2.3.4.5/",
            "http://[fe80::1%25eth0]/",
            "http://example.com:65536/",
            "http://exa%00mple.com/",
        ] {
            let refused = HttpUrl::parse(text);
            assert!(matches!(refused, Err(InvalidUrl::Malformed(_))), "{text}");
        }
    }

    #[test]
    fn what_is_written_down_has_no_query() {
        let url = HttpUrl::parse("https://example.com/a?token=t0p#x").unwrap();
        assert_eq!(url.redacted(), "https://example.com/a");
    }
}
