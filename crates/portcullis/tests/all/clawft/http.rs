//! `http-request`, against a real server on the loopback, which every connection leads to. What would have been connected to
//! is what the dialer was asked for.

use std::sync::Arc;

use portcullis::audit::{Memory, Sink};
use portcullis::policy::{Grants, HttpGrant, HttpRule, Limits, PluginId};
use portcullis::{Host, Session};
use serde_json::{Value, json};

use super::{call, manifest, nothing, session, tried};
use crate::fixture::{Fixture, block_on};
use crate::http::PUBLIC;
use crate::http::peer::{Network, Peer};
use crate::http::spellings::{self, GRANTED, NAMES};

portcullis_testkit::tests![
    t01_a_request_to_a_granted_host_succeeds,
    t02_a_host_that_was_not_granted_is_denied,
    t03_files_are_no_scheme_of_a_request,
    t04_data_is_no_scheme_of_a_request,
    t05_the_loopback_is_denied_also_where_all_hosts_are_granted,
    t06_the_loopback_written_as_ipv6_is_denied,
    t07_the_metadata_of_a_cloud_are_denied,
    t08_a_private_network_is_denied,
    t09_without_any_permission_nothing_is_requested,
    t10_the_eleventh_request_within_a_minute_is_one_too_many,
    t11_a_body_of_2_mib_is_too_large,
    t12_a_name_below_a_granted_one_is_reached,
    t13_a_granted_pattern_does_not_mean_the_name_itself,
    t44_a_plugin_that_used_up_its_rate_leaves_another_its_own,
    who_asks_is_what_the_manifest_says_whatever_the_plugin_says,
    only_a_body_comes_back_whatever_the_status,
    weak_06_a_server_that_never_answers_keeps_no_call_waiting,
    weak_12_no_rate_at_all_lets_no_request_through,
    weak_13_a_name_is_judged_by_what_it_resolves_to_each_time,
    weak_14_no_spelling_of_an_address_leads_inside,
    weak_15_no_redirect_is_followed,
    weak_16_entries_that_mean_more_than_they_say_mean_nothing,
    weak_17_ports_methods_and_headers_are_those_of_a_request,
    weak_17_neither_query_nor_password_is_written_down,
    weak_18_a_response_is_cut_while_it_comes_and_between_characters,
    a_request_that_fails_says_nothing_of_the_network,
];

const API: &str = "http://api.example.com/";
const NOT_LISTED: &str = "host not in network allowlist";
const INSIDE: &str = "request to private/reserved IP denied";
const RATE: &str = "rate limit exceeded: HTTP requests";

/// A host whose network leads to one server.
struct Stage {
    fixture: Fixture,
    network: Arc<Network>,
    peer: Peer,
}

impl Stage {
    fn new() -> Self {
        let (project, trail) = (tempfile::tempdir().unwrap(), Arc::new(Memory::new()));
        let peer = Peer::start();
        let network = Arc::new(Network::leading_to(peer.address()));
        network.name("api.example.com", &[PUBLIC]);
        let sink: Arc<dyn Sink> = trail.clone();
        let host = Host::builder()
            .project(project.path())
            .audit(sink)
            .network(network.clone(), network.clone());
        Self {
            fixture: Fixture {
                host: host.build().unwrap(),
                trail,
                project,
            },
            network,
            peer,
        }
    }

    async fn session(&self, asked: &[&str], granted: &[&str]) -> Session {
        let often = json!({ "max_http_requests_per_minute": u32::MAX });
        let manifest = manifest(json!({ "network": asked }), often);
        session(&self.fixture, &manifest, grants(granted)).await
    }

    /// What a plugin is told that asks for some hosts and is granted others.
    fn between(&self, asked: &[&str], granted: &[&str], url: &str) -> Result<String, String> {
        block_on(async { get(&self.session(asked, granted).await, url).await })
    }

    /// What a plugin is told that asks for these hosts and is granted them.
    fn told(&self, hosts: &[&str], url: &str) -> Result<String, String> {
        self.between(hosts, hosts, url)
    }

    /// Nothing was resolved, and nothing connected to.
    fn is_untouched(&self) -> bool {
        self.network.asked().is_empty() && self.network.take_dialled().is_empty()
    }
}

