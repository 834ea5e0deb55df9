//! What the plugin itself may look up, and where it may connect to.

use std::path::Path;

use portcullis_config::{FlagSet, Layer, Manifest, edit};
use portcullis_policy::{
    Code, ConnectRequest, Connection, Decision, Grants, HostName, LookupRequest, PluginId, Request,
    Target, decide,
};
use proptest::prelude::*;

use crate::support::Project;

const HEAD: &str = "[[plugins]]\nid = \"p\"\npath = \"plugins/p.wasm\"\n";
const PUBLIC: &str = "8.8.8.8";

fn answer<R: Request<Terms = (portcullis_policy::RuleId, portcullis_policy::Origin)>>(
    decision: Decision<R>,
) -> Result<String, Code> {
    match decision {
        Decision::Allow(authorized) => {
            let (rule, origin) = authorized.terms();
            Ok(format!("{rule} {origin}"))
        }
        Decision::Ask { denial, .. } | Decision::Deny(denial) => Err(denial.code),
    }
}

/// What comes of a connection to an address.
fn connected(grants: &Grants, to: &str, address: &str) -> Result<String, Code> {
    let target = Target::parse(to).unwrap();
    let address = address.parse().unwrap();
    answer(decide(grants, Connection { target, address }))
}

fn looked_up(grants: &Grants, name: &str) -> Result<String, Code> {
    let name = HostName::parse(name).unwrap();
    answer(decide(grants, LookupRequest { name }))
}

#[test]
fn every_key_has_its_effect() {
    let text = format!(
        "{HEAD}connect = [\n  \"mail.example.com:25\",\n  \"*.example.org:8000-8999\",\n  \"*:443\",\n  \"127.0.0.1:2525\",\n  \
         {{ host = \"db.corp.example:*\", addresses = [\"10.2.0.0/16\"] }},\n]\nlookup = [\"example.com\", \"*.example.com\"]\n"
    );
    let grants = Project::new().entry(&text, FlagSet::default()).grants;
    let mail = connected(&grants, "mail.example.com:25", PUBLIC).unwrap();
    assert!(
        mail.starts_with("connect[0] ") && mail.ends_with(":5"),
        "{mail}"
    );
    for (to, address) in [
        ("a.example.org:8080", PUBLIC),
        ("anything.example:443", PUBLIC),
        ("127.0.0.1:2525", "127.0.0.1"),
        ("db.corp.example:5432", "10.2.0.7"),
    ] {
        assert!(connected(&grants, to, address).is_ok(), "{to} {address}");
    }
    for (to, address, code) in [
        ("mail.example.com:26", PUBLIC, Code::NetConnect),
        ("example.org:8080", PUBLIC, Code::NetConnect),
        ("127.0.0.1:2526", "127.0.0.1", Code::NetConnect),
        ("127.0.0.1:443", "127.0.0.1", Code::NetAddress),
        ("mail.example.com:25", "10.2.0.7", Code::NetAddress),
        ("db.corp.example:5432", "10.3.0.7", Code::NetAddress),
        ("db.corp.example:5432", "127.0.0.1", Code::NetAddress),
    ] {
        assert_eq!(connected(&grants, to, address), Err(code), "{to} {address}");
    }
    assert!(
        looked_up(&grants, "example.com")
            .unwrap()
            .starts_with("lookup[0] ")
    );
    assert!(looked_up(&grants, "_dmarc.example.com").is_ok());
    // A connection takes no lookup, and gives none.
    assert_eq!(looked_up(&grants, "a.example.org"), Err(Code::NetLookup));
}

#[test]
fn without_the_keys_nothing_is_granted_and_flags_add_to_them() {
    let project = Project::new();
    let grants = project.entry(HEAD, FlagSet::default()).grants;
    assert!(grants.own_net.is_empty());
    let of_commands =
        format!("{HEAD}net = [\"mail.example.com:25\"]\nhttp = {{ allow = [\"*\"] }}\n");
    let grants = project.entry(&of_commands, FlagSet::default()).grants;
    let refused = connected(&grants, "mail.example.com:25", PUBLIC);
    assert_eq!(refused, Err(Code::NetConnect), "that is another right");
    let flags = FlagSet {
        allow_connect: vec!["mail.example.com:25".to_owned()],
        allow_lookup: vec!["example.com".to_owned()],
        ..FlagSet::default()
    };
    let grants = project.entry(HEAD, flags).grants;
    let by = connected(&grants, "mail.example.com:25", PUBLIC).unwrap();
    assert!(
        by.ends_with("`--allow-connect=mail.example.com:25`"),
        "{by}"
    );
    assert!(
        looked_up(&grants, "example.com")
            .unwrap()
            .ends_with("`--allow-lookup=example.com`")
    );
}

