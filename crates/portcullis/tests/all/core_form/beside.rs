//! Commands beside a guest in the core-module form.

use std::time::Duration;

use portcullis::audit::{Ended, Event};
use portcullis::policy::{Grants, Limits};
use portcullis::{CallError, Status};
use portcullis_testkit::tests;
use serde_json::{Value, json};

use super::guest::{Guest, LOG, OK, Stage, packed, text};
use crate::exec::Fifo;
use crate::fixture::{block_on, programs};

tests![
    a_child_is_fed_read_and_told_the_end_of,
    a_poll_waits_no_longer_than_it_is_told,
    a_child_that_does_not_read_takes_what_a_pipe_holds,
    much_output_comes_in_pieces,
    streams_are_null_unless_written,
    cancelling_kills_the_tree_before_it_returns,
    numbers_that_lead_nowhere_are_refused,
    a_child_ends_with_its_call,
    a_dropped_call_kills_its_children,
    no_more_children_than_there_are_numbers_for,
    a_child_that_was_told_the_end_of_is_forgotten,
    the_deadline_ends_a_poll,
    while_room_is_made_nothing_is_told,
];

const START: &str =
    r#"(import "portcullis:core/v1" "exec_start" (func $start (param i64) (result i64)))"#;
const WRITE: &str =
    r#"(import "portcullis:core/v1" "exec_write" (func $write (param i32 i64) (result i64)))"#;
const POLL: &str =
    r#"(import "portcullis:core/v1" "exec_poll" (func $poll (param i32 i64) (result i64)))"#;
const CANCEL: &str =
    r#"(import "portcullis:core/v1" "exec_cancel" (func $cancel (param i32) (result i64)))"#;

/// A guest with all functions, and a `run` that does this. `$begin` starts what is requested, `$say` tells the log, and
/// `$until_over` polls until an answer does not end in `"outcome":null}}`.
fn guest(request: &str, run: &str) -> Guest {
    let (data, at) = text(request);
    Guest {
        rest: format!(
            "{LOG} {START} {WRITE} {POLL} {CANCEL} {data}
             (func $say (param $answer i64) (call $log (i32.const 2) (local.get $answer)))
             (func $begin (call $say (call $start {at})))
             (func $until_over (param $child i32) (local $answer i64)
                (loop $more
                    (local.set $answer (call $poll (local.get $child) (i64.const -1)))
                    (call $say (local.get $answer))
                    (br_if $more (i32.eq
                        (i32.load (i32.sub (i32.add (i32.wrap_i64 (i64.shr_u (local.get $answer) (i64.const 32)))
                            (i32.wrap_i64 (local.get $answer))) (i32.const 6)))
                        (i32.const 0x6c6c756e)))))"
        ),
        run: format!("{run} {OK}"),
        ..Guest::default()
    }
}

