//! What is said of a plugin's commands before they run: what they can reach, and rules that say less or more than meant.

use crate::context::{AUTHORITY, Context, shows};

const POLICY: &str = r#"
fs = { read = ["${project}"], write = ["out"] }
net = ["a.example.org:443"]
[plugins.exec]
write_exec = ["target"]
unprotect = [".envrc"]
allow = [
  "df",
  { id = "git-read", program = "git", sub = ["log"], write = [], net = "none", exec = [], memory = "1GiB" },
  { id = "free", program = "id", confinement = "limits" },
]
"#;

#[test]
fn a_dry_run_says_what_commands_can_reach() {
    let context = Context::confined(POLICY);
    shows!(context, ["run", "--dry-run", "--config", "policy.toml", "p"], @"
    exit 0
    -- stdout
    plugin `p` from `[DIR]/project/p.wasm`
    policy `policy.toml` (named with `--config`)
    may run `df` with any arguments (rule `allow[0]`, policy.toml:11)
    may run `git` `log`, with the arguments of the rule (rule `git-read`, policy.toml:12)
    may run `id` with any arguments (rule `free`, policy.toml:13)
    may read `[DIR]/project` as `.` (policy.toml:5)
    may read and write `[DIR]/project/out` as `out` (policy.toml:5)
    may read no environment variable
    limits: [N] ms a call, [N] ms and [N] bytes a stream for a command, 8 commands at once, 600 a minute, [N] bytes of memory
    mode production, confinement full
    children: confined (full)
      read     [DIR]/project
      write    [DIR]/project/out
      execute  what was written in [DIR]/project/out/target
      network  a.example.org:443
      programs any of the system
      protect  41 names that others execute, but not .envrc
    children by rule `git-read`: confined (full)
      read     [DIR]/project
      write    none
      network  none
      programs none but itself
      memory   [N] bytes
    children by rule `free`: not confined (limits): they can do what you can do
    ");
}

#[test]
fn an_inspection_says_the_same() {
    let context = Context::confined(POLICY);
    let told = |args: &[&str]| {
        let output = context.output(args);
        let stdout = String::from_utf8(output.stdout).unwrap();
        let lines = stdout.lines().map(str::trim_start);
        lines
            .skip_while(|line| !line.starts_with("children"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let planned = told(&["run", "--dry-run", "--config", "policy.toml", "p"]);
    assert_eq!(planned, told(&["inspect", "--config", "policy.toml", "p"]));
    assert!(planned.len() > 10, "{planned:#?}");
    let data = |args: &[&str]| context.json(args)["children"].clone();
    let planned = data(&["run", "--dry-run", "--json", "--config", "policy.toml", "p"]);
    assert_eq!(
        planned,
        data(&["inspect", "--json", "--config", "policy.toml", "p"])
    );
    let project = context.project();
    assert_eq!(planned["confinement"], "full");
    assert_eq!(planned["rights"]["read"][0], project.to_str().unwrap());
    assert_eq!(
        planned["rights"]["write_exec"][0],
        project.join("out/target").to_str().unwrap()
    );
    assert_eq!(planned["rights"]["net"]["hosts"][0], "a.example.org:443");
    assert_eq!(planned["rules"][0]["rule"], "git-read");
    assert_eq!(planned["rules"][0]["children"]["rights"]["net"], "none");
    assert_eq!(
        planned["rules"][1]["children"]["rights"],
        serde_json::Value::Null
    );
}

#[test]
fn a_decision_says_what_this_command_can_reach() {
    let context = Context::confined(POLICY);
    let explain = |rest: &[&str]| {
        let args: Vec<_> = ["explain", "--config", "policy.toml"]
            .iter()
            .chain(rest)
            .copied()
            .collect();
        let output = context.output(&args);
        context.plain(&String::from_utf8(output.stdout).unwrap())
    };
    let git = explain(&["p", "exec", "git", "log"]);
    let told = git.split_once("  children").unwrap().1;
    assert_eq!(
        told,
        ": confined (full)\n    read     [DIR]/project\n    write    none\n    network  none\n    \
         programs none but itself\n    memory   1073741824 bytes\n"
    );
    assert!(
        explain(&["p", "exec", "id"])
            .ends_with("  children: not confined (limits): they can do what you can do\n")
    );
    let document = context.json(&[
        "explain",
        "--json",
        "--config",
        "policy.toml",
        "p",
        "exec",
        "git",
        "log",
    ]);
    assert_eq!(document["schema_version"], 1);
    assert_eq!(document["children"]["confinement"], "full");
    assert_eq!(
        document["children"]["rights"]["exec"],
        serde_json::json!([])
    );
    assert_eq!(
        document["children"]["rights"]["write"],
        serde_json::json!([])
    );
    assert_eq!(document["not_in_force"], serde_json::json!([]));
}

#[test]
fn keys_that_a_weaker_confinement_does_not_enforce_are_named() {
    let context = Context::confined(POLICY);
    let not_in_force = |tier: &str| {
        let args = [
            "explain",
            "--json",
            "--confinement",
            tier,
            "--config",
            "policy.toml",
            "p",
            "exec",
            "git",
            "log",
        ];
        context.json(&args)["not_in_force"].clone()
    };
    assert_eq!(not_in_force("namespaces"), serde_json::json!(["exec"]));
    assert_eq!(not_in_force("landlock"), serde_json::json!([]));
    assert_eq!(
        not_in_force("limits"),
        serde_json::json!(["exec", "memory", "net", "write"])
    );
}

#[test]
fn flags_widen_what_commands_reach() {
    let context = Context::confined("exec.allow = [\"df\"]\n");
    let args = [
        "explain",
        "--json",
        "--config",
        "policy.toml",
        "--allow-read=policy.toml",
        "--allow-write=out",
        "--allow-net=a.example.org:443,b.example.org:22",
        "p",
        "exec",
        "df",
    ];
    let rights = context.json(&args)["children"]["rights"].clone();
    let path = |name: &str| context.project().join(name).display().to_string();
    assert_eq!(
        rights["read"],
        serde_json::json!([path("out"), path("policy.toml")])
    );
    assert_eq!(rights["write"], serde_json::json!([path("out")]));
    assert_eq!(
        rights["net"]["hosts"],
        serde_json::json!(["a.example.org:443", "b.example.org:22"])
    );
    let open = [
        "explain",
        "--json",
        "--config",
        "policy.toml",
        "--allow-net=open",
        "p",
        "exec",
        "df",
    ];
    assert_eq!(context.json(&open)["children"]["rights"]["net"], "open");
}

#[test]
fn hosts_and_files_are_granted_and_taken_back() {
    let context = Context::with_guest("exec-args");
    context.write("notes.txt", "");
    shows!(context, ["grant", "p.wasm", "net", "a.example.org:443"], @"
    exit 0
    -- stdout
    granted to plugin `p`: reach `a.example.org:443` with its commands ([DIR]/home/.config/portcullis/portcullis.toml)
    ");
    shows!(context, ["grant", "p", "read", "notes.txt"], @"
    exit 0
    -- stdout
    granted to plugin `p`: read `[DIR]/project/notes.txt` ([DIR]/home/.config/portcullis/portcullis.toml:5)
    ");
    shows!(context, ["grant", "p", "net", "example.org"], @"
    exit 1
    -- stderr
    error[P0913]: the policy was not changed
      note: `example.org` is not `host:port`: the port is missing
    ");
    shows!(context, ["revoke", "p", "net", "a.example.org:443"], @"
    exit 0
    -- stdout
    revoked from plugin `p`: reach `a.example.org:443` with its commands ([DIR]/home/.config/portcullis/portcullis.toml)
    ");
    shows!(context, ["grant", "p", "read", "gone"], @"
    exit 2
    -- stderr
    error[P0104]: `[DIR]/project/gone` cannot be opened: no such file or directory
      note: at [DIR]/home/.config/portcullis/portcullis.toml:5:53
    ");
}

#[test]
fn rules_that_say_less_or_more_than_meant_are_warned_of() {
    let context = Context::confined(
        r#"
fs = { read = ["out"], write = ["out/target"] }
net = "open"
[plugins.exec]
system = ["out"]
pass_env = ["GH_TOKEN"]
allow = [
  "bash",
  { program = "df", read = ["p.wasm"] },
  { program = "id", confinement = "limits" },
]
"#,
    );
    shows!(context, ["check", "policy.toml"], @r#"
    exit 0
    -- stdout
    checked `policy.toml` (named with `--config`)
    1 policy file, 1 plugin, 0 tests, 6 warnings
    -- stderr
    warning[P0911]: plugin `p` may run `bash` with any arguments
      note: `bash` is a shell, so this rule allows all that it can reach: read [DIR]/project/out; write [DIR]/project/out/target; network open: all that you can reach; programs any of the system
      note: rule `allow[0]` (policy.toml:11)
      help: say which arguments it needs with `sub`, `flags` or `args`, or narrow what it reaches with `read`, `write`, `net` or `exec`
    warning[P0914]: `read` of a rule of plugin `p` names `[DIR]/project/p.wasm`, which the plugin was not granted
      note: a rule only takes away, so this path gives nothing
      note: rule `allow[1]` (policy.toml:12)
      help: grant it with `fs.read`, or take it out of the rule
    warning[P0914]: a rule of plugin `p` narrows `read` and leaves `[DIR]/project/out/target` to be written, and so to be read
      note: rule `allow[1]` (policy.toml:12)
      help: narrow `write` as well; `write = []` leaves nothing to be written
    warning[P0915]: `id` is not confined when plugin `p` runs it
      note: rule `allow[2]` (policy.toml:13)
      note: `confinement = "limits"`: it can do what you can do
    warning[P0916]: commands of plugin `p` are given `GH_TOKEN` and reach the whole network
      note: granted by policy.toml:7
      help: name the hosts that they need: `net = ["host:port"]`, for the plugin or the rule
    warning[P0917]: plugin `p` may write `[DIR]/project/out/target`, and what is in `[DIR]/project/out` is executed
      note: granted by policy.toml:5
      help: grant a directory to write that holds no programs
    "#);
}

#[test]
fn what_was_in_force_is_told_for_each_tier() {
    let context = Context::confined(
        "[plugins.exec]\nallow = [\"echo\", \"true\", { program = \"id\", confinement = \"limits\" }]\n",
    );
    let run = |commands: &[&str]| {
        let head = ["run", "--config", "policy.toml", "p", "exec", "--"];
        let output = context.output(&[&head, commands].concat());
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(run(&["echo"]), "children: confined (full)\n");
    assert_eq!(
        run(&["echo", ";;", "exec", "--", "id", ";;", "exec", "--", "true"]),
        "children: confined (full): `/usr/bin/echo`, `/usr/bin/true`\n\
         children: not confined (limits): they can do what you can do: `/usr/bin/id`\n"
    );
    let args = [
        "run",
        "--json",
        "--config",
        "policy.toml",
        "p",
        "exec",
        "--",
        "echo",
        ";;",
        "exec",
        "--",
        "id",
    ];
    let children = context.json(&args)["children"].clone();
    assert_eq!(
        children["confinement"],
        serde_json::json!(["full", "limits"])
    );
    let commands = &children["commands"];
    assert_eq!(commands[0]["confinement"], "full");
    assert_eq!(commands[0]["missing"], serde_json::json!([]));
    assert_eq!(commands[1]["confinement"], "limits");
    let missing = commands[1]["missing"].as_array().unwrap();
    assert!(
        missing.contains(&"Landlock".into()) && missing.contains(&"seccomp".into()),
        "{missing:?}"
    );
    assert!(
        !missing.contains(&"own pid namespace".into()),
        "{missing:?}"
    );
}

#[test]
fn caches_and_certificates_are_told() {
    let rest = r#"
net = ["a.example.org:443"]
[plugins.exec]
cache = "1GiB"
allow = ["df", { id = "plain", program = "id", cache = false, net = "none" }]
"#;
    let context = Context::confined(rest);
    context.write("out/ca.pem", AUTHORITY);
    context.write("own.toml", "network.ca_file = \"out/ca.pem\"\n");
    let config = ["--config", "policy.toml", "--config", "own.toml"];
    let args = |verb: &[&'static str], rest: &[&'static str]| [verb, &config, rest].concat();
    let plan = context.output(&args(&["run", "--dry-run"], &["p"]));
    let plan = context.plain(&String::from_utf8(plan.stdout).unwrap());
    let (all, plain) = plan.split_once("children by rule `plain`").unwrap();
    let told = [
        "  trust    the certificates of [DIR]/project/out/ca.pem, in place of the system's",
        "kept for commands of the same rule, rights and variables: XDG_CACHE_HOME, NPM_CONFIG_CACHE, CARGO_HOME, GOMODCACHE",
    ];
    for line in told {
        assert!(
            all.contains(line) && !plain.contains(line),
            "{line}: {plan}"
        );
    }
    let explain = |program: &'static str| {
        context.json(&args(&["explain", "--json"], &["p", "exec", program]))
    };
    let (df, id) = (explain("df"), explain("id"));
    assert_eq!(df["children"]["rights"]["cache"], 1 << 30);
    assert_eq!(id["children"]["rights"]["cache"], serde_json::Value::Null);
    let ca_file = context.project().join("out/ca.pem");
    assert_eq!(df["children"]["ca_file"], ca_file.to_str().unwrap());
    // Whoever may write it would say whom commands trust.
    let run = args(&["run", "--allow-write=out"], &["p", "exec", "--", "df"]);
    let output = context.output(&run);
    let stderr = context.plain(&String::from_utf8(output.stderr).unwrap());
    assert!(
        stderr.contains("P0607") && stderr.contains("[DIR]/project/out/ca.pem"),
        "{stderr}"
    );
    assert_eq!(output.status.code(), Some(125), "{stderr}");
}
