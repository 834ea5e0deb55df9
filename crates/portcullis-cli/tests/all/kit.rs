//! From an empty folder to a plugin that is tested and run, in each language: `new`, `build`, `test`, `run`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use portcullis_testkit::repository;

use crate::context::Context;

#[expect(clippy::print_stdout, reason = "what cannot run says so")]
fn skip(language: &str, why: &str) {
    println!("SKIP kit::{language}: {why}");
}

/// The author's tool, outside of what is tested.
#[expect(
    clippy::disallowed_methods,
    reason = "a compiler is no part of what is tested"
)]
fn tool(program: &str) -> Command {
    Command::new(program)
}

/// An author with the machine's own tools, in an empty folder.
fn author() -> Context {
    let path = std::env::var_os("PATH").unwrap_or_default();
    Context::beside_tmp().env("PATH", path.to_str().unwrap())
}

/// What a verb says that has to succeed in the plugin's directory.
pub(crate) fn done(context: &Context, plugin: &str, args: &[&str]) -> String {
    let mut command = context.portcullis(args);
    let output = command
        .current_dir(context.project().join(plugin))
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{args:?}: {stdout}{stderr}");
    stdout
}

/// A repository in which two files are not committed.
fn repository_with_changes(context: &Context) -> PathBuf {
    let dir = context.project().join("repository");
    fs::create_dir(&dir).unwrap();
    let git = tool("git").args(["init", "-q"]).current_dir(&dir).status();
    assert!(git.unwrap().success());
    fs::write(dir.join("a"), "").unwrap();
    fs::write(dir.join("b"), "").unwrap();
    dir
}

/// The whole way. `prepare` is what an author does once, between `new` and `build`.
#[expect(clippy::print_stdout, reason = "the time it took is a result")]
fn whole_way(context: &Context, language: &str, prepare: impl FnOnce(&Path)) {
    let plugin = format!("first-{language}");
    let began = Instant::now();
    let (code, stdout, stderr) = context.ended(&["new", &plugin, "--lang", language]);
    assert_eq!(code, 0, "{stdout}{stderr}");
    let dir = context.project().join(&plugin);
    prepare(&dir);
    let built = done(context, &plugin, &["build"]);
    let component = dir.join(format!("{plugin}.wasm"));
    assert!(built.contains(&format!("{plugin}.wasm`")), "{built}");
    let tested = done(context, &plugin, &["test"]);
    assert!(
        tested.ends_with("2 tests: 2 passed, 0 failed\n"),
        "{tested}"
    );
    let repository = repository_with_changes(context);
    let run = ["run", "--config", "portcullis.toml", "--project"];
    let args = [&run[..], &[repository.to_str().unwrap(), "."]].concat();
    assert_eq!(done(context, &plugin, &args), "2 not committed\n");
    let bytes = fs::metadata(&component).unwrap().len();
    let took = began.elapsed().as_secs_f64();
    println!("KIT {language}: new, build, test and run in {took:.1} s, {bytes} bytes");
    // What was not granted is refused, whatever the plugin was written in.
    let args = [
        "run",
        "--no-config",
        "--project",
        repository.to_str().unwrap(),
        ".",
    ];
    let mut command = context.portcullis(&args);
    let output = command.current_dir(&dir).output().unwrap();
    assert_eq!(output.status.code(), Some(125), "{output:?}");
    fs::remove_dir_all(repository).unwrap();
}

/// What is told when a plugin of that language crashes, in the plugin that [`whole_way`] left there.
fn crash(context: &Context, language: &str, source: &str, text: &str, told: &[&str]) {
    let plugin = format!("first-{language}");
    let dir = context.project().join(&plugin);
    fs::write(dir.join(source), text).unwrap();
    done(context, &plugin, &["build"]);
    let mut command = context.portcullis(&["run", "--config", "portcullis.toml", "."]);
    let output = command.current_dir(&dir).output().unwrap();
    assert_eq!(output.status.code(), Some(125), "{output:?}");
    let stderr = String::from_utf8(output.stderr).unwrap();
    for part in told {
        assert!(stderr.contains(part), "{part} in {stderr}");
    }
}

