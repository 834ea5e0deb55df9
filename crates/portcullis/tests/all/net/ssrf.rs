//! The spellings of URLs that requests over HTTP are tried with, as hosts of connections. The oracle is what the dialer was asked to
//! connect to.

use serde_json::json;

use super::{World, grants};
use crate::http::peer::Peer;
use crate::http::spellings::{self, NAMES};

portcullis_testkit::tests![
    every_spelling_leads_where_it_may_or_nowhere,
    a_mail_server_and_a_name_server_are_places_too,
];

/// The host and the port of a URL as it is written, and where it may lead.
fn hosts() -> Vec<(String, u16, Option<String>)> {
    let cases = spellings::all().into_iter();
    let hosts = cases.filter_map(|(url, place)| {
        let rest = url.strip_prefix("http://")?;
        let host = rest.split(['/', '?', '#', '\\']).next()?;
        let (host, port) = match host.rsplit_once(':') {
            Some((_, port)) if port.starts_with('+') => return None,
            Some((before, port)) if !port.contains(']') => (before, port.parse().ok()?),
            _ => (host, 80),
        };
        Some((host.to_owned(), port, place))
    });
    hosts.collect()
}

fn named() -> World {
    let peer = Peer::serving(|stream, _| drop(stream));
    let world = World::new(peer.address());
    for (name, addresses) in NAMES {
        world.network.name(name, addresses);
    }
    world
}

const GRANTED: [&str; 5] = [
    "*:80",
    "*:443",
    "good.example:8080",
    "127.0.0.1:9000",
    "[2606:4700:4700::1111]:8443",
];

fn every_spelling_leads_where_it_may_or_nowhere() {
    let world = named();
    let cases = hosts();
    let requests: Vec<_> = cases
        .iter()
        .map(|(host, port, _)| json!({ "host": host, "port": port, "timeout_ms": 5000 }))
        .collect();
    let came = world.answers_and_places("tcp_connect", grants(&GRANTED, &[]), &requests);
    let mut reached = 0;
    for ((host, port, place), (answer, dialled)) in cases.iter().zip(came) {
        let may = place.iter().any(|place| dialled == [place.clone()]);
        assert!(
            dialled.is_empty() || may,
            "{host:?}:{port}: {dialled:?} {answer}"
        );
        assert_eq!(answer["connected"], json!(may), "{host:?}:{port}: {answer}");
        reached += usize::from(may);
    }
    let legal = cases.iter().filter(|(.., place)| place.is_some()).count();
    assert!(
        cases.len() - legal >= 150,
        "{} refused",
        cases.len() - legal
    );
    // Hosts are read more strictly than URLs, and what is written plainly is a host.
    assert!(reached >= 30, "{reached} of {legal}");
}

fn a_mail_server_and_a_name_server_are_places_too() {
    let world = named();
    for (name, addresses) in NAMES {
        let inside = addresses.iter().all(|address| {
            use portcullis::policy::AddressClass;
            AddressClass::of(address.parse().unwrap()).is_some()
        });
        if !inside {
            continue;
        }
        for (function, request) in [
            ("smtp_connect", json!({ "host": name, "port": "25" })),
            (
                "dns_lookup",
                json!({ "hostname": "example.com", "type": "A", "nameserver": name }),
            ),
        ] {
            let all = grants(&["*:25", "*:53"], &["example.com"]);
            let answer = world.answer(function, all, request);
            assert!(answer["error"].is_object(), "{function} {name}: {answer}");
        }
    }
    assert!(world.network.take_dialled().is_empty());
}
