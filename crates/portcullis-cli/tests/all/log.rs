//! Lines that a plugin writes into the log.

use portcullis_testkit::guest_bytes;

use crate::context::{Context, shows};

fn logging(limits: &str) -> Context {
    let context = Context::with_policy(&format!("log = true\n{limits}"));
    context.write("p.wasm", guest_bytes("log"));
    context
}

fn run<'a>(flag: &'a str, level: &'a str, times: &'a str, text: &'a str) -> Vec<&'a str> {
    let flag = (!flag.is_empty()).then_some(flag);
    let run = ["run"].into_iter().chain(flag);
    run.chain(["--config", "policy.toml", "p", level, times, "", "0", text])
        .collect()
}

#[test]
fn a_line_is_shown_with_its_plugin_and_level_and_forges_no_other() {
    shows!(logging(""), run("", "warn", "1", "a\n[q] error: b\u{1b}[2J"), @r"
    exit 0
    -- stdout
    written
    -- stderr
    compiled: not confined (limits)
    [p] warn: a\n[q] error: b\u{1b}[2J
    ");
}

#[test]
fn what_is_shown_depends_on_the_level_and_on_what_was_asked_for() {
    let context = logging("");
    for (flag, shown) in [
        ("", &["error", "warn", "info"][..]),
        ("-q", &["error"]),
        ("-v", &["error", "warn", "info", "debug", "trace"]),
    ] {
        for level in ["error", "warn", "info", "debug", "trace"] {
            let (_, _, stderr) = context.ended(&run(flag, level, "1", "hello"));
            let line = format!("[p] {level}: hello\n");
            assert_eq!(
                stderr.contains(&line),
                shown.contains(&level),
                "{flag} {stderr}"
            );
        }
    }
}

#[test]
fn lines_beyond_the_rate_are_dropped_with_one_warning() {
    let context = logging("limits = { log_per_minute = 1 }\n");
    shows!(context, run("", "info", "4", "line"), @r"
    exit 0
    -- stdout
    written
    -- stderr
    compiled: not confined (limits)
    [p] info: line
    warning[P0226]: plugin `p` wrote too much into the log: 3 lines were dropped in the last minute
      note: raise `limits.log_per_minute` for it, or have it write less
    ");
}

#[test]
fn a_document_has_the_lines_of_every_level() {
    let context = logging("limits = { log_per_minute = 1 }\n");
    let document = context.json(&run("--json", "trace", "3", "line"));
    let log = serde_json::json!({ "lines": [{ "level": "trace", "message": "line" }], "not_kept": 0, "dropped": 2 });
    assert_eq!(document["log"], log);
}

#[test]
fn without_the_grant_the_plugin_does_not_run_and_the_message_says_what_allows_it() {
    let context = Context::with_guest("log");
    let (code, _, stderr) = context.ended(&["run", "p.wasm", "info", "1", "", "0", "line"]);
    assert_eq!(code, 125);
    assert!(stderr.contains("needs the `log` grant"), "{stderr}");
    let (code, _, stderr) =
        context.ended(&["run", "--allow-log", "p.wasm", "info", "1", "", "0", "line"]);
    assert_eq!(code, 0);
    assert!(stderr.contains("] info: line\n"), "{stderr}");
}
