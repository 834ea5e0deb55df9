use std::fs;
use std::os::unix::fs::MetadataExt;

use proptest::prelude::*;

use super::{Dir, Made};
use crate::care::{Changed, Gap, Keep, ProtectError, Protected, named_by_git, protect};

/// Of each kind of name that a policy protects, one.
const NAMES: &[&str] = &[
    ".envrc",
    ".vscode",
    ".github/workflows",
    ".git/hooks",
    ".git/config",
    ".git/config.worktree",
    ".git/commondir",
    ".git/worktrees/*/commondir",
    ".git/worktrees/*/gitdir",
    ".git/modules/*/config",
    ".git/modules/*/hooks",
];

fn survey(dir: &Dir) -> Protected {
    let protected = protect(std::os::fd::AsFd::as_fd(&dir.opened(".")), &dir.real, NAMES).unwrap();
    for mount in &protected.mounts {
        let there = fs::symlink_metadata(&mount.path).unwrap();
        assert_eq!(
            (mount.id.dev, mount.id.ino),
            (there.dev(), there.ino()),
            "{mount:?}"
        );
    }
    assert!(
        protected
            .changed(std::os::fd::AsFd::as_fd(&dir.opened(".")))
            .is_empty()
    );
    protected
}

fn relative(dir: &Dir, path: &std::path::Path) -> String {
    path.strip_prefix(&dir.real)
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned()
}

/// What is kept in this way, relative to the root.
fn kept(dir: &Dir, protected: &Protected, keep: Keep) -> Vec<String> {
    let mounts = protected.mounts.iter().filter(|mount| mount.keep == keep);
    mounts.map(|mount| relative(dir, &mount.path)).collect()
}

fn gaps(dir: &Dir, protected: &Protected, why: Gap) -> Vec<String> {
    let gaps = protected.not_covered.iter().filter(|gap| gap.why == why);
    gaps.map(|gap| relative(dir, &gap.path)).collect()
}

#[test]
fn what_is_there_is_read_only_and_what_is_above_is_pinned() {
    let dir = Dir::new();
    dir.git_dir(".git");
    dir.write(".envrc", "x");
    dir.write(".github/workflows/ci.yml", "x");
    dir.write("src/main.rs", "x");
    let protected = survey(&dir);
    assert_eq!(
        kept(&dir, &protected, Keep::ReadOnly),
        [".envrc", ".git/config", ".git/hooks", ".github/workflows"]
    );
    assert_eq!(kept(&dir, &protected, Keep::Pinned), [".git", ".github"]);
    for gap in &protected.not_covered {
        assert!(
            !gap.path.as_os_str().to_str().unwrap().ends_with('/'),
            "{gap:?}"
        );
    }
    assert_eq!(
        gaps(&dir, &protected, Gap::Missing),
        [
            ".vscode",
            ".git/config.worktree",
            ".git/commondir",
            ".git/worktrees",
            ".git/modules"
        ]
    );
}

#[test]
fn nothing_protected_nothing_kept() {
    let dir = Dir::new();
    dir.git_dir(".git");
    let root = dir.opened(".");
    let protected = protect(std::os::fd::AsFd::as_fd(&root), &dir.real, &[] as &[&str]).unwrap();
    assert_eq!(
        (protected.mounts, protected.not_covered),
        (Vec::new(), Vec::new())
    );
    dir.write(".vscode/tasks.json", "x");
    let protected = protect(std::os::fd::AsFd::as_fd(&root), &dir.real, &[".vscode"]).unwrap();
    assert_eq!(kept(&dir, &protected, Keep::ReadOnly), [".vscode"]);
}

#[test]
fn outer_comes_before_inner_and_nothing_is_writable_in_what_is_read_only() {
    let dir = Dir::new();
    dir.git_dir(".vscode/extension/.git");
    dir.git_dir("a/.git");
    let protected = survey(&dir);
    assert_eq!(
        kept(&dir, &protected, Keep::ReadOnly),
        [".vscode", "a/.git/config", "a/.git/hooks"]
    );
    let paths: Vec<_> = protected.mounts.iter().map(|mount| &mount.path).collect();
    assert!(paths.is_sorted());
}

