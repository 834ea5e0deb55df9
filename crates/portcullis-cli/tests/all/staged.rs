//! `--stage`: what is written goes to an overlay, is shown, and is committed whole or not at all. Every run is a real one, of
//! a user who is not root, for whom there are no staged writes.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, lchown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::context::{Context, is_alive};
use crate::session::Session;

/// Who runs, where the tests are run as root.
const ORDINARY: u32 = 61234;

/// Has a command started by who runs.
pub(crate) fn by_an_ordinary_user(mut command: Command) -> Command {
    if rustix::process::geteuid().is_root() {
        command.uid(ORDINARY).gid(ORDINARY);
    }
    command
}

/// Exit code and standard error.
fn ended(mut command: Command) -> (i32, String) {
    let Output { status, stderr, .. } = command.output().unwrap();
    (status.code().unwrap(), String::from_utf8(stderr).unwrap())
}

pub(crate) struct Scene(pub(crate) Context);

impl Scene {
    fn new() -> Self {
        Self::of(Context::for_everybody())
    }

    pub(crate) fn of(context: Context) -> Self {
        let scene = Self(context);
        scene.write("file", "old");
        scene.write("dir/inner", "old");
        scene.own();
        scene
    }

    /// With a guest as `p.wasm` in the project.
    fn with_guest(name: &str) -> Self {
        let context = Context::for_everybody();
        let guest = portcullis_testkit::guest(name);
        fs::copy(guest, context.project().join("p.wasm")).unwrap();
        Self::of(context)
    }

    /// Has everything belong to who runs.
    pub(crate) fn own(&self) {
        own(&self.0.root());
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.write(name, text);
        self.own();
        path
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.project().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| error.kind().to_string())
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        by_an_ordinary_user(self.0.portcullis(args))
    }

    fn output(&self, args: &[&str]) -> (i32, String) {
        ended(self.command(args))
    }

    /// A shell that does this in the project, staged.
    fn shell(&self, commit: &str, script: &str) -> Command {
        let stage = format!("--stage={commit}");
        self.command(&["exec", &stage, "--write", ".", "--", "sh", "-c", script])
    }

    /// Has a shell do this in the project, staged.
    fn staged(&self, commit: &str, script: &str) -> (i32, String) {
        ended(self.shell(commit, script))
    }

    /// That a run with this script is refused with these words, and changes nothing.
    fn refused(&self, script: &str, words: &str) {
        let script = format!("echo x > harmless && {script}");
        let (code, text) = self.staged("always", &script);
        assert_eq!(code, 125, "{text}");
        assert!(text.contains("P0961"), "{text}");
        assert!(text.contains(words), "{text}");
        assert!(!self.path("harmless").exists(), "{text}");
        assert_eq!(self.stages(), 0);
    }

    /// Stages that are kept.
    fn stages(&self) -> usize {
        let dir = self.0.home().join(".local/share/portcullis/stages");
        let entries = fs::read_dir(dir).unwrap().flatten();
        entries.filter(|entry| entry.path().is_dir()).count()
    }
}

fn own(path: &Path) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    lchown(path, Some(ORDINARY), Some(ORDINARY)).unwrap();
    if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(path).unwrap() {
            own(&entry.unwrap().path());
        }
    }
}

#[test]
fn what_is_changed_is_shown_and_committed() {
    let scene = Scene::new();
    let (code, text) = scene.staged(
        "always",
        "echo new > file; mkdir made; echo x > made/y; rm -r dir; ln -s made/y to; cat file",
    );
    assert_eq!(code, 0, "{text}");
    for line in [
        "~ file  (4 bytes, mode 0644; was 3 bytes)",
        "+ made  (directory, mode 0755)",
        "+ made/y",
        "- dir  (directory)",
        "- dir/inner  (3 bytes)",
        "+ to  (link to `made/y`)",
        "committed 6 changes",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert_eq!(scene.read("file"), "new\n");
    assert_eq!(scene.read("to"), "x\n");
    assert!(!scene.path("dir").exists());
    assert_eq!(scene.stages(), 0);
    let trail = scene.output(&["audit", "verify"]);
    assert_eq!(trail.0, 0, "{trail:?}");
    let shown = scene.command(&["audit", "show"]).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.contains("6 changes of `exec` are committed to"),
        "{shown}"
    );
}

