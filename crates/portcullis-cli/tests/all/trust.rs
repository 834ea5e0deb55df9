//! Which places and files are believed.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use crate::context::{Context, shows};

#[test]
fn a_variable_that_points_into_the_tree_is_refused_by_name() {
    for name in [
        "XDG_CONFIG_HOME",
        "XDG_DATA_HOME",
        "XDG_CACHE_HOME",
        "XDG_STATE_HOME",
        "PORTCULLIS_CONFIG",
        "PORTCULLIS_DATA_DIR",
    ] {
        let context = Context::with_guest("noop");
        let inside = context.project().join("inside").display().to_string();
        let output = context.env(name, &inside).output(&["run", "p.wasm"]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(125));
        assert!(
            stderr.contains("P0901") && stderr.contains(name),
            "{stderr}"
        );
    }
}

#[test]
fn a_variable_that_names_a_place_of_our_own_counts() {
    let context = Context::with_guest("noop");
    let state = context.root().join("home/elsewhere").display().to_string();
    let context = context.env("XDG_STATE_HOME", &state);
    assert!(context.output(&["run", "p.wasm"]).status.success());
    assert!(
        context
            .home()
            .join("elsewhere/portcullis/audit/audit-000001.jsonl")
            .exists()
    );
}

#[test]
fn a_home_inside_the_project_is_refused() {
    let context = Context::with_guest("noop");
    std::fs::create_dir(context.project().join("evil")).unwrap();
    let evil = context.project().join("evil").display().to_string();
    let output = context.env("HOME", &evil).output(&["audit", "show"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("P0901"));
}

#[test]
fn a_place_that_others_can_write_does_not_count() {
    let context = Context::with_guest("noop");
    let open = context.root().join("home/open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
    let context = context.env("XDG_DATA_HOME", &open.display().to_string());
    shows!(context, ["cache", "info"], @"
    exit 2
    -- stderr
    error[P0901]: the environment variable `XDG_DATA_HOME` may not name `[DIR]/home/open`
      note: it can be written by others
      help: unset `XDG_DATA_HOME`, or name a directory of yours outside the working tree
    ");
}

#[test]
fn the_own_policy_must_be_ours_alone() {
    let context = Context::with_guest("noop");
    fs::create_dir_all(context.own_policy().parent().unwrap()).unwrap();
    fs::write(context.own_policy(), "").unwrap();
    assert!(context.output(&["run", "p.wasm"]).status.success());
    fs::set_permissions(context.own_policy(), Permissions::from_mode(0o666)).unwrap();
    shows!(context, ["run", "p.wasm"], @"
    exit 125
    -- stderr
    error[P0908]: your policy file `[DIR]/home/.config/portcullis/portcullis.toml` can be changed by others
      note: it decides what plugins may do
      help: chown it to yourself and `chmod go-w [DIR]/home/.config/portcullis/portcullis.toml`
    ");
    assert!(
        context
            .output(&["run", "--no-config", "p.wasm"])
            .status
            .success()
    );
}

#[test]
fn a_file_of_the_tree_takes_away_and_gives_nothing() {
    let context = Context::with_policy("exec.allow = [\"echo\", \"cat\"]\n");
    context.write(
        "portcullis.toml",
        "[[plugins]]\nid = \"p\"\nexec.deny = [\"cat\"]\n",
    );
    let run = |program: &str| {
        context
            .output(&["run", "--config", "policy.toml", "p", "exec", "--", program])
            .status
            .code()
    };
    assert_eq!(run("echo"), Some(0));
    assert_eq!(run("cat"), Some(126));
    context.write(
        "portcullis.toml",
        "[[plugins]]\nid = \"p\"\nexec.allow = [\"ls\"]\n",
    );
    assert_eq!(
        run("echo"),
        Some(125),
        "a grant there is a mistake, not ignored"
    );
    let args = [
        "run",
        "--no-config",
        "--config",
        "policy.toml",
        "p",
        "exec",
        "--",
        "cat",
    ];
    assert_eq!(
        context.output(&args).status.code(),
        Some(0),
        "`--no-config` does not read it"
    );
}

#[test]
fn no_grant_reaches_our_own_files() {
    let context = Context::with_guest("noop");
    fs::create_dir_all(context.home().join(".cache/portcullis")).unwrap();
    let cache = context.home().join(".cache").display().to_string();
    let output = context.output(&["run", &format!("--allow-write={cache}"), "p.wasm"]);
    assert_eq!(output.status.code(), Some(125));
    assert!(String::from_utf8(output.stderr).unwrap().contains("P0110"));
    assert!(
        context
            .output(&["run", &format!("--allow-read={cache}"), "p.wasm"])
            .status
            .success(),
        "the cache may be read"
    );
}