#[test]
fn a_git_file_is_kept_and_so_is_what_it_names_inside() {
    let dir = Dir::new();
    dir.git_dir("store");
    dir.write(".git", "gitdir: store\n");
    dir.git_dir("elsewhere/.git");
    dir.write("linked/.git", "gitdir: /nowhere/.git/worktrees/x\n");
    let protected = survey(&dir);
    assert_eq!(
        kept(&dir, &protected, Keep::ReadOnly),
        [
            ".git",
            "elsewhere/.git/config",
            "elsewhere/.git/hooks",
            "linked/.git",
            "store/config",
            "store/hooks"
        ]
    );
    assert_eq!(
        kept(&dir, &protected, Keep::Pinned),
        ["elsewhere", "elsewhere/.git", "linked", "store"]
    );
}

#[test]
fn a_link_is_kept_as_a_link_and_so_is_where_it_leads() {
    let dir = Dir::new();
    dir.git_dir("deep/real");
    dir.link("deep/middle", "./real");
    dir.link(".git", dir.path("deep/middle").to_str().unwrap());
    dir.write("deep/envrc", "x");
    dir.link(".envrc", "deep/../deep/envrc");
    let protected = survey(&dir);
    assert_eq!(
        kept(&dir, &protected, Keep::Link),
        [".envrc", ".git", "deep/middle"]
    );
    assert_eq!(
        kept(&dir, &protected, Keep::ReadOnly),
        ["deep/envrc", "deep/real/config", "deep/real/hooks"]
    );
    assert_eq!(kept(&dir, &protected, Keep::Pinned), ["deep", "deep/real"]);
}

#[test]
fn a_link_that_leads_out_or_nowhere_is_kept_but_not_followed() {
    let outside = Dir::new();
    outside.git_dir("git");
    let dir = Dir::new();
    dir.link(".git", outside.path("git").to_str().unwrap());
    dir.link(".envrc", "../../../../../../etc/passwd");
    dir.link(".vscode", ".vscode");
    dir.link(".github", "none");
    let protected = survey(&dir);
    assert_eq!(
        kept(&dir, &protected, Keep::Link),
        [".envrc", ".git", ".github", ".vscode"]
    );
    assert_eq!(protected.mounts.len(), 4);
    assert_eq!(
        gaps(&dir, &protected, Gap::LeadsOutside),
        [".envrc", ".vscode", ".git"]
    );
    // What would have to be made to be found through the link.
    assert_eq!(gaps(&dir, &protected, Gap::Missing), ["none/workflows"]);
}

#[test]
fn submodules_and_linked_trees_are_kept_under_names_of_several_parts() {
    let dir = Dir::new();
    dir.git_dir(".git");
    dir.git_dir(".git/modules/a");
    dir.git_dir(".git/modules/lib/b");
    dir.git_dir(".git/modules/lib/b/modules/c");
    dir.write(".git/worktrees/w/commondir", "../..\n");
    dir.write(".git/worktrees/w/gitdir", "/x/.git\n");
    let protected = survey(&dir);
    assert_eq!(
        kept(&dir, &protected, Keep::ReadOnly),
        [
            ".git/config",
            ".git/hooks",
            ".git/modules/a/config",
            ".git/modules/a/hooks",
            ".git/modules/lib/b/config",
            ".git/modules/lib/b/hooks",
            ".git/modules/lib/b/modules/c/config",
            ".git/modules/lib/b/modules/c/hooks",
            ".git/worktrees/w/commondir",
            ".git/worktrees/w/gitdir",
        ]
    );
}

#[test]
fn a_git_directory_is_kept_wherever_it_is() {
    // Granted itself, as for a linked working tree.
    let dir = Dir::new();
    dir.git_dir(".");
    let protected = survey(&dir);
    assert_eq!(kept(&dir, &protected, Keep::ReadOnly), ["config", "hooks"]);
    // Bare, and nested repositories with their own names.
    let dir = Dir::new();
    dir.git_dir("mirrors/x.git");
    dir.git_dir("vendor/y/.git");
    dir.write("vendor/y/.envrc", "x");
    let protected = survey(&dir);
    assert_eq!(
        kept(&dir, &protected, Keep::ReadOnly),
        [
            "mirrors/x.git/config",
            "mirrors/x.git/hooks",
            "vendor/y/.envrc",
            "vendor/y/.git/config",
            "vendor/y/.git/hooks"
        ]
    );
}