#[test]
fn directories_are_replaced_and_moved() {
    let scene = Scene::new();
    scene.write("dir/sub/deep", "deep");
    scene.write("other/one", "1");
    let (code, text) = scene.staged(
        "always",
        "rm -r dir; mkdir dir; echo again > dir/inner; mv other moved; rm file; mkdir file; echo x > file/y",
    );
    assert_eq!(code, 0, "{text}");
    for line in [
        "- dir/sub/deep",
        "~ dir/inner",
        "- other/one",
        "+ moved/one",
        "- file",
        "+ file/y",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let there = |name: &str| scene.path(name).exists();
    assert_eq!(
        (scene.read("dir/inner").as_str(), there("dir/sub")),
        ("again\n", false)
    );
    assert_eq!(
        (scene.read("moved/one").as_str(), there("other")),
        ("1", false)
    );
    assert_eq!(scene.read("file/y"), "x\n");
}

#[test]
fn unconfined_commands_are_not_staged() {
    let scene = Scene::new();
    let (code, text) = scene.output(&[
        "exec",
        "--confinement",
        "limits",
        "--stage=always",
        "--write",
        ".",
        "--",
        "sh",
        "-c",
        "echo new > file",
    ]);
    assert_eq!(code, 125, "{text}");
    assert!(text.contains("P0960"), "{text}");
    assert_eq!(scene.read("file"), "old");
}

#[test]
fn nothing_is_written_before_it_is_committed() {
    let scene = Scene::new();
    let mut child = scene
        .shell("always", "echo new > file; cat file; read x")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = [0; 4];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut line).unwrap();
    assert_eq!((&line, scene.read("file").as_str()), (b"new\n", "old"));
    drop(child.stdin.take());
    // `read` fails at the end of its input, and with it the run.
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert_eq!(scene.read("file"), "old");
}

#[test]
fn without_a_terminal_nothing_is_committed_and_the_code_says_so() {
    let scene = Scene::new();
    let (code, text) = scene.output(&[
        "exec",
        "--stage",
        "--write",
        ".",
        "--",
        "sh",
        "-c",
        "echo new > file",
    ]);
    assert_eq!(code, 125, "{text}");
    assert!(text.contains("~ file"), "{text}");
    assert!(
        text.contains("there is no terminal") && text.contains("--stage=always"),
        "{text}"
    );
    assert_eq!(scene.read("file"), "old");
    assert_eq!(scene.staged("never", "echo new > file").0, 0);
    assert_eq!(scene.read("file"), "old");
    let (code, text) = scene.staged("always", "echo new > file; exit 7");
    assert_eq!(code, 7);
    assert!(text.contains("nothing is committed"), "{text}");
    assert_eq!(scene.read("file"), "old");
    assert_eq!(scene.stages(), 0);
}

#[test]
fn a_document_has_the_run_and_what_became_of_it() {
    let scene = Scene::new();
    let output = scene
        .command(&[
            "exec",
            "--json",
            "--stage=always",
            "--write",
            ".",
            "--",
            "sh",
            "-c",
            "echo new > file",
        ])
        .output()
        .unwrap();
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["schema_version"], 1);
    assert_eq!(document["exit_code"], 0);
    assert_eq!(document["staged"]["committed"], true);
    assert_eq!(document["staged"]["changes"]["list"][0]["kind"], "changed");
}

#[test]
fn a_plugin_writes_by_both_of_its_ways() {
    let scene = Scene::with_guest("files");
    let acts = [
        "write\u{1f}file\u{1f}new",
        "wasi-write\u{1f}other\u{1f}new",
        "read\u{1f}other",
    ];
    let run = |commit: &str| {
        let stage = format!("--stage={commit}");
        scene.output(&[&["run", &stage, "--allow-write=.", "p.wasm"][..], &acts].concat())
    };
    let (code, text) = run("never");
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("+ other") && text.contains("~ file"),
        "{text}"
    );
    assert_eq!(
        (scene.read("file").as_str(), scene.path("other").exists()),
        ("old", false)
    );
    assert_eq!(run("always").0, 0);
    assert_eq!(
        (scene.read("file").as_str(), scene.read("other").as_str()),
        ("new", "new")
    );
}

