//! What a plugin in the core-module form can do, and how it ends.

use std::time::Duration;

use portcullis::CallError;
use portcullis::audit::{Ended, Event, Verdict};
use portcullis::policy::{FsAccess, Grants, Limits};
use portcullis_testkit::tests;
use serde_json::json;

use super::guest::{ALLOCATE, ERROR, Guest, LOG, OK, Stage, text};
use crate::fixture::{args, block_on, directory, none, programs};

tests![
    the_fixture_runs_a_command,
    arguments_and_answers_pass,
    a_command_is_told_of_in_the_words_of_the_wit,
    a_refusal_tells_its_kind_alone,
    what_is_no_request_is_invalid_and_told_to_the_operator,
    the_trail_has_the_same_lines_as_of_a_component,
    late_is_a_denial_at_the_call,
    initialize_is_called_once,
    a_log_line_is_one_line,
    preview_1_reads_what_was_granted_to_be_read,
    no_call_of_preview_1_changes_what_may_be_read_only,
    preview_1_opens_a_number_of_files_and_no_pipe,
    memory_and_tables_are_counted_together,
    instructions_are_counted_where_that_is_a_limit,
    no_room_for_arguments_where_memory_was_refused_is_want_of_memory,
    a_loop_in_the_start_function_is_stopped,
    a_trap_poisons_the_instance,
];

fn exec(request: &str, grants: Grants) -> (Stage, serde_json::Value) {
    let stage = Stage::new();
    block_on(async {
        let mut instance = stage.start(&Guest::exec(request), grants).await.unwrap();
        assert_eq!(instance.run(&[]).await.unwrap(), Ok(String::new()));
    });
    let answer = stage.answer();
    (stage, answer)
}

fn the_fixture_runs_a_command() {
    let stage = Stage::new();
    block_on(async {
        let bytes = portcullis_testkit::wat("core-exec");
        let plugin = stage.load(bytes, programs(&["echo"])).await.unwrap();
        let mut instance = plugin.instantiate("test").await.unwrap();
        for _ in 0..2 {
            assert_eq!(
                instance.run(&args(&["x"])).await.unwrap(),
                Ok("done".to_owned())
            );
        }
    });
    assert!(
        stage.said().starts_with("info: [\"x\"]\n"),
        "{}",
        stage.said()
    );
    assert_eq!(stage.answer()["ok"]["stdout"], "YSBiICRIT01FCg==");
}

fn arguments_and_answers_pass() {
    // Answers what it is given, as text: `["a"]` is no answer, and `run` has to say what is wrong.
    let echo = Guest {
        run: "(local.get $args)".to_owned(),
        ..Guest::default()
    };
    let stage = Stage::new();
    block_on(async {
        let mut instance = stage.start(&echo, none()).await.unwrap();
        let error = instance.run(&args(&["a"])).await.unwrap_err();
        assert!(
            error.to_string().starts_with(
                "plugin `guest` crashed in call `run`: what its `run` gave back is no answer: "
            ),
            "{error}"
        );
        let refuses = Guest {
            run: ERROR.to_owned(),
            ..Guest::default()
        };
        let mut instance = stage.start(&refuses, none()).await.unwrap();
        assert_eq!(instance.run(&[]).await.unwrap(), Err("e".to_owned()));
        let logs = Guest {
            rest: LOG.to_owned(),
            run: format!("(call $log (i32.const 1) (local.get $args)) {OK}"),
            ..Guest::default()
        };
        let mut instance = stage.start(&logs, none()).await.unwrap();
        instance
            .run(&args(&["a\"b", "ü\n", ""]))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(stage.said(), "debug: [\"a\\\"b\",\"ü\\n\",\"\"]\n");
    });
}

