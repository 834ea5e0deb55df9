//! A run that was recorded, played again: the same as long as everything asked for is the same, and a difference for each byte
//! of it that is not.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use portcullis_testkit::{repository, wat};
use serde_json::{Value, json};

use crate::clawft;
use crate::context::{Context, DEV, skip};
use crate::core_form;
use crate::fledge;
use crate::parity;
use crate::reglet;

/// Where the record of a test lies: outside of its project.
fn file(context: &Context) -> PathBuf {
    context.root().join("run.record")
}

/// Records a run, and gives its code and standard output.
fn recorded(context: &Context, args: &[&str]) -> (i32, String) {
    recorded_by(context, "run", args)
}

fn recorded_by(context: &Context, verb: &str, args: &[&str]) -> (i32, String) {
    let record = file(context);
    _ = fs::remove_file(&record);
    let first = [verb, "--record", record.to_str().unwrap()];
    let (code, stdout, stderr) = context.ended(&[&first, args].concat());
    assert!(record.exists(), "{stderr}");
    (code, stdout)
}

fn replayed(context: &Context, args: &[&str]) -> (i32, String, String) {
    let record = file(context);
    context.ended(&[&["replay"], args, &[record.to_str().unwrap()]].concat())
}

/// Records a run and plays it.
fn is_identical(context: &Context, args: &[&str]) {
    is_identical_by(context, "run", args);
}

fn is_identical_by(context: &Context, verb: &str, args: &[&str]) {
    let (code, stdout) = recorded_by(context, verb, args);
    let (replay, again, told) = replayed(context, &[]);
    let record = fs::read_to_string(file(context)).unwrap();
    assert_eq!(
        replay, 0,
        "{args:?}, which ended with {code}: {told}\n{record}"
    );
    assert!(told.contains("identical: "), "{told}");
    assert_eq!(again, stdout, "{args:?}\n{record}");
}

fn lines(context: &Context) -> Vec<String> {
    let text = fs::read_to_string(file(context)).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn rewrite(context: &Context, lines: &[String]) {
    let mut text = lines.join("\n");
    text.push('\n');
    fs::write(file(context), text).unwrap();
}

/// Changes one byte of the first thing in a value that has one.
fn flip(value: &mut Value) -> bool {
    match value {
        Value::String(text) if !text.is_empty() => {
            let first = text.remove(0);
            text.insert(0, if first == 'A' { 'B' } else { 'A' });
            true
        }
        Value::Bool(bool) => {
            *bool = !*bool;
            true
        }
        Value::Number(number) => {
            let other = number.as_i64().map_or(0, |number| number ^ 1);
            *value = other.into();
            true
        }
        Value::Array(values) => values.iter_mut().any(flip),
        Value::Object(values) => values.values_mut().any(flip),
        Value::Null | Value::String(_) => false,
    }
}

/// Plays the record with each of its requests changed in turn, and sees each of them told.
fn each_change_is_told(context: &Context) {
    let whole = lines(context);
    let mut changed = 0;
    for (index, line) in whole.iter().enumerate() {
        let mut value: Value = serde_json::from_str(line).unwrap();
        let done = if let Some(call) = value.get_mut("call") {
            flip(&mut call["with"]) || flip(&mut call["name"])
        } else {
            value.get_mut("drop").is_some_and(flip)
        };
        if !done {
            continue;
        }
        changed += 1;
        let mut lines = whole.clone();
        lines[index] = value.to_string();
        rewrite(context, &lines);
        let (code, out, told) = replayed(context, &["--json"]);
        assert_eq!(code, 1, "line {}: {value}\n{told}", index + 1);
        let document: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(document["identical"], false);
        assert_eq!(document["differences"][0]["line"], index + 1, "{document}");
    }
    rewrite(context, &whole);
    assert!(changed > 0, "nothing was asked for");
}

/// Plays the record with each answer changed in turn: the guest may go another way, and nothing else happens.
fn no_change_of_an_answer_is_too_much(context: &Context) {
    let whole = lines(context);
    for (index, line) in whole.iter().enumerate() {
        let mut value: Value = serde_json::from_str(line).unwrap();
        let Some(gave) = value.get_mut("call").and_then(|call| call.get_mut("gave")) else {
            continue;
        };
        if !flip(gave) {
            continue;
        }
        let mut lines = whole.clone();
        lines[index] = value.to_string();
        rewrite(context, &lines);
        let (code, _, told) = replayed(context, &[]);
        assert!((0..=3).contains(&code), "{value}: exit {code}\n{told}");
        assert!(!told.contains("panicked"), "{value}\n{told}");
    }
    rewrite(context, &whole);
}

fn examples() -> Vec<&'static str> {
    vec!["repo-report", "deps-audit"]
}

