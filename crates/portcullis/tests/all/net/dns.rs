//! What is looked up, whom it is asked of, and what the guest is told.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Record, RecordType};
use portcullis::policy::{Grants, Limits};
use serde_json::{Value, json};

use super::name_server::{NameServer, Says, a, aaaa, cname, mx, ns, txt};
use super::{DENIED, INSIDE, INVALID, LATE, UNFOUND, World, error, grants};

portcullis_testkit::tests![
    every_kind_of_record_has_its_answer,
    a_lookup_leaves_two_lines_with_nothing_of_the_answer,
    what_was_not_granted_is_not_asked,
    a_name_server_of_the_guests_has_to_be_granted_too,
    what_is_not_there_is_not_found,
    what_is_no_answer_is_an_error,
    who_does_not_answer_is_given_up_in_time,
    long_answers_come_by_tcp_and_have_an_end,
    an_answer_is_data_and_opens_no_way,
    what_was_not_asked_for_is_not_told,
    names_are_read_strictly,
    refused_lookups_count_too,
    two_plugins_ask_each_for_itself,
];

const DNS: &str = "dns_lookup";

fn zone(name: &str, kind: RecordType) -> Says {
    let records = match (name, kind) {
        ("example.com.", RecordType::A) => vec![a(name, "93.184.216.34"), a(name, "8.8.8.8")],
        ("example.com.", RecordType::AAAA) => vec![aaaa(name, "2606:4700::1")],
        ("example.com.", RecordType::MX) => {
            vec![
                mx(name, 20, "b.example.com."),
                mx(name, 10, "a.example.com."),
            ]
        }
        ("example.com.", RecordType::TXT) => vec![txt(name, &["v=spf1 ", "-all"])],
        ("example.com.", RecordType::NS) => vec![ns(name, "ns1.example.com.")],
        ("www.example.com.", RecordType::A) => vec![
            cname(name, "web.example.com."),
            cname("web.example.com.", "edge.example.net."),
            a("edge.example.net.", "93.184.216.35"),
        ],
        ("inside.example.com.", RecordType::A) => vec![
            cname(name, "db.corp.example."),
            a("db.corp.example.", "10.0.0.7"),
        ],
        ("more.example.com.", RecordType::A) => vec![
            a("bank.example.", "6.6.6.6"),
            a(name, "8.8.8.8"),
            txt(name, &["unasked"]),
        ],
        ("long.example.com.", RecordType::TXT) => (0..60)
            .map(|n| txt(name, &[&format!("{n} {}", "x".repeat(200))]))
            .collect(),
        ("many.example.com.", RecordType::A) => many(name, 900),
        ("endless.example.com.", RecordType::A) => many(name, 1100),
        ("loop.example.com.", RecordType::A) => {
            vec![
                cname(name, "pool.example.com."),
                cname("pool.example.com.", name),
            ]
        }
        ("gone.example.com.", _) => return Says::Code(ResponseCode::NXDomain),
        ("refused.example.com.", _) => return Says::Code(ResponseCode::Refused),
        ("failing.example.com.", _) => return Says::Code(ResponseCode::ServFail),
        ("garbage.example.com.", _) => return Says::Garbage,
        ("other.example.com.", _) => return Says::OtherId,
        ("silent.example.com.", _) => return Says::Nothing,
        _ => Vec::new(),
    };
    Says::Records(records)
}

fn many(name: &str, count: u32) -> Vec<Record> {
    let address = |n| format!("8.8.{}.{}", n / 250, n % 250);
    (0..count).map(|n| a(name, &address(n))).collect()
}

/// A host whose system asks a server with this zone.
fn world() -> (World, NameServer) {
    let server = NameServer::start(zone);
    let world = World::with(server.address, |builder| {
        builder.name_servers([server.address])
    });
    (world, server)
}

fn all() -> Grants {
    grants(&[], &["example.com", "*.example.com"])
}

fn lookup(name: &str, kind: &str) -> Value {
    json!({ "hostname": name, "type": kind, "context": {} })
}

