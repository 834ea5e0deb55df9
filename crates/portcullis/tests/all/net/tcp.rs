//! Connections that are made and closed again, and what the guest is told of them.

use std::io::Read;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portcullis::policy::{Grants, HostName, Limits, Target};
use portcullis::{Dial, Dialling, Resolve, Resolving};
use serde_json::{Value, json};
use tokio_rustls::rustls::version::{TLS12, TLS13};

use super::tls::{Certified, certified, greet};
use super::{DENIED, FAILED, INSIDE, INVALID, LATE, PUBLIC, World, error, grants, guest, observed};
use crate::fixture::block_on;
use crate::http::peer::Peer;

portcullis_testkit::tests![
    a_place_that_is_there_is_connected_to_and_closed_at_once,
    what_was_not_granted_is_neither_looked_up_nor_dialled,
    without_the_grant_the_plugin_is_not_loaded,
    a_server_tells_of_itself_in_tls,
    a_server_that_is_not_trusted_tells_nothing,
    a_name_is_resolved_once_and_what_it_becomes_later_is_judged_anew,
    ranges_are_reached_where_they_are_unlocked_and_nowhere_else,
    a_connection_that_takes_too_long_is_given_up,
    no_connection_outlives_the_call,
    what_is_no_place_is_refused,
    refused_connections_count_too_and_each_function_for_itself,
    through_a_proxy_names_go_unresolved,
];

const TCP: &str = "tcp_connect";

fn connect(host: &str, port: u16) -> Value {
    json!({ "host": host, "port": port.to_string(), "timeout_ms": 5000, "tls": false, "context": {} })
}

fn in_tls(host: &str) -> Value {
    json!({ "host": host, "port": "443", "timeout_ms": 10000, "tls": true, "context": {} })
}

fn mail() -> Grants {
    grants(&["mail.example.com:25"], &[])
}

/// A server that notes how each connection to it ended.
fn listening() -> (Peer, Arc<Mutex<Vec<usize>>>) {
    let ended = Arc::<Mutex<Vec<usize>>>::default();
    let noted = Arc::clone(&ended);
    let peer = Peer::serving(move |mut stream, _| {
        let mut said = Vec::new();
        let _gone = stream.read_to_end(&mut said);
        noted.lock().unwrap().push(said.len());
    });
    (peer, ended)
}

fn a_place_that_is_there_is_connected_to_and_closed_at_once() {
    let (peer, ended) = listening();
    let world = World::new(peer.address());
    let answer = world.answer(TCP, mail(), connect("mail.example.com", 25));
    let place = format!("{PUBLIC}:25");
    assert_eq!(answer["connected"], json!(true), "{answer}");
    assert_eq!(answer["address"], json!("mail.example.com:25"));
    assert_eq!(answer["remote_addr"], json!(place));
    let local: SocketAddr = answer["local_addr"].as_str().unwrap().parse().unwrap();
    assert!(local.ip().is_loopback());
    assert!(answer["response_time_ms"].is_u64());
    assert_eq!(answer["response_time_ms"], answer["latency_ms"]);
    assert_eq!(answer["tls"], json!(false));
    assert!(answer.get("tls_version").is_none() && answer.get("error").is_none());
    assert_eq!(world.network.take_dialled(), std::slice::from_ref(&place));
    assert_eq!(
        world.lines(),
        [
            "allow connect mail.example.com:25".to_owned(),
            format!("done in 0 {place}")
        ]
    );
    let began = Instant::now();
    while ended.lock().unwrap().is_empty() {
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "it is still open"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(*ended.lock().unwrap(), [0], "nothing is said");
    // The other spellings of a request.
    let number =
        json!({ "host": "MAIL.example.com.", "port": 25, "use_tls": null, "context": null });
    assert_eq!(world.answer(TCP, mail(), number)["connected"], json!(true));
}

fn what_was_not_granted_is_neither_looked_up_nor_dialled() {
    let (peer, _) = listening();
    let world = World::new(peer.address());
    let some = grants(&["mail.example.com:25", "*.wild.example:25"], &["*"]);
    for (host, port) in [
        ("mail.example.com", 26),
        ("other.example", 25),
        ("wild.example", 25),
        ("mail.example.com.evil.example", 25),
        ("93.184.216.34", 25),
    ] {
        let answer = world.answer(TCP, some.clone(), connect(host, port));
        assert_eq!(error(&answer), DENIED, "{host}:{port}");
        assert_eq!(answer["connected"], json!(false));
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.starts_with("permission denied: "), "{message}");
    }
    assert!(world.network.asked().is_empty() && world.network.take_dialled().is_empty());
    assert!(
        world
            .lines()
            .iter()
            .all(|line| line.starts_with("P0431 connect "))
    );
}

