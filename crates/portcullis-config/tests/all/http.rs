//! What the plugin itself may send over HTTP.

use std::path::Path;

use portcullis_config::{FlagSet, Layer, Manifest};
use portcullis_policy::{Code, Decision, Grants, HttpDial, HttpRequest, HttpUrl, decide};

use crate::support::Project;

const HEAD: &str = "[[plugins]]\nid = \"p\"\npath = \"plugins/p.wasm\"\n";

/// What comes of a request to an address.
fn sent(grants: &Grants, method: &str, url: &str, address: &str) -> Result<String, Code> {
    let request = HttpRequest {
        method: method.to_owned(),
        url: HttpUrl::parse(url).unwrap(),
    };
    let address = address.parse().unwrap();
    match decide(grants, HttpDial { request, address }) {
        Decision::Allow(authorized) => {
            let (rule, origin) = &authorized.terms().rule;
            Ok(format!("{rule} {origin}"))
        }
        Decision::Ask { denial, .. } | Decision::Deny(denial) => Err(denial.code),
    }
}

#[test]
fn every_key_has_its_effect() {
    let project = Project::new();
    let text = format!(
        "{HEAD}limits = {{ http_request = \"1KiB\", http_response = \"2KiB\", http_timeout = \"3s\" }}\n[plugins.http]\nallow = [\n  \
         \"api.example.com\",\n  \"*.example.org:8443\",\n  \
         {{ id = \"read\", host = \"db.corp.example\", schemes = [\"https\"], methods = [\"GET\"], paths = [\"/v1/**\"], addresses = [\"10.2.0.0/16\"] }},\n]\n"
    );
    let grants = project.entry(&text, FlagSet::default()).grants;
    let (public, inside) = ("8.8.8.8", "10.2.0.7");
    let granted = sent(&grants, "POST", "http://api.example.com/x", public).unwrap();
    assert!(
        granted.starts_with("http[0] ") && granted.ends_with(":7"),
        "{granted}"
    );
    let db = "https://db.corp.example/v1/a?q=1";
    assert!(
        sent(&grants, "GET", db, inside)
            .unwrap()
            .starts_with("read ")
    );
    assert!(sent(&grants, "GET", "https://a.example.org:8443/", public).is_ok());
    for (method, url, address, code) in [
        ("POST", db, inside, Code::HttpRequest),
        (
            "GET",
            "http://db.corp.example/v1/a",
            inside,
            Code::HttpRequest,
        ),
        (
            "GET",
            "https://db.corp.example/v2/a",
            inside,
            Code::HttpRequest,
        ),
        ("GET", db, "10.3.0.7", Code::HttpAddress),
        ("GET", "https://api.example.com/", inside, Code::HttpAddress),
        (
            "GET",
            "https://api.example.com:8443/",
            public,
            Code::HttpNotGranted,
        ),
        (
            "GET",
            "https://example.org:8443/",
            public,
            Code::HttpNotGranted,
        ),
    ] {
        let refused = sent(&grants, method, url, address);
        assert_eq!(refused, Err(code), "{method} {url} {address}");
    }
    let limits = &grants.limits;
    assert_eq!((limits.http_request, limits.http_response), (1024, 2048));
    assert_eq!(limits.http_timeout.as_secs(), 3);
}

#[test]
fn without_the_key_nothing_is_granted_and_a_flag_adds_hosts() {
    let project = Project::new();
    let grants = project.entry(HEAD, FlagSet::default()).grants;
    assert!(grants.http.allow.is_empty());
    let flags = FlagSet {
        allow_http: vec!["api.example.com".to_owned()],
        ..FlagSet::default()
    };
    let grants = project.entry(HEAD, flags).grants;
    let by = sent(&grants, "GET", "https://api.example.com/", "8.8.8.8").unwrap();
    assert!(by.ends_with("`--allow-http=api.example.com`"), "{by}");
}

