//! What this host answers: questions, requests by message, commands without a shell, and facts of the project.

use std::pin::Pin;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis::policy::{Grants, MetadataKey};
use portcullis::{Prompt, PromptKind, Prompter, Reply};
use serde_json::{Value, json};

use super::stage::{Stage, give_facts, give_store, opted_in, with};
use crate::fixture::exec_grant;

portcullis_testkit::tests![
    a_question_is_answered_in_the_form_it_was_asked,
    where_nobody_is_asked_the_default_is_answered,
    a_question_without_answer_or_default_is_null_and_told,
    an_answer_that_does_not_fit_is_asked_for_again_and_a_given_one_is_not,
    no_time_passes_while_a_question_is_open,
    every_question_stands_in_the_trail_without_its_answer,
    requests_by_message_are_answered_with_their_id,
    requests_by_message_that_were_not_granted_are_answered_as_fledge_does,
    without_a_shell_a_line_is_an_argument_vector,
    what_needs_a_shell_is_not_run,
    a_shell_that_is_denied_is_none,
    a_command_that_no_rule_allows_is_126,
    the_store_of_the_capability_test,
    the_facts_of_the_capability_test,
    eighty_frames_come_one_after_the_other,
];

/// Answers from a list.
#[derive(Debug, Default)]
struct Script {
    replies: Mutex<Vec<Reply>>,
    asked: Arc<Mutex<Vec<String>>>,
    slow: Duration,
}

impl Script {
    fn of(replies: &[Reply]) -> Self {
        Self {
            replies: Mutex::new(replies.iter().rev().cloned().collect()),
            ..Self::default()
        }
    }
}

impl Prompter for Script {
    fn ask<'a>(&'a self, prompt: Prompt<'a>) -> Pin<Box<dyn Future<Output = Reply> + Send + 'a>> {
        let kind = match prompt.kind {
            PromptKind::Text => "text",
            PromptKind::Confirm => "confirm",
            PromptKind::One => "one",
            PromptKind::Some => "some",
        };
        let options = prompt.options.join("|");
        let wrong = prompt.wrong.unwrap_or_default();
        let asked = format!(
            "{} {kind} {} [{options}] {:?} {wrong}",
            prompt.id, prompt.message, prompt.default
        );
        self.asked.lock().unwrap().push(asked);
        let reply = self.replies.lock().unwrap().pop();
        Box::pin(async move {
            tokio::time::sleep(self.slow).await;
            reply.unwrap_or_else(|| Reply::Nobody("nobody is there".to_owned()))
        })
    }
}

fn typed(line: &str) -> Reply {
    Reply::Typed(line.to_owned())
}

/// The answers to messages: each `recv`, without what the guest says about it.
fn answers(stdout: &str) -> Vec<Value> {
    let lines = stdout
        .lines()
        .map(|line| line.strip_prefix("recv ").unwrap());
    let texts = lines.map(|line| serde_json::from_str::<String>(line).unwrap());
    texts
        .map(|text| serde_json::from_str(&text).unwrap_or_default())
        .collect()
}

fn response(id: &str, value: Value) -> Value {
    json!({"type": "response", "id": id, "value": value})
}

const QUESTIONS: [&str; 4] = [
    r#"{"type":"prompt","id":"p","message":"name","default":"d"}"#,
    r#"{"type":"confirm","id":"c","message":"sure","default":true}"#,
    r#"{"type":"select","id":"s","message":"which","options":["a","b"],"default":1}"#,
    r#"{"type":"multi_select","id":"m","message":"some","options":["a","b","c"],"defaults":[0,2]}"#,
];

fn send(stage: &Stage, grants: Grants, messages: &[&str]) -> Option<super::stage::Ran> {
    stage.probe(grants, &[&["send"], messages].concat())
}

fn a_question_is_answered_in_the_form_it_was_asked() {
    let script = Script::of(&[typed("me"), typed("n"), typed("1"), typed("b, 3")]);
    let asked = Arc::clone(&script.asked);
    let stage = Stage::asking(script);
    let Some(ran) = send(&stage, with(opted_in), &QUESTIONS) else {
        return;
    };
    let expected = [
        response("p", json!("me")),
        response("c", json!(false)),
        response("s", json!("a")),
        response("m", json!(["b", "c"])),
    ];
    assert_eq!(answers(&ran.stdout), expected);
    let asked = asked.lock().unwrap();
    assert_eq!(
        *asked,
        [
            "p text name [] Some(\"d\") ",
            "c confirm sure [] Some(\"yes\") ",
            "s one which [a|b] Some(\"b\") ",
            "m some some [a|b|c] Some(\"a, c\") ",
        ]
    );
}

