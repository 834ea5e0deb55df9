//! Behind a company's proxy: names go to it, addresses do not, and every verdict says who checked.

use portcullis_policy::HostRule;
use portcullis_proxy::{Upstream, Why};
use tokio::io::AsyncWriteExt;

use crate::support::{World, client_hello, echo, http, next, read_all};

const READY: &str = "HTTP/1.1 200 Connection established\r\nX: y\r\n\r\n";

fn world(rules: &[&str], upstream: std::net::SocketAddr) -> World {
    let rules = rules.iter().map(|rule| HostRule::parse(rule).unwrap());
    World::with(rules.collect(), upstream, |options| {
        let upstream = Upstream::parse("http://proxy.corp:3128").unwrap();
        options.upstream = Some(upstream.with_authorization("Basic eDp5").unwrap());
    })
}

#[tokio::test]
async fn names_are_left_to_it_and_the_verdict_says_so() {
    let (upstream, mut received) = http(READY).await;
    let mut world = world(&["ok.com:443"], upstream);
    world.names.add("proxy.corp", &[&["10.0.0.1"]]);
    let (status, client) = world.connect("ok.com:443").await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    let request = next(&mut received).await;
    assert_eq!(
        request,
        "CONNECT ok.com:443 HTTP/1.1\r\nHost: ok.com:443\r\nProxy-Authorization: Basic eDp5\r\n\r\n"
    );
    drop(client);
    let verdict = world.verdict().await;
    assert_eq!(
        (verdict.allowed, &verdict.why),
        (true, &Why::AllowedUnchecked)
    );
    assert!(verdict.address.is_none() && verdict.to_string().contains("upstream"));
    assert_eq!(*world.names.asked.lock().unwrap(), ["proxy.corp"]);
}

#[tokio::test]
async fn rules_and_server_names_hold_as_without_it() {
    let (upstream, mut received) = http(READY).await;
    let mut world = world(&["ok.com:443"], upstream);
    world.names.add("proxy.corp", &[&["10.0.0.1"]]);
    let (status, _) = world.connect("evil.com:443").await;
    assert_eq!(status, "HTTP/1.1 403 Forbidden");
    assert_eq!(world.verdict().await.why, Why::NoRule);
    assert!(world.untouched());
    let (_, mut client) = world.connect("ok.com:443").await;
    next(&mut received).await;
    client
        .write_all(&client_hello(&["evil.com"]))
        .await
        .unwrap();
    read_all(&mut client).await;
    assert!(matches!(world.verdict().await.why, Why::ServerName(_)));
    assert!(received.try_recv().is_err());
}

#[tokio::test]
async fn plain_requests_go_to_it_whole() {
    let (upstream, mut received) = http("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let mut world = world(&["ok.com:80"], upstream);
    world.names.add("proxy.corp", &[&["10.0.0.1"]]);
    let request =
        b"GET http://ok.com/a HTTP/1.1\r\nHost: ok.com\r\nProxy-Authorization: Basic mine\r\n\r\n";
    assert_eq!(world.ask(request).await, "HTTP/1.1 200 OK");
    let sent = next(&mut received).await;
    assert!(
        sent.starts_with("GET http://ok.com/a HTTP/1.1\r\n"),
        "{sent}"
    );
    assert!(
        sent.contains("Basic eDp5") && !sent.contains("mine"),
        "{sent}"
    );
    assert_eq!(world.verdict().await.why, Why::AllowedUnchecked);
}

#[tokio::test]
async fn addresses_are_connected_to_from_here() {
    let (server, _) = echo().await;
    let (upstream, mut received) = http(READY).await;
    let mut world = world(&[&server.to_string()], upstream);
    let (status, client) = world.connect(&server.to_string()).await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert_eq!(*world.wires.dialled.lock().unwrap(), [server]);
    drop(client);
    assert_eq!(world.verdict().await.why, Why::Allowed);
    assert!(received.try_recv().is_err());
}

#[tokio::test]
async fn its_refusal_is_a_failure() {
    for answer in [
        "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
        "HTTP/1.1 403 Forbidden\r\n\r\n",
        "nonsense\r\n\r\n",
    ] {
        let (upstream, _) = http(answer).await;
        let mut world = world(&["ok.com:443"], upstream);
        world.names.add("proxy.corp", &[&["10.0.0.1"]]);
        assert_eq!(
            world.connect("ok.com:443").await.0,
            "HTTP/1.1 502 Bad Gateway",
            "{answer}"
        );
        assert!(matches!(world.verdict().await.why, Why::Unreachable(_)));
    }
}

#[test]
fn it_is_written_as_scheme_host_and_port() {
    for good in ["http://proxy.corp:3128", "http://10.0.0.1:3128/"] {
        Upstream::parse(good).unwrap();
    }
    for bad in [
        "proxy.corp:3128",
        "http://proxy.corp",
        "https://proxy.corp:3128",
        "http://x:y@proxy.corp:3128",
        "http://proxy.corp:3128/x",
        "socks5://proxy.corp:1080",
    ] {
        assert!(Upstream::parse(bad).is_err(), "{bad}");
    }
    let upstream = Upstream::parse("http://proxy.corp:3128").unwrap();
    assert!(upstream.clone().with_authorization("a\r\nb").is_err());
    let shown = format!("{:?}", upstream.with_authorization("Basic secret").unwrap());
    assert!(!shown.contains("secret"), "{shown}");
}
