//! The mounts, really made, and the attacks on them: what this module says of the kernel is so here.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{Dir, git, has_git, program};
use crate::care::{
    Changed, Commit, Edited, Keep, Protected, apply, commit, protect, read_config, read_staged,
};

/// Mounts `from` on `to`, `ro` or `rw`, for each three arguments, and then runs a shell without any
/// capability. The system calls are named by their numbers, which are the same on all machines.
const MOUNTER: &str = r#"
use strict;
my $empty = "";
while ($ARGV[0] ne "run") {
    my ($how, $from, $to) = splice(@ARGV, 0, 3);
    my $tree = syscall(428, -100, $from, 0x80000 | 0x100 | 1);
    die "open_tree $from: $!" if $tree < 0;
    my $attributes = pack("QQQQ", 1, 0, 0, 0);
    die "mount_setattr: $!" if $how eq "ro" && syscall(442, $tree, $empty, 0x1000, $attributes, 32);
    die "move_mount $to: $!" if syscall(429, $tree, $empty, -100, $to, 4);
}
exec("setpriv", "--bounding-set=-all", "--inh-caps=-all", "sh", "-c", $ARGV[1]);
die "setpriv: $!";
"#;

type Mount = (&'static str, PathBuf, PathBuf);

fn mounts(protected: &Protected) -> Vec<Mount> {
    let mount = |mount: &crate::care::KeptMount| {
        let how = if mount.keep == Keep::Pinned {
            "rw"
        } else {
            "ro"
        };
        (how, mount.path.clone(), mount.path.clone())
    };
    protected.mounts.iter().map(mount).collect()
}

/// A shell in namespaces of its own behind these mounts.
fn shell(dir: &Path, mounts: &[Mount], script: &str) -> Command {
    let mut command = program("unshare", dir);
    command.args([
        "--user",
        "--map-root-user",
        "--mount",
        "--propagation",
        "private",
        "perl",
        "-e",
        MOUNTER,
    ]);
    for (how, from, to) in mounts {
        command.arg(how).arg(from).arg(to);
    }
    command.args(["run", script]);
    command
}

fn can_mount(test: &str) -> bool {
    let dir = Dir::new();
    dir.make("a");
    let mount = ("ro", dir.path("a"), dir.path("a"));
    let works = shell(&dir.real, &[mount], "! : > a/x").output();
    let works = works.is_ok_and(|output| output.status.success());
    if !works {
        println!(
            "SKIP care::in_a_namespace::{test}: no user namespaces, or no perl, unshare and setpriv"
        );
    }
    works
}

fn survey(dir: &Dir) -> Protected {
    let names = [
        ".envrc",
        ".git/hooks",
        ".git/config",
        ".git/commondir",
        ".github/workflows",
    ];
    protect(dir.opened(".").as_fd(), &dir.real, &names).unwrap()
}

/// A tree with something of each kind, `.git` being where a link leads.
fn tree() -> Dir {
    let dir = Dir::new();
    dir.git_dir("store/git");
    dir.link(".git", "store/git");
    dir.write(".envrc", "mine");
    dir.write(".github/workflows/ci.yml", "mine");
    dir.write("src/main.rs", "mine");
    dir
}

/// Ways to have something else under a protected name.
const ATTACKS: &[&str] = &[
    "echo evil > .envrc",
    "rm .envrc",
    "mv .envrc x",
    "echo evil > x; mv x .envrc",
    "chmod 777 .envrc",
    "mv .github x; mkdir -p .github/workflows && echo evil > .github/workflows/ci.yml",
    "echo evil > .github/workflows/new.yml",
    "rm .git; mkdir .git && touch .git/config",
    "ln -sfn src .git",
    "mv store x; mkdir -p store/git/hooks",
    "mv store/git x; mkdir -p store/git/hooks",
    "echo evil > store/git/hooks/post-checkout",
    "echo evil > .git/config",
    "rm -rf .git/hooks; mkdir .git/hooks && touch .git/hooks/pre-commit",
];

fn names(dir: &Dir) -> Vec<String> {
    let read = |name: &str| match fs::read_to_string(dir.path(name)) {
        Ok(text) => text,
        Err(_) => {
            let list = fs::read_dir(dir.path(name)).into_iter().flatten().flatten();
            let mut names: Vec<_> = list
                .map(|entry| entry.file_name().into_string().unwrap())
                .collect();
            names.sort();
            format!("{names:?}")
        }
    };
    let mut state: Vec<String> = [
        ".envrc",
        ".git/config",
        ".git/hooks",
        ".github/workflows",
        ".github/workflows/ci.yml",
    ]
    .map(read)
    .into();
    state.push(format!("{:?}", fs::read_link(dir.path(".git")).ok()));
    let mode = std::os::unix::fs::PermissionsExt::mode;
    state.push(format!(
        "{:?}",
        fs::metadata(dir.path(".envrc"))
            .ok()
            .map(|meta| mode(&meta.permissions()))
    ));
    state
}

#[test]
fn every_attack_works_without_the_mounts_and_none_with_them() {
    if !can_mount("every_attack_works_without_the_mounts_and_none_with_them") {
        return;
    }
    for attack in ATTACKS {
        let dir = tree();
        let before = names(&dir);
        let protected = survey(&dir);
        let output = shell(&dir.real, &mounts(&protected), attack)
            .output()
            .unwrap();
        assert_eq!(names(&dir), before, "{attack}: {output:?}");
        assert!(!output.status.success(), "{attack}");
        assert_eq!(protected.changed(dir.opened(".").as_fd()), [], "{attack}");
        // What is not protected is still writable.
        let work = "echo x > .git/index && mkdir -p .git/refs/heads && echo y > src/main.rs && rm -r src && touch new";
        let output = shell(&dir.real, &mounts(&protected), work)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");

        let dir = tree();
        assert!(
            shell(&dir.real, &[], attack).status().unwrap().success(),
            "{attack}"
        );
        assert_ne!(names(&dir), before, "{attack}");
    }
}

/// A repository with a commit and, outside of it, a copy of its configuration and a link to that.
fn staged() -> (Dir, Dir) {
    let (dir, scratch) = (Dir::new(), Dir::new());
    git(&dir.real, &["init", "-q", "-b", "main"]);
    git(&dir.real, &["commit", "-q", "--allow-empty", "-m", "x"]);
    scratch.write("config", read_config(dir.opened(".git")).unwrap());
    scratch.link("link", scratch.path("config").to_str().unwrap());
    (dir, scratch)
}

/// The mounts of the tree, with the link in the place of its configuration.
fn staged_mounts(dir: &Dir, scratch: &Dir) -> Vec<Mount> {
    let config = dir.path(".git/config");
    let mut mounts = mounts(&survey(dir));
    let mount = mounts.iter_mut().find(|(_, _, to)| *to == config).unwrap();
    mount.1 = scratch.path("link");
    mounts
}

#[test]
fn git_changes_its_configuration_through_the_link_and_only_upstreams_arrive() {
    let test = "git_changes_its_configuration_through_the_link_and_only_upstreams_arrive";
    if !has_git(test) || !can_mount(test) {
        return;
    }
    let daily = "git checkout -q -b f --track main && git remote add origin https://example.org/a.git && git branch -m f g";
    let (dir, scratch) = staged();
    let base = read_config(dir.opened(".git")).unwrap();
    // Read only, git cannot.
    let output = shell(
        &dir.real,
        &mounts(&survey(&dir)),
        "git remote add origin https://example.org/a.git",
    )
    .output();
    assert!(!output.unwrap().status.success());

    let output = shell(&dir.real, &staged_mounts(&dir, &scratch), daily)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(read_config(dir.opened(".git")).unwrap(), base);
    let Commit::Write(edited) = commit(&base, &read_staged(scratch.opened(".")).unwrap()) else {
        panic!("it is not carried over");
    };
    apply(dir.opened(".git"), &base, &edited).unwrap();
    assert_eq!(
        git(&dir.real, &["rev-parse", "--abbrev-ref", "g@{upstream}"]).stdout,
        b"main\n"
    );
    assert_eq!(
        git(&dir.real, &["remote", "get-url", "origin"]).stdout,
        b"https://example.org/a.git\n"
    );

    // The link cannot be replaced, and what is written through it is refused as a whole.
    let (dir, scratch) = staged();
    let evil = "rm .git/config; mv .git x; echo y > x; mv x .git/config; git config core.fsmonitor /x && \
        git remote add origin https://example.org/a.git && git config core.fsmonitor";
    let output = shell(&dir.real, &staged_mounts(&dir, &scratch), evil)
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"/x\n", "{output:?}");
    assert_eq!(read_config(dir.opened(".git")).unwrap(), base);
    let Commit::Refused(refused) = commit(&base, &read_staged(scratch.opened(".")).unwrap()) else {
        panic!("it is carried over");
    };
    assert_eq!(refused.keys[0].key, "core.fsmonitor");
}