/// An author with a compiler for Rust that has a target for plugins.
fn rust_author(test: &str) -> Option<Context> {
    let author = with_rust(author(), &["wasm32-wasip2", "wasm32-unknown-unknown"]);
    author.map_err(|why| skip(test, why)).ok()
}

/// That author in another folder, with the first of these targets; or why there is none.
pub(crate) fn with_rust(
    context: Context,
    targets: &[&'static str],
) -> Result<Context, &'static str> {
    let sysroot = tool("rustc").args(["--print", "sysroot"]).output();
    let sysroot = sysroot.map_err(|_| "there is no compiler for Rust")?;
    let sysroot = PathBuf::from(String::from_utf8(sysroot.stdout).unwrap().trim());
    let there = |target: &&&str| {
        let libraries = sysroot.join("lib/rustlib").join(target).join("lib");
        libraries.is_dir()
    };
    let target = targets.iter().find(there);
    let target = target.ok_or("the compiler for Rust has no target for WebAssembly")?;
    let home = |variable: &str, below: &str| {
        let own = std::env::var_os("HOME").unwrap();
        std::env::var_os(variable).map_or_else(|| Path::new(&own).join(below), PathBuf::from)
    };
    let places = [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")];
    let context = context.env("CARGO_BUILD_TARGET", target);
    Ok(places
        .into_iter()
        .fold(context, |context, (variable, below)| {
            context.env(variable, home(variable, below).to_str().unwrap())
        }))
}

#[test]
fn rust() {
    let Some(context) = rust_author("rust") else {
        return;
    };
    whole_way(&context, "rust", |dir| {
        let fetched = tool("cargo").arg("fetch").current_dir(dir).output();
        let fetched = fetched.unwrap();
        assert!(fetched.status.success(), "{fetched:?}");
    });
    let text = "#[portcullis::plugin]
fn main(args: Vec<String>) -> u8 {
    args.len().to_ne_bytes()[args.len() + 9]
}
";
    let told = [
        "crashed in call `run`: `index out of bounds: the len is ",
        "note: raised in src/lib.rs:3:5",
        "executed, in `run`",
    ];
    crash(&context, "rust", "src/lib.rs", text, &told);
}

pub(crate) fn has_go() -> bool {
    runs("go", "version")
}

fn runs(program: &str, argument: &str) -> bool {
    let output = tool(program).arg(argument).output();
    output.is_ok_and(|output| output.status.success())
}

#[test]
fn go() {
    if !has_go() {
        return skip("go", "go is not installed");
    }
    let context = author();
    whole_way(&context, "go", |_| {});
    let text = r#"package main

import (
	"context"

	"github.com/portcullis-rs/portcullis/sdk/go"
)

func init() {
	sdk.RegisterFunc(func(ctx context.Context, args []string) (string, error) { return args[7], nil })
}

func main() {}
"#;
    let told = [
        "crashed in call `run`: `panic: runtime error: index out of range [7] with length 0`",
        "note: raised in `main.init.0.func1` (first-go/main.go:10), called by",
    ];
    crash(&context, "go", "main.go", text, &told);
}

/// Where a tool was unpacked that makes components: the last one, if it was another version before.
pub(crate) fn componentizer(language: &str) -> Option<PathBuf> {
    let all = fs::read_dir(repository().join("target/componentizers")).ok()?;
    let all = all
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(language));
    let last = all.max_by_key(|entry| entry.metadata().and_then(|meta| meta.modified()).ok());
    last.map(|entry| entry.path())
}

#[test]
fn python() {
    let Some(packages) = componentizer("python-") else {
        return skip("python", "componentize-py is not there");
    };
    let context = author().env("PYTHONPATH", packages.to_str().unwrap());
    whole_way(&context, "python", |_| {});
}

