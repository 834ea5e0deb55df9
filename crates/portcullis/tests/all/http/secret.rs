//! Secrets that the host adds to requests: where they go, and that no guest ever has one.

use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use portcullis::audit::Event;
use portcullis::policy::{
    FsAccess, Grants, HostEnvironment, HttpPlace, HttpSecret, Origin, RuleId, SecretSource,
};

use super::peer::{Peer, chunked, packed, whole};
use super::{World, hosts, tls};
use crate::fixture::{Fixture, args, block_on, directory, exec_grant};

portcullis_testkit::tests![
    a_secret_goes_where_it_belongs_and_nowhere_else,
    over_tls_it_goes_to_the_server_that_proves_to_be_it,
    a_guest_neither_sets_the_header_nor_asks_for_pieces,
    a_response_with_it_in_any_form_is_withheld_and_its_neighbour_is_not,
    nothing_of_it_is_left_at_a_cut,
    a_response_of_somewhere_else_is_searched_too,
    one_that_cannot_be_used_is_not_left_out_but_the_request_is_not_sent,
    a_file_that_is_renewed_counts_and_one_that_the_plugin_can_open_does_not,
    neither_the_guest_nor_its_commands_have_the_variable,
    no_line_and_no_debug_output_has_it,
];

const TOKEN: &str = "ghs_16C7e42F292c6912E7/x+9";
const BASE: &str = "http://127.0.0.1:8080";

/// Answers with what was in `Authorization`, in the form that the path names; of `/shown/FORM` with the secret, whatever came.
pub(super) fn reflected(stream: &mut impl Write, words: &[&str], head: &str) -> io::Result<()> {
    let sent = head
        .lines()
        .find_map(|line| line.strip_prefix("authorization: "));
    let sent = sent
        .and_then(|value| value.split(' ').nth(1))
        .unwrap_or("none");
    let (form, value) = match *words {
        ["shown", form, ..] => (form, TOKEN.to_owned()),
        // One that is not quite it.
        [_, form, "other", ..] => (form, sent.replace("2F29", "2F30")),
        [_, form, ..] => (form, sent.to_owned()),
        _ => ("", sent.to_owned()),
    };
    let text = format!("{{\"authorization\":\"Bearer {value}\"}}");
    let base64 = |before: usize| STANDARD.encode(format!("{}{value}\n", &"ab"[..before]));
    let percent: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let body = match form {
        "raw" => text,
        "upper" => text.to_uppercase(),
        "base64" => base64(0),
        "base64-1" => base64(1),
        "base64-2" => base64(2),
        "base64-url" => URL_SAFE_NO_PAD.encode(format!("Bearer {value}")),
        "percent" => percent,
        "percent-some" => value.replace('/', "%2f").replace('g', "%67"),
        "percent-twice" => percent.replace('%', "%25"),
        "json" => value.bytes().map(|byte| format!("\\u{byte:04x}")).collect(),
        "hex" => hex::encode(&value),
        "backwards" => value.chars().rev().collect(),
        "lines" => value.chars().map(|c| format!("{c}\n")).collect(),
        "header" => return whole(stream, "200 OK", &format!("X-Echo: {value}\r\n"), b"ok"),
        "cookie" => {
            let cookie = format!("Set-Cookie: t={}\r\n", percent.replace("%2F", "/"));
            return whole(stream, "403 Forbidden", &cookie, b"ok");
        }
        "redirect" => {
            let location = format!("Location: https://evil.example/?t={percent}\r\n");
            return whole(stream, "302 Found", &location, b"ok");
        }
        "encoding" => {
            let encoding = format!("Content-Encoding: {value}\r\n");
            return whole(stream, "200 OK", &encoding, b"ok");
        }
        "chunks" => return chunked(stream, text.as_bytes()),
        "gzip" => return packed(stream, text.as_bytes()),
        "error" => return whole(stream, "401 Unauthorized", "", text.as_bytes()),
        // Begins so many bytes into the body.
        at => match at.parse() {
            Ok(at) => format!("{}{value}", "-".repeat(at)),
            Err(_) => "hello".to_owned(),
        },
    };
    whole(stream, "200 OK", "", body.as_bytes())
}

fn secret(source: SecretSource, to: &str) -> HttpSecret {
    HttpSecret {
        id: RuleId("mine".to_owned()),
        origin: Origin::Code,
        header: "authorization".to_owned(),
        prefix: "Bearer ".to_owned(),
        source,
        to: HttpPlace::parse(to).unwrap(),
    }
}

fn of_env() -> SecretSource {
    SecretSource::Env("API_TOKEN".to_owned())
}

