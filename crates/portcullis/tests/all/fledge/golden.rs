//! The golden table of fledge, a test for each row. Where this host is meant to do better, the test says so.

use std::time::Duration;

use portcullis::Kind;
use portcullis::policy::{FledgeFiles, FledgePlugin, Grants};
use serde_json::{Value, json};

use super::stage::{Stage, calls, give_data, module, rust, sends, store, wat, with};

portcullis_testkit::tests![
    the_first_recv_is_the_init_message,
    a_second_recv_with_nothing_pending_is_0_at_once,
    env_args_and_cwd_are_empty,
    without_files_every_path_is_not_there,
    the_project_is_read_and_listed,
    the_project_is_not_written,
    a_path_or_link_out_of_the_project_is_refused,
    roots_and_relative_paths_are_not_there,
    the_own_directory_is_written,
    links_in_the_own_directory_lead_nowhere,
    there_is_no_network_asked_for_or_not,
    there_are_no_processes,
    stdout_is_raw_stderr_is_kept_and_stdin_is_at_its_end,
    the_clock_is_real,
    return_from_main_is_0,
    fledge_exit_0_is_0,
    proc_exit_0_is_a_success_here,
    codes_are_passed_on_here,
    a_panic_is_a_trap_and_its_text_is_shown_here,
    a_stack_overflow_is_a_trap,
    what_the_host_refuses_ends_the_plugin_and_says_why_here,
    a_stored_key_of_257_bytes_by_message_is_a_warning,
    a_store_message_without_the_grant_is_a_warning,
    questions_are_dropped_with_a_warning_and_requests_without,
    what_is_no_message_is_a_warning,
    a_log_of_an_unknown_level_is_shown_and_its_escapes_are_not,
    store_get_gives_a_json_string_or_null,
    a_value_that_is_no_text_is_stored_as_nothing,
    an_answer_is_received_in_parts,
    another_answer_takes_the_place_of_the_rest,
    exec_gives_code_stderr_and_stdout_in_that_order,
    exec_cwd_stays_in_the_project,
    exec_timeout_is_124,
    exec_reads_more_than_a_pipe_holds_here,
    the_deadline_covers_exec_here,
    the_deadline_covers_sleep_here,
    an_infinite_loop_exceeds_its_compute_budget,
    memory_grows_to_its_limit_and_no_further,
    more_memory_than_may_be_is_not_begun_with,
    imports_that_were_not_granted_are_told,
    imports_that_nobody_has_are_told,
    a_send_with_a_result_is_told,
    a_start_with_a_result_is_told,
    a_component_is_none_of_fledge,
    the_official_scaffold_prints_its_line_raw,
];

fn has(text: &str, part: &str) {
    assert!(text.contains(part), "{part:?} is not in {text:?}");
}

fn the_first_recv_is_the_init_message() {
    let stage = Stage::new();
    let grants = with(|grants| {
        grants.fledge = Some(FledgePlugin {
            version: "1.2.3".to_owned(),
            files: FledgeFiles::None,
            ..FledgePlugin::default()
        });
    });
    let Some(ran) = stage.probe(grants, &["init"]) else {
        return;
    };
    let init: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(init["type"], "init");
    assert_eq!(init["protocol"], "fledge-v1");
    assert_eq!(init["args"], json!(["init"]));
    assert_eq!(init["plugin"]["name"], "guest");
    assert_eq!(init["plugin"]["version"], "1.2.3");
    assert_eq!(init["project"]["name"], "project");
    // Nothing of the host that was not granted is in it.
    assert_eq!(init["project"]["root"], "/project");
    assert_eq!(init["project"]["git"], Value::Null);
    assert!(!ran.stdout.contains(stage.place.path().to_str().unwrap()));
    let capabilities =
        json!({"exec": false, "store": false, "metadata": false, "filesystem": "none"});
    assert_eq!(init["capabilities"], capabilities);
    let mut keys: Vec<_> = init.as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(
        keys,
        [
            "args",
            "capabilities",
            "fledge",
            "plugin",
            "project",
            "protocol",
            "type"
        ]
    );
}

fn a_second_recv_with_nothing_pending_is_0_at_once() {
    let Some(ran) = Stage::new().probe(with(|_| {}), &["empty"]) else {
        return;
    };
    assert_eq!(ran.stdout, "\"\"\n");
}