/// Requests to these hosts, as many as anybody likes.
fn grants(hosts: &[&str]) -> Grants {
    let rules = hosts.iter().map(|host| HttpRule::any_request(host));
    Grants {
        http: HttpGrant {
            allow: rules.map(|rule| rule.unwrap()).collect(),
            ..HttpGrant::default()
        },
        limits: Limits {
            http_per_minute: u32::MAX,
            ..Limits::default()
        },
        ..nothing()
    }
}

async fn send(session: &Session, params: Value) -> Result<String, String> {
    call(session, "http", params).await
}

async fn get(session: &Session, url: &str) -> Result<String, String> {
    send(session, json!({ "method": "GET", "url": url })).await
}

fn t01_a_request_to_a_granted_host_succeeds() {
    let stage = Stage::new();
    let params = json!({
        "method": "POST", "url": "http://api.example.com/hello?q=1", "headers": [["X-A", "b"]], "body": "abc",
    });
    block_on(async {
        let session = stage
            .session(&["api.example.com"], &["api.example.com"])
            .await;
        assert_eq!(send(&session, params).await.as_deref(), Ok("hello"));
    });
    assert_eq!(stage.network.take_dialled(), [format!("{PUBLIC}:80")]);
    let head = &stage.peer.heads()[0];
    assert!(head.starts_with("POST /hello?q=1 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nx-a: b\r\n") && head.contains("\r\ncontent-length: 3\r\n"));
}

fn t02_a_host_that_was_not_granted_is_denied() {
    let stage = Stage::new();
    let (api, other) = ("api.example.com", "other.example");
    let url = "http://other.example/";
    let told = Err(format!("{NOT_LISTED}: other.example"));
    for (asked, granted) in [
        (&[api][..], &[api][..]),
        (&[api, other], &[api]),
        (&[api], &[api, other]),
        (&[api], &["*"]),
    ] {
        assert_eq!(stage.between(asked, granted, url), told);
    }
    assert!(stage.is_untouched());
}

fn t03_files_are_no_scheme_of_a_request() {
    let stage = Stage::new();
    let said = stage.told(&["*"], "file:///etc/passwd");
    assert_eq!(said, Err("scheme not allowed: file".to_owned()));
    assert!(stage.is_untouched());
}

fn t04_data_is_no_scheme_of_a_request() {
    let stage = Stage::new();
    for scheme in ["data", "javascript", "ftp", "gopher", "unix", "ws"] {
        let said = stage.told(&["*"], &format!("{scheme}:text/plain,x"));
        assert_eq!(said, Err(format!("scheme not allowed: {scheme}")));
    }
    assert!(stage.is_untouched());
}

/// The plugin asks for this address and is granted every host, and neither leads there.
fn is_inside(url: &str, address: &str) {
    let stage = Stage::new();
    let told = Err(format!("{INSIDE}: {address}"));
    assert_eq!(stage.told(&["*"], url), told);
    assert_eq!(stage.between(&["*", address], &["*"], url), told);
    assert!(stage.is_untouched());
}

fn t05_the_loopback_is_denied_also_where_all_hosts_are_granted() {
    is_inside("http://127.0.0.1/", "127.0.0.1");
    let stage = Stage::new();
    let granted = ["127.0.0.1:8080"];
    let said = stage.between(&["127.0.0.1"], &granted, "http://127.0.0.1:8080/");
    assert_eq!(said.as_deref(), Ok("hello"), "granted by its own name");
}

fn t06_the_loopback_written_as_ipv6_is_denied() {
    is_inside("http://[::ffff:127.0.0.1]/", "127.0.0.1");
    is_inside("http://[::1]/", "::1");
}

fn t07_the_metadata_of_a_cloud_are_denied() {
    is_inside("http://169.254.169.254/latest/", "169.254.169.254");
}

fn t08_a_private_network_is_denied() {
    for address in ["10.0.0.1", "172.16.0.1", "192.168.1.1"] {
        is_inside(&format!("http://{address}/"), address);
    }
}

fn t09_without_any_permission_nothing_is_requested() {
    let stage = Stage::new();
    let told = Err("network access not permitted".to_owned());
    for (asked, granted) in [(&[][..], &[][..]), (&[], &["*"]), (&["*"], &[])] {
        assert_eq!(stage.between(asked, granted, API), told);
        assert_eq!(stage.between(asked, granted, "http://127.0.0.1/"), told);
    }
    assert!(stage.is_untouched());
}

