//! SOCKS 5: the same rules, and the right code for each refusal.

use portcullis_proxy::Why;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{World, client_hello, echo, next, read_all};

const SUCCEEDED: u8 = 0;
const NOT_ALLOWED: u8 = 2;
const UNREACHABLE: u8 = 4;
const REFUSED: u8 = 5;
const COMMAND: u8 = 7;
const ADDRESS_TYPE: u8 = 8;

fn domain(name: &[u8], port: u16) -> Vec<u8> {
    let length = u8::try_from(name.len()).unwrap();
    [&[5, 1, 0, 3, length][..], name, &port.to_be_bytes()].concat()
}

fn v4(address: [u8; 4], port: u16) -> Vec<u8> {
    [&[5, 1, 0, 1][..], &address, &port.to_be_bytes()].concat()
}

fn v6(address: &str, port: u16) -> Vec<u8> {
    let address = address.parse::<std::net::Ipv6Addr>().unwrap();
    [&[5, 1, 0, 4][..], &address.octets(), &port.to_be_bytes()].concat()
}

async fn ask(world: &World, request: &[u8]) -> (u8, TcpStream) {
    let mut client = world.client().await;
    client.write_all(&[5, 2, 2, 0]).await.unwrap();
    let mut method = [0; 2];
    client.read_exact(&mut method).await.unwrap();
    assert_eq!(method, [5, 0]);
    client.write_all(request).await.unwrap();
    let mut reply = [0; 10];
    client.read_exact(&mut reply).await.unwrap();
    assert_eq!(reply[0], 5);
    assert_eq!(reply[2..], [0, 1, 0, 0, 0, 0, 0, 0]);
    (reply[1], client)
}

#[tokio::test]
async fn a_listed_name_is_resolved_here_and_connected_to() {
    let (server, mut received) = echo().await;
    let mut world = World::new(&["ok.com:443"], server);
    let (code, mut client) = ask(&world, &domain(b"OK.com", 443)).await;
    assert_eq!(code, SUCCEEDED);
    client.write_all(b"ping").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut client).await, b"helloping");
    assert_eq!(next(&mut received).await, b"ping");
    let verdict = world.verdict().await;
    assert!(verdict.allowed);
    assert_eq!((verdict.bytes_up, verdict.bytes_down), (4, 9));
}

#[tokio::test]
async fn other_hosts_are_refused_unresolved() {
    let (server, _) = echo().await;
    let mut world = World::new(&["ok.com:443"], server);
    let requests = [
        domain(b"evil.com", 443),
        domain(b"ok.com", 80),
        domain(b"ok.com", 0),
        domain(b"", 443),
        domain(b"evil\0.ok.com", 443),
        domain(b"ok.com\0.evil.com", 443),
        domain(b"ok.com.", 443),
        domain(b"ok.com@evil.com", 443),
        domain("ök.com".as_bytes(), 443),
        domain(b"\xff.com", 443),
        domain(b"127.0.0.1", 443),
        domain(b"0x7f.1", 443),
        domain(b"0177.0.0.1", 443),
        domain(b"::1", 443),
        domain(b"[::1]", 443),
        v4([1, 2, 3, 4], 443),
        v4([127, 0, 0, 1], 443),
        v6("::1", 443),
        v6("::ffff:1.2.3.4", 443),
    ];
    for request in requests {
        assert_eq!(ask(&world, &request).await.0, NOT_ALLOWED, "{request:?}");
        assert!(!world.verdict().await.allowed);
    }
    assert!(world.untouched());
}

#[tokio::test]
async fn literals_are_literals() {
    let (server, _) = echo().await;
    let port = server.port();
    let world = World::new(&[&format!("127.0.0.1:{port}")], server);
    for request in [
        v4([127, 0, 0, 1], port),
        domain(b"127.0.0.1", port),
        v6("::ffff:127.0.0.1", port),
    ] {
        assert_eq!(ask(&world, &request).await.0, SUCCEEDED, "{request:?}");
    }
    assert_eq!(ask(&world, &v4([127, 0, 0, 2], port)).await.0, NOT_ALLOWED);
    assert!(world.names.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn failures_have_their_codes() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let world = World::new(&["ok.com:443", "gone.com:443"], closed);
    assert_eq!(ask(&world, &domain(b"ok.com", 443)).await.0, REFUSED);
    assert_eq!(ask(&world, &domain(b"gone.com", 443)).await.0, UNREACHABLE);
    world.names.add("ok.com", &[&["10.0.0.1"]]);
    assert_eq!(ask(&world, &domain(b"ok.com", 443)).await.0, NOT_ALLOWED);
}

#[tokio::test]
async fn only_connect_without_authentication_is_spoken() {
    let (server, _) = echo().await;
    let world = World::new(&["ok.com:443"], server);
    for command in [2, 3, 0, 9] {
        let mut request = domain(b"ok.com", 443);
        request[1] = command;
        assert_eq!(ask(&world, &request).await.0, COMMAND);
    }
    let mut request = v4([1, 2, 3, 4], 443);
    request[3] = 2;
    assert_eq!(ask(&world, &request).await.0, ADDRESS_TYPE);
    let mut client = world.client().await;
    client.write_all(&[5, 1, 2]).await.unwrap();
    assert_eq!(read_all(&mut client).await, [5, 0xff]);
    let mut client = world.client().await;
    client
        .write_all(&[4, 1, 1, 187, 1, 2, 3, 4, 0])
        .await
        .unwrap();
    assert!(!read_all(&mut client).await.starts_with(&[0, 90]));
    assert!(world.untouched());
}

#[tokio::test]
async fn tls_asks_for_the_name_here_too() {
    let (server, mut received) = echo().await;
    let mut world = World::new(&["ok.com:443"], server);
    for (name, allowed) in [("ok.com", true), ("evil.com", false)] {
        let (_, mut client) = ask(&world, &domain(b"ok.com", 443)).await;
        let hello = client_hello(&[name]);
        client.write_all(&hello).await.unwrap();
        client.shutdown().await.unwrap();
        read_all(&mut client).await;
        assert_eq!(next(&mut received).await.is_empty(), !allowed);
        let why = world.verdict().await.why;
        assert_eq!(why == Why::Allowed, allowed, "{why:?}");
    }
}
