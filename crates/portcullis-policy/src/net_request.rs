//! Lookups and connections of the guest itself. A connection is decided on twice: by its host and port, and by each address
//! that is dialled.

use std::net::{IpAddr, SocketAddr};

use crate::address::AddressClass;
use crate::host::{Host, HostName, Target};
use crate::net_grant::NetRefusal;
use crate::request::sealed::Sealed;
use crate::{
    Authorized, Bounded, Capability, Code, Decision, Denial, Grants, Origin, Places, Remedy,
    Request, RuleId,
};

/// A connection that a guest wants, before anything is resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectRequest {
    /// Where it leads.
    pub target: Target,
}

/// The same, and an address that is to be dialled for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Where it leads.
    pub target: Target,
    /// What its host stands for.
    pub address: IpAddr,
}

/// A name whose records a guest wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupRequest {
    /// The name.
    pub name: HostName,
}

impl Connection {
    /// The only place that may be connected to once this is [`Authorized`].
    pub fn socket(&self) -> SocketAddr {
        SocketAddr::new(self.address.to_canonical(), self.target.port)
    }
}

/// The terms of all of them are the rule that allows it, and its line.
type Terms = (RuleId, Origin);

impl Request for ConnectRequest {
    type Terms = Terms;
}

impl Request for Connection {
    type Terms = Terms;
}

impl Request for LookupRequest {
    type Terms = Terms;
}

impl Sealed for ConnectRequest {
    fn decide(self, grants: &Grants) -> Decision<Self> {
        match grants.own_net.decide(&self.target) {
            Ok(rule) => {
                let terms = (rule.id.clone(), rule.origin.clone());
                Decision::Allow(Authorized::new(self, terms))
            }
            Err(refusal) => {
                Decision::Deny(Box::new(unconnected(grants, &self.target, None, refusal)))
            }
        }
    }
}

impl Sealed for Connection {
    fn decide(self, grants: &Grants) -> Decision<Self> {
        match grants.own_net.decide_address(&self.target, self.address) {
            Ok(rule) => {
                let terms = (rule.id.clone(), rule.origin.clone());
                Decision::Allow(Authorized::new(self, terms))
            }
            Err(refusal) => {
                let address = Some(self.address.to_canonical());
                let denial = unconnected(grants, &self.target, address, refusal);
                Decision::Deny(Box::new(denial))
            }
        }
    }
}

impl Sealed for LookupRequest {
    fn decide(self, grants: &Grants) -> Decision<Self> {
        match grants.own_net.decide_lookup(&self.name) {
            Ok(rule) => {
                let terms = (rule.id.clone(), rule.origin.clone());
                Decision::Allow(Authorized::new(self, terms))
            }
            Err(refusal) => {
                let name = self.name.to_string();
                let about = About {
                    key: "lookup",
                    not_granted: Code::NetLookup,
                    ceiling: grants.own_net.ceiling.lookup.as_ref().map(origin_of),
                    action: format!("look up `{name}`"),
                    // What no policy file can name is not proposed.
                    is_entry: !self.name.is_localhost(),
                    object: name,
                };
                Decision::Deny(Box::new(about.denial(grants, refusal)))
            }
        }
    }
}

fn origin_of<T>(bound: &Bounded<T>) -> Origin {
    bound.origin.clone()
}

fn unconnected(
    grants: &Grants,
    target: &Target,
    address: Option<IpAddr>,
    refusal: NetRefusal,
) -> Denial {
    let place = target.to_string();
    let about = About {
        key: "connect",
        not_granted: Code::NetConnect,
        ceiling: grants.own_net.ceiling.connect.as_ref().map(origin_of),
        action: format!("connect to `{place}`"),
        is_entry: Places::parse(&place).is_ok(),
        object: place,
    };
    let mut denial = about.denial(grants, refusal);
    if let (NetRefusal::Address(class), Some(address)) = (refusal, address) {
        denial.notes = vec![match target.host {
            Host::Name(_) => format!(
                "`{}` is allowed, but it resolved to {address}, {class}",
                target.host
            ),
            Host::Address(_) => format!("{address} is {class}"),
        }];
        denial.remedies = inside(grants, target, address, class).into_iter().collect();
    }
    denial
}

/// What would let an address outside the public network be connected to.
fn inside(
    grants: &Grants,
    target: &Target,
    address: IpAddr,
    class: AddressClass,
) -> Option<Remedy> {
    match target.host {
        Host::Name(_) => class.is_unlockable().then(|| Remedy {
            text: format!(
                "if it is meant to be inside, write {{ host = \"{target}\", addresses = [\"{address}\"] }} into `connect`"
            ),
            command: None,
        }),
        Host::Address(_) => {
            let fits = matches!(class, AddressClass::Loopback | AddressClass::Private);
            fits.then(|| grant_of(grants, "connect", target.to_string()))
        }
    }
}

fn grant_of(grants: &Grants, key: &str, object: String) -> Remedy {
    let text = match key {
        "lookup" => "to let the plugin look it up",
        _ => "to let the plugin connect there",
    };
    let plugin = grants.plugin.to_string();
    let command = ["portcullis", "grant", &plugin, key].map(str::to_owned);
    Remedy {
        text: text.to_owned(),
        command: Some(command.into_iter().chain([object]).collect()),
    }
}