fn with(mut grants: Grants, secret: HttpSecret) -> Grants {
    grants.http.secrets = vec![secret];
    grants
}

/// May ask the loopback for anything, and has a secret for `/v1`.
fn granted() -> Grants {
    let grants = hosts(&["127.0.0.1:8080", "127.0.0.1:9090", "[::1]:8080"]);
    with(grants, secret(of_env(), "http://127.0.0.1:8080/v1"))
}

fn world_of(value: &str) -> World {
    let env = HostEnvironment::new(vec![("API_TOKEN".to_owned(), value.to_owned())]);
    World::with(Peer::start(), |builder| builder.host_env(env))
}

fn world() -> World {
    world_of(TOKEN)
}

fn sent(world: &World) -> bool {
    let head = world.peer.heads().pop().unwrap();
    head.contains(&format!("\r\nauthorization: Bearer {TOKEN}\r\n"))
}

fn a_secret_goes_where_it_belongs_and_nowhere_else() {
    let world = world();
    for path in [
        "/v1",
        "/v1/",
        "/v1/x?q=/../..",
        "/v2/../v1/x",
        "/v1/a%2Fb",
        "/v1/a/../b",
    ] {
        let said = world.says(granted(), &[&format!("{BASE}{path}")]);
        assert_eq!((said.as_str(), sent(&world)), ("200 hello", true), "{path}");
    }
    for url in [
        "http://127.0.0.1:9090/v1/x",
        "http://[::1]:8080/v1/x",
        "http://127.0.0.1:8080/",
        "http://127.0.0.1:8080/v10/x",
        "http://127.0.0.1:8080/V1/x",
        "http://127.0.0.1:8080//v1/x",
        "http://127.0.0.1:8080/v1;a/x",
        "http://127.0.0.1:8080/v1/../v2",
        "http://127.0.0.1:8080/v1/%2e%2e/v2",
        "http://127.0.0.1:8080/v1/..%2fv2",
        "http://127.0.0.1:8080/v1/%2e%2e%2fv2",
        "http://127.0.0.1:8080/v1\\..\\v2",
        "http://127.0.0.1:8080/v1/..%5cv2",
        "http://127.0.0.1:8080/v1/..;/v2",
        "http://127.0.0.1:8080/v1/%252e%252e/v2",
        "http://127.0.0.1:8080/v1/..%00/v2",
    ] {
        let said = world.says(granted(), &[url]);
        assert_eq!((said.as_str(), sent(&world)), ("200 hello", false), "{url}");
    }
    assert_eq!(world.peer.heads().len(), 22);
}

fn over_tls_it_goes_to_the_server_that_proves_to_be_it() {
    let env = || HostEnvironment::new(vec![("API_TOKEN".to_owned(), TOKEN.to_owned())]);
    let api = || {
        let grants = hosts(&["api.example.com", "other.example.com"]);
        with(grants, secret(of_env(), "https://api.example.com/v1"))
    };
    let server = tls::secure(&["api.example.com", "other.example.com"]);
    let world = World::with(server.peer, |builder| {
        builder.ca_file(&server.authority).host_env(env())
    });
    world.network.name("other.example.com", &[super::PUBLIC]);
    let said = |url| world.says(api(), &[url]);
    assert_eq!(said("https://api.example.com/v1/x"), "200 hello");
    assert!(sent(&world));
    assert_eq!(said("https://other.example.com/v1/x"), "200 hello");
    assert!(!sent(&world));
    let other = tls::secure(&["other.example.com"]);
    let world = World::with(other.peer, |builder| {
        builder.ca_file(&other.authority).host_env(env())
    });
    assert_eq!(
        world.says(api(), &["https://api.example.com/v1/x"]),
        "failed: io"
    );
    assert!(world.peer.heads().is_empty());
    assert!(secrets_written(&world).is_empty(), "it was not handed over");
    // The same without TLS: not even where the policy was made by hand.
    assert!(HttpPlace::parse("http://api.example.com/v1").is_err());
    let world = World::with(Peer::start(), |builder| builder.host_env(env()));
    assert_eq!(
        world.says(api(), &["http://api.example.com/v1/x"]),
        "200 hello"
    );
    assert!(!sent(&world));
}