fn a_command_is_told_of_in_the_words_of_the_wit() {
    let request = r#"{"program":"sh","args":["-c","cat; echo bad >&2; exit 3"],"stdin":"AP8="}"#;
    let (_stage, mut answer) = exec(request, programs(&["sh"]));
    assert!(answer["ok"]["duration"].as_u64().unwrap() > 0);
    answer["ok"]["duration"] = json!(1);
    assert_eq!(
        answer,
        json!({"ok": {
            "exit": {"kind": "exited", "code": 3}, "stdout": "AP8=", "stderr": "YmFkCg==",
            "stdout-truncated": false, "stderr-truncated": false, "duration": 1,
        }})
    );
    let request = r#"{"program":"sh","args":["-c","kill -9 $$"]}"#;
    let (_stage, answer) = exec(request, programs(&["sh"]));
    assert_eq!(
        answer["ok"]["exit"],
        json!({"kind": "signalled", "signal": 9})
    );
    let request = r#"{"program":"sleep","args":["100"],"timeout":50000000}"#;
    let (_stage, answer) = exec(request, programs(&["sleep"]));
    assert_eq!(answer["ok"]["exit"], json!({"kind": "timed-out"}));
    let limits = Limits {
        output: 3,
        ..Limits::default()
    };
    let request = r#"{"program":"echo","args":["hello"]}"#;
    let grants = Grants {
        limits,
        ..programs(&["echo"])
    };
    let (_stage, answer) = exec(request, grants);
    assert_eq!(answer["ok"]["stdout"], "aGVs");
    assert_eq!(answer["ok"]["stdout-truncated"], true);
}