#[test]
fn what_could_mean_nothing_or_everything_is_a_mistake() {
    let project = Project::new();
    for entry in [
        "\"*.com\"",
        "\"localhost\"",
        "\"127.0.0.1\"",
        "\"https://api.example.com\"",
        "\"api.example.com/v1\"",
        "\"*:8443\"",
        "{ host = \"*\", addresses = [\"10.0.0.0/8\"] }",
        "{ host = \"a.example\", addresses = [\"127.0.0.0/8\"] }",
        "{ host = \"a.example\", methods = [] }",
        "{ host = \"a.example\", methods = [\"get\"] }",
        "{ host = \"a.example\", methods = [\"CONNECT\"] }",
        "{ host = \"a.example\", schemes = [\"ftp\"] }",
        "{ host = \"a.example\", paths = [\"v1\"] }",
        "{ host = \"a.example\", paths = [\"/a*\"] }",
        "{ host = \"a.example\", path = [\"/a\"] }",
        "{ id = \"x\", host = \"a.example\" }, { id = \"x\", host = \"b.example\" }",
    ] {
        let text = format!("{HEAD}http = {{ allow = [{entry}] }}\n");
        assert!(project.load(&[project.trusted(&text)]).is_err(), "{entry}");
    }
}

#[test]
fn a_file_of_the_tree_gives_no_host_and_raises_no_limit() {
    let project = Project::new();
    let trusted = project.trusted(HEAD);
    for (rest, told) in [
        ("http = { allow = [\"a.example\"] }", "may not set `http`"),
        (
            "limits = { http_response = \"1GiB\" }",
            "`limits.http_response` is higher",
        ),
        (
            "limits = { http_request = \"1GiB\" }",
            "`limits.http_request` is higher",
        ),
        (
            "limits = { http_timeout = \"1h\" }",
            "`limits.http_timeout` is higher",
        ),
    ] {
        let found = project.found(&format!("[[plugins]]\nid = \"p\"\n{rest}\n"));
        let mistakes = project.mistakes(&[trusted.clone(), found]);
        assert!(mistakes.contains(told), "{mistakes}");
    }
}

#[test]
fn a_ceiling_bounds_every_layer() {
    let project = Project::new();
    let above = Layer::Ceiling {
        path: project.path("ceiling.toml"),
        text: "http = { allow = [\"api.example.com\"] }\nlimits = { http_response = \"1KiB\" }\n"
            .to_owned(),
    };
    let policy = project.trusted(&format!("{HEAD}http = {{ allow = [\"*\"] }}\n"));
    let grants = project
        .load(&[above, policy])
        .unwrap()
        .plugin("p")
        .unwrap()
        .grants;
    assert!(sent(&grants, "GET", "https://api.example.com/", "8.8.8.8").is_ok());
    let other = sent(&grants, "GET", "https://b.example.com/", "8.8.8.8");
    assert_eq!(other, Err(Code::HttpCeiling));
    assert_eq!(grants.limits.http_response, 1024);
}

#[test]
fn a_plugin_reaches_only_the_hosts_that_it_asks_for() {
    let text = format!("{HEAD}http = {{ allow = [\"*\", \"api.example.com:8443\"] }}\n");
    let granted = Project::new().entry(&text, FlagSet::default()).grants;
    let asking = |asks: &str| {
        let text = format!("id = \"p\"\nversion = \"1\"\nworld = \"w\"\n{asks}");
        Manifest::parse(Path::new("plugin.toml"), &text)
    };
    let ask = "[[asks]]\ncapability = \"http\"\nreason = \"x\"\n";
    let one = asking(&format!("{ask}host = \"api.example.com\"\n")).unwrap();
    assert!(one.asks_not_granted(&granted).is_empty());
    let left = one.restrict(granted.clone());
    let api = |port: u16| format!("https://api.example.com:{port}/");
    for port in [443, 8443] {
        assert!(sent(&left, "GET", &api(port), "8.8.8.8").is_ok(), "{port}");
    }
    let other = sent(&left, "GET", "https://b.example.com/", "8.8.8.8");
    assert_eq!(other, Err(Code::HttpNotGranted));
    assert_eq!(asking(ask).unwrap().restrict(granted.clone()), granted);
    assert!(
        asking("")
            .unwrap()
            .restrict(granted.clone())
            .http
            .allow
            .is_empty()
    );
    assert!(asking(&format!("{ask}host = \"*.com\"\n")).is_err());
    let far = asking(&format!("{ask}host = \"far.example\"\n")).unwrap();
    let near = Project::new().entry(
        &format!("{HEAD}http = {{ allow = [\"a.example\"] }}\n"),
        FlagSet::default(),
    );
    assert_eq!(far.asks_not_granted(&near.grants).len(), 1);
}
