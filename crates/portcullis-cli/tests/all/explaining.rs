//! Lines that a person copies, explained: what was asked, who decided, and what the policy of today says.

use std::io::Write as _;
use std::process::Stdio;

use crate::context::Context;

const RUN: [&str; 9] = [
    "run",
    "--trace",
    "--config",
    "policy.toml",
    "p",
    "exec",
    "--",
    "echo",
    "hi",
];

/// After a run that was allowed one command and denied another. Also what it printed.
fn after_a_run() -> (Context, String) {
    let context = Context::with_policy("exec.allow = [\"echo\"]\n");
    let also = [";;", "exec", "--", "cat", "/etc/passwd"];
    let (code, _, error) = context.ended(&[&RUN[..], &also].concat());
    assert_eq!(code, 0, "{error}");
    (context, error)
}

fn explain(context: &Context, text: &str) -> (i32, String) {
    let (code, out, error) = context.ended(&["explain", "--config", "policy.toml", text]);
    (code, format!("{out}{error}"))
}

fn line_of<'a>(text: &'a str, part: &str) -> &'a str {
    let mut lines = text.lines();
    lines.find(|line| line.contains(part)).expect(text)
}

#[test]
fn a_line_of_the_trace_is_explained_and_decided_again() {
    let (context, printed) = after_a_run();
    let denied = line_of(&printed, "denied");
    assert!(denied.starts_with("trace "), "{denied}");
    let told = context.plain(&explain(&context, denied).1);
    for part in [
        "record 5 of ",
        "call 2: denied [P0201] exec [\"cat\",\"/etc/passwd\"]",
        "plugin: p",
        "because: no `exec` rule matches",
        "today: the same, denied [P0201]",
        "may not run `/usr/bin/cat`",
        "help: to allow exactly this: portcullis grant --config",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
    let told = explain(&context, line_of(&printed, "call 1: allowed")).1;
    for part in [
        "by rule `allow[0]` (policy.toml:6)",
        "record 4: call 1: exit code 0",
        "policy.toml:6 is now: exec.allow = [\"echo\"]",
        "today: the same, allowed by rule `allow[0]` (policy.toml:6)",
        "to deny exactly this: add { program = \"echo\", args = [\"hi\"] } to `exec.deny` of `p`",
        "portcullis revoke --config",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
    // What came of it leads to what was decided.
    let told = explain(&context, line_of(&printed, "exit code 0 after")).1;
    assert!(
        told.contains("asked: exec [\"echo\",\"hi\"]") && told.contains("today: the same"),
        "{told}"
    );
}

#[test]
fn what_would_deny_exactly_this_does_and_then_it_is_no_longer_so() {
    let (context, printed) = after_a_run();
    let (denied, allowed) = (
        line_of(&printed, "denied"),
        line_of(&printed, "call 1: allowed"),
    );
    let head = crate::context::DEV;
    let deny = "exec.deny = [{ program = \"echo\", args = [\"hi\"] }]\n";
    context.write(
        "policy.toml",
        format!("{head}{deny}exec.allow = [\"echo\", \"cat\"]\nfs.read = [\"/etc\"]\n"),
    );
    let told = explain(&context, allowed).1;
    for part in [
        "policy.toml:6 is now: exec.deny = ",
        "today: no longer so: denied [P0202]",
        "denied by rule `deny[0]` at policy.toml:6",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
    let told = explain(&context, denied).1;
    assert!(
        told.contains("today: no longer so: allowed by rule `allow[1]`"),
        "{told}"
    );
}

#[test]
fn lines_of_the_trail_and_denials_as_they_are_printed_are_explained_too() {
    let (context, printed) = after_a_run();
    let denial = &printed[printed.find("warning[P0201]").expect(&printed)..];
    let shown = context.ended(&["audit", "show"]).1;
    let shown = line_of(&shown, "denied").to_owned();
    let trail = context
        .home()
        .join(".local/state/portcullis/audit/audit-000001.jsonl");
    let trail = std::fs::read_to_string(trail).unwrap();
    let record = line_of(&trail, "P0201");
    for text in [
        denial,
        denial.lines().next().unwrap(),
        &shown,
        shown.trim(),
        shown
            .split_once("  run")
            .map(|(_, rest)| &*format!("run{rest}").leak())
            .unwrap(),
        record,
    ] {
        let (code, told) = explain(&context, text);
        assert_eq!(code, 0, "{text}: {told}");
        assert!(
            told.contains("record 5 of ") && told.contains("today: the same, denied [P0201]"),
            "{text}: {told}"
        );
    }
    let json = context.json(&["explain", "--json", "--config", "policy.toml", &shown]);
    assert_eq!(json["record"]["seq"], 5);
    assert_eq!(json["decided"]["today"]["decision"], "ask");
    assert_eq!(json["decided"]["differs"], false);
}

#[test]
fn a_line_is_read_from_standard_input() {
    let (context, printed) = after_a_run();
    let mut command = context.portcullis(&["explain", "--config", "policy.toml", "-"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin
        .write_all(line_of(&printed, "denied").as_bytes())
        .unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("today: the same, denied"), "{told}");
}

#[test]
fn a_line_that_a_plugin_wrote_is_no_record_and_nothing_in_it_is_done() {
    let (context, printed) = after_a_run();
    let denied = line_of(&printed, "denied");
    let shown = context.ended(&["audit", "show"]).1;
    let shown = line_of(&shown, "denied");
    let trail = context
        .home()
        .join(".local/state/portcullis/audit/audit-000001.jsonl");
    let trail = std::fs::read_to_string(trail).unwrap();
    let record = line_of(&trail, "P0201");
    for (text, why) in [
        (
            denied.replace("\"cat", "\"touch"),
            "no record like this line",
        ),
        (
            "trace 1.0 ms  call 1: allowed exec [\"touch\",\"made\"]".to_owned(),
            "no record like this line",
        ),
        (shown.replace("passwd", "shadow"), "says something else"),
        (record.replace("passwd", "shadow"), "says something else"),
        (
            "error[P0201]: plugin `p` may not run `/usr/bin/touch`".to_owned(),
            "no record like this line",
        ),
        (
            "error[P0201]: plugin `other` may not run `/usr/bin/cat`".to_owned(),
            "no record like this line",
        ),
        ("hello world".to_owned(), "no line of `run --trace`"),
        ("{\"seq\": 1, \"x\": 2}".to_owned(), "says something else"),
        ("\u{1b}[31mtrace".to_owned(), "no line of"),
    ] {
        let (code, told) = explain(&context, &text);
        assert_ne!(code, 0, "{text}: {told}");
        assert!(told.contains(why), "{text}: {told}");
        assert!(!told.contains('\u{1b}'), "{told}");
    }
    assert!(!context.project().join("made").exists());
}

#[test]
fn without_the_policy_of_the_run_that_is_said() {
    let (context, printed) = after_a_run();
    let (code, out, error) = context.ended(&["explain", line_of(&printed, "denied")]);
    assert_eq!(code, 0, "{error}");
    assert!(
        out.contains("today: no plugin `p` is in the policy or installed"),
        "{out}"
    );
}

#[test]
fn requests_of_the_plugin_itself_are_decided_again_too() {
    // Guest, what it may, what it is told to do, part of the line, what is said today.
    let cases = [
        (
            "env",
            "env = [\"OTHER\"]\n",
            "HOME",
            "env HOME",
            "env = [\"HOME\"]\n",
        ),
        (
            "files",
            "fs.read = [\"sub\"]\n",
            "read\u{1f}notes.txt",
            "fs notes.txt",
            "fs.read = [\".\"]\n",
        ),
        (
            "http",
            "http = { allow = [\"other.invalid\"] }\n",
            "http://127.0.0.1:1/v1?secret=x",
            "http GET http://127.0.0.1:1/v1",
            "http = { allow = [\"127.0.0.1:1\"] }\n",
        ),
    ];
    for (guest, before, act, part, after) in cases {
        let context = Context::with_guest(guest);
        context.write("notes.txt", "x");
        std::fs::create_dir(context.project().join("sub")).unwrap();
        let policy = |grant: &str| {
            let head = "[[plugins]]\nid = \"p\"\npath = \"p.wasm\"\n";
            context.write("policy.toml", format!("{head}{grant}"));
        };
        policy(before);
        let (_, out, error) =
            context.ended(&["run", "--trace", "--config", "policy.toml", "p", act]);
        assert!(error.contains(part), "{part}: {out}{error}");
        let denied = line_of(&error, part);
        let (code, told) = explain(&context, denied);
        assert_eq!(code, 0, "{guest}: {told}");
        assert!(told.contains("today: the same, denied [P0"), "{told}");
        assert!(told.contains("help: to "), "{told}");
        policy(after);
        let told = explain(&context, denied).1;
        assert!(told.contains("today: no longer so: allowed"), "{told}");
    }
}