#[test]
fn a_plugin_and_its_commands_see_what_the_other_wrote() {
    let scene = Scene::with_guest("both");
    let output = scene
        .command(&[
            "run",
            "--stage=always",
            "--allow-exec=sh",
            "--allow-write=.",
            "p.wasm",
            "write\u{1f}file\u{1f}by the plugin",
            "write\u{1f}new\u{1f}one",
            "sh\u{1f}cat file new; echo by a command > file; echo two > another; rm new",
            "read\u{1f}file",
            "read\u{1f}another",
            "sh\u{1f}cat file; ls new > /dev/null 2>&1 || echo gone",
            "write\u{1f}another\u{1f}three",
            "sh\u{1f}cat another",
        ])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert_eq!(
        String::from_utf8(output.stdout).unwrap().trim_end(),
        "ok\nok\nby the pluginone\nby a command\n\ntwo\n\nby a command\ngone\n\nok\nthree"
    );
    assert_eq!(scene.read("file"), "by a command\n");
    assert_eq!(
        (scene.read("another").as_str(), scene.path("new").exists()),
        ("three", false)
    );
}

/// Each process is far below the limit.
#[test]
fn the_limits_of_a_rule_hold_in_a_staged_run() {
    let scene = Scene::new();
    let policy =
        "[[plugins]]\nid = \"exec\"\nexec.allow = [{ program = \"sh\", memory = \"150MiB\" }]\n";
    let policy = scene.write("../policy.toml", policy);
    let eat = |times: usize| {
        let script = format!(
            "echo new > file; for n in $(seq {times}); do \
             python3 -c 'import time; block = b\"x\" * (30 << 20); time.sleep(3)' & done; wait"
        );
        let args = [
            "exec",
            "--config",
            policy.to_str().unwrap(),
            "--stage=always",
            "--write",
            ".",
        ];
        scene.output(&[&args[..], &["--", "sh", "-c", &script]].concat())
    };
    let (code, text) = eat(10);
    assert_ne!(code, 0, "{text}");
    assert!(text.contains("memory"), "{text}");
    assert_eq!(scene.read("file"), "old");
    let (code, text) = eat(1);
    assert_eq!(code, 0, "{text}");
    assert_eq!(scene.read("file"), "new\n");
}

#[test]
fn a_policy_stages_what_it_says() {
    let scene = Scene::with_guest("files");
    let policy = |commit: &str| {
        scene.write(
            "../policy.toml",
            &format!(
                "[[plugins]]\nid = \"p\"\npath = \"project/p.wasm\"\n\
                 fs.write = [{{ path = \"project\", as = \".\", staged = true }}]\n{commit}"
            ),
        )
    };
    let path = policy("");
    let run = || {
        scene.output(&[
            "run",
            "--config",
            path.to_str().unwrap(),
            "p",
            "write\u{1f}file\u{1f}new",
        ])
    };
    let (code, text) = run();
    assert_eq!(code, 125, "{text}");
    assert!(text.contains("there is no terminal"), "{text}");
    assert_eq!(scene.read("file"), "old");
    policy("fs.commit = \"always\"\n");
    let (code, text) = run();
    assert_eq!(code, 0, "{text}");
    assert_eq!(scene.read("file"), "new");
}

