//! What others execute is not changed by a guest, though it may write the directory.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use portcullis::Activity;
use portcullis::audit::{Event, Verdict};
use portcullis::policy::{Code, FsAccess, Grants, Protect};

use crate::fixture::{Fixture, args, block_on, directory, none, programs, tests_by_wasi};

tests_by_wasi![
    protected_names_are_refused_and_their_neighbours_are_not,
    no_way_leads_round_by_links_and_renames,
    a_repository_cannot_be_put_together_around_a_configuration,
    a_git_directory_of_any_name_is_known,
    what_a_configuration_names_is_guarded,
    a_lifted_name_is_free,
    names_count_from_what_was_granted,
    times_are_guarded_too,
    the_operator_is_told_and_the_guest_is_not,
    a_link_that_is_swapped_meanwhile_never_leads_to_a_hook,
    a_directory_that_is_swapped_meanwhile_never_leads_to_a_hook,
];

/// A working tree under `/data`, with what a guest must not change.
struct Tree {
    guest: &'static str,
    fixture: Fixture,
    top: PathBuf,
}

impl Tree {
    fn new(guest: &'static str) -> Self {
        let fixture = Fixture::new();
        let top = fixture.path().join("tree");
        for dir in [
            ".git/hooks",
            ".git/objects",
            ".git/refs",
            ".git/modules",
            "src",
            ".config",
        ] {
            fs::create_dir_all(top.join(dir)).unwrap();
        }
        for file in [
            ".git/HEAD",
            ".git/config",
            ".git/hooks/pre-commit",
            "src/main.rs",
        ] {
            fs::write(top.join(file), "before").unwrap();
        }
        Self {
            guest,
            fixture,
            top,
        }
    }

    fn grants(&self) -> Grants {
        Grants {
            fs: vec![directory(&self.top, "/data", FsAccess::ReadWrite)],
            ..none()
        }
    }

    fn run(&self, grants: Grants, words: &[&str]) -> (String, Activity) {
        block_on(async {
            let mut instance = self.fixture.instance(self.guest, grants).await;
            let answer = instance.run(&args(words)).await.unwrap().unwrap();
            (answer, instance.activity().clone())
        })
    }

    /// What each act is answered.
    fn acts<'a>(&self, grants: Grants, acts: &[&'a str]) -> Vec<(&'a str, String)> {
        let (answers, _) = self.run(grants, &[&["acts"], acts].concat());
        let answers: Vec<_> = answers.lines().map(str::to_owned).collect();
        assert_eq!(answers.len(), acts.len(), "{answers:?}");
        acts.iter().copied().zip(answers).collect()
    }

    fn all_are(&self, answer: &str, acts: &[&str]) {
        let all: Vec<_> = acts.iter().map(|&act| (act, answer.to_owned())).collect();
        assert_eq!(self.acts(self.grants(), acts), all);
    }

    fn is_as_before(&self) {
        for file in [".git/HEAD", ".git/config", ".git/hooks/pre-commit"] {
            assert_eq!(
                fs::read_to_string(self.top.join(file)).unwrap(),
                "before",
                "{file}"
            );
        }
        let hooks: Vec<_> = fs::read_dir(self.top.join(".git/hooks")).unwrap().collect();
        assert_eq!(hooks.len(), 1, "{hooks:?}");
        for name in [".envrc", ".vscode", ".config/git", "sub/.git", ".bashrc"] {
            assert!(self.top.join(name).symlink_metadata().is_err(), "{name}");
        }
    }
}

const REFUSED: &str = "not-permitted";

