//! A lost spawn server: the call that notices fails, nothing of it is left, the next one works.

use std::time::Duration;

use portcullis_exec::{ExecFailure, Executor, Status};
use rustix::process::{Pid, Signal};

use crate::fixture::{Plugin, Refused, new_executor, shell};
use crate::witness::{STUBBORN_LINES, Witness};

crate::tests![
    lost_while_idle,
    lost_while_a_command_runs,
    dropping_the_executor_ends_the_server,
];

fn kill_server(executor: &Executor) -> Pid {
    let pid = i32::try_from(executor.server_pid().unwrap()).unwrap();
    let pid = Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, Signal::KILL).unwrap();
    pid
}

async fn status_on(executor: &Executor, plugin: &Plugin, script: &str) -> Result<Status, Refused> {
    plugin
        .try_run_on(executor, shell(script), None)
        .await
        .map(|completed| completed.status)
}

fn assert_lost<T: std::fmt::Debug>(result: Result<T, Refused>) {
    match result {
        Err(Refused::Failed(ExecFailure::Server(_))) => {}
        other => panic!("{other:?}"),
    }
}

async fn lost_while_idle() {
    let executor = new_executor();
    let plugin = Plugin::new(&["sh"]);
    assert_eq!(
        status_on(&executor, &plugin, "exit 3").await.unwrap(),
        Status::Exited(3)
    );
    let killed = kill_server(&executor);
    // Its cells end a moment after it; a command that still gets one is lost with it.
    assert_lost(status_on(&executor, &plugin, "sleep 1000").await);
    // Three cells were parked: on a busy machine each may still look alive to one command.
    let mut again = status_on(&executor, &plugin, "exit 3").await;
    for _ in 0..3 {
        if again.is_ok() {
            break;
        }
        again = status_on(&executor, &plugin, "exit 3").await;
    }
    assert_eq!(again.unwrap(), Status::Exited(3));
    assert_ne!(
        executor.server_pid(),
        u32::try_from(killed.as_raw_nonzero().get()).ok()
    );
}

async fn lost_while_a_command_runs() {
    let executor = new_executor();
    let plugin = Plugin::new(&["sh"]);
    let mut witness = Witness::new(plugin.place.project());
    let tree = witness.stubborn_tree();
    let kill = async {
        witness.lines(STUBBORN_LINES).await;
        kill_server(&executor);
    };
    let (lost, ()) = tokio::join!(status_on(&executor, &plugin, &tree), kill);
    assert_lost(lost);
    assert!(
        witness.ends_within(Duration::from_secs(1)),
        "something of the tree is left"
    );
}

async fn dropping_the_executor_ends_the_server() {
    let executor = new_executor();
    let pid = executor.server_pid().unwrap();
    let stat = format!("/proc/{pid}/stat");
    assert!(std::fs::exists(&stat).unwrap());
    drop(executor);
    assert!(!std::fs::exists(&stat).unwrap(), "it was not reaped");
}
