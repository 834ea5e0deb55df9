//! The life of an instance: `init`, state between calls, ends, and what two plugins see of one another.

use portcullis::audit::Event;
use portcullis::policy::{Grants, PluginId};
use portcullis::{CallError, Source};
use serde_json::json;

use super::{call, exhausted, load, manifest, nothing, session, tried};
use crate::fixture::{Fixture, args, block_on};

portcullis_testkit::tests![
    an_instance_is_kept_between_calls_and_init_is_called_once,
    after_a_crash_there_is_another_instance_and_init_is_called_again,
    a_plugin_whose_init_fails_is_rejected_with_its_words,
    an_init_that_does_not_return_is_ended,
    what_an_error_of_a_tool_says_is_an_answer_and_keeps_the_instance,
    t43_two_plugins_at_once_do_not_see_each_others_memory,
    weak_01_components_run_and_what_they_compute_comes_back,
    weak_02_what_the_host_answers_reaches_the_guest,
    no_run_is_called_in_it_and_no_tool_in_another_world,
];

fn an_instance_is_kept_between_calls_and_init_is_called_once() {
    block_on(async {
        let session = session(&Fixture::new(), &manifest(json!({}), json!({})), nothing()).await;
        for calls in 1..4 {
            let counts = call(&session, "count", json!({})).await.unwrap();
            assert_eq!(counts, format!("[1,{calls}]"));
        }
    });
}

fn after_a_crash_there_is_another_instance_and_init_is_called_again() {
    block_on(async {
        let session = session(&Fixture::new(), &manifest(json!({}), json!({})), nothing()).await;
        call(&session, "count", json!({})).await.unwrap();
        let error = tried(&session, "crash", json!({})).await.unwrap_err();
        assert!(
            matches!(
                error,
                CallError::Trap {
                    call: "execute-tool",
                    ..
                }
            ),
            "{error}"
        );
        assert_eq!(error.tool_error(), None, "nothing was used up");
        let counts = call(&session, "count", json!({})).await.unwrap();
        assert_eq!(counts, "[1,1]", "a memory of its own, made ready once");
    });
}

fn a_plugin_whose_init_fails_is_rejected_with_its_words() {
    let fixture = Fixture::with_env(&[("REFUSE_INIT", "no\u{1b}[31m today\nplease")]);
    let manifest = manifest(json!({ "env_vars": ["REFUSE_INIT"] }), json!({}));
    let grants = Grants {
        env: vec!["REFUSE_INIT".to_owned()],
        ..nothing()
    };
    block_on(async {
        let session = session(&fixture, &manifest, grants).await;
        let error = tried(&session, "count", json!({})).await.unwrap_err();
        let CallError::Init { call: "init", .. } = &error else {
            panic!("{error}");
        };
        let said = error.to_string();
        assert!(said.contains("no") && said.contains("today"), "{said}");
        assert!(!said.contains(['\u{1b}', '\n']), "{said}");
    });
}

fn an_init_that_does_not_return_is_ended() {
    let fixture = Fixture::with_env(&[("INIT_LOOPS", "yes")]);
    let asked = json!({ "env_vars": ["INIT_LOOPS"] });
    let manifest = manifest(asked, json!({ "max_fuel": 5_000_000 }));
    let grants = Grants {
        env: vec!["INIT_LOOPS".to_owned()],
        ..nothing()
    };
    block_on(async {
        let session = session(&fixture, &manifest, grants).await;
        let told = exhausted(&session, "count", json!({})).await;
        assert_eq!(told, CPU);
    });
}

const CPU: &str = r#"{"error":"plugin resource exhausted: CPU time limit exceeded"}"#;

fn what_an_error_of_a_tool_says_is_an_answer_and_keeps_the_instance() {
    block_on(async {
        let session = session(&Fixture::new(), &manifest(json!({}), json!({})), nothing()).await;
        call(&session, "count", json!({})).await.unwrap();
        let said = call(&session, "nonsense", json!({})).await.unwrap_err();
        assert_eq!(said, "no tool `nonsense`");
        let counts = call(&session, "count", json!({})).await.unwrap();
        assert_eq!(counts, "[1,2]");
    });
}