fn example(context: &Context, name: &str) {
    let examples = repository().join("examples");
    let (config, plugin) = (examples.join("portcullis.toml"), examples.join(name));
    let args = [
        "--config",
        config.to_str().unwrap(),
        plugin.to_str().unwrap(),
    ];
    is_identical(context, &args);
}

/// A repository with a commit in the project.
fn repository_in(context: &Context) {
    for args in [
        &["init", "-q"][..],
        &[
            "-c",
            "user.email=a@b",
            "-c",
            "user.name=a",
            "commit",
            "-q",
            "--allow-empty",
            "-m",
            "one",
        ],
    ] {
        let done = context.command("git").args(args).status().unwrap();
        assert!(done.success());
    }
}

#[test]
fn the_examples_are_played_as_they_ran() {
    for name in examples() {
        if portcullis_testkit::interpreted(name).is_none() {
            skip(&format!("guest `{name}` is not built"));
            continue;
        }
        let context = Context::sharing("replay");
        repository_in(&context);
        example(&context, name);
        each_change_is_told(&context);
        no_change_of_an_answer_is_too_much(&context);
    }
}

#[test]
fn the_example_in_python_is_played_as_it_ran() {
    let Some(context) = Context::interpreted("disk-watch") else {
        return;
    };
    example(&context, "disk-watch");
}

#[test]
fn the_example_in_c_is_played_as_it_ran() {
    let Some(context) = core_form::in_c() else {
        return;
    };
    is_identical(&context, &["--config", "policy.toml", "p", "pear", "apple"]);
    each_change_is_told(&context);
    no_change_of_an_answer_is_too_much(&context);
}

#[test]
fn the_example_in_go_is_played_as_it_ran() {
    let Some(context) = core_form::in_go() else {
        return;
    };
    let words = ["20s", "echo", "one", "+", "echo", "two"];
    is_identical(
        &context,
        &[&["--config", "policy.toml", "p"], &words[..]].concat(),
    );
}

/// One that a compiler of Go made; it takes long to be compiled, once to run it and once more each time it is played.
#[test]
fn a_plugin_of_reglet_is_played_as_it_ran() {
    let Some(bytes) = reglet::guest("reglet-2") else {
        return;
    };
    let grants = "reglet = [\"exec:/bin/echo\"]\nexec.confinement = \"limits\"\n";
    let context = reglet::context(&bytes, grants);
    let request = json!({ "command": "/bin/echo", "args": ["hi"] });
    let config = json!({ "act": "exec", "request": request }).to_string();
    let args = ["--config", "policy.toml", "p", "--", "--config", &config];
    let (code, stdout) = recorded(&context, &args);
    assert_eq!(code, 0, "{stdout}");
    let (code, _, told) = replayed(&context, &[]);
    assert!(code == 0 && told.contains("identical: "), "{told}");
    let text = fs::read_to_string(file(&context)).unwrap();
    assert!(text.contains("/bin/echo"), "{text}");
}

#[test]
fn a_record_is_a_new_file_of_its_owner_and_nothing_that_a_plugin_reaches() {
    let context = Context::new();
    context.write("p.wasm", wat("core-exec"));
    context.write("policy.toml", format!("{DEV}exec.allow = [\"echo\"]\n"));
    let args = ["--config", "policy.toml", "p", "x"];
    is_identical(&context, &args);
    let record = file(&context);
    let mode = fs::metadata(&record).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let first = ["run", "--record", record.to_str().unwrap()];
    let (code, _, told) = context.ended(&[&first[..], &args[..]].concat());
    assert_eq!(code, 125, "{told}");
    assert!(
        told.contains("error[P0950]") && told.contains("a record replaces nothing"),
        "{told}"
    );
    context.write(
        "policy.toml",
        format!("{DEV}exec.allow = [\"echo\"]\nfs.read = [\"${{project}}\"]\n"),
    );
    let within = context.project().join("within.record");
    let first = ["run", "--record", within.to_str().unwrap()];
    let (code, _, told) = context.ended(&[&first[..], &args[..]].concat());
    assert_eq!(code, 125, "{told}");
    assert!(told.contains("error[P0607]"), "{told}");
    assert!(!within.exists(), "nothing came of it");
}

