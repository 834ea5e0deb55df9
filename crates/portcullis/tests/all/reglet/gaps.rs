//! What no test of Reglet's own is about, each by its name: time over the boundary, guests that lie, and what is left of an instance.

use std::time::Duration;

use portcullis::policy::{Grants, Limits};
use portcullis::{CallError, RegletStatus};
use serde_json::{Value, json};

use super::stage::{Guest, SUCCESS, Stage, asks, go, packed, text};
use crate::fixture::{block_on, programs};

portcullis_testkit::tests![
    ctx_timeout_and_is_timeout_end_to_end,
    ctx_deadline_counts_without_timeout_ms,
    ctx_cancel_runs_nothing,
    a_grandchild_that_holds_the_pipes_is_killed,
    the_policy_caps_the_time_that_a_guest_wants,
    a_guest_is_told_the_denial,
    env_is_filtered_by_default,
    symlinked_and_relative_commands,
    a_bare_name_is_not_found_by_the_guests_path,
    args_null,
    an_allocate_that_fails_gives_a_null_response,
    an_allocate_that_lies_or_traps_ends_the_instance,
    an_allocate_that_asks_for_answers_gets_none,
    a_request_over_the_limit,
    pointers_and_lengths_out_of_bounds,
    pointer_0_with_a_length,
    after_a_trap_there_is_a_fresh_instance,
    initialize_is_called_once,
    an_answer_that_is_none,
    a_log_flood_is_cut_off,
    logs_that_are_none_are_only_told,
    grants_of_one_plugin_are_not_anothers,
    concurrent_observations_are_apart,
    a_busy_loop_is_ended,
    a_deadline_over_before_it_starts,
];

fn sleep(seconds: &str, context: Value) -> Value {
    json!({ "command": "sleep", "args": [seconds], "context": context })
}

fn ctx_timeout_and_is_timeout_end_to_end() {
    let line = "echo partial; exec sleep 20";
    let request =
        json!({ "command": "sh", "args": ["-c", line], "context": { "timeout_ms": 500 } });
    let Some((said, _)) = Stage::new().exec(programs(&["sh"]), &request) else {
        return;
    };
    assert!(said["duration_ms"].as_u64() < Some(19_000), "{said}");
    assert_eq!(said["is_timeout"], true, "{said}");
    assert_eq!(said["exit_code"], -1);
    assert_eq!(said["stdout"], "partial\n", "what it wrote until then");
    assert!(said.get("error").is_none(), "{said}");
    assert!(said["duration_ms"].as_u64().unwrap() >= 400, "{said}");
}

fn ctx_deadline_counts_without_timeout_ms() {
    let deadline = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(4);
    let request = sleep("20", json!({ "deadline": deadline.to_string() }));
    let Some((said, _)) = Stage::new().exec(programs(&["sleep"]), &request) else {
        return;
    };
    // On a slow machine it may be over before the guest has asked.
    assert_eq!(said["is_timeout"], true, "{said}");
}

fn ctx_cancel_runs_nothing() {
    let request = sleep("20", json!({ "canceled": true }));
    let Some((said, activity)) = Stage::new().exec(programs(&["sleep"]), &request) else {
        return;
    };
    assert_eq!(said["error"]["message"], "context canceled");
    assert!(activity.commands.is_empty());
}

fn a_grandchild_that_holds_the_pipes_is_killed() {
    let request = json!({
        "command": "sh", "args": ["-c", "sleep 20 & echo hi"], "context": { "timeout_ms": 15000 },
    });
    let Some((said, activity)) = Stage::new().exec(programs(&["sh"]), &request) else {
        return;
    };
    assert!(said["duration_ms"].as_u64() < Some(14_000), "{said}");
    assert_eq!(
        (&said["stdout"], &said["exit_code"]),
        (&json!("hi\n"), &json!(0))
    );
    assert_eq!(activity.commands.len(), 1);
}

fn the_policy_caps_the_time_that_a_guest_wants() {
    let grants = Grants {
        limits: Limits {
            timeout: Duration::from_millis(300),
            ..Limits::default()
        },
        ..programs(&["sleep"])
    };
    let request = sleep("20", json!({ "timeout_ms": 60000 }));
    let Some((said, _)) = Stage::new().exec(grants, &request) else {
        return;
    };
    assert_eq!(said["is_timeout"], true, "{said}");
}

