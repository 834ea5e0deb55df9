//! State of plugins, from the command line.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::context::Context;

const HEAD: &str = "[[plugins]]\nid = \"p\"\npath = \"p.wasm\"\n";

fn context() -> Context {
    let context = Context::with_guest("kv");
    context.write("policy.toml", format!("{HEAD}kv = true\n"));
    context
}

/// What the plugin says under a policy.
fn says(context: &Context, policy: &str, calls: &[&str]) -> String {
    let (code, stdout, stderr) =
        context.ended(&[&["run", "--config", policy, "p"], calls].concat());
    assert_eq!(code, 0, "{stderr}");
    stdout.trim_end().to_owned()
}

#[test]
fn what_one_run_keeps_the_next_finds_and_the_operator_looks_at() {
    let context = context();
    assert_eq!(
        says(&context, "policy.toml", &["set b 1", "set a two"]),
        "set\nset"
    );
    assert_eq!(says(&context, "policy.toml", &["get a"]), "two");
    let kv = |args: &[&str]| {
        let (code, stdout, _) =
            context.ended(&[&["kv"], args, &["--config", "policy.toml"]].concat());
        (code, stdout)
    };
    assert_eq!(kv(&["list", "p"]), (0, "a\nb\n".to_owned()));
    assert_eq!(kv(&["list", "p", "--prefix", "b"]), (0, "b\n".to_owned()));
    assert_eq!(kv(&["get", "p", "a"]), (0, "two\n".to_owned()));
    assert_eq!(kv(&["get", "p", "c"]), (1, String::new()));
    let json = context.json(&["kv", "list", "p", "--config", "policy.toml", "--json"]);
    assert_eq!(
        (&json["all_keys"], &json["all_bytes"]),
        (&2.into(), &6.into())
    );
    let cleared = "`p` had 2 keys of 6 bytes together\n".to_owned();
    assert_eq!(kv(&["clear", "p"]), (0, cleared));
    assert_eq!(kv(&["list", "p"]), (0, String::new()));
    assert_eq!(says(&context, "policy.toml", &["get a"]), "none");
}

#[test]
fn values_do_nothing_to_the_terminal() {
    let context = context();
    says(
        &context,
        "policy.toml",
        &["set a\u{1b}[2J \u{1b}]0;title\u{7}"],
    );
    for args in [
        ["kv", "list", "p"].as_slice(),
        &["kv", "get", "p", "a\u{1b}[2J"],
    ] {
        let (code, stdout, _) = context.ended(&[args, &["--config", "policy.toml"]].concat());
        assert_eq!(code, 0);
        assert!(
            !stdout.trim_end().chars().any(char::is_control),
            "{stdout:?}"
        );
    }
}

#[test]
fn a_plugin_of_the_same_name_in_another_policy_sees_none_of_it() {
    let context = context();
    says(&context, "policy.toml", &["set secret 1"]);
    context.write("other.toml", format!("{HEAD}kv = true\n"));
    assert_eq!(
        says(&context, "other.toml", &["get secret", "list - - 9"]),
        "none"
    );
    // Nor another file under the same policy.
    fs::copy(
        context.project().join("p.wasm"),
        context.project().join("q.wasm"),
    )
    .unwrap();
    let moved = format!("{HEAD}kv = true\n").replace("p.wasm", "q.wasm");
    context.write("policy.toml", moved);
    assert_eq!(says(&context, "policy.toml", &["get secret"]), "none");
    context.write("policy.toml", format!("{HEAD}kv = true\n"));
    assert_eq!(says(&context, "policy.toml", &["get secret"]), "1");
}

#[test]
fn it_lies_in_the_data_directory_which_no_grant_reaches() {
    let context = context();
    says(&context, "policy.toml", &["set a 1"]);
    let state = context.home().join(".local/share/portcullis/kv");
    assert_eq!(
        fs::metadata(&state).unwrap().permissions().mode() & 0o777,
        0o700
    );
    context.write(
        "reaching.toml",
        format!(
            "{HEAD}kv = true\nfs.read = [{:?}]\n",
            state.display().to_string()
        ),
    );
    let (code, _, stderr) = context.ended(&["run", "--config", "reaching.toml", "p", "get a"]);
    assert_ne!(code, 0);
    assert!(stderr.contains("P0110"), "{stderr}");
}

#[test]
fn without_the_grant_there_is_nothing_to_look_at() {
    let context = context();
    context.write("policy.toml", HEAD);
    let (code, _, stderr) = context.ended(&["kv", "list", "p", "--config", "policy.toml"]);
    assert_eq!(code, 2, "{stderr}");
    assert!(
        stderr.contains("P0449") && stderr.contains("portcullis grant p kv"),
        "{stderr}"
    );
    let (code, _, stderr) = context.ended(&["run", "--config", "policy.toml", "p", "get a"]);
    assert_ne!(code, 0);
    assert!(stderr.contains("portcullis grant p kv"), "{stderr}");
}

#[test]
fn granting_it_is_one_command_and_inspect_shows_it() {
    let context = context();
    context.write("policy.toml", HEAD);
    let inspect = || {
        context
            .ended(&["inspect", "--config", "policy.toml", "p"])
            .1
    };
    assert!(!inspect().contains("may keep state"));
    let (code, stdout, stderr) = context.ended(&["grant", "--config", "policy.toml", "p", "kv"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stdout.contains("granted to plugin `p`: keep state of its own"),
        "{stdout}"
    );
    let shown = inspect();
    let expected = "may keep state: 256 keys, values of 65536 bytes, 1048576 bytes in all";
    assert!(shown.contains(expected), "{shown}");
    assert_eq!(
        says(&context, "policy.toml", &["set a 1", "get a"]),
        "set\n1"
    );
    let (code, stdout, _) = context.ended(&["revoke", "--config", "policy.toml", "p", "kv"]);
    assert_eq!(code, 0);
    assert!(stdout.contains("revoked from plugin `p`"), "{stdout}");
    assert!(!inspect().contains("may keep state"));
}
