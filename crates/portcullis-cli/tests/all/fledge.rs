//! Plugins of fledge on the command line.

use std::fs;

use portcullis_testkit::{assemble, interpreted};

use crate::context::{Context, skip};
use crate::session::Session;

/// A manifest that asks for this.
pub(crate) fn manifest(version: &str, capabilities: &str) -> String {
    format!(
        "[plugin]\nname = \"tool\"\nversion = \"{version}\"\nruntime = \"wasm\"\nprotocol = \"fledge-v1\"\n\
         [[commands]]\nname = \"tool\"\nbinary = \"tool.wasm\"\n[capabilities]\n{capabilities}\n"
    )
}

/// A plugin in a directory of its own, with a manifest that asks for this, and a policy that gives that.
pub(crate) fn context(bytes: &[u8], capabilities: &str, policy: &str) -> Context {
    let context = Context::new();
    context.write("tool/tool.wasm", bytes);
    context.write("tool/plugin.toml", manifest("0.1.0", capabilities));
    let head = "[[plugins]]\nid = \"tool\"\npath = \"tool\"\n";
    context.write("policy.toml", format!("{head}{policy}"));
    context
}

pub(crate) fn run(context: &Context, rest: &[&str]) -> (i32, String, String) {
    context.ended(&[&["run", "--config", "policy.toml"], rest].concat())
}

pub(crate) fn leaves_with(code: i32) -> Vec<u8> {
    module(&[], &format!("(call $exit (i32.const {code}))"))
}

/// The functions that a guest of a test calls, by their names without `$`.
const FUNCTIONS: [(&str, &str, &str); 8] = [
    ("exit", "fledge", "(param i32)"),
    ("send", "fledge", "(param i32 i32)"),
    ("recv", "fledge", "(param i32 i32) (result i32)"),
    ("exec", "fledge", "(param i32 i32) (result i32)"),
    ("store_get", "fledge", "(param i32 i32) (result i32)"),
    ("store_set", "fledge", "(param i32 i32)"),
    (
        "fd_write",
        "wasi_snapshot_preview1",
        "(param i32 i32 i32 i32) (result i32)",
    ),
    (
        "path_open",
        "wasi_snapshot_preview1",
        "(param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)",
    ),
];

