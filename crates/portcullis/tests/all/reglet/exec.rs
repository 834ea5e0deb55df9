//! `exec_command`: the table of what is answered when, and what comes of code, variables and time.

use portcullis::audit::Event;
use portcullis::policy::{
    ArgToken, ArgumentRule, DropReason, ExecGrant, FsAccess, Grants, ProgramRef, ProgramRule,
    RegletGrant,
};
use serde_json::{Value, json};

use super::stage::{Stage, go};
use crate::fixture::{directory, exec_grant, none, programs};

portcullis_testkit::tests![
    observed_requests_are_answered_as_the_sdk_reads_it,
    exit_codes_and_signals,
    what_is_not_found_or_no_request_is_an_object,
    what_is_not_granted_is_an_object_with_the_words_of_reglet,
    programs_of_a_directory_are_those_that_are_asked_for_by_their_path,
    a_shell_needs_a_rule_that_names_one,
    the_code_of_an_interpreter_needs_a_grant_of_its_own,
    variables_are_dropped_and_reported,
    no_variable_of_the_host_is_inherited,
    requests_are_read_with_tolerance,
    a_directory_is_one_that_was_granted,
    the_request_id_stands_in_the_trail,
    output_of_100_mib_is_bounded,
    ten_mib_of_control_bytes_break_no_guest,
    output_that_is_no_text_has_replacements,
];

/// The answer to a request with these rights; `None` where there is no guest.
fn answer(grants: Grants, request: &Value) -> Option<Value> {
    Some(Stage::new().exec(grants, request)?.0)
}

/// Any program, as `exec:**` has it.
fn any() -> Grants {
    Grants {
        exec: Some(ExecGrant {
            any_program: true,
            ..exec_grant(&[])
        }),
        ..none()
    }
}

fn observed_requests_are_answered_as_the_sdk_reads_it() {
    let echo = json!({ "args": ["hello"], "command": "/bin/echo", "context": {} });
    let Some(mut said) = answer(programs(&["/bin/echo"]), &echo) else {
        return;
    };
    said.as_object_mut().unwrap().remove("duration_ms");
    assert_eq!(
        said,
        json!({ "stdout": "hello\n", "stderr": "", "exit_code": 0 })
    );
    let stage = Stage::new();
    let dir = stage.project.path().canonicalize().unwrap();
    let grants = Grants {
        fs: vec![directory(&dir, ".", FsAccess::Read)],
        ..programs(&["/usr/bin/env"])
    };
    let full = json!({
        "args": null, "env": ["A=1"], "command": "/usr/bin/env", "dir": dir,
        "context": { "deadline": "2001-11-21T03:59:09.506030826Z", "timeout_ms": 4999 },
    });
    let (said, _) = stage.exec(grants, &full).unwrap();
    assert_eq!(said["exit_code"], 0, "{said}");
    let stdout = said["stdout"].as_str().unwrap();
    assert!(stdout.lines().any(|line| line == "A=1"), "{stdout}");
    for canceled in ["canceled", "Canceled", "cancelled"] {
        let stage = Stage::new();
        let request = json!({ "command": "/bin/echo", "context": { canceled: true } });
        let (said, activity) = stage.exec(programs(&["/bin/echo"]), &request).unwrap();
        assert_eq!(said["error"]["type"], "execution");
        assert_eq!(said["error"]["message"], "context canceled");
        assert!(activity.commands.is_empty(), "it does not run");
    }
}

fn exit_codes_and_signals() {
    let sh = |line: &str| json!({ "command": "/bin/sh", "args": ["-c", line] });
    let run = |line: &str| answer(programs(&["/bin/sh"]), &sh(line));
    let Some(said) = run("echo out; echo err >&2; exit 42") else {
        return;
    };
    assert_eq!(said["exit_code"], 42);
    assert_eq!(
        (&said["stdout"], &said["stderr"]),
        (&json!("out\n"), &json!("err\n"))
    );
    assert!(
        said.get("error").is_none() && said.get("is_timeout").is_none(),
        "{said}"
    );
    let said = run("kill -9 $$").unwrap();
    assert_eq!(said["exit_code"], -1);
    assert!(said.get("error").is_none(), "{said}");
}

