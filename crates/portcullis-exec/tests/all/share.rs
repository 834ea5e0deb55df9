//! Scratch directories: a command's own, or shared within one instance and nowhere else.

use std::time::{Duration, Instant};

use portcullis_exec::{ExecAsk, Sharer, Status};
use portcullis_policy::{HostRule, Net};

use crate::fixture::{Plugin, executor, new_executor, shell};

crate::tests![
    nothing_is_shared_unless_the_policy_says_so,
    commands_of_one_instance_share,
    instances_share_nothing_with_each_other,
    tenants_with_equal_rights_share_nothing,
    a_command_of_no_instance_shares_nothing,
    other_rights_are_other_scratch_directories,
    nothing_is_shared_beside_a_proxy,
    what_was_shared_goes_with_the_instance,
    processes_are_never_shared,
];

/// Leaves something behind, and says what was there.
const LEAVE: &str =
    "cat /tmp/left /dev/shm/left 2>/dev/null; echo one > /tmp/left; echo two > /dev/shm/left";
const BOTH: &str = "one\ntwo\n";

fn plugin(share: bool) -> Plugin {
    let mut plugin = Plugin::new(&["sh"]);
    plugin.exec().share = share;
    plugin
}

async fn output(plugin: &Plugin, sharer: &Sharer, ask: ExecAsk) -> String {
    let (authorized, opened) = plugin.decide(&ask).unwrap();
    let permit = plugin.quota.begin(Instant::now()).unwrap().of(sharer);
    let run = executor().run(authorized, opened, None, None, permit);
    let completed = run.await.unwrap();
    assert_eq!(completed.status, Status::Exited(0), "{completed:?}");
    String::from_utf8(completed.stdout).unwrap()
}

async fn nothing_is_shared_unless_the_policy_says_so() {
    let (plugin, sharer) = (plugin(false), Sharer::new());
    for _ in 0..3 {
        assert_eq!(output(&plugin, &sharer, shell(LEAVE)).await, "");
    }
}

async fn commands_of_one_instance_share() {
    let (plugin, sharer) = (plugin(true), Sharer::new());
    assert_eq!(output(&plugin, &sharer, shell(LEAVE)).await, "");
    for _ in 0..3 {
        let again = output(&plugin, &sharer.clone(), shell(LEAVE)).await;
        assert_eq!(again, BOTH);
    }
}

async fn instances_share_nothing_with_each_other() {
    let plugin = plugin(true);
    let first = Sharer::new();
    assert_eq!(output(&plugin, &first, shell(LEAVE)).await, "");
    assert_eq!(output(&plugin, &Sharer::new(), shell(LEAVE)).await, "");
    assert_eq!(output(&plugin, &first, shell(LEAVE)).await, BOTH);
}

/// Two plugins of one host whose grants are the same in every respect.
async fn tenants_with_equal_rights_share_nothing() {
    let (one, mut other) = (plugin(true), plugin(true));
    other.place = one.place.clone();
    other.grants.fs.clone_from(&one.grants.fs);
    let sharer = Sharer::new();
    assert_eq!(output(&one, &sharer, shell(LEAVE)).await, "");
    assert_eq!(output(&other, &Sharer::new(), shell(LEAVE)).await, "");
    assert_eq!(
        output(&one, &sharer, shell(LEAVE)).await,
        BOTH,
        "the control"
    );
}

async fn a_command_of_no_instance_shares_nothing() {
    let plugin = plugin(true);
    for _ in 0..3 {
        assert_eq!(plugin.output(shell(LEAVE)).await, "");
    }
}

async fn other_rights_are_other_scratch_directories() {
    let (mut plugin, sharer) = (plugin(true), Sharer::new());
    assert_eq!(output(&plugin, &sharer, shell(LEAVE)).await, "");
    plugin.grants.net = Net::Loopback;
    assert_eq!(output(&plugin, &sharer, shell(LEAVE)).await, "");
    plugin.grants.net = Net::None;
    assert_eq!(output(&plugin, &sharer, shell(LEAVE)).await, BOTH);
}

async fn nothing_is_shared_beside_a_proxy() {
    let (mut plugin, sharer) = (plugin(true), Sharer::new());
    let rule = HostRule::parse("127.0.0.1:9").unwrap();
    plugin.grants.net = Net::Hosts(vec![rule]);
    for _ in 0..2 {
        assert_eq!(output(&plugin, &sharer, shell(LEAVE)).await, "");
    }
}

async fn what_was_shared_goes_with_the_instance() {
    let executor = new_executor();
    let plugin = plugin(true);
    let run = async |sharer: &Sharer| {
        let (authorized, opened) = plugin.decide(&shell(LEAVE)).unwrap();
        let permit = plugin.quota.begin(Instant::now()).unwrap().of(sharer);
        executor
            .run(authorized, opened, None, None, permit)
            .await
            .unwrap()
    };
    let server = executor.server_pid().unwrap();
    let first = Sharer::new();
    run(&first).await;
    let templates = crate::templates::templates_of(server);
    assert_eq!(templates.len(), 1);
    drop(first);
    run(&Sharer::new()).await;
    let end = Instant::now() + Duration::from_secs(10);
    while crate::templates::templates_of(server).contains(&templates[0]) {
        assert!(Instant::now() < end, "its template is still there");
        tokio::task::yield_now().await;
    }
}

async fn processes_are_never_shared() {
    let (plugin, sharer) = (plugin(true), Sharer::new());
    let script = "sleep 1000 & set -- /proc/[0-9]*; echo $#";
    let alone = output(&plugin, &sharer, shell(script)).await;
    for _ in 0..3 {
        assert_eq!(output(&plugin, &sharer, shell(script)).await, alone);
    }
    let one = output(&plugin, &sharer, shell("readlink /proc/self/ns/pid"));
    let other = output(&plugin, &sharer, shell("readlink /proc/self/ns/pid"));
    let (one, other) = tokio::join!(one, other);
    assert_ne!(one, other);
}
