//! What is sent, what comes back, and what is written down.

use portcullis::policy::{HttpRule, Target};

use super::peer::Peer;
use super::{PUBLIC, World, hosts};
use crate::fixture::{block_on, none};

portcullis_testkit::tests![
    a_request_to_a_granted_host_is_answered_and_leaves_two_lines,
    what_was_not_granted_is_not_even_looked_up,
    every_status_is_an_answer_and_a_redirect_is_not_followed,
    the_host_says_who_asks_and_the_guest_says_the_rest,
    headers_of_the_connection_and_other_methods_are_refused,
    a_rule_can_be_about_methods_and_paths,
    neither_query_nor_password_is_written_down,
    without_the_grant_the_plugin_is_not_loaded,
    what_is_not_granted_fails_late_where_policy_says_so,
    a_name_is_resolved_once_and_what_it_becomes_later_is_judged_anew,
    a_written_address_is_refused_in_one_line,
    a_chain_of_redirects_that_a_guest_follows_ends_where_it_was_granted_nothing,
    through_a_proxy_names_go_unresolved_and_addresses_directly,
];

const API: &str = "http://api.example.com/";

fn a_request_to_a_granted_host_is_answered_and_leaves_two_lines() {
    let world = World::new();
    let said = world.says(
        hosts(&["api.example.com"]),
        &[
            "send",
            "POST",
            "http://api.example.com/hello?q=1",
            "3",
            "X-A=b",
        ],
    );
    assert_eq!(said, "200 hello");
    assert_eq!(world.network.take_dialled(), [format!("{PUBLIC}:80")]);
    assert_eq!(
        world.lines(),
        [
            "allow POST http://api.example.com/hello".to_owned(),
            format!("done 200 in 5 out 3 {PUBLIC}:80"),
        ]
    );
    let head = &world.peer.heads()[0];
    assert!(head.starts_with("POST /hello?q=1 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nhost: api.example.com\r\n") && head.contains("\r\nx-a: b\r\n"));
}

fn what_was_not_granted_is_not_even_looked_up() {
    let world = World::new();
    let said = world.says(
        hosts(&["api.example.com", "*.wild.example"]),
        &[
            "http://other.example/",
            "http://wild.example/",
            "http://api.example.com:8080/",
            "http://api.example.com.evil.example/",
        ],
    );
    assert_eq!(said, ["failed: denied"; 4].join("\n"));
    assert!(world.network.asked().is_empty());
    assert!(world.network.take_dialled().is_empty());
    assert!(world.lines().iter().all(|line| line.starts_with("P0421 ")));
}

fn every_status_is_an_answer_and_a_redirect_is_not_followed() {
    let world = World::new();
    let api = hosts(&["api.example.com"]);
    for status in ["201", "404", "503"] {
        let url = format!("{API}status/{status}");
        assert_eq!(world.says(api.clone(), &[&url]), format!("{status} a body"));
    }
    world.network.take_dialled();
    let url = format!("{API}redirect/http://169.254.169.254/latest");
    assert_eq!(world.says(api.clone(), &[&url]), "302 elsewhere");
    assert_eq!(world.network.take_dialled(), [format!("{PUBLIC}:80")]);
    let to = world.says(api.clone(), &["header", "location", &url]);
    assert_eq!(to, "http://169.254.169.254/latest");
    let empty = world.says(api, &["send", "HEAD", &format!("{API}hello"), "0"]);
    assert_eq!(empty, "200 ");
}

fn the_host_says_who_asks_and_the_guest_says_the_rest() {
    let world = World::new();
    let api = hosts(&["api.example.com:8080"]);
    let url = "http://api.example.com:8080/hello";
    world.says(api.clone(), &[url]);
    world.says(
        api,
        &[
            "send",
            "GET",
            url,
            "0",
            "User-Agent=mine/1",
            "Accept-Encoding=br",
        ],
    );
    let heads = world.peer.heads();
    let agent = format!(
        "\r\nuser-agent: portcullis/{} (guest)\r\n",
        env!("CARGO_PKG_VERSION")
    );
    assert!(heads[0].contains(&agent), "{}", heads[0]);
    assert!(heads[0].contains("\r\nhost: api.example.com:8080\r\n"));
    assert!(heads[1].contains("\r\nuser-agent: mine/1\r\n"));
    assert!(heads[1].contains("\r\naccept-encoding: gzip\r\n"));
}

