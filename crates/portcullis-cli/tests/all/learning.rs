//! `run --learn`: what is printed is enough, nothing in it can be left out, and nothing is in it that is never proposed. Every
//! run is a real one, of a user who is not root, for whom there are no staged writes.

use std::fs;
use std::path::Path;
use std::process::Command;

use portcullis_testkit::{guest, interpreted};
use serde_json::{Value, json};

use crate::context::{Context, skip};
use crate::core_form;
use crate::staged::{Scene, by_an_ordinary_user};

/// What was learnt of one call.
pub(crate) struct Learnt {
    pub(crate) code: i32,
    /// The policy as it was printed.
    pub(crate) toml: String,
    pub(crate) stderr: String,
}

impl Learnt {
    /// Lines that are neither comments nor empty.
    fn lines(&self) -> Vec<&str> {
        let lines = self.toml.lines();
        lines
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .collect()
    }

    pub(crate) fn policy(&self) -> toml::Table {
        self.toml.parse().unwrap()
    }

    pub(crate) fn notes(&self) -> String {
        let lines = self.toml.lines().filter(|line| line.starts_with('#'));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// What an entry has under a key, as it is written.
    pub(crate) fn list(&self, table: &str, key: &str) -> Vec<String> {
        let policy = self.policy();
        let plugin = &policy["plugins"][0];
        let list = plugin.get(table).and_then(|table| table.get(key));
        let list = list.and_then(toml::Value::as_array).into_iter().flatten();
        list.map(ToString::to_string).collect()
    }
}

/// A scene with a guest as `p.wasm`, which is no part of the project.
pub(crate) fn scene(plugin: &Path) -> Scene {
    let context = Context::for_everybody();
    fs::copy(plugin, context.root().join("p.wasm")).unwrap();
    Scene::of(context)
}

pub(crate) fn commands() -> Scene {
    scene(&guest("command"))
}

pub(crate) fn learn(scene: &Scene, args: &[&str]) -> Learnt {
    learnt(scene.command(&[&["run", "--learn"], args].concat()))
}

/// What comes of a command that learns.
pub(crate) fn learnt(mut command: Command) -> Learnt {
    let output = command.output().unwrap();
    Learnt {
        code: output.status.code().unwrap(),
        toml: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// What a run under a policy comes to. Nothing of it is kept.
fn run(scene: &Scene, policy: &str, args: &[&str]) -> Value {
    let file = scene.0.root().join("learnt.toml");
    fs::write(&file, policy).unwrap();
    let file = file.to_str().unwrap();
    let first = ["run", "--json", "--quiet", "--no-config", "--config", file];
    let mut command: Command = scene.command(&[&first[..], &["--stage=never"], args].concat());
    let output = command.output().unwrap();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let commands = document["children"]["commands"].as_array();
    let statuses = commands
        .into_iter()
        .flatten()
        .map(|command| command["status"].clone());
    let changes = document["staged"]["changes"].as_array();
    let paths = changes
        .into_iter()
        .flatten()
        .map(|change| json!([change["path"], change["kind"]]));
    json!({
        "code": output.status.code(),
        "result": document["result"],
        "errors": document["errors"],
        "denials": document["denials"].as_array().map(Vec::len),
        "notices": document["notices"].as_array().map(Vec::len),
        "commands": statuses.collect::<Vec<_>>(),
        "changes": paths.collect::<Vec<_>>(),
    })
}

/// That the policy is enough for the call, and without any one line is not.
fn nothing_can_be_left_out(scene: &Scene, learnt: &Learnt, args: &[&str]) {
    let shown = &learnt.toml;
    assert_eq!(learnt.code, 0, "{shown}\n{}", learnt.stderr);
    let enough = run(scene, shown, args);
    let again = run(scene, shown, args);
    let is_steady = enough["result"] == again["result"];
    let without_result = |mut came: Value| {
        if !is_steady {
            came["result"] = Value::Null;
        }
        came
    };
    let enough = without_result(enough);
    assert_eq!(enough, without_result(again), "{shown}");
    assert_eq!(enough["denials"], 0, "{enough}\n{shown}");
    let lines = learnt.lines();
    for left_out in 0..lines.len() {
        let rest = lines.iter().enumerate().filter(|(at, _)| *at != left_out);
        let rest: Vec<_> = rest.map(|(_, line)| *line).collect();
        let less = without_result(run(scene, &rest.join("\n"), args));
        assert_ne!(less, enough, "without {}\n{shown}", lines[left_out]);
    }
}

/// That a call is learnt, and the policy holds.
fn holds(scene: &Scene, flags: &[&str], args: &[&str]) -> Learnt {
    let learnt = learn(scene, &[flags, args].concat());
    nothing_can_be_left_out(scene, &learnt, args);
    never_proposed(&learnt);
    learnt
}

/// What no policy that was learnt may have, whatever the plugin did.
pub(crate) fn never_proposed(learnt: &Learnt) {
    assert!(learnt.toml.starts_with("# NOT REVIEWED"), "{}", learnt.toml);
    let policy = learnt.policy();
    let plugins = policy["plugins"].as_array().unwrap();
    assert_eq!((policy.len(), plugins.len()), (1, 1), "{}", learnt.toml);
    let mut texts = Vec::new();
    fn collect(value: &toml::Value, texts: &mut Vec<String>) {
        match value {
            toml::Value::String(text) => texts.push(text.clone()),
            toml::Value::Array(list) => list.iter().for_each(|value| collect(value, texts)),
            toml::Value::Table(table) => {
                for (_, value) in table {
                    collect(value, texts);
                }
            }
            _ => {}
        }
    }
    collect(&policy["plugins"], &mut texts);
    for text in texts {
        assert!(!matches!(text.as_str(), "*" | "**"), "{}", learnt.toml);
    }
    let rules = plugins[0].get("exec").and_then(|exec| exec.get("allow"));
    for rule in rules.and_then(toml::Value::as_array).into_iter().flatten() {
        assert!(rule.get("args").is_some(), "any arguments: {rule}");
    }
}

fn repository(scene: &Scene) {
    for args in [
        &["init", "-q"][..],
        &["add", "file"],
        &[
            "-c",
            "user.email=a@b",
            "-c",
            "user.name=a",
            "commit",
            "-q",
            "-m",
            "one",
        ],
    ] {
        let git = by_an_ordinary_user(scene.0.command("git"));
        let done = { git }.args(args).status().unwrap();
        assert!(done.success());
    }
    scene.own();
}

pub(crate) fn is_installed(program: &str) -> bool {
    let found = ["/usr/bin", "/usr/local/bin"]
        .iter()
        .any(|dir| Path::new(dir).join(program).exists());
    if !found {
        skip(&format!("`{program}` is not installed"));
    }
    found
}

#[test]
fn what_the_examples_need_is_learnt() {
    for name in ["repo-report", "disk-watch", "deps-audit"] {
        let Some(plugin) = interpreted(name) else {
            skip(&format!("guest `{name}` is not built"));
            continue;
        };
        if name == "deps-audit" && !is_installed("npm") {
            continue;
        }
        let scene = scene(&plugin);
        repository(&scene);
        scene.write(
            "package.json",
            r#"{"name":"app","version":"1.0.0","license":"MIT","dependencies":{"a":"1.0.0"}}"#,
        );
        scene.write(
            "node_modules/a/package.json",
            r#"{"name":"a","version":"1.0.0","license":"MIT"}"#,
        );
        let learnt = holds(&scene, &[], &["../p.wasm"]);
        let programs = learnt.list("exec", "allow").join("\n");
        let program = match name {
            "repo-report" => "git",
            "disk-watch" => "df",
            _ => "npm",
        };
        assert!(programs.contains(program), "{}", learnt.toml);
    }
}

/// The example in C or Go, in a scene of its own.
fn built(context: Option<Context>) -> Option<Scene> {
    let context = context?;
    Some(scene(&context.project().join("p.wasm")))
}

#[test]
fn what_the_example_in_c_needs_is_learnt() {
    let Some(scene) = built(core_form::in_c()) else {
        return;
    };
    let learnt = holds(&scene, &[], &["../p.wasm", "pear", "apple"]);
    assert_eq!(learnt.list("exec", "allow").len(), 1, "{}", learnt.toml);
}

#[test]
fn what_the_example_in_go_needs_is_learnt() {
    let Some(scene) = built(core_form::in_go()) else {
        return;
    };
    let args = ["../p.wasm", "20s", "echo", "one", "+", "echo", "two"];
    let learnt = holds(&scene, &[], &args);
    let rules = learnt.list("exec", "allow");
    assert!(rules[0].contains("one|two"), "{}", learnt.toml);
}

/// Programs of the recipes, each with what is asked for by name, its arguments, and what it is to be granted to write.
const PROGRAMS: [(&str, &[&str], &[&str], usize); 13] = [
    ("git", &[], &["log", "--oneline"], 0),
    ("git", &[], &["add", "dir"], 1),
    ("grep", &[], &["-r", "old", "dir"], 0),
    ("find", &[], &["dir", "-name", "inner"], 0),
    ("tar", &[], &["-cf", "out.tar", "dir"], 1),
    ("sqlite3", &[], &["db", "create table t(x)"], 1),
    ("gcc", &[], &["-c", "-o", "main.o", "main.c"], 1),
    ("make", &[], &["touched"], 1),
    (
        "python3",
        &["python3"],
        &["-c", "print(open('file').read())"],
        0,
    ),
    (
        "node",
        &["node"],
        &[
            "-e",
            "console.log(require('fs').readFileSync('file','utf8'))",
        ],
        0,
    ),
    ("npm", &[], &["ls"], 0),
    ("java", &[], &["Main.java"], 0),
    ("cat", &[], &["file"], 0),
];

#[test]
fn what_programs_of_the_recipes_need_is_learnt() {
    for (program, asked, args, written) in PROGRAMS {
        if !is_installed(program) {
            continue;
        }
        let scene = commands();
        repository(&scene);
        scene.write("main.c", "int main(void) { return 0; }\n");
        scene.write("Makefile", "touched:\n\ttouch touched\n");
        scene.write(
            "Main.java",
            "class Main { public static void main(String[] a) { System.out.println(1); } }",
        );
        scene.write("package.json", r#"{"name":"app","version":"1.0.0"}"#);
        let asked: Vec<_> = asked
            .iter()
            .map(|name| format!("--allow-exec={name}"))
            .collect();
        let flags: Vec<_> = asked.iter().map(String::as_str).collect();
        let call = [&["../p.wasm", "run", program], args].concat();
        let learnt = holds(&scene, &flags, &call);
        assert!(
            learnt.toml.contains("which ended with code 0"),
            "{}",
            learnt.toml
        );
        assert_eq!(
            learnt.list("fs", "write").len(),
            written,
            "{program}: {}",
            learnt.toml
        );
        let rules = learnt.list("exec", "allow");
        assert_eq!(rules.len(), 1, "{program}: {}", learnt.toml);
        assert!(rules[0].contains(program), "{}", learnt.toml);
        // Nothing of it is there.
        for made in ["out.tar", "db", "main.o", "touched"] {
            assert!(!scene.path(made).exists(), "{program} left {made}");
        }
    }
}