fn programs_of_a_directory_are_those_that_are_asked_for_by_their_path() {
    let bin = || programs(&["/usr/bin/*"]);
    let env = json!({ "command": "/usr/bin/env", "env": ["A=1"] });
    let Some(said) = answer(bin(), &env) else {
        return;
    };
    assert_eq!(said["exit_code"], 0, "{said}");
    for command in ["env", "/bin/env", "/usr/bin/../bin/env", "/usr/sbin/env"] {
        let said = answer(bin(), &json!({ "command": command })).unwrap();
        assert_eq!(said["error"]["type"], "capability", "{command}: {said}");
    }
    for (command, args) in [
        ("/usr/bin/sh", ["-c", "exit 7"]),
        ("/usr/bin/env", ["sh", "-c"]),
        ("/usr/bin/perl", ["-e", "1"]),
        ("/usr/bin/grep", ["-e", "x"]),
    ] {
        let request = json!({ "command": command, "args": args });
        let (said, activity) = Stage::new().exec(bin(), &request).unwrap();
        assert_eq!(said["error"]["type"], "capability", "{command}: {said}");
        assert_eq!(activity.denials[0].code.as_str(), "P0216", "{command}");
    }
    let mut denied = bin();
    denied.exec.as_mut().unwrap().deny = vec![ProgramRule::any_arguments("/usr/bin/*")];
    let said = answer(denied, &env).unwrap();
    assert_eq!(said["error"]["type"], "capability", "{said}");
}

fn what_is_not_found_or_no_request_is_an_object() {
    let Some(said) = answer(
        programs(&["no-such-program"]),
        &json!({ "command": "no-such-program" }),
    ) else {
        return;
    };
    assert_eq!(said["error"]["type"], "execution");
    assert_eq!(said["error"]["code"], "EXECUTION_FAILED");
    assert_eq!(said["error"]["is_not_found"], true);
    assert_eq!(
        (&said["stdout"], &said["exit_code"]),
        (&json!(""), &json!(0))
    );
    for request in [
        json!({ "command": "" }),
        json!({}),
        json!({ "command": "a/b" }),
    ] {
        let said = answer(any(), &request).unwrap();
        assert_eq!(
            said["error"]["code"], "INVALID_REQUEST",
            "{request}: {said}"
        );
    }
    for request in [
        json!([]),
        json!("x"),
        json!({ "args": "x" }),
        json!({ "command": 1 }),
    ] {
        let said = answer(any(), &request).unwrap();
        assert_eq!(said["error"]["type"], "internal", "{request}: {said}");
        assert_eq!(said["error"]["code"], "");
    }
}

fn what_is_not_granted_is_an_object_with_the_words_of_reglet() {
    let stage = Stage::new();
    let request = json!({ "command": "/bin/cat", "args": ["/etc/passwd"] });
    let Some((said, activity)) = stage.exec(programs(&["/bin/echo"]), &request) else {
        return;
    };
    assert_eq!(
        said["error"],
        json!({
            "message": "permission denied: capability denied: exec:/bin/cat",
            "type": "capability",
            "code": "CAPABILITY_DENIED",
        })
    );
    assert_eq!(activity.denials[0].code.as_str(), "P0201");
    let shell = json!({ "command": "/bin/sh", "args": ["-c", "id"] });
    let said = answer(programs(&["/bin/echo"]), &shell).unwrap();
    let message = said["error"]["message"].as_str().unwrap();
    assert!(message.contains("permission denied"), "{message}");
    assert!(
        message.contains(
            "shell requires 'exec:/bin/sh' capability (prevents arbitrary code execution)"
        ),
        "{message}"
    );
    // Whether a program is there is nobody's who was not granted it.
    let absent = answer(programs(&["/bin/echo"]), &json!({ "command": "/no/such" })).unwrap();
    assert_eq!(absent["error"]["type"], "capability");
}

fn a_shell_needs_a_rule_that_names_one() {
    let shell = json!({ "command": "/bin/sh", "args": ["-c", "echo hi"] });
    let stage = Stage::new();
    let Some((said, activity)) = stage.exec(any(), &shell) else {
        return;
    };
    assert_eq!(
        said["error"]["type"], "capability",
        "that any may run is no grant of a shell"
    );
    assert_eq!(activity.denials[0].code.as_str(), "P0216");
    assert!(activity.commands.is_empty());
    let echo = json!({ "command": "/bin/echo", "args": ["hi"] });
    assert_eq!(answer(any(), &echo).unwrap()["stdout"], "hi\n");
    assert_eq!(
        answer(programs(&["/bin/sh"]), &shell).unwrap()["stdout"],
        "hi\n"
    );
    let wrapped = json!({ "command": "/usr/bin/env", "args": ["sh", "-c", "echo hi"] });
    let refused = answer(programs(&["/usr/bin/env"]), &wrapped).unwrap();
    assert_eq!(refused["error"]["type"], "capability", "{refused}");
    let granted = Grants {
        reglet: Some(RegletGrant {
            inline_code: vec![ProgramRef::parse("env").unwrap()],
        }),
        ..programs(&["/usr/bin/env"])
    };
    assert_eq!(answer(granted, &wrapped).unwrap()["stdout"], "hi\n");
}