/// What a denial is about.
struct About {
    /// The key of the policy that would allow it.
    key: &'static str,
    not_granted: Code,
    ceiling: Option<Origin>,
    action: String,
    object: String,
    /// Whether a policy file can name it.
    is_entry: bool,
}

impl About {
    fn denial(self, grants: &Grants, refusal: NetRefusal) -> Denial {
        let Self {
            key, ref object, ..
        } = self;
        let (code, note) = match refusal {
            NetRefusal::NoRule => (
                self.not_granted,
                format!("no `{key}` entry is about `{object}`; the default is deny"),
            ),
            NetRefusal::NotAsked => (
                self.not_granted,
                format!("the plugin does not ask for `{object}` in its manifest"),
            ),
            NetRefusal::Address(class) => (Code::NetAddress, format!("it is {class}")),
            NetRefusal::Ceiling => (
                Code::NetCeiling,
                "the ceiling of this machine does not leave it".to_owned(),
            ),
        };
        let fits = refusal == NetRefusal::NoRule && self.is_entry;
        let remedy = fits.then(|| grant_of(grants, key, object.clone()));
        let ceiling = self
            .ceiling
            .filter(|_| refusal == NetRefusal::Ceiling)
            .map(|origin| (RuleId(key.to_owned()), origin));
        Denial {
            remedies: remedy.into_iter().collect(),
            rule: ceiling,
            ..Denial::new(code, grants, Capability::Net, self.action, self.object).note(note)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ConnectRule, LookupRule, PluginId, decide};

    fn grants(connect: &[&str], lookup: &[&str]) -> Grants {
        let mut grants = Grants::none(PluginId::new("p").unwrap());
        let rules = connect.iter().map(|text| ConnectRule::parse(text).unwrap());
        grants.own_net.connect = rules.collect();
        let rules = lookup.iter().map(|text| LookupRule::parse(text).unwrap());
        grants.own_net.lookup = rules.collect();
        grants
    }

    fn refused<R: Request>(decision: Decision<R>) -> (Code, String, String) {
        match decision {
            Decision::Allow(_) => panic!("it is allowed"),
            Decision::Ask { denial, .. } | Decision::Deny(denial) => {
                let commands = denial.remedies.iter().map(|remedy| {
                    let command = remedy.command.as_ref();
                    command.map_or(remedy.text.clone(), |words| words[3..].join(" "))
                });
                let help = commands.collect::<Vec<_>>().join(", ");
                (denial.code, denial.headline(), help)
            }
        }
    }

    fn to(text: &str) -> ConnectRequest {
        ConnectRequest {
            target: Target::parse(text).unwrap(),
        }
    }

    fn at(text: &str, address: &str) -> Connection {
        Connection {
            target: Target::parse(text).unwrap(),
            address: address.parse().unwrap(),
        }
    }

    #[test]
    fn a_connection_is_allowed_by_a_rule_and_then_for_one_place() {
        let grants = grants(&["mail.example.com:25"], &[]);
        let Decision::Allow(asked) = decide(&grants, to("mail.example.com:25")) else {
            panic!("a rule is about it");
        };
        assert_eq!(asked.terms().0.0, "mail.example.com:25");
        let mapped = at("mail.example.com:25", "::ffff:93.184.216.34");
        let Decision::Allow(place) = decide(&grants, mapped) else {
            panic!("the address is public");
        };
        let socket = place.request().socket().to_string();
        assert_eq!(socket, "93.184.216.34:25");
    }

    #[test]
    fn a_denial_says_what_would_allow_exactly_this() {
        let none = grants(&[], &[]);
        for (denied, code, headline, help) in [
            (
                refused(decide(&none, to("mail.example.com:25"))),
                Code::NetConnect,
                "plugin `p` may not connect to `mail.example.com:25`",
                "connect mail.example.com:25",
            ),
            (
                refused(decide(&none, to("localhost:25"))),
                Code::NetConnect,
                "plugin `p` may not connect to `localhost:25`",
                "",
            ),
            (
                refused(decide(
                    &none,
                    LookupRequest {
                        name: HostName::parse("example.com").unwrap(),
                    },
                )),
                Code::NetLookup,
                "plugin `p` may not look up `example.com`",
                "lookup example.com",
            ),
        ] {
            assert_eq!(denied, (code, headline.to_owned(), help.to_owned()));
        }
        let some = grants(&["*:25", "db.corp.example:5432"], &[]);
        for (to, address, help) in [
            ("127.0.0.1:25", "127.0.0.1", "connect 127.0.0.1:25"),
            ("169.254.169.254:25", "169.254.169.254", ""),
            ("mail.example.com:25", "127.0.0.1", ""),
            (
                "db.corp.example:5432",
                "10.0.0.7",
                "if it is meant to be inside, write { host = \"db.corp.example:5432\", addresses = [\"10.0.0.7\"] } into `connect`",
            ),
        ] {
            let (code, _, said) = refused(decide(&some, at(to, address)));
            assert_eq!((code, said.as_str()), (Code::NetAddress, help), "{to}");
        }
    }
}
