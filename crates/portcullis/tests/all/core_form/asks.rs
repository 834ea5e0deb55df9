//! Functions that take one request and give one answer: each with its grant, and without.

use std::pin::Pin;
use std::sync::Arc;

use portcullis::audit::{Event, Verdict};
use portcullis::policy::{FsAccess, Grants, KvGrant, KvOwner, KvSize, Limits, Origin};
use portcullis::{LoadError, Prompt, PromptKind, Prompter, Reply};
use portcullis_testkit::tests;
use serde_json::{Value, json};

use super::guest::{Guest, Stage};
use crate::fixture::{block_on, directory, none, programs};
use crate::http::peer::{Network, Peer};
use crate::http::{PUBLIC, hosts};

tests![
    without_its_grant_no_function_is_there,
    late_each_is_there_and_refuses,
    what_is_no_request_is_invalid_whatever_the_function,
    files_are_read_and_written_where_granted,
    files_elsewhere_are_denied_and_nothing_is_changed,
    a_file_that_is_too_large_is_not_given,
    values_are_kept_swapped_and_listed,
    a_value_too_large_is_refused,
    a_request_is_sent_where_granted,
    a_request_elsewhere_is_denied_and_nobody_is_connected_to,
    a_request_takes_no_longer_than_it_says,
    a_variable_is_read_and_what_was_not_granted_looks_unset,
    questions_are_answered,
    where_nobody_is_asked_that_is_said,
    refused_calls_count_against_the_rate,
    no_answer_is_made_while_room_is_made,
    a_request_id_is_in_the_trail_and_nowhere_else,
];