fn without_the_grant_the_plugin_is_not_loaded() {
    let (peer, _) = listening();
    let world = World::new(peer.address());
    for function in [TCP, "dns_lookup", "smtp_connect"] {
        let source = |grants| portcullis::Source {
            bytes: guest(function),
            grants,
        };
        let refused = block_on(world.host.load(source(grants(&[], &[])))).unwrap_err();
        let refused = format!("{refused:?}");
        assert!(
            refused.contains(function) && refused.contains("connect <host>:<port>"),
            "{refused}"
        );
        let late = Grants {
            late: true,
            ..grants(&[], &[])
        };
        assert!(block_on(world.host.load(source(late))).is_ok());
    }
    let late = Grants {
        late: true,
        ..grants(&[], &[])
    };
    let answer = world.answer(TCP, late, connect("mail.example.com", 25));
    assert_eq!(error(&answer), DENIED);
}

/// A server that speaks TLS with this certificate.
fn secure(
    certified: &Certified,
    versions: &[&'static tokio_rustls::rustls::SupportedProtocolVersion],
) -> Peer {
    let config = certified.config(versions);
    Peer::serving(move |socket, _| greet(&config, socket))
}

fn a_server_tells_of_itself_in_tls() {
    let certificate = certified(&["mail.example.com", PUBLIC], 2099);
    for (version, name, suite) in [
        (&TLS13, "TLS 1.3", "TLS_AES_256_GCM_SHA384"),
        (&TLS12, "TLS 1.2", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
    ] {
        let peer = secure(&certificate, &[version]);
        let world = World::with(peer.address(), |builder| {
            builder.ca_file(&certificate.authority)
        });
        let https = grants(&["mail.example.com:443", "93.184.216.34:443"], &[]);
        for host in ["mail.example.com", PUBLIC] {
            let answer = world.answer(TCP, https.clone(), in_tls(host));
            assert_eq!(answer["connected"], json!(true), "{answer}");
            for (key, value) in [
                ("tls", json!(true)),
                ("tls_version", json!(name)),
                ("tls_cipher_suite", json!(suite)),
                ("tls_server_name", json!(host)),
                (
                    "tls_cert_subject",
                    json!("CN=mail.example.com,O=Mail\\, Inc"),
                ),
                ("tls_cert_issuer", json!("CN=Test Authority")),
                ("tls_cert_not_after", json!("2099-01-02T00:00:00Z")),
                ("tls_cert_expiry", json!("2099-01-02T00:00:00Z")),
            ] {
                assert_eq!(answer[key], value, "{key} of {host}");
            }
        }
        let written = world.written();
        assert!(
            !written.contains("Authority") && !written.contains("2099-01"),
            "{written}"
        );
    }
}

fn a_server_that_is_not_trusted_tells_nothing() {
    let good = certified(&["mail.example.com"], 2099);
    let (expired, other) = (
        certified(&["mail.example.com"], 2001),
        certified(&["hostile-name.example.com"], 2099),
    );
    let both = [&TLS13, &TLS12];
    for (what, peer, authority) in [
        ("has expired", secure(&expired, &both), &expired.authority),
        ("another name", secure(&other, &both), &other.authority),
        (
            "no authority that is trusted",
            secure(&good, &both),
            &other.authority,
        ),
        (
            "no TLS with",
            Peer::serving(|mut stream, _| {
                use std::io::Write;
                let _gone = stream.write_all(b"220 mail.example.com ESMTP hostile-name\r\n");
                let _gone = stream.read(&mut [0; 1024]);
            }),
            &good.authority,
        ),
        (
            "no TLS with",
            Peer::serving(|stream, _| drop(stream)),
            &good.authority,
        ),
    ] {
        let world = World::with(peer.address(), |builder| builder.ca_file(authority));
        let answer = world.answer(
            TCP,
            grants(&["mail.example.com:443"], &[]),
            in_tls("mail.example.com"),
        );
        assert_eq!(error(&answer), FAILED, "{what}");
        assert_eq!(answer["connected"], json!(false));
        assert!(answer.get("tls_cert_subject").is_none(), "{answer}");
        let lines = world.lines();
        assert!(lines[1].contains(what), "{lines:?}");
        assert!(
            !world.written().contains("hostile-name"),
            "{}",
            world.written()
        );
    }
    // What is wrong with the operator's file is the operator's matter.
    let peer = secure(&good, &both);
    let world = World::with(peer.address(), |builder| builder.ca_file("/nowhere/ca.pem"));
    let https = grants(&["mail.example.com:443"], &[]);
    let answer = world.answer(TCP, https, in_tls("mail.example.com"));
    assert_eq!(error(&answer), ("internal", ""));
    assert!(!answer.to_string().contains("/nowhere"), "{answer}");
    assert!(world.lines()[1].contains("cannot read the certificates"));
}

fn a_name_is_resolved_once_and_what_it_becomes_later_is_judged_anew() {
    let (peer, _) = listening();
    let world = World::new(peer.address());
    let name = "rebinding.example";
    world.network.name(name, &[PUBLIC]);
    world.network.name(name, &["127.0.0.1"]);
    world.network.name(name, &["::1", "10.0.0.1", "8.8.8.8"]);
    world.network.name(name, &["::ffff:127.0.0.1", "fe80::1"]);
    let any = grants(&["*:25"], &[]);
    let requests = vec![connect(name, 25); 4];
    let answers = world.answers(TCP, any, &requests);
    assert_eq!(world.network.asked().len(), 4);
    assert_eq!(
        world.network.take_dialled(),
        [format!("{PUBLIC}:25"), "8.8.8.8:25".to_owned()]
    );
    assert_eq!((error(&answers[1]), error(&answers[3])), (INSIDE, INSIDE));
    assert_eq!(answers[2]["remote_addr"], json!("8.8.8.8:25"));
    for answer in [&answers[1], &answers[3]] {
        let told = answer.to_string();
        assert!(!told.contains("127.0.0.1") && told.contains(name), "{told}");
    }
    assert!(world.lines().contains(&format!("P0433 connect {name}:25")));
}

fn ranges_are_reached_where_they_are_unlocked_and_nowhere_else() {
    let (peer, _) = listening();
    let world = World::new(peer.address());
    world.network.name("db.corp.example", &["10.2.0.7"]);
    world.network.name("other.corp.example", &["10.2.0.7"]);
    let mut some = grants(&["db.corp.example:5432", "*:5432", "127.0.0.1:2525"], &[]);
    some.own_net.connect[0]
        .places
        .unlock("10.2.0.0/16")
        .unwrap();
    for (host, port, dialled) in [
        ("db.corp.example", 5432, Some("10.2.0.7:5432")),
        ("other.corp.example", 5432, None),
        ("10.2.0.7", 5432, None),
        ("127.0.0.1", 2525, Some("127.0.0.1:2525")),
        ("::ffff:127.0.0.1", 2525, Some("127.0.0.1:2525")),
        ("127.0.0.1", 5432, None),
        ("::1", 2525, None),
        ("localhost", 2525, None),
    ] {
        let answer = world.answer(TCP, some.clone(), connect(host, port));
        let to = world.network.take_dialled();
        assert_eq!(
            to,
            dialled.into_iter().collect::<Vec<_>>(),
            "{host}:{port} {answer}"
        );
        assert_eq!(answer["connected"], json!(dialled.is_some()));
    }
}

/// A network in which nothing ever comes to an end, at one point or the other.
#[derive(Debug)]
struct Slow {
    resolves: bool,
}

impl Resolve for Slow {
    fn resolve<'a>(&'a self, _: &'a HostName) -> Resolving<'a> {
        match self.resolves {
            true => Box::pin(std::future::ready(Ok(vec![PUBLIC.parse().unwrap()]))),
            false => Box::pin(std::future::pending()),
        }
    }
}

impl Dial for Slow {
    fn dial(&self, _: SocketAddr) -> Dialling<'_> {
        Box::pin(std::future::pending())
    }
}

fn slow(resolves: bool) -> World {
    let (peer, _) = listening();
    World::with(peer.address(), |builder| {
        let slow = Arc::new(Slow { resolves });
        builder.network(slow.clone(), slow)
    })
}

fn a_connection_that_takes_too_long_is_given_up() {
    for resolves in [false, true] {
        let world = slow(resolves);
        let mut by_policy = mail();
        by_policy.limits.net_timeout = Duration::from_millis(300);
        let mut asked = connect("mail.example.com", 25);
        asked["timeout_ms"] = json!(300);
        for (grants, request) in [
            (mail(), asked),
            (by_policy, connect("mail.example.com", 25)),
        ] {
            let began = Instant::now();
            let answer = world.answer(TCP, grants, request);
            assert_eq!(error(&answer), LATE, "{resolves}");
            assert_eq!(answer["error"]["is_timeout"], json!(true));
            assert!(began.elapsed() < Duration::from_secs(8));
        }
        assert!(world.lines()[1].starts_with("done its time is over"));
    }
    // A server that never says a word of TLS.
    let certificate = certified(&["mail.example.com"], 2099);
    let (peer, _) = listening();
    let world = World::with(peer.address(), |builder| {
        builder.ca_file(&certificate.authority)
    });
    let mut request = in_tls("mail.example.com");
    request["timeout_ms"] = json!(300);
    let answer = world.answer(TCP, grants(&["*:443"], &[]), request);
    assert_eq!(error(&answer), LATE);
}

fn no_connection_outlives_the_call() {
    let world = slow(true);
    let grants = Grants {
        limits: Limits {
            call: Duration::from_millis(400),
            ..mail().limits
        },
        ..mail()
    };
    let began = Instant::now();
    block_on(async {
        let bytes = guest(TCP);
        let plugin = world
            .host
            .load(portcullis::Source { bytes, grants })
            .await
            .unwrap();
        let session = plugin.session("test");
        let mut request = connect("mail.example.com", 25);
        request["timeout_ms"] = json!(600_000);
        let _late = observed(&session, &request).await;
    });
    assert!(began.elapsed() < Duration::from_secs(30));
    let lines = world.lines();
    assert_eq!(lines[0], "allow connect mail.example.com:25");
    assert!(
        lines[1].starts_with("done its time is over")
            || lines[1].starts_with("done it was given up"),
        "{lines:?}"
    );
}

fn what_is_no_place_is_refused() {
    let (peer, _) = listening();
    let world = World::new(peer.address());
    let any = grants(&["*:*"], &[]);
    for (host, port) in [
        (json!(""), json!("25")),
        (json!("mail.example.com"), json!("0")),
        (json!("mail.example.com"), json!("65536")),
        (json!("mail.example.com"), json!("smtp")),
        (json!("mail.example.com"), json!(70000)),
        (json!("mail.example.com"), json!("")),
        (json!("mail.example.com"), Value::Null),
        (json!("mail.example.com:25"), json!("25")),
        (json!("mail.example.com\r\nRCPT"), json!("25")),
        (json!("a".repeat(70_000)), json!("25")),
        (Value::Null, json!("25")),
    ] {
        let request = json!({ "host": host, "port": port });
        let answer = world.answer(TCP, any.clone(), request);
        assert_eq!(error(&answer), INVALID, "{host} {port}");
    }
    assert!(world.network.asked().is_empty() && world.network.take_dialled().is_empty());
    let lines = world.lines();
    assert!(
        lines
            .iter()
            .all(|line| line.starts_with("P0434 connect ") && line.len() < 1000),
        "{lines:?}"
    );
    for no_json in [
        json!(5),
        json!([]),
        json!({ "port": 2.5 }),
        json!({ "host": {} }),
    ] {
        let answer = world.answer(TCP, any.clone(), no_json);
        assert_eq!(error(&answer), ("internal", ""));
    }
}

fn refused_connections_count_too_and_each_function_for_itself() {
    let (peer, _) = listening();
    let world = World::new(peer.address());
    let mut two = mail();
    two.limits.net_per_minute = 2;
    let requests = [
        connect("other.example", 25),
        connect("mail.example.com", 25),
        connect("mail.example.com", 25),
    ];
    let answers = world.answers(TCP, two.clone(), &requests);
    assert_eq!(error(&answers[0]), DENIED);
    assert_eq!(answers[1]["connected"], json!(true));
    assert_eq!(error(&answers[2]), ("network", "RATE_LIMITED"));
    assert_eq!(world.network.take_dialled().len(), 1);
    let other = world.answer("smtp_connect", two, connect("other.example", 25));
    assert_eq!(error(&other), DENIED, "that is another function");
}

fn through_a_proxy_names_go_unresolved() {
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let noted = Arc::clone(&asked);
    let proxy = Peer::serving(move |mut stream, _| {
        use std::io::Write;
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count > 0) {
            head.push(byte[0]);
        }
        let line = String::from_utf8(head).unwrap();
        noted
            .lock()
            .unwrap()
            .push(line.lines().next().unwrap_or_default().to_owned());
        let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
    });
    let world = World::with(proxy.address(), |builder| {
        builder.upstream_proxy(Target::parse("127.0.0.1:3128").unwrap())
    });
    let answer = world.answer(TCP, mail(), connect("mail.example.com", 25));
    assert_eq!(answer["connected"], json!(true), "{answer}");
    assert!(
        answer.get("remote_addr").is_none(),
        "where the proxy is, is the operator's matter: {answer}"
    );
    assert_eq!(
        *asked.lock().unwrap(),
        ["CONNECT mail.example.com:25 HTTP/1.1"]
    );
    assert!(world.network.asked().is_empty());
    assert_eq!(world.network.take_dialled(), ["127.0.0.1:3128"]);
    let refused = world.answer(TCP, mail(), connect("other.example", 25));
    assert_eq!(error(&refused), DENIED);
    assert_eq!(asked.lock().unwrap().len(), 1);
}
