//! `run`: what comes out, and with which code.

use std::path::Path;

use portcullis_testkit::guest_bytes;

use crate::context::{Context, shows};

const RUN: [&str; 5] = ["run", "--config", "policy.toml", "p", "exec"];

fn exec<'a>(rest: &[&'a str]) -> Vec<&'a str> {
    RUN.iter().copied().chain(rest.iter().copied()).collect()
}

#[test]
fn a_command_runs_and_children_are_said_to_be_unconfined_once() {
    let context = Context::with_policy("exec.allow = [\"echo\"]\n");
    shows!(context, exec(&["--", "echo", "one", ";;", "exec", "--", "echo", "two"]), @"
    exit 0
    -- stdout
    status=0
    stdout=one

    stderr=
    status=0
    stdout=two

    stderr=
    -- stderr
    compiled: not confined (limits)
    children: not confined (limits): they can do what you can do
    ");
}

#[test]
fn without_children_nothing_is_said_of_them() {
    shows!(Context::with_guest("noop"), ["run", "p.wasm"], @"exit 0");
}

#[test]
fn text_of_the_guest_ends_with_one_newline() {
    let context = Context::with_guest("output");
    assert_eq!(
        context.output(&["run", "p.wasm", "long", "3"]).stdout,
        b"xxx\n"
    );
}

#[test]
fn an_error_of_the_guest_is_code_1_on_standard_error() {
    shows!(Context::with_guest("output"), ["run", "p.wasm", "nothing"], @"
    exit 1
    -- stderr
    usage: long BYTES | control | control-err
    ");
}

#[test]
fn a_denial_that_the_guest_gives_up_on_is_code_126() {
    let context = Context::with_policy("exec.allow = [\"echo\"]\n");
    shows!(context, exec(&["--", "cat", "/etc/hostname"]), @r#"
    exit 126
    -- stderr
    compiled: not confined (limits)
    denied: the operator's policy does not allow this command
    error[P0201]: plugin `p` may not run `/usr/bin/cat`
      note: no `exec` rule matches; the default is deny
      note: requested as `cat` with arguments ["/etc/hostname"]
      note: mode `dev` asks for what no rule matches, and nobody was asked: there is no terminal
      help: to allow exactly this: portcullis grant --config policy.toml p exec cat --args '["/etc/hostname"]'
    "#);
}

#[test]
fn all_denials_are_reported_together_with_what_allows_them() {
    let context = Context::with_policy("exec.allow = [\"echo\"]\n");
    let args = exec(&[
        "--", "cat", "a", ";;", "exec", "--", "cat", "a", ";;", "exec", "--", "ls", "-l b",
    ]);
    shows!(context, args, @r#"
    exit 0
    -- stdout
    error=denied: the operator's policy does not allow this command
    error=denied: the operator's policy does not allow this command
    error=denied: the operator's policy does not allow this command
    -- stderr
    compiled: not confined (limits)
    warning[P0201]: plugin `p` may not run `/usr/bin/cat`
      note: no `exec` rule matches; the default is deny
      note: requested as `cat` with arguments ["a"]
      note: mode `dev` asks for what no rule matches, and nobody was asked: there is no terminal
      note: 2 times
    warning[P0201]: plugin `p` may not run `/usr/bin/ls`
      note: no `exec` rule matches; the default is deny
      note: requested as `ls` with arguments ["-l b"]
      note: mode `dev` asks for what no rule matches, and nobody was asked: there is no terminal
    help: to allow exactly these: portcullis grant --config policy.toml p exec cat --args '["a"]' && portcullis grant --config policy.toml p exec ls --args '["-l b"]'
    "#);
}

#[test]
fn the_printed_commands_allow_exactly_what_was_denied() {
    let context = Context::with_policy("exec.allow = [\"echo\"]\n");
    let denied = exec(&[
        "--",
        "cat",
        "a'b\"\u{e9}",
        ";;",
        "exec",
        "--",
        "ls",
        "-l",
        ";;",
        "exec",
        "--",
        "ls",
    ]);
    let document = context.json(&[&["run", "--json"], &denied[1..]].concat());
    let commands = document["remedy"].as_array().unwrap();
    assert_eq!(commands.len(), 3, "{document}");
    for command in commands {
        let words: Vec<_> = command
            .as_array()
            .unwrap()
            .iter()
            .map(|word| word.as_str().unwrap())
            .collect();
        assert_eq!(words[0], "portcullis");
        let output = context.output(&words[1..]);
        assert!(
            output.status.success(),
            "{words:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let document = context.json(&[&["run", "--json"], &denied[1..]].concat());
    assert_eq!(
        document["denials"].as_array().unwrap().len(),
        0,
        "{document}"
    );
    let more = context.json(&[&["run", "--json"], &exec(&["--", "cat", "other"])[1..]].concat());
    assert_eq!(
        more["denials"][0]["code"], "P0203",
        "nothing else was allowed"
    );
}

#[test]
fn the_json_of_a_run_has_the_head_of_the_trail() {
    let context = Context::with_policy("exec.allow = [\"echo\"]\n");
    let document = context.json(&[&["run", "--json"], &exec(&["--", "echo", "hi"])[1..]].concat());
    assert_eq!(document["exit_code"], 0);
    assert_eq!(document["result"]["ok"], "status=0\nstdout=hi\n\nstderr=\n");
    assert_eq!(
        document["children"]["confinement"],
        serde_json::json!(["limits"])
    );
    assert_eq!(document["children"]["commands"][0]["status"]["exited"], 0);
    let head = document["audit"]["head"].as_str().unwrap();
    assert!(
        head.starts_with("5:"),
        "opened, started, decided, came out, ended: {head}"
    );
    assert!(
        context
            .output(&["audit", "verify", "--head", head])
            .status
            .success()
    );
}

#[test]
fn dropped_variables_are_named_and_their_values_are_not() {
    let context = Context::with_policy("exec = { inherit_env = true, allow = [\"env\"] }\n")
        .env("MY_TOKEN", "sesame")
        .env("LD_PRELOAD", "")
        .env("COLOUR", "green");
    let output = context.output(&exec(&["--inherit-env", "--", "env"]));
    let (stdout, stderr) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    assert!(stdout.contains("COLOUR=green"), "{stdout}");
    assert!(
        stderr.contains("left out of their environment: `LD_PRELOAD`, `MY_TOKEN`"),
        "{stderr}"
    );
    assert!(!stdout.contains("sesame") && !stderr.contains("sesame"));
}

#[test]
fn rule_keys_that_only_the_kernel_could_enforce_are_named() {
    let context = Context::with_policy(
        "[[plugins.exec.allow]]\nprogram = \"echo\"\nnet = \"none\"\nmemory = \"1MiB\"\n",
    );
    let output = context.output(&exec(&["--", "echo"]));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("not in force: `memory`, `net`"), "{stderr}");
}

#[test]
fn a_command_with_more_memory_than_its_rule_gives_it_is_killed_and_told() {
    let policy = |memory: &str| {
        let rule = format!("program = \"sed\"\nmemory = \"{memory}\"\nconfinement = \"full\"\n");
        Context::with_policy(&format!("[[plugins.exec.allow]]\n{rule}"))
    };
    // A line without an end.
    let output = policy("20MiB").output(&exec(&["--", "sed", "p", "/dev/zero"]));
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(stdout.contains("status=137"), "{stdout}");
    assert!(
        stderr.contains("warning[P0225]: plugin `p` may not have more memory for `/usr/bin/sed`")
            && stderr.contains("more than 20971520 bytes (`memory` of its rule)"),
        "{stderr}"
    );
    let output = policy("200MiB").output(&exec(&["--", "sed", "p", "/dev/null"]));
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(stdout.contains("status=0"), "{stdout}");
    assert!(!stderr.contains("P0225"), "{stderr}");
}

#[test]
fn a_dry_run_says_what_would_be_allowed_and_runs_nothing() {
    let context = Context::with_policy(
        "env = [\"LANG\"]\n[plugins.exec]\nallow = [\"touch\"]\ndeny = [\"rm\"]\n",
    );
    let args = [
        "run",
        "--dry-run",
        "--config",
        "policy.toml",
        "p",
        "exec",
        "--",
        "touch",
        "made",
    ];
    shows!(context, args, @"
    exit 0
    -- stdout
    plugin `p` from `[DIR]/project/p.wasm`
    policy `policy.toml` (named with `--config`)
    may run `touch` with any arguments (rule `allow[0]`, policy.toml:8)
    may never run `rm` with any arguments (rule `deny[0]`, policy.toml:9)
    commands inherit the host's environment, without secrets
    may open no directory
    may read the environment variables `LANG`
    limits: [N] ms a call, [N] ms and [N] bytes a stream for a command, 8 commands at once, 600 a minute, [N] bytes of memory
    mode dev, confinement limits
    children: not confined (limits): they can do what you can do
    -- stderr
    compiled: not confined (limits)
    ");
    assert!(!context.project().join("made").exists());
    assert!(
        !context
            .home()
            .join(".local/state/portcullis/audit/audit-000001.jsonl")
            .exists(),
        "nothing ran, nothing is written down"
    );
}

#[test]
fn a_plugin_without_entry_gets_what_the_flags_say() {
    let context = Context::with_guest("exec-args");
    let base = ["run", "--mode", "dev", "--confinement", "limits"];
    let with = |flag: &str, program: &str| {
        let args: Vec<_> = base
            .iter()
            .copied()
            .chain([flag, "p.wasm", "exec", "--", program])
            .collect();
        context.output(&args).status.code()
    };
    assert_eq!(with("--allow-exec=true", "true"), Some(0));
    assert_eq!(with("--allow-exec=true", "false"), Some(126));
    assert_eq!(with("--allow-exec", "true"), Some(0));
    assert_eq!(with("-A", "true"), Some(0));
    assert_eq!(
        with("--allow-exec=", "true"),
        Some(125),
        "an empty list is a mistake"
    );
    let args = ["-A", "--deny-exec=true", "p.wasm", "exec", "--", "true"];
    let args: Vec<_> = base.iter().copied().chain(args).collect();
    assert_eq!(
        context.output(&args).status.code(),
        Some(126),
        "a denial beats -A"
    );
}

#[test]
fn a_directory_with_a_manifest_is_a_plugin() {
    let context = Context::new();
    let repo = portcullis_testkit::repository();
    let git = |args: &[&str]| {
        assert!(
            context
                .command("git")
                .args(args)
                .output()
                .unwrap()
                .status
                .success()
        )
    };
    git(&["init", "-q"]);
    git(&[
        "-c",
        "user.name=Ada",
        "-c",
        "user.email=a@example.com",
        "commit",
        "-q",
        "--allow-empty",
        "-m",
        "The newest commit",
    ]);
    let report = |examples: &Path| {
        let (config, plugin) = (
            examples.join("portcullis.toml"),
            examples.join("repo-report"),
        );
        let args = [
            "run",
            "--config",
            config.to_str().unwrap(),
            plugin.to_str().unwrap(),
        ];
        context.ended(&args)
    };
    let committed = repo.join("examples");
    let (code, stdout, stderr) = report(&committed);
    assert!(
        code == 0 && stdout.contains("The newest commit"),
        "{stdout}{stderr}"
    );
    // What its sources give today says the same.
    let built = context.home().join("examples");
    std::fs::create_dir_all(built.join("repo-report")).unwrap();
    for name in ["portcullis.toml", "repo-report/plugin.toml"] {
        std::fs::copy(committed.join(name), built.join(name)).unwrap();
    }
    let component = portcullis_testkit::guest("repo-report");
    std::fs::copy(component, built.join("repo-report/repo-report.wasm")).unwrap();
    assert_eq!(report(&built), (code, stdout, stderr));
}

#[test]
fn a_plugin_that_is_not_built_is_told_from_one_that_is_nowhere() {
    let context = Context::with_policy("exec.allow = [\"echo\"]\n");
    std::fs::remove_file(context.project().join("p.wasm")).unwrap();
    let said = || {
        let output = context.output(&["run", "--config", "policy.toml", "p"]);
        assert_eq!(output.status.code(), Some(125));
        String::from_utf8(output.stderr).unwrap()
    };
    let nowhere = said();
    assert!(
        nowhere.contains("P0600") && !nowhere.contains("is not built"),
        "{nowhere}"
    );
    let manifest = "id = \"p\"\nversion = \"1\"\nworld = \"portcullis:cli/plugin@0.1.0\"\ncomponent = \"p.wasm\"\n";
    context.write("plugin.toml", manifest);
    let unbuilt = said();
    assert!(
        unbuilt.contains("plugin.toml` is there: the plugin itself is not built")
            && unbuilt.contains("cargo xtask guests"),
        "{unbuilt}"
    );
}

#[test]
fn what_the_manifest_does_not_ask_for_is_not_given() {
    let policy = "exec.allow = [\"echo\", \"cat\"]\nfs.read = [\"/usr/share\"]\n";
    let context = Context::with_policy(policy);
    let manifest = "id = \"p\"\nversion = \"1\"\nworld = \"portcullis:cli/plugin@0.1.0\"\ncomponent = \"p.wasm\"\n\
                    [[asks]]\ncapability = \"exec\"\nprogram = \"echo\"\nreason = \"to say it\"\n";
    context.write("plugin.toml", manifest);
    assert_eq!(
        context.output(&exec(&["--", "echo"])).status.code(),
        Some(0)
    );
    for args in [&["--", "cat"][..], &["--cwd=/usr/share", "--", "echo"]] {
        let output = context.output(&exec(args));
        assert_eq!(output.status.code(), Some(126));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(
            stderr.contains("does not ask for it in") && !stderr.contains("portcullis grant"),
            "{stderr}"
        );
    }
    let output = context.output(&exec(&["--cwd=/usr/lib", "--", "echo"]));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("portcullis grant"), "{stderr}");
}

#[test]
fn quiet_leaves_warnings_out_but_not_what_the_children_were() {
    let context = Context::with_policy("exec.allow = [\"echo\"]\n");
    let args = exec(&["--", "echo", ";;", "exec", "--", "cat"]);
    let stderr = |flag| {
        let output = context.output(&[&["run", flag], &args[1..]].concat());
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(
        stderr("-q"),
        "compiled: not confined (limits)\nchildren: not confined (limits): they can do what you can do\n",
        "at first"
    );
    assert_eq!(
        stderr("-q"),
        "children: not confined (limits): they can do what you can do\n",
        "with the plugin from the cache"
    );
    assert!(stderr("-v").contains("P0201") && stderr("-v").contains("in the audit trail"));
}

#[test]
fn keys_and_the_kept_head_are_where_they_were_wanted() {
    let context = Context::with_guest("noop");
    let data = context.root().join("home/data");
    let args = ["run", "--data-dir", data.to_str().unwrap(), "p.wasm"];
    assert!(context.output(&args).status.success());
    assert!(data.join("audit-digest.key").exists());
    assert!(!context.home().join(".local/share").exists());
}

#[test]
fn standard_input_is_the_plugins_only_when_it_is_passed_on() {
    use std::io::Write;
    let context = Context::with_guest("wasi-probe");
    context.write(
        "policy.toml",
        "mode = \"dev\"\nconfinement = \"limits\"\n[[plugins]]\nid = \"p\"\npath = \"p.wasm\"\nexec.allow = []\n",
    );
    let answer = |flags: &[&str]| {
        let words = [&["run", "--config", "policy.toml"], flags, &["p", "stdin"]].concat();
        let mut command = context.portcullis(&words);
        let pipe = std::process::Stdio::piped;
        let mut child = command
            .stdin(pipe())
            .stdout(pipe())
            .stderr(pipe())
            .spawn()
            .unwrap();
        // A plugin that is given nothing may be gone before this is written.
        let _ = child.stdin.take().unwrap().write_all(b"from the operator");
        child.wait_with_output().unwrap().stdout
    };
    assert_eq!(answer(&["--stdin"]), b"from the operator\n");
    assert_eq!(answer(&[]), b"");
}

#[test]
fn how_a_plugin_was_compiled_is_in_the_result_and_warned_of_when_it_is_less_than_full() {
    let confined = Context::confined("");
    confined.write("p.wasm", guest_bytes("noop"));
    let run = ["run", "--json", "--config", "policy.toml", "p"];
    assert_eq!(confined.json(&run)["plugin"]["compiled"], "full");
    assert!(
        confined.json(&run)["plugin"]["compiled"].is_null(),
        "from the cache"
    );
    let context = Context::confined("");
    context.write("p.wasm", guest_bytes("noop"));
    let weaker = [
        "run",
        "--config",
        "policy.toml",
        "--confinement",
        "namespaces",
        "p",
    ];
    shows!(context, weaker, @"
    exit 0
    -- stderr
    compiled: confined (namespaces)
    ");
}

#[test]
fn where_nothing_can_be_confined_a_plugin_is_compiled_only_as_the_operator_wrote() {
    let context = Context::confined("");
    context.write("p.wasm", guest_bytes("noop"));
    let run = |flags: &[&str]| {
        let args = [&["run", "--config", "policy.toml"], flags, &["p"]].concat();
        let output = context.without_namespaces(&args).output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, stderr) = run(&[]);
    assert_eq!(code, Some(125));
    assert!(stderr.starts_with("error[P0612]"), "{stderr}");
    let (code, stderr) = run(&["--confinement", "limits"]);
    assert_eq!(
        (code, stderr.as_str()),
        (Some(0), "compiled: not confined (limits)\n")
    );
}

#[test]
fn what_the_environment_says_of_traces_changes_nothing() {
    let told = |context: &Context| context.ended(&["run", "-A", "p.wasm"]);
    let context = Context::with_guest("trap").env("WASMTIME_BACKTRACE_DETAILS", "1");
    let (code, _, error) = told(&context);
    assert_eq!(code, 125, "{error}");
    assert!(error.contains("P0702"), "{error}");
}

#[test]
fn no_command_is_handed_out_that_grants_where_secrets_are_kept() {
    let context = Context::with_guest("exec-args");
    for (directory, is_kept) in [("plain", false), (".ssh", true)] {
        context.write(&format!("{directory}/x"), "");
        let outside = context.root().join(directory);
        std::fs::create_dir(&outside).unwrap();
        let policy = "[[plugins]]\nid = \"p\"\npath = \"p.wasm\"\nexec.allow = [\"ls\"]\n";
        context.write("policy.toml", policy);
        let cwd = format!("--cwd={}", outside.display());
        let document = context.json(&[
            "run",
            "--json",
            "--config",
            "policy.toml",
            "p",
            "exec",
            &cwd,
            "--",
            "ls",
        ]);
        let remedies = document["denials"][0]["remedies"].as_array().unwrap();
        let text = format!("{remedies:?}");
        assert_eq!(text.contains("secrets are kept there"), is_kept, "{text}");
        let commands = document["remedy"].as_array().unwrap();
        assert_eq!(commands.is_empty(), is_kept, "{commands:?}");
    }
}