fn env_args_and_cwd_are_empty() {
    let grants = with(|grants| grants.env = vec!["*".to_owned(), "LANG".to_owned()]);
    let Some(ran) = Stage::new().probe(grants, &["env"]) else {
        return;
    };
    assert_eq!(ran.stdout, "0 variables, arguments [], in Ok(\"/\")\n");
}

fn without_files_every_path_is_not_there() {
    let paths = [
        "/",
        ".",
        "/project/fledge.toml",
        "/plugin/w",
        "/etc/passwd",
        "x",
    ];
    let stage = Stage::new();
    for act in ["read", "list"] {
        let Some(ran) = stage.probe(with(|_| {}), &[&[act], &paths[..]].concat()) else {
            return;
        };
        for line in ran.stdout.lines() {
            has(line, "(os error 44)");
        }
        assert_eq!(ran.stdout.lines().count(), paths.len());
    }
    let ran = stage
        .probe(with(|_| {}), &["write", "x", "/project/w", "w"])
        .unwrap();
    assert_eq!(
        ran.stdout.matches("(os error 44)").count(),
        2,
        "{}",
        ran.stdout
    );
}

fn the_project_is_read_and_listed() {
    let stage = Stage::new();
    std::fs::write(stage.project().join("fledge.toml"), "a = 1").unwrap();
    std::fs::create_dir(stage.project().join(".git")).unwrap();
    let Some(ran) = stage.probe(stage.files(), &["read", "/project/fledge.toml"]) else {
        return;
    };
    has(&ran.stdout, "ok \"a = 1\"");
    let ran = stage.probe(stage.files(), &["list", "/project"]).unwrap();
    has(&ran.stdout, "[\".git\", \"fledge.toml\"]");
    // A manifest that asks for nothing gets nothing.
    let unasked = with(|grants| {
        stage.give_project(grants);
        grants.fledge = Some(FledgePlugin {
            files: FledgeFiles::Unasked,
            ..FledgePlugin::default()
        });
    });
    let ran = stage
        .probe(unasked, &["read", "/project/fledge.toml"])
        .unwrap();
    has(&ran.stdout, "(os error 44)");
}

fn the_project_is_not_written() {
    let stage = Stage::new();
    std::fs::create_dir_all(stage.project().join(".git/hooks")).unwrap();
    let grants = with(|grants| {
        // However much of it was granted.
        let grant = crate::fixture::directory(
            &stage.project(),
            ".",
            portcullis::policy::FsAccess::ReadWrite,
        );
        grants.fs.push(grant);
        give_data(grants);
    });
    let words = ["write", "x", "/project/w", "/project/.git/hooks/pre-commit"];
    let Some(ran) = stage.probe(grants, &words) else {
        return;
    };
    assert_eq!(
        ran.stdout.matches("(os error 63)").count(),
        2,
        "{}",
        ran.stdout
    );
    assert!(!stage.project().join("w").exists());
}

fn a_path_or_link_out_of_the_project_is_refused() {
    let stage = Stage::new();
    std::os::unix::fs::symlink("/etc/passwd", stage.project().join("link")).unwrap();
    let words = [
        "read",
        "/project/../etc/passwd",
        "/project/link",
        "/project/../project/x",
    ];
    let Some(ran) = stage.probe(stage.files(), &words) else {
        return;
    };
    assert_eq!(
        ran.stdout.matches("(os error 63)").count(),
        3,
        "{}",
        ran.stdout
    );
}

fn roots_and_relative_paths_are_not_there() {
    let stage = Stage::new();
    std::fs::write(stage.project().join("file"), "text").unwrap();
    let words = ["read", "/", ".", "file", "/plugin", "/plugin/x"];
    let Some(ran) = stage.probe(stage.files(), &words) else {
        return;
    };
    assert_eq!(
        ran.stdout.matches("(os error 44)").count(),
        5,
        "{}",
        ran.stdout
    );
}

