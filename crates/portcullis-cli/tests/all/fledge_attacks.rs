//! What fledge falls to, by the names of the attacks: what comes with a plugin's directory, with an update, or by a name.
//! Each test fails on what fledge does.
//!
//! The others are attacks of a plugin that runs, in `portcullis/tests/all/fledge/attacks.rs`: A-DATA, A-CWD, A-MEM, A-TABLE, A-SLEEP,
//! A-TERM, A-ORPHAN, A-FLOOD, A-INFO, A-ENV, A-HARDLINK.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::context::Context;
use crate::fledge::{context, leaves_with, manifest, module, run};
use crate::installing::names;
use crate::session::Session;

/// A file that a repository would have exchanged or read: it has to stay as it is.
struct Victim(std::path::PathBuf);

impl Victim {
    const TEXT: &str = "{\"apikey\": \"S3CR3T\"}";

    fn of(context: &Context) -> Self {
        let path = context.home().join("creds.json");
        fs::write(&path, Self::TEXT).unwrap();
        Self(path)
    }

    fn is_untouched(&self) {
        assert_eq!(fs::read_to_string(&self.0).unwrap(), Self::TEXT);
    }
}

#[test]
fn a_state_r_a_state_file_that_is_shipped_is_not_read() {
    let bytes = module(&["apikey"], "(drop (call $store_get $0 ))(call $tell)");
    let context = context(&bytes, "store = true", "kv = true\n");
    let victim = Victim::of(&context);
    symlink(&victim.0, context.project().join("tool/state.json")).unwrap();
    let (code, stdout, stderr) = run(&context, &["tool"]);
    assert_eq!((code, stdout.as_str()), (0, "null"), "{stderr}");
    victim.is_untouched();
}

#[test]
fn a_state_w_a_link_that_is_shipped_is_not_written_through() {
    let set = r#"{"key":"k","value":"v"}"#;
    let body = "(call $store_set $0 )(drop (call $store_get $1 ))(call $tell)";
    let context = context(&module(&[set, "k"], body), "store = true", "kv = true\n");
    let victim = Victim::of(&context);
    for name in ["state.json", "state.json.tmp", "state.json.lock"] {
        symlink(&victim.0, context.project().join("tool").join(name)).unwrap();
    }
    let (code, stdout, stderr) = run(&context, &["tool"]);
    assert_eq!((code, stdout.as_str()), (0, "\"v\""), "{stderr}");
    victim.is_untouched();
}

#[test]
fn a_data_a_link_that_is_shipped_is_not_its_directory() {
    // `path_open` in the only directory, to make and write: the errno is the code.
    let body = "(call $exit (call $path_open (i32.const 3) (i32.const 0) $0 (i32.const 1)
        (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 8)))";
    let asks = "filesystem = \"plugin\"";
    let context = context(&module(&["planted"], body), asks, "data = true\n");
    let elsewhere = context.home().join(".ssh");
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, context.project().join("tool/data")).unwrap();
    let (code, _, stderr) = run(&context, &["tool"]);
    assert_eq!(code, 0, "it has a directory of its own: {stderr}");
    assert_eq!(fs::read_dir(elsewhere).unwrap().count(), 0);
}

#[test]
fn a_cache_compiled_code_that_is_shipped_is_neither_used_nor_written() {
    let context = context(&leaves_with(3), "", "");
    let dir = context.project().join("tool");
    let planted = b"\x7fELF planted";
    fs::write(dir.join("tool.cwasm"), planted).unwrap();
    fs::write(dir.join("tool.cwasm.sha256"), "a\nb\nc\n").unwrap();
    for _ in 0..2 {
        assert_eq!(run(&context, &["tool"]).0, 3);
        assert_eq!(fs::read(dir.join("tool.cwasm")).unwrap(), planted);
    }
}

/// A script that leaves a mark where it is run, and the mark.
fn script(context: &Context) -> (String, std::path::PathBuf) {
    let mark = context.root().join("it-ran");
    let script = format!("#!/bin/sh\ntouch '{}'\n", mark.display());
    (script, mark)
}

