//! Plugins of fledge on the command line.

use std::fs;
use std::os::unix::fs::symlink;

use portcullis_testkit::{assemble, interpreted};

use crate::context::{Context, skip};
use crate::session::Session;

/// A plugin in a directory of its own, with a manifest that asks for this, and a policy that gives that.
fn context(bytes: &[u8], capabilities: &str, policy: &str) -> Context {
    let context = Context::new();
    let dir = context.project().join("tool");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("tool.wasm"), bytes).unwrap();
    let manifest = format!(
        "[plugin]\nname = \"tool\"\nversion = \"0.1.0\"\nruntime = \"wasm\"\nprotocol = \"fledge-v1\"\n\
         [[commands]]\nname = \"tool\"\nbinary = \"tool.wasm\"\n[capabilities]\n{capabilities}\n"
    );
    fs::write(dir.join("plugin.toml"), manifest).unwrap();
    let head = "[[plugins]]\nid = \"tool\"\npath = \"tool\"\n";
    context.write("policy.toml", format!("{head}{policy}"));
    context
}

fn run(context: &Context, rest: &[&str]) -> (i32, String, String) {
    context.ended(&[&["run", "--config", "policy.toml"], rest].concat())
}

fn leaves_with(code: i32) -> Vec<u8> {
    let text = format!(
        r#"(module (import "fledge" "exit" (func $exit (param i32))) (memory (export "memory") 1)
        (func (export "_start") (call $exit (i32.const {code}))))"#
    );
    assemble(text.as_bytes()).unwrap()
}

fn probe() -> Option<Vec<u8>> {
    let guest = interpreted("fledge-probe");
    if guest.is_none() {
        skip("guest `fledge-probe` is not built");
    }
    guest.map(|guest| fs::read(guest).unwrap())
}

#[test]
fn the_code_of_the_plugin_is_that_of_the_command_and_is_said() {
    for (left, code) in [(0, 0), (3, 3), (255, 255), (256, 1), (-1, 1)] {
        let (ended, _, stderr) = run(&context(&leaves_with(left), "", ""), &["tool"]);
        assert_eq!(ended, code, "{left}: {stderr}");
        let said = stderr.contains(&format!("plugin `tool` exited with code {left}"));
        assert_eq!(said, left != 0, "{stderr}");
    }
}

#[test]
fn arguments_reach_the_plugin_and_its_output_the_terminal() {
    let Some(bytes) = probe() else { return };
    let context = context(
        &bytes,
        "filesystem = \"project\"",
        "fs = { read = [\"${project}\"] }\n",
    );
    context.write("note", "hello");
    let (code, stdout, _) = run(&context, &["tool", "--", "read", "/project/note"]);
    assert_eq!(
        (code, stdout.as_str()),
        (0, "/project/note: ok \"hello\"\n")
    );
}

