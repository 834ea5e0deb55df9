//! What is written down of calls, and what bounds all of them alike.

use std::fs;
use std::time::Duration;

use portcullis::audit::{Decision, Event, Verdict};
use portcullis::policy::{FsAccess, Grants, HttpGrant, HttpRule, Limits};
use portcullis::{Session, Source};
use serde_json::{Value, json};

use super::{call, exhausted, manifest, nothing, session, tried};
use crate::fixture::{Fixture, block_on, directory};

portcullis_testkit::tests![
    t42_every_call_of_a_function_is_one_entry_in_the_order_of_calls,
    weak_09_what_is_written_down_of_a_call_is_bounded_whatever_is_passed,
    weak_09_every_function_has_a_rate,
    weak_11_without_a_manifest_time_and_memory_are_bounded_too,
];

/// A plugin that may do all that it asks for, which is some of each.
async fn some_of_each(fixture: &Fixture, limits: Limits) -> Session {
    let asked = json!({
        "network": ["127.0.0.1"], "filesystem": [fixture.path()], "env_vars": ["LANG"],
    });
    let grants = Grants {
        env: vec!["LANG".to_owned()],
        fs: vec![directory(
            &fixture.path(),
            &fixture.path().display().to_string(),
            FsAccess::ReadWrite,
        )],
        // A port that nobody listens at: privileged, and of no service.
        http: HttpGrant {
            allow: vec![HttpRule::any_request("127.0.0.1:1").unwrap()],
            ..HttpGrant::default()
        },
        log: true,
        limits,
        ..nothing()
    };
    let rates = json!({
        "max_http_requests_per_minute": u32::MAX, "max_log_messages_per_minute": u32::MAX,
    });
    session(fixture, &manifest(asked, rates), grants).await
}

/// The decisions about what a test does, in their order: not those about what every instance asks for while it makes
/// itself ready.
fn decisions(fixture: &Fixture) -> Vec<Decision> {
    let events = fixture.trail.events().into_iter();
    let decisions = events.filter_map(|(_, event)| match event {
        Event::Decision(decision) => Some(decision),
        _ => None,
    });
    let own = |decision: &Decision| !decision.object.as_str().contains("INIT");
    decisions.filter(own).collect()
}

fn t42_every_call_of_a_function_is_one_entry_in_the_order_of_calls() {
    let fixture = Fixture::with_env(&[("LANG", "C")]);
    let file = fixture.path().join("a.txt").display().to_string();
    let http = |url: &str| ("http", json!({ "method": "GET", "url": url }));
    let calls = [
        http("http://127.0.0.1:1/x"),
        http("http://other.example/"),
        ("write", json!({ "path": file, "content": "12345" })),
        (
            "write",
            json!({ "path": "/etc/passwd", "content": "12345" }),
        ),
        ("read", json!({ "path": file })),
        ("read", json!({ "path": "/etc/passwd" })),
        ("env", json!({ "name": "LANG" })),
        ("env", json!({ "name": "HOME" })),
        ("log", json!({ "level": 2, "message": "hello" })),
        ("read", json!({ "path": file })),
    ];
    block_on(async {
        let session = some_of_each(&fixture, Limits::default()).await;
        for (tool, params) in &calls {
            let _said = call(&session, tool, params.clone()).await;
        }
    });
    let denied = |function, object: &str, code| (function, object.to_owned(), Some(code));
    let allowed = |function, object: &str| (function, object.to_owned(), None);
    let expected = [
        allowed("http.send", "GET http://127.0.0.1:1/x"),
        denied("http.send", "GET http://other.example/", "P0421"),
        allowed("fs.write", &file),
        denied("fs.write", "/etc/passwd", "P0301"),
        allowed("fs.read", &file),
        denied("fs.read", "/etc/passwd", "P0301"),
        allowed("env.get", "LANG"),
        denied("env.get", "HOME", "P0401"),
        allowed("log.write", "info: hello"),
        allowed("fs.read", &file),
    ];
    let decisions = decisions(&fixture);
    for (decision, (function, object, code)) in decisions.iter().zip(&expected) {
        let called = decision.function.as_deref().unwrap_or_default();
        assert_eq!(format!("{}.{called}", decision.capability), *function);
        assert_eq!(decision.object.as_str(), object);
        assert_eq!(decision.plugin, "everything");
        assert_eq!(decision.code.as_deref(), *code, "{object}");
        assert_eq!(decision.verdict == Verdict::Deny, code.is_some());
        assert_eq!(decision.reason.is_some(), code.is_some(), "its error");
    }
    assert_eq!(decisions.len(), expected.len());
    let calls: Vec<_> = decisions.iter().map(|decision| decision.call).collect();
    assert!(calls.is_sorted() && calls.windows(2).all(|two| two[0] != two[1]));
}