#[test]
fn what_the_configuration_names_is_kept() {
    let dir = Dir::new();
    dir.git_dir(".git");
    dir.write(
        ".git/config",
        "[core]\n\thooksPath = tools/hooks\n[include]\n\tpath = ../team.gitconfig\n\tpath = ~/x\n",
    );
    dir.write(
        "team.gitconfig",
        "[includeIf \"onbranch:x\"]\n\tpath = conf/more\n",
    );
    dir.write(
        "conf/more",
        format!("[core]\n\thooksPath = {}\n", dir.path("hooks2").display()),
    );
    dir.write("tools/hooks/pre-push", "x");
    dir.make("hooks2");
    let protected = survey(&dir);
    assert_eq!(
        kept(&dir, &protected, Keep::ReadOnly),
        [
            ".git/config",
            ".git/hooks",
            "conf/more",
            "hooks2",
            "team.gitconfig",
            "tools/hooks"
        ]
    );
    dir.write(
        ".git/config",
        "[core]\n\thooksPath = none\n[include]\n\tpath = none\n",
    );
    assert!(
        gaps(&dir, &survey(&dir), Gap::Missing).ends_with(&["none".into(), ".git/none".into()])
    );
    dir.write(".git/config", "[core]\n\thooksPath = .\n");
    assert_eq!(gaps(&dir, &survey(&dir), Gap::IsRoot), [""]);
    dir.write(".git/config", "[core\n");
    assert_eq!(gaps(&dir, &survey(&dir), Gap::Unparsed), [".git/config"]);
    // Configurations that include one another come to an end.
    dir.write(".git/config", "[include]\n\tpath = config\n");
    assert_eq!(gaps(&dir, &survey(&dir), Gap::SearchLimit), [".git/config"]);
}

#[test]
fn what_the_configuration_names_is_told_whether_it_is_there_or_not() {
    let dir = Dir::new();
    let named = || {
        let found = named_by_git(std::os::fd::AsFd::as_fd(&dir.opened(".")), &dir.real, NAMES);
        let found = found.unwrap().into_iter();
        found.map(|path| relative(&dir, &path)).collect::<Vec<_>>()
    };
    dir.git_dir(".git");
    assert_eq!(named(), <[&str; 0]>::default());
    dir.make("real");
    dir.try_make("hooks", Made::Link("real"));
    let config = "[core]\n\thooksPath = hooks\n[include]\n\tpath = ../gone/config\n\tpath = /etc/gitconfig\n";
    dir.write(".git/config", config);
    assert_eq!(named(), ["gone/config", "hooks", "real"]);
    dir.write(".git/config", "[core]\n\thooksPath = .\n");
    assert_eq!(named(), <[&str; 0]>::default(), "all of it is granted");
}

#[test]
fn a_git_directory_that_shares_another_is_found() {
    let dir = Dir::new();
    dir.write("x/HEAD", "ref: refs/heads/main\n");
    let kept = || kept(&dir, &survey(&dir), Keep::ReadOnly);
    assert_eq!(kept(), <[&str; 0]>::default());
    dir.write("x/commondir", "../y\n");
    assert_eq!(kept(), ["x/commondir"]);
}

#[test]
fn a_file_in_place_of_a_directory_stays_one() {
    let dir = Dir::new();
    dir.git_dir(".git");
    dir.write(".git/modules", "x");
    dir.write(".github", "x");
    let protected = survey(&dir);
    assert_eq!(
        kept(&dir, &protected, Keep::ReadOnly),
        [".git/config", ".git/hooks", ".git/modules", ".github"]
    );
}

#[test]
fn a_second_name_is_told() {
    let dir = Dir::new();
    dir.write(".envrc", "x");
    fs::hard_link(dir.path(".envrc"), dir.path("other")).unwrap();
    assert_eq!(gaps(&dir, &survey(&dir), Gap::HardLinked), [".envrc"]);
}

#[test]
fn the_search_ends_and_says_where() {
    let dir = Dir::new();
    dir.git_dir("1/2/3/4/5/.git");
    dir.make("1/2/3/4/5/6/7");
    let protected = survey(&dir);
    assert_eq!(kept(&dir, &protected, Keep::ReadOnly).len(), 2);
    assert_eq!(gaps(&dir, &protected, Gap::SearchLimit), ["1/2/3/4/5/6"]);

    let dir = Dir::new();
    for index in 0..66 {
        dir.git_dir(&format!("{index:02}/.git"));
    }
    let protected = survey(&dir);
    assert_eq!(kept(&dir, &protected, Keep::ReadOnly).len(), 2 * 64);
    assert_eq!(gaps(&dir, &protected, Gap::SearchLimit), ["64"]);
}