fn the_code_of_an_interpreter_needs_a_grant_of_its_own() {
    let perl = |args: &[&str]| json!({ "command": "/usr/bin/perl", "args": args });
    let code = perl(&["-e", "print 40+2"]);
    let plain = programs(&["/usr/bin/perl"]);
    let stage = Stage::new();
    let Some((said, activity)) = stage.exec(plain.clone(), &code) else {
        return;
    };
    let message = said["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("interpreter code execution requires 'exec:/usr/bin/perl' capability"),
        "{message}"
    );
    assert_eq!(activity.denials[0].code.as_str(), "P0216");
    let version = answer(plain.clone(), &perl(&["-v"])).unwrap();
    assert_eq!(version["exit_code"], 0, "the program itself may run");
    let inline = Grants {
        reglet: Some(RegletGrant {
            inline_code: vec![ProgramRef::parse("perl").unwrap()],
        }),
        ..plain.clone()
    };
    assert_eq!(answer(inline, &code).unwrap()["stdout"], "42");
    let mut written = plain;
    written.exec.as_mut().unwrap().allow = vec![ProgramRule {
        arguments: ArgumentRule {
            args: Some(vec![
                ArgToken::parse("-e").unwrap(),
                ArgToken::parse("print 40+2").unwrap(),
            ]),
            ..ArgumentRule::default()
        },
        ..ProgramRule::any_arguments("/usr/bin/perl")
    }];
    assert_eq!(
        answer(written, &code).unwrap()["stdout"],
        "42",
        "a rule that says which"
    );
}

fn variables_are_dropped_and_reported() {
    let stage = Stage::new();
    let request = json!({
        "command": "/usr/bin/env",
        "env": ["LD_PRELOAD=/tmp/x.so", "SAFE=1", "PATH=/tmp", "BASH_ENV=/tmp/x", "none", "ld_audit=x", "A B=2"],
    });
    let Some((said, activity)) = stage.exec(programs(&["/usr/bin/env"]), &request) else {
        return;
    };
    let stdout = said["stdout"].as_str().unwrap();
    assert!(stdout.lines().any(|line| line == "SAFE=1"), "{stdout}");
    for dropped in ["LD_PRELOAD", "PATH=/tmp\n", "BASH_ENV", "ld_audit"] {
        assert!(!stdout.contains(dropped), "{dropped}: {stdout}");
    }
    let dropped = &activity.commands[0].dropped;
    let names: Vec<_> = dropped
        .iter()
        .map(|dropped| dropped.name.as_str())
        .collect();
    assert_eq!(names, ["LD_PRELOAD", "PATH", "BASH_ENV", "ld_audit"]);
    assert!(
        dropped
            .iter()
            .all(|dropped| dropped.reason == DropReason::Dangerous)
    );
    let written = stage
        .trail
        .events()
        .into_iter()
        .find_map(|(_, event)| match event {
            Event::Outcome(outcome) => Some(outcome.env_dropped),
            _ => None,
        });
    assert_eq!(written.unwrap(), names);
    let mut granted = programs(&["/usr/bin/env"]);
    granted.exec.as_mut().unwrap().allow_dangerous_env = vec!["PATH".to_owned()];
    let said = answer(granted, &request).unwrap();
    assert!(
        said["stdout"].as_str().unwrap().contains("PATH=/tmp\n"),
        "{said}"
    );
}

fn no_variable_of_the_host_is_inherited() {
    let mut grants = programs(&["/usr/bin/env"]);
    grants.exec.as_mut().unwrap().inherit_env = true;
    let Some(said) = answer(grants, &json!({ "command": "/usr/bin/env" })) else {
        return;
    };
    let stdout = said["stdout"].as_str().unwrap();
    assert!(
        !stdout.contains("PLAIN") && !stdout.contains("leakme"),
        "{stdout}"
    );
}