#[test]
fn questions_are_answered_by_the_flag_or_their_default() {
    let Some(bytes) = probe() else { return };
    let context = context(&bytes, "responses = true", "");
    let question =
        r#"{"type":"select","id":"env","message":"where","options":["dev","prod"],"default":0}"#;
    let (_, stdout, _) = run(
        &context,
        &["--answer", "env=prod", "tool", "--", "send", question],
    );
    assert!(stdout.contains(r#"\"value\":\"prod\""#), "{stdout}");
    let (_, stdout, _) = run(&context, &["tool", "--", "send", question]);
    assert!(stdout.contains(r#"\"value\":\"dev\""#), "{stdout}");
    let (code, _, stderr) = run(
        &context,
        &["--answer", "env", "tool", "--", "send", question],
    );
    assert_eq!(code, 125, "{stderr}");
}

#[test]
fn nothing_that_lies_beside_the_plugin_is_its_state() {
    let Some(guest) = interpreted("fledge-full") else {
        return skip("guest `fledge-full` is not built");
    };
    let asks = "exec = true\nstore = true\nmetadata = true\nfilesystem = \"plugin\"";
    let policy = "kv = true\ndata = true\nmetadata = [\"fledge_config\"]\nexec = { allow = [\"true\"], confinement = \"limits\" }\n";
    let context = context(&fs::read(guest).unwrap(), asks, policy);
    let dir = context.project().join("tool");
    let victim = context.home().join("creds.json");
    fs::write(&victim, "{\"apikey\": \"S3CR3T\"}").unwrap();
    // A-STATE-R, A-STATE-W, A-CACHE, A-DATA: what a repository can ship.
    symlink(&victim, dir.join("state.json")).unwrap();
    symlink(&victim, dir.join("state.json.tmp")).unwrap();
    symlink(context.home(), dir.join("data")).unwrap();
    fs::write(dir.join("tool.cwasm"), b"\x7fELF planted").unwrap();
    fs::write(dir.join("tool.cwasm.sha256"), "a\nb\nc\n").unwrap();
    let set = r#"{"key":"k","value":"v"}"#;
    let (code, stdout, stderr) = run(
        &context,
        &[
            "tool",
            "--",
            "store_get",
            "apikey",
            "store_set",
            set,
            "store_get",
            "k",
        ],
    );
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(
        stdout,
        "store_get: 4 null\nstore_set: done\nstore_get: 3 \"v\"\n"
    );
    assert_eq!(
        fs::read_to_string(&victim).unwrap(),
        "{\"apikey\": \"S3CR3T\"}"
    );
    assert_eq!(
        fs::read(dir.join("tool.cwasm")).unwrap(),
        b"\x7fELF planted"
    );
}

#[test]
fn what_it_asks_for_in_vain_is_told_with_the_commands_that_grant_it() {
    let (code, _, stderr) = run(
        &context(&leaves_with(0), "store = true\nnetwork = true", ""),
        &["tool"],
    );
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("tool kv"), "{stderr}");
    assert!(
        stderr.contains("WASI preview 1 has none to give"),
        "{stderr}"
    );
    let granted = context(&leaves_with(0), "store = true", "kv = true\n");
    assert_eq!(run(&granted, &["tool"]), (0, String::new(), String::new()));
}

#[test]
fn a_native_plugin_is_refused() {
    let context = context(&leaves_with(0), "", "");
    let manifest = context.project().join("tool/plugin.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("\"wasm\"", "\"native\"")).unwrap();
    let (code, _, stderr) = run(&context, &["tool"]);
    assert_eq!(code, 125, "{stderr}");
    assert!(stderr.contains("native plugins do not exist"), "{stderr}");
}

#[test]
fn grants_are_written_and_taken_back_by_command() {
    let context = context(&leaves_with(0), "", "");
    let edit = |verb: &str, right: &[&str]| {
        let words = [&[verb, "--config", "policy.toml", "tool"], right].concat();
        let (code, _, stderr) = context.ended(&words);
        assert_eq!(code, 0, "{stderr}");
        fs::read_to_string(context.project().join("policy.toml")).unwrap()
    };
    assert!(edit("grant", &["metadata", "git_log"]).contains("metadata = [\"git_log\"]"));
    assert!(edit("grant", &["data"]).contains("data = true"));
    assert!(edit("revoke", &["metadata", "git_log"]).contains("metadata = []"));
    assert!(edit("revoke", &["data"]).contains("data = false"));
}

#[test]
fn one_that_is_installed_is_run_by_its_name() {
    let context = context(&leaves_with(3), "store = true", "");
    let mut session = Session::start(&context, &["install", "tool"]);
    session.waits_for("asks for kv").waits_for("Agree? [");
    session.waits_for("] ").types("yes\n");
    let (code, text) = session.ends();
    assert_eq!(code, 0, "{text}");
    fs::remove_dir_all(context.project().join("tool")).unwrap();
    let (code, _, stderr) = context.ended(&["run", "tool"]);
    assert_eq!(code, 3, "{stderr}");
    let listed = context.json(&["list", "--json"]);
    assert_eq!(listed["plugins"][0]["name"], "tool", "{listed}");
}