/// How many requests are answered one after the other before one is not, and what is said of that.
async fn until_refused(session: &Session) -> (usize, String) {
    for answered in 0..10_000 {
        if let Err(said) = get(session, API).await {
            return (answered, said);
        }
    }
    panic!("every request was answered");
}

fn t10_the_eleventh_request_within_a_minute_is_one_too_many() {
    let stage = Stage::new();
    let asked = json!({ "network": ["api.example.com"] });
    block_on(async {
        // What a manifest says of it is ten.
        let manifest = manifest(asked, json!({}));
        let session = session(&stage.fixture, &manifest, grants(&["api.example.com"])).await;
        let (answered, said) = until_refused(&session).await;
        assert_eq!(said, RATE);
        // One comes back every six seconds.
        assert!((10..20).contains(&answered), "{answered}");
        assert_eq!(stage.network.take_dialled().len(), answered);
    });
}

fn t11_a_body_of_2_mib_is_too_large() {
    let stage = Stage::new();
    block_on(async {
        let session = stage
            .session(&["api.example.com"], &["api.example.com"])
            .await;
        let sized = |bytes: u64| json!({ "method": "POST", "url": API, "bytes": bytes });
        let said = send(&session, sized(2 << 20)).await;
        let told = "request body too large: 2097152 bytes, max 1048576";
        assert_eq!(said, Err(told.to_owned()));
        assert!(stage.is_untouched());
        let said = send(&session, sized(1 << 20)).await;
        assert_eq!(said.as_deref(), Ok("hello"), "its twin");
    });
}

fn t12_a_name_below_a_granted_one_is_reached() {
    let stage = Stage::new();
    for name in ["sub.example.com", "a.b.example.com", "SUB.Example.COM"] {
        let lower = name.to_lowercase();
        stage.network.name(&lower, &[PUBLIC]);
        let said = stage.told(&["*.example.com"], &format!("http://{name}/"));
        assert_eq!(said.as_deref(), Ok("hello"), "{name}");
    }
}

fn t13_a_granted_pattern_does_not_mean_the_name_itself() {
    let stage = Stage::new();
    for name in ["example.com", "badexample.com", "example.com.evil.example"] {
        let said = stage.told(&["*.example.com"], &format!("http://{name}/"));
        assert_eq!(said, Err(format!("{NOT_LISTED}: {name}")));
    }
    assert!(stage.is_untouched());
}

fn t44_a_plugin_that_used_up_its_rate_leaves_another_its_own() {
    let stage = Stage::new();
    let asked = json!({ "network": ["api.example.com"] });
    block_on(async {
        let manifest = manifest(asked, json!({}));
        let granted = grants(&["api.example.com"]);
        let one = session(&stage.fixture, &manifest, granted.clone()).await;
        until_refused(&one).await;
        let again = session(&stage.fixture, &manifest, granted.clone()).await;
        let said = until_refused(&again).await;
        assert!(said.0 < 10, "loaded again it is the same plugin");
        let other = Grants {
            plugin: PluginId::new("another").unwrap(),
            ..granted
        };
        let two = session(&stage.fixture, &manifest, other).await;
        assert!(until_refused(&two).await.0 >= 10);
    });
}

fn who_asks_is_what_the_manifest_says_whatever_the_plugin_says() {
    let stage = Stage::new();
    let own = json!([["user-agent", "mine/1"], ["USER-AGENT", "mine/2"]]);
    let params = json!({ "method": "GET", "url": API, "headers": own });
    block_on(async {
        let session = stage
            .session(&["api.example.com"], &["api.example.com"])
            .await;
        assert!(get(&session, API).await.is_ok());
        assert!(send(&session, params).await.is_ok());
    });
    let agent = "\r\nuser-agent: clawft-plugin/com.example.everything/1.2.3\r\n";
    for head in stage.peer.heads() {
        assert!(head.contains(agent) && !head.contains("mine"), "{head}");
    }
}

fn only_a_body_comes_back_whatever_the_status() {
    let stage = Stage::new();
    for status in [200, 201, 301, 404, 500, 503] {
        let said = stage.told(&["api.example.com"], &format!("{API}status/{status}"));
        assert_eq!(said.as_deref(), Ok("a body"), "{status}");
    }
}

