//! Errors of plugins in Python and JavaScript that nobody caught: what the operator gets to read.

use crate::context::Context;

const POLICY: &str = "[[plugins]]\nid = \"p\"\npath = \"p.wasm\"\nexec.allow = []\n";

fn context(guest: &str) -> Option<Context> {
    let context = Context::interpreted(guest)?;
    context.write("policy.toml", POLICY);
    Some(context)
}

const RUN: [&str; 4] = ["run", "--config", "policy.toml", "p"];

/// The exit code, and what is on standard error.
fn told(context: &Context, args: &[&str]) -> (i32, String) {
    let output = context.output(&[&RUN, args].concat());
    assert_eq!(output.stdout, b"");
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// What is on standard error from the report on.
fn reported(context: &Context, args: &[&str]) -> String {
    let (code, stderr) = told(context, args);
    assert_eq!(code, 125, "{stderr}");
    let at = stderr
        .rfind("error[P07")
        .unwrap_or_else(|| panic!("{stderr}"));
    stderr[at..].to_owned()
}

fn json(context: &Context, args: &[&str]) -> serde_json::Value {
    context.json(&[&["run", "--json"], &RUN[1..], args].concat())
}

fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

#[test]
fn an_uncaught_exception_of_python_is_the_headline() {
    let Some(context) = context("python") else {
        return;
    };
    let report = reported(&context, &["raise", "no such mount"]);
    let report = report.replace(|c: char| c.is_ascii_digit(), "9");
    insta::assert_snapshot!(report, @"
    error[P9999]: plugin `p` crashed in call `run`: `guest.Mishap: no such mount`
      note: raised in `deeper` (/9/guest.py:99), called by `deeper` (/9/guest.py:99), called by `deeper` (/9/guest.py:99), called by `deeper` (/9/guest.py:99), called by `run` (/9/guest.py:99)
      note: wasm trap: wasm `unreachable` instruction executed, in `wit_dylib_export_call`, called by `run`
    ");
    // Python's own form is there as well, as the plugin wrote it.
    let (_, stderr) = told(&context, &["raise", "no such mount"]);
    has(
        &stderr,
        &["Traceback (most recent call last):\n  File \"/0/guest.py\", line "],
    );
}

#[test]
fn json_has_message_place_and_trace() {
    let Some(context) = context("python") else {
        return;
    };
    let error = json(&context, &["chain"])["error"].clone();
    assert_eq!(error["code"], "P0702");
    has(
        error["message"].as_str().unwrap(),
        &["`guest.Mishap: while looking for a key`"],
    );
    has(
        error["notes"][0].as_str().unwrap(),
        &["raised in `chain` (/0/guest.py:", "called by `run`"],
    );
    has(error["notes"][1].as_str().unwrap(), &["unreachable"]);
    let trace: Vec<_> = error["trace"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line.as_str().unwrap())
        .collect();
    has(
        &trace.join("\n"),
        &[
            "KeyError: 'key'",
            "direct cause",
            "guest.Mishap: while looking for a key",
        ],
    );
}

#[test]
fn what_an_exception_says_is_escaped_and_cut() {
    let Some(context) = context("python") else {
        return;
    };
    let text = format!(
        "\x1b]0;title\x07\x1b[2J\u{9b}2J\u{202e}\nerror[P0201]: plugin `q`{}",
        "x".repeat(2000)
    );
    let report = reported(&context, &["raise", &text]);
    let is_order = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!report.contains(is_order), "{report:?}");
    has(
        &report,
        &["Mishap: \\u{1b}]0;title\\u{7}\\u{1b}[2J\\u{9b}2J\\u{202e}\\nerror[P0201]"],
    );
    assert!(report.lines().all(|line| line.len() < 500), "{report}");
    let output = context.output(&[&["run", "--json"], &RUN[1..], &["raise", &text]].concat());
    let document = String::from_utf8(output.stdout).unwrap();
    assert!(!document.contains(is_order), "{document:?}");
}

#[test]
fn on_a_terminal_too() {
    let Some(context) = context("python") else {
        return;
    };
    let line = format!(
        "{} {} raise $'\\e[2J\\e]0;t\\a'",
        env!("CARGO_BIN_EXE_portcullis"),
        RUN.join(" ")
    );
    let mut script = context.command("script");
    let output = script
        .env("SHELL", "/bin/bash")
        .args(["-qec", &line, "/dev/null"])
        .output()
        .unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    has(&shown, &["`guest.Mishap: \\u{1b}[2J\\u{1b}]0;t\\u{7}`"]);
    assert!(!shown.contains("\x1b]"), "{shown:?}");
}

#[test]
fn an_error_value_is_the_plugins_answer_and_no_crash() {
    let Some(context) = context("python") else {
        return;
    };
    let (code, stderr) = told(&context, &["err"]);
    assert_eq!(
        (code, stderr.as_str()),
        (1, "an error \x1b]0;title\x07of its own\n")
    );
    assert_eq!(json(&context, &["err"])["error"], serde_json::Value::Null);
}

#[test]
fn an_export_that_cannot_fail_fails_with_its_exception() {
    let Some(context) = context("javascript-overlay") else {
        return;
    };
    let report = reported(&context, &[]);
    has(
        &report,
        &[
            "crashed in call `env-overlay`: `no overlay today`",
            "raised in `envOverlay` (/overlay.js:",
        ],
    );
    let error = json(&context, &[])["error"].clone();
    assert_eq!(error["trace"][0], "no overlay today");
}

#[test]
fn other_ends_of_python_say_what_they_are() {
    let Some(context) = context("python") else {
        return;
    };
    has(
        &reported(&context, &["exit", "3"]),
        &["crashed in call `run`: it exited with status 1"],
    );
    has(
        &reported(&context, &["type"]),
        &["TypeError", "'int' object is not an instance of 'str'"],
    );
    // What was written before, however much, does not hide it.
    for mode in ["noise", "flood"] {
        has(
            &reported(&context, &[mode]),
            &["crashed in call `run`: `guest.Mishap: after a "],
        );
    }
}

#[test]
fn what_javascript_throws_is_the_plugins_answer() {
    let Some(context) = context("javascript") else {
        return;
    };
    assert_eq!(
        told(&context, &["throw", "a text"]),
        (1, "a text\n".to_owned())
    );
    assert_eq!(
        told(&context, &["error", "a message"]),
        (1, "a message\n".to_owned())
    );
    // The interpreter passes on no more than the message, unless the plugin gives it a payload.
    assert_eq!(
        told(&context, &["mistake"]),
        (
            1,
            "cannot read property 'property' of undefined\n".to_owned()
        )
    );
    let (code, stderr) = told(&context, &["payload"]);
    assert_eq!(code, 1);
    has(
        &stderr,
        &[
            "TypeError: cannot read property 'property' of undefined\n    at deeper (/guest.js:",
            "at run (/guest.js:",
        ],
    );
    has(
        json(&context, &["payload"])["result"]["err"]
            .as_str()
            .unwrap(),
        &["at deeper (/guest.js:"],
    );
}

#[test]
fn answers_of_another_type_and_endless_recursion_say_what_they_are() {
    let Some(context) = context("javascript") else {
        return;
    };
    has(
        &reported(&context, &["type"]),
        &["crashed in call `run`: `expected string: ", "int"],
    );
    has(
        &reported(&context, &["promise"]),
        &["crashed in call `run`: `expected string: ", "promise"],
    );
    has(
        &reported(&context, &["recursion"]),
        &["crashed in call `run`: wasm trap: call stack exhausted"],
    );
}