#[test]
fn javascript() {
    let Some(context) = javascript_author() else {
        return skip("javascript", "componentize-qjs is not there");
    };
    whole_way(&context, "javascript", npm_install);
}

/// An author with the tools of JavaScript.
pub(crate) fn javascript_author() -> Option<Context> {
    let modules = componentizer("javascript-")?.join("node_modules");
    Some(author().env("NODE_PATH", modules.to_str().unwrap()))
}

/// As `npm install` does for a package in a directory.
pub(crate) fn npm_install(dir: &Path) {
    let own = dir.join("node_modules/@portcullis");
    fs::create_dir_all(&own).unwrap();
    symlink("../../portcullis-sdk", own.join("sdk")).unwrap();
}

/// A compiler for C, as `portcullis build` finds it.
pub(crate) fn clang() -> Option<&'static str> {
    let clangs = ["clang", "clang-22", "clang-21", "clang-20", "clang-19"];
    clangs.into_iter().find(|clang| runs(clang, "--version"))
}

#[test]
fn c() {
    if clang().is_none() {
        return skip(
            "c",
            "none of clang, clang-22, clang-21, clang-20, clang-19 is installed",
        );
    }
    let context = author();
    whole_way(&context, "c", |_| {});
    let head = "#define PORTCULLIS_PLUGIN\n#include \"portcullis.h\"\n";
    let main = "struct portcullis_result plugin_main(struct portcullis_args args)\n";
    let checks = "{ portcullis_check(args.count > 7); return portcullis_ok(\"\"); }\n";
    let told = [
        "plugin.c:4: check failed: args.count > 7",
        "in `portcullis_abort`, called by `",
    ];
    crash(
        &context,
        "c",
        "plugin.c",
        &format!("{head}{main}{checks}"),
        &told,
    );
    let divides = "{ return portcullis_ok(portcullis_format(\"%d\", 10 / (int)args.count)); }\n";
    let told = [
        "crashed in call `run`: wasm trap: integer divide by zero",
        "in `portcullis__run`",
    ];
    crash(
        &context,
        "c",
        "plugin.c",
        &format!("{head}{main}{divides}"),
        &told,
    );
}

