use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use portcullis_policy::Protect;

use super::Dir;
use crate::care::{Becomes, Named, overlaid};

/// A repository, as it is before a run.
fn base() -> Dir {
    let dir = Dir::new();
    dir.write(".git/HEAD", "ref: refs/heads/main\n");
    dir.write(".git/config", "[core]\n\tbare = false\n");
    dir.write(".git/objects/x", "");
    dir.write(".git/refs/x", "");
    dir.write(".git/hooks/x.sample", "");
    dir
}

/// What becomes of this path, which the upper layer has, or of its removal.
fn becomes(base: &Dir, upper: &Dir, path: &str, named: &[&str]) -> Becomes {
    let meta = std::fs::symlink_metadata(upper.path(path)).ok();
    let change = Named {
        path: Path::new(path),
        was_there: base.path(path).symlink_metadata().is_ok(),
        is_file: meta.as_ref().is_some_and(std::fs::Metadata::is_file),
        leads_nowhere: meta.is_none_or(|meta| meta.is_dir()),
    };
    let named: Vec<_> = named.iter().map(PathBuf::from).collect();
    let (base, upper) = (base.opened("."), upper.opened("."));
    overlaid(
        base.as_fd(),
        upper.as_fd(),
        &Protect::default(),
        &named,
        change,
    )
}

fn is_refused(becomes: &Becomes) -> bool {
    matches!(becomes, Becomes::Refused(_))
}

#[test]
fn protected_names_are_refused_in_whatever_case_and_above() {
    let (base, upper) = (base(), Dir::new());
    for path in [
        ".envrc",
        "sub/.envrc",
        ".VSCode/tasks.json",
        ".git/hooks/pre-commit",
        ".GIT/hooks/pre-commit",
        ".git/config.worktree",
        ".vscode",
        ".cargo",
        ".local",
    ] {
        upper.write(path, "x");
        assert!(is_refused(&becomes(&base, &upper, path, &[])), "{path}");
        std::fs::remove_file(upper.path(path)).unwrap();
    }
    for removed in [".git/config", ".git/hooks/x.sample", ".git/hooks"] {
        assert!(
            is_refused(&becomes(&base, &upper, removed, &[])),
            "{removed}"
        );
    }
    upper.write("src/main.rs", "x");
    assert_eq!(becomes(&base, &upper, "src/main.rs", &[]), Becomes::AsItIs);
    upper.write(".git/index", "x");
    assert_eq!(becomes(&base, &upper, ".git/index", &[]), Becomes::AsItIs);
}

#[test]
fn a_link_is_refused_where_a_directory_above_a_protected_name_would_be() {
    let (base, upper) = (Dir::new(), Dir::new());
    for name in [".git", ".cargo", ".config"] {
        std::os::unix::fs::symlink("elsewhere", upper.path(name)).unwrap();
        assert!(is_refused(&becomes(&base, &upper, name, &[])), "{name}");
        std::fs::remove_file(upper.path(name)).unwrap();
        std::fs::create_dir(upper.path(name)).unwrap();
        assert_eq!(becomes(&base, &upper, name, &[]), Becomes::AsItIs, "{name}");
    }
}

#[test]
fn a_configuration_goes_by_the_rules_of_one_that_is_written() {
    let (base, upper) = (base(), Dir::new());
    let config = |text: &str| {
        upper.write(".git/config", text);
        becomes(&base, &upper, ".git/config", &[])
    };
    let with_remote = "[core]\n\tbare = false\n[remote \"o\"]\n\turl = https://example.org/x\n";
    let Becomes::Config(content) = config(with_remote) else {
        panic!("a remote is carried over");
    };
    assert!(
        String::from_utf8(content)
            .unwrap()
            .contains("https://example.org/x")
    );
    assert_eq!(
        config("[core]\n\tbare = false\n# comment\n"),
        Becomes::Nothing
    );
    for evil in [
        "[core]\n\tbare = false\n\tfsmonitor = evil\n",
        "[core]\n\tbare = false\n[remote \"o\"]\n\turl = ext::sh -c evil\n",
        "[core]\n\tbare = false\n[alias]\n\tx = !evil\n",
    ] {
        assert!(is_refused(&config(evil)), "{evil}");
    }
}

#[test]
fn a_new_repository_is_as_git_makes_it_or_refused() {
    let (base, upper) = (Dir::new(), Dir::new());
    upper.write("new/.git/HEAD", "ref: refs/heads/main\n");
    upper.write("new/.git/objects/x", "");
    upper.write("new/.git/refs/x", "");
    upper.write("new/.git/hooks/pre-commit.sample", "");
    upper.write("new/.git/config", "[core]\n\tbare = false\n");
    for path in [
        "new/.git",
        "new/.git/config",
        "new/.git/hooks",
        "new/.git/hooks/pre-commit.sample",
    ] {
        assert_eq!(becomes(&base, &upper, path, &[]), Becomes::AsItIs, "{path}");
    }
    upper.write("new/.git/hooks/pre-commit", "evil");
    assert!(is_refused(&becomes(
        &base,
        &upper,
        "new/.git/hooks/pre-commit",
        &[]
    )));
    upper.write("new/.git/config", "[core]\n\tfsmonitor = evil\n");
    assert!(is_refused(&becomes(&base, &upper, "new/.git/config", &[])));
}

#[test]
fn a_bare_repository_of_whatever_name_has_the_same_names() {
    let (base, upper) = (Dir::new(), Dir::new());
    base.write("bare/HEAD", "ref: refs/heads/main\n");
    base.write("bare/objects/x", "");
    base.write("bare/refs/x", "");
    upper.write("bare/hooks/post-update", "evil");
    assert!(is_refused(&becomes(
        &base,
        &upper,
        "bare/hooks/post-update",
        &[]
    )));
    upper.write("plain/hooks/post-update", "fine");
    assert_eq!(
        becomes(&base, &upper, "plain/hooks/post-update", &[]),
        Becomes::AsItIs
    );
}

#[test]
fn what_a_configuration_names_is_refused() {
    let (base, upper) = (base(), Dir::new());
    upper.write("tools/hooks/pre-commit", "evil");
    let named = ["tools/hooks"];
    assert!(is_refused(&becomes(
        &base,
        &upper,
        "tools/hooks/pre-commit",
        &named
    )));
    assert_eq!(
        becomes(&base, &upper, "tools/hooks/pre-commit", &[]),
        Becomes::AsItIs
    );
    std::fs::remove_dir_all(upper.path("tools")).unwrap();
    std::os::unix::fs::symlink("x", upper.path("tools")).unwrap();
    assert!(is_refused(&becomes(&base, &upper, "tools", &named)));
}