fn a_guest_neither_sets_the_header_nor_asks_for_pieces() {
    let world = world();
    let says = |url: &str, header: &str| world.says(granted(), &["send", "GET", url, "0", header]);
    let (inside, beside) = (format!("{BASE}/v1/x"), format!("{BASE}/v2/x"));
    for header in [
        "Authorization=mine",
        "AUTHORIZATION=mine",
        "authorization=",
        "Range=bytes=0-9",
        "If-Range=x",
    ] {
        assert_eq!(says(&inside, header), "failed: invalid", "{header}");
    }
    // Elsewhere on the same server it sets its own; a piece of what the server kept it does not get there either.
    assert_eq!(says(&beside, "Range=bytes=0-9"), "failed: invalid");
    assert!(world.peer.heads().is_empty());
    assert_eq!(says(&beside, "Authorization=mine"), "200 hello");
    assert_eq!(says(&inside, "X-Authorization=mine"), "200 hello");
    let heads = world.peer.heads();
    assert!(
        heads[0].contains("\r\nauthorization: mine\r\n") && sent(&world),
        "{heads:?}"
    );
    assert_eq!(says("http://[::1]:8080/", "Range=bytes=0-9"), "200 hello");
    let mut keyed = granted();
    keyed.http.secrets[0].header = "x-api-key".to_owned();
    let said = world.says(keyed, &["send", "GET", &inside, "0", "X_API_KEY=mine"]);
    assert_eq!(said, "failed: invalid");
}

fn a_response_with_it_in_any_form_is_withheld_and_its_neighbour_is_not() {
    for form in [
        "raw",
        "upper",
        "base64",
        "base64-1",
        "base64-2",
        "base64-url",
        "percent",
        "percent-some",
        "percent-twice",
        "json",
        "hex",
        "backwards",
        "lines",
        "header",
        "cookie",
        "redirect",
        "chunks",
        "gzip",
        "error",
    ] {
        let world = world();
        let url = format!("{BASE}/v1/{form}");
        assert_eq!(world.says(granted(), &[&url]), "failed: denied", "{form}");
        let lines = world.lines();
        assert!(sent(&world) && lines.len() == 3, "{lines:?}");
        assert!(
            lines[1].starts_with("done the response has the secret `mine` in it in 0 "),
            "{lines:?}"
        );
        assert_eq!(lines[2], format!("P0426 GET {url}"));
        assert_eq!(secrets_written(&world), ["authorization (mine)"]);
        let said = world.says(granted(), &[&format!("{url}/other")]);
        assert!(!said.starts_with("failed"), "{form} {said}");
    }
    // What is put into words for the operator is searched before.
    let world = world();
    let url = format!("{BASE}/v1/encoding");
    assert_eq!(world.says(granted(), &[&url]), "failed: denied");
    assert_eq!(
        world.says(granted(), &[&format!("{url}/other")]),
        "failed: io"
    );
}

fn nothing_of_it_is_left_at_a_cut() {
    let world = world();
    let cut = |at: usize, max: u64| {
        let mut grants = granted();
        grants.limits.http_response = max;
        world.says(grants, &[&format!("{BASE}/v1/{at}")])
    };
    for at in 64 - TOKEN.len() - 1..=64 {
        assert_eq!(cut(at, 64), "failed: denied", "{at}");
    }
    let far = 64 + 6 * 2 * TOKEN.len();
    assert_eq!(cut(far, 64), format!("200 {} (cut)", "-".repeat(64)));
    // What is whole without it is whole.
    let mut grants = granted();
    grants.limits.http_response = 5;
    assert_eq!(world.says(grants, &[&format!("{BASE}/v1/x")]), "200 hello");
}

fn a_response_of_somewhere_else_is_searched_too() {
    let world = world();
    for url in [
        "http://127.0.0.1:8080/shown/raw",
        "http://[::1]:8080/shown/base64-2",
    ] {
        assert_eq!(world.says(granted(), &[url]), "failed: denied");
        assert!(!sent(&world));
        assert!(secrets_written(&world).is_empty());
    }
    let said = world.says(
        hosts(&["127.0.0.1:8080"]),
        &["http://127.0.0.1:8080/shown/raw"],
    );
    assert!(
        said.contains(TOKEN),
        "who has no such secret is shown it: {said}"
    );
}

fn one_that_cannot_be_used_is_not_left_out_but_the_request_is_not_sent() {
    for value in [
        "",
        "short-7",
        "with a space",
        "line\r\nX-A: injected",
        "line-break\n",
        "non-ascii-\u{e9}\u{e9}",
    ] {
        let world = world_of(value);
        assert_eq!(
            world.says(granted(), &[&format!("{BASE}/v1/x")]),
            "failed: denied"
        );
        assert!(world.peer.heads().is_empty() && world.network.take_dialled().is_empty());
        let line = String::from_utf8(world.trail.lines()).unwrap();
        assert!(
            line.contains("P0428") && line.contains("`mine`: the variable `API_TOKEN`"),
            "{line}"
        );
        assert!(value.is_empty() || !line.contains(&value[..7]), "{line}");
        // What it does not go with is sent as ever.
        assert_eq!(
            world.says(granted(), &[&format!("{BASE}/v2/x")]),
            "200 hello"
        );
    }
    let world = World::new();
    assert_eq!(
        world.says(granted(), &[&format!("{BASE}/v1/x")]),
        "failed: denied"
    );
    assert!(world.peer.heads().is_empty());
}