#[test]
fn what_would_be_staged_is_said_before_it_is() {
    let context = Context::with_guest("exec-args");
    let policy = |staged: bool| {
        context.write(
            "policy.toml",
            format!(
                "[[plugins]]\nid = \"p\"\npath = \"p.wasm\"\nexec.allow = [\"true\"]\n\
                 fs.write = [{{ path = \"out\", staged = {staged} }}]\nfs.commit = \"never\"\n"
            ),
        );
    };
    let out = context.project().join("out");
    fs::create_dir(&out).unwrap();
    let said: [&[&str]; 3] = [
        &["run", "--dry-run", "--config", "policy.toml", "p"],
        &["inspect", "--config", "policy.toml", "p"],
        &["explain", "--config", "policy.toml", "p", "exec", "true"],
    ];
    let words = "is staged: shown and thrown away";
    let staged = serde_json::json!({ "directories": [out], "commit": "never" });
    for is_staged in [true, false] {
        policy(is_staged);
        for args in said {
            let (code, text, _) = context.ended(args);
            assert_eq!(code, 0, "{args:?}: {text}");
            assert_eq!(text.contains(words), is_staged, "{args:?}: {text}");
            let json = [&args[..1], &["--json"], &args[1..]].concat();
            let document = context.ended(&json).1;
            let document: serde_json::Value = serde_json::from_str(&document).unwrap();
            let said = document.get("grants").unwrap_or(&document)["staged"].clone();
            let expected = if is_staged {
                &staged
            } else {
                &serde_json::Value::Null
            };
            assert_eq!(&said, expected, "{args:?}");
        }
    }
    let flag = ["--stage", "--write", "out", "--dry-run", "--", "true"];
    let (code, text, _) = context.ended(&[&["exec"], &flag[..]].concat());
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("is staged: shown, and committed if you agree"),
        "{text}"
    );
    let (_, text, _) = context.ended(&[&["exec", "--json"], &flag[..]].concat());
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["staged"]["commit"], "ask");
    let run = [
        "run",
        "--stage=always",
        "--dry-run",
        "--config",
        "policy.toml",
        "p",
    ];
    let (_, text, _) = context.ended(&run);
    assert!(text.contains("is staged: shown and committed"), "{text}");
}

#[test]
fn root_is_told_that_it_cannot_be() {
    if !rustix::process::geteuid().is_root() {
        return crate::context::skip("the tests are not run as root");
    }
    let context = Context::for_everybody();
    let file = context.write("file", "old");
    let (code, _, text) = context.ended(&[
        "exec",
        "--stage=always",
        "--write",
        ".",
        "--",
        "sh",
        "-c",
        "echo new > file",
    ]);
    assert_eq!(code, 125);
    assert!(
        text.contains("P0960") && text.contains("run it as another user"),
        "{text}"
    );
    assert_eq!(fs::read_to_string(file).unwrap(), "old");
}

#[test]
fn a_file_cannot_be_staged() {
    let scene = Scene::new();
    let (code, text) = scene.output(&["exec", "--stage", "--write", "file", "--", "true"]);
    assert_eq!(code, 125);
    assert!(
        text.contains("P0960") && text.contains("granted as a file"),
        "{text}"
    );
}

#[test]
fn what_is_not_committed_is_refused() {
    let scene = Scene::new();
    scene.refused("ln -s /etc/passwd x", "a link to `/etc/passwd`");
    scene.refused("ln -s ../home x", "a link to `../home`");
    scene.refused("rm -r dir && ln -s ../home dir", "a link to `../home`");
    scene.refused(
        "echo x > .portcullis-stage-1",
        "its name is one that Portcullis uses",
    );
    scene.refused("chmod 777 .", "the mode of the directory itself");
    scene.refused("mkfifo x", "a device, a socket or a FIFO");
    assert_eq!(scene.read("dir/inner"), "old");
    // These a command cannot make in the first place; that they are refused is shown on made layers.
    let (code, _) = scene.staged("always", "cp /bin/true x; chmod u+s x || exit 3");
    assert_eq!(code, 3);
}

#[test]
fn a_whiteout_device_is_nothing_but_a_removal() {
    let scene = Scene::new();
    // What overlayfs takes for a removal can be made by whoever can make a file.
    let (code, text) = scene.staged(
        "always",
        "mknod dir/x c 0 0; mknod y c 1 3; ls -la dir; true",
    );
    assert_eq!(code, 0, "{text}");
    for name in ["dir/x", "y"] {
        let meta = fs::symlink_metadata(scene.path(name));
        assert!(
            meta.is_err() || !meta.unwrap().file_type().is_char_device(),
            "{text}"
        );
    }
}