fn weak_06_a_server_that_never_answers_keeps_no_call_waiting() {
    let stage = Stage::new();
    let asked = json!({ "network": ["api.example.com"] });
    let hang = json!({ "method": "GET", "url": format!("{API}hang") });
    block_on(async {
        let manifest = manifest(asked, json!({ "max_execution_seconds": 1 }));
        let session = session(&stage.fixture, &manifest, grants(&["api.example.com"])).await;
        match tried(&session, "http", hang).await {
            Ok(said) => assert_eq!(said, Err("request timed out".to_owned())),
            Err(error) => assert!(error.exhausted().is_some(), "{error}"),
        }
        let said = get(&session, API).await;
        assert_eq!(said.as_deref(), Ok("hello"), "it is usable again");
    });
}

fn weak_12_no_rate_at_all_lets_no_request_through() {
    let stage = Stage::new();
    let asked = json!({ "network": ["api.example.com"] });
    block_on(async {
        let manifest = manifest(asked, json!({ "max_http_requests_per_minute": 0 }));
        let session = session(&stage.fixture, &manifest, grants(&["api.example.com"])).await;
        for _ in 0..3 {
            assert_eq!(get(&session, API).await, Err(RATE.to_owned()));
        }
    });
    assert!(stage.is_untouched());
}

fn weak_13_a_name_is_judged_by_what_it_resolves_to_each_time() {
    let stage = Stage::new();
    for (name, address) in [
        ("localhost", "127.0.0.1"),
        ("metadata.google.internal", "169.254.169.254"),
        ("inside.example.com", "10.2.3.4"),
    ] {
        stage.network.name(name, &[address]);
        let said = stage.told(&["*"], &format!("http://{name}/"));
        let told = Err(format!("{INSIDE}: {name}"));
        assert_eq!(said, told, "what it resolves to is not told");
    }
    assert!(stage.network.take_dialled().is_empty());
    let rebind = "rebind.example";
    stage.network.name(rebind, &[PUBLIC]);
    stage.network.name(rebind, &["127.0.0.1"]);
    let url = format!("http://{rebind}/");
    assert_eq!(stage.told(&["*"], &url).as_deref(), Ok("hello"));
    assert_eq!(stage.told(&["*"], &url), Err(format!("{INSIDE}: {rebind}")));
    assert_eq!(stage.network.take_dialled(), [format!("{PUBLIC}:80")]);
    let asked = stage.network.asked();
    let times = asked.iter().filter(|name| *name == rebind).count();
    assert_eq!(times, 2, "once for each request");
}

