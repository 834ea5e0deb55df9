//! The same by `wasi:http`: through the same gate, with the same lines, and with nothing that a guest could pile up.

use std::time::Duration;

use portcullis::policy::{Grants, HttpRule, Limits};

use super::peer::Peer;
use super::{PUBLIC, World, hosts};
use crate::fixture::{args, block_on, none};

portcullis_testkit::tests![
    a_request_by_wasi_is_answered_and_leaves_the_lines_of_our_own,
    what_was_not_granted_by_wasi_is_not_even_looked_up,
    by_wasi_a_name_that_leads_inside_is_refused_and_no_redirect_is_followed,
    by_wasi_methods_and_paths_are_decided_on,
    a_header_of_the_hosts_own_cannot_be_said_by_wasi,
    the_host_says_who_asks_by_wasi_too,
    a_body_by_wasi_is_sent_up_to_its_limit,
    a_body_that_is_not_whole_is_not_sent,
    a_response_by_wasi_that_was_cut_ends_with_an_error,
    a_response_by_wasi_comes_unpacked_or_as_an_error,
    refused_requests_by_wasi_count_too,
    many_requests_are_under_way_at_once_but_not_any_number,
    a_request_that_was_given_up_leaves_its_line,
    a_slow_server_is_given_up_by_wasi_too,
    no_request_by_wasi_outlives_the_call,
    a_call_that_is_dropped_takes_its_requests_with_it,
    what_a_guest_keeps_for_requests_is_bounded,
    without_the_grant_the_import_is_refused_by_name,
];

const API: &str = "http://api.example.com/";

fn world() -> World {
    World::new().by_wasi()
}

fn api() -> Grants {
    hosts(&["api.example.com"])
}

fn limited(change: impl FnOnce(&mut Limits)) -> Grants {
    let mut grants = api();
    change(&mut grants.limits);
    grants
}

fn a_request_by_wasi_is_answered_and_leaves_the_lines_of_our_own() {
    let words = [
        [
            "send",
            "POST",
            "http://api.example.com/hello?q=1",
            "3",
            "X-A=b",
        ]
        .as_slice(),
        &["http://api.example.com/status/404"],
        &["http://other.example/"],
        &["http://127.0.0.1/"],
        &["send", "TRACE", API, "0"],
        &["ftp://api.example.com/"],
        &["http://me:t0p@api.example.com/"],
        &["http://api.example.com/nonsense/1"],
        &["http://none.example/"],
    ]
    .map(|words| words.to_vec());
    let of = |world: World| {
        for words in &words {
            world.says(hosts(&["api.example.com", "none.example"]), words);
        }
        world.lines()
    };
    let (own, by_wasi) = (of(World::new()), of(world()));
    assert_eq!(by_wasi, own);
    assert_eq!(
        by_wasi[..2],
        [
            "allow POST http://api.example.com/hello".to_owned(),
            format!("done 200 in 5 out 3 {PUBLIC}:80"),
        ]
    );
    let world = world();
    assert_eq!(world.says(api(), &words[0]), "200 hello");
    let head = &world.peer.heads()[0];
    assert!(head.starts_with("POST /hello?q=1 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nx-a: b\r\n") && head.contains("\r\ncontent-length: 3\r\n"));
    let status = world.says(api(), &[&format!("{API}status/503")]);
    assert_eq!(status, "503 a body");
    let header = world.says(api(), &["header", "x-peer", API]);
    assert_eq!(header, "yes");
}

fn what_was_not_granted_by_wasi_is_not_even_looked_up() {
    let world = world();
    let said = world.says(
        hosts(&["api.example.com", "*.wild.example"]),
        &[
            "http://other.example/",
            "http://wild.example/",
            "http://api.example.com:8080/",
            "unsaid://api.example.com.evil.example/",
        ],
    );
    assert_eq!(said, ["failed: HttpRequestDenied"; 4].join("\n"));
    assert!(world.network.asked().is_empty());
    assert!(world.network.take_dialled().is_empty());
    assert!(world.lines().iter().all(|line| line.starts_with("P0421 ")));
    let legal = world.says(hosts(&["*.wild.example", "api.example.com"]), &[API]);
    assert_eq!(legal, "200 hello");
}

