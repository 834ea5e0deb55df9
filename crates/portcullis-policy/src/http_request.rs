//! Requests of the guest itself, decided on twice: by their URL, and by each address that is dialled.

use std::net::{IpAddr, SocketAddr};

use crate::address::AddressClass;
use crate::host::Host;
use crate::http_grant::{HttpHosts, HttpRefusal};
use crate::http_secret::HttpSecret;
use crate::http_url::HttpUrl;
use crate::request::sealed::Sealed;
use crate::text::shown;
use crate::{
    Authorized, Capability, Code, Decision, Denial, Grants, HttpRule, Origin, Remedy, Request,
    RuleId,
};

/// A request that a guest wants to send, before anything is resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    /// The method, as it is sent.
    pub method: String,
    /// Where it goes.
    pub url: HttpUrl,
}

/// The same request, and an address that is to be dialled for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpDial {
    /// The request.
    pub request: HttpRequest,
    /// What its host stands for.
    pub address: IpAddr,
}

/// The rule that allows a request, and what goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpTerms {
    /// Its name and its line.
    pub rule: (RuleId, Origin),
    /// The headers that the host adds, one of a name.
    pub secrets: Vec<HttpSecret>,
}

impl HttpTerms {
    fn of(rule: &HttpRule, grants: &Grants, url: &HttpUrl) -> Self {
        Self {
            rule: (rule.id.clone(), rule.origin.clone()),
            secrets: grants.http.secrets_for(url),
        }
    }
}

impl HttpDial {
    /// The only place that may be connected to once this is [`Authorized`].
    pub fn socket(&self) -> SocketAddr {
        SocketAddr::new(self.address.to_canonical(), self.request.url.target().port)
    }
}

impl Request for HttpRequest {
    type Terms = HttpTerms;
}

impl Request for HttpDial {
    type Terms = HttpTerms;
}

impl Sealed for HttpRequest {
    fn decide(self, grants: &Grants) -> Decision<Self> {
        match grants.http.decide(&self.method, &self.url) {
            Ok(rule) => {
                let terms = HttpTerms::of(rule, grants, &self.url);
                Decision::Allow(Authorized::new(self, terms))
            }
            Err(refusal) => Decision::Deny(Box::new(denial(grants, &self, None, refusal))),
        }
    }
}

impl Sealed for HttpDial {
    fn decide(self, grants: &Grants) -> Decision<Self> {
        let HttpRequest { method, url } = &self.request;
        match grants.http.decide_address(method, url, self.address) {
            Ok(rule) => {
                let terms = HttpTerms::of(rule, grants, url);
                Decision::Allow(Authorized::new(self, terms))
            }
            Err(refusal) => {
                let address = Some(self.address.to_canonical());
                let denial = denial(grants, &self.request, address, refusal);
                Decision::Deny(Box::new(denial))
            }
        }
    }
}

fn denial(
    grants: &Grants,
    request: &HttpRequest,
    address: Option<IpAddr>,
    refusal: HttpRefusal,
) -> Denial {
    let HttpRequest { method, url } = request;
    let target = url.target();
    let place = written(url);
    let (code, note) = match refusal {
        HttpRefusal::Host if grants.http.allow.is_empty() => (
            Code::HttpNotGranted,
            "no `http` rule is there; the default is deny".to_owned(),
        ),
        HttpRefusal::Host => (
            Code::HttpNotGranted,
            format!("no `http` rule is about `{target}`; the default is deny"),
        ),
        HttpRefusal::NotAsked => (
            Code::HttpNotGranted,
            format!(
                "the plugin does not ask for `{}` in its manifest",
                target.host
            ),
        ),
        HttpRefusal::Request => (
            Code::HttpRequest,
            format!(
                "`http` rules are about `{place}`, and none about this scheme, method and path"
            ),
        ),
        HttpRefusal::Address(class) => {
            let address = address
                .map(|address| address.to_string())
                .unwrap_or_default();
            let note = match target.host {
                Host::Name(_) => format!(
                    "`{}` is allowed, but it resolved to {address}, {class}",
                    target.host
                ),
                Host::Address(_) => format!("{address} is {class}"),
            };
            (Code::HttpAddress, note)
        }
        HttpRefusal::Ceiling => (
            Code::HttpCeiling,
            "the ceiling of this machine does not leave it".to_owned(),
        ),
    };
    let rule = match (refusal, &grants.http.ceiling) {
        (HttpRefusal::Ceiling, Some(ceiling)) => {
            Some((RuleId("http".to_owned()), ceiling.origin.clone()))
        }
        _ => None,
    };
    let url = url.redacted();
    let action = format!("send `{} {}`", shown(method), shown(&url));
    Denial {
        remedies: remedy(grants, refusal, place, address)
            .into_iter()
            .collect(),
        rule,
        ..Denial::new(code, grants, Capability::Http, action, url).note(note)
    }
}