fn requests_are_read_with_tolerance() {
    let run = |request: Value| answer(programs(&["/usr/bin/env"]), &request);
    let object = json!({
        "command": "/usr/bin/env", "args": null, "env": { "B": "2" }, "context": null, "dir": "",
        "more": [1], "duration": "100ms", "timeout_ms": null,
    });
    let Some(said) = run(object) else { return };
    assert!(said["stdout"].as_str().unwrap().contains("B=2\n"), "{said}");
    let said = run(json!({ "command": "/usr/bin/env", "env": null })).unwrap();
    assert_eq!(said["exit_code"], 0, "{said}");
}

fn a_directory_is_one_that_was_granted() {
    let stage = Stage::new();
    let inside = stage.project.path().canonicalize().unwrap();
    let grants = Grants {
        fs: vec![directory(&inside, ".", FsAccess::Read)],
        ..programs(&["/bin/pwd"])
    };
    let request = |dir: &str| json!({ "command": "/bin/pwd", "dir": dir });
    let Some((said, _)) = stage.exec(grants.clone(), &request(inside.to_str().unwrap())) else {
        return;
    };
    assert_eq!(said["stdout"], format!("{}\n", inside.display()));
    for out in ["/etc", "..", "/"] {
        let (said, activity) = stage.exec(grants.clone(), &request(out)).unwrap();
        assert_eq!(said["error"]["type"], "capability", "{out}: {said}");
        assert_eq!(activity.denials[0].code.as_str(), "P0207");
    }
}

fn the_request_id_stands_in_the_trail() {
    let stage = Stage::new();
    let long = "x".repeat(1000);
    for (id, written) in [
        (json!("check-17"), Some("check-17".to_owned())),
        (json!(null), None),
        (json!(long), Some("x".repeat(128))),
    ] {
        let request = json!({ "command": "/bin/echo", "context": { "request_id": id } });
        let Some((said, _)) = stage.exec(programs(&["/bin/echo"]), &request) else {
            return;
        };
        assert_eq!(said["exit_code"], 0);
        let decided = stage
            .trail
            .events()
            .into_iter()
            .rev()
            .find_map(|(_, event)| match event {
                Event::Decision(decision) => Some(decision.request_id),
                _ => None,
            });
        assert_eq!(decided.unwrap().map(|id| id.to_string()), written);
    }
}

/// What the guest makes of output that is too much to be told.
fn sizes(grants: Grants, request: &Value) -> Option<Value> {
    let config = json!({ "act": "sizes", "request": request });
    let observed = Stage::new().observe(go("reglet-2")?, grants, &config);
    Some(observed.json()["data"].clone())
}

const ENCODED: u64 = 24 << 20;

fn output_of_100_mib_is_bounded() {
    let request = json!({ "command": "head", "args": ["--bytes=104857600", "/dev/zero"] });
    let text = json!({ "command": "sh", "args": ["-c", "yes | head --bytes=104857600"] });
    let Some(said) = sizes(programs(&["sh"]), &text) else {
        return;
    };
    assert_eq!(
        (&said["stdout"], &said["truncated"]),
        (&json!(10 << 20), &json!(true)),
        "{said}"
    );
    let zeros = sizes(programs(&["head"]), &request).unwrap();
    assert!(zeros["encoded"].as_u64().unwrap() <= ENCODED, "{zeros}");
    assert_eq!(zeros["truncated"], true);
}

fn ten_mib_of_control_bytes_break_no_guest() {
    let line = "head --bytes=10485760 /dev/zero | tr '\\0' '\\1'";
    let request = json!({ "command": "sh", "args": ["-c", line] });
    let Some(said) = sizes(programs(&["sh"]), &request) else {
        return;
    };
    let encoded = said["encoded"].as_u64().unwrap();
    assert!((ENCODED - (1 << 20)..=ENCODED).contains(&encoded), "{said}");
    assert_eq!(said["truncated"], true);
    let stdout = said["stdout"].as_u64().unwrap();
    assert!((encoded - stdout * 6) < 200, "whole characters: {said}");
}

fn output_that_is_no_text_has_replacements() {
    let line = "printf 'a\\377b\\342\\202'";
    let request = json!({ "command": "sh", "args": ["-c", line] });
    let Some(said) = answer(programs(&["sh"]), &request) else {
        return;
    };
    assert_eq!(said["stdout"], "a\u{fffd}b\u{fffd}\u{fffd}");
    let many = json!({ "command": "sh", "args": ["-c", "head --bytes=10485760 /dev/zero | tr '\\0' '\\377'"] });
    let said = sizes(programs(&["sh"]), &many).unwrap();
    assert_eq!(said["first"], "\u{fffd}");
    assert!(said["encoded"].as_u64().unwrap() <= ENCODED, "{said}");
}
