//! Playing the screens of a page.
//!
//! A line that begins with `$ ` is a command, and what follows is all that it prints, to both of its streams. A block that shows
//! no output at all is a list of commands, each of which succeeds, whatever it prints. The commands of a page are run one
//! after the other, in one shell as far as directories go. What may differ between a page and a run is in [`PATTERNS`], and:
//!
//! - the home is `/home/ann` on a page;
//! - hosts that a scene has in place of those that the page names;
//! - a line `…` on a page stands for any number of lines.

use std::fs;
use std::io::Read as _;
use std::process::Stdio;
use std::sync::LazyLock;

use regex::Regex;
use similar::TextDiff;

use super::pages;
use super::scene::Scene;
use super::stand_ins::{self, Instead};
use crate::session::Session;

/// What differs from run to run and from machine to machine, on both sides.
const PATTERNS: [(&str, &str); 8] = [
    // Orders to a terminal.
    (r"[\x0f\x18]|\x1b(\[[0-9;?]*[A-Za-z]|\([A-Z])", ""),
    // Digests, which a page may cut.
    (r"\b[0-9a-f]{64}\b|\b[0-9a-f]{4,63}…", "[DIGEST]"),
    (r"\b[0-9a-f]{40}\b", "[COMMIT]"),
    (r"\brun [0-9a-f]{12}\b", "run [RUN]"),
    (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|\+00:00)", "[TIME]"),
    (r" *\b\d+(\.\d+)? (ms|µs|s)\b", "[TIME]"),
    (r"\b\d+ (KiB|bytes)\b", "[SIZE]"),
    // What git looks at, and how often a call is tried.
    (r"\b\d+ (paths|trials)\b", "[COUNT]"),
];

static FILTERS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let filters = PATTERNS.iter();
    let filters = filters.map(|(pattern, stands_for)| (Regex::new(pattern).unwrap(), *stands_for));
    filters.collect()
});

/// A command of a screen.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    command: String,
    prints: String,
}

/// Plays the screens of a page in its scene; where the scene cannot be made it has said so.
pub(super) fn page(page: &str, scene: fn() -> Option<Scene>) {
    let Some(mut scene) = scene() else {
        return;
    };
    let mut faults = String::new();
    for (nth, block) in pages::of(page, "console").iter().enumerate() {
        scene.before(nth);
        let steps = steps(&block.text);
        assert!(!steps.is_empty(), "{page}:{}: no command", block.line);
        let is_list = steps.iter().all(|step| step.prints.is_empty());
        for step in steps {
            let (succeeded, printed) = match stand_ins::instead(page, &step.command) {
                None => run(&mut scene, &step.command),
                Some(Instead::Run(other)) => run(&mut scene, other),
                Some(Instead::Ask(args)) => ask(&scene, args),
                Some(Instead::Nothing) => continue,
            };
            let (shown, printed) = (plain(&step.prints), plain(&scene.as_written(&printed)));
            let place = format!("{page}:{}: $ {}\n", block.line, step.command);
            if is_list && !succeeded {
                faults += &format!("{place}fails:\n{printed}\n");
            } else if !is_list && !fits(&shown, &printed) {
                let diff = TextDiff::from_lines(&shown, &printed);
                faults += &format!("{place}{}\n", diff.unified_diff().header("page", "run"));
            }
        }
    }
    assert!(faults.is_empty(), "{faults}");
}

fn steps(screen: &str) -> Vec<Step> {
    let mut steps = Vec::<Step>::new();
    for line in screen.lines() {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push(Step {
                command: command.to_owned(),
                prints: String::new(),
            }),
            (None, Some(step)) => step.prints += &format!("{line}\n"),
            (None, None) => panic!("a screen begins with a command, not with `{line}`"),
        }
    }
    steps
}