fn a_refusal_tells_its_kind_alone() {
    for (program, kind) in [
        ("cat", "denied"),
        ("/etc/passwd", "denied"),
        ("nothing-of-that-name", "not-found"),
    ] {
        let request = format!(r#"{{"program":"{program}"}}"#);
        let (_stage, answer) = exec(&request, programs(&["echo", "nothing-of-that-name"]));
        assert_eq!(answer, json!({"error": {"kind": kind}}), "{program}");
    }
    let limits = Limits {
        children: 0,
        ..Limits::default()
    };
    let grants = Grants {
        limits,
        ..programs(&["echo"])
    };
    let (_stage, answer) = exec(r#"{"program":"echo"}"#, grants);
    assert_eq!(
        answer,
        json!({"error": {"kind": "limit", "limit": "children"}})
    );
}

fn what_is_no_request_is_invalid_and_told_to_the_operator() {
    let stage = Stage::new();
    block_on(async {
        let guest = Guest::exec(r#"{"program":"echo","shell":true}"#);
        let mut instance = stage.start(&guest, programs(&["echo"])).await.unwrap();
        instance.run(&[]).await.unwrap().unwrap();
        assert_eq!(stage.answer(), json!({"error": {"kind": "invalid"}}));
        let failures = &instance.activity().failures;
        assert!(
            failures[0].contains("unknown field `shell`"),
            "{failures:?}"
        );
        assert!(stage.trail.events().is_empty(), "nothing was decided");
        let guest = Guest::exec(
            r#"{"program":"echo","\u001b[2Jtoken=ghp_0123456789abcdefghijABCDEFGHIJ456789":1}"#,
        );
        let mut instance = stage.start(&guest, programs(&["echo"])).await.unwrap();
        instance.run(&[]).await.unwrap().unwrap();
        let failures = &instance.activity().failures;
        assert!(failures[0].contains("u{1b}[2J"), "escaped: {failures:?}");
        assert!(!failures[0].contains("ghp_0123"), "masked: {failures:?}");
    });
}

fn the_trail_has_the_same_lines_as_of_a_component() {
    let stage = Stage::new();
    let fixture = crate::fixture::Fixture::new();
    block_on(async {
        let guest = Guest::exec(r#"{"program":"echo","args":["hi"]}"#);
        let mut instance = stage.start(&guest, programs(&["echo"])).await.unwrap();
        instance.run(&[]).await.unwrap().unwrap();
        let guest = Guest::exec(r#"{"program":"cat"}"#);
        let mut instance = stage.start(&guest, programs(&["echo"])).await.unwrap();
        instance.run(&[]).await.unwrap().unwrap();
        for words in [&["exec", "--", "echo", "hi"][..], &["exec", "--", "cat"]] {
            let mut component = fixture.instance("exec-args", programs(&["echo"])).await;
            let _ = component.run(&args(words)).await.unwrap();
        }
    });
    let lines = |events: Vec<(_, Event)>| -> Vec<Event> {
        let without_times = |event| match event {
            Event::Outcome(outcome) => {
                let duration_us = 0;
                Event::Outcome(portcullis::audit::Outcome {
                    duration_us,
                    ..outcome
                })
            }
            other => other,
        };
        events
            .into_iter()
            .map(|(_, event)| without_times(event))
            .collect()
    };
    let of_module = lines(stage.trail.events());
    assert_eq!(of_module, lines(fixture.trail.events()));
    let [
        Event::Decision(allowed),
        Event::Outcome(outcome),
        Event::Decision(denied),
    ] = &of_module[..]
    else {
        panic!("{of_module:?}")
    };
    assert_eq!(
        (allowed.verdict, denied.verdict),
        (Verdict::Allow, Verdict::Deny)
    );
    assert_eq!(outcome.ended, Ended::Exited(0));
}

fn late_is_a_denial_at_the_call() {
    let late = Grants {
        late: true,
        ..none()
    };
    let (_stage, answer) = exec(r#"{"program":"echo"}"#, late);
    assert_eq!(answer, json!({"error": {"kind": "denied"}}));
}

fn initialize_is_called_once() {
    // As Go's, it traps when it is called again; `run` traps if it was not called.
    let guest = Guest {
        rest: r#"(global $ready (mut i32) (i32.const 0))
            (func (export "_initialize")
                (if (global.get $ready) (then unreachable)) (global.set $ready (i32.const 1)))"#
            .to_owned(),
        run: format!("(if (i32.eqz (global.get $ready)) (then unreachable)) {OK}"),
        ..Guest::default()
    };
    block_on(async {
        let mut instance = Stage::new().start(&guest, none()).await.unwrap();
        for _ in 0..2 {
            assert_eq!(instance.run(&[]).await.unwrap(), Ok(String::new()));
        }
        let trap = Guest {
            rest: r#"(func (export "_initialize") unreachable)"#.to_owned(),
            ..Guest::default()
        };
        let error = Stage::new().start(&trap, none()).await.unwrap_err();
        assert!(
            error.to_string().contains("crashed in call `_initialize`"),
            "{error}"
        );
    });
}

fn a_log_line_is_one_line() {
    let (data, at) = text("a\nerror: forged\u{1b}[2J\n");
    let guest = Guest {
        rest: format!("{LOG} {data}"),
        run: format!(
            "(call $log (i32.const 3) {at}) (call $log (i32.const 99) (i64.const 0)) {OK}"
        ),
        ..Guest::default()
    };
    let stage = Stage::new();
    block_on(async {
        let mut instance = stage.start(&guest, none()).await.unwrap();
        instance.run(&[]).await.unwrap().unwrap();
    });
    assert_eq!(stage.said(), "warn: a\\nerror: forged\\u{1b}[2J\nerror: \n");
}

fn preview_1_reads_what_was_granted_to_be_read() {
    const IMPORTS: &str = r#"
        (import "wasi_snapshot_preview1" "path_open"
            (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "path_unlink_file" (func $unlink (param i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))"#;
    const READ: u64 = 1 << 1;
    const WRITE: u64 = 1 << 6;
    let (data, _) = text("file");
    let name = format!("(i32.const 1024) (i32.const {})", "file".len());
    let open = |rights: u64, create: u32| {
        format!(
            "(call $open (i32.const 3) (i32.const 0) {name} (i32.const {create}) (i64.const {rights}) (i64.const 0) \
             (i32.const 0) (i32.const 2048))"
        )
    };
    // Traps unless every line is as it should be.
    let guest = Guest {
        rest: format!("{IMPORTS} {data} (data (i32.const 3000) \"\\c0\\0b\\00\\00\\03\\00\\00\\00\") (data (i32.const 3008) \"hi\\0a\")"),
        run: format!(
            "(if {} (then unreachable)) (if (i32.eqz {}) (then unreachable)) (if (i32.eqz {}) (then unreachable))
             (if (i32.eqz (call $unlink (i32.const 3) {name})) (then unreachable))
             (drop (call $write (i32.const 2) (i32.const 3000) (i32.const 1) (i32.const 3100)))
             {OK}",
            open(READ, 0),
            open(READ | WRITE, 0),
            open(READ, 1 | 8),
        ),
        ..Guest::default()
    };
    let stage = Stage::new();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "kept").unwrap();
    let grants = |access| Grants {
        fs: vec![directory(dir.path(), "/d", access)],
        ..none()
    };
    block_on(async {
        let mut instance = stage.start(&guest, grants(FsAccess::Read)).await.unwrap();
        assert_eq!(instance.run(&[]).await.unwrap(), Ok(String::new()));
        assert_eq!(
            std::fs::read_to_string(dir.path().join("file")).unwrap(),
            "kept"
        );
        assert_eq!(stage.said(), "hi\n", "its standard error");
        // Where it may write, the first thing that is to be refused is not.
        let may_write = grants(FsAccess::ReadWrite);
        let mut instance = stage.start(&guest, may_write).await.unwrap();
        let error = instance.run(&[]).await.unwrap_err();
        assert!(matches!(error, CallError::Trap { .. }), "{error}");
    });
    block_on(async {
        let mut instance = stage.start(&guest, none()).await.unwrap();
        let error = instance.run(&[]).await.unwrap_err();
        assert!(
            matches!(error, CallError::Trap { .. }),
            "nothing is granted: {error}"
        );
    });
}

fn instructions_are_counted_where_that_is_a_limit() {
    let grants = || Grants {
        limits: Limits {
            fuel: Some(1_000_000),
            ..Limits::default()
        },
        ..none()
    };
    let endless = Guest {
        run: format!("(loop $ever (br $ever)) {OK}"),
        ..Guest::default()
    };
    let never_ready = Guest {
        rest: r#"(func (export "_initialize") (loop $ever (br $ever)))"#.to_owned(),
        ..Guest::default()
    };
    block_on(async {
        let mut instance = Stage::new().start(&endless, grants()).await.unwrap();
        let error = instance.run(&[]).await.unwrap_err();
        assert_eq!(error.code(), "P0501", "{error}");
        let error = Stage::new()
            .start(&never_ready, grants())
            .await
            .unwrap_err();
        assert!(
            matches!(&error, CallError::Exhausted { call, .. } if *call == "_initialize"),
            "{error}"
        );
    });
}

fn no_room_for_arguments_where_memory_was_refused_is_want_of_memory() {
    let grants = Grants {
        limits: Limits {
            memory: 2 << 16,
            ..Limits::default()
        },
        ..none()
    };
    let args = [" ".repeat(1 << 20)];
    block_on(async {
        let mut instance = Stage::new().start(&Guest::default(), grants).await.unwrap();
        let error = instance.run(&args).await.unwrap_err();
        assert_eq!(error.code(), "P0502", "{error}");
        let stubborn = Guest {
            allocate: r#"(func (export "allocate") (param i32) (result i32) (i32.const 0))"#,
            ..Guest::default()
        };
        let mut instance = Stage::new().start(&stubborn, none()).await.unwrap();
        let error = instance.run(&args).await.unwrap_err();
        assert_eq!(error.code(), "P0702", "it never asked for any: {error}");
    });
}

/// A guest that runs this with `file` at 1024, and an open file of 4 bytes in `$fd`.
fn with_a_file(imports: &str, run: &str) -> Guest {
    let (data, _) = text("file");
    Guest {
        rest: format!(
            r#"(import "wasi_snapshot_preview1" "path_open"
                (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
            {imports} {data}
            (global $fd (mut i32) (i32.const 0))
            (data (i32.const 3000) "\c0\0b\00\00\03\00\00\00") (data (i32.const 3008) "hi\0a")
            (func $read (result i32)
                (call $open (i32.const 3) (i32.const 1) (i32.const 1024) (i32.const 4) (i32.const 0) (i64.const 2)
                    (i64.const 2) (i32.const 0) (i32.const 2048)))"#
        ),
        run: format!(
            "(if (call $read) (then unreachable))
             (global.set $fd (i32.load (i32.const 2048)))
             {run} {OK}"
        ),
        ..Guest::default()
    }
}

fn no_call_of_preview_1_changes_what_may_be_read_only() {
    // Name, parameters, and the call.
    let name = "(i32.const 1024) (i32.const 4)";
    let calls = [
        (
            "fd_write",
            "i32 i32 i32 i32",
            "(global.get $fd) (i32.const 3000) (i32.const 1) (i32.const 3100)".to_owned(),
        ),
        (
            "fd_pwrite",
            "i32 i32 i32 i64 i32",
            "(global.get $fd) (i32.const 3000) (i32.const 1) (i64.const 0) (i32.const 3100)"
                .to_owned(),
        ),
        (
            "fd_allocate",
            "i32 i64 i64",
            "(global.get $fd) (i64.const 0) (i64.const 100)".to_owned(),
        ),
        (
            "fd_filestat_set_size",
            "i32 i64",
            "(global.get $fd) (i64.const 100)".to_owned(),
        ),
        (
            "fd_filestat_set_times",
            "i32 i64 i64 i32",
            "(global.get $fd) (i64.const 0) (i64.const 0) (i32.const 5)".to_owned(),
        ),
        (
            "path_filestat_set_times",
            "i32 i32 i32 i32 i64 i64 i32",
            format!("(i32.const 3) (i32.const 0) {name} (i64.const 0) (i64.const 0) (i32.const 5)"),
        ),
        (
            "path_create_directory",
            "i32 i32 i32",
            "(i32.const 3) (i32.const 3008) (i32.const 2)".to_owned(),
        ),
        (
            "path_remove_directory",
            "i32 i32 i32",
            format!("(i32.const 3) {name}"),
        ),
        (
            "path_unlink_file",
            "i32 i32 i32",
            format!("(i32.const 3) {name}"),
        ),
        (
            "path_symlink",
            "i32 i32 i32 i32 i32",
            format!("{name} (i32.const 3) (i32.const 3008) (i32.const 2)"),
        ),
        (
            "path_link",
            "i32 i32 i32 i32 i32 i32 i32",
            format!(
                "(i32.const 3) (i32.const 0) {name} (i32.const 3) (i32.const 3008) (i32.const 2)"
            ),
        ),
        (
            "path_rename",
            "i32 i32 i32 i32 i32 i32",
            format!("(i32.const 3) {name} (i32.const 3) (i32.const 3008) (i32.const 2)"),
        ),
        // With `O_TRUNC`, and with all that may be asked for.
        (
            "path_open",
            "i32 i32 i32 i32 i32 i64 i64 i32 i32",
            format!(
                "(i32.const 3) (i32.const 0) {name} (i32.const 8) (i64.const 2) (i64.const 2) (i32.const 0) (i32.const 2048)"
            ),
        ),
        (
            "path_open",
            "i32 i32 i32 i32 i32 i64 i64 i32 i32",
            format!(
                "(i32.const 3) (i32.const 0) {name} (i32.const 0) (i64.const 0x1fffffff) (i64.const 0x1fffffff) (i32.const 0) (i32.const 2048)"
            ),
        ),
    ];
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "kept").unwrap();
    let before = std::fs::metadata(&file).unwrap().modified().unwrap();
    for (function, parameters, call) in calls {
        let imports = format!(
            r#"(import "wasi_snapshot_preview1" "{function}" (func $call (param {parameters}) (result i32)))"#
        );
        let guest = with_a_file(
            &imports,
            &format!("(if (i32.eqz (call $call {call})) (then unreachable))"),
        );
        let grants = Grants {
            fs: vec![directory(dir.path(), "/d", FsAccess::Read)],
            ..none()
        };
        block_on(async {
            let mut instance = Stage::new().start(&guest, grants).await.unwrap();
            let said = instance.run(&[]).await;
            assert_eq!(said.unwrap(), Ok(String::new()), "{function}");
        });
        assert_eq!(
            std::fs::read_to_string(&file).unwrap(),
            "kept",
            "{function}"
        );
        assert_eq!(
            std::fs::metadata(&file).unwrap().modified().unwrap(),
            before
        );
        assert_eq!(
            std::fs::read_dir(dir.path()).unwrap().count(),
            1,
            "{function}"
        );
    }
}

fn preview_1_opens_a_number_of_files_and_no_pipe() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "kept").unwrap();
    let run = |guest: Guest| {
        let grants = Grants {
            fs: vec![directory(dir.path(), "/d", FsAccess::Read)],
            ..none()
        };
        block_on(async {
            let mut instance = Stage::new().start(&guest, grants).await.unwrap();
            instance.run(&[]).await.map_err(|error| match error {
                CallError::Trap { cause, .. } => cause,
                error => panic!("{error}"),
            })
        })
    };
    let opening = |times: u32| {
        let rest = format!(
            "(global.set $left (i32.const {times}))
             (loop $more
                (if (call $read) (then unreachable))
                (global.set $left (i32.sub (global.get $left) (i32.const 1)))
                (br_if $more (global.get $left)))"
        );
        run(with_a_file("(global $left (mut i32) (i32.const 0))", &rest))
    };
    assert_eq!(opening(127).unwrap(), Ok(String::new()));
    // One is open already.
    let cause = opening(128).unwrap_err();
    assert!(cause.contains("unreachable"), "it was refused: {cause}");
    // A pipe that is opened waits for somebody at its other end.
    std::fs::remove_file(&file).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &file, rustix::fs::Mode::RWXU).unwrap();
    let pipe = Guest {
        run: format!("(if (i32.ne (call $read) (i32.const 63)) (then unreachable)) {OK}"),
        ..with_a_file("", "")
    };
    assert_eq!(run(pipe).unwrap(), Ok(String::new()));
}

fn memory_and_tables_are_counted_together() {
    let limited = |memory: u64| Grants {
        limits: Limits {
            memory,
            ..Limits::default()
        },
        ..none()
    };
    // Grows as far as it may, and says how many pages that were by trapping at any other number.
    let grows = |pages: u32| Guest {
        memory: r#"(memory (export "memory") 1)"#,
        run: format!(
            "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
             (if (i32.ne (memory.size) (i32.const {pages})) (then unreachable)) {OK}"
        ),
        ..Guest::default()
    };
    block_on(async {
        for pages in [4, 64] {
            let grants = limited(u64::from(pages) * 65536);
            let mut instance = Stage::new().start(&grows(pages), grants).await.unwrap();
            // Nothing is left for the arguments then, which came before.
            assert_eq!(
                instance.run(&[]).await.unwrap(),
                Ok(String::new()),
                "{pages}"
            );
        }
        let error = Stage::new()
            .start(&Guest::default(), limited(65535))
            .await
            .unwrap_err();
        assert_eq!(error.code(), "P0502", "{error}");
        let tables = Guest {
            rest: "(table 6000 funcref) (table 6000 funcref)".to_owned(),
            ..Guest::default()
        };
        let error = Stage::new().start(&tables, none()).await.unwrap_err();
        assert!(
            error.to_string().contains("table"),
            "two of 6000 are more than 10000: {error}"
        );
        let one = Guest {
            rest: "(table 6000 funcref)".to_owned(),
            ..Guest::default()
        };
        Stage::new().start(&one, none()).await.unwrap();
    });
}

fn a_loop_in_the_start_function_is_stopped() {
    let limits = Limits {
        call: Duration::from_millis(100),
        ..Limits::default()
    };
    for rest in [
        "(func $spin (loop $again (br $again))) (start $spin)",
        r#"(func (export "_initialize") (loop $again (br $again)))"#,
    ] {
        let guest = Guest {
            rest: rest.to_owned(),
            ..Guest::default()
        };
        let grants = Grants {
            limits: limits.clone(),
            ..none()
        };
        let error = block_on(async { Stage::new().start(&guest, grants).await.unwrap_err() });
        assert!(matches!(error, CallError::Deadline { .. }), "{error}");
    }
}

fn a_trap_poisons_the_instance() {
    let guest = Guest {
        run: "unreachable".to_owned(),
        allocate: ALLOCATE,
        ..Guest::default()
    };
    block_on(async {
        let mut instance = Stage::new().start(&guest, none()).await.unwrap();
        let error = instance.run(&[]).await.unwrap_err();
        assert!(matches!(error, CallError::Trap { .. }), "{error}");
        let again = instance.run(&[]).await.unwrap_err();
        assert!(matches!(again, CallError::Poisoned { .. }), "{again}");
    });
}