#[test]
fn protected_names_are_kept_in_the_overlay_and_at_the_commit() {
    let scene = Scene::new();
    scene.write(".vscode/tasks.json", "old");
    scene.write(".git/HEAD", "ref: refs/heads/main\n");
    scene.write(".git/config", "[core]\n\tbare = false\n");
    scene.write(".git/hooks/pre-commit.sample", "old");
    for name in ["objects", "refs"] {
        fs::create_dir(scene.path(&format!(".git/{name}"))).unwrap();
    }
    scene.own();
    for script in [
        "echo x > .vscode/tasks.json",
        "rm -rf .vscode",
        "mv .vscode old; mkdir .vscode; echo x > .vscode/tasks.json",
        "mkdir .VSCODE; echo x > .VSCODE/tasks.json",
        "rm -rf .git",
        "echo x > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit",
        "echo x > .envrc",
        "printf '[alias]\\n\\tx = !x\\n' >> .git/config",
    ] {
        let _ = scene.staged("always", &format!("{script}; true"));
        assert_eq!(scene.read(".vscode/tasks.json"), "old", "{script}");
        assert_eq!(
            scene.read(".git/hooks/pre-commit.sample"),
            "old",
            "{script}"
        );
        assert_eq!(
            scene.read(".git/config"),
            "[core]\n\tbare = false\n",
            "{script}"
        );
        for name in [".envrc", ".VSCODE/tasks.json", ".git/hooks/pre-commit"] {
            assert!(!scene.path(name).exists(), "{script}: {name}");
        }
    }
}

#[test]
fn names_are_escaped_and_what_is_not_printed_is_counted() {
    let scene = Scene::new();
    let (code, text) = scene.staged(
        "always",
        "touch \"$(printf 'a\\nb\\033[2Jc\\342\\200\\256')\"; mkdir many; cd many; seq 1 5000 | xargs touch",
    );
    assert_eq!(code, 0, "{text}");
    assert!(text.contains(r"+ a\nb\u{1b}[2Jc\u{202e}"), "{text:?}");
    assert!(text.contains("more: "), "{}", text.len());
    assert!(text.lines().count() < 300);
    assert!(!text.contains('\u{1b}'));
    assert_eq!(fs::read_dir(scene.path("many")).unwrap().count(), 5000);
}

#[test]
fn what_somebody_else_changed_meanwhile_is_kept() {
    changed_meanwhile(
        |file| fs::write(file, "mine").unwrap(),
        "was changed meanwhile",
    );
    // Only the mark that the kernel leaves in the layer says that it was there.
    changed_meanwhile(|file| fs::remove_file(file).unwrap(), "is gone");
}

fn changed_meanwhile(change: fn(&Path), words: &str) {
    let scene = Scene::new();
    let mut child = scene
        .shell("always", "echo theirs > file; echo ready; read x; true")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = [0; 6];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut line).unwrap();
    change(&scene.path("file"));
    let now = scene.read("file");
    drop(child.stdin.take());
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(125), "{text}");
    assert!(text.contains(words), "{text}");
    assert_eq!(scene.read("file"), now);
}

#[test]
fn nothing_is_left_that_writes_later() {
    let scene = Scene::new();
    let (code, text) = scene.staged(
        "always",
        "echo one > file; (setsid sh -c 'sleep 1; echo late > file; echo late > new' > /dev/null 2>&1 &) ; true",
    );
    assert_eq!(code, 0, "{text}");
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(scene.read("file"), "one\n");
    assert!(!scene.path("new").exists());
}