fn headers_of_the_connection_and_other_methods_are_refused() {
    let world = World::new();
    let api = hosts(&["api.example.com"]);
    for header in [
        "Host=evil.example",
        "Content-Length=0",
        "Transfer-Encoding=chunked",
        "Connection=upgrade",
        "Proxy-Authorization=x",
        "X-A=b\r\nHost: evil.example",
        "X-A\r\nHost=evil.example",
        "X-HTTP-Method-Override=DELETE",
    ] {
        let said = world.says(api.clone(), &["send", "GET", API, "0", header]);
        assert_eq!(said, "failed: invalid", "{header}");
    }
    for method in ["CONNECT", "TRACE", "GET /other", "GE\r\nT", ""] {
        let said = world.says(api.clone(), &["send", method, API, "0"]);
        assert_eq!(said, "failed: invalid", "{method}");
    }
    assert!(world.network.take_dialled().is_empty());
    assert!(world.lines().iter().all(|line| line.starts_with("P0424 ")));
}

fn a_rule_can_be_about_methods_and_paths() {
    let world = World::new();
    let mut grants = hosts(&[]);
    grants.http.allow = vec![HttpRule {
        methods: vec!["GET".to_owned()],
        paths: vec!["/v1/**".to_owned()],
        ..HttpRule::any_request("api.example.com").unwrap()
    }];
    let said = |method, path: &str| {
        let url = format!("{API}{path}");
        world.says(grants.clone(), &["send", method, &url, "0"])
    };
    assert_eq!(said("GET", "v1/a/b?q=/v2"), "200 hello");
    for (method, path) in [
        ("POST", "v1/a"),
        ("GET", "v2/a"),
        ("GET", "v1/../v2/a"),
        ("GET", "v1/%2e%2e/v2/a"),
        ("GET", "v1\\..\\v2"),
        ("GET", "v1/..%2fv2"),
        ("GET", "V1/a"),
        ("GET", ""),
    ] {
        assert_eq!(said(method, path), "failed: denied", "{method} {path}");
    }
    assert!(
        world.lines()[2..]
            .iter()
            .all(|line| line.starts_with("P0422 "))
    );
}

fn neither_query_nor_password_is_written_down() {
    let world = World::new();
    let urls = [
        "http://api.example.com/hello?key=hunter2",
        "http://api.example.com/hello#hunter2",
        "http://other.example/?hunter2",
        "http://me:hunter2@api.example.com/",
        "http://hunter2@api.example.com/",
        "http:\\\\me:hunter2@api.example.com\\",
        "data:text/plain,hunter2",
        "http://api.example.com:99999/?hunter2",
    ];
    let header = ["send", "GET", API, "0", "Authorization=Bearer hunter2"];
    block_on(async {
        let mut instance = world.instance(hosts(&["api.example.com"])).await;
        for words in [&urls[..], &header] {
            let words = crate::fixture::args(words);
            instance.run(&words).await.unwrap().unwrap();
        }
        let told = format!("{:?}", instance.activity());
        assert!(!told.contains("hunter2"), "{told}");
    });
    let lines = String::from_utf8(world.trail.lines()).unwrap();
    assert!(
        lines.contains("P0424") && !lines.contains("hunter2"),
        "{lines}"
    );
}

fn without_the_grant_the_plugin_is_not_loaded() {
    let world = World::new();
    let bytes = portcullis_testkit::guest_bytes("http");
    let grants = none();
    let error = block_on(world.host.load(portcullis::Source { bytes, grants })).unwrap_err();
    let told = error.diagnostic().notes.join("\n");
    assert!(
        told.contains(
            "needs the `http` grant; to allow a host: portcullis grant guest http <host>"
        ),
        "{told}"
    );
}