#[test]
fn what_is_too_much_or_cannot_be_looked_at_is_kept_whole() {
    let dir = Dir::new();
    dir.git_dir(".git");
    for index in 0..257 {
        dir.make(&format!(".git/worktrees/{index}"));
    }
    let protected = survey(&dir);
    assert_eq!(
        kept(&dir, &protected, Keep::ReadOnly),
        [".git/config", ".git/hooks", ".git/worktrees"]
    );
    assert_eq!(gaps(&dir, &protected, Gap::TooMany), [".git/worktrees"]);

    // No file system has such names: an error that is not "there is none".
    let name = format!(".git/{}", "x".repeat(300));
    let root = dir.opened(".");
    let protected = protect(std::os::fd::AsFd::as_fd(&root), &dir.real, &[&name]).unwrap();
    assert_eq!(kept(&dir, &protected, Keep::ReadOnly), [".git"]);
    assert_eq!(gaps(&dir, &protected, Gap::Unreadable), [".git"]);
    let error = protect(
        std::os::fd::AsFd::as_fd(&root),
        &dir.real,
        &["x".repeat(300)],
    )
    .unwrap_err();
    assert!(matches!(error, ProtectError::Root { .. }), "{error}");
}

#[test]
fn what_appeared_or_was_replaced_is_found_afterwards() {
    let dir = Dir::new();
    dir.git_dir(".git");
    dir.write(".envrc", "x");
    dir.link(".vscode", "none");
    let protected = survey(&dir);
    let changed = || protected.changed(std::os::fd::AsFd::as_fd(&dir.opened(".")));
    // In place is nobody's doing but a program outside, and the mount stays.
    dir.write(".envrc", "y");
    assert_eq!(changed(), []);
    dir.write(".git/commondir", "../evil\n");
    assert_eq!(changed(), [Changed::Appeared(dir.path(".git/commondir"))]);
    fs::remove_file(dir.path(".git/commondir")).unwrap();
    dir.write(".git/config.new", "x");
    fs::rename(dir.path(".git/config.new"), dir.path(".git/config")).unwrap();
    fs::remove_file(dir.path(".vscode")).unwrap();
    assert_eq!(
        changed(),
        [
            Changed::Replaced(dir.path(".git/config")),
            Changed::Replaced(dir.path(".vscode"))
        ]
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any tree of directories, files and links: each mount is in the root, has a mount or the root
    /// above it, and is reached without following a link.
    #[test]
    fn mounts_never_leave_the_root_nor_hang_in_the_air(
        entries in prop::collection::vec((prop::sample::select(vec![
            ".git", ".git/hooks", ".git/config", ".git/modules", ".git/modules/a", ".vscode", ".github", ".envrc",
            "a", "a/.git", "a/.git/config", ".github/workflows", "a/.envrc", "b",
        ]), prop::sample::select(vec!["dir", "file", "a", "..", ".git", "/", "a/../b", "../..", "b", "@", "@/a"])), 0..14)
    ) {
        let dir = Dir::new();
        for (name, what) in entries {
            // Some do not fit together; those are left out.
            match what {
                "dir" => dir.try_make(name, Made::Directory),
                "file" => dir.try_make(name, Made::File(b"gitdir: a\n")),
                target => dir.try_make(name, Made::Link(&target.replace('@', dir.real.to_str().unwrap()))),
            }
        }
        let protected = survey(&dir);
        for mount in &protected.mounts {
            let above = mount.path.parent().unwrap();
            prop_assert_eq!(above.canonicalize().unwrap(), above);
            prop_assert!(above.starts_with(&dir.real));
            let is_mounted = protected.mounts.iter().any(|mount| mount.path == above && mount.keep == Keep::Pinned);
            prop_assert!(above == dir.real || is_mounted, "{:?}", mount);
            prop_assert_eq!(mount.keep == Keep::Link, mount.path.is_symlink());
        }
    }
}
