//! `http_request`, against a server on the loopback that a network of the test leads to.

use std::sync::Arc;

use portcullis::audit::Event;
use portcullis::policy::{Grants, HttpGrant, HttpRule};
use serde_json::{Value, json};

use super::stage::{Observed, Stage, go};
use crate::fixture::programs;
use crate::http::PUBLIC;
use crate::http::peer::{Network, Peer};

portcullis_testkit::tests![
    an_answer_has_all_that_the_sdk_reads,
    what_is_sent_is_what_was_asked,
    redirects_are_followed_and_each_is_decided_on,
    a_body_that_is_cut_says_so,
    errors_have_a_type_and_a_code,
    the_time_of_a_context_counts,
];

struct World {
    stage: Stage,
    network: Arc<Network>,
    peer: Peer,
}

impl World {
    fn new() -> Self {
        let peer = Peer::start();
        let network = Arc::new(Network::leading_to(peer.address()));
        network.name("api.example.com", &[PUBLIC]);
        network.name("other.example.com", &[PUBLIC]);
        network.name("inside.example.com", &["10.0.0.7"]);
        let given = network.clone();
        Self {
            stage: Stage::with(|builder| builder.network(given.clone(), given)),
            network,
            peer,
        }
    }

    fn ask(&self, grants: Grants, request: &Value) -> Option<(Value, Observed)> {
        let config = json!({ "act": "http", "request": request });
        let observed = self.stage.observe(go("reglet-http")?, grants, &config);
        Some((observed.answer(), observed))
    }
}

fn hosts(entries: &[&str]) -> Grants {
    let rules = entries.iter().map(|entry| HttpRule::any_request(entry));
    Grants {
        http: HttpGrant {
            allow: rules.map(|rule| rule.unwrap()).collect(),
            ..HttpGrant::default()
        },
        ..programs(&["echo"])
    }
}

const API: &str = "http://api.example.com";

fn an_answer_has_all_that_the_sdk_reads() {
    let world = World::new();
    let request = json!({ "method": "GET", "url": format!("{API}/hello"), "headers": null, "body": "", "context": {} });
    let Some((said, _)) = world.ask(hosts(&["api.example.com"]), &request) else {
        return;
    };
    assert_eq!(said["status_code"], 200, "{said}");
    assert_eq!(said["body"], "aGVsbG8=");
    assert_eq!(said["headers"]["X-Peer"], json!(["yes"]), "{said}");
    assert_eq!(said["body_truncated"], false);
    assert_eq!(said["proto"], "HTTP/1.1");
    assert!(said.get("error").is_none(), "{said}");
}