#[test]
fn what_could_mean_nothing_or_everything_is_a_mistake() {
    let project = Project::new();
    for keys in [
        "connect = [\"*\"]",
        "connect = [\"mail.example.com\"]",
        "connect = [\"*.com:25\"]",
        "connect = [\"localhost:25\"]",
        "connect = [\"127.0.0.1:*\"]",
        "connect = [\"127.1:25\"]",
        "connect = [\"a.example:9-8\"]",
        "connect = \"a.example:25\"",
        "connect = [{ host = \"*:25\", addresses = [\"10.0.0.0/8\"] }]",
        "connect = [{ host = \"a.example:25\", addresses = [\"127.0.0.0/8\"] }]",
        "connect = [{ host = \"a.example:25\" }]",
        "lookup = [\"127.0.0.1\"]",
        "lookup = [\"*.com\"]",
        "lookup = [\"localhost\"]",
        "lookup = [\"example.com:53\"]",
        "lookup = true",
    ] {
        let text = format!("{HEAD}{keys}\n");
        assert!(project.load(&[project.trusted(&text)]).is_err(), "{keys}");
    }
}

#[test]
fn a_file_of_the_tree_gives_nothing_and_raises_no_limit() {
    let project = Project::new();
    let trusted = project.trusted(HEAD);
    for (rest, told) in [
        ("connect = [\"a.example:25\"]", "may not set `connect`"),
        ("lookup = [\"a.example\"]", "may not set `lookup`"),
        (
            "limits = { net_per_minute = 61 }",
            "`limits.net_per_minute` is higher",
        ),
        (
            "limits = { net_timeout = \"1h\" }",
            "`limits.net_timeout` is higher",
        ),
    ] {
        let found = project.found(&format!("[[plugins]]\nid = \"p\"\n{rest}\n"));
        let mistakes = project.mistakes(&[trusted.clone(), found]);
        assert!(mistakes.contains(told), "{mistakes}");
    }
}

#[test]
fn a_ceiling_bounds_every_layer() {
    let project = Project::new();
    let above = |text: &str| Layer::Ceiling {
        path: project.path("ceiling.toml"),
        text: text.to_owned(),
    };
    let policy = project.trusted(&format!("{HEAD}connect = [\"*:*\"]\nlookup = [\"*\"]\n"));
    let under = |text: &str| {
        let set = project.load(&[above(text), policy.clone()]).unwrap();
        set.plugin("p").unwrap().grants
    };
    let bounded = under(
        "connect = [\"*.example.com:25\"]\nlookup = [\"example.com\"]\nlimits = { net_timeout = \"1s\" }\n",
    );
    assert!(connected(&bounded, "mail.example.com:25", PUBLIC).is_ok());
    assert!(looked_up(&bounded, "example.com").is_ok());
    for refused in [
        connected(&bounded, "mail.example.com:26", PUBLIC),
        connected(&bounded, "mail.example.org:25", PUBLIC),
        looked_up(&bounded, "example.org"),
    ] {
        assert_eq!(refused, Err(Code::NetCeiling));
    }
    assert_eq!(bounded.limits.net_timeout.as_secs(), 1);
    let none = under("connect = []\nlookup = []\n");
    assert_eq!(
        connected(&none, "mail.example.com:25", PUBLIC),
        Err(Code::NetCeiling)
    );
    assert_eq!(looked_up(&none, "example.com"), Err(Code::NetCeiling));
    let half = under("lookup = []\n");
    assert!(connected(&half, "mail.example.com:25", PUBLIC).is_ok());
}

