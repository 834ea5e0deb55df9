//! `audit report`: the page of a run, by what it says and in a real browser.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use portcullis_audit::{
    Connection, Decision, Ended, Event, Masked, Outcome, RunStarted, Sink as _, Timestamp, Verdict,
};

use crate::browser::Browser;
use crate::context::{Context, DEV};
use crate::report_attacks::trail;

const RUN: [&str; 18] = [
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
    "/etc/hostname",
    ";;",
    "exec",
    "--",
    "false",
    ";;",
];

fn after_a_run() -> Context {
    let context = Context::with_policy("exec.allow = [\"echo\", \"false\"]\n");
    let args = &RUN[..RUN.len() - 1];
    assert_eq!(context.output(args).status.code(), Some(0));
    context
}

fn page(context: &Context, args: &[&str]) -> String {
    let command = [&["audit", "report", "--html", "report.html"], args].concat();
    let (code, stdout, stderr) = context.ended(&command);
    assert_eq!(code, 0, "{stdout}{stderr}");
    fs::read_to_string(context.project().join("report.html")).unwrap()
}

#[test]
fn a_page_has_the_run_its_decisions_and_what_would_allow_more() {
    let context = after_a_run();
    let page = page(&context, &["--config", "policy.toml"]);
    for said in [
        "ended with code 0",
        "✓ The trail is intact: 8 records in 1 file.",
        "<b>3</b><span class=\"soft\">calls</span>",
        "<code>echo hi</code>",
        "<small>allow[0] · policy.toml:6</small>",
        "<span class=\"pill denied\">P0201</span> exec <code>cat /etc/hostname</code>",
        "<span class=\"pill failed\">exit code 1</span>",
    ] {
        assert!(page.contains(said), "{said}");
    }
    let command = page
        .split("<pre>")
        .nth(1)
        .unwrap()
        .split("</pre>")
        .next()
        .unwrap();
    let command = command.replace("&quot;", "\"").replace("&amp;", "&");
    let mut shell = context.command("sh");
    let program = env!("CARGO_BIN_EXE_portcullis");
    let granted = shell
        .args(["-c", &command.replacen("portcullis", program, 1)])
        .status();
    assert!(granted.unwrap().success(), "{command}");
    let again = context.output(&[
        "explain",
        "--config",
        "policy.toml",
        "p",
        "exec",
        "cat",
        "/etc/hostname",
    ]);
    assert_eq!(
        again.status.code(),
        Some(0),
        "the command allows what was denied"
    );
}

#[test]
fn a_command_is_proposed_for_what_is_known_whole_and_for_nothing_else() {
    let context = Context::with_policy("exec.allow = [\"echo\"]\n");
    let long = "x".repeat(300);
    let run = [
        "run",
        "--config",
        "policy.toml",
        "p",
        "exec",
        "--",
        "cat",
        &long,
    ];
    assert_eq!(context.output(&run).status.code(), Some(126));
    let cut = page(&context, &["--config", "policy.toml"]);
    assert!(cut.contains("what is written down of it is not all of it"));
    assert!(!cut.contains("<pre>"));

    let context = Context::with_guest("files");
    context.write("data.txt", "x");
    context.write("policy.toml", format!("{DEV}fs.read = [\"data.txt\"]\n"));
    let run = [
        "run",
        "--config",
        "policy.toml",
        "p",
        "write\u{1f}data.txt\u{1f}y",
    ];
    context.output(&run);
    let page = page(&context, &["--config", "policy.toml"]);
    let command = "<pre>portcullis grant --config policy.toml p write data.txt</pre>";
    assert!(page.contains(command));
}

#[test]
fn a_host_that_a_command_was_refused_is_among_what_was_denied() {
    let context = Context::with_policy("exec.allow = [\"curl\"]\n");
    let trail = trail(&context);
    let run = "0123456789ab".to_owned();
    let write = |event: Event| trail.append(Timestamp::UNIX_EPOCH, &event).unwrap();
    write(Event::RunStarted(RunStarted {
        run: run.clone(),
        plugin: "p".to_owned(),
        plugin_digest: "0".to_owned(),
        policy_files: Vec::new(),
        args: Masked::default(),
    }));
    write(Event::Decision(decision(&run, 1, true)));
    let refused = |host: &str, rule: Option<&str>, why: &str| Connection {
        host: Masked::new(host),
        port: 443,
        address: None,
        rule: rule.map(str::to_owned),
        allowed: false,
        why: Masked::new(&format!("connect to `{host}:443` was refused: {why}")),
        count: 2,
        bytes_up: 0,
        bytes_down: 0,
    };
    write(Event::Outcome(Outcome {
        run,
        call: 1,
        ended: Ended::Exited(6),
        duration_us: 5,
        stdout_bytes: 0,
        stderr_bytes: 0,
        stdout_digest: None,
        stderr_digest: None,
        env_dropped: Vec::new(),
        stragglers_killed: 0,
        confinement: "full".to_owned(),
        connections: vec![
            refused("one.example", None, "no rule is about it"),
            refused(
                "two.example",
                Some("two.example:443"),
                "its address is a private one",
            ),
        ],
        trees: Vec::new(),
    }));
    let page = page(&context, &["--config", "policy.toml"]);
    assert!(page.contains("<code>one.example:443</code> <small>twice, first in call 1</small>"));
    assert!(
        page.contains("<pre>portcullis grant --config policy.toml p net one.example:443</pre>")
    );
    assert!(page.contains("<code>two.example:443</code> <small>twice, first in call 1</small>"));
    assert_eq!(
        page.matches("<pre>").count(),
        1,
        "no grant of a name unlocks an address"
    );
}