fn where_nobody_is_asked_the_default_is_answered() {
    let expected = [
        response("p", json!("d")),
        response("c", json!(true)),
        response("s", json!("b")),
        response("m", json!(["a", "c"])),
    ];
    for stage in [Stage::new(), Stage::asking(Script::default())] {
        let Some(ran) = send(&stage, with(opted_in), &QUESTIONS) else {
            return;
        };
        assert_eq!(answers(&ran.stdout), expected);
        assert!(ran.activity.failures.is_empty());
    }
}

fn a_question_without_answer_or_default_is_null_and_told() {
    let question = r#"{"type":"prompt","id":"q","message":"m"}"#;
    let Some(ran) = send(&Stage::new(), with(opted_in), &[question]) else {
        return;
    };
    assert_eq!(answers(&ran.stdout), [response("q", Value::Null)]);
    let told = &ran.activity.failures[0];
    assert!(told.contains("`--answer q=…`"), "{told}");
}

fn an_answer_that_does_not_fit_is_asked_for_again_and_a_given_one_is_not() {
    let question = r#"{"type":"prompt","id":"q","message":"m","validate":"integer"}"#;
    let script = Script::of(&[typed("x"), typed("7")]);
    let asked = Arc::clone(&script.asked);
    let Some(ran) = send(&Stage::asking(script), with(opted_in), &[question]) else {
        return;
    };
    assert_eq!(answers(&ran.stdout), [response("q", json!("7"))]);
    assert!(asked.lock().unwrap()[1].ends_with("it has to be a whole number"));
    let given = Script::of(&[Reply::Given("x".to_owned()), typed("7")]);
    let ran = send(&Stage::asking(given), with(opted_in), &[question]).unwrap();
    assert_eq!(answers(&ran.stdout), [response("q", Value::Null)]);
    let never = Script::of(&[typed("x"), typed("y"), typed("z"), typed("7")]);
    let ran = send(&Stage::asking(never), with(opted_in), &[question]).unwrap();
    assert_eq!(answers(&ran.stdout), [response("q", Value::Null)]);
}

fn no_time_passes_while_a_question_is_open() {
    let script = Script {
        slow: Duration::from_millis(1500),
        ..Script::of(&[typed("me")])
    };
    let grants = with(|grants| {
        opted_in(grants);
        grants.limits.call = Duration::from_secs(1);
    });
    let Some(ran) = send(&Stage::asking(script), grants, &QUESTIONS[..1]) else {
        return;
    };
    assert_eq!(answers(&ran.stdout), [response("p", json!("me"))]);
}

fn every_question_stands_in_the_trail_without_its_answer() {
    let stage = Stage::asking(Script::of(&[typed("hunter2")]));
    let Some(_) = send(&stage, with(opted_in), &QUESTIONS[..1]) else {
        return;
    };
    let events = format!("{:?}", stage.trail.events());
    assert!(
        events.contains("\"prompt\"") && events.contains("\"ask\""),
        "{events}"
    );
    assert!(!events.contains("hunter2"), "{events}");
}

const REQUESTS: [&str; 4] = [
    r#"{"type":"load","id":"l","key":"k"}"#,
    r#"{"type":"load","id":"n","key":"none"}"#,
    r#"{"type":"exec","id":"e","command":"echo hi"}"#,
    r#"{"type":"metadata","id":"f","keys":["env","more"]}"#,
];

fn requests_by_message_are_answered_with_their_id() {
    let grants = with(|grants| {
        opted_in(grants);
        give_store(grants);
        give_facts(grants);
        grants.exec = Some(exec_grant(&["echo"]));
    });
    let store = r#"{"type":"store","key":"k","value":"v"}"#;
    let messages = [&[store], &REQUESTS[..]].concat();
    let Some(ran) = send(&Stage::new(), grants, &messages) else {
        return;
    };
    let expected = [
        response("l", json!("v")),
        response("n", Value::Null),
        response("e", json!({"code": 0, "stderr": "", "stdout": "hi\n"})),
        response("f", json!({"env": {}, "more": null})),
    ];
    assert_eq!(answers(&ran.stdout)[1..], expected);
}

