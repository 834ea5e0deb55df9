//! Plugins in the core-module form, and how a person gets one: in C with clang, in Go with its own compiler.

use std::path::{Path, PathBuf};
use std::process::Command;

use portcullis_testkit::{repository, wat};

use crate::context::{Context, DEV, shows};

/// With the fixture as plugin `p`, and this after the head of its policy.
fn with_fixture(rest: &str) -> Context {
    let context = Context::new();
    context.write("p.wasm", wat("core-exec"));
    context.write("policy.toml", format!("{DEV}{rest}"));
    context
}

/// What was told of a run, but for where the plugin was compiled, which only the first one does.
fn told(stderr: &str) -> impl Iterator<Item = &str> {
    let lines = stderr.lines();
    lines.filter(|line| !line.starts_with("compiled: "))
}

#[test]
fn a_core_module_runs_as_a_component_does() {
    let context = with_fixture("exec.allow = [\"echo\"]\n");
    let output = context.output(&["run", "--config", "policy.toml", "p", "x"]);
    assert_eq!(
        (output.status.code(), &output.stdout[..]),
        (Some(0), &b"done\n"[..])
    );
    let stderr = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<_> = told(&stderr).collect();
    assert_eq!(lines[0], "info: [\"x\"]");
    assert!(
        lines[1].starts_with("info: {\"ok\":{\"exit\":{\"kind\":\"exited\",\"code\":0},"),
        "{stderr}"
    );
    assert_eq!(
        lines[2..],
        ["children: not confined (limits): they can do what you can do"]
    );
    let trail = String::from_utf8(context.output(&["audit", "show"]).stdout).unwrap();
    assert!(
        trail.contains("call 1: allowed exec [\"echo\",\"a b\",\"$HOME\"] by rule"),
        "{trail}"
    );
    assert!(trail.contains("call 1: exit code 0 after"), "{trail}");
}

#[test]
fn what_was_not_granted_is_said_with_the_command_that_grants_it() {
    let context = with_fixture("");
    shows!(context, ["run", "--config", "policy.toml", "p"], @"
    exit 125
    -- stderr
    error[P0603]: cannot load plugin `p`: it imports what it is not given
      note: `portcullis:core/v1.exec`: needs the `exec` grant; to allow a program: portcullis grant p exec <program>
      help: write `late = true` for the plugin to be told at the call instead
    ");
    let grant = ["grant", "--config", "policy.toml", "p", "exec", "echo"];
    assert!(context.output(&grant).status.success());
    let output = context.output(&["run", "--config", "policy.toml", "p"]);
    assert_eq!(
        output.stdout, b"done\n",
        "the command that it named is what was missing"
    );
}

#[test]
fn an_inspection_lists_functions() {
    shows!(with_fixture(""), ["inspect", "--config", "policy.toml", "p"], @"
    exit 1
    -- stdout
    plugin `p` from `[DIR]/project/p.wasm`
    a core module in the form of plugins, [N] bytes
    sha256 [DIGEST]
    blake3 [DIGEST]
    imports `portcullis:core/v1.log`
    imports `portcullis:core/v1.exec`: needs `exec`, not granted
    exports `memory`
    exports `allocate`
    exports `run`
    under the policy (policy.toml:3) it
      may run no command
      may open no directory
      may read no environment variable
      limits: [N] ms a call, [N] ms and [N] bytes a stream for a command, 8 commands at once, 600 a minute, [N] bytes of memory
    cannot be run: `portcullis:core/v1.exec`: needs the `exec` grant; to allow a program: portcullis grant p exec <program>
    ");
}

#[test]
fn an_inspection_says_which_exports_are_missing() {
    let context = Context::new();
    let text = r#"(module (import "portcullis:core/v1" "log" (func (param i32 i64))) (memory (export "memory") 1))"#;
    context.write(
        "p.wasm",
        portcullis_testkit::assemble(text.as_bytes()).unwrap(),
    );
    let output = context.output(&["inspect", "p.wasm"]);
    assert_eq!(output.status.code(), Some(1));
    let stdout = String::from_utf8(output.stdout).unwrap();
    for export in ["allocate", "run"] {
        assert!(
            stdout.contains(&format!("cannot be run: it exports no `{export}`\n")),
            "{stdout}"
        );
    }
}

/// Builds an example or guest in another language, if its compiler is here.
#[expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a compiler is no part of what is tested; what cannot run says so"
)]
pub(crate) fn build(
    directory: &str,
    compiler: &[&str],
    prepare: impl Fn(&mut Command),
) -> Option<PathBuf> {
    let (_, example) = directory.rsplit_once('/').unwrap();
    let there = compiler.iter().find(|name| {
        let version = if name.starts_with("go") {
            "version"
        } else {
            "--version"
        };
        Command::new(name)
            .arg(version)
            .output()
            .is_ok_and(|output| output.status.success())
    });
    let Some(compiler) = there else {
        println!(
            "SKIP core_form::{example}: none of {} is installed",
            compiler.join(", ")
        );
        return None;
    };
    let out = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("{example}-{}.wasm", std::process::id()));
    let mut command = Command::new(compiler);
    command.current_dir(repository().join(directory));
    prepare(&mut command);
    let output = command
        .arg("-o")
        .arg(&out)
        .arg(if example.ends_with('c') {
            "plugin.c"
        } else {
            "."
        })
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(out)
}