#[test]
fn a_page_is_made_for_its_owner_and_replaces_nothing_unasked() {
    let context = after_a_run();
    let file = context.project().join("report.html");
    let made = ["audit", "report", "--html", "report.html"];
    assert_eq!(context.output(&made).status.code(), Some(0));
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    fs::write(&file, "something of mine").unwrap();
    let (code, _, stderr) = context.ended(&made);
    assert_eq!(code, 2);
    assert!(
        stderr.contains("P0903") && stderr.contains("--force"),
        "{stderr}"
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), "something of mine");
    let said = context.json(&[&made[..], &["--force", "--json"]].concat());
    assert_eq!((&said["calls"], &said["intact"]), (&3.into(), &true.into()));
    assert!(
        fs::read_to_string(&file)
            .unwrap()
            .starts_with("<!DOCTYPE html>")
    );
    // A link is a name that is taken, wherever it leads.
    fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("/nowhere/at/all", &file).unwrap();
    assert_eq!(context.output(&made).status.code(), Some(2));
    let names = fs::read_dir(context.project()).unwrap().count();
    assert_eq!(names, 3, "nothing is left of what was not made");
}

#[test]
fn the_last_run_or_the_one_that_is_named() {
    let context = after_a_run();
    let first = context.json(&["audit", "report", "--html", "1.html", "--json"]);
    let other = [
        "run",
        "--config",
        "policy.toml",
        "p",
        "exec",
        "--",
        "echo",
        "other",
    ];
    assert_eq!(context.output(&other).status.code(), Some(0));
    let last = page(&context, &[]);
    assert!(last.contains("echo other") && !last.contains("echo hi"));
    let run = first["run"].as_str().unwrap();
    let named = page(&context, &["--run", run, "--force"]);
    assert!(named.contains("echo hi") && !named.contains("echo other"));
    let missing = ["audit", "report", "--html", "2.html", "--run", "nosuch"];
    assert_eq!(context.output(&missing).status.code(), Some(1));
    assert_eq!(Context::new().output(&missing).status.code(), Some(1));
}

#[test]
fn a_trail_that_was_changed_is_told_on_the_page() {
    let context = after_a_run();
    let trail = context
        .home()
        .join(".local/state/portcullis/audit/audit-000001.jsonl");
    let text = fs::read_to_string(&trail).unwrap();
    fs::write(&trail, text.replacen("echo", "ECHO", 1)).unwrap();
    let made = ["audit", "report", "--html", "report.html"];
    assert_eq!(context.output(&made).status.code(), Some(1));
    let page = fs::read_to_string(context.project().join("report.html")).unwrap();
    assert!(page.contains("✗ The trail is not intact"), "{page}");
    fs::write(&trail, text).unwrap();
    let wrong = format!("3:{}", "0".repeat(64));
    let given = [&made[..], &["--force", "--head", &wrong]].concat();
    assert_eq!(context.output(&given).status.code(), Some(1));
    let good = context.json(&["audit", "verify", "--json"]);
    let given = [
        &made[..],
        &["--force", "--head", good["head"].as_str().unwrap()],
    ]
    .concat();
    assert_eq!(context.output(&given).status.code(), Some(0));
}

