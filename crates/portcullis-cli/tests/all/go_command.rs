//! `run` with commands of WASI that Go made: they stay core modules, and everything is as with any other command.

use std::fs;
use std::io::Write;
use std::process::Stdio;
use std::sync::OnceLock;

use crate::context::Context;
use crate::core_form::{build, go};

/// The command as `p.wasm`, if Go is installed.
fn context() -> Option<Context> {
    static BUILT: OnceLock<Option<Vec<u8>>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let built = build("guests/go-command", &["go"], |command| {
            go(command);
        })?;
        let bytes = fs::read(&built).unwrap();
        fs::remove_file(built).unwrap();
        Some(bytes)
    });
    Some(Context::compiled_once("go", built.as_ref()?))
}

const QUIET: [&str; 3] = ["run", "-q", "--confinement=limits"];

fn run(context: &Context, flags: &[&str], words: &[&str]) -> (i32, String, String) {
    context.ended(&[&QUIET, flags, &["p.wasm", "--"], words].concat())
}

#[test]
fn it_is_called_and_ends_as_any_other() {
    let Some(context) = context() else { return };
    let context = context.env("MINE", "of the host").env("OTHER", "x");
    let (code, stdout, stderr) = run(&context, &[], &["args", "--dir", "x y"]);
    assert_eq!(
        (code, stdout.as_str()),
        (0, "p.wasm\nargs\n--dir\nx y\n"),
        "{stderr}"
    );
    for code in [0, 3, 255] {
        assert_eq!(run(&context, &[], &["exit", &code.to_string()]).0, code);
    }
    assert_eq!(run(&context, &[], &["env"]).1, "\n");
    let flags = ["--env", "MINE", "--env", "NEW=a=b", "--env", "UNSET"];
    assert_eq!(
        run(&context, &flags, &["env"]).1,
        "MINE=of the host\nNEW=a=b\n"
    );
    assert_eq!(run(&context, &[], &["sleep", "50"]).1, "slept true\n");
    let (code, _, stderr) = run(&context, &[], &["panic"]);
    assert_eq!(code, 2, "as everywhere: {stderr}");
    assert!(stderr.contains("panic: on purpose"), "{stderr}");
    let (code, stdout, _) = context.ended(&["inspect", "p.wasm"]);
    assert_eq!(code, 0);
    assert!(
        stdout.contains("a core module that is a command of WASI preview 1"),
        "{stdout}"
    );
}

#[test]
fn it_reads_standard_input() {
    let Some(context) = context() else { return };
    let long = "one\ntwo ".repeat(50_000);
    let mut child = context
        .portcullis(&["run", "-q", "p.wasm", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let text = long.clone();
    let writing = std::thread::spawn(move || stdin.write_all(text.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap();
    assert_eq!(output.stdout.len(), long.len());
    assert!(output.stdout == long.as_bytes());
}

#[test]
fn it_reaches_files_as_far_as_they_were_granted() {
    let Some(context) = context() else { return };
    for (name, text) in [
        ("secret", "secret"),
        ("read/file", "kept"),
        ("write/file", "text"),
        ("write/.git/hooks/pre-commit", "before"),
    ] {
        context.write(name, text);
    }
    for name in 0..500 {
        context.write(&format!("write/many/{name}"), "");
    }
    std::os::unix::fs::symlink("../secret", context.project().join("write/out")).unwrap();
    context.write(
        "policy.toml",
        "[[plugins]]\nid = \"p\"\npath = \"p.wasm\"\nfs.read = [{ path = \"read\", as = \"/read\" }]\n\
         fs.write = [{ path = \"write\", as = \"/data\" }]\n",
    );
    let denied = "Operation not permitted";
    let acts = [
        ("read /data/file", "text"),
        ("read /read/file", "kept"),
        ("write /data/new one", "ok"),
        ("append /data/new two", "ok"),
        ("read /data/new", "onetwo"),
        ("stat /data/new", "6 ----------"),
        ("mkdir /data/dir", "ok"),
        ("rename /data/new /data/dir/new", "ok"),
        ("list /data/dir", "new"),
        ("list /data", ".git dir file many out"),
        ("walk /data/many", "501"),
        ("symlink file /data/link", "ok"),
        ("read /data/link", "text"),
        ("remove /data/link", "ok"),
        ("remove /data/dir/new", "ok"),
        ("remove /data/dir", "ok"),
        // Refused.
        ("write /read/file x", denied),
        ("remove /read/file", denied),
        ("write /data/.git/hooks/pre-commit x", denied),
        ("write /data/.envrc x", denied),
        ("symlink ../evil /data/.envrc", denied),
        ("rename /data/.git /data/git", denied),
        ("read /data/out", denied),
        ("write /data/out x", denied),
        ("read /secret", "failed"),
        ("read /etc/passwd", "failed"),
    ];
    let words: Vec<_> = [
        "run",
        "--confinement=limits",
        "--config",
        "policy.toml",
        "p",
        "--",
        "each",
    ]
    .into_iter()
    .chain(acts.iter().map(|(act, _)| *act))
    .collect();
    let (code, stdout, stderr) = context.ended(&words);
    assert_eq!(code, 0, "{stderr}");
    let answers: Vec<_> = stdout.lines().collect();
    assert_eq!(answers.len(), acts.len(), "{stdout}");
    for ((act, wanted), answer) in acts.iter().zip(answers) {
        let refused = *wanted == denied || *wanted == "failed";
        if refused {
            assert!(
                answer.starts_with("failed: ") && answer.contains(wanted),
                "{act}: {answer}"
            );
        } else {
            assert_eq!(answer, *wanted, "{act}");
        }
    }
    let content = |name: &str| fs::read_to_string(context.project().join(name)).unwrap();
    assert_eq!(content("secret"), "secret");
    assert_eq!(content("read/file"), "kept");
    assert_eq!(content("write/.git/hooks/pre-commit"), "before");
    assert!(
        stderr.contains("plugin `p` may not write `")
            && stderr.contains("`.git/hooks` is protected"),
        "{stderr}"
    );
    let flags = ["--dir", "write::/data"];
    let (code, stdout, _) = run(&context, &flags, &["each", "write /data/by-flag x"]);
    assert_eq!((code, stdout.as_str()), (0, "ok\n"));
}

#[test]
fn its_time_and_memory_are_bounded() {
    let Some(context) = context() else { return };
    let policy = |limit: &str| {
        let policy = format!("[[plugins]]\nid = \"p\"\npath = \"p.wasm\"\n{limit}\n");
        context.write("policy.toml", policy);
    };
    let run = |words: &[&str]| {
        let flags = [
            "run",
            "--confinement=limits",
            "--config",
            "policy.toml",
            "p",
            "--",
        ];
        context.ended(&[&flags, words].concat())
    };
    policy("limits.call = \"2s\"");
    for words in [&["spin"][..], &["sleep", "600000"]] {
        let (code, _, stderr) = run(words);
        assert_eq!(code, 125, "{stderr}");
        assert!(stderr.contains("error[P0701]"), "{stderr}");
    }
    policy("limits.memory = \"64MiB\"");
    let (code, _, stderr) = run(&["eat"]);
    assert_eq!(code, 125, "{stderr}");
    assert!(
        stderr.contains("error[P0502]") && stderr.contains("out of memory"),
        "{stderr}"
    );
    assert_eq!(
        run(&["exit", "2"]).0,
        2,
        "that it leaves with 2 is no want of memory"
    );
    assert_eq!(run(&["args"]).0, 0);
}