#[test]
fn a_plugin_is_built_and_tested_again_when_it_changes() {
    if !has_go() {
        return skip("a_plugin_is_built_again", "go is not installed");
    }
    let context = author();
    let (code, _, stderr) = context.ended(&["new", "p", "--lang", "go"]);
    assert_eq!(code, 0, "{stderr}");
    let dir = context.project().join("p");
    let mut dev = context.portcullis(&["dev"]);
    dev.current_dir(&dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut dev = dev.spawn().unwrap();
    let mut lines = BufReader::new(dev.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let mut until = |end: &str| lines.by_ref().find(|line| line.contains(end)).unwrap();
    until("2 tests: 2 passed, 0 failed");
    let main = fs::read_to_string(dir.join("main.go")).unwrap();
    fs::write(
        dir.join("main.go"),
        main.replace("not committed", "changed"),
    )
    .unwrap();
    until("2 tests: 1 passed, 1 failed");
    let pid = rustix::process::Pid::from_child(&dev);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert!(dev.wait().unwrap().signal().is_some());
}

#[test]
fn a_new_plugin_is_whole_or_not_there() {
    let context = Context::new();
    for name in ["My-plugin", "1st", "a b", "é", ".", "a.b"] {
        let (code, stdout, stderr) = context.ended(&["new", name, "--lang", "go"]);
        assert!(
            code == 2 && stdout.is_empty() && stderr.contains("cannot be the name")
                || stderr.contains("is there already"),
            "{name}: {stderr}"
        );
    }
    context.write("mine/notes.txt", "mine");
    let (code, _, stderr) = context.ended(&["new", "mine", "--lang", "go"]);
    assert!(code == 2 && stderr.contains("is there already"), "{stderr}");
    assert_eq!(
        fs::read_dir(context.project().join("mine"))
            .unwrap()
            .count(),
        1
    );
    let (code, _, stderr) = context.ended(&["new", "p", "--lang", "cobol"]);
    assert!(code == 2 && stderr.contains("rust, go, python"), "{stderr}");
    assert_eq!(fs::read_dir(context.project()).unwrap().count(), 1);
}

#[test]
fn what_is_missing_is_said_with_what_installs_it() {
    // A machine without any tool.
    let context = Context::new();
    let bin = context.home().join("bin");
    fs::create_dir(&bin).unwrap();
    symlink("/usr/bin/setsid", bin.join("setsid")).unwrap();
    let context = context.env("PATH", bin.to_str().unwrap());
    for (language, install) in [
        ("rust", "rustup"),
        ("go", "go.dev"),
        ("python", "apt-get install python3"),
        ("javascript", "nodejs"),
        ("c", "clang"),
    ] {
        let plugin = format!("p-{language}");
        let (code, _, stderr) = context.ended(&["new", &plugin, "--lang", language]);
        assert_eq!(code, 0, "{stderr}");
        let (code, _, stderr) = context.ended(&["build", &plugin]);
        assert!(
            code == 3 && stderr.contains("P0941") && stderr.contains(install),
            "{language}: {stderr}"
        );
    }
    // A compiler is there, and nothing to link macros with.
    symlink("/usr/bin/true", bin.join("cargo")).unwrap();
    let (code, _, stderr) = context.ended(&["build", "p-rust"]);
    assert!(
        code == 3 && stderr.contains("P0941") && stderr.contains("build-essential"),
        "{stderr}"
    );
    // One of the two tools of JavaScript, as an older `package.json` has it.
    symlink("/usr/bin/true", bin.join("node")).unwrap();
    let modules = context.project().join("p-javascript/node_modules");
    fs::create_dir_all(modules.join("componentize-qjs")).unwrap();
    let (code, _, stderr) = context.ended(&["build", "p-javascript"]);
    assert!(
        code == 3 && stderr.contains("P0941") && stderr.contains("--save-dev esbuild@"),
        "{stderr}"
    );
    let (code, _, stderr) = context.ended(&["build"]);
    assert!(code == 2 && stderr.contains("plugin.toml"), "{stderr}");
}

#[test]
fn a_build_script_reaches_the_plugins_directory_and_nothing_else_of_the_authors() {
    let Some(context) = rust_author("a_build_script") else {
        return;
    };
    let secret = context.home().join("secret.txt");
    fs::write(&secret, "secret").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let manifest = "id = \"p\"\nversion = \"0.1.0\"\nworld = \"portcullis:cli/plugin@0.1.0\"\n";
    context.write("p/plugin.toml", manifest);
    context.write(
        "p/Cargo.toml",
        "[package]\nname = \"p\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\"]\n[workspace]\n",
    );
    context.write("p/src/lib.rs", "");
    let probe = |what: &str| {
        let text = format!(
            "fn main() {{\n    let read = std::fs::read({secret:?}).is_ok();\n    \
             let sent = std::net::TcpStream::connect(\"{address}\").is_ok();\n    \
             std::fs::write(\"{what}.txt\", format!(\"{{read}} {{sent}}\")).unwrap();\n}}\n"
        );
        context.write("p/build.rs", text);
        context.project().join(format!("p/{what}.txt"))
    };
    let found = probe("confined");
    done(&context, "p", &["build"]);
    assert_eq!(fs::read_to_string(found).unwrap(), "false false");
    // The probe finds what is there.
    let found = probe("unconfined");
    done(&context, "p", &["build", "--unconfined"]);
    assert_eq!(fs::read_to_string(found).unwrap(), "true true");
}