fn what_is_sent_is_what_was_asked() {
    let world = World::new();
    let request = json!({
        "method": "POST", "url": format!("{API}/hello?q=1"), "body": "AP9i",
        "headers": { "X-Many": ["a", "b"], "X-One": "c" }, "context": { "request_id": "r-1" },
    });
    let Some((said, _)) = world.ask(hosts(&["api.example.com"]), &request) else {
        return;
    };
    assert_eq!(said["status_code"], 200, "{said}");
    let head = world.peer.heads()[0].to_lowercase();
    assert!(head.starts_with("post /hello?q=1 http/1.1"), "{head}");
    for line in ["x-many: a", "x-many: b", "x-one: c", "content-length: 3"] {
        assert!(head.contains(line), "{line}: {head}");
    }
    let ids: Vec<_> = world
        .stage
        .trail
        .events()
        .into_iter()
        .filter_map(|(_, event)| match event {
            Event::Decision(decision) => decision.request_id.map(|id| id.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(ids, ["r-1"]);
}

fn redirects_are_followed_and_each_is_decided_on() {
    let world = World::new();
    let both = hosts(&["api.example.com", "other.example.com"]);
    let to = |target: &str| json!({ "method": "GET", "url": format!("{API}/redirect/{target}"), "headers": { "Authorization": ["secret"] } });
    let Some((said, _)) = world.ask(both.clone(), &to("http://other.example.com/echo")) else {
        return;
    };
    assert_eq!(said["status_code"], 200, "{said}");
    let heads = world.peer.heads();
    assert_eq!(heads.len(), 2);
    assert!(
        heads[0].to_lowercase().contains("authorization: secret"),
        "{heads:?}"
    );
    assert!(
        !heads[1].to_lowercase().contains("secret"),
        "it is for one host: {heads:?}"
    );
    // A host that is not granted is not reached by way of one that is.
    let (said, observed) = world
        .ask(
            hosts(&["api.example.com"]),
            &to("http://other.example.com/"),
        )
        .unwrap();
    assert_eq!(said["error"]["type"], "capability", "{said}");
    assert_eq!(observed.activity.denials[0].code.as_str(), "P0421");
    let (said, _) = world.ask(both.clone(), &to("file:///etc/passwd")).unwrap();
    assert_eq!(said["error"]["code"], "INVALID_REQUEST", "{said}");
    let (said, _) = world.ask(both, &to("../redirect/../redirect/x")).unwrap();
    assert!(
        said["status_code"] == 200 || said["error"]["code"] == "TOO_MANY_REDIRECTS",
        "{said}"
    );
}

fn a_body_that_is_cut_says_so() {
    let world = World::new();
    let mut grants = hosts(&["api.example.com"]);
    grants.limits.http_response = 3;
    let request = json!({ "url": format!("{API}/hello") });
    let Some((said, _)) = world.ask(grants, &request) else {
        return;
    };
    assert_eq!(
        (&said["body"], &said["body_truncated"]),
        (&json!("aGVs"), &json!(true))
    );
}

fn errors_have_a_type_and_a_code() {
    let world = World::new();
    let granted = hosts(&["api.example.com", "inside.example.com"]);
    let of = |request: &Value| {
        let (said, _) = world.ask(granted.clone(), request)?;
        assert_eq!(said["status_code"], 0, "{said}");
        Some(format!(
            "{} {}",
            said["error"]["type"].as_str().unwrap(),
            said["error"]["code"].as_str().unwrap()
        ))
    };
    for (request, is) in [
        (
            json!({ "url": "http://elsewhere.example.com/" }),
            "capability CAPABILITY_DENIED",
        ),
        (
            json!({ "url": "http://inside.example.com/" }),
            "ssrf_protection SSRF_BLOCKED",
        ),
        (
            json!({ "url": "ftp://api.example.com/" }),
            "validation INVALID_REQUEST",
        ),
        (json!({ "url": "" }), "validation INVALID_REQUEST"),
        (
            json!({ "url": API, "body": "no base64!" }),
            "config INVALID_REQUEST",
        ),
        (
            json!({ "url": format!("{API}/short/1") }),
            "network REQUEST_FAILED",
        ),
        (
            json!({ "url": API, "context": { "canceled": true } }),
            "execution ",
        ),
        (json!({ "url": 1 }), "internal "),
    ] {
        let Some(said) = of(&request) else { return };
        assert_eq!(said, is, "{request}");
    }
    assert!(
        world.network.take_dialled().len() < 3,
        "nothing refused was connected to"
    );
}

fn the_time_of_a_context_counts() {
    let world = World::new();
    let request = json!({ "url": format!("{API}/hang"), "context": { "timeout_ms": 300 } });
    let Some((said, _)) = world.ask(hosts(&["api.example.com"]), &request) else {
        return;
    };
    assert_eq!(said["error"]["code"], "TIMEOUT");
    assert_eq!(said["error"]["is_timeout"], true);
    let given_up = world.stage.trail.events().into_iter().any(|(_, event)| {
        matches!(event, Event::Done(done) if done.effect.failed.as_ref().is_some_and(|why| why.to_string().contains("given up")))
    });
    assert!(given_up, "the trail has it");
}