fn what_is_not_granted_fails_late_where_policy_says_so() {
    let world = World::new();
    let grants = portcullis::policy::Grants {
        late: true,
        ..none()
    };
    assert_eq!(world.says(grants, &[API]), "failed: denied");
    assert!(world.network.asked().is_empty());
}

fn a_name_is_resolved_once_and_what_it_becomes_later_is_judged_anew() {
    let world = World::new();
    world.network.name("rebind.example", &[PUBLIC]);
    world.network.name("rebind.example", &["127.0.0.1"]);
    world.network.name("rebind.example", &["169.254.169.254"]);
    let url = "http://rebind.example/";
    let said = world.says(hosts(&["*"]), &[url, url, url]);
    assert_eq!(said, "200 hello\nfailed: denied\nfailed: denied");
    assert_eq!(world.network.take_dialled(), [format!("{PUBLIC}:80")]);
    assert_eq!(world.network.asked(), ["rebind.example"; 3]);
    let lines = world.lines();
    assert_eq!(lines[3], "P0423 GET http://rebind.example/");
}

fn a_written_address_is_refused_in_one_line() {
    let world = World::new();
    let said = world.says(
        hosts(&["*"]),
        &["http://127.0.0.1/", "http://[::ffff:a9fe:a9fe]/"],
    );
    assert_eq!(said, "failed: denied\nfailed: denied");
    assert_eq!(
        world.lines(),
        [
            "P0423 GET http://127.0.0.1/",
            "P0423 GET http://169.254.169.254/"
        ]
    );
}

fn a_chain_of_redirects_that_a_guest_follows_ends_where_it_was_granted_nothing() {
    let world = World::new();
    let end = "http://169.254.169.254/latest/meta-data/";
    let first = format!("{API}redirect/{API}redirect/{end}");
    let api = hosts(&["*"]);
    let second = world.says(api.clone(), &["header", "location", &first]);
    assert_eq!(second, format!("{API}redirect/{end}"));
    let third = world.says(api.clone(), &["header", "location", &second]);
    assert_eq!(third, end);
    assert_eq!(world.says(api, &[&third]), "failed: denied");
    assert_eq!(
        world.network.take_dialled(),
        [PUBLIC; 2].map(|ip| format!("{ip}:80"))
    );
}

fn through_a_proxy_names_go_unresolved_and_addresses_directly() {
    let world = World::with(Peer::start(), |builder| {
        builder.upstream_proxy(Target::parse("10.9.9.9:3128").unwrap())
    });
    let grants = hosts(&["api.example.com", "127.0.0.1:8080"]);
    let said = world.says(
        grants,
        &[
            "http://api.example.com/hello?q",
            "http://127.0.0.1:8080/direct",
            "https://api.example.com/",
            "http://other.example/",
        ],
    );
    // To the proxy that would be itself.
    world.network.name("localhost", &["127.0.0.1"]);
    let own = world.says(hosts(&["*"]), &["http://localhost/"]);
    assert_eq!(own, "failed: denied");
    assert_eq!(world.network.asked(), ["localhost"]);
    // The proxy of this test makes no tunnel.
    assert_eq!(said, "200 hello\n200 hello\nfailed: io\nfailed: denied");
    assert_eq!(
        world.network.take_dialled(),
        ["10.9.9.9:3128", "127.0.0.1:8080", "10.9.9.9:3128"]
    );
    let first = |head: &String| head.lines().next().unwrap_or_default().to_owned();
    let lines: Vec<_> = world.peer.heads().iter().map(first).collect();
    assert_eq!(
        lines,
        [
            "GET http://api.example.com/hello?q HTTP/1.1",
            "GET /direct HTTP/1.1",
            "CONNECT api.example.com:443 HTTP/1.1",
        ]
    );
}