fn protected_names_are_refused_and_their_neighbours_are_not(guest: &'static str) {
    let tree = Tree::new(guest);
    tree.all_are(
        REFUSED,
        &[
            "write /data/.git/hooks/pre-commit x",
            "overwrite /data/.git/hooks/pre-commit x",
            "truncate /data/.git/hooks/pre-commit",
            "open-link /data/.git/hooks/pre-commit",
            "create /data/.git/hooks/post-merge",
            "write-in /data/.git/hooks pre-commit x",
            "write-in /data/.git hooks/../config x",
            "write /data/src/../.git/config x",
            "write /data/.envrc x",
            "write /data/src/.envrc x",
            "mkdir /data/.vscode",
            "mkdir /data/.vscode/",
            "mkdir /data/.git/hooks/sub",
            "unlink /data/.git/hooks/pre-commit",
            "unlink /data/.git/config",
            "rmdir /data/.git/hooks",
            "symlink ../evil /data/.envrc",
            "link /data/src/main.rs /data/.envrc",
            "rename /data/src/main.rs /data/.envrc",
            "rename /data/src /data/.vscode",
        ],
    );
    tree.is_as_before();
    tree.all_are(
        "ok",
        &[
            "write /data/.git/index x",
            "write /data/.git/refs/config x",
            "write /data/.git/HEAD.lock before",
            "rename /data/.git/HEAD.lock /data/.git/HEAD",
            "read /data/.git/config",
            "read /data/.git/hooks/pre-commit",
            "write /data/src/main.rs x",
            "overwrite /data/src/main.rs y",
            "truncate /data/src/main.rs",
            "write /data/.gitignore x",
            "mkdir /data/hooks",
            "write-in /data/hooks pre-commit x",
            "write /data/config x",
            "mkdir /data/.config/app/",
            "link /data/config /data/second",
            "rename /data/second /data/third",
            "unlink /data/third",
            "symlink config /data/fourth",
            "write /data/fourth x",
            "unlink /data/fourth",
            "rename /data/hooks /data/scripts",
            "unlink /data/scripts/pre-commit",
            "rmdir /data/scripts",
        ],
    );
    tree.is_as_before();
}

fn no_way_leads_round_by_links_and_renames(guest: &'static str) {
    let tree = Tree::new(guest);
    symlink(".git/hooks", tree.top.join("handy")).unwrap();
    symlink(".git/hooks/pre-commit", tree.top.join("hook")).unwrap();
    symlink("hook", tree.top.join("chain")).unwrap();
    symlink("../.envrc", tree.top.join("src/dangling")).unwrap();
    tree.all_are(
        REFUSED,
        &[
            "write /data/handy/pre-commit x",
            "write /data/handy/new x",
            "write-in /data/handy pre-commit x",
            "write /data/hook x",
            "overwrite /data/hook x",
            "write /data/chain x",
            "write /data/src/dangling x",
            "mkdir /data/handy/../hooks/sub",
            // The directories above, and what would lie in their place.
            "rename /data/.git /data/git2",
            "rename /data/.git/ /data/git2",
            "rename /data/.git/modules /data/m",
            "rename /data/src /data/.git/modules",
            "rename /data/src /data/.git/modules/sub",
            "rename /data/src /data/.config",
            "rmdir /data/.git/modules",
            "rmdir /data/.config",
            "write /data/src/.git x",
            "symlink ../evil /data/src/.git",
            "symlink ../evil /data/.local",
            "link /data/src/main.rs /data/src/.git",
            // A second name to write it by.
            "link /data/.git/hooks/pre-commit /data/innocent",
            "link /data/.git/config /data/innocent",
            "rename /data/.git/hooks/pre-commit /data/innocent",
        ],
    );
    tree.is_as_before();
    tree.all_are(
        "ok",
        &[
            "symlink .git/hooks/pre-commit /data/look",
            "read /data/look",
            "unlink /data/hook",
            "unlink /data/chain",
            "mkdir /data/sub",
            "mkdir /data/.cargo",
            "rename /data/src /data/source",
        ],
    );
    tree.all_are(
        REFUSED,
        &["write /data/look x", "write /data/.cargo/config.toml x"],
    );
    tree.is_as_before();
    tree.all_are(
        "no-entry",
        &[
            "unlink /data/gone/.git/hooks/x",
            "unlink /data/.git/hooks/gone",
            "overwrite /data/.envrc x",
            "rename /data/.envrc /data/x",
        ],
    );
    let out = tree.acts(
        tree.grants(),
        &[
            "write /data/../out x",
            "mkdir /data/../out",
            "unlink /data/../tree/src/main.rs",
        ],
    );
    assert!(out.iter().all(|(_, answer)| answer == REFUSED), "{out:?}");
}