/// The host as a policy file has it: with its port where that is not understood.
fn written(url: &HttpUrl) -> String {
    let target = url.target();
    match target.host {
        Host::Name(_) if matches!(target.port, 80 | 443) => target.host.to_string(),
        Host::Name(_) | Host::Address(_) => target.to_string(),
    }
}

/// What would allow exactly this.
fn remedy(
    grants: &Grants,
    refusal: HttpRefusal,
    place: String,
    address: Option<IpAddr>,
) -> Option<Remedy> {
    let by_host = match refusal {
        HttpRefusal::Host => true,
        HttpRefusal::Address(class) if class.is_unlockable() && !is_literal(&place) => {
            let address = address?;
            return Some(Remedy {
                text: format!(
                    "if it is meant to be inside, write {{ host = \"{place}\", addresses = [\"{address}\"] }}"
                ),
                command: None,
            });
        }
        HttpRefusal::Address(AddressClass::Loopback | AddressClass::Private) => is_literal(&place),
        HttpRefusal::Address(_)
        | HttpRefusal::Request
        | HttpRefusal::NotAsked
        | HttpRefusal::Ceiling => false,
    };
    // What no policy file can name is not proposed.
    let fits = by_host && HttpHosts::parse(&place).is_ok();
    let text = "to let the plugin send requests there";
    fits.then(|| Remedy::grant(&grants.plugin, text, &["http", &place]))
}

/// Whether a written host is an address.
fn is_literal(place: &str) -> bool {
    place.parse::<SocketAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PluginId, decide};

    fn grants(entries: &[&str]) -> Grants {
        let mut grants = Grants::none(PluginId::new("p").unwrap());
        let rules = entries.iter().map(|entry| HttpRule::any_request(entry));
        grants.http.allow = rules.map(|rule| rule.expect("an entry")).collect();
        grants
    }

    fn request(url: &str) -> HttpRequest {
        HttpRequest {
            method: "GET".to_owned(),
            url: HttpUrl::parse(url).expect("a URL"),
        }
    }

    fn refused<R: Request>(decision: Decision<R>) -> (Code, String, Vec<String>) {
        match decision {
            Decision::Allow(_) => panic!("it is allowed"),
            Decision::Ask { denial, .. } | Decision::Deny(denial) => {
                let command = denial
                    .remedies
                    .into_iter()
                    .filter_map(|remedy| remedy.command);
                let commands = command.map(|words| words[3..].join(" ")).collect();
                (denial.code, denial.notes.join("; "), commands)
            }
        }
    }

    #[test]
    fn a_request_is_allowed_by_a_rule_and_then_for_one_place() {
        let grants = grants(&["api.example.com"]);
        let Decision::Allow(authorized) = decide(&grants, request("https://api.example.com/x"))
        else {
            panic!("a rule is about it");
        };
        assert_eq!(authorized.terms().rule.0.0, "api.example.com");
        let dial = HttpDial {
            request: authorized.request().clone(),
            address: "::ffff:93.184.216.34".parse().unwrap(),
        };
        let Decision::Allow(dial) = decide(&grants, dial) else {
            panic!("the address is public");
        };
        let socket = dial.request().socket().to_string();
        assert_eq!(socket, "93.184.216.34:443");
    }

    #[test]
    fn a_denial_says_what_would_allow_exactly_this() {
        for (granted, url, code, command) in [
            (
                &[][..],
                "https://api.example.com/x?q",
                Code::HttpNotGranted,
                "http api.example.com",
            ),
            (
                &["b.example"],
                "https://a.example:8443/",
                Code::HttpNotGranted,
                "http a.example:8443",
            ),
            (
                &["b.example"],
                "http://127.1/",
                Code::HttpNotGranted,
                "http 127.0.0.1:80",
            ),
            (
                &["b.example"],
                "http://localhost/",
                Code::HttpNotGranted,
                "",
            ),
        ] {
            let (is, _, commands) = refused(decide(&grants(granted), request(url)));
            assert_eq!((is, commands.join(",").as_str()), (code, command), "{url}");
        }
        for (granted, url, address, command) in [
            (
                &["*"][..],
                "http://127.1/",
                "127.0.0.1",
                "http 127.0.0.1:80",
            ),
            (&["*"], "http://inside.example/", "127.0.0.1", ""),
            (
                &["inside.example"],
                "http://inside.example/",
                "10.0.0.7",
                "",
            ),
            (&["*"], "http://169.254.169.254/", "169.254.169.254", ""),
        ] {
            let dial = HttpDial {
                request: request(url),
                address: address.parse().unwrap(),
            };
            let (code, note, commands) = refused(decide(&grants(granted), dial));
            assert_eq!(code, Code::HttpAddress);
            assert!(note.contains(address), "{note}");
            assert_eq!(commands.join(","), command, "{url}");
        }
    }
}
