//! The example in JavaScript: `npm ls`, confined, with the policy of the examples; and what it makes of answers that npm may
//! give.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::context::{Context, skip};

fn context() -> Option<Context> {
    let context = Context::interpreted("deps-audit")?;
    let places = ["/usr/local/bin/npm", "/usr/bin/npm"];
    if !places.iter().any(|place| Path::new(place).exists()) {
        skip("`npm` is not installed");
        return None;
    }
    Some(context)
}

/// Exit code, standard output and standard error of the example as its README starts it.
fn run(context: &Context, args: &[&str]) -> (i32, String, String) {
    context.example("deps-audit", args)
}

fn package(context: &Context, directory: &str, json: &str) {
    context.write(&format!("{directory}package.json"), json);
}

/// A project that lacks nothing.
fn sound(context: &Context) {
    package(
        context,
        "",
        r#"{"name":"app","version":"1.0.0","license":"MIT","dependencies":{"a":"^1.0.0"}}"#,
    );
    package(
        context,
        "node_modules/a/",
        r#"{"name":"a","version":"1.2.0","license":"MIT"}"#,
    );
}

#[test]
fn a_sound_project_is_fine() {
    let Some(context) = context() else { return };
    sound(&context);
    let (code, stdout, stderr) = run(&context, &[]);
    assert_eq!(
        (code, stdout.as_str()),
        (0, "packages installed: 1\n"),
        "{stderr}"
    );
    assert!(stderr.contains("children: confined (full)"), "{stderr}");
}

#[test]
fn what_is_wrong_is_listed_although_npm_fails() {
    let Some(context) = context() else { return };
    package(
        &context,
        "",
        r#"{"name":"app","version":"1.0.0","dependencies":{"a":"^1.0.0","b":"^1.0.0","gone":"^1.0.0"},
            "optionalDependencies":{"maybe":"^1.0.0"}}"#,
    );
    package(
        &context,
        "node_modules/a/",
        r#"{"name":"a","version":"1.2.0","license":"MIT","dependencies":{"c":"^1.0.0"}}"#,
    );
    package(
        &context,
        "node_modules/b/",
        r#"{"name":"b","version":"2.0.0","license":"","dependencies":{"c":"^2.0.0"}}"#,
    );
    package(
        &context,
        "node_modules/c/",
        r#"{"name":"c","version":"1.1.0","license":{"type":"ISC"}}"#,
    );
    package(
        &context,
        "node_modules/b/node_modules/c/",
        r#"{"name":"c","version":"2.0.1","licenses":[{"type":"MIT"}],"peerDependencies":{"peer":"^3.0.0"}}"#,
    );
    package(
        &context,
        "node_modules/\u{fc}ber/",
        r#"{"name":"über","version":"0.1.0","license":"UNLICENSED"}"#,
    );
    let (code, stdout, stderr) = run(&context, &[]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    insta::assert_snapshot!(stderr, @r#"
    packages installed: 5
    2 missing
      gone@^1.0.0, required by app@1.0.0
      peer@^3.0.0, required by c@2.0.1
    1 not the version that was asked for
      b@2.0.0, wanted "^1.0.0" from the root project
    1 not asked for
      über@0.1.0
    1 in several versions
      c: 1.1.0, 2.0.1
    2 without a licence
      b@2.0.0
      über@0.1.0
    children: confined (full)
    "#);
    assert!(
        !stderr.contains("npm error"),
        "npm's own report is not needed"
    );
}

#[test]
fn it_can_do_nothing_else_and_nowhere_else() {
    let Some(context) = context() else { return };
    sound(&context);
    let (code, _, stderr) = run(&context, &["/"]);
    assert_eq!(code, 126, "{stderr}");
    assert!(
        stderr.starts_with("cannot run `npm ls`: denied"),
        "{stderr}"
    );
    for args in [&["a", "b"][..], &["--global"][..]] {
        assert_eq!(
            run(&context, args),
            (
                1,
                String::new(),
                "usage: deps-audit [DIRECTORY]\n".to_owned()
            )
        );
    }
}

#[test]
fn a_project_that_npm_cannot_read_is_said_so() {
    let Some(context) = context() else { return };
    package(&context, "", "{ not json");
    let (code, _, stderr) = run(&context, &[]);
    assert_eq!(code, 1);
    assert!(stderr.starts_with("`npm ls` failed"), "{stderr}");
}

/// What is said when `npm` is this script.
fn with_npm(script: &str) -> Option<(i32, String)> {
    let context = Context::interpreted("deps-audit")?;
    let npm = context.write("bin/npm", format!("#!/bin/sh\n{script}\n"));
    fs::set_permissions(npm, Permissions::from_mode(0o755)).unwrap();
    let bin = context.project().join("bin");
    context.write(
        "policy.toml",
        format!(
            "confinement = \"limits\"\n[[plugins]]\nid = \"p\"\npath = \"p.wasm\"\n\
             exec = {{ path = [{bin:?}], allow = [\"npm\"] }}\n"
        ),
    );
    let (code, stdout, stderr) = context.ended(&["run", "--config", "policy.toml", "p"]);
    Some((code, stdout + &stderr))
}

#[test]
fn answers_that_are_no_tree_are_told_with_what_npm_says() {
    for (script, says) in [
        (
            "echo 'npm: gone' >&2; exit 127",
            "`npm ls` failed with status 127: npm: gone",
        ),
        (
            "echo hello; echo 'npm: odd' >&2",
            "cannot read what `npm ls` printed: ",
        ),
        ("exit 1", "`npm ls` failed with status 1: it said nothing"),
        (
            "printf '{\"error\":{\"code\":\"EX\",\"summary\":\"no \\377 such\"}}'; exit 1",
            "`npm ls` failed: no \u{fffd} such",
        ),
    ] {
        let Some((code, text)) = with_npm(script) else {
            return;
        };
        assert!(code == 1 && text.contains(says), "{script}: {text}");
    }
}

#[test]
fn a_mistake_of_its_own_is_told_with_kind_and_place() {
    // Nothing that npm prints, and so nothing that the plugin is prepared for.
    let Some((code, text)) = with_npm("echo 'null'") else {
        return;
    };
    assert_eq!(code, 1);
    assert!(
        text.starts_with("TypeError: ") && text.contains("\n    at listing (/deps-audit.js:"),
        "{text}"
    );
}