fn a_repository_cannot_be_put_together_around_a_configuration(guest: &'static str) {
    let tree = Tree::new(guest);
    tree.all_are(
        "ok",
        &[
            "mkdir /data/sub",
            "write /data/sub/config x",
            "mkdir /data/sub/objects",
            "mkdir /data/sub/refs",
            "write /data/sub/ref x",
        ],
    );
    tree.all_are(
        REFUSED,
        &[
            "write /data/sub/HEAD x",
            "symlink ref /data/sub/HEAD",
            "link /data/sub/ref /data/sub/HEAD",
            "rename /data/sub/ref /data/sub/HEAD",
            "rename /data/sub /data/.git",
        ],
    );
    tree.all_are("ok", &["unlink /data/sub/config", "write /data/sub/HEAD x"]);
    tree.all_are(
        REFUSED,
        &[
            "write /data/sub/config x",
            "mkdir /data/sub/hooks",
            "write /data/sub/commondir x",
        ],
    );
    // One that keeps its objects elsewhere.
    tree.all_are("ok", &["mkdir /data/linked", "write /data/linked/HEAD x"]);
    tree.all_are(REFUSED, &["write /data/linked/commondir x"]);
    tree.all_are(
        "ok",
        &["unlink /data/linked/HEAD", "write /data/linked/commondir x"],
    );
    tree.all_are(REFUSED, &["write /data/linked/HEAD x"]);
    // As git makes one.
    tree.all_are(
        "ok",
        &[
            "mkdir /data/new",
            "mkdir /data/new/.git",
            "write /data/new/.git/HEAD x",
            "mkdir /data/new/.git/objects",
            "mkdir /data/new/.git/refs",
        ],
    );
    tree.all_are(REFUSED, &["write /data/new/.git/config x"]);
}

fn a_git_directory_of_any_name_is_known(guest: &'static str) {
    let tree = Tree::new(guest);
    let bare = tree.top.join("vendor/x.git");
    for dir in ["hooks", "objects", "refs"] {
        fs::create_dir_all(bare.join(dir)).unwrap();
    }
    fs::write(bare.join("HEAD"), "x").unwrap();
    let nested = tree.top.join(".git/modules/a/b");
    fs::create_dir_all(&nested).unwrap();
    for dir in ["objects", "refs"] {
        fs::create_dir_all(nested.join(dir)).unwrap();
    }
    fs::write(nested.join("HEAD"), "x").unwrap();
    let acts = [
        "write /data/vendor/x.git/hooks/pre-commit x",
        "write-in /data/vendor/x.git/hooks pre-commit x",
        "write /data/vendor/x.git/config x",
        "rename /data/vendor/x.git/hooks /data/h",
        "write /data/.git/modules/a/b/config x",
        "mkdir /data/.git/modules/a/b/hooks",
    ];
    tree.all_are(REFUSED, &acts);
    tree.all_are(
        "ok",
        &[
            "write /data/vendor/x.git/packed-refs x",
            "unlink /data/vendor/x.git/HEAD",
        ],
    );
    // It is none any more: a configuration may be written, and it cannot become one again.
    tree.all_are("ok", &["write /data/vendor/x.git/config x"]);
    tree.all_are(REFUSED, &["write /data/vendor/x.git/HEAD x"]);

    // A grant of the git directory itself, as for a linked working tree.
    let grants = Grants {
        fs: vec![directory(
            &tree.top.join(".git"),
            "/git",
            FsAccess::ReadWrite,
        )],
        ..none()
    };
    let answers = tree.acts(
        grants,
        &[
            "write /git/hooks/pre-commit x",
            "write /git/config x",
            "write /git/index x",
        ],
    );
    let answers: Vec<_> = answers.into_iter().map(|(_, answer)| answer).collect();
    assert_eq!(answers, [REFUSED, REFUSED, "ok"]);
    tree.is_as_before();
}

fn what_a_configuration_names_is_guarded(guest: &'static str) {
    let tree = Tree::new(guest);
    let config = "[core]\n\thooksPath = tools/hooks\n[include]\n\tpath = ../shared.config\n";
    let config_file = tree.top.join(".git/config");
    fs::write(&config_file, config).unwrap();
    fs::create_dir_all(tree.top.join("tools/real")).unwrap();
    symlink("real", tree.top.join("tools/hooks")).unwrap();
    tree.all_are(
        REFUSED,
        &[
            "write /data/tools/hooks/pre-commit x",
            "write /data/tools/real/pre-commit x",
            "unlink /data/tools/hooks",
            "rename /data/tools /data/t",
            "write /data/shared.config x",
        ],
    );
    tree.all_are("ok", &["write /data/tools/other x", "mkdir /data/real"]);
    let (_, activity) = tree.run(tree.grants(), &["acts", "write /data/shared.config x"]);
    let denial = &activity.denials[0];
    assert_eq!(
        denial.notes[0],
        format!(
            "`{}/shared.config` is protected: a git configuration names it, and git runs or reads what lies there",
            tree.top.display()
        )
    );
    assert!(
        denial.remedies.is_empty(),
        "no name of the list stands against it"
    );
    fs::write(&config_file, "before").unwrap();
    tree.all_are("ok", &["write /data/shared.config x"]);
}