/// Each function that needs a grant, with a request that is one, and how it refuses.
const NEEDING: [(&str, &str, &str); 15] = [
    ("exec", r#"{"program":"echo"}"#, "denied"),
    ("exec_start", r#"{"program":"echo"}"#, "denied"),
    ("fs_read", r#"{"path":"a"}"#, "denied"),
    ("fs_write", r#"{"path":"a","content":""}"#, "denied"),
    ("fs_entries", r#"{"path":"a"}"#, "denied"),
    ("fs_stat", r#"{"path":"a"}"#, "denied"),
    ("fs_make_directory", r#"{"path":"a"}"#, "denied"),
    ("fs_remove", r#"{"path":"a"}"#, "denied"),
    ("fs_rename", r#"{"from":"a","to":"b"}"#, "denied"),
    ("kv_get", r#"{"key":"a"}"#, "denied"),
    ("kv_set", r#"{"key":"a","value":""}"#, "denied"),
    ("kv_delete", r#"{"key":"a"}"#, "denied"),
    ("kv_list", r#"{"limit":1}"#, "denied"),
    ("kv_compare_and_swap", r#"{"key":"a","value":""}"#, "denied"),
    (
        "http_send",
        r#"{"method":"GET","url":"http://a.example/"}"#,
        "denied",
    ),
];

fn kind(kind: &str) -> Value {
    json!({"error": {"kind": kind}})
}

fn without_its_grant_no_function_is_there() {
    let stage = Stage::new();
    let env = [("env_get", r#"{"name":"A"}"#, "")];
    for (function, request, _) in NEEDING.iter().chain(&env) {
        let guest = Guest::asks(function, request);
        let error = block_on(stage.load(guest.assemble(), none())).unwrap_err();
        let LoadError::Imports { missing, .. } = &error else {
            panic!("{function}: {error}");
        };
        assert_eq!(missing[0].name, format!("portcullis:core/v1.{function}"));
        assert!(missing[0].why.contains("to allow"), "{missing:?}");
    }
    assert!(stage.trail.events().is_empty());
}

fn late_each_is_there_and_refuses() {
    let stage = Stage::new();
    let late = Grants {
        late: true,
        ..none()
    };
    for (function, request, why) in NEEDING {
        let answer = stage.asked(late.clone(), function, request);
        assert_eq!(answer, kind(why), "{function}");
    }
    let answer = stage.asked(late, "env_get", r#"{"name":"HOME"}"#);
    assert_eq!(answer, json!({"ok": null}), "as if it were not set");
    let events = stage.trail.events();
    assert!(events.iter().all(|(_, event)| matches!(
        event,
        Event::Decision(decision) if decision.verdict == Verdict::Deny
    )));
    assert_eq!(events.len(), NEEDING.len() + 1);
}

fn what_is_no_request_is_invalid_whatever_the_function() {
    let late = Grants {
        late: true,
        ..none()
    };
    let prompts = [
        ("prompt_text", r#"{"id":"a","message":"b"}"#, ""),
        (
            "prompt_confirm",
            r#"{"id":"a","message":"b","default":true}"#,
            "",
        ),
        (
            "prompt_choose",
            r#"{"id":"a","message":"b","options":["c"]}"#,
            "",
        ),
        (
            "prompt_choose_some",
            r#"{"id":"a","message":"b","options":["c"]}"#,
            "",
        ),
        ("env_get", r#"{"name":"A"}"#, ""),
    ];
    for (function, request, _) in NEEDING.iter().chain(&prompts) {
        let stage = Stage::new();
        let extra = request.replacen('{', r#"{"extra":1,"#, 1);
        for request in [
            "",
            "[]",
            "null",
            "{}",
            "[\"a\"]",
            extra.as_str(),
            "{\"path\":\"\u{0}\"}",
        ] {
            let answer = stage.asked(late.clone(), function, request);
            assert_eq!(answer, kind("invalid"), "{function} {request}");
        }
        assert!(
            stage.trail.events().is_empty(),
            "{function}: nothing was decided"
        );
    }
}

fn files(stage: &Stage, access: FsAccess) -> Grants {
    Grants {
        fs: vec![directory(stage.project.path(), "/data", access)],
        ..none()
    }
}

fn files_are_read_and_written_where_granted() {
    let stage = Stage::new();
    let grants = files(&stage, FsAccess::ReadWrite);
    let ask = |function, request: &str| stage.asked(grants.clone(), function, request);
    let done = json!({"ok": null});
    assert_eq!(ask("fs_make_directory", r#"{"path":"/data/d"}"#), done);
    let write = r#"{"path":"/data/d/f","content":"AP9oaQ=="}"#;
    assert_eq!(ask("fs_write", write), done);
    assert_eq!(
        std::fs::read(stage.project.path().join("d/f")).unwrap(),
        b"\x00\xffhi"
    );
    assert_eq!(
        ask("fs_read", r#"{"path":"/data/d/f"}"#),
        json!({"ok": "AP9oaQ=="})
    );
    assert_eq!(
        ask("fs_entries", r#"{"path":"/data/d"}"#),
        json!({"ok": [{"name": "f", "kind": "file"}]})
    );
    let stat = ask("fs_stat", r#"{"path":"/data/d/f"}"#);
    assert_eq!(
        (&stat["ok"]["kind"], &stat["ok"]["size"]),
        (&json!("file"), &json!(4))
    );
    assert!(
        stat["ok"]["modified"].as_u64().unwrap() > 1 << 50,
        "nanoseconds: {stat}"
    );
    assert_eq!(
        ask("fs_rename", r#"{"from":"/data/d/f","to":"/data/g"}"#),
        done
    );
    assert_eq!(ask("fs_read", r#"{"path":"/data/d/f"}"#), kind("not-found"));
    assert_eq!(ask("fs_read", r#"{"path":"/data/d"}"#), kind("not-a-file"));
    assert_eq!(
        ask("fs_entries", r#"{"path":"/data/g"}"#),
        kind("not-a-directory")
    );
    assert_eq!(
        ask("fs_make_directory", r#"{"path":"/data/d"}"#),
        kind("exists")
    );
    assert_eq!(
        ask("fs_write", r#"{"path":"/data/d/h","content":""}"#),
        done
    );
    assert_eq!(ask("fs_remove", r#"{"path":"/data/d"}"#), kind("not-empty"));
    assert_eq!(ask("fs_remove", r#"{"path":"/data/d/h"}"#), done);
    assert_eq!(ask("fs_remove", r#"{"path":"/data/d"}"#), done);
    assert!(!stage.project.path().join("d").exists());
}

fn files_elsewhere_are_denied_and_nothing_is_changed() {
    let stage = Stage::new();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), "x").unwrap();
    std::fs::write(stage.project.path().join("kept"), "x").unwrap();
    std::os::unix::fs::symlink(outside.path(), stage.project.path().join("out")).unwrap();
    let grants = files(&stage, FsAccess::Read);
    let ask = |function, request: &str| stage.asked(grants.clone(), function, request);
    assert_eq!(
        ask("fs_read", r#"{"path":"/data/kept"}"#),
        json!({"ok": "eA=="})
    );
    let secret = outside.path().join("secret").display().to_string();
    for path in [
        "/data/out/secret",
        "/data/../secret",
        "/etc/passwd",
        secret.as_str(),
        "",
    ] {
        let request = json!({"path": path}).to_string();
        for function in ["fs_read", "fs_stat", "fs_entries"] {
            let answer = ask(function, &request);
            let kind = answer["error"]["kind"].as_str();
            assert!(
                matches!(kind, Some("denied" | "invalid")),
                "{function} {path}: {answer}"
            );
        }
    }
    for (function, request) in [
        ("fs_write", r#"{"path":"/data/kept","content":""}"#),
        ("fs_write", r#"{"path":"/data/new","content":""}"#),
        ("fs_make_directory", r#"{"path":"/data/new"}"#),
        ("fs_remove", r#"{"path":"/data/kept"}"#),
        ("fs_rename", r#"{"from":"/data/kept","to":"/data/new"}"#),
    ] {
        assert_eq!(ask(function, request), kind("denied"), "{function}");
    }
    assert_eq!(
        std::fs::read(stage.project.path().join("kept")).unwrap(),
        b"x"
    );
    assert!(!stage.project.path().join("new").exists());
}

fn a_file_that_is_too_large_is_not_given() {
    let stage = Stage::new();
    std::fs::write(stage.project.path().join("f"), [b'x'; 5]).unwrap();
    let limits = Limits {
        file_read: 4,
        file_write: 4,
        ..Limits::default()
    };
    let grants = Grants {
        limits,
        ..files(&stage, FsAccess::ReadWrite)
    };
    let ask = |function, request: &str| stage.asked(grants.clone(), function, request);
    assert_eq!(ask("fs_read", r#"{"path":"/data/f"}"#), kind("too-large"));
    let write = r#"{"path":"/data/f","content":"eHh4eHg="}"#;
    assert_eq!(ask("fs_write", write), kind("too-large"));
    let write = r#"{"path":"/data/f","content":"eHh4eA=="}"#;
    assert_eq!(ask("fs_write", write), json!({"ok": null}));
    assert_eq!(
        ask("fs_read", r#"{"path":"/data/f"}"#),
        json!({"ok": "eHh4eA=="})
    );
}

fn state(size: KvSize) -> Grants {
    Grants {
        kv: Some(KvGrant {
            size,
            owner: KvOwner::Policy {
                policy: "/policy".into(),
                file: "/plugin".into(),
            },
            origin: Origin::Code,
        }),
        ..none()
    }
}

fn values_are_kept_swapped_and_listed() {
    let kept = tempfile::tempdir().unwrap();
    let stage = Stage::with(|builder| builder.state(kept.path().join("kv")));
    let ask = |function, request: &str| stage.asked(state(KvSize::default()), function, request);
    assert_eq!(ask("kv_get", r#"{"key":"a"}"#), json!({"ok": null}));
    assert_eq!(
        ask("kv_set", r#"{"key":"a","value":"AP8="}"#),
        json!({"ok": null})
    );
    assert_eq!(ask("kv_get", r#"{"key":"a"}"#), json!({"ok": "AP8="}));
    for (request, swapped) in [
        (r#"{"key":"a","expected":null,"value":"MQ=="}"#, false),
        (r#"{"key":"a","expected":"MQ==","value":"Mg=="}"#, false),
        (r#"{"key":"a","expected":"AP8=","value":"MQ=="}"#, true),
        (r#"{"key":"b","value":"MQ=="}"#, true),
    ] {
        assert_eq!(
            ask("kv_compare_and_swap", request),
            json!({"ok": swapped}),
            "{request}"
        );
    }
    let first = ask("kv_list", r#"{"limit":1}"#);
    assert_eq!(first, json!({"ok": {"keys": ["a"], "more": true}}));
    let rest = ask("kv_list", r#"{"prefix":"","after":"a","limit":9}"#);
    assert_eq!(rest, json!({"ok": {"keys": ["b"], "more": false}}));
    assert_eq!(ask("kv_delete", r#"{"key":"a"}"#), json!({"ok": true}));
    assert_eq!(ask("kv_delete", r#"{"key":"a"}"#), json!({"ok": false}));
    assert_eq!(ask("kv_get", r#"{"key":"a"}"#), json!({"ok": null}));
}

fn a_value_too_large_is_refused() {
    let kept = tempfile::tempdir().unwrap();
    let stage = Stage::with(|builder| builder.state(kept.path().join("kv")));
    let size = KvSize {
        value: 1,
        ..KvSize::default()
    };
    let ask = |function, request: &str| stage.asked(state(size), function, request);
    assert_eq!(
        ask("kv_set", r#"{"key":"a","value":"MQ=="}"#),
        json!({"ok": null})
    );
    assert_eq!(
        ask("kv_set", r#"{"key":"a","value":"MTE="}"#),
        kind("too-large")
    );
    assert_eq!(ask("kv_get", r#"{"key":"a"}"#), json!({"ok": "MQ=="}));
}

/// A host whose network leads to one server.
fn networked() -> (Stage, Arc<Network>, Peer) {
    let peer = Peer::start();
    let network = Arc::new(Network::leading_to(peer.address()));
    network.name("api.example.com", &[PUBLIC]);
    let stage = Stage::with(|builder| builder.network(network.clone(), network.clone()));
    (stage, network, peer)
}

fn a_request_is_sent_where_granted() {
    let (stage, network, peer) = networked();
    let request = r#"{"method":"POST","url":"http://api.example.com/hello","headers":[["X-A","b"]],"body":"AP8="}"#;
    let answer = stage.asked(hosts(&["api.example.com"]), "http_send", request);
    assert_eq!(answer["ok"]["status"], 200);
    assert_eq!(answer["ok"]["body"], "aGVsbG8=");
    assert_eq!(answer["ok"]["truncated"], false);
    let headers = answer["ok"]["headers"].as_array().unwrap();
    assert!(headers.contains(&json!(["x-peer", "yes"])), "{headers:?}");
    assert_eq!(network.take_dialled(), [format!("{PUBLIC}:80")]);
    let head = &peer.heads()[0];
    assert!(
        head.starts_with("POST /hello ") && head.contains("x-a: b\r\n"),
        "{head}"
    );
}

fn a_request_elsewhere_is_denied_and_nobody_is_connected_to() {
    let (stage, network, peer) = networked();
    network.name("inside.example.com", &["10.0.0.7"]);
    for (url, why) in [
        ("http://other.example.com/", "denied"),
        ("http://inside.example.com/", "denied"),
        ("http://127.0.0.1/", "denied"),
        ("http://169.254.169.254/latest", "denied"),
        ("file:///etc/passwd", "invalid"),
    ] {
        let request = json!({"method": "GET", "url": url}).to_string();
        let grants = hosts(&["api.example.com", "inside.example.com"]);
        assert_eq!(
            stage.asked(grants, "http_send", &request),
            kind(why),
            "{url}"
        );
    }
    assert!(network.take_dialled().is_empty());
    assert!(peer.heads().is_empty());
}

fn a_request_takes_no_longer_than_it_says() {
    let (stage, ..) = networked();
    let began = std::time::Instant::now();
    let request = r#"{"method":"GET","url":"http://api.example.com/hang","timeout":200000000}"#;
    let answer = stage.asked(hosts(&["api.example.com"]), "http_send", request);
    assert_eq!(answer, kind("timed-out"));
    assert!(
        began.elapsed() < std::time::Duration::from_secs(10),
        "the policy says 30 s"
    );
}

fn a_variable_is_read_and_what_was_not_granted_looks_unset() {
    let stage = Stage::with(|builder| {
        let env = [("APP", "fast"), ("TOKEN", "hunter2")];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
        builder.host_env(portcullis::policy::HostEnvironment::new(env.to_vec()))
    });
    let grants = Grants {
        env: vec!["APP".to_owned()],
        ..none()
    };
    let ask = |request| stage.asked(grants.clone(), "env_get", request);
    assert_eq!(ask(r#"{"name":"APP"}"#), json!({"ok": "fast"}));
    assert_eq!(ask(r#"{"name":"TOKEN"}"#), json!({"ok": null}));
    assert_eq!(ask(r#"{"name":"NONE"}"#), json!({"ok": null}));
}

/// Says yes, `me`, the second, or the first and the last.
#[derive(Debug)]
struct Person;

impl Prompter for Person {
    fn ask<'a>(&'a self, prompt: Prompt<'a>) -> Pin<Box<dyn Future<Output = Reply> + Send + 'a>> {
        let reply = match prompt.kind {
            PromptKind::Text => "me",
            PromptKind::Confirm => "yes",
            PromptKind::One => "2",
            PromptKind::Some => "1,3",
        };
        Box::pin(async move { Reply::Typed(reply.to_owned()) })
    }
}

const QUESTIONS: [(&str, &str); 4] = [
    ("prompt_text", r#"{"id":"q","message":"who"}"#),
    (
        "prompt_confirm",
        r#"{"id":"q","message":"sure","default":false}"#,
    ),
    (
        "prompt_choose",
        r#"{"id":"q","message":"which","options":["a","b"]}"#,
    ),
    (
        "prompt_choose_some",
        r#"{"id":"q","message":"which","options":["a","b","c"],"defaults":null}"#,
    ),
];

fn questions_are_answered() {
    let stage = Stage::with(|builder| builder.prompter(Arc::new(Person)));
    let answers = QUESTIONS.map(|(function, request)| stage.asked(none(), function, request));
    let wanted = [json!("me"), json!(true), json!(1), json!([0, 2])];
    assert_eq!(answers, wanted.map(|answer| json!({"ok": answer})));
    let invalid = r#"{"id":"q","message":"which","options":[]}"#;
    assert_eq!(
        stage.asked(none(), "prompt_choose", invalid),
        kind("invalid")
    );
}

fn where_nobody_is_asked_that_is_said() {
    let stage = Stage::new();
    let answers = QUESTIONS.map(|(function, request)| stage.asked(none(), function, request));
    let unasked = [
        kind("nobody"),
        json!({"ok": false}),
        kind("nobody"),
        json!({"ok": []}),
    ];
    assert_eq!(answers, unasked);
}

fn refused_calls_count_against_the_rate() {
    let stage = Stage::new();
    let limits = Limits {
        calls_per_minute: 2,
        ..Limits::default()
    };
    let grants = Grants {
        limits,
        ..files(&stage, FsAccess::Read)
    };
    block_on(async {
        let mut guest = Guest::asks("fs_stat", r#"{"path":"/etc"}"#);
        let one = guest.run.split(") (i64.const").next().unwrap().to_owned() + ")";
        guest.run = format!("{one} {one} {}", guest.run);
        let mut instance = stage.start(&guest, grants).await.unwrap();
        instance.run(&[]).await.unwrap().unwrap();
    });
    let answers = stage.answers();
    assert_eq!(answers, [kind("denied"), kind("denied"), kind("limit")]);
}

fn no_answer_is_made_while_room_is_made() {
    let stage = Stage::new();
    std::fs::write(stage.project.path().join("f"), "x").unwrap();
    block_on(async {
        // `allocate` asks again, which would never come to an end.
        let guest = Guest {
            allocate: r#"(global $inner (mut i64) (i64.const -1))
                (func (export "allocate") (param $length i32) (result i32)
                    (global.set $inner (call $asked (i64.const 0x400_0000_0012)))
                    (i32.const 32768))"#,
            ..Guest::asks("fs_read", r#"{"path":"/data/f"}"#)
        };
        let run = format!(
            "(if (i64.ne (global.get $inner) (i64.const 0)) (then unreachable)) {}",
            guest.run
        );
        let guest = Guest { run, ..guest };
        let grants = files(&stage, FsAccess::Read);
        let mut instance = stage.start(&guest, grants).await.unwrap();
        instance.run(&[]).await.unwrap().unwrap();
    });
    assert_eq!(stage.answer(), json!({"ok": "eA=="}));
    assert_eq!(
        stage.trail.events().len(),
        1,
        "what was refused there did nothing"
    );
}

fn a_request_id_is_in_the_trail_and_nowhere_else() {
    let stage = Stage::new();
    let long = "x".repeat(129);
    for (request, answer) in [
        (
            r#"{"program":"echo","request-id":"job-7"}"#.to_owned(),
            None,
        ),
        (
            r#"{"program":"cat","request-id":"job-8"}"#.to_owned(),
            Some("denied"),
        ),
        (r#"{"program":"echo"}"#.to_owned(), None),
        (
            json!({"program": "echo", "request-id": long}).to_string(),
            Some("invalid"),
        ),
        (
            r#"{"program":"echo","request-id":"ghp_0123456789abcdefghijABCDEFGHIJ456789"}"#
                .to_owned(),
            None,
        ),
    ] {
        let said = stage.asked(programs(&["echo"]), "exec", &request);
        match answer {
            Some(why) => assert_eq!(said, kind(why), "{request}"),
            None => assert_eq!(said["ok"]["exit"]["code"], 0, "{request}"),
        }
    }
    let ids = stage
        .trail
        .events()
        .into_iter()
        .filter_map(|(_, event)| match event {
            Event::Decision(decision) => Some(decision.request_id.map(|id| id.as_str().to_owned())),
            _ => None,
        });
    let ids: Vec<_> = ids.collect();
    assert_eq!(
        ids[..3],
        [Some("job-7".to_owned()), Some("job-8".to_owned()), None]
    );
    assert_eq!(ids.len(), 4, "what is no request is not decided on");
    let masked = ids[3].as_deref().unwrap();
    assert!(
        !masked.contains("0123456789abcdef"),
        "a secret is masked: {masked}"
    );
}
