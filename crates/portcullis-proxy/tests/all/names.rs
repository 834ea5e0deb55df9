//! What is asked for is read once, strictly, and compared with the rules before anything is resolved.

use portcullis_proxy::Why;

use crate::support::{World, echo, http, read_all};

/// Spellings that are not on the list `ok.com:443`, whoever reads them.
const OTHERS: [&str; 24] = [
    "evil.com:443",
    "ok.com:80",
    "a.ok.com:443",
    "ok.com.evil:443",
    "evilok.com:443",
    "OK.COM.:443",
    "ok.com.:443",
    "ok.com@evil.com:443",
    "evil.com@ok.com:443",
    "ok.com:443@evil.com:443",
    "xn--k-fka.com:443",
    "1.2.3.4:443",
    "[::ffff:1.2.3.4]:443",
    "[::ffff:127.0.0.1]:443",
    "0177.0.0.1:443",
    "0x7f.0.0.1:443",
    "2130706433:443",
    "127.1:443",
    "127.0.0.1:443",
    "[::1]:443",
    "localhost:443",
    "ok.com",
    "ok.com:",
    "ok.com:0",
];

/// Spellings that no reader should take for a host; HTTP's own grammar has no place for some of them.
const BROKEN: [&[u8]; 6] = [
    b"evil\0.ok.com:443",
    b"\xc3\xb6k.com:443",
    b"ok.com\r:443",
    b"ok.com\t:443",
    b"ok.com/:443",
    b"ok%2ecom:443",
];

#[tokio::test]
async fn a_listed_host_is_connected_to_and_reported() {
    let (server, _) = echo().await;
    let mut world = World::new(&["ok.com:443", "*.ok.com:443"], server);
    for asked in ["ok.com:443", "OK.com:443", "a.ok.com:443"] {
        let (status, mut client) = world.connect(asked).await;
        assert_eq!(status, "HTTP/1.1 200 OK", "{asked}");
        let mut hello = [0; 5];
        tokio::io::AsyncReadExt::read_exact(&mut client, &mut hello)
            .await
            .unwrap();
        drop(client);
        let verdict = world.verdict().await;
        assert_eq!((verdict.allowed, verdict.port), (true, 443));
        assert_eq!(verdict.host, asked[..asked.len() - 4].to_ascii_lowercase());
        assert_eq!(verdict.address, Some("1.2.3.4".parse().unwrap()));
        assert_eq!((verdict.bytes_up, verdict.bytes_down), (0, 5));
        assert!(verdict.rule.is_some() && verdict.remedy().is_none());
    }
}

#[tokio::test]
async fn other_spellings_are_refused_unresolved() {
    let (server, _) = echo().await;
    let mut world = World::new(&["ok.com:443"], server);
    for asked in OTHERS {
        let (status, _) = world.connect(asked).await;
        // HTTP's grammar refuses some of them before they are compared.
        assert!(status.starts_with("HTTP/1.1 40"), "{asked}: {status}");
        let verdict = world.verdict().await;
        assert!(!verdict.allowed, "{asked}: {verdict:?}");
        assert!(
            matches!(verdict.why, Why::NoRule | Why::Malformed(_)),
            "{asked}: {verdict:?}"
        );
    }
    for asked in BROKEN {
        let bytes = [b"CONNECT ", asked, b" HTTP/1.1\r\nHost: ok.com\r\n\r\n"].concat();
        let status = world.ask(&bytes).await;
        assert!(status.starts_with("HTTP/1.1 40"), "{asked:?}: {status}");
        assert!(!world.verdict().await.allowed);
    }
    assert!(world.untouched());
}

#[tokio::test]
async fn no_rules_allow_nothing() {
    let (server, _) = echo().await;
    let mut world = World::new(&[], server);
    for asked in ["ok.com:443", "127.0.0.1:443", "[::1]:443"] {
        let (status, mut client) = world.connect(asked).await;
        assert_eq!(status, "HTTP/1.1 403 Forbidden", "{asked}");
        drop(client);
        client = world.client().await;
        drop(client);
        assert_eq!(world.verdict().await.why, Why::NoRule);
    }
    assert!(world.untouched());
}

#[tokio::test]
async fn an_address_is_reached_only_where_the_rule_is_that_address() {
    let (server, _) = echo().await;
    let port = server.port();
    let mut world = World::new(&[&format!("127.0.0.1:{port}")], server);
    for asked in [
        format!("127.0.0.1:{port}"),
        format!("[::ffff:127.0.0.1]:{port}"),
    ] {
        let (status, _client) = world.connect(&asked).await;
        assert_eq!(status, "HTTP/1.1 200 OK", "{asked}");
    }
    for asked in [
        format!("127.0.0.2:{port}"),
        "127.0.0.1:1".to_owned(),
        format!("[::1]:{port}"),
        format!("localhost:{port}"),
    ] {
        let (status, _) = world.connect(&asked).await;
        assert_eq!(status, "HTTP/1.1 403 Forbidden", "{asked}");
        let mut verdict = world.verdict().await;
        while verdict.allowed {
            verdict = world.verdict().await;
        }
        assert_eq!(verdict.why, Why::NoRule);
    }
}

#[tokio::test]
async fn a_refusal_says_what_would_allow_it() {
    let (server, _) = echo().await;
    let mut world = World::new(&["ok.com:443"], server);
    world.connect("api.github.com:443").await;
    let verdict = world.verdict().await;
    assert_eq!(
        verdict.to_string(),
        "connect to `api.github.com:443` was refused: no rule is about it"
    );
    assert_eq!(verdict.remedy().as_deref(), Some("\"api.github.com:443\""));
    world.names.add("ok.com", &[&["10.1.2.3"]]);
    world.connect("ok.com:443").await;
    let verdict = world.verdict().await;
    assert_eq!(
        verdict.to_string(),
        "connect to `ok.com:443` was refused: it resolved to 10.1.2.3, a private address"
    );
    assert_eq!(
        verdict.remedy().as_deref(),
        Some("{ host = \"ok.com:443\", addresses = [\"10.1.2.3\"] }")
    );
    // Nothing that is written for a name can lead to loopback.
    world.names.add("ok.com", &[&["127.0.0.1"]]);
    world.connect("ok.com:443").await;
    assert_eq!(world.verdict().await.remedy(), None);
    world.connect("localhost:443").await;
    assert_eq!(world.verdict().await.remedy(), None);
}

#[tokio::test]
async fn the_command_is_not_told_addresses() {
    let (server, _) = http("").await;
    let world = World::new(&["ok.com:80"], server);
    world.names.add("ok.com", &[&["10.1.2.3"]]);
    let mut client = world.client().await;
    let request = b"GET http://ok.com/ HTTP/1.1\r\nHost: ok.com\r\nConnection: close\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut client, request)
        .await
        .unwrap();
    let answer = String::from_utf8(read_all(&mut client).await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 403 Forbidden"), "{answer}");
    assert!(
        answer.ends_with("portcullis: `ok.com:80` is not allowed\n"),
        "{answer}"
    );
}