fn a_guest_is_told_the_denial() {
    let Some((said, _)) = Stage::new().exec(programs(&["true"]), &json!({ "command": "cat" }))
    else {
        return;
    };
    assert_eq!(
        said["error"]["message"],
        "permission denied: capability denied: exec:cat"
    );
}

fn env_is_filtered_by_default() {
    let request = json!({ "command": "env", "env": ["LD_PRELOAD=x", "PATH=/x", "OK=1"] });
    let Some((said, _)) = Stage::new().exec(programs(&["env"]), &request) else {
        return;
    };
    let stdout = said["stdout"].as_str().unwrap();
    assert!(
        stdout.contains("OK=1") && !stdout.contains("LD_PRELOAD") && !stdout.contains("PATH=/x")
    );
}

fn symlinked_and_relative_commands() {
    let stage = Stage::new();
    let link = stage.project.path().join("echo");
    std::os::unix::fs::symlink("/bin/cat", &link).unwrap();
    let Some((said, _)) = stage.exec(programs(&["/bin/echo"]), &json!({ "command": link })) else {
        return;
    };
    assert_eq!(
        said["error"]["type"], "capability",
        "another file by that name: {said}"
    );
    for relative in ["./echo", "bin/echo", "../bin/echo"] {
        let (said, _) = stage
            .exec(programs(&["/bin/echo"]), &json!({ "command": relative }))
            .unwrap();
        assert_eq!(
            said["error"]["code"], "INVALID_REQUEST",
            "{relative}: {said}"
        );
    }
    let (said, _) = stage
        .exec(
            programs(&["/bin/echo"]),
            &json!({ "command": "/usr/bin/../bin/sh" }),
        )
        .unwrap();
    assert_eq!(said["error"]["type"], "capability", "{said}");
}

fn a_bare_name_is_not_found_by_the_guests_path() {
    let stage = Stage::new();
    let evil = stage.project.path().join("true");
    std::fs::write(&evil, "#!/bin/sh\necho hijacked\n").unwrap();
    let request =
        json!({ "command": "true", "env": [format!("PATH={}", stage.project.path().display())] });
    let Some((said, activity)) = stage.exec(programs(&["true"]), &request) else {
        return;
    };
    assert_eq!(
        (&said["stdout"], &said["exit_code"]),
        (&json!(""), &json!(0))
    );
    assert!(activity.commands[0].program.ends_with("/true"));
    assert!(
        !activity.commands[0]
            .program
            .starts_with(stage.project.path().to_str().unwrap())
    );
}

fn args_null() {
    let request = json!({ "command": "echo", "args": null });
    let Some((said, _)) = Stage::new().exec(programs(&["echo"]), &request) else {
        return;
    };
    assert_eq!(said["stdout"], "\n");
}

const ECHO: &str = r#"{"command":"echo","args":["hi"]}"#;

/// A guest that succeeds when the host answered nothing.
fn wants_nothing(allocate: &'static str, request: &str) -> Guest {
    let (data, at) = text(request);
    Guest {
        rest: data,
        allocate,
        observe: format!(
            "(if (i64.ne (call $exec {at}) (i64.const 0)) (then unreachable)) {SUCCESS}"
        ),
        ..Guest::default()
    }
}

fn an_allocate_that_fails_gives_a_null_response() {
    // Only for the configuration there is room.
    const ONCE: &str = r#"(global $given (mut i32) (i32.const 0))
        (func (export "allocate") (param i32) (result i32)
            (if (global.get $given) (then (return (i32.const 0))))
            (global.set $given (i32.const 1)) (i32.const 2048))"#;
    let stage = Stage::new();
    let observed = stage.observe(
        wants_nothing(ONCE, ECHO).assemble(),
        programs(&["echo"]),
        &json!({}),
    );
    assert_eq!(observed.observation().status, RegletStatus::Success);
    assert_eq!(observed.activity.commands.len(), 1, "it ran all the same");
    const NEVER: &str = r#"(func (export "allocate") (param i32) (result i32) (i32.const 0))"#;
    let observed = stage.observe(
        wants_nothing(NEVER, ECHO).assemble(),
        programs(&["echo"]),
        &json!({}),
    );
    assert!(
        observed
            .error()
            .contains("no room for 2 bytes of configuration"),
        "{}",
        observed.error()
    );
}