fn by(server: SocketAddr, name: &str) -> Value {
    json!({ "hostname": name, "type": "A", "nameserver": server.to_string(), "context": {} })
}

fn every_kind_of_record_has_its_answer() {
    let (world, _server) = world();
    let whole = |records: Value| json!({ "records": records });
    for (name, kind, answer) in [
        (
            "example.com",
            "A",
            whole(json!(["93.184.216.34", "8.8.8.8"])),
        ),
        (
            "EXAMPLE.com.",
            "a",
            whole(json!(["93.184.216.34", "8.8.8.8"])),
        ),
        ("example.com", "AAAA", whole(json!(["2606:4700::1"]))),
        (
            "example.com",
            "",
            whole(json!(["93.184.216.34", "8.8.8.8", "2606:4700::1"])),
        ),
        ("www.example.com", "", whole(json!(["93.184.216.35"]))),
        ("example.com", "TXT", whole(json!(["v=spf1 -all"]))),
        ("example.com", "NS", whole(json!(["ns1.example.com."]))),
        ("www.example.com", "A", whole(json!(["93.184.216.35"]))),
        (
            "www.example.com",
            "CNAME",
            whole(json!(["edge.example.net."])),
        ),
        ("example.com", "CNAME", whole(json!(["example.com."]))),
        (
            "example.com",
            "MX",
            json!({ "records": [], "mx_records": [
                { "host": "a.example.com.", "pref": 10 }, { "host": "b.example.com.", "pref": 20 },
            ]}),
        ),
    ] {
        assert_eq!(
            world.answer(DNS, all(), lookup(name, kind)),
            answer,
            "{kind} {name}"
        );
    }
    let unknown = world.answer(DNS, all(), lookup("example.com", "AXFR"));
    assert_eq!(error(&unknown), ("config", "UNSUPPORTED_TYPE"));
    let nulls =
        json!({ "hostname": "example.com", "type": null, "nameserver": null, "context": null });
    assert!(world.answer(DNS, all(), nulls).get("error").is_none());
}

fn a_lookup_leaves_two_lines_with_nothing_of_the_answer() {
    let (world, _server) = world();
    world.answer(DNS, all(), lookup("example.com", "TXT"));
    assert_eq!(
        world.lines(),
        ["allow lookup TXT example.com", "done in 11"]
    );
    assert!(!world.written().contains("spf1"), "{}", world.written());
}

