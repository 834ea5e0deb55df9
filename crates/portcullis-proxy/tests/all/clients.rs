//! Clients that are slow, half there or gone hold nothing for long.

use std::time::{Duration, Instant};

use portcullis_policy::HostRule;
use portcullis_proxy::{ProxyOptions, Why};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{World, client_hello, echo, http, next, read_all, read_head};

const SHORT: Duration = Duration::from_millis(500);
/// The default of every limit is longer.
const LONG: Duration = Duration::from_secs(20);

async fn world(change: impl FnOnce(&mut ProxyOptions)) -> World {
    let (server, _) = echo().await;
    let rules = ["ok.com:443", "ok.com:80"].map(|rule| HostRule::parse(rule).unwrap());
    World::with(rules.to_vec(), server, change)
}

#[tokio::test]
async fn half_a_request_is_not_waited_for() {
    let world = world(|options| options.limits.head = SHORT).await;
    let began = Instant::now();
    let halves: [&[u8]; 8] = [
        b"",
        b"C",
        b"CONNECT ok.com:443 HTTP/1.1\r\nHost:",
        b"\x05",
        b"\x05\x01\x00",
        b"\x05\x01\x00\x05\x01\x00\x03\x06ok",
        b"GET http://evil.com/ HTTP/1.1\r\nHost: evil.com\r\n\r\n",
        b"GET http://evil.com/ HTTP/1.1\r\nHost: evil.com\r\n\r\nGET",
    ];
    for half in halves {
        let mut client = world.client().await;
        client.write_all(half).await.unwrap();
        read_all(&mut client).await;
    }
    assert!(began.elapsed() < LONG);
}

#[tokio::test]
async fn half_a_client_hello_is_not_waited_for() {
    let mut world = world(|options| options.limits.head = SHORT).await;
    let (status, mut client) = world.connect("ok.com:443").await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    client
        .write_all(&client_hello(&["ok.com"])[..20])
        .await
        .unwrap();
    read_all(&mut client).await;
    let verdict = world.verdict().await;
    assert!(
        matches!(verdict.why, Why::Malformed(_)) && verdict.bytes_up == 0,
        "{verdict:?}"
    );
}

#[tokio::test]
async fn a_tunnel_in_which_nothing_moves_ends_and_one_that_moves_does_not() {
    let mut world = world(|options| options.limits.idle = SHORT).await;
    let (_, mut client) = world.connect("ok.com:443").await;
    let began = Instant::now();
    let mut buffer = [0; 5];
    client.read_exact(&mut buffer).await.unwrap();
    // Back and forth for longer than the limit and what it is measured by.
    let mut moved = 0;
    while began.elapsed() < SHORT * 4 {
        client.write_all(b"ping").await.unwrap();
        client.read_exact(&mut buffer[..4]).await.unwrap();
        moved += 4;
    }
    read_all(&mut client).await;
    assert!(began.elapsed() < LONG);
    let verdict = world.verdict().await;
    assert!(verdict.allowed);
    assert_eq!((verdict.bytes_up, verdict.bytes_down), (moved, moved + 5));
}

#[tokio::test]
async fn a_host_that_never_answers_is_given_up() {
    #[derive(Debug)]
    struct Never;
    impl portcullis_proxy::Dial for Never {
        fn dial(&self, _: std::net::SocketAddr) -> portcullis_proxy::Dialling<'_> {
            Box::pin(std::future::pending())
        }
    }
    impl portcullis_proxy::Resolve for Never {
        fn resolve<'a>(
            &'a self,
            _: &'a portcullis_policy::HostName,
        ) -> portcullis_proxy::Resolving<'a> {
            Box::pin(std::future::pending())
        }
    }
    let mut dialling = world(|options| {
        options.limits.connect = SHORT;
        options.dialer = std::sync::Arc::new(Never);
    })
    .await;
    assert_eq!(
        dialling.connect("ok.com:443").await.0,
        "HTTP/1.1 504 Gateway Timeout"
    );
    assert_eq!(
        dialling.verdict().await.why,
        Why::Unreachable(std::io::ErrorKind::TimedOut)
    );
    let mut resolving = world(|options| {
        options.limits.connect = SHORT;
        options.resolver = std::sync::Arc::new(Never);
    })
    .await;
    assert_eq!(
        resolving.connect("ok.com:443").await.0,
        "HTTP/1.1 502 Bad Gateway"
    );
    assert_eq!(resolving.verdict().await.why, Why::Unresolved);
}