fn an_allocate_that_lies_or_traps_ends_the_instance() {
    for (then, said) in [
        ("(i32.const 0x7fffffff)", "said 0x7fffffff"),
        ("(i32.const -1)", "said 0xffffffff"),
        ("(i32.const 131071)", "said 0x1ffff"),
        ("unreachable", "unreachable"),
    ] {
        let allocate: &'static str = Box::leak(
            format!(
                r#"(global $given (mut i32) (i32.const 0))
                (func (export "allocate") (param i32) (result i32)
                    (if (global.get $given) (then (return {then})))
                    (global.set $given (i32.const 1)) (i32.const 2048))"#
            )
            .into_boxed_str(),
        );
        let guest = wants_nothing(allocate, ECHO);
        let observed = Stage::new().observe(guest.assemble(), programs(&["echo"]), &json!({}));
        assert!(
            observed.error().contains(said),
            "{then}: {}",
            observed.error()
        );
    }
}

fn an_allocate_that_asks_for_answers_gets_none() {
    const ASKS: &str = r#"(func (export "allocate") (param i32) (result i32)
        (if (i64.ne (call $exec (i64.const 0x400_0000_0020)) (i64.const 0)) (then unreachable))
        (i32.const 4096))"#;
    let stage = Stage::new();
    let observed = stage.observe(
        Guest {
            allocate: ASKS,
            ..asks(ECHO)
        }
        .assemble(),
        programs(&["echo"]),
        &json!({}),
    );
    // The answer itself is no result, which is told.
    assert!(
        observed.error().contains("is no result"),
        "{}",
        observed.error()
    );
    assert_eq!(
        observed.activity.commands.len(),
        1,
        "what is asked in between does not run"
    );
}

/// What the host answers to a request at this place, by a guest that gives it back as what it observed.
fn answered(guest: &Guest, grants: Grants) -> (Stage, String, portcullis::Activity) {
    let stage = Stage::new();
    let observed = stage.observe(guest.assemble(), grants, &json!({}));
    let error = observed.error();
    (stage, error, observed.activity)
}

fn a_request_over_the_limit() {
    let Some(bytes) = go("reglet-2") else { return };
    let long = "x".repeat(1 << 20);
    let config = json!({ "act": "exec", "request": { "command": "echo", "args": [long] } });
    let observed = Stage::new().observe(bytes.clone(), programs(&["echo"]), &config);
    let said = observed.answer();
    assert_eq!(said["error"]["type"], "validation", "{said}");
    assert_eq!(said["error"]["code"], "VALIDATION_ERROR");
    assert!(observed.activity.commands.is_empty());
    // A little less is a request, and too long for a command.
    let less = "x".repeat(900_000);
    let config = json!({ "act": "exec", "request": { "command": "echo", "args": [less] } });
    let observed = Stage::new().observe(bytes, programs(&["echo"]), &config);
    assert_eq!(observed.answer()["error"]["code"], "INVALID_REQUEST");
}

fn pointers_and_lengths_out_of_bounds() {
    const MAX: u32 = u32::MAX;
    for (at, length) in [
        (131_072, 1),
        (131_071, 2),
        (MAX, 1),
        (MAX, MAX),
        (1, MAX),
        (0x8000_0000, 0x8000_0000),
        (0xffff_0000, 0x1_0000),
    ] {
        let at = packed(at, length);
        let observe = format!("(call $exec {at})");
        let guest = Guest {
            observe,
            ..Guest::default()
        };
        let (_, error, activity) = answered(&guest, programs(&["echo"]));
        // The host answered: an error, which the guest gave back and which is no result.
        assert!(
            error.contains("it has neither `status` nor `Status`"),
            "{at}: {error}"
        );
        assert!(
            activity.failures[0].contains("and its memory has 131072 bytes in all"),
            "{activity:?}"
        );
        assert!(activity.commands.is_empty());
        let guest = Guest {
            observe: format!("(call $log {at}) {SUCCESS}"),
            ..Guest::default()
        };
        let observed = Stage::new().observe(guest.assemble(), programs(&[]), &json!({}));
        assert_eq!(
            observed.observation().status,
            RegletStatus::Success,
            "a log is no reason"
        );
        let guest = Guest {
            observe: at.clone(),
            ..Guest::default()
        };
        let observed = Stage::new().observe(guest.assemble(), programs(&[]), &json!({}));
        assert!(observed.error().contains("in all"), "{}", observed.error());
    }
}