/// Whether it succeeded, and what it printed.
fn run(scene: &mut Scene, command: &str) -> (bool, String) {
    let after = scene.context.root().join("after");
    // Wherever the command goes, the next one begins there.
    let script = format!(
        "{}\nstatus=$?\npwd > '{}'\nexit $status",
        scene.as_real(command),
        after.display()
    );
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut shell = scene.context.command("setsid");
    shell
        .args(["--wait", "sh", "-c", &script])
        .current_dir(&scene.here)
        .stdin(Stdio::null())
        .stdout(writer.try_clone().unwrap())
        .stderr(writer);
    let mut child = shell.spawn().unwrap();
    // It keeps the writing ends, without which there would be no end of the file.
    drop(shell);
    let mut printed = Vec::new();
    reader.read_to_end(&mut printed).unwrap();
    let succeeded = child.wait().unwrap().success();
    scene.here = fs::read_to_string(after).unwrap().trim_end().into();
    (succeeded, String::from_utf8(printed).unwrap())
}

/// The same of Portcullis at a terminal, where somebody says no.
fn ask(scene: &Scene, args: &[&str]) -> (bool, String) {
    // As wide as no path of a test is long.
    let script = format!(
        "stty columns 200 && cd '{}' && exec \"$@\"",
        scene.here.display()
    );
    let mut session = Session::script(&scene.context, &script, args);
    session.waits_for("/N] ").types("\n");
    let (code, printed) = session.ends();
    (code == 0, printed)
}

/// Without what may differ.
fn plain(text: &str) -> String {
    // A terminal ends its lines in another way.
    let text = text.replace('\r', "");
    let text = FILTERS.iter().fold(text, |text, (pattern, stands_for)| {
        pattern.replace_all(&text, *stands_for).into_owned()
    });
    let lines = text.lines().map(|line| format!("{}\n", line.trim_end()));
    lines.skip_while(|line| line == "\n").collect()
}

/// Whether a run printed what a page shows, whose lines `…` stand for any.
fn fits(shown: &str, printed: &str) -> bool {
    let shown: Vec<_> = shown.lines().collect();
    let printed: Vec<_> = printed.lines().collect();
    lines_fit(&shown, &printed)
}

fn lines_fit(shown: &[&str], printed: &[&str]) -> bool {
    match (shown, printed) {
        ([], printed) => printed.is_empty(),
        ([any, rest @ ..], printed) if any.trim() == "…" => {
            (0..=printed.len()).any(|from| lines_fit(rest, &printed[from..]))
        }
        ([first, rest @ ..], [line, others @ ..]) => first == line && lines_fit(rest, others),
        (_, []) => false,
    }
}

#[test]
fn a_screen_is_commands_and_what_they_print() {
    let step = |command: &str, prints: &str| Step {
        command: command.to_owned(),
        prints: prints.to_owned(),
    };
    assert_eq!(
        steps("$ a\n$ b # c\n1\n\n2\n"),
        [step("a", ""), step("b # c", "1\n\n2\n")]
    );
}

#[test]
fn what_may_differ_does_and_nothing_else() {
    let digest = "5d9f9fc15be86fcb3e134c0391312752c50f4d614c64c012642e3664cce6c3d6";
    let alike = |one: &str, other: &str| fits(&plain(one), &plain(other));
    for (page, run) in [
        ("sha256 5d9f…\n", &*format!("sha256 {digest}\n")),
        ("ok  a (61 ms)\n", "ok  a (1234 ms)\n"),
        ("after 5208 µs\n", "after 1 µs\n"),
        ("trace    14.112 ms  a\n", "trace  1234.5 ms  a\n"),
        ("a, 17941 KiB\n", "a, 1 KiB\n"),
        ("a\n  …\nd\n", "a\nb\nc\nd\n"),
        ("…\n", ""),
        ("a\n", "a\r\n"),
    ] {
        assert!(alike(page, run), "{page:?} {run:?}");
    }
    for (page, run) in [
        ("a 2\n", "a 3\n"),
        ("a\n", "a\nb\n"),
        ("a\nb\n", "a\n"),
        ("a\n…\nd\n", "a\nb\n"),
        ("ok  a (61 ms)\n", "FAILED  a (61 ms)\n"),
        ("3 files\n", "4 files\n"),
    ] {
        assert!(!alike(page, run), "{page:?} {run:?}");
    }
}