fn the_own_directory_is_written() {
    let stage = Stage::new();
    let Some(ran) = stage.probe(with(give_data), &["write", "kept", "/plugin/w"]) else {
        return;
    };
    has(&ran.stdout, "ok ()");
    assert_eq!(
        std::fs::read_to_string(stage.own_data().join("w")).unwrap(),
        "kept"
    );
    // From one run to the next.
    let ran = stage
        .probe(with(give_data), &["read", "/plugin/w"])
        .unwrap();
    has(&ran.stdout, "ok \"kept\"");
    // One that asks for the project alone does not see it.
    let project_only = with(|grants| {
        give_data(grants);
        grants.fledge = Some(FledgePlugin {
            files: FledgeFiles::Project,
            ..FledgePlugin::default()
        });
    });
    let ran = stage.probe(project_only, &["read", "/plugin/w"]).unwrap();
    has(&ran.stdout, "(os error 44)");
}

fn links_in_the_own_directory_lead_nowhere() {
    let stage = Stage::new();
    std::fs::create_dir_all(stage.state()).unwrap();
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(stage.state(), std::fs::Permissions::from_mode(0o700)).unwrap();
    std::fs::write(stage.state().join("secret"), "s3cret").unwrap();
    let Some(ran) = stage.probe(with(give_data), &["symlink", "/etc/passwd", "/plugin/l"]) else {
        return;
    };
    has(&ran.stdout, "(os error 63)");
    let ran = stage
        .probe(with(give_data), &["symlink", "../../secret", "/plugin/l"])
        .unwrap();
    has(&ran.stdout, "/plugin/l: ");
    let ran = stage
        .probe(with(give_data), &["read", "/plugin/l"])
        .unwrap();
    assert!(!ran.stdout.contains("s3cret"), "{}", ran.stdout);
    has(&ran.stdout, "(os error ");
}

fn there_is_no_network_asked_for_or_not() {
    for network in [false, true] {
        let grants = with(|grants| {
            grants.net = portcullis::policy::Net::Open;
            grants.fledge = Some(FledgePlugin {
                network,
                ..FledgePlugin::default()
            });
        });
        let Some(ran) = Stage::new().probe(grants, &["network"]) else {
            return;
        };
        let told = "connect: operation not supported on this platform\nbind: operation not supported on this platform\n";
        assert_eq!(ran.stdout, told);
    }
}

fn there_are_no_processes() {
    let Some(ran) = Stage::new().probe(with(|_| {}), &["spawn"]) else {
        return;
    };
    assert_eq!(
        ran.stdout,
        "spawn: operation not supported on this platform\n"
    );
}

fn stdout_is_raw_stderr_is_kept_and_stdin_is_at_its_end() {
    let Some(ran) = Stage::new().probe(with(|_| {}), &["stdio"]) else {
        return;
    };
    assert_eq!(ran.stdout, "to stdout\nstdin: ok \"\"\n");
    // fledge throws it away.
    assert_eq!(ran.stderr, "to stderr\n");
}

fn the_clock_is_real() {
    let Some(ran) = Stage::new().probe(with(|_| {}), &["clock"]) else {
        return;
    };
    assert_eq!(ran.stdout, "true\n");
}

fn return_from_main_is_0() {
    assert_eq!(Stage::new().run(wat(""), with(|_| {}), &[]).code(), 0);
    if let Some(ran) = Stage::new().probe(with(|_| {}), &["return"]) {
        assert_eq!(ran.code(), 0);
    }
}

fn fledge_exit_0_is_0() {
    let leaves = wat("(call $fledge_exit (i32.const 0)) unreachable");
    assert_eq!(Stage::new().run(leaves, with(|_| {}), &[]).code(), 0);
    if let Some(ran) = Stage::new().probe(with(|_| {}), &["exit", "0"]) {
        assert_eq!(ran.code(), 0);
    }
}

fn proc_exit_0_is_a_success_here() {
    let Some(ran) = Stage::new().probe(with(|_| {}), &["proc_exit", "0"]) else {
        return;
    };
    assert_eq!(ran.code(), 0);
}

fn codes_are_passed_on_here() {
    let leaves = wat("(call $fledge_exit (i32.const 3)) unreachable");
    assert_eq!(Stage::new().run(leaves, with(|_| {}), &[]).code(), 3);
    for (words, code) in [
        (&["exit", "42"][..], 42),
        (&["proc_exit", "3"], 3),
        (&["err"], 1),
    ] {
        let Some(ran) = Stage::new().probe(with(|_| {}), words) else {
            return;
        };
        assert_eq!(ran.code(), code, "{words:?}");
    }
}