fn requests_by_message_that_were_not_granted_are_answered_as_fledge_does() {
    let Some(ran) = send(&Stage::new(), with(opted_in), &REQUESTS) else {
        return;
    };
    let denied = json!({"code": 126, "stderr": "exec capability not granted", "stdout": ""});
    let expected = [
        response("l", Value::Null),
        response("n", Value::Null),
        response("e", denied),
        response("f", json!({})),
    ];
    assert_eq!(answers(&ran.stdout), expected);
}

/// What a line comes to by message.
fn line(grants: Grants, command: &str) -> Option<(Value, super::stage::Ran)> {
    let message = json!({"type": "exec", "id": "e", "command": command}).to_string();
    let ran = send(&Stage::new(), grants, &[&message])?;
    let answer = answers(&ran.stdout)[0]["value"].clone();
    Some((answer, ran))
}

fn programs(names: &[&str]) -> Grants {
    with(|grants| {
        opted_in(grants);
        grants.exec = Some(exec_grant(names));
    })
}

fn without_a_shell_a_line_is_an_argument_vector() {
    let Some((answer, ran)) = line(programs(&["echo"]), "echo 'a  b' \"$\"x \\$HOME '$(id)'")
    else {
        return;
    };
    // A dollar in double quotes is for a shell.
    assert_eq!(answer["code"], 126);
    assert_eq!(ran.activity.commands.len(), 0);
    let (answer, ran) = line(programs(&["echo"]), "echo 'a  b' \\$HOME '$(id)'").unwrap();
    assert_eq!(answer["stdout"], "a  b $HOME $(id)\n");
    assert!(ran.activity.commands[0].program.ends_with("/echo"));
}

fn what_needs_a_shell_is_not_run() {
    for command in [
        "echo a; id",
        "echo $HOME",
        "echo *",
        "id > f",
        "A=1 id",
        "echo `id`",
    ] {
        let Some((answer, ran)) = line(programs(&["echo", "id"]), command) else {
            return;
        };
        assert_eq!(answer["code"], 126, "{command}");
        assert!(
            answer["stderr"].as_str().unwrap().contains("needs a shell"),
            "{answer}"
        );
        assert_eq!(ran.activity.commands.len(), 0);
        assert_eq!(ran.activity.failures.len(), 1);
    }
    let (answer, _) = line(programs(&["sh"]), "echo a; echo b").unwrap();
    assert_eq!(answer["stdout"], "a\nb\n");
}

fn a_shell_that_is_denied_is_none() {
    let mut grants = programs(&["sh", "echo"]);
    let exec = grants.exec.as_mut().unwrap();
    exec.deny
        .push(portcullis::policy::ProgramRule::any_arguments("sh"));
    let Some((answer, ran)) = line(grants, "echo a") else {
        return;
    };
    assert_eq!(answer["stdout"], "a\n");
    assert!(ran.activity.commands[0].program.ends_with("/echo"));
}

fn a_command_that_no_rule_allows_is_126() {
    let mut grants = programs(&["echo"]);
    grants.mode = portcullis::policy::Mode::Production;
    let Some((answer, ran)) = line(grants, "cat /etc/passwd") else {
        return;
    };
    assert_eq!(answer["code"], 126);
    assert_eq!(ran.activity.denials[0].code.as_str(), "P0201");
    assert!(
        !answer["stderr"].as_str().unwrap().contains("/usr"),
        "{answer}"
    );
}

fn all(stage: &Stage) -> Grants {
    stage.everything(&["true"])
}