fn a_file_that_is_renewed_counts_and_one_that_the_plugin_can_open_does_not() {
    let world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let file = root.join("token");
    let source = || SecretSource::File(file.clone());
    let grants = || with(granted(), secret(source(), "http://127.0.0.1:8080/v1"));
    let url = format!("{BASE}/v1/x");
    assert_eq!(
        world.says(grants(), &[&url]),
        "failed: denied",
        "it is not there"
    );
    for value in ["first-token", "second-token\n"] {
        std::fs::write(&file, value).unwrap();
        assert_eq!(world.says(grants(), &[&url]), "200 hello");
        let head = world.peer.heads().pop().unwrap();
        let value = value.trim_end();
        assert!(
            head.contains(&format!("\r\nauthorization: Bearer {value}\r\n")),
            "{head}"
        );
    }
    let mut open = grants();
    open.fs.push(directory(&root, "/here", FsAccess::Read));
    assert_eq!(world.says(open, &[&url]), "failed: denied");
    assert_eq!(world.peer.heads().len(), 2);
}

fn neither_the_guest_nor_its_commands_have_the_variable() {
    let env = [("API_TOKEN", TOKEN), ("APIKEY", TOKEN), ("OTHER", "shown")];
    let granted = |name: &str| {
        let source = SecretSource::Env(name.to_owned());
        let mut exec = exec_grant(&["printenv"]);
        exec.inherit_env = true;
        exec.pass_env = ["API_TOKEN", "APIKEY"].map(str::to_owned).to_vec();
        Grants {
            env: ["API_TOKEN", "APIKEY", "OTHER"].map(str::to_owned).to_vec(),
            exec: Some(exec),
            ..with(hosts(&["127.0.0.1:8080"]), secret(source, BASE))
        }
    };
    for (kept, not_kept) in [("API_TOKEN", "APIKEY"), ("APIKEY", "API_TOKEN")] {
        let fixture = Fixture::with_env(&env);
        let says = |guest: &str, words: &[&str]| {
            block_on(async {
                let mut instance = fixture.instance(guest, granted(kept)).await;
                instance.run(&args(words)).await.unwrap().unwrap()
            })
        };
        let read = says("env", &[kept, not_kept, "OTHER"]);
        assert_eq!(
            read,
            format!("{kept} is not there\n{not_kept}={TOKEN}\nOTHER=shown")
        );
        let printed = says("exec-args", &["exec", "--inherit-env", "--", "printenv"]);
        assert!(
            printed.contains("OTHER=shown") && !printed.contains(&format!("{kept}=")),
            "{printed}"
        );
        assert!(
            printed.contains(&format!("{not_kept}={TOKEN}")),
            "{printed}"
        );
    }
}

fn no_line_and_no_debug_output_has_it() {
    let world = world();
    let shown = block_on(async {
        let mut instance = world.instance(granted()).await;
        let urls =
            ["x", "raw", "header", "encoding", "redirect"].map(|form| format!("{BASE}/v1/{form}"));
        let words: Vec<_> = urls.iter().map(String::as_str).collect();
        let said = instance.run(&args(&words)).await.unwrap().unwrap();
        let plugin = format!("{:?} {:?}", instance, granted());
        let activity = format!("{:?}", instance.activity());
        format!(
            "{said} {plugin} {activity:?} {}",
            serde_json::to_string(&granted().http.secrets).unwrap()
        )
    });
    let lines = String::from_utf8(world.trail.lines()).unwrap();
    assert_eq!(
        lines.matches("\"authorization (mine)\"").count(),
        5,
        "{lines}"
    );
    assert_eq!(lines.matches("P0426").count(), 4, "{lines}");
    for text in [lines, shown, format!("{:?}", world.host)] {
        assert!(
            !text.contains(TOKEN) && !text.contains(&TOKEN[4..16]),
            "{text}"
        );
        assert!(!text.contains(&STANDARD.encode(TOKEN)[..20]), "{text}");
    }
}

/// The secrets of the last request of which it is written down what came.
fn secrets_written(world: &World) -> Vec<String> {
    let events = world.trail.events().into_iter().rev();
    let done = events
        .map(|(_, event)| event)
        .find_map(|event| match event {
            Event::Done(done) => Some(done.effect.secrets),
            _ => None,
        });
    done.unwrap_or_default()
}