fn by_wasi_a_name_that_leads_inside_is_refused_and_no_redirect_is_followed() {
    let world = world();
    world.network.name("rebind.example", &[PUBLIC]);
    world.network.name("rebind.example", &["169.254.169.254"]);
    let url = "http://rebind.example/";
    let said = world.says(hosts(&["*"]), &[url, url, "http://[::ffff:7f00:1]/"]);
    assert_eq!(
        said,
        "200 hello\nfailed: HttpRequestDenied\nfailed: HttpRequestDenied"
    );
    let url = format!("{API}redirect/http://169.254.169.254/latest");
    assert_eq!(world.says(hosts(&["*"]), &[&url]), "302 elsewhere");
    let to = world.says(hosts(&["*"]), &["header", "location", &url]);
    assert_eq!(to, "http://169.254.169.254/latest");
    assert_eq!(
        world.network.take_dialled(),
        [PUBLIC; 3].map(|ip| format!("{ip}:80"))
    );
    let lines = world.lines();
    assert_eq!(lines[3], "P0423 GET http://rebind.example/");
    assert_eq!(lines[4], "P0423 GET http://127.0.0.1/");
}

fn by_wasi_methods_and_paths_are_decided_on() {
    let world = world();
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
    for (method, path) in [("POST", "v1/a"), ("GET", "v2/a"), ("GET", "v1/../v2/a")] {
        assert_eq!(said(method, path), "failed: HttpRequestDenied", "{path}");
    }
    for method in ["TRACE", "CONNECT", "PROPFIND"] {
        let kind = "failed: HttpRequestMethodInvalid";
        assert_eq!(said(method, "v1/a"), kind, "{method}");
    }
    assert_eq!(world.network.take_dialled().len(), 1);
}

fn a_header_of_the_hosts_own_cannot_be_said_by_wasi() {
    let world = world();
    let said = world.says(
        api(),
        &[
            "field",
            "Host=evil.example",
            "Transfer-Encoding=chunked",
            "Connection=upgrade",
            "Proxy-Anything=x",
            "X-HTTP-Method-Override=DELETE",
            "X-A=b\r\nHost: evil.example",
            "X-A\r\nHost=evil.example",
            "Content-Length=+3",
            "X-A=b",
            "Content-Length=3",
        ],
    );
    let expected = [
        ["Forbidden"; 5].as_slice(),
        &["InvalidSyntax"; 3],
        &["added"; 2],
    ]
    .concat();
    assert_eq!(said, expected.join("\n"));
    // The length that is said is that of the body, or nothing is sent.
    let sent = |length: &str| {
        let header = format!("content-length={length}");
        world.says(api(), &["send", "POST", API, "3", &header])
    };
    assert_eq!(sent("3"), "200 hello");
    assert_eq!(sent("4"), "failed: HttpRequestBodySize(Some(3))");
    assert_eq!(world.network.take_dialled().len(), 1);
}

fn the_host_says_who_asks_by_wasi_too() {
    let world = world();
    let (api, url) = (
        hosts(&["api.example.com:8080"]),
        "http://api.example.com:8080/x",
    );
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
    assert_eq!(heads[0].matches("host:").count(), 1);
    assert!(heads[1].contains("\r\nuser-agent: mine/1\r\n"));
    assert!(heads[1].contains("\r\naccept-encoding: gzip\r\n"));
}

fn a_body_by_wasi_is_sent_up_to_its_limit() {
    let world = world();
    let said = |bytes: u32| world.says(api(), &["send", "POST", API, &bytes.to_string()]);
    assert_eq!(said(1 << 20), "200 hello");
    assert_eq!(said((1 << 20) + 1), "failed: HttpRequestBodySize(None)");
    assert_eq!(said(8 << 20), "failed: HttpRequestBodySize(None)");
    assert_eq!(world.network.take_dialled().len(), 1);
    let lines = world.lines();
    assert_eq!(
        lines[1],
        format!("done 200 in 5 out {} {PUBLIC}:80", 1 << 20)
    );
    assert_eq!(lines[2..], ["P0425 POST http://api.example.com/"; 2]);
}

