use std::path::PathBuf;

use super::{Dir, git, has_git};
use crate::care::{RepositoryError, repository};

fn outside(dir: &Dir, tree: &str) -> Vec<PathBuf> {
    let repository = repository(&dir.path(tree)).unwrap();
    assert_eq!(repository.tree.real, dir.path(tree));
    repository
        .outside
        .into_iter()
        .map(|root| root.real)
        .collect()
}

/// A linked working tree as git makes one.
fn linked() -> Dir {
    let dir = Dir::new();
    dir.git_dir("main/.git");
    dir.write("main/.git/worktrees/w/HEAD", "ref: refs/heads/w\n");
    dir.write("main/.git/worktrees/w/commondir", "../..\n");
    dir.write(
        "main/.git/worktrees/w/gitdir",
        format!("{}\n", dir.path("w/.git").display()),
    );
    dir.write(
        "w/.git",
        format!("gitdir: {}\n", dir.path("main/.git/worktrees/w").display()),
    );
    dir
}

#[test]
fn a_directory_needs_nothing_more() {
    let dir = Dir::new();
    dir.git_dir("tree/.git");
    assert_eq!(outside(&dir, "tree"), Vec::<PathBuf>::new());
}

#[test]
fn a_linked_tree_needs_what_it_shares() {
    let dir = linked();
    assert_eq!(outside(&dir, "w"), [dir.path("main/.git")]);
}

#[test]
fn a_submodule_needs_its_own() {
    let dir = Dir::new();
    dir.git_dir("super/.git");
    dir.git_dir("super/.git/modules/lib/x");
    dir.write(
        "super/.git/modules/lib/x/config",
        "[core]\n\tworktree = ../../../../lib/x\n",
    );
    dir.write("super/lib/x/.git", "gitdir: ../../.git/modules/lib/x\n");
    assert_eq!(
        outside(&dir, "super/lib/x"),
        [dir.path("super/.git/modules/lib/x")]
    );
    // Renamed by somebody: its own word no longer names it.
    std::fs::rename(dir.path("super/lib/x"), dir.path("super/lib/y")).unwrap();
    assert!(matches!(
        repository(&dir.path("super/lib/y")),
        Err(RepositoryError::NotOurs { .. })
    ));
}

#[test]
fn a_file_that_names_what_is_not_its_own_is_refused() {
    let refused = |pointer: &str| {
        let dir = linked();
        dir.write("home/.ssh/id", "secret");
        dir.git_dir("other/.git");
        dir.write(
            "evil/.git",
            pointer.replace('@', dir.real.to_str().unwrap()),
        );
        repository(&dir.path("evil")).unwrap_err()
    };
    assert!(matches!(
        refused("gitdir: @/home/.ssh\n"),
        RepositoryError::NotGit { .. }
    ));
    assert!(matches!(
        refused("gitdir: @/other/.git\n"),
        RepositoryError::NotOurs { .. }
    ));
    // Another tree's, which points back to that one.
    assert!(matches!(
        refused("gitdir: ../main/.git/worktrees/w\n"),
        RepositoryError::NotOurs { .. }
    ));
    assert!(matches!(
        refused("gitdir: @/none\n"),
        RepositoryError::Io { .. }
    ));
    for pointer in [
        "",
        "gitdir: ",
        "gitdir: \n",
        "@/other/.git",
        "gitdir: @/other/.git\nx\n",
        "gitdir: a\0b",
    ] {
        assert!(
            matches!(refused(pointer), RepositoryError::Pointer(_)),
            "{pointer:?}"
        );
    }
    assert!(matches!(
        refused(&"x".repeat(1 << 20)),
        RepositoryError::Pointer(_)
    ));
}

/// What is in the tree can all be made by who writes the tree.
#[test]
fn a_forged_git_directory_leads_nowhere() {
    let forged = |common: &str| {
        let dir = linked();
        dir.git_dir("other/.git");
        dir.write("evil/g/HEAD", "ref: refs/heads/w\n");
        dir.write("evil/g/commondir", common);
        dir.write(
            "evil/g/gitdir",
            format!("{}\n", dir.path("evil/.git").display()),
        );
        dir.write("evil/.git", "gitdir: g\n");
        dir.write("home/.ssh/id", "secret");
        let error = repository(&dir.path("evil")).unwrap_err();
        // The same where `.git` is the directory itself.
        std::fs::remove_file(dir.path("evil/.git")).unwrap();
        std::fs::rename(dir.path("evil/g"), dir.path("evil/.git")).unwrap();
        let same = repository(&dir.path("evil")).unwrap_err();
        assert_eq!(
            std::mem::discriminant(&error),
            std::mem::discriminant(&same)
        );
        error
    };
    assert!(matches!(
        forged("../../other/.git\n"),
        RepositoryError::NotOurs { .. }
    ));
    assert!(matches!(
        forged("../../home/.ssh\n"),
        RepositoryError::NotGit { .. }
    ));
    // By a link to a real `worktrees/w`.
    let dir = linked();
    dir.make("evil");
    dir.link("evil/.git", "../main/.git");
    assert!(matches!(
        repository(&dir.path("evil")),
        Err(RepositoryError::Kind(_))
    ));
    dir.make("evil2");
    dir.link("evil2/l", "../main/.git");
    dir.write("evil2/.git", "gitdir: l/worktrees/w\n");
    assert!(matches!(
        repository(&dir.path("evil2")),
        Err(RepositoryError::NotOurs { .. })
    ));
}

#[test]
fn a_directory_without_one_is_not_a_working_tree() {
    let dir = linked();
    dir.make("plain");
    assert!(matches!(
        repository(&dir.path("plain")),
        Err(RepositoryError::None(_))
    ));
    assert!(matches!(
        repository(&dir.path("none")),
        Err(RepositoryError::Io { .. })
    ));
    dir.make("empty/.git");
    assert!(matches!(
        repository(&dir.path("empty")),
        Err(RepositoryError::NotGit { .. })
    ));
}

#[test]
fn what_git_makes_is_found() {
    if !has_git("care::repositories::what_git_makes_is_found") {
        return;
    }
    let dir = Dir::new();
    dir.make("main");
    let main = dir.path("main");
    git(&main, &["init", "-q", "-b", "main"]);
    git(&main, &["commit", "-q", "--allow-empty", "-m", "x"]);
    git(&main, &["worktree", "add", "-q", "../linked"]);
    let source = main.to_str().unwrap();
    dir.make("super");
    let root = dir.path("super");
    git(&root, &["init", "-q"]);
    git(
        &root,
        &[
            "-c",
            "protocol.file.allow=always",
            "submodule",
            "--quiet",
            "add",
            "--name",
            "a/b",
            source,
            "sub",
        ],
    );
    assert_eq!(outside(&dir, "main"), Vec::<PathBuf>::new());
    assert_eq!(outside(&dir, "linked"), [dir.path("main/.git")]);
    assert_eq!(
        outside(&dir, "super/sub"),
        [dir.path("super/.git/modules/a/b")]
    );
    // A tree of a submodule: both are outside it.
    git(
        &dir.path("super/sub"),
        &["worktree", "add", "-q", "../../linked-sub"],
    );
    assert_eq!(
        outside(&dir, "linked-sub"),
        [dir.path("super/.git/modules/a/b")]
    );
}
