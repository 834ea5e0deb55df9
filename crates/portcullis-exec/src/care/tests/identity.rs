use std::path::Path;

use super::{Dir, git, has_git, program};
use crate::care::{entries, git_environment, read_user_config};

fn environment(user: &str, roots: &[&str]) -> Vec<(String, String)> {
    let roots: Vec<&Path> = roots.iter().map(Path::new).collect();
    git_environment(&entries(user.as_bytes()).unwrap(), roots)
}

/// The key and value pairs behind the numbers.
fn passed(user: &str, roots: &[&str]) -> Vec<(String, String)> {
    let variables = environment(user, roots);
    let value = |name: &str| {
        variables
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.clone())
    };
    let count: usize = value("GIT_CONFIG_COUNT").unwrap().parse().unwrap();
    assert_eq!(variables.len(), 1 + 2 * count);
    (0..count)
        .map(|index| {
            let part = |part: &str| value(&format!("GIT_CONFIG_{part}_{index}")).unwrap();
            (part("KEY"), part("VALUE"))
        })
        .collect()
}

fn pairs<'a>(list: &[(&'a str, &'a str)]) -> Vec<(String, String)> {
    list.iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn who_the_user_is_and_nothing_else() {
    let user = "[user]\n\tname = Old\n\temail = a@b\n\tsigningKey = ABC\n[include]\n\tpath = x\n[alias]\n\tci = !sh\n\
        [credential]\n\thelper = store\n[url \"x\"]\n\tinsteadOf = y\n[core]\n\tautocrlf = input\n\tfsmonitor = /x\n\
        \tpager = sh\n[init]\n\tdefaultBranch = trunk\n\ttemplateDir = /x\n[user]\n\tname = New\n[user \"x\"]\n\tname = Sub\n";
    assert_eq!(
        passed(user, &["/srv/tree"]),
        pairs(&[
            ("user.name", "New"),
            ("user.email", "a@b"),
            ("init.defaultbranch", "trunk"),
            ("core.autocrlf", "input"),
            ("safe.directory", "/srv/tree"),
        ])
    );
    assert_eq!(passed("", &[]), []);
}

#[test]
fn values_that_are_not_what_they_should_be_stay_behind() {
    for user in [
        "[user]\n\tname\n",
        "[user]\n\tname =\n",
        "[user]\n\tname = \"a\\nb\"\n",
        "[init]\n\tdefaultBranch = --x\n",
        "[init]\n\tdefaultBranch = a b\n",
        "[core]\n\tautocrlf = maybe\n",
    ] {
        assert_eq!(passed(user, &[]), [], "{user}");
    }
    let long = format!("[user]\n\tname = {}\n", "x".repeat(1025));
    assert_eq!(passed(&long, &[]), []);
    // A pattern would make other people's trees trusted, an empty one forget what was trusted.
    assert_eq!(
        passed("", &["/srv/*", "*", "", "relative", "/srv/a\nb"]),
        []
    );
}

#[test]
fn the_file_is_a_plain_one_of_plain_size() {
    let dir = Dir::new();
    dir.write("config", "[user]\nname = N\n");
    assert_eq!(read_user_config(&dir.path("config")).len(), 1);
    // Dotfiles are often links, and this is the user's own.
    dir.link("link", "config");
    assert_eq!(read_user_config(&dir.path("link")).len(), 1);
    dir.make("directory");
    dir.write("broken", "[user");
    dir.write(
        "large",
        [&b"[user]\nname = N\n"[..], &vec![b'\n'; 1 << 20]].concat(),
    );
    for name in ["none", "directory", "broken", "large"] {
        assert!(read_user_config(&dir.path(name)).is_empty(), "{name}");
    }
    assert!(read_user_config(Path::new("/dev/zero")).is_empty());
}

#[test]
fn git_commits_under_that_name_in_a_tree_that_belongs_to_somebody_else() {
    if !has_git("care::identity::git_commits_under_that_name") {
        return;
    }
    let dir = Dir::new();
    dir.make("home");
    dir.make("tree");
    let tree = dir.path("tree");
    git(&tree, &["init", "-q"]);
    let run = |variables: Vec<(String, String)>, args: &[&str]| {
        let mut git = program("git", &tree);
        // As in a cell, and as if the tree were a stranger's.
        for name in ["AUTHOR", "COMMITTER"] {
            git.env_remove(format!("GIT_{name}_NAME"))
                .env_remove(format!("GIT_{name}_EMAIL"));
        }
        git.env("HOME", dir.path("home"))
            .env("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1");
        git.args(args).envs(variables).output().unwrap()
    };
    let variables = environment(
        "[user]\nname = Ann\nemail = a@b\n",
        &[tree.to_str().unwrap()],
    );
    let commit = ["commit", "-q", "--allow-empty", "-m", "x"];
    assert!(
        !run(Vec::new(), &commit).status.success(),
        "without them it does not"
    );
    let output = run(variables.clone(), &commit);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        run(variables, &["log", "--format=%an <%ae>"]).stdout,
        b"Ann <a@b>\n"
    );
}