fn a_panic_is_a_trap_and_its_text_is_shown_here() {
    let Some(ran) = Stage::new().probe(with(|_| {}), &["panic"]) else {
        return;
    };
    has(&ran.error(), "unreachable");
    has(&ran.stderr, "out of luck");
}

fn a_stack_overflow_is_a_trap() {
    let Some(ran) = Stage::new().probe(with(|_| {}), &["overflow"]) else {
        return;
    };
    let error = ran.error();
    assert!(
        error.contains("out of bounds memory access") || error.contains("call stack exhausted"),
        "{error}"
    );
}

fn what_the_host_refuses_ends_the_plugin_and_says_why_here() {
    let stage = Stage::new();
    let long = json!({"key": "k".repeat(257), "value": "v"}).to_string();
    let text = |function: &str, text: &str| calls(function, text, "");
    let not_utf8 = r#"(data (i32.const 64) "\ff") (func (export "_start")
        (drop (call $fledge_store_get (i32.const 64) (i32.const 1))))"#;
    for (bytes, why) in [
        (
            wat("(call $fledge_send (i32.const 131000) (i32.const 100))"),
            "out-of-bounds guest memory access",
        ),
        (
            wat("(call $fledge_send (i32.const -1) (i32.const 1))"),
            "negative pointer or length from guest",
        ),
        (
            wat("(call $fledge_send (i32.const 1) (i32.const -1))"),
            "negative pointer or length from guest",
        ),
        (
            wat("(drop (call $fledge_recv (i32.const 131071) (i32.const 100)))"),
            "out-of-bounds guest memory access",
        ),
        (
            wat("(drop (call $fledge_exec (i32.const -4) (i32.const 4)))"),
            "negative pointer or length from guest",
        ),
        (text("store_set", "not json"), "store_set: malformed JSON"),
        (
            text("store_set", r#"{"key":"","value":"v"}"#),
            "store key must not be empty",
        ),
        (
            text("store_set", &long),
            "store key exceeds maximum size of 256 bytes",
        ),
        (module(not_utf8), "the key is not UTF-8"),
        (text("exec", "not json"), "exec: malformed JSON"),
        (text("metadata", "[1,"), "metadata: malformed JSON"),
    ] {
        let ran = stage.run(bytes, stage.everything(&["echo"]), &[]);
        has(&ran.error(), why);
    }
    let none = r#"(module (import "fledge" "send" (func $send (param i32 i32)))
        (memory 1) (func (export "_start") (call $send (i32.const 0) (i32.const 0))))"#;
    let none = portcullis_testkit::assemble(none.as_bytes()).unwrap();
    let ran = Stage::new().run(none, with(|_| {}), &[]);
    has(&ran.error(), "plugin has no memory export");
}

fn a_stored_key_of_257_bytes_by_message_is_a_warning() {
    let message = json!({"type": "store", "key": "k".repeat(257), "value": "v"}).to_string();
    let output = json!({"type": "output", "text": "went on"}).to_string();
    let ran = Stage::new().run(sends(&[&message, &output]), store(), &[]);
    assert_eq!(ran.code(), 0);
    has(
        &ran.stderr,
        "[guest] warning: store rejected: store key exceeds maximum size of 256 bytes\n",
    );
    assert_eq!(ran.stdout, "went on");
}

fn a_store_message_without_the_grant_is_a_warning() {
    let message = json!({"type": "store", "key": "k", "value": "v"}).to_string();
    let ran = Stage::new().run(sends(&[&message]), with(|_| {}), &[]);
    assert_eq!(ran.code(), 0);
    has(&ran.stderr, "store not granted");
    // With it, it is kept.
    let stage = Stage::new();
    assert_eq!(stage.run(sends(&[&message]), store(), &[]).stderr, "");
    if let Some(ran) = stage.full(all_of(&stage), &["store_get", "k"]) {
        has(&ran.stdout, "store_get: 3 \"v\"");
    }
}

/// What a guest with every import needs.
fn all_of(stage: &Stage) -> Grants {
    stage.everything(&["sh", "sleep", "head"])
}