fn a_body_that_is_not_whole_is_not_sent() {
    let world = world();
    let half = world.says(api(), &["half", API]);
    assert_eq!(half, "failed: ConnectionTerminated");
    let trailers = world.says(api(), &["trailers", API]);
    assert_eq!(trailers, "failed: HttpProtocolError");
    assert!(world.network.asked().is_empty());
    assert_eq!(
        world.lines(),
        [
            "allow POST http://api.example.com/",
            "done the plugin gave its body up in 0 out 0",
            "P0424 POST http://api.example.com/",
        ]
    );
}

fn a_response_by_wasi_that_was_cut_ends_with_an_error() {
    let world = world();
    let whole = 4 << 20;
    let said = |path: String| world.says(api(), &[&format!("{API}{path}")]);
    assert_eq!(said(format!("bytes/{whole}")), format!("200 {whole} bytes"));
    let cut = |said: &str, bytes: usize| {
        let begin = format!("200 {bytes} bytes (");
        assert!(
            said.starts_with(&begin) && said.contains("body size"),
            "{said}"
        );
    };
    cut(&said(format!("bytes/{}", whole + 1)), whole);
    cut(&said("chunked/100000".to_owned()), whole);
    cut(&said("gzip/100000000".to_owned()), whole);
}

fn a_response_by_wasi_comes_unpacked_or_as_an_error() {
    let world = world();
    let said = |path: &str| world.says(api(), &[&format!("{API}{path}")]);
    assert_eq!(said("gzip/3"), "200 ggg");
    for path in ["brotli/1", "short/1", "nonsense/1", "headers/1000"] {
        assert_eq!(said(path), "failed: ConnectionTerminated", "{path}");
    }
    let url = format!("{API}gzip/3");
    let encoding = world.says(api(), &["header", "content-encoding", &url]);
    assert_eq!(encoding, "none");
}

fn refused_requests_by_wasi_count_too() {
    let world = world();
    let five = limited(|limits| limits.http_per_minute = 5);
    let said = |url| world.says(five.clone(), &["again", "9", url]);
    assert_eq!(said("http://other.example/"), "0");
    assert_eq!(said(API), "0", "loaded again");
    let last = world.says(five.clone(), &[API]);
    assert_eq!(last, "failed: ConnectionLimitReached");
    let another = World::new().by_wasi();
    assert_eq!(another.says(five, &["again", "9", API]), "5");
}

fn many_requests_are_under_way_at_once_but_not_any_number() {
    let world = world();
    let said = world.says(api(), &["at-once", "64", API]);
    assert_eq!(said, "64 times 200 hello");
    let large = format!("{API}bytes/2000000");
    let said = world.says(api(), &["at-once", "12", &large]);
    assert_eq!(said, "12 times 200 2000000 bytes");
    let brief = limited(|limits| limits.http_timeout = Duration::from_millis(200));
    let hang = format!("{API}hang");
    let said = world.says(brief, &["at-once", "70", &hang]);
    assert_eq!(
        said,
        "6 times failed: ConnectionLimitReached\n64 times failed: HttpResponseTimeout"
    );
    let lines = world.lines();
    let refused = lines.iter().filter(|line| line.starts_with("P0429 "));
    assert_eq!(refused.count(), 6);
    // All have the time of the call, so that none takes the room of another whose time is over.
    world.network.take_dialled();
    let brief = limited(|limits| limits.call = Duration::from_secs(1));
    block_on(async {
        let mut instance = world.instance(brief).await;
        let _over = instance.run(&args(&["at-once", "64", &hang])).await;
    });
    let dialled = world.network.take_dialled().len();
    assert!((1..=8).contains(&dialled), "{dialled} at once");
}

fn a_request_that_was_given_up_leaves_its_line() {
    let world = world();
    let hang = format!("{API}hang");
    block_on(async {
        let mut instance = world.instance(api()).await;
        for words in [["give-up", &hang], ["leave", &hang]] {
            instance.run(&args(&words)).await.unwrap().unwrap();
            let lines = world.lines();
            let (allowed, given_up): (Vec<_>, Vec<_>) =
                lines.iter().partition(|line| line.starts_with("allow "));
            assert_eq!(allowed.len(), given_up.len(), "{lines:?}");
            let given_up = given_up.iter().all(|line| line.contains("given up"));
            assert!(given_up, "{lines:?}");
        }
        let said = instance.run(&args(&[API])).await.unwrap().unwrap();
        assert_eq!(said, "200 hello");
    });
}