fn weak_14_no_spelling_of_an_address_leads_inside() {
    let stage = Stage::new();
    for (name, addresses) in NAMES {
        stage.network.name(name, addresses);
    }
    let mut wrong = Vec::new();
    block_on(async {
        let session = stage.session(&["*"], &GRANTED).await;
        for (url, place) in spellings::all() {
            let said = get(&session, &url).await;
            let dialled = stage.network.take_dialled();
            if dialled != place.iter().cloned().collect::<Vec<_>>()
                || said.is_ok() != place.is_some()
            {
                wrong.push(format!("{url:?}: {dialled:?} for {place:?}, {said:?}"));
            }
        }
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn weak_15_no_redirect_is_followed() {
    let stage = Stage::new();
    let url = format!("{API}redirect/http://169.254.169.254/latest");
    let said = stage.told(&["*"], &url);
    assert_eq!(said.as_deref(), Ok("elsewhere"), "its body is the answer");
    assert_eq!(stage.network.take_dialled(), [format!("{PUBLIC}:80")]);
}

fn weak_16_entries_that_mean_more_than_they_say_mean_nothing() {
    let stage = Stage::new();
    stage.network.name("example.com", &[PUBLIC]);
    for entry in [
        "*.com",
        "*.",
        ".",
        "*.*.example.com",
        "http://api.example.com",
    ] {
        assert!(
            HttpRule::any_request(entry).is_err(),
            "no policy has {entry}"
        );
        let said = stage.between(&[entry], &["*"], API);
        let told = Err("network access not permitted".to_owned());
        assert_eq!(said, told, "nor is anything asked for by {entry}");
    }
    let said = stage.told(&["*.example.com"], "https://.example.com/");
    assert!(said.unwrap_err().starts_with("invalid URL: "));
    let host = &["api.example.com"];
    for url in ["http://api.example.com./", "http://API.EXAMPLE.COM/"] {
        assert_eq!(stage.told(host, url).as_deref(), Ok("hello"), "{url}");
    }
    let said = stage.told(&["api.example.com."], API);
    assert_eq!(
        said.as_deref(),
        Ok("hello"),
        "a final dot counts for nothing"
    );
}

fn weak_17_ports_methods_and_headers_are_those_of_a_request() {
    let stage = Stage::new();
    let host = &["api.example.com"];
    for port in [22, 25, 8443] {
        let said = stage.told(host, &format!("http://api.example.com:{port}/"));
        assert_eq!(said, Err(format!("{NOT_LISTED}: api.example.com")));
    }
    block_on(async {
        let session = stage.session(host, host).await;
        let with = |method: &str, headers: Value| json!({ "method": method, "url": API, "headers": headers });
        for method in ["CONNECT", "TRACE", "GET /", "GET\r\nX:", ""] {
            let said = send(&session, with(method, json!([]))).await;
            assert_eq!(said, Err("method not allowed".to_owned()), "{method}");
        }
        for name in [
            "Host",
            "Content-Length",
            "Transfer-Encoding",
            "Connection",
            "Proxy-Authorization",
            "X-A\r\nHost",
            "",
        ] {
            let said = send(&session, with("GET", json!([[name, "1"]]))).await;
            assert_eq!(said, Err(format!("header not allowed: {name}")));
        }
        let said = send(&session, with("GET", json!([["X-A", "b\r\nHost: evil"]]))).await;
        assert_eq!(said, Err("header not allowed: X-A".to_owned()));
        assert!(stage.is_untouched());
        let many: Vec<_> = (0..1000).map(|_| ["a", "b"]).collect();
        let said = send(&session, with("GET", json!(many))).await;
        assert!(said.unwrap_err().starts_with("request headers too large"));
        assert_eq!(
            send(&session, with("get", json!([]))).await.as_deref(),
            Ok("hello")
        );
    });
    let other = stage.between(
        host,
        &["api.example.com:8443"],
        "http://api.example.com:8443/",
    );
    assert_eq!(other.as_deref(), Ok("hello"), "a port that was granted");
}

fn weak_17_neither_query_nor_password_is_written_down() {
    let stage = Stage::new();
    for url in [
        "http://api.example.com/hello?key=hunter2",
        "http://me:hunter2@api.example.com/",
        "http://other.example/?hunter2",
        "data:text/plain,hunter2",
    ] {
        let said = stage.told(&["api.example.com"], url);
        assert!(!format!("{said:?}").contains("hunter2"), "{said:?}");
    }
    let trail = String::from_utf8(stage.fixture.trail.lines()).unwrap();
    assert!(trail.contains("api.example.com/hello"));
    assert!(!trail.contains("hunter2"), "{trail}");
}

fn weak_18_a_response_is_cut_while_it_comes_and_between_characters() {
    const MOST: usize = 4 << 20;
    let stage = Stage::new();
    let told = |path: &str| stage.told(&["api.example.com"], &format!("{API}{path}"));
    // A letter of one byte and then letters of two: the limit falls into one of them.
    let cut = told(&format!("letters/{MOST}")).unwrap();
    assert_eq!(cut.len(), MOST - 1);
    assert!(cut.ends_with('\u{e9}'));
    assert_eq!(
        told("letters/2").as_deref(),
        Ok("a\u{e9}\u{e9}"),
        "its twin"
    );
    assert_eq!(told("chunked/100000").unwrap().len(), MOST);
    let unpacked = told("gzip/100000000").unwrap();
    assert_eq!(unpacked.len(), MOST, "as unpacked");
    let said = told("no-text");
    assert_eq!(
        said,
        Err("response error: body is not valid UTF-8".to_owned())
    );
}

fn a_request_that_fails_says_nothing_of_the_network() {
    let stage = Stage::new();
    stage.network.name("empty.example", &[]);
    for url in [
        format!("{API}nonsense"),
        format!("{API}short"),
        format!("{API}brotli"),
        "http://unknown.example/".to_owned(),
        "http://empty.example/".to_owned(),
        "https://api.example.com/".to_owned(),
    ] {
        assert_eq!(stage.told(&["*"], &url), Err("request failed".to_owned()));
    }
}
