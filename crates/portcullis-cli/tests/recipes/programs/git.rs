//! Repositories.

use crate::Recipe;
use crate::site::site;
use crate::world::World;

pub(super) const RECIPES: &[Recipe] = &[
    Recipe {
        title: "git in a project",
        needs: &["git"],
        test: project,
    },
    Recipe {
        title: "git in a linked working tree",
        needs: &["git"],
        test: linked,
    },
    Recipe {
        title: "git over https",
        needs: &["git", "python3", "openssl"],
        test: https,
    },
];

/// What a person has set up.
fn identity(world: &World) {
    world.file(
        "home/.gitconfig",
        "[user]\n\tname = Ann\n\temail = ann@example.org\n",
    );
}

/// A repository of the user's own with one commit.
fn repository(world: &World, directory: &str) {
    identity(world);
    world.directory(directory);
    world.user_does(directory, &["git", "init", "-q", "-b", "main"]);
    world.file(&format!("{directory}/readme"), "first\n");
    world.user_does(directory, &["git", "add", "readme"]);
    world.user_does(directory, &["git", "commit", "-qm", "first"]);
}

fn project(world: &World) {
    daily(world);
    branches(world);
    worktrees(world);
    nothing_else(world);
}

/// Looking and committing.
fn daily(world: &World) {
    repository(world, "project");
    world.file("project/readme", "second\n");
    assert_eq!(
        world.succeeds(&["git", "status", "--porcelain"]),
        " M readme\n"
    );
    assert!(world.succeeds(&["git", "diff"]).contains("+second"));
    world.all_succeed(&[
        &["git", "add", "readme"],
        &["git", "commit", "-qm", "second"],
    ]);
    let log = world.succeeds(&["git", "log", "--format=%an <%ae> %s"]);
    assert_eq!(
        log,
        "Ann <ann@example.org> second\nAnn <ann@example.org> first\n"
    );
    assert_eq!(
        world.user_does("project", &["git", "status", "--porcelain"]),
        ""
    );
}

/// A clone, branches, and a branch that follows another repository's.
fn branches(world: &World) {
    world.all_succeed(&[
        &["git", "clone", "-q", ".", "copy"],
        &["git", "checkout", "-q", "-b", "topic"],
    ]);
    assert_eq!(
        world.user_does("project", &["git", "branch", "--show-current"]),
        "topic\n"
    );
    world.succeeds_in(
        "project/copy",
        &[
            "git",
            "checkout",
            "-q",
            "-b",
            "work",
            "--track",
            "origin/main",
        ],
    );
    let upstream = ["git", "rev-parse", "--abbrev-ref", "work@{upstream}"];
    assert_eq!(world.user_does("project/copy", &upstream), "origin/main\n");
    world.succeeds(&["git", "remote", "add", "up", "https://github.com/a/b.git"]);
    assert_eq!(
        world.user_does("project", &["git", "remote", "get-url", "up"]),
        "https://github.com/a/b.git\n"
    );
}

fn worktrees(world: &World) {
    world.succeeds(&["git", "worktree", "add", "-q", "-b", "side", "trees/side"]);
    world.file("project/trees/side/new", "text\n");
    world.succeeds_in("project/trees/side", &["git", "add", "new"]);
    world.succeeds_in("project/trees/side", &["git", "commit", "-qm", "in a tree"]);
    let log = world.user_does("project", &["git", "log", "-1", "--format=%s", "side"]);
    assert_eq!(log, "in a tree\n");
}

fn nothing_else(world: &World) {
    let (ran, _) = world.fails(&["git", "hash-object", &world.secret()]);
    assert!(ran.stderr.contains("No such file"), "{ran:#?}");
    let outside = world.path("outside").display().to_string();
    let hooks = format!("core.hooksPath={outside}");
    // It changes a copy, of which this is not taken.
    world.succeeds(&["git", "config", "core.fsmonitor", "/bin/true"]);
    assert!(!world.read("project/.git/config").contains("fsmonitor"));
    world.fails(&[
        "git",
        "-c",
        &hooks,
        "clone",
        "-q",
        ".",
        &format!("{outside}/copy"),
    ]);
    assert!(!world.path("outside/copy").exists());
}

/// The working tree is the project, its repository lies elsewhere.
fn linked(world: &World) {
    repository(world, "home/repository");
    std::fs::remove_dir(world.project()).unwrap();
    world.user_does(
        "home/repository",
        &[
            "git",
            "worktree",
            "add",
            "-q",
            "-b",
            "side",
            "../../project",
        ],
    );
    world.file("project/readme", "second\n");
    assert_eq!(
        world.succeeds(&["git", "status", "--porcelain"]),
        " M readme\n"
    );
    world.all_succeed(&[
        &["git", "commit", "-qam", "from a tree"],
        &["git", "checkout", "-q", "-b", "topic"],
    ]);
    let log = world.user_does(
        "home/repository",
        &["git", "log", "-1", "--format=%s", "topic"],
    );
    assert_eq!(log, "from a tree\n");
    // The files of the other tree are not granted.
    let other = world.path("home/repository/readme").display().to_string();
    world.fails(&["git", "hash-object", &other]);
}

/// From a host over TLS, and not from another.
fn https(world: &World) {
    identity(world);
    let host = site().host("github.com");
    let name = format!("{}.git", world.path("").file_name().unwrap().display());
    let bare = host.join(&name);
    let bare = bare.to_str().unwrap();
    let host_git = |args: &[&str]| {
        let git = crate::user::find("git").unwrap();
        let done = crate::user::command(&git)
            .args(args)
            .current_dir(world.path("outside"))
            .output();
        let done = done.unwrap();
        assert!(done.status.success(), "{args:?}: {done:?}");
    };
    host_git(&["init", "-q", "-b", "main", "served"]);
    let named = [
        "-C",
        "served",
        "-c",
        "user.name=A",
        "-c",
        "user.email=a@example.org",
    ];
    host_git(&[&named[..], &["commit", "-q", "--allow-empty", "-m", "far"]].concat());
    host_git(&["clone", "-q", "--bare", "served", bare]);
    host_git(&["-C", bare, "update-server-info"]);
    let url = format!("https://github.com/{name}");
    world.succeeds(&["git", "clone", "-q", &url, "clone"]);
    let log = world.user_does("project/clone", &["git", "log", "--format=%s"]);
    assert_eq!(log, "far\n");
    world.succeeds_in("project/clone", &["git", "fetch", "-q"]);
    world.fails(&[
        "git",
        "clone",
        "-q",
        &url.replace("github.com", "refused.example"),
        "other",
    ]);
    assert_eq!(site().requests("refused.example"), [""; 0]);
}