fn write_program(context: &Context, name: &str, text: &str) {
    let path = context.write(name, text);
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn installed(version: &str) -> Vec<(String, String)> {
    vec![("tool".to_owned(), version.to_owned())]
}

fn install(context: &Context) {
    let (code, _, error) = context.ended(&["install", "--yes", "tool"]);
    assert_eq!(code, 0, "{error}");
}

/// That no way of updating takes what lies there now.
fn is_not_updated(context: &Context) {
    for args in [
        &["update"][..],
        &["update", "tool"],
        &["update", "--yes", "tool"],
    ] {
        let (code, _, error) = context.ended(args);
        assert_ne!(code, 0, "{args:?}: {error}");
    }
    assert_eq!(names(context), installed("0.1.0"));
    assert_eq!(context.ended(&["run", "tool"]).0, 3);
    assert_eq!(context.ended(&["verify"]).0, 0);
}

#[test]
fn a_flip_a_plugin_does_not_become_another_kind_of_program_by_an_update() {
    let context = context(&leaves_with(3), "", "");
    install(&context);
    let (script, mark) = script(&context);
    write_program(&context, "tool/tool.wasm", &script);
    let next = manifest("0.2.0", "");
    for runtime in ["", "runtime = \"native\"\n", "runtime = \"wasm\"\n"] {
        let text = next.replace("runtime = \"wasm\"\n", runtime);
        context.write("tool/plugin.toml", text);
        is_not_updated(&context);
    }
    // Nor is a component, to which other rules apply, the same as a module.
    fs::copy(
        portcullis_testkit::guest("noop"),
        context.project().join("tool/tool.wasm"),
    )
    .unwrap();
    is_not_updated(&context);
    let listed = context.json(&["list", "--json"]);
    let kind = listed["plugins"][0]["kind"].as_str().unwrap();
    assert!(kind.contains("fledge"), "{kind}");
    assert!(!mark.exists(), "a native program was run");
}

#[test]
fn a_build_nothing_of_it_is_run_to_install_update_or_remove_it() {
    let context = context(&leaves_with(3), "", "");
    let (script, mark) = script(&context);
    write_program(&context, "tool/hook", &script);
    let hooks = [
        "build",
        "post_install",
        "post_remove",
        "pre_init",
        "pre_push",
    ];
    let hooks: String = hooks.map(|name| format!("{name} = \"./hook\"\n")).concat();
    let with_hooks = |version: &str| {
        let text = format!("{}[hooks]\n{hooks}", manifest(version, ""));
        context.write("tool/plugin.toml", text);
    };
    with_hooks("0.1.0");
    // What fledge finds by itself.
    context.write(
        "tool/Cargo.toml",
        "[package]\nname = \"t\"\nversion = \"0.1.0\"\n",
    );
    let build = format!(
        "fn main() {{ std::fs::write({:?}, \"\").unwrap(); }}",
        mark.display().to_string()
    );
    context.write("tool/build.rs", build);
    let package = r#"{"scripts":{"preinstall":"./hook","install":"./hook","build":"./hook"}}"#;
    context.write("tool/package.json", package);
    context.write("tool/Makefile", "all:\n\t./hook\n");
    install(&context);
    assert_eq!(context.ended(&["run", "tool"]).0, 3);
    with_hooks("0.2.0");
    assert_eq!(context.ended(&["update", "tool"]).0, 0);
    assert_eq!(names(&context), installed("0.2.0"));
    assert_eq!(context.ended(&["remove", "tool"]).0, 0);
    assert!(!mark.exists(), "something of it was run");
}

/// The manifest of a plugin of another name, whose command has the name of the first one's.
fn namesake(command: &str) -> String {
    let own = manifest("0.1.0", "exec = true");
    let own = own.replacen("name = \"tool\"", "name = \"other\"", 1);
    own.replace("name = \"tool\"", &format!("name = \"{command}\""))
}

#[test]
fn a_deputy_no_plugin_takes_the_command_of_another_or_what_that_was_granted() {
    let context = context(&leaves_with(3), "exec = true", "");
    let deploy = manifest("0.1.0", "exec = true").replace(
        "[[commands]]\nname = \"tool\"",
        "[[commands]]\nname = \"deploy\"",
    );
    context.write("tool/plugin.toml", deploy);
    install(&context);
    assert_eq!(context.ended(&["run", "deploy"]).0, 3);
    context.write("other/tool.wasm", leaves_with(4));
    for command in ["deploy", "Deploy", "tool"] {
        context.write("other/plugin.toml", namesake(command));
        let (code, _, error) = context.ended(&["install", "--yes", "other"]);
        assert_eq!(code, 1, "{command}: {error}");
        assert!(error.contains("`tool` is installed from"), "{error}");
    }
    // Nor by an update.
    context.write("other/plugin.toml", namesake("others"));
    assert_eq!(context.ended(&["install", "--yes", "other"]).0, 0);
    context.write(
        "other/plugin.toml",
        namesake("deploy").replace("0.1.0", "0.2.0"),
    );
    let (code, _, error) = context.ended(&["update", "--yes", "other"]);
    assert_ne!(code, 0);
    assert!(error.contains("deploy"), "{error}");
    assert_eq!(context.ended(&["run", "deploy"]).0, 3);
    assert_eq!(context.ended(&["run", "other"]).0, 4);
    // What one is granted, the other has not.
    let (code, _, error) = context.ended(&["grant", "tool", "exec", "echo"]);
    assert_eq!(code, 0, "{error}");
    let grants = |name: &str| context.json(&["show", "--json", name])["grants"].clone();
    assert!(grants("tool").as_str().unwrap().contains("echo"));
    assert!(!grants("other").as_str().unwrap().contains("echo"));
}

#[test]
fn a_noproto_a_plugin_without_protocol_is_no_native_program() {
    let context = context(&leaves_with(3), "", "");
    let without = manifest("0.1.0", "").replace("protocol = \"fledge-v1\"\n", "");
    context.write("tool/plugin.toml", &without);
    assert_eq!(run(&context, &["tool"]).0, 3, "it is WebAssembly");
    let (script, mark) = script(&context);
    write_program(&context, "tool/tool.wasm", &script);
    for text in [&without, &without.replace("runtime = \"wasm\"\n", "")] {
        context.write("tool/plugin.toml", text);
        assert_eq!(run(&context, &["tool"]).0, 125);
        assert_ne!(context.ended(&["install", "--yes", "tool"]).0, 0);
    }
    assert!(!mark.exists(), "a native program was run");
}

#[test]
fn a_live_what_was_installed_stays_whatever_becomes_of_its_directory() {
    let context = context(&leaves_with(3), "", "");
    install(&context);
    let shown = |context: &Context| context.json(&["show", "--json", "tool"])["asks"].clone();
    let before = shown(&context);
    context.write("tool/tool.wasm", leaves_with(66));
    let more = manifest("0.1.0", "exec = true\nfilesystem = \"plugin\"");
    context.write("tool/plugin.toml", more);
    assert_eq!(context.ended(&["run", "tool"]).0, 3);
    assert_eq!(shown(&context), before);
    assert_eq!(context.ended(&["verify"]).0, 0);
    // Where a policy names the directory, it names a content with it or speaks of any.
    let digest = |byte: &str| format!("sha256 = \"{}\"\n", byte.repeat(32));
    let pinned = format!(
        "[[plugins]]\nid = \"tool\"\npath = \"tool\"\n{}",
        digest("ab")
    );
    fs::write(context.project().join("policy.toml"), pinned).unwrap();
    let (code, _, error) = run(&context, &["./tool/tool.wasm"]);
    assert_eq!(code, 125, "{error}");
}

#[test]
fn a_spoof_nothing_is_believed_for_the_text_of_where_it_comes_from() {
    let context = context(&leaves_with(3), "exec = true\nnetwork = true", "");
    // A path that looks like a place of somebody who is trusted.
    let from = context.project().join("github.com/CorvidLabs");
    fs::create_dir_all(&from).unwrap();
    fs::rename(context.project().join("tool"), from.join("tool")).unwrap();
    let (code, out, error) = context.ended(&["install", "--yes", "github.com/CorvidLabs/tool"]);
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("installed tool 0.1.0 (local)"), "{out}");
    assert_eq!(context.ended(&["remove", "tool"]).0, 0);
    for source in [
        "https://github.com/CorvidLabs/../attacker/evil",
        "https://github.com/CorvidLabs/%2e%2e/attacker/evil",
        "https://github.com/CorvidLabs%2f..%2fattacker/evil",
        "https://github.com/CorvidLabs%5c..%5cattacker/evil",
        "https://CorvidLabs@attacker.example/evil",
        "oci://ghcr.io/corvidlabs/../attacker/evil:1",
        "oci://ghcr.io/corvidlabs/%2e%2e/attacker/evil:1",
        "oci://ghcr.io/corvidlabs%2f..%2fattacker/evil:1",
        "oci://ghcr.io/corvidlabs\\..\\attacker/evil:1",
        "oci://corvidlabs@attacker.example/evil:1",
    ] {
        let (code, _, error) = context.ended(&["install", "--yes", source]);
        assert_ne!(code, 0, "{source}");
        // Refused as it is written: nobody is asked for it.
        assert!(
            error.contains("P0851") || error.contains("P0854"),
            "{source}: {error}"
        );
        assert_eq!(names(&context), []);
    }
}