#[tokio::test]
async fn a_second_address_is_tried_beside_a_silent_first() {
    #[derive(Debug)]
    struct FirstIsSilent(std::net::SocketAddr);
    impl portcullis_proxy::Dial for FirstIsSilent {
        fn dial(&self, address: std::net::SocketAddr) -> portcullis_proxy::Dialling<'_> {
            if address.ip().to_string() == "1.1.1.1" {
                Box::pin(std::future::pending())
            } else {
                Box::pin(tokio::net::TcpStream::connect(self.0))
            }
        }
    }
    let (server, _) = echo().await;
    let mut world =
        world(|options| options.dialer = std::sync::Arc::new(FirstIsSilent(server))).await;
    world.names.add("ok.com", &[&["1.1.1.1", "2.2.2.2"]]);
    let (status, client) = world.connect("ok.com:443").await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    drop(client);
    assert_eq!(
        world.verdict().await.address,
        Some("2.2.2.2".parse().unwrap())
    );
}

#[tokio::test]
async fn clients_that_vanish_leave_a_verdict_and_a_place() {
    let mut world = world(|options| options.limits.connections = 2).await;
    for _ in 0..10 {
        let (status, client) = world.connect("ok.com:443").await;
        assert_eq!(status, "HTTP/1.1 200 OK");
        // With bytes unread, closing is a reset.
        drop(client);
        assert!(world.verdict().await.allowed);
        drop(world.client().await);
    }
}

#[tokio::test]
async fn more_connections_than_allowed_wait() {
    let world = world(|options| options.limits.connections = 2).await;
    let (_, first) = world.connect("ok.com:443").await;
    let (_, _second) = world.connect("ok.com:443").await;
    let mut third = world.client().await;
    third
        .write_all(b"CONNECT ok.com:443 HTTP/1.1\r\nHost: ok.com:443\r\n\r\n")
        .await
        .unwrap();
    let mut byte = [0];
    assert!(
        tokio::time::timeout(SHORT, third.read(&mut byte))
            .await
            .is_err()
    );
    drop(first);
    assert!(read_head(&mut third).await.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn bytes_are_limited_over_all_connections() {
    let mut world = world(|options| options.limits.bytes = Some(100)).await;
    let (_, mut client) = world.connect("ok.com:443").await;
    client.write_all(&[b'x'; 30]).await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut client).await.len(), 35);
    assert_eq!(world.verdict().await.why, Why::Allowed);
    let (_, mut client) = world.connect("ok.com:443").await;
    client.write_all(&[b'x'; 64]).await.unwrap();
    read_all(&mut client).await;
    let verdict = world.verdict().await;
    assert_eq!(verdict.why, Why::Bytes);
    assert!(!verdict.allowed);
}

#[tokio::test]
async fn the_end_of_the_proxy_is_the_end_of_its_connections() {
    let (server, mut received) = echo().await;
    let mut world = World::new(&["ok.com:443"], server);
    let (_, mut client) = world.connect("ok.com:443").await;
    world.serving.take().unwrap().finish().await;
    read_all(&mut client).await;
    assert_eq!(next(&mut received).await, b"");
    assert!(world.verdict().await.allowed);
    assert!(
        tokio::net::TcpStream::connect(("127.0.0.1", world.port))
            .await
            .is_err()
    );

    let mut world = World::new(&["ok.com:443"], server);
    let (_, mut client) = world.connect("ok.com:443").await;
    drop(world.serving.take());
    read_all(&mut client).await;
    assert_eq!(next(&mut received).await, b"");
    assert!(world.verdict().await.allowed);
}

#[tokio::test]
async fn a_request_whose_client_vanishes_ends_at_the_host_too() {
    let (server, mut received) =
        http("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nfirst").await;
    let mut world = World::new(&["ok.com:80"], server);
    let mut client = world.client().await;
    client
        .write_all(b"GET http://ok.com/ HTTP/1.1\r\nHost: ok.com\r\n\r\n")
        .await
        .unwrap();
    read_head(&mut client).await;
    next(&mut received).await;
    drop(client);
    assert!(world.verdict().await.allowed);
}