fn t43_two_plugins_at_once_do_not_see_each_others_memory() {
    const SECRET: &str = "only-the-first-knows-this-0123456789";
    let backwards: String = SECRET.chars().rev().collect();
    let fixture = Fixture::new();
    let manifest = manifest(json!({}), json!({ "max_fuel": 10_000_000_000_u64 }));
    block_on(async {
        let one = session(&fixture, &manifest, nothing()).await;
        let other = Grants {
            plugin: PluginId::new("another").unwrap(),
            ..nothing()
        };
        let two = session(&fixture, &manifest, other).await;
        // A third of the same plugin as the first.
        let three = session(&fixture, &manifest, nothing()).await;
        call(&one, "remember", json!({ "text": SECRET }))
            .await
            .unwrap();
        let look = json!({ "backwards": backwards });
        let (one, two, three) = tokio::join!(
            call(&one, "scan", look.clone()),
            call(&two, "scan", look.clone()),
            call(&three, "scan", look)
        );
        let found: usize = one.unwrap().parse().unwrap();
        assert!(found > 0, "the probe finds what is there");
        assert_eq!((two.as_deref(), three.as_deref()), (Ok("0"), Ok("0")));
    });
}

fn weak_01_components_run_and_what_they_compute_comes_back() {
    block_on(async {
        let session = session(&Fixture::new(), &manifest(json!({}), json!({})), nothing()).await;
        let said = session.describe().await.unwrap();
        let described = portcullis::Description::parse(&said).unwrap();
        assert_eq!(
            (described.name.as_str(), described.tools.len()),
            ("everything", 5)
        );
        let with_schema = described
            .tools
            .iter()
            .filter(|tool| tool.parameters.is_some());
        assert_eq!(
            with_schema.count(),
            4,
            "under each of the names that are in use"
        );
        assert_eq!(
            call(&session, "burn", json!({ "rounds": 4 }))
                .await
                .unwrap(),
            "1"
        );
    });
}

fn weak_02_what_the_host_answers_reaches_the_guest() {
    let fixture = Fixture::with_env(&[("APP", "a \u{e9}\n\u{1f389} value")]);
    let manifest = manifest(json!({ "env_vars": ["APP"] }), json!({}));
    let grants = Grants {
        env: vec!["APP".to_owned()],
        ..nothing()
    };
    block_on(async {
        let session = session(&fixture, &manifest, grants).await;
        let said = call(&session, "env", json!({ "name": "APP" }))
            .await
            .unwrap();
        assert_eq!(said, json!("a \u{e9}\n\u{1f389} value").to_string());
    });
}

fn no_run_is_called_in_it_and_no_tool_in_another_world() {
    block_on(async {
        let fixture = Fixture::new();
        let plugin = load(&fixture, &manifest(json!({}), json!({})), nothing()).await;
        let error = plugin.session("test").run(&args(&["x"])).await.unwrap_err();
        assert!(
            matches!(error, CallError::NoExport { call: "run", .. }),
            "{error}"
        );
        let mut instance = plugin.instantiate("test").await.unwrap();
        let error = instance.run(&args(&["x"])).await.unwrap_err();
        assert!(matches!(error, CallError::NoExport { .. }), "{error}");
        let bytes = portcullis_testkit::guest_bytes("noop");
        let grants = nothing();
        let ours = fixture.host.load(Source { bytes, grants }).await.unwrap();
        let error = ours
            .session("test")
            .execute_tool("x", "{}")
            .await
            .unwrap_err();
        assert!(
            matches!(
                error,
                CallError::NoExport {
                    call: "execute-tool",
                    ..
                }
            ),
            "{error}"
        );
        assert!(
            !fixture
                .trail
                .events()
                .iter()
                .any(|(_, event)| matches!(event, Event::Exhausted(_)))
        );
    });
}
