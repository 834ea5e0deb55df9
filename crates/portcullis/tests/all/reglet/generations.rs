//! The three generations, each spoken by a guest in Go, and how a module is told to be of one.

use portcullis::policy::{Grants, Limits};
use portcullis::{Kind, RegletStatus};
use serde_json::{Value, json};

use super::stage::{Guest, Stage, go};
use crate::fixture::{block_on, none, programs};

portcullis_testkit::tests![
    every_generation_is_recognized_and_observes,
    every_generation_says_failure_and_error,
    every_generation_describes_itself_and_has_a_schema,
    an_error_instead_of_a_manifest_is_told,
    a_module_that_imports_nothing_is_known_by_its_exports,
    a_command_is_refused_with_the_line_that_builds_it,
    all_that_does_not_fit_is_named_at_once,
    unknown_functions_are_named_when_it_is_loaded,
    functions_that_are_not_granted_are_named_when_it_is_loaded,
    late_a_function_that_is_not_granted_refuses,
    the_clock_is_real_and_the_environment_is_what_was_granted,
    imports_may_stand_twice,
    other_worlds_are_not_asked_to_observe,
];

const GENERATIONS: [&str; 3] = ["reglet-1a", "reglet-1b", "reglet-2"];

fn echo() -> Value {
    json!({ "act": "exec", "request": { "command": "/bin/echo", "args": ["hello"], "context": {} } })
}

fn every_generation_is_recognized_and_observes() {
    for name in GENERATIONS {
        let Some(bytes) = go(name) else { return };
        assert_eq!(Kind::of(&bytes), Kind::RegletModule, "{name}");
        let stage = Stage::new();
        let observed = stage.observe(bytes, programs(&["/bin/echo"]), &echo());
        assert_eq!(
            observed.observation().status,
            RegletStatus::Success,
            "{name}"
        );
        let answer = observed.answer();
        assert_eq!(answer["stdout"], "hello\n", "{name}");
        assert_eq!(answer["exit_code"], 0, "{name}");
        assert!(answer.get("error").is_none(), "{name}: {answer}");
        assert_eq!(
            stage.said(),
            "info: guest registered\n",
            "before it is asked anything"
        );
    }
}

fn every_generation_says_failure_and_error() {
    for name in GENERATIONS {
        let Some(bytes) = go(name) else { return };
        let observe = |act: &str| {
            let config = json!({ "act": act });
            Stage::new().observe(bytes.clone(), programs(&[]), &config)
        };
        let failed = observe("fail");
        assert_eq!(failed.observation().status, RegletStatus::Failure, "{name}");
        let failed = failed.observation();
        let words = failed
            .message
            .clone()
            .or(failed.error.clone().map(|error| error.message));
        assert_eq!(
            words.as_deref(),
            Some("it is not as it should be"),
            "{name}"
        );
        let panicked = observe("panic");
        assert_eq!(panicked.observation().status, RegletStatus::Error, "{name}");
        let error = panicked.observation().error.clone().unwrap();
        assert_eq!(
            (error.kind.as_str(), error.message.as_str()),
            ("panic", "plugin panic: as asked")
        );
    }
}

fn every_generation_describes_itself_and_has_a_schema() {
    for name in GENERATIONS {
        let Some(bytes) = go(name) else { return };
        block_on(async {
            let session = Stage::new().session(bytes, programs(&[])).await;
            let described = session.describe_reglet().await.unwrap().unwrap();
            let described: Value = serde_json::from_str(&described).unwrap();
            assert_eq!(described["name"], "guest", "{name}");
            let schema = session.config_schema().await.unwrap().unwrap();
            let schema: Value = serde_json::from_str(&schema).unwrap();
            assert_eq!(schema["type"], "object", "{name}");
        });
    }
}

fn an_error_instead_of_a_manifest_is_told() {
    let said = r#"{"status":"error","error":{"message":"plugin not registered","type":"internal","code":""}}"#;
    let (rest, manifest) = super::stage::text(said);
    let guest = Guest {
        rest,
        manifest,
        ..Guest::default()
    };
    block_on(async {
        let session = Stage::new().session(guest.assemble(), programs(&[])).await;
        for said in [
            session.describe_reglet().await.unwrap(),
            session.config_schema().await.unwrap(),
        ] {
            let error = said.unwrap_err().error.unwrap();
            assert_eq!(error.message, "plugin not registered");
        }
    });
}

fn module(text: &str) -> Vec<u8> {
    portcullis_testkit::assemble(text.as_bytes()).unwrap()
}

fn a_module_that_imports_nothing_is_known_by_its_exports() {
    let bytes = module(
        r#"(module (memory (export "memory") 1)
            (data (i32.const 16) "{\22Status\22:true}")
            (func (export "allocate") (param i32) (result i32) (i32.const 1024))
            (func (export "describe") (result i64) (i64.const 0))
            (func (export "observe") (param i32 i32) (result i64) (i64.const 0x10_0000_000f)))"#,
    );
    assert_eq!(Kind::of(&bytes), Kind::RegletModule);
    let observed = Stage::new().observe(bytes, none(), &json!({}));
    assert_eq!(observed.observation().status, RegletStatus::Success);
}

fn refusal(bytes: Vec<u8>, grants: Grants) -> String {
    let error = block_on(Stage::new().load(bytes, grants)).unwrap_err();
    let diagnostic = error.diagnostic();
    let helps: Vec<_> = diagnostic
        .helps
        .iter()
        .map(|help| help.text.clone())
        .collect();
    format!(
        "{}: {}\n{}\n{}",
        diagnostic.code,
        diagnostic.message,
        diagnostic.notes.join("\n"),
        helps.join("\n")
    )
}

