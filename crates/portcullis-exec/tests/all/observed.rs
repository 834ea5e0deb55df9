//! What an executor that observes says of its commands.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use portcullis_exec::{
    Completed, ExecAsk, Executor, ExecutorOptions, Helper, Observed, Status, Stream, Streams,
};
use portcullis_policy::FsAccess;

use crate::fixture::{Plugin, ask, grant, is_full, shell};
use crate::witness::{STUBBORN_LINES, Witness};

crate::tests![
    what_a_command_and_its_children_touch_is_told,
    nothing_is_told_by_default,
    of_a_command_beside_it_is_told_at_the_end,
    git_is_seen_to_look_for_its_repository,
    one_whose_time_is_over_has_been_observed_until_then,
    one_that_is_let_go_leaves_nothing,
    what_no_rule_grants_is_seen_and_stays_out_of_reach,
];

/// An executor whose commands are observed; all of these tests share it.
fn observer() -> &'static Executor {
    static EXECUTOR: OnceLock<Executor> = OnceLock::new();
    EXECUTOR.get_or_init(|| {
        let mut options = ExecutorOptions::default();
        options.observe = true;
        Executor::start(Helper::find(None).unwrap(), &options).unwrap()
    })
}

async fn run(plugin: &Plugin, ask: ExecAsk) -> (Completed, Observed) {
    let completed = plugin.try_run_on(observer(), ask, None).await.unwrap();
    let observed = completed.observed.clone().unwrap();
    assert!(!observed.truncated, "{observed:?}");
    assert_eq!(observed.unseen, 0, "{observed:?}");
    (completed, observed)
}

fn writable(allow: &[&str]) -> Plugin {
    let mut plugin = Plugin::new(allow);
    let project = plugin.place.project();
    plugin.grants.fs = vec![grant(project, "/project", FsAccess::ReadWrite)];
    plugin
}

async fn what_a_command_and_its_children_touch_is_told() {
    let plugin = writable(&["sh"]);
    plugin.write("a", "text", 0o644);
    let (completed, observed) = run(&plugin, shell("cat a >b; test -f x")).await;
    assert_eq!(completed.status, Status::Exited(1));
    let of = |name: &str| observed.paths[&plugin.path(name)].clone();
    assert_eq!((of("a").read, of("a").write), (1, 0));
    assert_eq!((of("b").read, of("b").write), (0, 1));
    assert_eq!((of("x").look, of("x").read), (1, 0));
    assert_eq!(observed.programs, [("/usr/bin/cat".into(), 1)].into());
}

async fn nothing_is_told_by_default() {
    let plugin = Plugin::new(&["true"]);
    assert_eq!(plugin.run(ask("true", &[])).await.observed, None);
}

async fn of_a_command_beside_it_is_told_at_the_end() {
    let plugin = Plugin::new(&["cat"]);
    let file = plugin.write("a", "text", 0o644);
    let (authorized, opened) = plugin.decide(&ask("cat", &["a", "-"])).unwrap();
    let streams = Streams {
        stdin: true,
        stdout: Stream::Null,
        stderr: Some(Stream::Null),
    };
    let spawned = observer().spawn(authorized, opened, streams, None, plugin.permit());
    let (piped, running) = spawned.await.unwrap();
    let running = tokio::spawn(running.finish());
    piped.close_stdin();
    let observed = running.await.unwrap().unwrap().observed.unwrap();
    assert_eq!(observed.paths[&file].read, 1);
}

async fn git_is_seen_to_look_for_its_repository() {
    let plugin = writable(&["git"]);
    let (completed, observed) = run(&plugin, ask("git", &["init", "-q"])).await;
    assert_eq!(completed.status, Status::Exited(0), "{completed:?}");
    // It takes its name when it is written.
    assert!(observed.paths[&plugin.path(".git/HEAD")].write > 0);
    plugin.write("untracked", "text", 0o644);
    let (completed, observed) = run(&plugin, ask("git", &["status", "-s"])).await;
    assert_eq!(completed.status, Status::Exited(0), "{completed:?}");
    assert!(observed.paths[&plugin.path(".git/HEAD")].read > 0);
    assert!(observed.paths[&plugin.path(".git/config")].read > 0);
    assert!(observed.paths[&plugin.path(".git/index")].read > 0);
}

async fn one_whose_time_is_over_has_been_observed_until_then() {
    let plugin = Plugin::new(&["sh"]);
    let file = plugin.write("a", "text", 0o644);
    let until = Instant::now() + Duration::from_millis(300);
    let ask = shell("cat a; while :; do test -f x; done");
    let completed = plugin.try_run_on(observer(), ask, Some(until)).await;
    let completed = completed.unwrap();
    assert_eq!(completed.status, Status::TimedOut);
    assert_eq!(completed.observed.unwrap().paths[&file].read, 1);
}

async fn one_that_is_let_go_leaves_nothing() {
    let plugin = Plugin::new(&["sh"]);
    let mut witness = Witness::new(plugin.place.project());
    let (authorized, opened) = plugin.decide(&shell(&witness.stubborn_tree())).unwrap();
    let streams = Streams {
        stdin: true,
        stdout: Stream::Null,
        stderr: Some(Stream::Null),
    };
    let spawned = observer().spawn(authorized, opened, streams, None, plugin.permit());
    let (piped, running) = spawned.await.unwrap();
    witness.lines(STUBBORN_LINES).await;
    drop(running);
    assert!(
        witness.ends_within(Duration::from_secs(1)),
        "something is left"
    );
    drop(piped);
}

async fn what_no_rule_grants_is_seen_and_stays_out_of_reach() {
    let plugin = Plugin::new(&["cat"]);
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().canonicalize().unwrap().join("file");
    std::fs::write(&file, "text").unwrap();
    let (completed, observed) = run(&plugin, ask("cat", &[file.to_str().unwrap()])).await;
    assert_eq!(observed.paths[&file].read, 1);
    let can_read = if is_full() { "" } else { "text" };
    assert_eq!(completed.stdout, can_read.as_bytes());
}