fn the_store_of_the_capability_test() {
    let stage = Stage::new();
    let set = |key: &str, value: &str| json!({"key": key, "value": value}).to_string();
    let (first, second) = (set("a", "one"), set("a", "two"));
    let (other, third, empty, number) =
        (set("b", "x"), set("c", "y"), set("e", ""), set("n", "42"));
    let words = [
        "store_set",
        &first,
        "store_get",
        "a",
        "store_set",
        &second,
        "store_get",
        "a",
        "store_set",
        &other,
        "store_set",
        &third,
        "store_get",
        "a",
        "store_get",
        "b",
        "store_get",
        "c",
        "store_set",
        &empty,
        "store_get",
        "e",
        "store_set",
        &number,
        "store_get",
        "n",
        "store_get",
        "absent",
    ];
    let Some(ran) = stage.full(all(&stage), &words) else {
        return;
    };
    let got: Vec<_> = ran
        .stdout
        .lines()
        .filter_map(|line| line.strip_prefix("store_get: "))
        .collect();
    let expected = [
        "5 \"one\"",
        "5 \"two\"",
        "5 \"two\"",
        "3 \"x\"",
        "3 \"y\"",
        "2 \"\"",
        "4 \"42\"",
        "4 null",
    ];
    assert_eq!(got, expected);
    // What was kept is there in the next run.
    let ran = stage.full(all(&stage), &["store_get", "a"]).unwrap();
    assert_eq!(ran.stdout, "store_get: 5 \"two\"\n");
}

fn git(stage: &Stage, args: &[&str]) {
    let mut git = Command::new("git");
    let identity = [
        "-c",
        "user.name=n",
        "-c",
        "user.email=e@x",
        "-c",
        "init.defaultBranch=trunk",
    ];
    let ran = git
        .current_dir(stage.project())
        .args(identity)
        .args(args)
        .output()
        .unwrap();
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
}

fn the_facts_of_the_capability_test() {
    let stage = Stage::new();
    for args in [
        &["init", "-q"][..],
        &["commit", "-q", "--allow-empty", "-m", "first"],
        &["tag", "v1"],
        &["tag", "v2"],
        &[
            "remote",
            "add",
            "origin",
            "https://user:tok@github.com/x/y.git",
        ],
    ] {
        git(&stage, args);
    }
    std::fs::write(stage.project().join("new"), "").unwrap();
    std::fs::write(stage.project().join("fledge.toml"), "a = 1").unwrap();
    let ask = r#"["fledge_config","git_status","git_tags","git_log","env","unknown"]"#;
    // Commands that the plugin was not granted the host runs for itself.
    let grants = || Grants {
        exec: None,
        ..all(&stage)
    };
    let full = all(&stage);
    let Some(ran) = stage.full(full, &["metadata", ask, "metadata", "[]"]) else {
        return;
    };
    let facts = ran
        .stdout
        .lines()
        .next()
        .unwrap()
        .splitn(3, ' ')
        .nth(2)
        .unwrap();
    let facts: Value = serde_json::from_str(facts).unwrap();
    assert_eq!(facts["fledge_config"], json!({"a": 1}));
    assert_eq!(
        facts["git_tags"],
        json!(["v2", "v1"]),
        "{:?}",
        ran.activity.failures
    );
    assert_eq!(facts["git_status"], json!(["?? fledge.toml", "?? new"]));
    assert_eq!(facts["git_log"].as_array().unwrap().len(), 1);
    assert!(facts["git_log"][0].as_str().unwrap().ends_with(" first"));
    assert_eq!(facts["env"], json!({}));
    assert_eq!(facts["unknown"], Value::Null);
    assert_eq!(ran.stdout.lines().nth(1).unwrap(), "metadata: 2 {}");
    let told = stage.probe(grants(), &["init"]).unwrap();
    let init: Value = serde_json::from_str(&told.stdout).unwrap();
    let git = json!({"branch": "trunk", "dirty": true, "remote": "origin", "remote_url": "https://github.com/x/y.git"});
    assert_eq!(init["project"]["git"], git, "{:?}", told.activity.failures);
    // What is not granted is null, also of a repository.
    let without = Grants {
        metadata: vec![MetadataKey::FledgeConfig],
        ..all(&stage)
    };
    let ran = stage
        .full(without, &["metadata", r#"["git_log"]"#])
        .unwrap();
    assert_eq!(ran.stdout, "metadata: 16 {\"git_log\":null}\n");
}

fn eighty_frames_come_one_after_the_other() {
    let Some(ran) = Stage::new().probe(with(|_| {}), &["frames", "80"]) else {
        return;
    };
    let expected: String = (0..80)
        .map(|frame| format!("\u{1b}[2Kframe {frame}\n"))
        .collect();
    assert_eq!(ran.stdout, expected);
}
