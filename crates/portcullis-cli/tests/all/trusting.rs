//! `portcullis trust`: what it shows, what it binds to, and what ends it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use portcullis_testkit::guest;

use crate::context::{Context, DEV, shows};
use crate::session::{PROMPT, Session};

const ECHO: [&str; 6] = ["run", "p", "exec", "--", "echo", "ran"];
const TRUST: &str = "Trust it? [yes/N] ";

/// A tree with a policy of its own.
fn context() -> Context {
    let context = Context::with_guest("exec-args");
    context.write("portcullis.toml", format!("{DEV}exec.allow = [\"echo\"]\n"));
    context
}

fn trust(context: &Context, answer: &str) -> (i32, String) {
    let mut session = Session::start(context, &["trust"]);
    session.waits_for(TRUST).types(answer);
    session.ends()
}

fn run(context: &Context) -> (Option<i32>, String) {
    let output = context.output(&ECHO);
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// The plugin with some bytes that mean nothing, so that only its digest is another.
fn swap(context: &Context) {
    let mut bytes = fs::read(guest("exec-args")).unwrap();
    bytes.extend([0, 2, 1, b'x']);
    context.write("p.wasm", bytes);
}

#[test]
fn a_policy_of_the_tree_gives_nothing_until_it_is_trusted() {
    let context = context();
    let (code, stderr) = run(&context);
    assert_eq!(code, Some(125));
    assert!(
        stderr.contains("P0107") && stderr.contains("portcullis trust"),
        "{stderr}"
    );
    let (code, text) = trust(&context, "yes\n");
    assert_eq!(code, 0, "{text}");
    for shown in [
        "plugin `p` from",
        "may run `echo`",
        "mode dev, confinement limits",
        "portcullis: trust this policy?",
    ] {
        assert!(text.contains(shown), "{shown} in {text}");
    }
    assert_eq!(run(&context).0, Some(0));
    let store = context.home().join(".local/share/portcullis/trust.json");
    assert_eq!(
        fs::metadata(&store).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let list = context.output(&["trust", "list"]);
    let list = String::from_utf8(list.stdout).unwrap();
    assert!(
        list.contains("project/portcullis.toml") && list.contains("1 plugin"),
        "{list}"
    );
    let trail = context.json(&["audit", "show", "--json"]);
    let records = trail["records"].as_array().unwrap();
    assert!(
        records
            .iter()
            .any(|record| record["event"]["kind"] == "trust_changed"),
        "{trail}"
    );

    assert!(context.output(&["trust", "revoke"]).status.success());
    assert_eq!(run(&context).0, Some(125));
}

#[test]
fn nothing_but_yes_typed_after_the_question_is_consent() {
    let context = context();
    for answer in ["\n", "y\n", "no\n", "\x04", "yes please\n"] {
        let (code, text) = trust(&context, answer);
        assert_eq!(code, 1, "{answer:?}: {text}");
    }
    let mut session = Session::start(&context, &["trust"]);
    session
        .types("yes\nyes\n")
        .waits_for("trust this policy?")
        .types("yes\n");
    session.waits_for(TRUST).types("\n");
    assert_eq!(session.ends().0, 1);
    let mut session = Session::script(&context, "yes yes | \"$@\"", &["trust"]);
    session.waits_for(TRUST).types("\n");
    assert_eq!(session.ends().0, 1);
    let mut session = Session::start(&context, &["trust"]);
    session.waits_for(TRUST).types("\x03");
    assert_eq!(session.ends().0, 130);
    let output = context.output(&["trust"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no terminal"));
    assert_eq!(run(&context).0, Some(125));
}

#[test]
fn another_plugin_under_a_trusted_name_ends_the_trust() {
    let context = context();
    assert_eq!(trust(&context, "yes\n").0, 0);
    swap(&context);
    let (code, stderr) = run(&context);
    assert_eq!(code, Some(125), "{stderr}");
    assert!(
        stderr.contains("it was trusted, but it or a plugin that it names has changed since"),
        "{stderr}"
    );
    // Asked again, it shows what is different.
    let (code, text) = trust(&context, "\n");
    assert_eq!(code, 1);
    assert!(
        text.contains("was trusted, and is different now") && text.contains("plugin `p` was `"),
        "{text}"
    );
    assert_eq!(run(&context).0, Some(125));
    assert_eq!(trust(&context, "yes\n").0, 0);
    assert_eq!(run(&context).0, Some(0));
    fs::copy(guest("exec-args"), context.project().join("p.wasm")).unwrap();
    assert_eq!(
        run(&context).0,
        Some(125),
        "what was trusted before is not any more"
    );
}

#[test]
fn a_changed_policy_is_not_the_one_that_was_trusted() {
    let context = context();
    assert_eq!(trust(&context, "yes\n").0, 0);
    let more = format!("{DEV}exec.allow = [\"echo\", \"cat\"]\n");
    context.write("portcullis.toml", &more);
    assert_eq!(run(&context).0, Some(125));
    let (code, text) = trust(&context, "\n");
    assert_eq!(code, 1);
    assert!(
        text.contains("-exec.allow = [\"echo\"]")
            && text.contains("+exec.allow = [\"echo\", \"cat\"]"),
        "{text}"
    );
    context.write("portcullis.toml", format!("{DEV}exec.allow = [\"echo\"]\n"));
    assert_eq!(run(&context).0, Some(0), "it is as it was");
    // A second plugin that is not there yet, and then is.
    let two = format!("{DEV}exec.allow = [\"echo\"]\n[[plugins]]\nid = \"q\"\npath = \"q.wasm\"\n");
    context.write("portcullis.toml", &two);
    assert_eq!(trust(&context, "yes\n").0, 0);
    assert_eq!(run(&context).0, Some(0));
    fs::copy(guest("noop"), context.project().join("q.wasm")).unwrap();
    assert_eq!(run(&context).0, Some(125));
}

#[test]
fn trust_lifts_no_protection_of_our_own_files() {
    let context = context();
    let data = context.home().join(".local/share/portcullis");
    fs::create_dir_all(&data).unwrap();
    fs::set_permissions(&data, Permissions::from_mode(0o700)).unwrap();
    for fs in [
        "read = [\"~/.local/share/portcullis\"]",
        "read = [\"~\"]",
        "write = [\"${project}\"]",
    ] {
        context.write(
            "portcullis.toml",
            format!("{DEV}fs = {{ {fs} }}\nexec.allow = [\"echo\"]\n"),
        );
        let (code, text) = Session::start(&context, &["trust"]).ends();
        assert_eq!(code, 2, "{text}");
        assert!(text.contains("P0110") && !text.contains(TRUST), "{text}");
    }
}

#[test]
fn a_store_that_others_could_have_written_counts_for_nothing() {
    let context = context();
    assert_eq!(trust(&context, "yes\n").0, 0);
    let store = context.home().join(".local/share/portcullis/trust.json");
    fs::set_permissions(&store, Permissions::from_mode(0o666)).unwrap();
    let (code, stderr) = run(&context);
    assert_eq!(code, Some(125));
    assert!(stderr.contains("P0920"), "{stderr}");
    fs::set_permissions(&store, Permissions::from_mode(0o600)).unwrap();
    fs::write(&store, "{}").unwrap();
    let (code, stderr) = run(&context);
    assert_eq!(code, Some(125));
    assert!(stderr.contains("P0920"), "{stderr}");
}

#[test]
fn an_answer_in_a_trusted_tree_is_kept_outside_of_it() {
    let context = context();
    assert_eq!(trust(&context, "yes\n").0, 0);
    let before = fs::read(context.project().join("portcullis.toml")).unwrap();
    let cat = ["run", "p", "exec", "--", "cat", "/dev/null"];
    let mut session = Session::start(&context, &cat);
    session.waits_for(PROMPT).waits_for("] ").types("a\n");
    let (code, text) = session.ends();
    assert_eq!(code, 0, "{text}");
    assert_eq!(
        fs::read(context.project().join("portcullis.toml")).unwrap(),
        before
    );
    assert!(
        fs::read_to_string(context.own_policy())
            .unwrap()
            .contains("plugin_sha256")
    );
    let output = context.output(&cat);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn what_it_would_give_is_shown_without_asking() {
    let context = context();
    shows!(context, ["trust", "show"], @r#"
    exit 1
    -- stdout
    the policy `[DIR]/project/portcullis.toml`
    says:
      | mode = "dev"
      | confinement = "limits"
      | [[plugins]]
      | id = "p"
      | path = "p.wasm"
      | exec.allow = ["echo"]
    would give, together with your own:
    plugin `p` from `[DIR]/project/p.wasm` (sha256 [DIGEST])
      may run `echo` with any arguments (rule `allow[0]`, [DIR]/project/portcullis.toml:6)
      commands inherit the host's environment, without secrets
      may open no directory
      may read no environment variable
      limits: [N] ms a call, [N] ms and [N] bytes a stream for a command, 8 commands at once, 600 a minute, [N] bytes of memory
      mode dev, confinement limits
      children: not confined (limits): they can do what you can do
    it is not trusted: it only takes away
    "#);
    let outside = Context::with_guest("noop");
    shows!(outside, ["trust"], @"
    exit 2
    -- stderr
    error[P0921]: there is no `portcullis.toml` of a working tree in `[DIR]/project` or above
      note: what you name with `--config` is trusted anyway
    ");
}

#[test]
fn nothing_of_a_policy_is_cut_off() {
    let context = context();
    let long = "\"printf\", ".repeat(100);
    let exec = format!("exec = {{ allow = [{long}], allow_dangerous_env = [\"PATH\"] }}");
    context.write("portcullis.toml", format!("{DEV}{exec}\n"));
    let (_, text) = trust(&context, "\n");
    assert!(text.contains("allow_dangerous_env"), "{text}");
}

#[test]
fn names_in_a_policy_cannot_paint() {
    let context = context();
    let odd = "a\x1b[2J\u{202e}b";
    fs::create_dir(context.project().join(odd)).unwrap();
    context.write(
        "portcullis.toml",
        format!("{DEV}fs = {{ read = [\"a\\u001b[2J\\u202eb\"] }}\nexec.allow = [\"echo\"]\n"),
    );
    let (_, text) = trust(&context, "\n");
    assert!(text.contains("a\\u{1b}[2J\\u{202e}b"), "{text}");
    assert!(!text.contains(odd), "{text}");
}

#[test]
fn a_tree_sets_nothing_but_bounds() {
    let context = Context::with_policy("exec.allow = [\"echo\"]\n");
    let ours = [
        "run",
        "--config",
        "policy.toml",
        "p",
        "exec",
        "--",
        "echo",
        "x",
    ];
    for line in [
        "mode = \"dev\"",
        "confinement = \"limits\"",
        "exec_path = [\"/tmp\"]",
        "network.upstream_proxy = \"http://127.0.0.1:1\"",
        "data_dir = \"/tmp\"",
        "audit = \"/tmp\"",
        "[[plugins]]\nid = \"p\"\nenv = [\"*\"]",
        "[[plugins]]\nid = \"p\"\nexec.pass_env = [\"HOME\"]",
        "[[plugins]]\nid = \"p\"\nexec.allow_dangerous_env = [\"PATH\"]",
        "[[plugins]]\nid = \"p\"\nexec.unprotect = [\".envrc\"]",
        "[[plugins]]\nid = \"p\"\nlimits.timeout = \"1h\"",
        "[[plugins]]\nid = \"p\"\nsha256 = \"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"",
    ] {
        context.write("portcullis.toml", format!("{line}\n"));
        assert_eq!(context.output(&ours).status.code(), Some(125), "{line}");
    }
    context.write(
        "portcullis.toml",
        "[[plugins]]\nid = \"p\"\nlimits.timeout = \"5s\"\n",
    );
    assert_eq!(context.output(&ours).status.code(), Some(0));
}