fn pointer_0_with_a_length() {
    // The place at 0 is memory as any other for the host; what lies there is no request.
    let guest = Guest {
        observe: format!("(call $exec {})", packed(0, 8)),
        ..Guest::default()
    };
    let (_, error, activity) = answered(&guest, programs(&["echo"]));
    assert!(error.contains("neither `status` nor"), "{error}");
    assert!(activity.commands.is_empty());
    // As a result it is what lies there.
    let guest = Guest {
        observe: packed(0, 8),
        ..Guest::default()
    };
    let observed = Stage::new().observe(guest.assemble(), programs(&[]), &json!({}));
    assert!(
        observed.error().contains("is no result"),
        "{}",
        observed.error()
    );
}

fn after_a_trap_there_is_a_fresh_instance() {
    // The first call counts, the second of an instance traps.
    let guest = Guest {
        rest: "(global $calls (mut i32) (i32.const 0))".to_owned(),
        observe: format!(
            "(if (global.get $calls) (then unreachable)) (global.set $calls (i32.const 1)) {SUCCESS}"
        ),
        ..Guest::default()
    };
    block_on(async {
        let session = Stage::new().session(guest.assemble(), programs(&[])).await;
        for _ in 0..3 {
            session.observe_again("{}").await.unwrap();
            let error = session.observe_again("{}").await.unwrap_err();
            assert!(matches!(error, CallError::Trap { .. }), "{error}");
        }
        for _ in 0..3 {
            session.observe("{}").await.unwrap();
        }
    });
}

fn initialize_is_called_once() {
    let guest = Guest {
        rest: r#"(global $made (mut i32) (i32.const 0))
            (func (export "_initialize")
                (if (global.get $made) (then unreachable)) (global.set $made (i32.const 1)))"#
            .to_owned(),
        observe: format!("(if (i32.eqz (global.get $made)) (then unreachable)) {SUCCESS}"),
        manifest: "(if (i32.eqz (global.get $made)) (then unreachable)) (i64.const 0x40_0000_000c)"
            .to_owned(),
        ..Guest::default()
    };
    block_on(async {
        let session = Stage::new().session(guest.assemble(), programs(&[])).await;
        for _ in 0..3 {
            session.observe_again("{}").await.unwrap();
        }
        session.describe_reglet().await.unwrap().unwrap();
        session.observe("{}").await.unwrap();
    });
}

