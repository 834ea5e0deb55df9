//! Too many commands, too fast, or too much in all: a clear error, and nothing runs.

use std::fs;

use portcullis_exec::Status;
use portcullis_policy::Code;

use crate::fixture::{Plugin, Refused, ask, shell};
use crate::witness::Witness;

crate::tests![
    children_at_once,
    a_dropped_command_gives_its_place_back,
    starts_per_minute,
    output_in_all,
    denied_requests_do_not_count,
];

async fn children_at_once() {
    let mut plugin = Plugin::new(&["sh"]);
    plugin.limit(|limits| limits.children = 1);
    let witness = Witness::new(plugin.place.project());
    let go = plugin.path("go");
    rustix::fs::mkfifoat(rustix::fs::CWD, &go, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    let script = format!(
        "{}echo >&9; read line < '{}'; exit 3",
        witness.hold(),
        go.display()
    );
    let first = plugin.run(shell(&script));
    let second = async {
        witness.lines(1).await;
        assert_eq!(plugin.limit_of(shell("exit 0")).await, Code::LimitChildren);
        fs::write(&go, "go\n").unwrap();
    };
    let (first, ()) = tokio::join!(first, second);
    assert_eq!(first.status, Status::Exited(3));
    assert_eq!(
        plugin.status("exit 0").await,
        Status::Exited(0),
        "there is room again"
    );
}

async fn a_dropped_command_gives_its_place_back() {
    let mut plugin = Plugin::new(&["sh"]);
    plugin.limit(|limits| limits.children = 1);
    let witness = Witness::new(plugin.place.project());
    let script = format!("{}echo >&9; sleep 1000", witness.hold());
    tokio::select! {
        completed = plugin.run(shell(&script)) => panic!("{completed:?}"),
        () = witness.lines(1) => {}
    }
    assert_eq!(plugin.status("exit 0").await, Status::Exited(0));
}

async fn starts_per_minute() {
    let mut plugin = Plugin::new(&["sh"]);
    plugin.limit(|limits| limits.spawns_per_minute = 2);
    for _ in 0..2 {
        assert_eq!(plugin.status("exit 0").await, Status::Exited(0));
    }
    assert_eq!(plugin.limit_of(shell("exit 0")).await, Code::LimitRate);
}

async fn output_in_all() {
    let mut plugin = Plugin::new(&["head"]);
    plugin.limit(|limits| limits.total_output = 1000);
    let write_600 = || ask("head", &["-c", "600", "/dev/zero"]);
    assert_eq!(plugin.run(write_600()).await.stdout.len(), 600);
    let second = plugin.run(write_600()).await;
    assert_eq!((second.stdout.len(), second.stdout_truncated), (400, true));
    assert_eq!(plugin.limit_of(write_600()).await, Code::LimitTotalOutput);
    // A command that goes on writing is killed for it.
    plugin.limit(|limits| limits.total_output = 100_000);
    plugin.exec().any_program = true;
    let flood = plugin.run(ask("yes", &[])).await;
    assert_eq!(flood.killed_for, Some(Code::LimitTotalOutput));
    assert_eq!(
        (flood.stdout.len(), flood.stdout_truncated),
        (100_000, true)
    );
}

async fn denied_requests_do_not_count() {
    let mut plugin = Plugin::new(&["sh"]);
    plugin.limit(|limits| limits.spawns_per_minute = 1);
    for _ in 0..3 {
        assert!(matches!(
            plugin.try_run(ask("cat", &[])).await,
            Err(Refused::Denied(_))
        ));
    }
    assert_eq!(plugin.status("exit 0").await, Status::Exited(0));
}