#[test]
fn a_plugin_has_only_what_it_asks_for() {
    let text = format!("{HEAD}connect = [\"*:*\"]\nlookup = [\"*\"]\n");
    let granted = Project::new().entry(&text, FlagSet::default()).grants;
    let asking = |asks: &str| {
        let text = format!("id = \"p\"\nversion = \"1\"\nworld = \"w\"\n{asks}");
        Manifest::parse(Path::new("plugin.toml"), &text)
    };
    let ask = "[[asks]]\ncapability = \"net\"\nreason = \"x\"\n";
    let (mail, name) = (
        "connect = \"mail.example.com:25\"\n",
        "lookup = \"example.com\"\n",
    );
    let two = asking(&format!("{ask}{mail}{ask}{name}")).unwrap();
    assert!(two.asks_not_granted(&granted).is_empty());
    let left = two.restrict(granted.clone());
    assert!(connected(&left, "mail.example.com:25", PUBLIC).is_ok());
    assert!(looked_up(&left, "example.com").is_ok());
    assert_eq!(
        connected(&left, "mail.example.com:26", PUBLIC),
        Err(Code::NetConnect)
    );
    assert_eq!(looked_up(&left, "example.org"), Err(Code::NetLookup));
    let one = asking(&format!("{ask}{mail}"))
        .unwrap()
        .restrict(granted.clone());
    assert_eq!(looked_up(&one, "example.com"), Err(Code::NetLookup));
    assert_eq!(asking(ask).unwrap().restrict(granted.clone()), granted);
    assert!(asking("").unwrap().restrict(granted).own_net.is_empty());
    for wrong in [
        format!("{ask}{mail}{name}"),
        format!("{ask}connect = \"mail.example.com\"\n"),
        format!("{ask}lookup = \"*.com\"\n"),
        format!("{ask}host = \"mail.example.com\"\n"),
        format!("[[asks]]\ncapability = \"http\"\nreason = \"x\"\n{mail}"),
    ] {
        assert!(asking(&wrong).is_err(), "{wrong}");
    }
    let near = Project::new().entry(HEAD, FlagSet::default()).grants;
    assert_eq!(two.asks_not_granted(&near).len(), 2);
    // Who installs it can grant exactly that, and what means anything is not granted so.
    let project = Project::new();
    let id = PluginId::new("p").unwrap();
    let any = asking(&format!("{ask}{mail}{ask}{name}{ask}")).unwrap();
    let asks: Vec<_> = any.asks.iter().collect();
    let file = project.path("policy.toml");
    let edited = edit::grant_asked(HEAD, &id, &asks, &file, &project.context).unwrap();
    let (edited, left_out) = edited;
    assert_eq!(left_out.len(), 1);
    let grants = project.entry(&edited.text, FlagSet::default()).grants;
    assert!(connected(&grants, "mail.example.com:25", PUBLIC).is_ok());
    assert!(looked_up(&grants, "example.com").is_ok());
}

fn place() -> impl Strategy<Value = String> {
    let host = prop_oneof![
        Just("*"),
        Just("a.example.com"),
        Just("*.example.com"),
        Just("b.example.org"),
        Just("8.8.8.8"),
        Just("10.0.0.1")
    ];
    let ports = prop_oneof![Just("25"), Just("20-30"), Just("*")];
    (host, ports).prop_map(|(host, ports)| match host {
        "10.0.0.1" => format!("{host}:25"),
        host => format!("{host}:{ports}"),
    })
}

fn grants_of(connect: &[String], ceiling: Option<&[String]>) -> Grants {
    let project = Project::new();
    let text = format!("{HEAD}connect = {connect:?}\n");
    let mut layers = vec![project.trusted(&text)];
    layers.extend(ceiling.map(|most| Layer::Ceiling {
        path: project.path("ceiling.toml"),
        text: format!("connect = {most:?}\n"),
    }));
    project.load(&layers).unwrap().plugin("p").unwrap().grants
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn entries_only_add_and_a_ceiling_only_takes_away(
        some in proptest::collection::vec(place(), 0..4),
        more in place(),
        most in proptest::collection::vec(place(), 0..4),
    ) {
        let all: Vec<_> = some.iter().cloned().chain([more]).collect();
        let (fewer, more) = (grants_of(&some, None), grants_of(&all, None));
        let bounded = grants_of(&all, Some(&most));
        let ceiling = grants_of(&most, None);
        for to in ["a.example.com:25", "a.example.com:29", "a.example.com:31", "b.example.org:25", "8.8.8.8:25", "10.0.0.1:25", "c.example.net:30"] {
            for address in [PUBLIC, "10.0.0.1", "127.0.0.1", "169.254.169.254", "::1"] {
                let target = Target::parse(to).unwrap();
                let named = match target.host {
                    portcullis_policy::Host::Address(named) => named,
                    portcullis_policy::Host::Name(_) => address.parse().unwrap(),
                };
                if named != address.parse::<std::net::IpAddr>().unwrap() {
                    continue;
                }
                let allowed = |grants: &Grants| connected(grants, to, address).is_ok();
                prop_assert!(!allowed(&fewer) || allowed(&more), "{} {}", to, address);
                prop_assert_eq!(allowed(&bounded), allowed(&more) && allowed(&ceiling), "{} {}", to, address);
                // What is inside is reached by its own address and by nothing else.
                let inside = address != PUBLIC;
                prop_assert!(!allowed(&more) || !inside || to == "10.0.0.1:25", "{} {}", to, address);
                // A place is decided on by its name first.
                let by_name = answer(decide(&more, ConnectRequest { target })).is_ok();
                prop_assert!(!allowed(&more) || by_name);
            }
        }
    }
}