fn questions_are_dropped_with_a_warning_and_requests_without() {
    let stage = Stage::new();
    let messages = [
        r#"{"type":"prompt","id":"a","message":"m","default":"d"}"#,
        r#"{"type":"confirm","id":"b","message":"m"}"#,
        r#"{"type":"select","id":"c","message":"m","options":["x"]}"#,
        r#"{"type":"load","id":"d","key":"k"}"#,
        r#"{"type":"exec","id":"e","command":"echo hi"}"#,
        r#"{"type":"metadata","id":"f","keys":["env"]}"#,
    ];
    let Some(ran) = stage.probe(all_of(&stage), &[&["send"], &messages[..]].concat()) else {
        return;
    };
    assert_eq!(ran.stdout, "recv \"\"\n".repeat(messages.len()));
    assert_eq!(
        ran.stderr.matches("nobody was asked").count(),
        3,
        "{}",
        ran.stderr
    );
    assert_eq!(ran.stderr.lines().count(), 3);
    assert_eq!(ran.activity.commands.len(), 0);
}

fn what_is_no_message_is_a_warning() {
    for message in [
        "not json",
        r#"{"type":"shout"}"#,
        r#"{"type":"output","data":"x"}"#,
        "",
    ] {
        let ran = Stage::new().run(sends(&[message]), with(|_| {}), &[]);
        assert_eq!(ran.code(), 0);
        has(
            &ran.stderr,
            "[guest] warning: malformed message (dropped): ",
        );
        assert_eq!(ran.stderr.lines().count(), 1);
        assert_eq!(ran.stdout, "");
    }
}

fn a_log_of_an_unknown_level_is_shown_and_its_escapes_are_not() {
    let message =
        json!({"type": "log", "level": "LOUD\u{1b}", "message": "a\u{1b}[2Jb\nc"}).to_string();
    let progress =
        json!({"type": "progress", "message": "m", "current": 1, "total": 2, "done": true})
            .to_string();
    let ran = Stage::new().run(sends(&[&message, &progress]), with(|_| {}), &[]);
    assert_eq!(
        ran.stderr,
        "[guest] LOUD\\u{1b}: a\\u{1b}[2Jb\\nc\n[guest] progress: m (1/2) done\n"
    );
}

fn store_get_gives_a_json_string_or_null() {
    let stage = Stage::new();
    let words = [
        "store_set",
        r#"{"key":"k","value":"1"}"#,
        "store_get",
        "k",
        "store_get",
        "absent",
    ];
    let Some(ran) = stage.full(all_of(&stage), &words) else {
        return;
    };
    assert_eq!(
        ran.stdout,
        "store_set: done\nstore_get: 3 \"1\"\nstore_get: 4 null\n"
    );
}

