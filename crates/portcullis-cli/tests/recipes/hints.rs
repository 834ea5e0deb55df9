//! What the operator is told when a command fails because of its confinement: the path or the host, and a grant that
//! helps. And nothing, when it fails for reasons of its own.

use libtest_mimic::Trial;
use serde_json::Value;

use crate::user::User;
use crate::world::World;

type Test = fn(User);

pub(crate) fn trials(user: User) -> Vec<Trial> {
    let tests: [(&str, Test); 9] = [
        ("a_file_that_is_not_granted", a_file_that_is_not_granted),
        (
            "a_directory_that_is_only_read",
            a_directory_that_is_only_read,
        ),
        ("a_protected_name", a_protected_name),
        (
            "what_was_written_and_is_not_executed",
            what_was_written_and_is_not_executed,
        ),
        ("a_host_without_any_network", a_host_without_any_network),
        ("a_host_that_is_not_granted", a_host_that_is_not_granted),
        ("failures_of_their_own", failures_of_their_own),
        ("they_are_printed", they_are_printed),
        ("a_person_is_told_the_flag", a_person_is_told_the_flag),
    ];
    let trial = |(name, test): (&str, Test)| {
        Trial::test(format!("hint::{}::{name}", user.name()), move || {
            test(user);
            Ok(())
        })
    };
    tests.into_iter().map(trial).collect()
}

/// The only notice of a run.
fn notice(report: &Value) -> &Value {
    let notices = report["notices"].as_array().unwrap();
    assert_eq!(notices.len(), 1, "{report:#}");
    &notices[0]
}

fn message(report: &Value) -> &str {
    notice(report)["message"].as_str().unwrap()
}

/// The command that the notice proposes.
fn command(report: &Value) -> Vec<String> {
    let words = notice(report)["helps"][0]["command"].as_array();
    let words = words.unwrap_or_else(|| panic!("no command: {report:#}"));
    words
        .iter()
        .map(|word| word.as_str().unwrap().to_owned())
        .collect()
}

fn a_file_that_is_not_granted(user: User) {
    let world = World::new("python3", user);
    let secret = world.secret();
    let read = ["python3", "-c", &*format!("print(open({secret:?}).read())")];
    let (ran, report) = world.fails(&read);
    assert!(message(&report).ends_with(&format!("could not read `{secret}`: it is not granted")));
    // The guest is told what the command said, and no more.
    assert!(!ran.stderr.contains("granted"), "{ran:#?}");
    let command = command(&report);
    let [portcullis, rest @ ..] = &command[..] else {
        panic!("{command:?}");
    };
    assert_eq!(portcullis, "portcullis");
    world.operator(rest);
    assert_eq!(world.succeeds(&read), "not for commands\n\n");
}

fn a_directory_that_is_only_read(user: User) {
    let world = World::new("tar", user);
    world.directory("project/out");
    world.file("project/a/file", "text\n");
    let pack = ["tar", "-cf", "a.tar", "a"];
    let (_, report) = world.fails(&pack);
    let project = world.project().display().to_string();
    assert!(
        message(&report).contains(&format!("could not write `{project}`")),
        "{report:#}"
    );
    world.operator(&command(&report)[1..]);
    world.succeeds(&pack);
}

fn a_protected_name(user: User) {
    let world = World::new("gcc and make", user);
    world.file("project/.git/hooks/pre-commit", "#!/bin/sh\n");
    world.file(
        "project/Makefile",
        "hook:\n\techo evil > .git/hooks/pre-commit\nmove:\n\tmv .git moved\n",
    );
    for (target, name) in [("hook", ".git/hooks/pre-commit"), ("move", ".git")] {
        let (_, report) = world.fails(&["make", "-s", target]);
        let path = world.path("project").join(name).display().to_string();
        assert!(
            message(&report).contains(&format!("could not change `{path}`: it is protected")),
            "{report:#}"
        );
        let help = notice(&report)["helps"][0]["text"].as_str().unwrap();
        assert!(
            help.contains("`\".git/hooks\"` to `exec.unprotect`"),
            "{help}"
        );
    }
    assert_eq!(world.read("project/.git/hooks/pre-commit"), "#!/bin/sh\n");
}

