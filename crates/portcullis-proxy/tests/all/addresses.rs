//! A name is resolved once, every address is checked, and only a checked one is connected to.

use std::net::SocketAddr;

use portcullis_policy::{AddressClass, HostRule};
use portcullis_proxy::Why;

use crate::support::{World, echo};

#[tokio::test]
async fn a_name_that_leads_inside_is_refused() {
    let (server, _) = echo().await;
    let mut world = World::new(&["ok.com:443"], server);
    let inside = [
        ("169.254.169.254", AddressClass::Metadata),
        ("10.0.0.1", AddressClass::Private),
        ("192.168.0.1", AddressClass::Private),
        ("127.0.0.1", AddressClass::Loopback),
        ("0.0.0.0", AddressClass::Unspecified),
        ("100.64.0.1", AddressClass::Shared),
        ("::1", AddressClass::Loopback),
        ("::ffff:127.0.0.1", AddressClass::Loopback),
        ("::ffff:169.254.169.254", AddressClass::Metadata),
        ("fe80::1", AddressClass::LinkLocal),
        ("fd00::1", AddressClass::UniqueLocal),
        ("64:ff9b::7f00:1", AddressClass::Nat64),
        ("2002:7f00:1::", AddressClass::Embedded),
    ];
    for (address, class) in inside {
        world.names.add("ok.com", &[&[address]]);
        let (status, _) = world.connect("ok.com:443").await;
        assert_eq!(status, "HTTP/1.1 403 Forbidden", "{address}");
        let verdict = world.verdict().await;
        assert!(!verdict.allowed && verdict.address.is_none());
        assert!(
            matches!(verdict.why, Why::Address(_, found) if found == class),
            "{verdict:?}"
        );
    }
    assert!(world.wires.dialled.lock().unwrap().is_empty());
    for address in ["1.1.1.1", "::ffff:1.1.1.1", "2606:4700::1111"] {
        world.names.add("ok.com", &[&[address]]);
        let (status, _client) = world.connect("ok.com:443").await;
        assert_eq!(status, "HTTP/1.1 200 OK", "{address}");
    }
}

#[tokio::test]
async fn what_was_checked_is_what_is_dialled() {
    let (server, _) = echo().await;
    let mut world = World::new(&["ok.com:443"], server);
    // The answer changes after the first look: public, then inside.
    world
        .names
        .add("ok.com", &[&["1.2.3.4"], &["169.254.169.254"]]);
    let (status, client) = world.connect("ok.com:443").await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    let checked: SocketAddr = "1.2.3.4:443".parse().unwrap();
    assert_eq!(*world.wires.dialled.lock().unwrap(), [checked]);
    assert_eq!(*world.names.asked.lock().unwrap(), ["ok.com"]);
    drop(client);
    assert_eq!(world.verdict().await.address, Some(checked.ip()));
    // A new connection is a new decision.
    let (status, _) = world.connect("ok.com:443").await;
    assert_eq!(status, "HTTP/1.1 403 Forbidden");
    assert!(!world.verdict().await.allowed);
    assert_eq!(*world.wires.dialled.lock().unwrap(), [checked]);
}

#[tokio::test]
async fn of_several_addresses_only_the_checked_ones_are_tried() {
    let (server, _) = echo().await;
    let world = World::new(&["ok.com:443"], server);
    world
        .names
        .add("ok.com", &[&["10.0.0.1", "127.0.0.1", "1.2.3.4", "::1"]]);
    let (status, _client) = world.connect("ok.com:443").await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    let checked: SocketAddr = "1.2.3.4:443".parse().unwrap();
    assert_eq!(*world.wires.dialled.lock().unwrap(), [checked]);
}

#[tokio::test]
async fn a_range_unlocks_itself_only() {
    let (server, _) = echo().await;
    let mut rule = HostRule::parse("db.corp:5432").unwrap();
    rule.unlock("10.2.0.0/16").unwrap();
    let world = World::with(vec![rule], server, |_| {});
    for (address, status) in [
        ("10.2.3.4", "HTTP/1.1 200 OK"),
        ("10.3.0.1", "HTTP/1.1 403 Forbidden"),
        ("127.0.0.1", "HTTP/1.1 403 Forbidden"),
    ] {
        world.names.add("db.corp", &[&[address]]);
        assert_eq!(world.connect("db.corp:5432").await.0, status, "{address}");
    }
    // The range is not granted by itself.
    assert_eq!(
        world.connect("10.2.3.4:5432").await.0,
        "HTTP/1.1 403 Forbidden"
    );
}

#[tokio::test]
async fn failures_are_told_apart_from_refusals() {
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let mut world = World::new(&["ok.com:443", "gone.com:443"], closed);
    assert_eq!(
        world.connect("ok.com:443").await.0,
        "HTTP/1.1 502 Bad Gateway"
    );
    let verdict = world.verdict().await;
    assert!(verdict.allowed);
    assert_eq!(
        verdict.why,
        Why::Unreachable(std::io::ErrorKind::ConnectionRefused)
    );
    assert_eq!(
        world.connect("gone.com:443").await.0,
        "HTTP/1.1 502 Bad Gateway"
    );
    let verdict = world.verdict().await;
    assert!(verdict.allowed);
    assert_eq!(verdict.why, Why::Unresolved);
}