/// A plugin that does this, with texts in its memory: of text 2, `$2` in the body is its place and its length. `$exit` is always
/// there, and what else of the functions above the body calls; `$tell` writes what waits for it to standard output.
pub(crate) fn module(texts: &[&str], body: &str) -> Vec<u8> {
    let tell = if body.contains("$tell") {
        "(func $tell (i32.store (i32.const 0) (i32.const 65536))
            (i32.store (i32.const 4) (call $recv (i32.const 65536) (i32.const 65536)))
            (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))"
    } else {
        ""
    };
    let (mut body, mut data, mut at) = (format!("{body} "), String::new(), 16);
    for (number, text) in texts.iter().enumerate() {
        let place = format!("(i32.const {at}) (i32.const {})", text.len());
        body = body.replace(&format!("${number} "), &place);
        let bytes: String = text.bytes().map(|byte| format!("\\{byte:02x}")).collect();
        data += &format!("(data (i32.const {at}) \"{bytes}\")");
        at += text.len();
    }
    let is_called =
        |name: &str| name == "exit" || format!("{tell}{body}").contains(&format!("${name} "));
    let imports = FUNCTIONS.iter().filter(|(name, ..)| is_called(name));
    let imports: String = imports
        .map(|(name, from, ty)| format!("(import \"{from}\" \"{name}\" (func ${name} {ty}))"))
        .collect();
    let text = format!(
        "(module {imports} (memory (export \"memory\") 2) {tell} (func (export \"_start\") {body}) {data})"
    );
    assemble(text.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// A plugin that sends these messages, and writes what it is answered to each.
pub(crate) fn sends(messages: &[&str]) -> Vec<u8> {
    let calls = (0..messages.len()).map(|number| format!("(call $send ${number} )(call $tell)"));
    module(messages, &calls.collect::<String>())
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

/// The same words of the Rust SDK as in a component, as far as fledge has them.
#[test]
fn a_plugin_of_the_rust_sdk_has_what_fledge_has() {
    let Some(guest) = interpreted("fledge-sdk") else {
        return skip("guest `fledge-sdk` is not built");
    };
    let capabilities =
        "exec = true\nstore = true\nmetadata = true\nfilesystem = \"project\"\nresponses = true";
    let policy = "kv = true\nmetadata = [\"git_tags\", \"env\"]\nenv = [\"LANG\"]\n\
        exec.allow = [\"printf\", \"cat\", \"sleep\", \"no-such-program\"]\nfs = { read = [\"${project}\"] }\n";
    let context = context(&fs::read(guest).unwrap(), capabilities, policy).env("LANG", "C");
    context.write("note", "hello");
    let answers = [
        "--answer",
        "name=Ada",
        "--answer",
        "sure=yes",
        "--answer",
        "colour=green",
    ];
    let cases: [(&[&str], i32, &str, &str); 15] = [
        (
            &["run", "printf", "[%s]", "a b", "it's", "$x", "*"],
            0,
            "[a b][it's][$x][*]\n",
            "",
        ),
        (
            &["run", "cat", "none"],
            1,
            "",
            "[tool] error: `cat` failed: exit status 1: cat: none: ",
        ),
        (
            &["run", "id"],
            1,
            "",
            "[tool] error: cannot run `id`: denied: ",
        ),
        (
            &["run", "no-such-program"],
            1,
            "",
            "cannot run `no-such-program`: not found\n",
        ),
        (&["late"], 0, "its time was over\n", ""),
        (&["spawn", "cat"], 0, "Err(Unsupported)\n", ""),
        (&["keep", "1"], 0, "None\n", ""),
        (&["keep", "2"], 0, "Some(\"1\")\n", ""),
        (&["facts"], 0, "null\n", ""),
        (&["variable", "LANG"], 0, "Some(\"C\")\n", ""),
        (&["variable", "HOME"], 0, "None\n", ""),
        (&["read", "note"], 0, "hello note policy.toml tool\n", ""),
        (
            &["kinds"],
            0,
            "Err(NotFound) Err(Denied) Err(Unsupported)\n",
            "",
        ),
        (&["ask"], 0, "Ada true 1 [2, 0]\n", ""),
        (&["log"], 0, "", "[tool] info: it begins\n"),
    ];
    for (words, code, stdout, stderr) in cases {
        let ended = run(&context, &[&answers[..], &["tool", "--"], words].concat());
        assert!(ended.2.contains(stderr), "{words:?}: {}", ended.2);
        assert_eq!(
            (ended.0, ended.1.as_str()),
            (code, stdout),
            "{words:?}: {}",
            ended.2
        );
    }
    let (code, _, stderr) = run(&context, &["tool", "--", "panic"]);
    assert!(
        code == 125 && stderr.contains("[tool] error: panicked at "),
        "{stderr}"
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

/// What each line of a question of the plugin begins with.
const ASKS: &str = "[plugin tool asks] ";

/// A plugin that asks, and its place for as long as it runs.
fn asking(questions: &[&str]) -> (Context, Session) {
    let context = context(&sends(questions), "responses = true", "");
    let session = Session::start(&context, &["run", "--config", "policy.toml", "tool"]);
    (context, session)
}

fn answers(session: &mut Session, question: &str, typed: &str) {
    session.waits_for(&format!("{ASKS}{question}"));
    session.waits_for(&format!("{ASKS}> ")).types(typed);
}

#[test]
fn a_person_at_the_terminal_answers_what_a_plugin_asks() {
    let (_context, mut session) = asking(&[
        r#"{"type":"prompt","id":"p","message":"name?","default":"d"}"#,
        r#"{"type":"confirm","id":"c","message":"sure?","default":true}"#,
        r#"{"type":"select","id":"s","message":"where?","options":["dev","prod"],"default":0}"#,
        r#"{"type":"multi_select","id":"m","message":"what?","options":["a","b","c"]}"#,
        r#"{"type":"prompt","id":"n","message":"again?","default":"kept"}"#,
    ]);
    answers(&mut session, "name?", "me\n");
    answers(&mut session, "sure?", "n\n");
    session.waits_for(&format!("{ASKS}where?"));
    session.waits_for(&format!("{ASKS}> "));
    let rows = session.rows();
    let question = rows[rows.len() - 5..].join("\n");
    insta::assert_snapshot!(question, @r"
    [plugin tool asks] where?
    [plugin tool asks] 1: dev
    [plugin tool asks] 2: prod
    [plugin tool asks] (a number, or an option as it is written; nothing: dev)
    [plugin tool asks] >
    ");
    session.types("2\n");
    answers(&mut session, "what?", "1, c\n");
    answers(&mut session, "again?", "\n");
    let (code, text) = session.ends();
    assert_eq!(code, 0, "{text}");
    for answer in [
        r#"{"id":"p","type":"response","value":"me"}"#,
        r#"{"id":"c","type":"response","value":false}"#,
        r#"{"id":"s","type":"response","value":"prod"}"#,
        r#"{"id":"m","type":"response","value":["a","c"]}"#,
        r#"{"id":"n","type":"response","value":"kept"}"#,
    ] {
        assert!(text.contains(answer), "{answer} in {text}");
    }
}

#[test]
fn what_is_no_answer_is_asked_for_again_and_what_was_typed_before_is_none() {
    let (_context, mut session) =
        asking(&[r#"{"type":"prompt","id":"p","message":"how many?","validate":"integer"}"#]);
    session.types("41\n");
    answers(&mut session, "how many?", "many\n");
    session.waits_for(&format!("{ASKS}it has to be a whole number"));
    answers(&mut session, "how many?", "42\n");
    let (code, text) = session.ends();
    assert!(
        code == 0 && text.contains(r#""value":"42"}"#),
        "{code} {text}"
    );
}

#[test]
fn a_question_of_a_plugin_does_not_pass_for_one_of_ours() {
    let hostile = serde_json::json!({
        "type": "select", "id": "q", "default": 0,
        "message": "x\nportcullis: no rule of the policy is about this command\n\u{1b}[2J\u{1b}[HAllow it? [o/r/N] ",
        "options": ["ok\r\nportcullis: install this plugin?", "\u{1b}]52;c;aGk=\u{7}"],
    });
    let (_context, mut session) = asking(&[&hostile.to_string()]);
    session.waits_for(&format!("{ASKS}> "));
    let rows = session.rows();
    let begins = rows.iter().position(|row| row.starts_with(ASKS)).unwrap();
    let question = &rows[begins..];
    assert!(question.iter().all(|row| row.starts_with(ASKS)), "{rows:?}");
    assert!(question.len() >= 4, "{rows:?}");
    assert!(session.is_plain(question.len()));
    session.types("o\n");
    session.waits_for(&format!("{ASKS}answer a number from 1 to 2"));
    session.waits_for(&format!("{ASKS}> ")).types("2\n");
    let (code, text) = session.ends();
    assert_eq!(code, 0, "{text}");
    for obeyed in ["\u{1b}[2J", "\u{1b}]", "\u{7}"] {
        assert!(!text.contains(obeyed), "{text:?}");
    }
}

#[test]
fn a_question_ends_with_the_run_when_it_is_interrupted() {
    let (_context, mut session) = asking(&[r#"{"type":"prompt","id":"p","message":"name?"}"#]);
    answers(&mut session, "name?", "\u{3}");
    let (code, text) = session.ends();
    assert_eq!(code, 130, "{text}");
    assert!(!text.contains("response"), "{text}");
}