#[test]
fn another_plugin_is_played_only_when_that_is_meant() {
    let context = Context::new();
    context.write("p.wasm", wat("core-exec"));
    context.write("policy.toml", format!("{DEV}exec.allow = [\"echo\"]\n"));
    is_identical(&context, &["--config", "policy.toml", "p", "x"]);
    let mut bytes = fs::read(wat_file(&context)).unwrap();
    // Another text in its data, of the same length.
    let at = bytes.windows(4).position(|bytes| bytes == b"$HOM").unwrap();
    bytes[at + 1] = b'J';
    context.write("p.wasm", bytes);
    let (code, _, told) = replayed(&context, &[]);
    assert_eq!(code, 2, "{told}");
    assert!(
        told.contains("error[P0953]") && told.contains("--allow-changed"),
        "{told}"
    );
    let (code, _, told) = replayed(&context, &["--allow-changed"]);
    assert_eq!(code, 1, "{told}");
    assert!(told.contains("$HOME") && told.contains("$JOME"), "{told}");
    assert!(told.contains("error[P0952]"), "{told}");
}

fn wat_file(context: &Context) -> PathBuf {
    context.project().join("p.wasm")
}

#[test]
fn a_core_module_is_played_as_it_ran() {
    let context = Context::new();
    context.write("p.wasm", wat("core-exec"));
    context.write("policy.toml", format!("{DEV}exec.allow = [\"echo\"]\n"));
    is_identical(&context, &["--config", "policy.toml", "p", "x"]);
    each_change_is_told(&context);
    no_change_of_an_answer_is_too_much(&context);
}

#[test]
fn a_plugin_of_fledge_is_played_as_it_ran() {
    let body = "(call $send $0 ) (drop (call $exec $1 )) (call $tell ) (call $exit (i32.const 3))";
    let bytes = fledge::module(
        &[
            r#"{"type":"output","text":"x"}"#,
            r#"{"command":"printf","args":["%s","y"]}"#,
        ],
        body,
    );
    let context = fledge::context(&bytes, "exec = true", "exec.allow = [\"printf\"]\n");
    is_identical(&context, &["--config", "policy.toml", "tool"]);
    each_change_is_told(&context);
    no_change_of_an_answer_is_too_much(&context);
}

#[test]
fn a_call_of_a_tool_is_played_as_it_went() {
    let context = clawft::env();
    let args = ["--config", "policy.toml", "everything", "env", clawft::LANG];
    is_identical_by(&context, "call", &args);
    each_change_is_told(&context);
    no_change_of_an_answer_is_too_much(&context);
}

#[test]
fn a_command_of_wasi_is_played_as_it_ran() {
    let context = Context::with_guest("wasi-command");
    context.write("a/file", "text");
    for words in [&["args", "x y"][..], &["dirs"], &["exit", "3"], &["cat"]] {
        is_identical(
            &context,
            &[&["-q", "--dir", "a", "p.wasm", "--"], words].concat(),
        );
    }
    each_change_is_told(&context);
}