fn a_lifted_name_is_free(guest: &'static str) {
    let tree = Tree::new(guest);
    let mut protect = Protect::default();
    assert!(protect.lift(".git/hooks") && protect.lift(".envrc"));
    let grants = Grants {
        protect,
        ..tree.grants()
    };
    let answers = tree.acts(
        grants,
        &[
            "write /data/.envrc x",
            "write /data/.git/hooks/post-merge x",
            "write /data/.git/config x",
            "rename /data/.git /data/git2",
        ],
    );
    let answers: Vec<_> = answers.into_iter().map(|(_, answer)| answer).collect();
    assert_eq!(answers, ["ok", "ok", REFUSED, REFUSED]);
    // An `exec` grant that lifts nothing protects as much as none at all.
    let grants = Grants {
        fs: tree.grants().fs,
        ..programs(&[])
    };
    let answers = tree.acts(grants, &["write /data/.git/config x", "write /data/free x"]);
    let answers: Vec<_> = answers.into_iter().map(|(_, answer)| answer).collect();
    assert_eq!(answers, [REFUSED, "ok"]);
}

fn names_count_from_what_was_granted(guest: &'static str) {
    let tree = Tree::new(guest);
    let own = tree.top.join(".claude/worktrees/one");
    fs::create_dir_all(&own).unwrap();
    let grants = || Grants {
        fs: vec![directory(&own, "/data", FsAccess::ReadWrite)],
        ..none()
    };
    let acts = ["write /data/a.rs x", "write /data/.envrc x"];
    let answers: Vec<_> = tree
        .acts(grants(), &acts)
        .into_iter()
        .map(|(_, answer)| answer)
        .collect();
    assert_eq!(
        answers,
        ["ok", REFUSED],
        "what was granted by name is granted"
    );
    tree.all_are(REFUSED, &["write /data/.claude/worktrees/one/a.rs x"]);
    // Under a read grant nothing has changed.
    let read = Grants {
        fs: vec![directory(&tree.top, "/data", FsAccess::Read)],
        ..none()
    };
    let (answers, activity) =
        tree.run(read, &["acts", "write /data/x x", "read /data/src/main.rs"]);
    assert_eq!(answers, format!("{REFUSED}\nok"));
    assert!(activity.denials.is_empty(), "{:?}", activity.denials);
}

fn times_are_guarded_too(guest: &'static str) {
    let tree = Tree::new(guest);
    let hook = tree.top.join(".git/hooks/pre-commit");
    let before = fs::metadata(&hook).unwrap().modified().unwrap();
    symlink(".git/hooks/pre-commit", tree.top.join("hook")).unwrap();
    tree.all_are(
        REFUSED,
        &[
            "times /data/.git/hooks/pre-commit",
            "times /data/hook",
            "times-opened /data/.git/hooks/pre-commit",
            "times-opened /data/hook",
            "times-opened /data/.git/hooks",
        ],
    );
    assert_eq!(fs::metadata(&hook).unwrap().modified().unwrap(), before);
    tree.all_are(
        "ok",
        &[
            "times /data/src/main.rs",
            "times /data/.git",
            "times /data/.",
            "times-opened /data/src/main.rs",
        ],
    );
    let main = fs::metadata(tree.top.join("src/main.rs")).unwrap();
    assert_eq!(main.modified().unwrap(), std::time::UNIX_EPOCH);
}