fn a_value_that_is_no_text_is_stored_as_nothing() {
    let stage = Stage::new();
    let words = ["store_set", r#"{"key":"n","value":5}"#, "store_get", "n"];
    let Some(ran) = stage.full(all_of(&stage), &words) else {
        return;
    };
    has(&ran.stdout, "store_get: 2 \"\"");
}

fn an_answer_is_received_in_parts() {
    let stage = Stage::new();
    let words = [
        "store_long",
        "1000",
        "unread",
        "long",
        "recv",
        "10",
        "recv",
        "65536",
        "recv",
        "10",
    ];
    let Some(ran) = stage.full(all_of(&stage), &words) else {
        return;
    };
    has(&ran.stdout, "unread: 1002\nrecv: 10\nrecv: 992\nrecv: 0\n");
}

fn another_answer_takes_the_place_of_the_rest() {
    let stage = Stage::new();
    let words = [
        "store_long",
        "1000",
        "unread",
        "long",
        "recv",
        "10",
        "store_get",
        "absent",
        "recv",
        "10",
    ];
    let Some(ran) = stage.full(all_of(&stage), &words) else {
        return;
    };
    has(&ran.stdout, "recv: 10\nstore_get: 4 null\nrecv: 0\n");
}

fn exec(grants: Grants, stage: &Stage, request: Value) -> Option<Value> {
    let ran = stage.full(grants, &["exec", &request.to_string()])?;
    let answer = ran
        .stdout
        .strip_prefix("exec: ")
        .unwrap_or_else(|| panic!("{}", ran.error()));
    let (length, answer) = answer.trim_end().split_once(' ').unwrap();
    assert_eq!(length, answer.len().to_string());
    assert!(
        answer.starts_with("{\"code\":") && answer.contains(",\"stderr\":"),
        "{answer}"
    );
    Some(serde_json::from_str(answer).unwrap())
}

fn exec_gives_code_stderr_and_stdout_in_that_order() {
    let stage = Stage::new();
    let request = json!({"command": "echo hi; echo e >&2; exit 7"});
    let Some(answer) = exec(all_of(&stage), &stage, request) else {
        return;
    };
    assert_eq!(
        answer,
        json!({"code": 7, "stderr": "e\n", "stdout": "hi\n"})
    );
    let nothing = exec(all_of(&stage), &stage, json!({})).unwrap();
    assert_eq!(nothing, json!({"code": 0, "stderr": "", "stdout": ""}));
}

fn exec_cwd_stays_in_the_project() {
    let stage = Stage::new();
    std::fs::create_dir(stage.project().join("sub")).unwrap();
    let run = |cwd: &str| {
        exec(
            all_of(&stage),
            &stage,
            json!({"command": "pwd", "cwd": cwd}),
        )
    };
    let Some(inside) = run("sub") else { return };
    let sub = format!("{}/sub\n", stage.project().display());
    assert_eq!(inside["stdout"], sub);
    let absolute = stage.project().join("sub").display().to_string();
    assert_eq!(run(&absolute).unwrap()["stdout"], sub);
    for out in ["..", "/etc", "/nonexistent"] {
        let answer = run(out).unwrap();
        assert_eq!(
            answer["stderr"],
            "exec cwd escapes project and plugin directory"
        );
        assert_eq!(answer["code"], 1);
    }
    let gone = run("nope").unwrap();
    assert_eq!(gone["code"], 1);
    assert_eq!(
        gone["stderr"],
        "exec cwd 'nope' does not exist or is not accessible"
    );
}

fn exec_timeout_is_124() {
    let stage = Stage::new();
    let request = json!({"command": "sleep 30", "timeout": 1});
    let Some(answer) = exec(all_of(&stage), &stage, request) else {
        return;
    };
    assert_eq!(
        answer,
        json!({"code": 124, "stderr": "command timed out after 1s", "stdout": ""})
    );
    let at_once = exec(
        all_of(&stage),
        &stage,
        json!({"command": "sleep 30", "timeout": 0}),
    )
    .unwrap();
    assert_eq!(at_once["code"], 124);
}

fn exec_reads_more_than_a_pipe_holds_here() {
    let stage = Stage::new();
    let request = json!({"command": "head -c 200000 /dev/zero | tr '\\0' x", "timeout": 20});
    let Some(answer) = exec(all_of(&stage), &stage, request) else {
        return;
    };
    assert_eq!(answer["code"], 0, "{}", answer["stderr"]);
    assert_eq!(answer["stdout"].as_str().unwrap().len(), 200_000);
}

fn short(grants: &mut Grants) {
    grants.limits.call = Duration::from_secs(1);
}

fn the_deadline_covers_exec_here() {
    let stage = Stage::new();
    let mut grants = all_of(&stage);
    short(&mut grants);
    let request = json!({"command": "sleep 70", "timeout": 80}).to_string();
    let Some(ran) = stage.full(grants, &["exec", &request]) else {
        return;
    };
    // The command is over with the call: the guest may still be told so.
    match &ran.ended {
        Err(_) => has(&ran.error(), "passed its deadline"),
        Ok(_) => has(&ran.stdout, "{\"code\":124,"),
    }
}

fn the_deadline_covers_sleep_here() {
    let Some(ran) = Stage::new().probe(with(short), &["sleep", "75"]) else {
        return;
    };
    has(&ran.error(), "passed its deadline");
}

fn an_infinite_loop_exceeds_its_compute_budget() {
    let forever = wat("(loop (br 0))");
    let grants = with(|grants| grants.limits.fuel = Some(1_000_000));
    let ran = Stage::new().run(forever, grants, &[]);
    has(&ran.error(), "instructions");
    let plugin = Stage::new().load(wat(""), with(|_| {})).unwrap();
    assert_eq!(
        plugin.grants().limits.fuel,
        Some(10_000_000_000),
        "as fledge has it"
    );
}

fn memory_grows_to_its_limit_and_no_further() {
    let Some(ran) = Stage::new().probe(with(|_| {}), &["grow"]) else {
        return;
    };
    let pages: u64 = ran.stdout.split(' ').next().unwrap().parse().unwrap();
    assert!((4000..=4096).contains(&pages), "{pages}");
    let ran = Stage::new().probe(with(|_| {}), &["push"]).unwrap();
    has(&ran.error(), "memory");
}

fn more_memory_than_may_be_is_not_begun_with() {
    let large = r#"(module (import "fledge" "exit" (func (param i32))) (memory (export "memory") 5000)
        (func (export "_start")))"#;
    let large = portcullis_testkit::assemble(large.as_bytes()).unwrap();
    let ran = Stage::new().run(large, with(|_| {}), &[]);
    has(&ran.error(), "memory");
}