fn a_command_is_refused_with_the_line_that_builds_it() {
    let bytes = module(
        r#"(module (import "reglet_host" "log_message" (func (param i64)))
            (memory (export "memory") 1)
            (func (export "_start"))
            (func (export "allocate") (param i32) (result i32) (i32.const 0))
            (func (export "_manifest") (result i64) (i64.const 0))
            (func (export "_observe") (param i32 i32) (result i64) (i64.const 0)))"#,
    );
    let told = refusal(bytes, none());
    assert!(told.starts_with("P0604"), "{told}");
    assert!(told.contains("without `-buildmode=c-shared`"), "{told}");
    assert!(
        told.contains("GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o plugin.wasm ."),
        "{told}"
    );
}

fn all_that_does_not_fit_is_named_at_once() {
    let bytes = module(
        r#"(module (import "reglet_host" "log_message" (func (param i32)))
            (func (export "_manifest") (param i32) (result i64) (i64.const 0))
            (func (export "_observe") (param i32 i32) (result i32) (i32.const 0))
            (func (export "deallocate") (param i32))
            (func (export "_initialize") (param i32)))"#,
    );
    let told = refusal(bytes, none());
    for problem in [
        "it exports no memory `memory`",
        "it exports no function `allocate: (i32) -> i32`",
        "its export `_manifest` is not `() -> i64`",
        "its export `_observe` is not `(i32, i32) -> i64`",
        "its export `deallocate` is not `(i32, i32)`",
        "its export `_initialize` is not `()`",
        "its import `reglet_host.log_message` is not `(i64)`",
    ] {
        assert!(told.contains(problem), "{problem}: {told}");
    }
    let none_of_them = module(
        r#"(module (import "reglet_host" "log_message" (func (param i64))) (memory (export "memory") 1)
            (func (export "allocate") (param i32) (result i32) (i32.const 0))
            (func (export "_observe") (param i32 i32) (result i64) (i64.const 0)))"#,
    );
    let told = refusal(none_of_them, none());
    assert!(
        told.contains("neither `_manifest` and `_observe` nor"),
        "{told}"
    );
}

fn unknown_functions_are_named_when_it_is_loaded() {
    let bytes = module(
        r#"(module (import "reglet_host" "tls_check" (func (param i64) (result i64)))
            (import "reglet_host" "ssrf_check" (func (param i64) (result i64)))
            (memory (export "memory") 1)
            (func (export "allocate") (param i32) (result i32) (i32.const 0))
            (func (export "_manifest") (result i64) (i64.const 0))
            (func (export "_observe") (param i32 i32) (result i64) (i64.const 0)))"#,
    );
    let told = refusal(bytes, none());
    assert!(told.starts_with("P0603"), "{told}");
    assert!(
        told.contains("`reglet_host.tls_check`: there is no such function"),
        "{told}"
    );
    assert!(told.contains("`reglet_host.ssrf_check`"), "{told}");
}

fn functions_that_are_not_granted_are_named_when_it_is_loaded() {
    let told = refusal(Guest::default().assemble(), none());
    assert!(told.starts_with("P0603"), "{told}");
    assert!(
        told.contains("portcullis grant guest exec <program>"),
        "{told}"
    );
}

fn late_a_function_that_is_not_granted_refuses() {
    let stage = Stage::new();
    let late = Grants {
        late: true,
        ..none()
    };
    let request = json!({ "command": "/bin/echo", "args": null });
    let Some((answer, activity)) = stage.exec(late, &request) else {
        return;
    };
    assert_eq!(answer["error"]["type"], "capability");
    assert_eq!(
        answer["error"]["message"],
        "permission denied: no capabilities granted to plugin guest"
    );
    assert_eq!(activity.denials.len(), 1);
    assert!(activity.commands.is_empty());
}

fn the_clock_is_real_and_the_environment_is_what_was_granted() {
    let Some(bytes) = go("reglet-2") else { return };
    let grants = Grants {
        env: vec!["PLAIN".to_owned()],
        limits: Limits::default(),
        ..programs(&[])
    };
    let observed = Stage::new().observe(bytes, grants, &json!({ "act": "facts" }));
    let data = observed.json()["data"].clone();
    assert_eq!(data["env"], "PLAIN=of the host");
    assert!(data["year"].as_i64().unwrap() > 2024, "{data}");
}

fn imports_may_stand_twice() {
    let bytes = module(
        r#"(module (import "reglet_host" "log_message" (func (param i64)))
            (import "wasi_snapshot_preview1" "random_get" (func (param i32 i32) (result i32)))
            (import "reglet_host" "log_message" (func $log (param i64)))
            (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
            (memory (export "memory") 1)
            (data (i32.const 16) "{\22status\22:\22success\22}")
            (func (export "allocate") (param i32) (result i32) (i32.const 1024))
            (func (export "_manifest") (result i64) (i64.const 0))
            (func (export "_observe") (param i32 i32) (result i64)
                (drop (call $random (i32.const 512) (i32.const 8)))
                (i64.const 0x10_0000_0014)))"#,
    );
    let observed = Stage::new().observe(bytes, none(), &json!({}));
    assert_eq!(observed.observation().status, RegletStatus::Success);
}

fn other_worlds_are_not_asked_to_observe() {
    block_on(async {
        let stage = Stage::new();
        let noop = portcullis_testkit::guest_bytes("noop");
        let error = stage
            .session(noop, none())
            .await
            .observe("{}")
            .await
            .unwrap_err();
        assert!(
            matches!(error, portcullis::CallError::NoExport { .. }),
            "{error}"
        );
        let reglet = Guest::default().assemble();
        let error = stage
            .session(reglet, programs(&[]))
            .await
            .run(&[])
            .await
            .unwrap_err();
        assert!(
            matches!(error, portcullis::CallError::NoExport { .. }),
            "{error}"
        );
    });
}