/// A shell that stops until it is told to go on, and then tries to write the configuration.
fn waiting(dir: &Dir, protected: &Protected) -> Child {
    let script = "echo ready; read go; echo evil >> .git/config";
    let mut command = shell(&dir.real, &mounts(protected), script);
    let command = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "ready\n");
    child
}

/// Whether the shell could write.
fn could_write(mut child: Child) -> bool {
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    child.wait_with_output().unwrap().status.success()
}

#[test]
fn our_write_leaves_another_cells_mount_where_a_rename_would_not() {
    if !can_mount("our_write_leaves_another_cells_mount_where_a_rename_would_not") {
        return;
    }
    let repository = || {
        let dir = Dir::new();
        dir.git_dir(".git");
        dir
    };
    let dir = repository();
    let protected = survey(&dir);
    let child = waiting(&dir, &protected);
    let base = read_config(dir.opened(".git")).unwrap();
    let edited = Edited {
        content: b"[core]\n".to_vec(),
        changes: Vec::new(),
    };
    apply(dir.opened(".git"), &base, &edited).unwrap();
    assert!(!could_write(child));
    assert_eq!(protected.changed(dir.opened(".").as_fd()), []);
    assert_eq!(read_config(dir.opened(".git")).unwrap(), b"[core]\n");

    // The gap that is reported: a program outside, here as git would do it.
    let dir = repository();
    let protected = survey(&dir);
    let child = waiting(&dir, &protected);
    dir.write(".git/config.lock", "[core]\n");
    fs::rename(dir.path(".git/config.lock"), dir.path(".git/config")).unwrap();
    assert!(
        could_write(child),
        "then `Changed::Replaced` has nothing to report, and `apply` may rename"
    );
    let replaced = Changed::Replaced(dir.path(".git/config"));
    assert_eq!(protected.changed(dir.opened(".").as_fd()), [replaced]);
}