fn a_slow_server_is_given_up_by_wasi_too() {
    let world = world();
    let hasty = limited(|limits| limits.http_timeout = Duration::from_millis(50));
    let hang = format!("{API}hang");
    assert_eq!(
        world.says(hasty.clone(), &[&hang]),
        "failed: HttpResponseTimeout"
    );
    let lines = world.lines();
    assert!(lines[1].starts_with("done its time is over"), "{lines:?}");
    for kind in ["first-byte", "connect"] {
        let said = world.says(api(), &["timeout", kind, "30000", API]);
        assert_eq!(said, "200 hello", "{kind}");
    }
    let said = world.says(api(), &["timeout", "first-byte", "50", &hang]);
    assert_eq!(said, "failed: HttpResponseTimeout");
}

fn no_request_by_wasi_outlives_the_call() {
    let world = world();
    let hasty = limited(|limits| limits.call = Duration::from_millis(300));
    block_on(async {
        let mut instance = world.instance(hasty).await;
        let ended = instance.run(&args(&[&format!("{API}hang")])).await;
        let timed_out = "failed: HttpResponseTimeout";
        assert!(ended.is_err() || ended.is_ok_and(|said| said.unwrap() == timed_out));
    });
    let lines = world.lines();
    let done = lines
        .iter()
        .any(|line| line.starts_with("done its time is over"));
    assert!(done, "{lines:?}");
}

fn a_call_that_is_dropped_takes_its_requests_with_it() {
    let world = World::with(Peer::start(), |builder| builder).by_wasi();
    block_on(async {
        let mut instance = world.instance(api()).await;
        let hang = args(&[&format!("{API}hang")]);
        let mut call = Box::pin(instance.run(&hang));
        let under_way = async {
            while world.peer.heads().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            _ = &mut call => panic!("the server does not answer"),
            () = under_way => {}
        }
        drop(call);
        while world.lines().len() < 2 {
            tokio::task::yield_now().await;
        }
        assert!(world.lines()[1].contains("given up"), "{:?}", world.lines());
    });
}

fn what_a_guest_keeps_for_requests_is_bounded() {
    let world = world();
    let traps = |words: &[&str]| {
        block_on(async {
            let mut instance = world.instance(api()).await;
            instance.run(&args(words)).await.is_err()
        })
    };
    assert_eq!(world.says(api(), &["grow", "40000"]), "true");
    assert!(traps(&["grow", "80000"]));
    assert_eq!(world.says(api(), &["hoard", "900", "10"]), "900");
    assert!(traps(&["hoard", "1100", "10"]));
    for (part, bytes) in [
        ("method", 64),
        ("authority", 16 * 1024),
        ("path", 16 * 1024),
    ] {
        let said = |bytes: usize| world.says(api(), &["long", part, &bytes.to_string()]);
        assert_eq!(
            (said(bytes), said(bytes + 1)),
            ("true".into(), "false".into()),
            "{part}"
        );
    }
    let long = format!("{API}{}", "x".repeat(16 * 1024 - API.len()));
    assert_eq!(world.says(api(), &[&long]), "200 hello");
    let longer = format!("{long}x");
    assert_eq!(
        world.says(api(), &[&longer]),
        "failed: HttpRequestUriInvalid"
    );
}

fn without_the_grant_the_import_is_refused_by_name() {
    let world = world();
    let bytes = portcullis_testkit::guest_bytes("wasi-http");
    let grants = none();
    let loaded = world.host.load(portcullis::Source { bytes, grants });
    let told = block_on(loaded).unwrap_err().diagnostic().notes.join("\n");
    for interface in ["outgoing-handler", "types"] {
        let import = format!("`wasi:http/{interface}@0.2.");
        assert!(told.contains(&import), "{told}");
    }
    let line = "needs the `http` grant; to allow a host: portcullis grant guest http <host>";
    assert!(told.contains(line), "{told}");
    let late = Grants {
        late: true,
        ..none()
    };
    assert_eq!(world.says(late, &[API]), "failed: HttpRequestDenied");
}