fn imports_that_were_not_granted_are_told() {
    let error = Stage::new().load(
        wat("(drop (call $fledge_exec (i32.const 0) (i32.const 0)))"),
        with(|_| {}),
    );
    let error = error.unwrap_err();
    assert_eq!(error.code(), "P0603");
    let notes = error.diagnostic().notes.join("\n");
    has(&notes, "`fledge.exec`: needs the `exec` grant");
    has(&notes, "portcullis grant guest exec <program>");
}

fn imports_that_nobody_has_are_told() {
    for (module, name) in [
        ("env", "foo"),
        ("wasi_unstable", "fd_write"),
        ("fledge", "http"),
    ] {
        let text = format!(
            r#"(module (import "fledge" "exit" (func (param i32))) (import "{module}" "{name}" (func))
            (memory (export "memory") 1) (func (export "_start")))"#
        );
        let bytes = portcullis_testkit::assemble(text.as_bytes()).unwrap();
        let error = Stage::new().load(bytes, with(|_| {})).unwrap_err();
        has(
            &error.diagnostic().notes.join("\n"),
            &format!("`{module}.{name}`: "),
        );
    }
}

fn refused_for_its_types(text: &str, why: &str) {
    let bytes = portcullis_testkit::assemble(text.as_bytes()).unwrap();
    let error = Stage::new().load(bytes, with(|_| {})).unwrap_err();
    assert_eq!(error.code(), "P0604");
    has(&error.diagnostic().notes.join("\n"), why);
}

fn a_send_with_a_result_is_told() {
    let text = r#"(module (import "fledge" "send" (func (param i32 i32) (result i32)))
        (memory (export "memory") 1) (func (export "_start")))"#;
    refused_for_its_types(text, "its import `fledge.send` is not `(i32, i32)`");
}

fn a_start_with_a_result_is_told() {
    let text = r#"(module (import "fledge" "exit" (func (param i32)))
        (memory (export "memory") 1) (func (export "_start") (result i32) i32.const 0))"#;
    refused_for_its_types(text, "its export `_start` is not `()`");
    let text = text.replace("_start", "_begin");
    refused_for_its_types(&text, "it exports no function `_start: ()`");
}

fn a_component_is_none_of_fledge() {
    assert_eq!(Kind::of(b"\0asm\x0d\0\x01\0"), Kind::Component);
    assert!(
        Stage::new()
            .load(b"\0asm\x0d\0\x01\0".to_vec(), with(|_| {}))
            .is_err()
    );
    assert_eq!(
        Kind::of(&wat("(call $fledge_exit (i32.const 0))")),
        Kind::FledgeModule
    );
}

fn the_official_scaffold_prints_its_line_raw() {
    let Some(bytes) = rust("fledge-scaffold") else {
        return;
    };
    let grants = with(|grants| grants.fledge = Some(FledgePlugin::default()));
    let ran = Stage::new().run(bytes, grants, &["passed"]);
    assert_eq!(ran.code(), 0);
    assert_eq!(
        ran.stdout,
        "{\"type\":\"output\",\"text\":\"Hello from a scaffold\"}\n"
    );
}