#[test]
fn a_esc_an_update_that_asks_for_more_is_asked_about_and_has_none_of_it_until_then() {
    let context = context(&leaves_with(3), "filesystem = \"project\"", "");
    install(&context);
    for (capabilities, told) in [
        (
            "filesystem = \"plugin\"",
            "new: asks for fs write `/plugin`",
        ),
        (
            "filesystem = \"project\"\nexec = true",
            "new: asks for exec",
        ),
        (
            "filesystem = \"project\"\nmetadata = true",
            "new: asks for metadata",
        ),
        ("filesystem = \"project\"\nstore = true", "new: asks for kv"),
    ] {
        context.write("tool/plugin.toml", manifest("0.2.0", capabilities));
        is_not_updated(&context);
        let mut session = Session::start(&context, &["update", "tool"]);
        session.waits_for(told).waits_for("Agree? [");
        session.waits_for("] ").types("\n");
        let (code, text) = session.ends();
        assert_eq!(code, 1, "{text}");
        assert_eq!(names(&context), installed("0.1.0"));
    }
    // There is no network to be had, and asking for it is told all the same.
    context.write("tool/plugin.toml", manifest("0.2.0", "network = true"));
    assert_eq!(context.ended(&["update", "tool"]).0, 0);
    let mut grown = manifest("0.3.0", "");
    grown += "filesystem = \"project\"\n";
    context.write("tool/plugin.toml", grown);
    let (code, _, error) = context.ended(&["update", "--yes", "tool"]);
    assert_eq!(code, 1, "what was once given up is new again: {error}");
}

