//! `check`, `explain`, `grant`, `revoke`, `inspect`, `schema`, `completions`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::context::{Context, shows};

#[test]
fn mistakes_are_shown_where_they_are() {
    let context = Context::with_policy("alow = 1\nlimits.call = \"2 days\"\n");
    shows!(context, ["check", "policy.toml"], @r#"
    exit 2
    -- stderr
    error[P0101]: unknown key `alow` in `plugins`
     --> policy.toml:6:1
      |
    6 | alow = 1
      | ^^^^ expected one of `clock`, `connect`, `data`, `env`, `env_allow_prefixes`, `exec`, `fs`, `http`, `id`, `kv`, `late`, `limits`, `log`, `lookup`, `metadata`, `net`, `path`, `random`, `reglet`, `sha256`
    error[P0109]: `2 days` is not a time
     --> policy.toml:7:15
      |
    7 | limits.call = "2 days"
      |               ^^^^^^^^ expected a whole number and `ms`, `s`, `m` or `h`, such as "30s"
    "#);
}

#[test]
fn rules_that_allow_everything_are_warned_of() {
    let context = Context::with_policy("exec.allow = [\"bash\", \"df\"]\n");
    shows!(context, ["check", "policy.toml"], @r#"
    exit 0
    -- stdout
    checked `policy.toml` (named with `--config`)
    1 policy file, 1 plugin, 0 tests, 2 warnings
    -- stderr
    warning[P0911]: plugin `p` may run `bash` with any arguments
      note: `bash` is a shell, so this rule allows all that it can reach: everything that you can reach
      note: rule `allow[0]` (policy.toml:6)
      help: say which arguments it needs with `sub`, `flags` or `args`, or narrow what it reaches with `read`, `write`, `net` or `exec`
    warning[P0915]: commands of plugin `p` are not confined
      note: `confinement = "limits"`: each can do what you can do
      help: remove `confinement = "limits"`, or write it for the one rule that needs it
    "#);
    assert_eq!(
        context
            .output(&["check", "--strict", "policy.toml"])
            .status
            .code(),
        Some(1)
    );
    let fine = Context::confined("exec.allow = [\"df\"]\n");
    assert_eq!(
        fine.output(&["check", "--strict", "policy.toml"])
            .status
            .code(),
        Some(0)
    );
}

#[test]
fn an_allowed_command_is_explained() {
    let context = Context::with_policy("exec.allow = [{ program = \"git\", sub = [\"log\"] }]\n");
    shows!(context, ["explain", "--config", "policy.toml", "p", "exec", "git", "log"], @"
    exit 0
    -- stdout
    allowed
      program `/usr/bin/git`
      in `[DIR]/project`
      by rule `allow[0]` (policy.toml:6)
      with the variables `PATH`, `TMPDIR`, `LANG`, `TERM`, `HOME`, `GIT_TERMINAL_PROMPT`, `GIT_OPTIONAL_LOCKS`, `GIT_CONFIG_NOSYSTEM`, `GIT_PAGER`, `PAGER`, `NO_COLOR`
      for at most [N] ms and [N] bytes a stream
      children: not confined (limits): they can do what you can do
    ");
}

#[test]
fn a_denied_command_is_explained_as_a_run_reports_it() {
    let context = Context::with_policy(
        "exec.allow = [{ id = \"git-read\", program = \"git\", sub = [\"log\"] }]\n",
    );
    shows!(context, ["explain", "--config", "policy.toml", "p", "exec", "git", "push"], @r#"
    exit 1
    -- stderr
    error[P0203]: plugin `p` may not run `/usr/bin/git` with these arguments
      note: rule `git-read` (policy.toml:6) allows it with other arguments; argument 1: `push` is not one of its sub-commands
      note: requested as `git` with arguments ["push"]
      note: mode `dev`: `run` asks at the terminal, and denies it without one
      help: to allow exactly this: portcullis grant --config policy.toml p exec git --args '["push"]'
    "#);
}

#[test]
fn every_code_has_a_page() {
    let context = Context::new();
    shows!(context, ["explain", "p0201"], @"
    exit 0
    -- stdout
    P0201:
    No rule of the policy is about this program; the default is deny.

    Allow it with `portcullis grant <plugin> exec <program> --args '[…]'`, or add it to `exec.allow`.
    ");
    for code in ["P0101", "P0213", "P0301", "P0601", "P0702", "P0901"] {
        assert!(
            context.output(&["explain", code]).status.success(),
            "{code}"
        );
    }
    assert_eq!(context.output(&["explain", "P9999"]).status.code(), Some(2));
}

#[test]
fn grants_are_written_into_the_own_file_and_taken_out_again() {
    let context = Context::with_guest("exec-args");
    shows!(context, ["grant", "p.wasm", "exec", "git", "--args", r#"["log"]"#], @r#"
    exit 0
    -- stdout
    granted to plugin `p`: run `git` with exactly ["log"] ([DIR]/home/.config/portcullis/portcullis.toml:4)
    "#);
    let mode = fs::metadata(context.own_policy())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    shows!(context, ["grant", "p", "exec", "git", "--args", r#"["log"]"#], @r#"
    exit 0
    -- stdout
    nothing to change: already granted to plugin `p`: run `git` with exactly ["log"] ([DIR]/home/.config/portcullis/portcullis.toml:4)
    "#);
    shows!(context, ["grant", "p", "read", "."], @"
    exit 0
    -- stdout
    granted to plugin `p`: read `[DIR]/project` ([DIR]/home/.config/portcullis/portcullis.toml:5)
    ");
    shows!(context, ["revoke", "p", "exec", "git"], @"
    exit 0
    -- stdout
    revoked from plugin `p`: run `git` ([DIR]/home/.config/portcullis/portcullis.toml)
    ");
    shows!(context, ["revoke", "p", "exec", "git"], @"
    exit 0
    -- stdout
    nothing to change: not granted to plugin `p`: run `git` ([DIR]/home/.config/portcullis/portcullis.toml)
    ");
}

#[test]
fn an_edit_keeps_comments_and_the_rest() {
    let context = Context::with_policy("# why\nexec.allow = [\"df\"] # disks\n");
    let path = context.project().join("policy.toml");
    assert!(
        context
            .output(&[
                "grant",
                "--config",
                "policy.toml",
                "p",
                "exec",
                "git",
                "--args",
                "[]"
            ])
            .status
            .success()
    );
    let text = fs::read_to_string(&path).unwrap();
    assert!(
        text.contains("# why") && text.contains("# disks") && text.contains("\"df\""),
        "{text}"
    );
    assert!(text.contains("\"git\""), "{text}");
}

#[test]
fn an_edit_that_would_not_hold_is_refused() {
    let context = Context::with_policy("exec = { allow = [\"df\"], deny = [\"git\"] }\n");
    let before = fs::read_to_string(context.project().join("policy.toml")).unwrap();
    let output = context.output(&["grant", "--config", "policy.toml", "p", "exec", "git"]);
    assert_eq!(
        output.status.code(),
        Some(1),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(
        fs::read_to_string(context.project().join("policy.toml")).unwrap(),
        before
    );
}

#[test]
fn inspect_shows_a_plugin_and_runs_none_of_it() {
    let context = Context::with_guest("exec-args");
    shows!(context, ["inspect", "p.wasm"], @"
    exit 1
    -- stdout
    plugin `p` from `[DIR]/project/p.wasm`
    a component, [N] bytes
    sha256 [DIGEST]
    blake3 [DIGEST]
    imports `portcullis:cli/process@0.1.0`: needs `exec`, not granted
    exports `run`
    the policy has no entry for it; it
      may run no command
      may open no directory
      may read no environment variable
      limits: [N] ms a call, [N] ms and [N] bytes a stream for a command, 8 commands at once, 600 a minute, [N] bytes of memory
    cannot be run: `portcullis:cli/process@0.1.0`: needs the `exec` grant; to allow a program: portcullis grant p exec <program>
    ");
    context.write(
        "policy.toml",
        format!("{}exec.allow = [\"df\"]\n", crate::context::DEV),
    );
    assert_eq!(
        context
            .output(&["inspect", "--config", "policy.toml", "p"])
            .status
            .code(),
        Some(0)
    );
    let document = context.json(&["inspect", "--json", "p.wasm"]);
    assert_eq!(document["problems"].as_array().unwrap().len(), 1);
    assert_eq!(document["found"]["imports"][0]["needs"], "exec");
}

#[test]
fn inspect_says_what_a_file_is_that_is_no_plugin() {
    let context = Context::new();
    context.write("p.wasm", portcullis_testkit::wat("empty-module"));
    let output = context.output(&["inspect", "p.wasm"]);
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stdout.contains("a core module, and not in the form of plugins")
            && stdout.contains("wasm32-wasip2"),
        "{stdout}"
    );
}

#[test]
fn schemas_and_completions_are_printed() {
    let context = Context::new();
    for format in ["policy", "manifest"] {
        let output = context.output(&["schema", format]);
        let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(schema["type"], "object", "{format}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let output = context.output(&["completions", shell]);
        assert!(
            String::from_utf8(output.stdout)
                .unwrap()
                .contains("portcullis"),
            "{shell}"
        );
    }
}

#[test]
fn the_plugin_of_the_doctor_is_its_text() {
    let sources = portcullis_testkit::repository().join("crates/portcullis-cli/src/commands");
    let text = fs::read(sources.join("doctor.wat")).unwrap();
    let assembled = portcullis_testkit::assemble(&text).unwrap();
    if std::env::vars_os().any(|(name, _)| name == "UPDATE") {
        fs::write(sources.join("doctor.wasm"), &assembled).unwrap();
    }
    assert!(
        fs::read(sources.join("doctor.wasm")).unwrap() == assembled,
        "run with UPDATE=1 to assemble it"
    );
}

#[test]
fn the_cache_is_counted_and_cleared() {
    let context = Context::with_guest("noop");
    assert!(context.output(&["run", "p.wasm"]).status.success());
    assert_eq!(context.json(&["cache", "info", "--json"])["entries"], 1);
    assert_eq!(context.json(&["cache", "clear", "--json"])["entries"], 1);
    assert_eq!(context.json(&["cache", "info", "--json"])["entries"], 0);
}

/// A policy under which `sh` keeps what it leaves.
const KEEPING: &str =
    "fs.read = [\"${project}\"]\nexec = { allow = [\"sh\", \"true\"], cache = \"1MiB\" }\n";

#[test]
fn caches_of_commands_are_kept_and_no_grant_reaches_them() {
    let context = Context::confined(KEEPING);
    let script = "cd \"$XDG_CACHE_HOME\"; cat left; echo kept > left";
    let left = |policy: &str| {
        let args = [
            "run", "--config", policy, "p", "exec", "--", "sh", "-c", script,
        ];
        let output = context.output(&args);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("stdout=kept")
    };
    let count = || {
        context.json(&["cache", "list", "--json"])["caches"]
            .as_array()
            .unwrap()
            .len()
    };
    shows!(context, ["cache", "list"], @"
    exit 0
    -- stdout
    no caches of commands are kept
    ");
    assert!(!left("policy.toml"));
    assert!(left("policy.toml"));
    let kept = &context.json(&["cache", "list", "--json"])["caches"][0];
    assert_eq!(
        (&kept["plugin"], &kept["rules"][0]),
        (&"p".into(), &"allow[0]".into())
    );
    assert_eq!(
        (&kept["files"], &kept["in_use"]),
        (&1.into(), &false.into())
    );
    let info = context.json(&["cache", "info", "--json"]);
    assert_eq!(info["commands"]["caches"], 1);
    // Another version of the plugin has another.
    let other = portcullis_testkit::guest("noop");
    let mut wasm = fs::read(context.project().join("p.wasm")).unwrap();
    // A custom section without meaning.
    wasm.extend([0, 2, 1, b'x']);
    fs::write(context.project().join("p.wasm"), wasm).unwrap();
    assert!(other.exists() && !left("policy.toml"));
    assert_eq!(count(), 2);
    let place = info["commands"]["path"].as_str().unwrap();
    for reach in [
        place,
        kept["path"].as_str().unwrap(),
        Path::new(place).parent().unwrap().to_str().unwrap(),
    ] {
        for flag in ["--allow-read", "--allow-write"] {
            let flag = format!("{flag}={reach}");
            let output = context.output(&[
                "run",
                "--config",
                "policy.toml",
                &flag,
                "p",
                "exec",
                "--",
                "true",
            ]);
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(125), "{stderr}");
            assert!(stderr.contains("P0110"), "{stderr}");
        }
    }
    let cleared = context.json(&["cache", "clear", "--json"]);
    assert_eq!(
        (
            &cleared["commands"]["removed"],
            &cleared["commands"]["in_use"]
        ),
        (&2.into(), &0.into())
    );
    assert_eq!(count(), 0);
    assert!(!left("policy.toml"));
}

#[test]
fn a_cache_that_has_grown_too_much_is_emptied_and_that_is_told() {
    let context = Context::confined(KEEPING);
    let script = "head -c 2M /dev/zero > \"$XDG_CACHE_HOME/large\"";
    let output = context.output(&[
        "run",
        "--config",
        "policy.toml",
        "p",
        "exec",
        "--",
        "sh",
        "-c",
        script,
    ]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    let told = "warning[P0807]: plugin `p`: `/usr/bin/dash` left more in its cache than is kept";
    assert!(stderr.contains(told), "{stderr}");
    assert!(
        !String::from_utf8(output.stdout).unwrap().contains("P0807"),
        "the guest is not told"
    );
    let kept = context.json(&["cache", "list", "--json"]);
    assert_eq!(kept["caches"][0]["bytes"], 0);
}

#[test]
fn check_runs_the_tests_of_a_policy_and_says_where_one_fails() {
    let policy = |write: &str| {
        format!(
            "exec.allow = [{{ id = \"status\", program = \"git\", args = [\"status\"], write = [] }}]\nfs.write = [\"out\"]\n\
             [[plugins.exec.test]]\nallow = [\n  [\"git\", \"status\"],\n  {{ run = [\"git\", \"status\"], rules = [\"status\"], write = [{write}] }},\n]\n"
        )
    };
    let context = Context::with_policy(&policy(""));
    std::fs::create_dir(context.project().join("out")).unwrap();
    assert_eq!(
        context.json(&["check", "--json", "policy.toml"])["tests"],
        2
    );
    let context = Context::with_policy(&policy("\"out\""));
    std::fs::create_dir(context.project().join("out")).unwrap();
    shows!(context, ["check", "policy.toml"], @r#"
    exit 2
    -- stderr
    error[P0106]: the rules must allow ["git", "status"], and leave it [] to write, not ["[DIR]/project/out"]
      --> policy.toml:11:3
       |
    11 |   { run = ["git", "status"], rules = ["status"], write = ["out"] },
       |   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    "#);
}