#[test]
fn what_a_record_is_not_is_said_by_line() {
    let context = Context::new();
    context.write("p.wasm", wat("core-exec"));
    context.write("policy.toml", format!("{DEV}exec.allow = [\"echo\"]\n"));
    is_identical(&context, &["--config", "policy.toml", "p", "x"]);
    let whole = lines(&context);
    // Without its end.
    rewrite(&context, &whole[..whole.len() - 1]);
    let (code, _, told) = replayed(&context, &[]);
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("the record has no end"), "{told}");
    let calls: Vec<usize> = (0..whole.len())
        .filter(|at| whole[*at].starts_with("{\"call\""))
        .collect();
    // Twice the same, and two in the other order.
    let mut twice = whole.clone();
    twice.insert(calls[0], whole[calls[0]].clone());
    let mut other = whole.clone();
    other.swap(calls[0], calls[1]);
    for (lines, code) in [(&twice, 2), (&other, 1)] {
        rewrite(&context, lines);
        let (ended, _, told) = replayed(&context, &[]);
        assert_eq!(ended, code, "{told}");
    }
    twice.pop();
    rewrite(&context, &twice);
    assert_eq!(
        replayed(&context, &[]).0,
        1,
        "the second has another call in its place"
    );
    for (bad, why) in [
        ("", "line 1"),
        ("{}", "line 1"),
        ("{\"record\":{}}", "line 1"),
        ("not JSON", "line 1"),
        (&whole[1], "line 1"),
        (&format!("{}\n{{\"call\":3}}", whole[0]), "line 2"),
        (&format!("{}\n{}", whole[0], whole[0]), "line 2"),
        (
            &whole[0].replace("\"version\":1", "\"version\":2"),
            "another version",
        ),
    ] {
        fs::write(file(&context), bad).unwrap();
        let (code, _, told) = replayed(&context, &[]);
        assert_eq!(code, 2, "{bad}: {told}");
        assert!(
            told.contains("error[P0951]") && told.contains(why),
            "{bad}: {told}"
        );
    }
}

#[test]
fn the_kernel_forbids_what_plays_a_record_processes_and_sockets() {
    let context = Context::new();
    context.write("p.wasm", wat("core-exec"));
    context.write("policy.toml", format!("{DEV}exec.allow = [\"echo\"]\n"));
    is_identical(&context, &["--config", "policy.toml", "p", "x"]);
    let before = context.output(&["audit", "show"]).stdout;
    let (code, out, told) = replayed(&context, &["--json"]);
    assert_eq!(code, 0, "{told}");
    let document: Value = serde_json::from_str(&out).unwrap();
    for what in ["process", "network"] {
        let said = document["refused"][what].as_str().unwrap();
        assert!(said.contains("os error 1)"), "{document}");
    }
    assert_eq!(
        context.output(&["audit", "show"]).stdout,
        before,
        "nothing is written down"
    );
}

#[test]
fn a_record_becomes_a_test_that_passes() {
    let context = Context::with_guest("exec-args");
    // As a test has it: in production mode.
    let head = "[[plugins]]\nid = \"p\"\npath = \"p.wasm\"\n";
    context.write("policy.toml", format!("{head}exec.allow = [\"printf\"]\n"));
    let test = context.root().join("project/recorded.toml");
    let emit = ["--emit-test", test.to_str().unwrap()];
    for args in [
        &["exec", "--", "printf", "a*b\\\\%s", "c"][..],
        &["exec", "--", "id"],
    ] {
        is_identical(
            &context,
            &[&["--config", "policy.toml", "p"], args].concat(),
        );
        _ = fs::remove_file(&test);
        let (code, _, told) = replayed(&context, &emit);
        let text = fs::read_to_string(&test).unwrap_or_default();
        assert_eq!(code, 0, "{told}");
        let (code, out, told) = context.ended(&["test", test.to_str().unwrap()]);
        assert_eq!(code, 0, "{text}\n{out}\n{told}");
        // Something else is another test.
        let other = match text.contains("a*b") {
            true => text.replace("a*b", "a*B"),
            false => text.replace("*id", "*ie"),
        };
        assert_ne!(other, text);
        fs::write(&test, other).unwrap();
        assert_eq!(
            context.ended(&["test", test.to_str().unwrap()]).0,
            1,
            "{text}"
        );
    }
    let files = Context::with_guest("wasi-command");
    files.write("a/file", "text");
    is_identical(&files, &["-q", "--dir", "a", "p.wasm", "--", "dirs"]);
    let (code, _, told) = replayed(&files, &emit);
    assert_eq!(code, 2, "{told}");
    assert!(
        told.contains("error[P0954]") && told.contains("of `wasi:filesystem/"),
        "{told}"
    );
}

const TOKEN: &str = "ghp_abcdefghijklmnopqrstuvwxyz0123456789";