fn the_operator_is_told_and_the_guest_is_not(guest: &'static str) {
    let tree = Tree::new(guest);
    let acts = [
        "acts",
        "write /data/.git/hooks/pre-commit x",
        "rename /data/.git /data/x",
    ];
    let (answers, activity) = tree.run(tree.grants(), &acts);
    assert_eq!(answers, format!("{REFUSED}\n{REFUSED}"));
    let [hook, above] = &activity.denials[..] else {
        panic!("{:?}", activity.denials)
    };
    let top = tree.top.display();
    assert_eq!(hook.code, Code::FsProtected);
    assert_eq!(
        hook.headline(),
        format!("plugin `guest` may not write `{top}/.git/hooks/pre-commit`")
    );
    assert_eq!(
        hook.notes,
        [
            "`.git/hooks` is protected: git runs what lies there".to_owned(),
            format!(
                "`{top}` may be written (the application's own policy), except for what others execute"
            ),
        ]
    );
    assert_eq!(
        hook.remedies[0].text,
        "if plugin `guest` and its commands are meant to change it: `exec = { allow = [], unprotect = [\".git/hooks\"] }`"
    );
    assert!(
        above.remedies[0]
            .text
            .contains("\".git/config\", \".git/config.worktree\", \".git/hooks\"")
    );
    let written = tree.fixture.trail.events();
    let decisions: Vec<_> = written
        .iter()
        .filter_map(|(_, event)| match event {
            Event::Decision(decision) => Some(decision),
            _ => None,
        })
        .collect();
    assert_eq!(decisions.len(), 2);
    assert_eq!(decisions[0].capability, "fs");
    assert_eq!(decisions[0].verdict, Verdict::Deny);
    assert_eq!(decisions[0].code.as_deref(), Some("P0302"));
    assert_eq!((decisions[0].call, decisions[1].call), (1, 2));
}

/// Says that the guest is done, also if its test fails.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Swaps until the guest is done, which begins after the first time.
pub(crate) fn swapping<T>(swap: impl Fn() + Sync, guest: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    let (began, begun) = mpsc::channel();
    std::thread::scope(|scope| {
        let (done, swap) = (&done, &swap);
        let swapper = scope.spawn(move || {
            swap();
            began.send(()).unwrap();
            while !done.load(Ordering::Relaxed) {
                swap();
            }
        });
        begun.recv().unwrap();
        let until = Done(done);
        let answer = guest();
        drop(until);
        swapper.join().unwrap();
        answer
    })
}

fn point(link: &Path, target: &str) {
    let fresh = link.with_extension("fresh");
    let _ = fs::remove_file(&fresh);
    symlink(target, &fresh).unwrap();
    fs::rename(&fresh, link).unwrap();
}

fn a_link_that_is_swapped_meanwhile_never_leads_to_a_hook(guest: &'static str) {
    let tree = Tree::new(guest);
    fs::write(tree.top.join("src/pre-commit"), "").unwrap();
    let link = tree.top.join("link");
    point(&link, "src/pre-commit");
    let swap = || {
        point(&link, ".git/hooks/pre-commit");
        point(&link, "src/pre-commit");
    };
    let write = || {
        tree.run(tree.grants(), &["again", "3000", "write /data/link x"])
            .0
    };
    both_happen(swap, write);
    tree.is_as_before();
    assert_eq!(
        fs::read_to_string(tree.top.join("src/pre-commit")).unwrap(),
        "x"
    );
}

fn a_directory_that_is_swapped_meanwhile_never_leads_to_a_hook(guest: &'static str) {
    let tree = Tree::new(guest);
    fs::write(tree.top.join("src/pre-commit"), "").unwrap();
    let link = tree.top.join("dir");
    point(&link, "src");
    let swap = || {
        point(&link, ".git/hooks");
        point(&link, "src");
    };
    let write = || {
        tree.run(
            tree.grants(),
            &["again", "3000", "write /data/dir/pre-commit x"],
        )
        .0
    };
    both_happen(swap, write);
    tree.is_as_before();
    assert_eq!(
        fs::read_to_string(tree.top.join("src/pre-commit")).unwrap(),
        "x"
    );
}

/// Goes on until the guest was served and was refused: how the two fall together is the machine's.
fn both_happen(swap: impl Fn() + Sync, guest: impl Fn() -> String) {
    let mut answers = String::new();
    for _ in 0..200 {
        answers = answers + &swapping(&swap, &guest) + ", ";
        let happened = |answer: &str| {
            let mut counts = answers.split(", ").filter_map(|one| one.split_once(' '));
            counts.any(|(name, _)| name == answer)
        };
        if happened("ok") && happened(REFUSED) {
            return;
        }
    }
    panic!("it was never swapped: {answers}");
}