fn what_was_written_and_is_not_executed(user: User) {
    let world = World::new("gcc and make", user);
    world.file("project/Makefile", "run:\n\tcp /bin/true tool && ./tool\n");
    let (_, report) = world.fails(&["make", "-s", "run"]);
    let tool = world.path("project/tool").display().to_string();
    assert!(
        message(&report).contains(&format!("could not execute `{tool}`")),
        "{report:#}"
    );
}

fn a_host_without_any_network(user: User) {
    let world = World::new("python3", user);
    let get = "import urllib.request; urllib.request.urlopen('https://api.github.com/hello')";
    let (_, report) = world.fails(&["python3", "-c", get]);
    assert!(message(&report).ends_with("could not reach `api.github.com:443`: it has no network"));
    assert_eq!(
        command(&report)[4..],
        ["assistant", "net", "api.github.com:443"]
    );
}

fn a_host_that_is_not_granted(user: User) {
    let world = World::new("curl", user);
    let get = ["curl", "-sSf", "https://later.example:8443/hello"];
    let (_, report) = world.fails(&get);
    assert!(
        message(&report).ends_with("could not reach `later.example:8443`: no rule is about it")
    );
    let run = report["run"].as_str().unwrap();
    world.operator(&command(&report)[1..]);
    let got = world.run(&[("", &get)]);
    assert_eq!(
        got.answers[0].stdout, "hello from later.example\n",
        "{got:#?}"
    );
    assert!(got.report["notices"].as_array().unwrap().is_empty());
    let told =
        |run: &str| world.operator(&["audit", "show", "--json", "--run", run].map(str::to_owned));
    let refused = told(run);
    assert!(
        refused.contains("no rule is about it") && refused.contains("\"later.example\""),
        "{refused}"
    );
    let allowed = told(got.report["run"].as_str().unwrap());
    assert!(
        allowed.contains("\"allowed\":true") || allowed.contains("\"allowed\": true"),
        "{allowed}"
    );
}

fn failures_of_their_own(user: User) {
    let world = World::new("python3", user);
    for script in [
        "open('missing')",
        "open('/missing')",
        "import sys; sys.exit('it failed')",
        "raise PermissionError('of its own')",
    ] {
        let (_, report) = world.fails(&["python3", "-c", script]);
        assert!(
            report["notices"].as_array().unwrap().is_empty(),
            "{script}: {report:#}"
        );
    }
    // A command that succeeds is not asked what went wrong.
    let runs = world.run(&[(
        "",
        &[
            "python3",
            "-c",
            &format!(
                "import sys; sys.stderr.write('cat: {}: No such file or directory')",
                world.secret()
            ),
        ],
    )]);
    assert_eq!(runs.answers[0].status, 0);
    assert!(runs.report["notices"].as_array().unwrap().is_empty());
}

fn they_are_printed(user: User) {
    let world = World::new("python3", user);
    let secret = world.secret();
    let told = world.told(&["python3", "-c", &format!("open({secret:?})")]);
    let head = "warning[P0805]: plugin `assistant`: `/usr/bin/python3";
    let help = "  help: to allow exactly this: portcullis grant --config ";
    for line in [head, help] {
        assert!(
            told.lines().any(|told| told.starts_with(line)),
            "{line}\n{told}"
        );
    }
    // What a command says is not obeyed.
    let hostile =
        format!("import sys; sys.exit('cat: {secret}: No such file or directory\\x1b[2J')");
    assert!(!world.told(&["python3", "-c", &hostile]).contains('\u{1b}'));
}

fn a_person_is_told_the_flag(user: User) {
    let world = World::new("python3", user);
    let secret = world.secret();
    let read = ["--", "cat", &secret];
    let (stdout, stderr) = world.person(&read);
    assert_eq!(stdout, "", "{stderr}");
    let flag = format!("--read {secret}");
    assert!(
        stderr.contains(&format!("to allow exactly this, add: {flag}\n")),
        "{stderr}"
    );
    let (stdout, stderr) = world.person(&[&["--read", &secret][..], &read].concat());
    assert_eq!(
        (&*stdout, stderr.contains("P0805")),
        ("not for commands\n", false),
        "{stderr}"
    );
}