fn pipes(program: &str, args: &str) -> String {
    let stdio = r#"{"stdin":"pipe","stdout":"pipe","stderr":"pipe"}"#;
    format!(r#"{{"program":"{program}","args":{args},"stdio":{stdio}}}"#)
}

/// Runs it, and gives what was said, line by line.
fn run(guest: &Guest, grants: Grants) -> (Stage, Vec<Value>) {
    let stage = Stage::new();
    block_on(async {
        let mut instance = stage.start(guest, grants).await.unwrap();
        assert_eq!(instance.run(&[]).await.unwrap(), Ok(String::new()));
    });
    let said = stage.answers();
    (stage, said)
}

fn bytes(answers: &[Value], stream: &str) -> String {
    answers
        .iter()
        .filter_map(|answer| answer["ok"][stream].as_str())
        .collect()
}

fn a_child_is_fed_read_and_told_the_end_of() {
    let request = pipes("sh", r#"["-c","tr a-z A-Z; echo end >&2; exit 4"]"#);
    // `hi` lies at 512, and is written before the child can have ended.
    let guest = guest(
        &request,
        &format!(
            "(call $begin) (if (i64.ne (call $write (i32.const 1) {hi}) (i64.const 2)) (then unreachable))
             (if (i64.ne (call $write (i32.const 1) (i64.const 0)) (i64.const 0)) (then unreachable))
             (if (i64.ne (call $write (i32.const 1) {hi}) (i64.const -1)) (then unreachable))
             (call $until_over (i32.const 1))",
            hi = packed(512, 2)
        ),
    );
    let guest = Guest {
        rest: format!("{} (data (i32.const 512) \"hi\")", guest.rest),
        ..guest
    };
    let (stage, said) = run(&guest, programs(&["sh"]));
    assert_eq!(said[0], json!({"ok": {"child": 1}}));
    assert_eq!(bytes(&said, "stdout"), "SEk=");
    assert_eq!(bytes(&said, "stderr"), "ZW5kCg==");
    let last = &said.last().unwrap()["ok"];
    let outcome = last["outcome"].as_object().unwrap();
    assert_eq!(outcome["exit"], json!({"kind": "exited", "code": 4}));
    assert_eq!(outcome["stdout-truncated"], false);
    assert!(outcome["duration"].as_u64().unwrap() > 0);
    assert_eq!(last["writable"], 0);
    assert!(
        said[1..said.len() - 1]
            .iter()
            .all(|answer| answer["ok"]["outcome"].is_null())
    );
    let events = stage.trail.events();
    assert!(matches!(events[0].1, Event::Decision(_)));
    let Event::Outcome(outcome) = &events[1].1 else {
        panic!("{events:?}")
    };
    assert_eq!((events.len(), &outcome.ended), (2, &Ended::Exited(4)));
}

fn a_poll_waits_no_longer_than_it_is_told() {
    let poll = "(call $begin) (call $say (call $poll (i32.const 1) (i64.const 0)))
        (call $say (call $poll (i32.const 1) (i64.const 20)))";
    let (_stage, said) = run(&guest(&pipes("cat", "[]"), poll), programs(&["cat"]));
    let nothing = json!({"ok": {"stdout": "", "stderr": "", "writable": 65536, "outcome": null}});
    assert_eq!(said[1..], [nothing.clone(), nothing]);
}

fn a_child_that_does_not_read_takes_what_a_pipe_holds() {
    // Writes whole pages until the child takes none; it never reads, so that a poll with a limit has nothing to say.
    let fill = format!(
        "(call $begin) (loop $more (br_if $more (i64.ne (call $write (i32.const 1) {page}) (i64.const 0))))
         (call $say (call $poll (i32.const 1) (i64.const 20)))
         (if (i64.ne (call $write (i32.const 1) {page}) (i64.const 0)) (then unreachable))",
        page = packed(0, 65536)
    );
    let (_stage, said) = run(
        &guest(&pipes("sleep", r#"["100"]"#), &fill),
        programs(&["sleep"]),
    );
    assert_eq!(said[1]["ok"]["writable"], 0);
    // One that reads: the poll returns as soon as it takes more, and says so.
    let wait = fill.replace("(i64.const 20)", "(i64.const -1)");
    let drains = pipes("sh", r#"["-c","sleep 0.1; cat >/dev/null"]"#);
    let wait = wait.replace(
        "(i64.const 0)) (then unreachable)",
        "(i64.const 65536)) (then unreachable)",
    );
    let (_stage, said) = run(&guest(&drains, &wait), programs(&["sh", "sleep", "cat"]));
    assert_eq!(said[1]["ok"]["writable"], 65536);
    // Told once: a guest that writes no more is not woken for it again, but for the end.
    let takes_two = pipes(
        "sh",
        r#"["-c","sleep 0.1; head -c 131072 >/dev/null; sleep 0.2"]"#,
    );
    let idle = format!(
        "(call $begin) (drop (call $write (i32.const 1) {page})) (drop (call $write (i32.const 1) {page}))
         (if (i64.ne (call $write (i32.const 1) {page}) (i64.const 0)) (then unreachable))
         (call $say (call $poll (i32.const 1) (i64.const -1)))
         (call $say (call $poll (i32.const 1) (i64.const -1)))",
        page = packed(0, 65536)
    );
    let (_stage, said) = run(
        &guest(&takes_two, &idle),
        programs(&["sh", "sleep", "head"]),
    );
    assert!(said[1]["ok"]["outcome"].is_null(), "{said:?}");
    assert_eq!(said[2]["ok"]["outcome"]["exit"]["code"], 0, "{said:?}");
}

fn much_output_comes_in_pieces() {
    const BYTES: usize = 1_000_000;
    let script = format!("head -c {BYTES} /dev/zero; head -c {BYTES} /dev/zero >&2");
    let request = pipes("sh", &format!(r#"["-c","{script}"]"#));
    // Answers are counted, not said: a line of the log has no room for them.
    let count = "(call $begin) (call $until_over (i32.const 1))";
    let guest = guest(&request, count);
    let stage = Stage::new();
    block_on(async {
        let mut instance = stage.start(&guest, programs(&["sh"])).await.unwrap();
        assert_eq!(instance.run(&[]).await.unwrap(), Ok(String::new()));
    });
    let mut answers = 0;
    for line in stage.said().lines().skip(1) {
        // What was cut says how long it was.
        let cut = line
            .rsplit_once("… (")
            .and_then(|(_, rest)| rest.strip_suffix(" bytes)"));
        let length = cut.map_or(line.len(), |length| length.parse().unwrap());
        assert!(length <= 2 * 65536 / 3 * 4 + 200, "{length}");
        answers += 1;
    }
    assert!(answers > BYTES / 65536, "{answers}");
    let events = stage.trail.events();
    let Some((_, Event::Outcome(outcome))) = events.last() else {
        panic!("{events:?}")
    };
    assert_eq!(
        (outcome.stdout_bytes, outcome.stderr_bytes),
        (BYTES as u64, BYTES as u64)
    );
}

fn streams_are_null_unless_written() {
    let request = r#"{"program":"sh","args":["-c","cat; echo out; echo err >&2"]}"#;
    let over = "(call $begin) (if (i64.ne (call $write (i32.const 1) (i64.const 0x10_0000_0001)) (i64.const -1))
        (then unreachable)) (call $until_over (i32.const 1))";
    let (_stage, said) = run(&guest(request, over), programs(&["sh"]));
    assert_eq!(
        (bytes(&said, "stdout"), bytes(&said, "stderr")),
        (String::new(), String::new())
    );
    let merged = r#"{"program":"sh","args":["-c","echo out; echo err >&2"],"stdio":{"stdout":"pipe","stderr":"merged"}}"#;
    let over = "(call $begin) (call $until_over (i32.const 1))";
    let (_stage, said) = run(&guest(merged, over), programs(&["sh"]));
    let out = bytes(&said, "stdout");
    assert!(out == "b3V0CmVycgo=" || out == "b3V0Cg==ZXJyCg==", "{out}");
    let inherited = merged.replace("merged", "inherit");
    let (_stage, said) = run(&guest(&inherited, "(call $begin)"), programs(&["sh"]));
    assert_eq!(said[0], json!({"error": {"kind": "denied"}}));
}

fn cancelling_kills_the_tree_before_it_returns() {
    let stage = Stage::new();
    let fifo = Fifo::new(stage.project.path());
    // Says a line when all of it runs, also what left its session; then it is cancelled.
    let script = format!(
        "exec 9>{}; (setsid sleep 100 &); echo up; sleep 100",
        fifo.path()
    );
    let cancel = "(call $begin) (call $say (call $poll (i32.const 1) (i64.const -1)))
        (if (i64.ne (call $cancel (i32.const 1)) (i64.const 0)) (then unreachable))
        (if (i64.ne (call $cancel (i32.const 1)) (i64.const -1)) (then unreachable))
        (call $say (call $poll (i32.const 1) (i64.const 0)))
        (loop $wait (br $wait))";
    let guest = guest(&pipes("sh", &format!(r#"["-c","{script}"]"#)), cancel);
    block_on(async {
        let limits = Limits {
            call: Duration::from_secs(20),
            ..Limits::default()
        };
        let grants = Grants {
            limits,
            ..programs(&["sh"])
        };
        let mut instance = stage.start(&guest, grants).await.unwrap();
        let mut call = Box::pin(instance.run(&[]));
        // It is gone while the guest goes on.
        let told = async {
            while stage.answers().len() < 3 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            answer = &mut call => panic!("{answer:?}"),
            () = told => {
                let written = stage.trail.events().len();
                assert_eq!(written, 2, "its end is written down before the guest goes on");
                fifo.assert_closed_within(Duration::ZERO);
            }
        }
    });
    let said = stage.answers();
    assert_eq!(said[1]["ok"]["stdout"], "dXAK");
    assert_eq!(said[2], json!({"error": {"kind": "invalid"}}));
    let events = stage.trail.events();
    let Event::Outcome(outcome) = &events[1].1 else {
        panic!("{events:?}")
    };
    assert_eq!(outcome.ended, Ended::Cancelled);
}

fn numbers_that_lead_nowhere_are_refused() {
    let mut forged = "(call $begin)".to_owned();
    for number in [0, 2, -1, i32::MAX, i32::MIN] {
        forged += &format!(
            "(call $say (call $poll (i32.const {number}) (i64.const -1)))
             (if (i64.ne (call $write (i32.const {number}) (i64.const 0x10_0000_0001)) (i64.const -1)) (then unreachable))
             (if (i64.ne (call $cancel (i32.const {number})) (i64.const -1)) (then unreachable))"
        );
    }
    let guest = guest(&pipes("cat", "[]"), &forged);
    let stage = Stage::new();
    block_on(async {
        let plugin = stage
            .load(guest.assemble(), programs(&["cat"]))
            .await
            .unwrap();
        let mut one = plugin.instantiate("one").await.unwrap();
        one.run(&[]).await.unwrap().unwrap();
    });
    let said = stage.answers();
    assert_eq!(said.len(), 6);
    assert!(
        said[1..]
            .iter()
            .all(|answer| *answer == json!({"error": {"kind": "invalid"}})),
        "{said:?}"
    );
}

fn a_child_ends_with_its_call() {
    // The first call leaves a child; the second asks for it by its number, and starts another.
    let leaves = "(call $say (call $poll (i32.const 1) (i64.const 0))) (call $begin)";
    let stage = Stage::new();
    let fifo = Fifo::new(stage.project.path());
    let script = format!("exec 9>{}; echo up; sleep 100", fifo.path());
    let guest = guest(&pipes("sh", &format!(r#"["-c","{script}"]"#)), leaves);
    block_on(async {
        let mut instance = stage.start(&guest, programs(&["sh"])).await.unwrap();
        for _ in 0..2 {
            instance.run(&[]).await.unwrap().unwrap();
            fifo.assert_closed_within(Duration::ZERO);
            assert_eq!(stage.trail.events().len() % 2, 0, "each has its outcome");
        }
        let statuses: Vec<_> = instance
            .activity()
            .commands
            .iter()
            .map(|command| command.status)
            .collect();
        assert_eq!(statuses.len(), 2);
        assert!(
            statuses
                .iter()
                .all(|status| !matches!(status, Status::Exited(_))),
            "{statuses:?}"
        );
    });
    let invalid = json!({"error": {"kind": "invalid"}});
    let said = stage.answers();
    assert_eq!(
        said,
        [
            invalid.clone(),
            json!({"ok": {"child": 1}}),
            invalid,
            json!({"ok": {"child": 2}})
        ]
    );
}

fn a_dropped_call_kills_its_children() {
    let stage = Stage::new();
    let fifo = Fifo::new(stage.project.path());
    let script = format!("exec 9>{}; sleep 100", fifo.path());
    let request = pipes("sh", &format!(r#"["-c","{script}"]"#));
    let guest = guest(&request, "(call $begin) (loop $wait (br $wait))");
    block_on(async {
        let mut instance = stage.start(&guest, programs(&["sh"])).await.unwrap();
        {
            let mut call = Box::pin(instance.run(&[]));
            tokio::select! {
                answer = &mut call => panic!("{answer:?}"),
                () = fifo.opened() => {}
            }
        }
        // The instance is still there.
        fifo.assert_closed_within(Duration::from_secs(5));
        assert!(matches!(
            instance.run(&[]).await,
            Err(CallError::Poisoned { .. })
        ));
    });
}

fn no_more_children_than_there_are_numbers_for() {
    let start = "(local $left i32) (local.set $left (i32.const 65))
        (loop $more (call $begin) (local.set $left (i32.sub (local.get $left) (i32.const 1))) (br_if $more (local.get $left)))";
    let limits = Limits {
        children: 100,
        ..Limits::default()
    };
    let grants = Grants {
        limits,
        ..programs(&["true"])
    };
    let guest = guest(&pipes("true", "[]"), start);
    let (_stage, said) = run(&guest, grants);
    let limit = json!({"error": {"kind": "limit", "limit": "children"}});
    assert_eq!(said.iter().filter(|answer| **answer == limit).count(), 1);
    assert_eq!(said.last(), Some(&limit));
    let few = Limits {
        children: 1,
        ..Limits::default()
    };
    let grants = Grants {
        limits: few,
        ..programs(&["cat"])
    };
    let guest = self::guest(&pipes("cat", "[]"), "(call $begin) (call $begin)");
    let (_stage, said) = run(&guest, grants);
    assert_eq!(said, [json!({"ok": {"child": 1}}), limit]);
}

fn a_child_that_was_told_the_end_of_is_forgotten() {
    let twice = "(call $begin) (call $until_over (i32.const 1)) (call $say (call $poll (i32.const 1) (i64.const -1)))";
    let (_stage, said) = run(&guest(&pipes("true", "[]"), twice), programs(&["true"]));
    assert_eq!(said.last(), Some(&json!({"error": {"kind": "invalid"}})));
}

fn the_deadline_ends_a_poll() {
    let limits = Limits {
        call: Duration::from_millis(500),
        ..Limits::default()
    };
    let grants = Grants {
        limits,
        ..programs(&["cat"])
    };
    let forever =
        "(call $begin) (loop $more (drop (call $poll (i32.const 1) (i64.const -1))) (br $more))";
    block_on(async {
        let guest = guest(&pipes("cat", "[]"), forever);
        let mut instance = Stage::new().start(&guest, grants).await.unwrap();
        let error = instance.run(&[]).await.unwrap_err();
        assert!(matches!(error, CallError::Deadline { .. }), "{error}");
    });
}

fn while_room_is_made_nothing_is_told() {
    let (data, at) = text(&pipes("cat", "[]"));
    let allocate = format!(
        r#"(func (export "allocate") (param i32) (result i32)
            (if (i64.ne (call $start {at}) (i64.const 0)) (then unreachable))
            (if (i64.ne (call $poll (i32.const 1) (i64.const -1)) (i64.const 0)) (then unreachable))
            (if (i64.ne (call $write (i32.const 1) (i64.const 0x10_0000_0001)) (i64.const -1)) (then unreachable))
            (if (i64.ne (call $cancel (i32.const 1)) (i64.const -1)) (then unreachable))
            (i32.const 4096))"#
    );
    let guest = Guest {
        rest: format!("{START} {WRITE} {POLL} {CANCEL} {data}"),
        allocate: allocate.leak(),
        ..Guest::default()
    };
    let stage = Stage::new();
    block_on(async {
        let mut instance = stage.start(&guest, programs(&["cat"])).await.unwrap();
        assert_eq!(instance.run(&[]).await.unwrap(), Ok(String::new()));
        assert!(stage.trail.events().is_empty());
    });
}