fn plugin(built: &Path, rest: &str) -> Context {
    let context = Context::new();
    context.write("p.wasm", std::fs::read(built).unwrap());
    std::fs::remove_file(built).unwrap();
    context.write("policy.toml", format!("{DEV}{rest}"));
    context
}

/// The example in C, which may sort; `None`, and said, where it cannot be built.
pub(crate) fn in_c() -> Option<Context> {
    let clang = ["clang", "clang-22", "clang-21", "clang-20", "clang-19"];
    let built = build("examples/core-c", &clang, |command| {
        command.args([
            "--target=wasm32",
            "-Os",
            "-nostdlib",
            "-mbulk-memory",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-Wl,--no-entry",
        ]);
    })?;
    Some(plugin(&built, "exec.allow = [\"sort\"]\n"))
}

/// The example in Go, which may echo and sleep; `None`, and said, where it cannot be built.
pub(crate) fn in_go() -> Option<Context> {
    let built = build("examples/core-go", &["go"], |command| {
        go(command).args(["-buildmode=c-shared"]);
    })?;
    let grants = "exec.allow = [\"echo\", \"sleep\"]\nlimits.call = \"60s\"\n";
    Some(plugin(&built, grants))
}

#[test]
fn a_plugin_in_c_feeds_and_reads_a_command() {
    let Some(context) = in_c() else {
        return;
    };
    let output = context.output(&[
        "run",
        "--config",
        "policy.toml",
        "p",
        "pear",
        "apple",
        "fig \\ \"b\"",
    ]);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "apple\nfig \\ \"b\"\npear\n",
        "{output:?}"
    );
    assert_eq!(output.status.code(), Some(0));
    // More than pipes hold, both ways.
    let long: Vec<_> = (0..400)
        .rev()
        .map(|number| format!("{number:03}{}", "x".repeat(100)))
        .collect();
    let mut args = vec!["run", "--config", "policy.toml", "p"];
    args.extend(long.iter().map(String::as_str));
    let sorted: String = long.iter().rev().map(|line| format!("{line}\n")).collect();
    assert_eq!(
        String::from_utf8_lossy(&context.output(&args).stdout),
        sorted
    );
}

/// How Go's own compiler makes core modules.
pub(crate) fn go(command: &mut Command) -> &mut Command {
    command
        .args(["build", "-ldflags=-s -w"])
        .env("GOOS", "wasip1")
        .env("GOARCH", "wasm")
        .env("GOFLAGS", "")
        .env("GOTOOLCHAIN", "local")
}

#[test]
fn a_context_in_go_cancels_a_command() {
    let Some(context) = in_go() else {
        return;
    };
    let run = |words: &[&str]| {
        context.output(&[&["run", "--config", "policy.toml", "p"], words].concat())
    };
    let output = run(&["20s", "echo", "one", "+", "echo", "two"]);
    assert_eq!(output.stdout, b"one\ntwo\n", "{output:?}");
    assert_eq!(
        told(&String::from_utf8_lossy(&output.stderr)).next(),
        Some("info: within 20s: [\"echo\" \"one\" \"+\" \"echo\" \"two\"]")
    );
    let output = run(&["200ms", "sleep", "50", "+", "sleep", "50"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("context deadline exceeded"), "{stderr}");
    let trail = String::from_utf8(context.output(&["audit", "show"]).stdout).unwrap();
    assert_eq!(trail.matches("killed with its call").count(), 2, "{trail}");
}
