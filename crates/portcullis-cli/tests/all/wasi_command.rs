//! `run` with commands of WASI: what they are called with, what they reach, and how they end.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use crate::context::{Context, shows};

fn context() -> Context {
    let context = Context::with_guest("wasi-command");
    for name in ["a", "b"] {
        context.write(&format!("{name}/file"), name);
    }
    context
}

/// Flags under which nothing is said of how the plugin was compiled.
const QUIET: [&str; 3] = ["run", "-q", "--confinement=limits"];

/// Code and standard output of `p.wasm`, called with flags and words.
fn run(context: &Context, flags: &[&str], words: &[&str]) -> (i32, String) {
    let (code, stdout, _) = context.ended(&[&QUIET, flags, &["p.wasm", "--"], words].concat());
    (code, stdout)
}

#[test]
fn a_command_is_called_by_its_file_name_and_ends_with_its_own_code() {
    let context = context();
    assert_eq!(
        run(&context, &[], &["args", "--dir", "x y"]),
        (0, "p.wasm\nargs\n--dir\nx y\n".to_owned())
    );
    for code in [0, 1, 3, 255] {
        assert_eq!(run(&context, &[], &["exit", &code.to_string()]).0, code);
    }
    assert_eq!(run(&context, &[], &["trap"]).0, 125);
}

#[test]
fn variables_are_told_by_name_or_with_a_value() {
    let context = context().env("MINE", "of the host").env("OTHER", "x");
    assert_eq!(run(&context, &[], &["env"]), (0, String::new()));
    let flags = ["--env", "MINE", "--env", "NEW=a=b", "--env", "UNSET"];
    assert_eq!(
        run(&context, &flags, &["env"]),
        (0, "MINE=of the host\nNEW=a=b".to_owned())
    );
    assert_eq!(
        run(&context, &["--env", "MINE=other"], &["env"]).1,
        "MINE=other"
    );
    assert_eq!(run(&context, &["--env", "=x"], &["env"]).0, 125);
}

#[test]
fn directories_have_the_name_that_is_written_or_a_second_one() {
    let context = context();
    assert_eq!(run(&context, &[], &["dirs"]).1, "");
    let flags = ["--dir", "a", "-D", "b::/data"];
    assert_eq!(run(&context, &flags, &["dirs"]).1, "a\n/data");
    let acts = [
        "acts",
        "read a/file",
        "read /data/file",
        "write /data/new x",
        "read b/file",
    ];
    assert_eq!(run(&context, &flags, &acts).1, "a\nb\nok\nerrno 8\n");
    let new = context.project().join("b/new");
    assert_eq!(fs::read_to_string(new).unwrap(), "x");
}

#[test]
fn what_cannot_be_a_directory_is_refused() {
    let context = context();
    shows!(context, ["run", "--dir", "gone", "p.wasm", "dirs"], @"
    exit 125
    -- stderr
    error[P0104]: `[DIR]/project/gone` cannot be opened: no such file or directory
      note: in `--dir gone`
    ");
    shows!(context, ["run", "--dir", "a/file", "p.wasm", "dirs"], @"
    exit 125
    -- stderr
    error[P0104]: `[DIR]/project/a/file` is not a directory
      note: in `--dir a/file`
    ");
    shows!(context, ["run", "--dir", "a::", "p.wasm", "dirs"], @"
    exit 125
    -- stderr
    error[P0104]: the name that the plugin sees is empty
      note: in `--dir a::`
    ");
    shows!(context, ["run", "--dir", "a::x", "--dir", "b::x", "p.wasm", "dirs"], @"
    exit 125
    -- stderr
    error[P0103]: `x` is already the name of `[DIR]/project/a`
      note: in `--dir b::x`
    ");
}

#[test]
fn a_command_reads_standard_input_without_a_flag() {
    let context = context();
    let mut child = context
        .portcullis(&["run", "-q", "p.wasm", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"one\ntwo").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.stdout, b"one\ntwo");
}

#[test]
fn sockets_are_said_not_to_be_there() {
    let context = context();
    let (code, stdout, stderr) = context.ended(&["run", "p.wasm", "sockets"]);
    assert_eq!((code, stdout.as_str()), (0, "[58, 58, 58]"));
    assert!(
        stderr.contains("warning[P0808]: plugin `p` cannot use sockets"),
        "{stderr}"
    );
    let (code, stdout, _) = context.ended(&["inspect", "p.wasm"]);
    assert_eq!(code, 0);
    assert!(
        stdout.contains("a core module that is a command of WASI preview 1")
            && stdout.contains("note: plugin `p` cannot use sockets")
            && stdout.contains("imports `wasi_snapshot_preview1.path_open`"),
        "{stdout}"
    );
}

#[test]
fn the_code_is_in_the_document() {
    let context = context();
    let output = context.output(&["run", "--json", "p.wasm", "exit", "3"]);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["result"]["code"], 3);
    assert_eq!(document["exit_code"], 3);
}