fn an_answer_that_is_none() {
    for (said, why) in [
        ("", "it gave back nothing"),
        ("{}", "neither `status` nor `Status`"),
        (r#"{"status":"fine"}"#, "it has the status `fine`"),
        ("not json", "is no result"),
        ("\u{7f}[2J", "is no result"),
    ] {
        let (data, at) = text(said);
        let observe = if said.is_empty() {
            "(i64.const 0)".to_owned()
        } else {
            at
        };
        let guest = Guest {
            rest: data,
            observe,
            ..Guest::default()
        };
        let observed = Stage::new().observe(guest.assemble(), programs(&[]), &json!({}));
        assert!(
            observed.error().contains(why),
            "{said}: {}",
            observed.error()
        );
    }
    let guest = Guest {
        rest: r#"(data (i32.const 1024) "{\22status\22:\22\ff\22}")"#.to_owned(),
        observe: packed(1024, 14),
        ..Guest::default()
    };
    let observed = Stage::new().observe(guest.assemble(), programs(&[]), &json!({}));
    assert!(observed.error().contains("no text"), "{}", observed.error());
}

fn a_log_flood_is_cut_off() {
    let Some(bytes) = go("reglet-2") else { return };
    let stage = Stage::new();
    let grants = Grants {
        log: true,
        ..programs(&[])
    };
    let record = json!({ "level": "WARN", "message": "again\n\u{1b}[2J", "attrs": [{ "key": "n", "type": "int64", "value": "1" }] });
    let config = json!({ "act": "log", "times": 3000, "request": record });
    let observed = stage.observe(bytes, grants, &config);
    assert_eq!(observed.observation().status, RegletStatus::Success);
    let lines = stage.log.take();
    assert_eq!(lines[0], "info guest registered");
    assert_eq!(lines[1], "warn again\\n\\u{1b}[2J n=1");
    assert!(lines.len() <= 102, "{}", lines.len());
    assert!(lines.last().unwrap().starts_with("dropped "), "{lines:?}");
    assert_eq!(observed.activity.log_dropped, 2901);
    assert_eq!(stage.said(), "", "what is in the log is not said twice");
}

fn logs_that_are_none_are_only_told() {
    let (data, at) = text("not json\u{1b}");
    let guest = Guest {
        rest: data,
        observe: format!("(call $log {at}) (call $log (i64.const 0)) {SUCCESS}"),
        ..Guest::default()
    };
    let observed = Stage::new().observe(guest.assemble(), programs(&[]), &json!({}));
    assert_eq!(observed.observation().status, RegletStatus::Success);
    assert_eq!(observed.activity.failures.len(), 2);
    assert!(observed.activity.failures[0].starts_with("`log_message` was given what is no record"));
}

fn grants_of_one_plugin_are_not_anothers() {
    let Some(bytes) = go("reglet-2") else { return };
    let stage = Stage::new();
    let config = json!({ "act": "exec", "request": { "command": "echo", "args": ["x"] } });
    block_on(async {
        let able = stage.session(bytes.clone(), programs(&["echo"])).await;
        let other = Grants {
            plugin: portcullis::policy::PluginId::new("other").unwrap(),
            ..programs(&["true"])
        };
        let unable = stage.session(bytes, other).await;
        for _ in 0..2 {
            let said = able.observe(&config.to_string()).await.unwrap();
            assert!(said.json.contains("exit_code"), "{said:?}");
            let said = unable.observe(&config.to_string()).await.unwrap();
            assert!(said.json.contains("permission denied"), "{said:?}");
        }
        assert!(able.activity().await.denials.is_empty());
        assert_eq!(unable.activity().await.denials.len(), 2);
    });
}

fn concurrent_observations_are_apart() {
    let Some(bytes) = go("reglet-2") else { return };
    let stage = Stage::new();
    block_on(async {
        let plugin = stage.load(bytes, programs(&["echo"])).await.unwrap();
        let calls = (0..6).map(|number| {
            let session = plugin.session(format!("run-{number}"));
            tokio::spawn(async move {
                let config = json!({ "act": "exec", "request": { "command": "echo", "args": [number.to_string()] } });
                let said = session.observe(&config.to_string()).await.unwrap();
                assert!(said.json.contains(&format!("{number}\\\\n")), "{}", said.json);
            })
        });
        for call in calls.collect::<Vec<_>>() {
            call.await.unwrap();
        }
    });
}

fn a_busy_loop_is_ended() {
    let guest = Guest {
        observe: format!("(loop $again (br $again)) {SUCCESS}"),
        ..Guest::default()
    };
    let grants = Grants {
        limits: Limits {
            call: Duration::from_millis(300),
            ..Limits::default()
        },
        ..programs(&[])
    };
    let observed = Stage::new().observe(guest.assemble(), grants, &json!({}));
    assert!(matches!(observed.ended, Err(CallError::Deadline { .. })));
}

fn a_deadline_over_before_it_starts() {
    let request = sleep("20", json!({ "deadline": "2001-01-01T00:00:00Z" }));
    let Some((said, activity)) = Stage::new().exec(programs(&["sleep"]), &request) else {
        return;
    };
    assert_eq!(said["error"]["type"], "timeout");
    assert_eq!(said["error"]["code"], "ETIMEDOUT");
    assert_eq!(said["error"]["is_timeout"], true);
    assert_eq!(said["is_timeout"], true);
    assert!(activity.commands.is_empty());
}
