//! Working trees that a command may write: what git changes there, and what nobody may leave there.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use portcullis_exec::care::TreeNote;
use portcullis_exec::{ExecAsk, Status};
use portcullis_policy::{Confinement, FsAccess};

use crate::fixture::{Plugin, Refused, ask, executor, grant, shell};

crate::tests![
    git_sets_an_upstream_and_adds_a_remote,
    what_git_would_run_is_not_carried_over,
    another_program_does_not_get_a_copy,
    a_name_that_others_execute_is_set_aside,
    a_repository_that_is_made_stays,
    a_hostile_repository_is_set_aside,
    a_command_that_is_given_up_leaves_nothing_either,
    what_the_user_makes_between_commands_stays,
];

/// A plugin that may write its project, which is a repository with one commit.
fn plugin() -> Plugin {
    let plugin = Plugin::new(&["git", "sh"]);
    host_git(&plugin.path(""), &["init", "-q", "-b", "main"]);
    plugin.write("file", "text", 0o644);
    host_git(&plugin.path(""), &["add", "file"]);
    let identity = ["-c", "user.name=N", "-c", "user.email=n@example.org"];
    host_git(
        &plugin.path(""),
        &[&identity[..], &["commit", "-qm", "one"]].concat(),
    );
    writable(plugin)
}

fn writable(mut plugin: Plugin) -> Plugin {
    plugin.exec().confinement = Confinement::Full;
    plugin.grants.fs = vec![grant(
        plugin.place.project(),
        "/project",
        FsAccess::ReadWrite,
    )];
    plugin
}

#[expect(clippy::disallowed_methods, reason = "the user's own git")]
fn host_git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(dir)
        .args(args)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn git(args: &[&str]) -> ExecAsk {
    ask("git", args)
}

async fn notes(plugin: &Plugin, ask: ExecAsk) -> Vec<TreeNote> {
    let completed = plugin.run(ask).await;
    let errors = String::from_utf8_lossy(&completed.stderr);
    assert_eq!(completed.status, Status::Exited(0), "{errors}");
    completed.trees
}

fn config(plugin: &Plugin) -> String {
    fs::read_to_string(plugin.path(".git/config")).unwrap()
}

async fn git_sets_an_upstream_and_adds_a_remote() {
    let plugin = plugin();
    let url = "https://example.org/x.git";
    let remote = notes(&plugin, git(&["remote", "add", "up", url])).await;
    let [TreeNote::ConfigChanged { config, changes }] = &remote[..] else {
        panic!("{remote:?}");
    };
    assert_eq!(*config, plugin.path(".git/config"));
    assert_eq!(changes[0].value, url);
    let tracking = git(&["checkout", "-q", "-b", "topic", "--track", "main"]);
    assert_eq!(notes(&plugin, tracking).await.len(), 1);
    let dir = plugin.path("");
    assert_eq!(host_git(&dir, &["remote", "get-url", "up"]).trim(), url);
    assert_eq!(
        host_git(&dir, &["config", "branch.topic.merge"]).trim(),
        "refs/heads/main"
    );
}

async fn what_git_would_run_is_not_carried_over() {
    let plugin = plugin();
    let before = config(&plugin);
    let set = git(&["config", "core.fsmonitor", "/tmp/evil"]);
    let refused = notes(&plugin, set).await;
    let [TreeNote::ConfigRefused { refused, .. }] = &refused[..] else {
        panic!("{refused:?}");
    };
    assert_eq!(refused.keys[0].key, "core.fsmonitor");
    assert_eq!(config(&plugin), before);
    // The next command starts from the real one.
    let read = plugin.run(git(&["config", "core.fsmonitor"])).await;
    assert_eq!(read.status, Status::Exited(1));
}

async fn another_program_does_not_get_a_copy() {
    let plugin = plugin();
    let before = config(&plugin);
    let script = "echo x >> .git/config || rm -f .git/config || mv .git .g || git remote add up https://example.org/x";
    assert_ne!(plugin.status(script).await, Status::Exited(0));
    assert_eq!(config(&plugin), before);
}

async fn a_name_that_others_execute_is_set_aside() {
    let plugin = plugin();
    fs::remove_dir_all(plugin.path(".git/hooks")).unwrap();
    let script = "echo evil > .envrc; mkdir .git/hooks; echo evil > .git/hooks/pre-commit; echo ../x > .git/commondir";
    let notes = notes(&plugin, shell(script)).await;
    let aside = |name: &str| {
        let path = plugin.path(name);
        let to = plugin.path(&format!("{name}.set-aside-1"));
        assert!(!path.exists() && to.exists(), "{name} {notes:?}");
        assert!(
            notes.contains(&TreeNote::SetAside { path, to }),
            "{notes:?}"
        );
    };
    for name in [".envrc", ".git/hooks", ".git/commondir"] {
        aside(name);
    }
    assert_eq!(notes.len(), 3);
}

async fn a_repository_that_is_made_stays() {
    let plugin = writable(Plugin::new(&["git", "sh"]));
    assert_eq!(notes(&plugin, git(&["init", "-q", "-b", "main"])).await, []);
    let commit = "echo x > f && git add f && git -c user.name=N -c user.email=n@example.org commit -qm one && git clone -q . inner && git worktree add -q tree";
    assert_eq!(notes(&plugin, shell(commit)).await, []);
    for dir in ["", "inner", "tree"] {
        host_git(&plugin.path(dir), &["log", "--oneline"]);
    }
}

async fn a_hostile_repository_is_set_aside() {
    let plugin = plugin();
    let script = "git init -q inner && git -C inner config core.fsmonitor /tmp/evil && \
                  git init -q bare.git --bare && echo evil > bare.git/hooks/post-update && \
                  echo 'gitdir: ../hidden' > a && mkdir sub && mv a sub/.git && git init -q --bare hidden && \
                  git -C hidden config core.sshCommand evil";
    let notes = notes(&plugin, shell(script)).await;
    for name in ["inner/.git/config", "bare.git/hooks", "hidden/config"] {
        assert!(!plugin.path(name).exists(), "{name} {notes:?}");
    }
    assert_eq!(notes.len(), 3, "{notes:?}");
}

async fn a_command_that_is_given_up_leaves_nothing_either() {
    let plugin = plugin();
    let script = "echo evil > .envrc; echo done > mark; sleep 60";
    let mark = plugin.path("mark");
    let run = plugin.try_run(shell(script));
    let made = async {
        while !mark.exists() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        ended = run => panic!("{ended:?}"),
        () = made => {}
    }
    assert!(!plugin.path(".envrc").exists());
    assert!(plugin.path(".envrc.set-aside-1").exists());
    let late = plugin.try_run_on(
        executor(),
        shell("echo evil > .envrc; sleep 60"),
        Some(Instant::now() + Duration::from_millis(300)),
    );
    match late.await {
        Ok(completed) => assert_eq!(completed.status, Status::TimedOut),
        Err(Refused::Failed(error)) => panic!("{error}"),
        other => panic!("{other:?}"),
    }
    assert!(!plugin.path(".envrc").exists());
}

async fn what_the_user_makes_between_commands_stays() {
    let plugin = plugin();
    assert_eq!(notes(&plugin, shell("echo x > y")).await, []);
    tokio::time::sleep(Duration::from_millis(2100)).await;
    plugin.write(".envrc", "the user's own", 0o644);
    let append = shell("! echo evil >> .envrc 2>/dev/null");
    assert_eq!(notes(&plugin, append).await, []);
    assert_eq!(
        fs::read_to_string(plugin.path(".envrc")).unwrap(),
        "the user's own"
    );
}
