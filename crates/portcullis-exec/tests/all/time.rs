//! On expiry the whole tree dies, within a second, and what it wrote is kept.

use std::time::{Duration, Instant};

use portcullis_exec::{ExecFailure, Status};
use portcullis_policy::ProgramRule;

use crate::fixture::{Plugin, Refused, executor, shell, soak};
use crate::witness::{STUBBORN_LINES, Witness};

crate::tests![
    the_tree_is_gone_and_its_output_kept,
    many_at_once,
    the_smallest_of_three_counts,
    a_deadline_in_the_past_starts_nothing,
    grace_lets_a_handler_end_the_command,
    grace_is_part_of_the_time,
    no_grace_is_no_sigterm,
    a_command_in_time_is_not_timed_out,
];

/// Enough for a tree to come up on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(4);
/// How long the end of a tree may take.
const AT_MOST: Duration = Duration::from_secs(1);

fn limited(timeout: Duration, term_grace: Duration) -> Plugin {
    let mut plugin = Plugin::new(&["sh"]);
    plugin.limit(|limits| (limits.timeout, limits.term_grace) = (timeout, term_grace));
    plugin
}

/// Lets a tree run into its deadline, with processes that left the session, hold the pipes and
/// ignore SIGTERM.
async fn let_a_tree_time_out(plugin: &Plugin, name: &str) {
    let mut witness = Witness::named(plugin.place.project(), name);
    let start = Instant::now();
    let run = plugin.run(shell(&witness.stubborn_tree()));
    let (completed, ()) = tokio::join!(run, witness.lines(STUBBORN_LINES));
    let took = start.elapsed();
    assert!(witness.is_at_end(), "something of the tree is left");
    assert_eq!(completed.status, Status::TimedOut);
    assert_eq!(completed.stdout, b"partial\n");
    assert!(completed.stragglers >= 6, "{}", completed.stragglers);
    assert!(took >= TIMEOUT && took < TIMEOUT + AT_MOST, "{took:?}");
}

async fn the_tree_is_gone_and_its_output_kept() {
    let_a_tree_time_out(&limited(TIMEOUT, Duration::ZERO), "witness").await;
}

async fn many_at_once() {
    let plugin = limited(TIMEOUT, Duration::ZERO);
    for round in 0..soak(100) / 5 {
        let name = |index: i32| format!("witness-{round}-{index}");
        let names = [name(0), name(1), name(2), name(3), name(4)];
        let [a, b, c, d, e] = names
            .each_ref()
            .map(|name| let_a_tree_time_out(&plugin, name));
        tokio::join!(a, b, c, d, e);
    }
}

async fn the_smallest_of_three_counts() {
    const SHORT: Duration = Duration::from_secs(1);
    let long = Duration::from_secs(20);
    let took = async |plugin: &Plugin, deadline: Duration| {
        let start = Instant::now();
        let run = plugin.try_run_on(executor(), shell("sleep 1000"), Some(start + deadline));
        assert_eq!(run.await.unwrap().status, Status::TimedOut);
        start.elapsed()
    };
    assert!(
        took(&limited(SHORT, Duration::ZERO), long).await < long,
        "the policy's"
    );
    assert!(
        took(&limited(long, Duration::ZERO), SHORT).await < long,
        "the call's"
    );
    let mut plugin = limited(long, Duration::ZERO);
    let mut rule = ProgramRule::any_arguments("sh");
    rule.narrowing.timeout = Some(SHORT);
    plugin.exec().allow = vec![rule];
    assert!(took(&plugin, long).await < long, "the rule's");
}

async fn a_deadline_in_the_past_starts_nothing() {
    let plugin = Plugin::new(&["sh"]);
    let script = format!("echo > '{}'; sleep 1000", plugin.path("ran").display());
    let past = Instant::now() - Duration::from_secs(1);
    match plugin
        .try_run_on(executor(), shell(&script), Some(past))
        .await
    {
        Err(Refused::Failed(ExecFailure::TimeUp)) => {}
        other => panic!("{other:?}"),
    }
    assert!(!plugin.path("ran").exists());
}

async fn grace_lets_a_handler_end_the_command() {
    let plugin = limited(Duration::from_secs(10), Duration::from_millis(9500));
    let start = Instant::now();
    let script = "trap 'echo caught; exit 5' TERM; echo ready; while :; do sleep 0.02; done";
    let completed = plugin.run(shell(script)).await;
    assert_eq!(
        completed.status,
        Status::TimedOut,
        "it was stopped, whatever it made of that"
    );
    assert_eq!(completed.stdout, b"ready\ncaught\n");
    assert!(
        start.elapsed() < Duration::from_secs(9),
        "{:?}",
        start.elapsed()
    );
}

async fn grace_is_part_of_the_time() {
    let plugin = limited(TIMEOUT, Duration::from_millis(500));
    let_a_tree_time_out(&plugin, "witness").await;
}

async fn no_grace_is_no_sigterm() {
    let plugin = limited(Duration::from_secs(2), Duration::ZERO);
    let script = "trap 'echo caught' TERM; echo ready; while :; do sleep 0.02; done";
    let completed = plugin.run(shell(script)).await;
    assert_eq!(
        (completed.status, &completed.stdout[..]),
        (Status::TimedOut, &b"ready\n"[..])
    );
}

async fn a_command_in_time_is_not_timed_out() {
    let plugin = limited(Duration::from_secs(20), Duration::from_secs(1));
    let completed = plugin.run(shell("sleep 0.1; exit 3")).await;
    assert_eq!(completed.status, Status::Exited(3));
    assert!(
        completed.duration >= Duration::from_millis(100),
        "{:?}",
        completed.duration
    );
}
