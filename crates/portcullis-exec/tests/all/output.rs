//! Both outputs are read while the command runs; caps cut, and never block.

use portcullis_exec::{Completed, Status};
use portcullis_policy::Code;

use crate::fixture::{Plugin, ask, shell};

crate::tests![
    bytes_not_text,
    both_streams_at_once,
    one_stream_after_the_other,
    exactly_the_cap_is_not_truncated,
    over_the_cap_is_cut_and_said_so,
    each_stream_has_its_own_cap,
    a_flood_is_killed_at_the_hard_cap,
    a_flood_under_a_large_cap_ends_with_its_time,
];

const MIB: usize = 1 << 20;

fn capped(bytes: u64) -> Plugin {
    let mut plugin = Plugin::new(&["sh", "yes", "head"]);
    plugin.limit(|limits| limits.output = bytes);
    plugin
}

async fn bytes_not_text() {
    let completed = Plugin::new(&["sh"])
        .run(shell(r"printf '\377\000\r\n'; printf '\200' >&2"))
        .await;
    assert_eq!(
        (&completed.stdout[..], &completed.stderr[..]),
        (&b"\xff\0\r\n"[..], &b"\x80"[..])
    );
    assert!(!completed.truncated());
}

async fn both_streams_at_once() {
    let script = "head -c 8388608 /dev/zero & head -c 8388608 /dev/zero >&2; wait";
    let completed = Plugin::new(&["sh"]).run(shell(script)).await;
    assert_eq!(completed.status, Status::Exited(0));
    assert_eq!(
        (completed.stdout.len(), completed.stderr.len()),
        (8 * MIB, 8 * MIB)
    );
    assert!(!completed.truncated());
}

async fn one_stream_after_the_other() {
    let script = "head -c 1000000 /dev/zero >&2; head -c 1000000 /dev/zero; exit 5";
    let completed = Plugin::new(&["sh"]).run(shell(script)).await;
    assert_eq!(completed.status, Status::Exited(5));
    assert_eq!(
        (completed.stdout.len(), completed.stderr.len()),
        (1_000_000, 1_000_000)
    );
}

async fn exactly_the_cap_is_not_truncated() {
    let completed = capped(100_000)
        .run(ask("head", &["-c", "100000", "/dev/zero"]))
        .await;
    assert_eq!(
        (completed.stdout.len(), completed.truncated()),
        (100_000, false)
    );
}

async fn over_the_cap_is_cut_and_said_so() {
    let completed = capped(100_000)
        .run(ask("head", &["-c", "100001", "/dev/zero"]))
        .await;
    assert_eq!(
        completed.status,
        Status::Exited(0),
        "it is read to its end all the same"
    );
    assert_eq!(
        (completed.stdout.len(), completed.stdout_written),
        (100_000, 100_001)
    );
    assert!(completed.stdout_truncated && !completed.stderr_truncated);
}

async fn each_stream_has_its_own_cap() {
    let script = "head -c 1000 /dev/zero; head -c 1001 /dev/zero >&2";
    let completed = capped(1000).run(shell(script)).await;
    assert_eq!(
        (completed.stdout.len(), completed.stderr.len()),
        (1000, 1000)
    );
    assert!(!completed.stdout_truncated && completed.stderr_truncated);
}

fn assert_killed_for(completed: &Completed, code: Code) {
    let sigkill = rustix::process::Signal::KILL.as_raw();
    assert_eq!(completed.status, Status::Signalled(sigkill));
    assert_eq!(completed.killed_for, Some(code));
    assert!(completed.stdout_truncated);
}

async fn a_flood_is_killed_at_the_hard_cap() {
    let completed = capped(10_000).run(ask("yes", &[])).await;
    assert_killed_for(&completed, Code::LimitOutput);
    assert_eq!(completed.stdout, b"y\n".repeat(5000));
    assert!(
        completed.stdout_written > 640_000,
        "{}",
        completed.stdout_written
    );
}

async fn a_flood_under_a_large_cap_ends_with_its_time() {
    let mut plugin = capped(1000);
    // Slow enough never to reach the hard cap, and without an end.
    plugin.limit(|limits| limits.timeout = std::time::Duration::from_secs(2));
    let completed = plugin
        .run(shell("while :; do echo x; sleep 0.01; done"))
        .await;
    assert_eq!(
        (completed.status, completed.killed_for),
        (Status::TimedOut, None)
    );
    assert!(completed.stdout.starts_with(b"x\n"));
    // As fast as it can, with all the room that there is.
    plugin.limit(|limits| (limits.output, limits.total_output) = (1 << 40, 1 << 40));
    let completed = plugin
        .run(shell("exec yes > /dev/null & yes | head -c 1000000; wait"))
        .await;
    assert_eq!(
        (completed.status, completed.stdout.len()),
        (Status::TimedOut, 1_000_000)
    );
}
