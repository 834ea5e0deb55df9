//! `audit`: what was written down, and whether it still is.

use std::fs;
use std::os::unix::net::UnixDatagram;

use crate::context::{Context, DEV, shows};

fn after_a_run() -> Context {
    let context = Context::with_policy("exec.allow = [\"echo\"]\n");
    let args = [
        "run",
        "--config",
        "policy.toml",
        "p",
        "exec",
        "--",
        "echo",
        "hi",
        ";;",
        "exec",
        "--",
        "cat",
        "ghp_0123456789abcdefghijklmnopqrstuvwxyzAB",
    ];
    assert_eq!(context.output(&args).status.code(), Some(0));
    context
}

#[test]
fn a_run_leaves_its_decisions_and_outcomes() {
    shows!(after_a_run(), ["audit", "show"], @r#"
    exit 0
    -- stdout
        1  [TIME]  a file of the trail begins
        2  [TIME]  run [RUN] of `p` begins with ["exec","--","echo","hi",";;","exec","--","cat","ghp_[masked]"]
        3  [TIME]  run [RUN] call 1: allowed exec ["echo","hi"] by rule `allow[0]` (policy.toml:6)
        4  [TIME]  run [RUN] call 1: exit code 0 after [N] µs
        5  [TIME]  run [RUN] call 2: denied [P0201] exec ["cat","ghp_[masked]"]
        6  [TIME]  run [RUN] ends with code 0 after [N] µs
    "#);
}

#[test]
fn a_call_that_used_something_up_is_a_line() {
    let context = Context::with_guest("spin");
    context.write("policy.toml", format!("{DEV}limits.fuel = 1000000\n"));
    let run = context.output(&["run", "--config", "policy.toml", "p"]);
    assert_eq!(run.status.code(), Some(125));
    let shown = context.output(&["audit", "show"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.contains("call 1: `run` of `p` was ended: resource=fuel used=1000000 limit=1000000"),
        "{shown}"
    );
    let plan = context.output(&["inspect", "--config", "policy.toml", "p"]);
    let plan = String::from_utf8(plan.stdout).unwrap();
    assert!(plan.contains(", 1000000 instructions a call"), "{plan}");
}

#[test]
fn the_tail_and_a_single_run_are_parts_of_it() {
    let context = after_a_run();
    let tail = context.json(&["audit", "tail", "-n", "2", "--json"]);
    assert_eq!(tail["records"].as_array().unwrap().len(), 2);
    let run = tail["records"][1]["event"]["run"].as_str().unwrap();
    let all = context.json(&["audit", "show", "--run", run, "--json"]);
    assert_eq!(
        all["records"].as_array().unwrap().len(),
        5,
        "all but the one that begins the file"
    );
    assert_eq!(
        context
            .output(&["audit", "show", "--run", "nosuch"])
            .status
            .code(),
        Some(1)
    );
}

#[test]
fn a_denial_is_explained_with_its_page() {
    let context = after_a_run();
    let output = context.output(&["audit", "explain", "5"]);
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(
        stdout.contains("denied [P0201]") && stdout.contains("No rule of the policy"),
        "{stdout}"
    );
    assert_eq!(
        context.output(&["audit", "explain", "99"]).status.code(),
        Some(1)
    );
}

#[test]
fn a_changed_record_and_a_cut_tail_are_found() {
    let context = after_a_run();
    let head = context.json(&["audit", "verify", "--json"])["head"]
        .as_str()
        .unwrap()
        .to_owned();
    let file = context
        .home()
        .join(".local/state/portcullis/audit/audit-000001.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen("echo", "ECHO", 1)).unwrap();
    assert_eq!(context.output(&["audit", "verify"]).status.code(), Some(1));
    let cut: String = text
        .lines()
        .take(4)
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(&file, cut).unwrap();
    assert_eq!(
        context
            .output(&["audit", "verify", "--head", &head])
            .status
            .code(),
        Some(1)
    );
    fs::write(&file, text).unwrap();
    assert_eq!(
        context
            .output(&["audit", "verify", "--head", &head])
            .status
            .code(),
        Some(0)
    );
}

#[test]
fn what_cannot_be_written_down_is_not_run() {
    let context = Context::with_policy("exec.allow = [\"touch\"]\n");
    let state = context.home().join(".local/state/portcullis");
    fs::create_dir_all(&state).unwrap();
    fs::write(state.join("audit"), "a file where the trail should be").unwrap();
    let output = context.output(&[
        "run",
        "--config",
        "policy.toml",
        "p",
        "exec",
        "--",
        "touch",
        "made",
    ]);
    assert_eq!(output.status.code(), Some(125));
    assert!(String::from_utf8(output.stderr).unwrap().contains("P0904"));
    assert!(!context.project().join("made").exists());
}

#[test]
fn without_runs_there_is_no_trail() {
    let context = Context::new();
    shows!(context, ["audit", "verify"], @"
    exit 0
    -- stdout
    there is no trail yet
    ");
    shows!(context, ["audit", "show"], @"exit 0");
}

/// Arguments with a secret in them, each with the secret.
const SECRETS: [(&[&str], &str); 9] = [
    (&["cat", "--token", "hunter2"], "hunter2"),
    (&["cat", "--password=hunter2"], "hunter2"),
    (&["sshpass", "-p", "hunter2", "ssh", "h"], "hunter2"),
    (&["curl", "-u", "me:hunter2", "https://h/"], "hunter2"),
    (&["curl", "-H", "X-Api-Key: hunter2"], "hunter2"),
    (&["cat", "https://me:hunter2@h/x"], "hunter2"),
    (&["cat", "https://h/x?access_token=hunter2&a=b"], "hunter2"),
    (
        &["cat", "ghp_0123456789abcdefghijABCDEFGHIJ012345"],
        "0123456789abc",
    ),
    (
        &[
            "cat",
            "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----",
        ],
        "hunter2",
    ),
];

#[test]
fn no_secret_of_a_denied_command_is_shown_or_written_down() {
    let context = Context::with_policy("exec.allow = [\"echo\"]\n");
    for (command, secret) in SECRETS {
        for flags in [&["-v"][..], &["--json"]] {
            let run = ["--config", "policy.toml", "p", "exec", "--"];
            let args = [&["run"], flags, &run, command].concat();
            let output = context.output(&args);
            let shown = [output.stdout, output.stderr].concat();
            let shown = String::from_utf8(shown).unwrap();
            assert!(
                shown.contains("P0201") || shown.contains("P0205"),
                "{shown}"
            );
            assert!(shown.contains("[masked]"), "{command:?}: {shown}");
            assert!(!shown.contains(secret), "{command:?}: {shown}");
        }
    }
    let trail = context.home().join(".local/state/portcullis/audit");
    for file in fs::read_dir(trail).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap_or_default();
        assert!(!text.contains("hunter2"), "{text}");
    }
    let shown = context.output(&["audit", "show"]);
    assert!(!String::from_utf8(shown.stdout).unwrap().contains("hunter2"));
}

#[test]
fn a_remedy_with_a_secret_in_it_is_none() {
    let context = Context::with_policy("exec.allow = [\"echo\"]\n");
    let args = [
        "run",
        "--config",
        "policy.toml",
        "--json",
        "p",
        "exec",
        "--",
    ];
    let commands = |command: &[&str]| {
        let document = context.json(&[&args, command].concat());
        document["remedy"].as_array().unwrap().len()
    };
    assert_eq!(commands(&["cat", "--token", "hunter2"]), 0);
    assert_eq!(commands(&["cat", "--number", "x"]), 1);
}

/// A policy that passes its trail on to a log in the project.
fn logged(how: &str) -> Context {
    let context = Context::with_guest("exec-args");
    let socket = context.project().join("log");
    let audit = format!("[audit]\nsyslog = {{ socket = {socket:?}, {how} }}\n[[plugins]]");
    let head = DEV.replace("[[plugins]]", &audit);
    context.write("policy.toml", format!("{head}exec.allow = [\"echo\"]\n"));
    context
}

const DENIED: [&str; 9] = [
    "run",
    "--config",
    "policy.toml",
    "p",
    "exec",
    "--",
    "cat",
    "--token",
    "hunter2",
];

#[test]
fn denials_and_the_head_reach_the_systems_log() {
    let context = logged("head_every = 1000");
    let log = UnixDatagram::bind(context.project().join("log")).unwrap();
    let result = context.json(&[&["run", "--json"], &DENIED[1..]].concat());
    log.set_nonblocking(true).unwrap();
    let mut buffer = [0; 65_536];
    let messages: Vec<_> = std::iter::from_fn(|| {
        let length = log.recv(&mut buffer).ok()?;
        Some(String::from_utf8(buffer[..length].to_vec()).unwrap())
    })
    .collect();
    assert_eq!(messages.len(), 2, "{messages:#?}");
    assert!(
        messages[0].contains("P0201") && messages[0].contains("[masked]"),
        "{messages:#?}"
    );
    assert!(!messages[0].contains("hunter2"), "{messages:#?}");
    let head = result["audit"]["head"].as_str().unwrap();
    let hash = head.split(':').next_back().unwrap();
    assert!(
        messages[1].contains(" head - ") && messages[1].contains(hash),
        "{messages:#?}"
    );
}

#[test]
fn a_log_that_is_not_there_is_told_and_stops_nothing_unless_it_is_required() {
    let context = logged("events = \"all\"");
    let output = context.output(&DENIED);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(126), "{stderr}");
    assert!(
        stderr.contains("audit messages could not be passed on to the log at"),
        "{stderr}"
    );
    let context = logged("events = \"all\", required = true");
    let output = context.output(&DENIED);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(125), "{stderr}");
    assert!(stderr.contains("error[P0904]"), "{stderr}");
    assert!(!stderr.contains("P0201"), "nothing was run: {stderr}");
}