#[test]
fn a_ni_that_nobody_can_be_asked_is_no_consent() {
    let body = "(drop (call $exec $0 ))";
    let bytes = module(&[r#"{"command":"true"}"#], body);
    let context = context(&bytes, "exec = true", "").env("FLEDGE_NON_INTERACTIVE", "1");
    let (code, _, error) = context.ended(&["install", "tool"]);
    assert_eq!(code, 1, "{error}");
    assert!(error.contains("there is no terminal"), "{error}");
    for flag in ["--non-interactive", "--ni", "--force", "--defaults"] {
        assert_eq!(context.ended(&["install", flag, "tool"]).0, 2, "{flag}");
    }
    let mut session = Session::start(&context, &["install", "tool"]);
    session.waits_for("Agree? [").waits_for("] ").types("\n");
    assert_eq!(session.ends().0, 1, "at a terminal, the answer is no");
    assert_eq!(names(&context), []);
    // With `--yes` it is installed, and has nothing that the policy does not give.
    install(&context);
    let (code, _, error) = context.ended(&["run", "tool"]);
    assert_eq!(code, 125, "{error}");
    assert!(error.contains("P0603") && error.contains("exec"), "{error}");
}

#[test]
fn a_cwd_a_home_is_no_project() {
    let asks = "filesystem = \"project\"";
    let gives = "fs = { read = [\"${project}\"] }\n";
    let context = context(&leaves_with(3), asks, gives);
    assert_eq!(run(&context, &["tool"]).0, 3);
    let policy = context.project().join("policy.toml");
    let tool = context.project().join("tool");
    for cwd in [context.home(), "/".into()] {
        let words = [
            "run",
            "--config",
            policy.to_str().unwrap(),
            tool.to_str().unwrap(),
        ];
        let mut command = context.portcullis(&words);
        let output = command.current_dir(&cwd).output().unwrap();
        assert_eq!(output.status.code(), Some(125), "{}", cwd.display());
    }
}

#[test]
fn a_orphan_nothing_outlives_a_run_that_is_interrupted() {
    let body = "(drop (call $exec $0 ))";
    let bytes = module(&[r#"{"command":"sleep 7072","timeout":300}"#], body);
    let gives = "exec = { allow = [\"sleep\"], confinement = \"limits\" }\n";
    let context = context(&bytes, "exec = true", gives);
    let alive = || {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let lines = processes.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
        lines
            .filter(|line| line.starts_with(b"sleep\x007072\0"))
            .count()
    };
    let mut session = Session::start(&context, &["run", "--config", "policy.toml", "tool"]);
    while alive() == 0 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    session.types("\u{3}");
    let (code, text) = session.ends();
    assert_eq!(code, 130, "{text}");
    assert_eq!(alive(), 0);
}

#[test]
fn a_term_what_it_says_does_not_command_the_terminal() {
    let evil = "\u{1b}]52;c;aGk=\u{7}\u{1b}P+q\u{1b}\\\u{9b}2J";
    let message = |kind: &str, field: &str| serde_json::json!({"type": kind, field: format!("{kind}{evil}"), "level": "info"});
    let (output, log) = (message("output", "text"), message("log", "message"));
    let (output, log) = (output.to_string(), log.to_string());
    let body = "(call $send $0 )(call $send $1 )";
    let context = context(&module(&[&output, &log], body), "", "");
    let session = Session::start(&context, &["run", "--config", "policy.toml", "tool"]);
    let (code, text) = session.ends();
    assert_eq!(code, 0, "{text:?}");
    assert!(text.contains("output") && text.contains("log"), "{text:?}");
    for obeyed in ["\u{1b}]", "\u{1b}P", "\u{9b}", "\u{7}"] {
        assert!(!text.contains(obeyed), "{text:?}");
    }
}