#[test]
fn killed_with_its_run_nothing_is_committed_and_the_next_one_tidies_up() {
    let scene = Scene::new();
    let mut child = scene
        .shell("always", "echo new > file; echo $$; exec sleep 600")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut byte = [0; 1];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut byte).unwrap();
    let inside = descendants(child.id());
    assert!(inside.len() > 2, "{inside:?}");
    child.kill().unwrap();
    child.wait().unwrap();
    let waited = Instant::now();
    while inside.iter().any(|pid| is_alive(&pid.to_string())) {
        assert!(waited.elapsed() < Duration::from_secs(20), "{inside:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(scene.read("file"), "old");
    assert_eq!(scene.stages(), 1);
    assert_eq!(scene.staged("always", "true").0, 0);
    assert_eq!(scene.stages(), 0);
}

#[test]
fn stages_are_listed_and_those_of_killed_runs_are_cleared() {
    let scene = Scene::new();
    let stages = |verb: &str| {
        let output = scene.command(&["stages", verb, "--json"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    assert_eq!(stages("list")["stages"], serde_json::json!([]));
    let start = || {
        let mut child = scene
            .shell("always", "echo new > file; echo x; read x; true")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut byte = [0; 1];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut byte).unwrap();
        child
    };
    let (mut lives, mut killed) = (start(), start());
    let inside = descendants(killed.id());
    killed.kill().unwrap();
    killed.wait().unwrap();
    while inside.iter().any(|pid| is_alive(&pid.to_string())) {
        std::thread::sleep(Duration::from_millis(10));
    }
    let listed = stages("list");
    let of = |in_use: bool| {
        let all = listed["stages"].as_array().unwrap();
        all.iter().find(|stage| stage["in_use"] == in_use).unwrap()
    };
    assert_eq!(listed["stages"].as_array().unwrap().len(), 2, "{listed}");
    assert_eq!(of(false)["plugin"], "exec");
    assert_eq!(of(false)["commit"], "none");
    let project = scene.0.project().canonicalize().unwrap();
    assert_eq!(of(true)["directories"][0], project.to_str().unwrap());
    let cleared = stages("clear");
    assert_eq!(cleared["cleared"][0]["path"], of(false)["path"]);
    assert_eq!(
        (&cleared["in_use"], &cleared["stuck"]),
        (&1.into(), &0.into())
    );
    assert_eq!((scene.stages(), scene.read("file").as_str()), (1, "old"));
    // The one in use goes on, and is committed.
    use std::io::Write as _;
    lives.stdin.take().unwrap().write_all(b"x\n").unwrap();
    assert_eq!(lives.wait().unwrap().code(), Some(0));
    assert_eq!((scene.stages(), scene.read("file").as_str()), (0, "new\n"));
}

#[test]
fn what_lies_among_the_stages_and_is_none_of_ours_is_refused() {
    let scene = Scene::new();
    assert_eq!(scene.staged("never", "true").0, 0);
    let stages = scene.0.home().join(".local/share/portcullis/stages");
    symlink(scene.path("dir"), stages.join("0123456789abcdef")).unwrap();
    scene.own();
    for args in [["stages", "list"], ["stages", "clear"]] {
        let (code, text) = scene.output(&args);
        assert_eq!(code, 3, "{text}");
        assert!(
            text.contains("P0960") && text.contains("0123456789abcdef"),
            "{text}"
        );
    }
    assert_eq!(scene.read("dir/inner"), "old");
}

#[test]
fn a_signal_reaches_the_run() {
    let scene = Scene::new();
    let mut child = scene
        .shell("always", "echo new > file; echo x; exec sleep 600")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut byte = [0; 1];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut byte).unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert_eq!(scene.read("file"), "old");
}

#[test]
fn a_relative_working_directory_is_the_staged_one() {
    let scene = Scene::new();
    let script = "echo new > inner; cat inner; cat ../dir/inner";
    let mut command = scene.command(&[
        "exec",
        "--stage=never",
        "--write",
        "..",
        "--",
        "sh",
        "-c",
        script,
    ]);
    let output = command.current_dir(scene.path("dir")).output().unwrap();
    assert_eq!(
        output.stdout,
        b"new\nnew\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(scene.read("dir/inner"), "old");
}

#[test]
fn a_person_at_the_terminal_agrees_or_not() {
    let scene = Scene::new();
    for (answer, code, content) in [
        ("\n", 125, "old"),
        ("y\n", 125, "old"),
        ("yes\n", 0, "new\n"),
    ] {
        let mut session = at_a_terminal(&scene, "echo new > file");
        session
            .waits_for("~ file")
            .waits_for("Commit it? [yes/diff/N] ")
            .types(answer);
        let (ended, text) = session.ends();
        assert_eq!(ended, code, "{answer:?}: {text}");
        assert_eq!(scene.read("file"), content, "{answer:?}");
    }
}

/// A shell that does this in the project, staged, and somebody to be asked.
fn at_a_terminal(scene: &Scene, script: &str) -> Session {
    let user = match rustix::process::geteuid().is_root() {
        true => {
            format!("exec setpriv --reuid {ORDINARY} --regid {ORDINARY} --clear-groups \"$@\"")
        }
        false => "exec \"$@\"".to_owned(),
    };
    let args = ["exec", "--stage", "--write", ".", "--", "sh", "-c", script];
    Session::script(&scene.0, &user, &args)
}

#[test]
fn what_is_in_the_files_can_be_looked_at_before_agreeing() {
    let scene = Scene::new();
    scene.write("text", "one\ntwo\n");
    let mut session = at_a_terminal(
        &scene,
        "printf 'one\\n\\033[2Jtwo\\n' > text; printf 'a\\0b' > file; head -c 300000 /dev/zero > long; seq 1000 > many; rm dir/inner",
    );
    session
        .waits_for("Commit it? [yes/diff/N] ")
        .types("diff\n")
        .waits_for("dir/inner")
        .waits_for("-old")
        .waits_for("file")
        .waits_for("3 bytes of text become 3 bytes that are no text")
        .waits_for("long")
        .waits_for("no file become more than 262144 bytes")
        .waits_for("many")
        .waits_for("+399")
        .waits_for("601 more rows of this file")
        .waits_for("text")
        .waits_for("@@ -1,2 +1,2 @@")
        .waits_for(" one")
        .waits_for("-two")
        .waits_for("+\\u{1b}[2Jtwo")
        .waits_for("as above?")
        .waits_for("Commit it? [yes/diff/N] ")
        .types("yes\n");
    let (ended, text) = session.ends();
    assert_eq!(ended, 0, "{text}");
    assert_eq!(scene.read("text"), "one\n\u{1b}[2Jtwo\n");
}

#[test]
fn a_link_to_the_base_is_no_way_around() {
    let scene = Scene::new();
    symlink("dir/inner", scene.path("mine")).unwrap();
    scene.own();
    assert_eq!(scene.staged("never", "echo new > mine").0, 0);
    assert_eq!(scene.read("dir/inner"), "old");
    let permissions = fs::Permissions::from_mode(0o444);
    fs::set_permissions(scene.path("file"), permissions).unwrap();
    assert_eq!(
        scene.staged("always", "chmod 644 file; echo new > file").0,
        0
    );
    assert_eq!(scene.read("file"), "new\n");
}

fn descendants(of: u32) -> Vec<u32> {
    let mut all = vec![of];
    let mut next = 0;
    while let Some(&above) = all.get(next) {
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else {
                continue;
            };
            let Some((_, rest)) = stat.rsplit_once(')') else {
                continue;
            };
            let parent = rest
                .split_whitespace()
                .nth(1)
                .and_then(|pid| pid.parse().ok());
            if parent == Some(above)
                && let Ok(pid) = entry.file_name().to_string_lossy().parse()
            {
                all.push(pid);
            }
        }
        next += 1;
    }
    all.split_off(1)
}

#[test]
fn scripts_of_the_system_run_and_those_of_other_users_do_not() {
    let scene = Scene::new();
    // A script on every Debian: nobody but root can change it, and in the namespace root has no number.
    let run = |program: &str| {
        let args = ["exec", "--stage=never", "--write", ".", "--", program];
        scene.output(&[&args[..], &["--version"]].concat())
    };
    let (code, text) = run("/usr/bin/ldd");
    assert_eq!(code, 0, "{text}");
    if !rustix::process::geteuid().is_root() {
        return;
    }
    // Every directory above it is root's.
    let place = tempfile::tempdir_in("/opt").unwrap();
    fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).unwrap();
    let script = place.path().join("script");
    fs::write(&script, "#!/bin/sh\nexit 0\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    for owner in [ORDINARY + 1, ORDINARY, 0] {
        lchown(&script, Some(owner), Some(owner)).unwrap();
        let (code, text) = run(script.to_str().unwrap());
        assert_ne!(code, 0, "{text}");
        assert!(
            text.contains("can be changed by an ordinary user"),
            "{text}"
        );
    }
}