#[test]
fn a_secret_is_in_no_record_and_the_plugin_is_given_none() {
    let context = Context::with_guest("exec-args").env("MY_TOKEN", "hush-hush-hush");
    let policy = format!(
        "{DEV}exec.allow = [\"sh\"]\nexec.pass_env = [\"MY_TOKEN\"]\nenv = [\"MY_TOKEN\"]\n"
    );
    context.write("policy.toml", policy);
    let script = "echo a ${X}hp_abcdefghijklmnopqrstuvwxyz0123456789 b";
    for args in [
        &["exec", "--", "sh", "-c", &format!("X=g; {script}")][..],
        &[
            "exec",
            "--",
            "sh",
            "-c",
            "printf '%s' hush-hush; printf '%s\\n' -hush",
        ],
    ] {
        let (code, stdout) = recorded(
            &context,
            &[&["--config", "policy.toml", "p"], args].concat(),
        );
        let record = fs::read_to_string(file(&context)).unwrap();
        assert_eq!(code, 0, "{stdout}");
        assert!(stdout.contains("****"), "{stdout}");
        for secret in [TOKEN, "hush-hush-hush"] {
            assert!(
                !record.contains(secret) && !stdout.contains(secret),
                "{record}"
            );
        }
        let hidden = record
            .lines()
            .find(|line| line.contains("\"hidden\""))
            .unwrap();
        let call: Value = serde_json::from_str(hidden).unwrap();
        let hidden = &call["call"]["hidden"][0];
        assert_eq!(hidden["digest"].as_str().unwrap().len(), 64, "{call}");
        assert!(hidden["length"].as_u64().unwrap() > 10, "{call}");
        let (code, _, told) = replayed(&context, &[]);
        assert_eq!(code, 0, "{told}");
    }
    _ = fs::remove_file(file(&context));
    let record = file(&context);
    let first = [
        "run",
        "--record",
        record.to_str().unwrap(),
        "--config",
        "policy.toml",
        "p",
    ];
    let (code, _, told) = context.ended(&[&first[..], &["exec", "--", "sh", "-c", TOKEN]].concat());
    assert_eq!(code, 125, "{told}");
    assert!(told.contains("an argument has a secret in it"), "{told}");
    assert!(!Path::new(&record).exists());
}

/// Every scenario that goes by this number, of a plugin of parity.
fn parity_is_identical(guest: &str, every: usize) {
    let Some(plugin) = portcullis_testkit::interpreted(guest) else {
        skip(&format!("guest `{guest}` is not built"));
        return;
    };
    let context = Context::sharing(guest).env("PARITY", "granted");
    context.write("p.wasm", fs::read(plugin).unwrap());
    let port = parity::server();
    context.write("policy.toml", parity::policy(port));
    let (mut faults, mut went) = (String::new(), 0);
    for args in parity::calls(&context, port).iter().step_by(every) {
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let (code, stdout) = recorded(&context, &args);
        let (replay, again, told) = replayed(&context, &[]);
        went += 1;
        if replay != 0 || again != stdout {
            let record = fs::read_to_string(file(&context)).unwrap();
            let end = record.len().min(4000);
            faults += &format!(
                "\n{args:?} ended with {code}: {told}\n{again:?} for {stdout:?}\n{}",
                &record[..end]
            );
        }
    }
    assert!(faults.is_empty(), "{faults}");
    assert!(went > 0);
}

#[test]
fn the_plugin_of_parity_in_rust_is_played_as_it_ran() {
    parity_is_identical("parity-rust", 1);
}

#[test]
fn the_plugin_of_parity_in_c_is_played_as_it_ran() {
    parity_is_identical("parity-c", 1);
}

// What brings its runtime along takes seconds to compile, each time that it is played.

#[test]
fn the_plugin_of_parity_in_go_is_played_as_it_ran() {
    parity_is_identical("parity-go", 31);
}

#[test]
fn the_plugin_of_parity_in_javascript_is_played_as_it_ran() {
    parity_is_identical("parity-javascript", 8);
}

#[test]
fn the_plugin_of_parity_in_python_is_played_as_it_ran() {
    parity_is_identical("parity-python", 16);
}