/// A call of each function with a text of so many bytes.
fn with_text(bytes: usize) -> Vec<(&'static str, Value)> {
    let text = "\u{e9}".repeat(bytes / 2);
    vec![
        (
            "http",
            json!({ "method": text, "url": "http://127.0.0.1:1/" }),
        ),
        (
            "http",
            json!({ "method": "GET", "url": format!("http://127.0.0.1:1/{text}") }),
        ),
        (
            "http",
            json!({ "method": "GET", "url": "http://127.0.0.1:1/", "headers": [[text, text]] }),
        ),
        ("read", json!({ "path": format!("/{text}") })),
        (
            "write",
            json!({ "path": format!("/{text}"), "content": text }),
        ),
        ("env", json!({ "name": text })),
        ("log", json!({ "message": text })),
    ]
}

fn weak_09_what_is_written_down_of_a_call_is_bounded_whatever_is_passed() {
    const MIB: usize = 1024 * 1024;
    let fixture = Fixture::new();
    let calls = with_text(MIB);
    block_on(async {
        let session = some_of_each(&fixture, Limits::default()).await;
        for (tool, params) in &calls {
            let _said = call(&session, tool, params.clone()).await;
        }
        let activity = session.activity().await;
        assert!(!activity.denials.is_empty());
        assert!(format!("{activity:?}").len() < 64 * 1024, "nor in memory");
    });
    let trail = String::from_utf8(fixture.trail.lines()).unwrap();
    let longest = trail.lines().map(str::len).max().unwrap();
    assert!(decisions(&fixture).len() >= calls.len());
    assert!(longest < 4096, "{longest}");
}

fn weak_09_every_function_has_a_rate() {
    let fixture = Fixture::with_env(&[("LANG", "C")]);
    let file = fixture.path().join("a.txt").display().to_string();
    fs::write(&file, "text").unwrap();
    let limits = Limits {
        calls_per_minute: 5,
        http_per_minute: 5,
        log_per_minute: 5,
        ..Limits::default()
    };
    for (tool, params, refused) in [
        (
            "http",
            json!({ "method": "GET", "url": "http://other.example/" }),
            Some(Err("rate limit exceeded: HTTP requests".to_owned())),
        ),
        (
            "read",
            json!({ "path": file }),
            Some(Err("rate limit exceeded: filesystem calls".to_owned())),
        ),
        (
            "write",
            json!({ "path": file, "content": "text" }),
            Some(Err("rate limit exceeded: filesystem calls".to_owned())),
        ),
        (
            "env",
            json!({ "name": "LANG" }),
            Some(Ok("null".to_owned())),
        ),
        ("log", json!({ "message": "m" }), None),
    ] {
        block_on(async {
            let session = some_of_each(&fixture, limits.clone()).await;
            for _ in 0..6 {
                let said = call(&session, tool, params.clone()).await;
                if Some(said) == refused {
                    break;
                }
            }
        });
        let too_often = decisions(&fixture)
            .into_iter()
            .filter(|decision| decision.code.as_deref() == Some("P0226"))
            .map(|decision| decision.capability);
        let capability = match tool {
            "read" | "write" => "fs",
            other => other,
        };
        assert!(
            too_often.into_iter().any(|refused| refused == capability),
            "{tool}"
        );
    }
}

fn weak_11_without_a_manifest_time_and_memory_are_bounded_too() {
    let fixture = Fixture::new();
    let grants = Grants {
        limits: Limits {
            call: Duration::from_millis(300),
            memory: 16 * 1024 * 1024,
            ..Limits::default()
        },
        ..nothing()
    };
    assert_eq!(
        grants.limits.fuel, None,
        "nothing but the clock ends a loop"
    );
    let bytes = portcullis_testkit::guest_bytes("clawft");
    // The one thread of this runtime is the one that the guest keeps.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let plugin = fixture.host.load(Source { bytes, grants }).await.unwrap();
        let session = plugin.session("test");
        let told = exhausted(&session, "loop", json!({})).await;
        assert!(told.contains("execution time limit exceeded"), "{told}");
        let more = json!({ "mebibytes": 17 });
        let told = exhausted(&session, "allocate", more).await;
        assert!(told.contains("memory limit exceeded"), "{told}");
        assert!(tried(&session, "count", json!({})).await.is_ok());
    });
}
