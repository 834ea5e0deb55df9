//! The memory of a command and everything it starts.

use portcullis_exec::{Protection, Status, cgroup_obstacle};
use portcullis_policy::{Code, ProgramRule};

use crate::fixture::{Plugin, shell};

crate::tests![
    a_tree_with_too_much_is_killed_and_the_limit_is_named,
    a_tree_with_less_is_left_alone,
    without_a_limit_there_is_none,
];

/// Three processes that fill memory of their own, and the command once they have.
const THREE_TIMES_32_MIB: &str = "for i in 1 2 3; do
    (setsid sh -c 'head -c 32M /dev/zero | tail -n 1 | (head -c 1; exec sleep 1000)' &) ; done
    until [ \"$(cat /proc/[0-9]*/status 2>/dev/null | grep -c '^RssAnon:[^0-9]*3[0-9][0-9][0-9][0-9] kB')\" -ge 3 ]; do
        sleep 0.02; done
    sleep 0.1; exit 4";

fn limited(memory: Option<u64>) -> Plugin {
    let mut plugin = Plugin::new(&[]);
    let mut rule = ProgramRule::any_arguments("sh");
    rule.narrowing.memory = memory;
    plugin.exec().allow = vec![rule];
    plugin
}

async fn a_tree_with_too_much_is_killed_and_the_limit_is_named() {
    let plugin = limited(Some(60 << 20));
    let completed = plugin.run(shell(THREE_TIMES_32_MIB)).await;
    assert_eq!(completed.killed_for, Some(Code::LimitMemory));
    assert_eq!(completed.status, Status::Signalled(9));
    if completed.report.has(Protection::MemoryWatch) {
        assert!(completed.stragglers >= 3, "{}", completed.stragglers);
    }
    // Which it is depends on where this runs.
    let kept = [Protection::MemoryWatch, Protection::MemoryCgroup];
    let kept = kept.map(|way| completed.report.has(way));
    let delegated = cgroup_obstacle(Protection::MemoryCgroup).is_none();
    assert_eq!(kept, [!delegated, delegated]);
}

async fn a_tree_with_less_is_left_alone() {
    let plugin = limited(Some(512 << 20));
    let completed = plugin.run(shell(THREE_TIMES_32_MIB)).await;
    assert_eq!(
        (completed.killed_for, completed.status),
        (None, Status::Exited(4))
    );
}

async fn without_a_limit_there_is_none() {
    let completed = limited(None).run(shell(THREE_TIMES_32_MIB)).await;
    assert_eq!(
        (completed.killed_for, completed.status),
        (None, Status::Exited(4))
    );
}