#[test]
fn a_browser_shows_it_without_asking_anybody_and_filters_it() {
    let context = after_a_run();
    page(&context, &["--config", "policy.toml"]);
    let Some(mut browser) = Browser::start(&context) else {
        return;
    };
    let blank = browser.picture("light", 1200, 900);
    let file = context.project().join("report.html");
    // What can be chosen works without the script.
    browser.call(
        "Emulation.setScriptExecutionDisabled",
        serde_json::json!({ "value": true }),
    );
    browser.open(&file);
    assert_eq!(browser.requests(), [format!("file://{}", file.display())]);
    assert_eq!(browser.complaints(), Vec::<&serde_json::Value>::new());
    assert_eq!(browser.seen("tr.c"), 3);
    assert_eq!(
        browser.seen("#find"),
        0,
        "without the script there is no text search"
    );
    for (choice, left) in [("denied", 1), ("failed", 1), ("allowed", 2)] {
        browser.value(&format!("document.getElementById('m-{choice}').click()"));
        assert_eq!(browser.seen("tr.c"), left, "{choice}");
        assert_eq!(browser.seen(&format!("tr.c.{choice}")), left, "{choice}");
    }
    // Every part has a picture of its own: nothing is blank, and dark is not light.
    let light = browser.picture("light", 1200, 900);
    let dark = browser.picture("dark", 1200, 900);
    let narrow = browser.picture("light", 390, 844);
    for picture in [&light, &dark, &narrow] {
        assert!(
            picture.len() > 5 * blank.len(),
            "{} {}",
            picture.len(),
            blank.len()
        );
    }
    assert_ne!(light, dark);
    let wide = "document.documentElement.scrollWidth <= document.documentElement.clientWidth";
    assert_eq!(browser.value(wide), true, "a narrow screen is wide enough");

    browser.call(
        "Emulation.setScriptExecutionDisabled",
        serde_json::json!({ "value": false }),
    );
    browser.open(&file);
    assert_eq!(browser.complaints(), Vec::<&serde_json::Value>::new());
    assert_eq!(browser.seen("#find"), 1);
    let search = "const text = document.getElementById('text'); text.value = 'HOSTNAME'; text.dispatchEvent(new Event('input'))";
    browser.value(search);
    browser.until("document.getElementById('found').textContent === '1 found'");
    assert_eq!(browser.seen("tr.c"), 1);
    assert_eq!(browser.seen("tr.c.denied"), 1);
}

/// A run of ten thousand calls by a plugin, of which some are denied.
fn after_ten_thousand() -> Context {
    let context = Context::with_guest("files");
    context.write("data.txt", "twelve bytes");
    context.write("policy.toml", format!("{DEV}fs.read = [\"data.txt\"]\n"));
    let acts = [
        "again\u{1f}7000\u{1f}read\u{1f}data.txt",
        "again\u{1f}5\u{1f}read\u{1f}/etc/passwd",
        "again\u{1f}2990\u{1f}stat\u{1f}data.txt",
        "again\u{1f}5\u{1f}read\u{1f}/etc/shadow",
    ];
    let run = [&["run", "--config", "policy.toml", "p"], &acts[..]].concat();
    let (code, stdout, stderr) = context.ended(&run);
    assert_eq!(code, 0, "{stdout}{stderr}");
    context
}

#[test]
fn ten_thousand_calls_are_a_page_that_is_whole_and_found_through() {
    let context = after_ten_thousand();
    let said = context.json(&["audit", "report", "--html", "report.html", "--json"]);
    assert_eq!(
        (&said["calls"], &said["rows"]),
        (&10_000.into(), &10_000.into())
    );
    assert!(said["bytes"].as_u64().unwrap() < 12 << 20, "{said}");
    let Some(mut browser) = Browser::start(&context) else {
        return;
    };
    browser.open(&context.project().join("report.html"));
    assert_eq!(
        browser.value("document.querySelectorAll('tr.c').length"),
        10_000
    );
    assert_eq!(browser.seen("tr.c"), 0, "groups are closed");
    browser.value("document.getElementById('m-denied').click()");
    assert_eq!(
        browser.seen("tr.c"),
        10,
        "and what was chosen is seen all the same"
    );
}

#[test]
fn a_page_of_more_calls_than_it_has_room_for_counts_what_it_does_not_show() {
    let context = Context::new();
    let trail = trail(&context);
    let run = "0123456789ab".to_owned();
    let write = |event: Event| trail.append(Timestamp::UNIX_EPOCH, &event).unwrap();
    write(Event::RunStarted(RunStarted {
        run: run.clone(),
        plugin: "p".to_owned(),
        plugin_digest: "0".to_owned(),
        policy_files: Vec::new(),
        args: Masked::default(),
    }));
    for call in 1..=22_000 {
        // After so many that were allowed, each is denied something else.
        let is_allowed = call <= 16_000;
        write(Event::Decision(decision(&run, call, is_allowed)));
    }
    let made = ["audit", "report", "--html", "report.html", "--json"];
    let said = context.json(&made);
    assert_eq!(
        (&said["calls"], &said["denied"]),
        (&22_000.into(), &6_000.into())
    );
    assert_eq!(
        said["rows"], 20_000,
        "15,000 of any kind, then what was denied"
    );
    let page = fs::read_to_string(context.project().join("report.html")).unwrap();
    for part in [
        "<b>2,000 calls are not shown</b>",
        "And 5,744 denials of other things",
        "<b>22,000</b>",
        "file-15000<",
        "file-16001<",
        "file-21000<",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("file-15001<") && !page.contains("file-21001<"));
}

/// A decision about a file of its own.
fn decision(run: &str, call: u64, is_allowed: bool) -> Decision {
    Decision {
        run: run.to_owned(),
        call,
        plugin: "p".to_owned(),
        capability: "fs".to_owned(),
        function: Some("read".to_owned()),
        object: Masked::new(&format!("file-{call}")),
        request_id: None,
        verdict: if is_allowed {
            Verdict::Allow
        } else {
            Verdict::Deny
        },
        rule: None,
        code: (!is_allowed).then(|| "P0301".to_owned()),
        reason: None,
        effect: None,
    }
}