fn what_was_not_granted_is_not_asked() {
    let (world, server) = world();
    let some = grants(
        &["example.org:443", "*:53"],
        &["example.com", "*.example.net"],
    );
    for name in [
        "example.org",
        "www.example.com",
        "example.net",
        "example.com.evil.example",
    ] {
        let answer = world.answer(DNS, some.clone(), lookup(name, "A"));
        assert_eq!(error(&answer), DENIED, "{name}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.starts_with("permission denied: "), "{message}");
    }
    assert!(
        world
            .answer(DNS, some, lookup("example.com", "A"))
            .get("error")
            .is_none()
    );
    assert_eq!(server.asked(), ["udp A example.com."]);
    let lines = world.lines();
    assert!(
        lines[..4]
            .iter()
            .all(|line| line.starts_with("P0432 lookup A ")),
        "{lines:?}"
    );
}

fn a_name_server_of_the_guests_has_to_be_granted_too() {
    let (system, system_server) = world();
    let own = NameServer::start(|name, _| Says::Records(vec![a(name, "8.8.4.4")]));
    let request = by(own.address, "example.com");
    // The name alone does not do, nor a name that stands for the address, nor every address of the public network.
    let port = own.address.port();
    system.network.name("dns.example", &["127.0.0.1"]);
    let named = json!({ "hostname": "example.com", "type": "A", "nameserver": format!("dns.example:{port}") });
    let any = ["*:*"];
    for (connect, request, code) in [
        (&[][..], &request, DENIED),
        (&["8.8.8.8:53"], &request, DENIED),
        (&["127.0.0.1:1"], &request, DENIED),
        (&any, &request, INSIDE),
        (&[], &named, DENIED),
        (&any, &named, INSIDE),
    ] {
        let answer = system.answer(DNS, grants(connect, &["example.com"]), request.clone());
        assert_eq!(error(&answer), code, "{connect:?} {request}");
    }
    assert!(own.asked().is_empty() && system_server.asked().is_empty());
    let granted = format!("127.0.0.1:{port}");
    let both = grants(&[&granted], &["example.com"]);
    let answer = system.answer(DNS, both.clone(), request);
    assert_eq!(answer, json!({ "records": ["8.8.4.4"] }));
    let lines = system.lines();
    assert!(
        lines.contains(&format!("allow lookup A example.com at 127.0.0.1:{port}")),
        "{lines:?}"
    );
    // A granted server is no grant for other names.
    let other = system.answer(DNS, both, by(own.address, "example.org"));
    assert_eq!(error(&other), DENIED);
    assert_eq!(own.asked(), ["udp A example.com."]);
    assert!(system_server.asked().is_empty());
    // Without a port it is that of name servers, which is not granted.
    let plain = json!({ "hostname": "example.com", "type": "A", "nameserver": "127.0.0.1" });
    let answer = system.answer(DNS, grants(&[&granted], &["example.com"]), plain);
    assert_eq!(error(&answer), DENIED);
}

fn what_is_not_there_is_not_found() {
    let (world, _server) = world();
    for (name, kind) in [
        ("gone.example.com", "A"),
        ("gone.example.com", ""),
        ("gone.example.com", "CNAME"),
        ("www.example.com", "MX"),
        ("www.example.com", "AAAA"),
        ("loop.example.com", "A"),
    ] {
        let answer = world.answer(DNS, all(), lookup(name, kind));
        assert_eq!(error(&answer), UNFOUND, "{kind} {name}");
        let not_found = &answer["error"]["is_not_found"];
        assert!(
            *not_found == json!(true) || name == "loop.example.com",
            "{answer}"
        );
        assert_eq!(answer["records"], json!([]));
    }
}

fn what_is_no_answer_is_an_error() {
    let (world, _server) = world();
    for name in ["refused", "failing", "garbage", "other"] {
        let mut request = lookup(&format!("{name}.example.com"), "A");
        request["timeout_ms"] = json!(700);
        let answer = world.answer(DNS, all(), request);
        assert!(matches!(error(&answer), UNFOUND | LATE), "{name}: {answer}");
        assert!(
            answer["error"].get("is_not_found").is_none(),
            "{name}: {answer}"
        );
        assert_eq!(answer["records"], json!([]), "{name}");
    }
    assert!(!world.written().contains("no answer of a name server"));
}

fn who_does_not_answer_is_given_up_in_time() {
    let (world, _server) = world();
    let short = |limits: Limits| Grants { limits, ..all() };
    let limits = all().limits;
    let silent = |timeout: Value| {
        let mut request = lookup("silent.example.com", "A");
        request["context"] = json!({ "timeout_ms": timeout });
        request
    };
    let by_policy = Limits {
        net_timeout: Duration::from_millis(300),
        ..limits.clone()
    };
    for (grants, request) in [
        (short(limits), silent(json!(300))),
        (short(by_policy.clone()), silent(json!(60_000))),
        (short(by_policy), silent(Value::Null)),
    ] {
        let began = Instant::now();
        let answer = world.answer(DNS, grants, request);
        assert_eq!(error(&answer), LATE);
        assert_eq!(answer["error"]["is_timeout"], json!(true));
        assert!(began.elapsed() < Duration::from_secs(10));
    }
    let lines = world.lines();
    assert!(lines[1].starts_with("done its time is over"), "{lines:?}");
}

fn long_answers_come_by_tcp_and_have_an_end() {
    let (world, server) = world();
    let answer = world.answer(DNS, all(), lookup("long.example.com", "TXT"));
    let records = answer["records"].as_array().unwrap();
    assert_eq!(records.len(), 60);
    assert!(records[59].as_str().unwrap().starts_with("59 xxx"));
    assert_eq!(
        server.asked(),
        ["udp TXT long.example.com.", "tcp TXT long.example.com."]
    );
    let many = world.answer(DNS, all(), lookup("many.example.com", "A"));
    assert_eq!(many["records"].as_array().unwrap().len(), 900);
    let endless = world.answer(DNS, all(), lookup("endless.example.com", "A"));
    assert_eq!(error(&endless), UNFOUND);
    assert_eq!(endless["records"], json!([]));
    let lines = world.lines();
    assert!(lines[5].contains("more than 1000 records"), "{lines:?}");
}

fn an_answer_is_data_and_opens_no_way() {
    let (world, _server) = world();
    let answer = world.answer(DNS, all(), lookup("inside.example.com", "A"));
    assert_eq!(answer, json!({ "records": ["10.0.0.7"] }));
    world.network.name("inside.example.com", &["10.0.0.7"]);
    for (connect, host, refused) in [
        (&["*:5432"][..], "inside.example.com", INSIDE),
        (&["inside.example.com:5432"], "inside.example.com", INSIDE),
        (&["*:5432"], "10.0.0.7", INSIDE),
        (&["inside.example.com:5432"], "10.0.0.7", DENIED),
    ] {
        let request = json!({ "host": host, "port": "5432", "timeout_ms": 5000, "tls": false });
        let answer = world.answer("tcp_connect", grants(connect, &["*"]), request);
        assert_eq!(error(&answer), refused, "{connect:?} {host}");
    }
    assert!(world.network.take_dialled().is_empty());
}

fn what_was_not_asked_for_is_not_told() {
    let (world, _server) = world();
    let answer = world.answer(DNS, all(), lookup("more.example.com", "A"));
    assert_eq!(answer, json!({ "records": ["8.8.8.8"] }));
}

fn names_are_read_strictly() {
    let (world, server) = world();
    let any = grants(&["*:53"], &["*"]);
    for name in [
        "",
        ".",
        "..",
        "a..b",
        "127.0.0.1",
        "::1",
        "127.1",
        "0x7f.1",
        "a b",
        "a\r\nb",
        "a\0",
        "*.example.com",
        "http://example.com",
        "example.com:53",
        "\u{ff45}xample.com",
        "example\u{3002}com",
    ] {
        let answer = world.answer(DNS, any.clone(), lookup(name, "A"));
        assert_eq!(error(&answer), INVALID, "{name:?}");
    }
    for server in [
        "dns.example:0",
        "dns.example:x",
        "127.1",
        "[::1",
        "a b",
        "dns.example:53:53",
    ] {
        let request = json!({ "hostname": "example.com", "type": "A", "nameserver": server });
        let answer = world.answer(DNS, any.clone(), request);
        assert_eq!(error(&answer), INVALID, "{server:?}");
    }
    assert!(server.asked().is_empty());
    assert!(
        world
            .lines()
            .iter()
            .all(|line| line.starts_with("P0434 lookup "))
    );
}

fn refused_lookups_count_too() {
    let (world, server) = world();
    let mut three = grants(&[], &["example.com"]);
    three.limits.net_per_minute = 3;
    let requests = ["example.org", "", "example.com", "example.com"].map(|name| lookup(name, "A"));
    let answers = world.answers(DNS, three.clone(), &requests);
    let errors: Vec<_> = [0, 1, 3].map(|index: usize| error(&answers[index])).into();
    assert_eq!(errors, [DENIED, INVALID, ("network", "RATE_LIMITED")]);
    assert!(answers[2].get("error").is_none());
    // A plugin that is loaded again has no more of them.
    let again = world.answer(DNS, three, lookup("example.com", "A"));
    assert_eq!(error(&again), ("network", "RATE_LIMITED"));
    assert_eq!(server.asked().len(), 1);
    assert!(world.lines().last().unwrap().starts_with("P0226 lookup "));
}

/// What one looked up no other can tell by how soon it is answered.
fn two_plugins_ask_each_for_itself() {
    let (world, server) = world();
    for _ in 0..2 {
        world.answer(DNS, all(), lookup("example.com", "A"));
    }
    assert_eq!(server.asked().len(), 2);
}
