//! The host dies by SIGKILL, and nothing it started is left: while it drains a command's output, and while it is in the
//! middle of writing an audit record with another command running. With commands under limits only, and confined. The
//! other points, from the start of a server to the exec of a command, are killed at in the tests of `portcullis-confine`.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use portcullis::audit::{AppendError, Event, Head, Memory, Sink};
use portcullis::policy::{Confinement, FsAccess};
use portcullis::{Host, Plugin, Source};
use portcullis_testkit::{guest_bytes, tests};

use crate::exec::Fifo;
use crate::fixture::{args, block_on, directory, programs};

tests![
    killed_while_draining,
    killed_in_an_audit_write,
    confined_killed_while_draining,
    confined_killed_in_an_audit_write,
];

/// How often each point is killed at under each confinement: ten times, a hundred in `cargo xtask soak`.
fn times() -> usize {
    if std::env::var_os("PORTCULLIS_SOAK").is_some() {
        100
    } else {
        10
    }
}

fn killed_while_draining() {
    for _ in 0..times() {
        kill_at("draining", "limits");
    }
}

fn confined_killed_while_draining() {
    for _ in 0..times() {
        kill_at("draining", "full");
    }
}

fn confined_killed_in_an_audit_write() {
    for _ in 0..times() {
        kill_at("audit-write", "full");
    }
}

fn killed_in_an_audit_write() {
    for _ in 0..times() {
        kill_at("audit-write", "limits");
    }
}

/// Starts a host in a process of its own, waits until it is at the point, kills it, and waits for the pipe that every
/// process of the command's tree holds.
fn kill_at(point: &str, confinement: &str) {
    let project = tempfile::tempdir().unwrap();
    let fifo = Fifo::new(&project.path().canonicalize().unwrap());
    let mut host = Running(
        Command::new(std::env::current_exe().unwrap())
            .args(["host-role", point, confinement])
            .arg(project.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut line = String::new();
    BufReader::new(host.0.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "at the point\n");
    block_on(fifo.opened());
    host.0.kill().unwrap();
    host.0.wait().unwrap();
    fifo.assert_closed_within(Duration::from_secs(1));
}

/// Killed also when the test fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the process does that is to be killed; `main` comes here for `host-role POINT CONFINEMENT PROJECT`.
pub(crate) fn play(point: &str, confinement: &str, project: &str) -> std::process::ExitCode {
    let project = Path::new(project);
    let full = confinement == "full";
    let fifo = project.canonicalize().unwrap().join("alive");
    let held = format!(
        "exec 9>{}; (setsid sh -c 'trap \"\" TERM HUP; sleep 100; sleep 100' &)",
        fifo.display()
    );
    block_on(async {
        match point {
            "draining" => {
                let plugin = load(project, Arc::new(Memory::new()), full).await;
                let chatty = format!("{held}; while :; do echo x; done");
                println!("at the point");
                exec(&plugin, &chatty).await;
            }
            _ => {
                let stuck = Arc::new(Stuck::default());
                let sink: Arc<dyn Sink> = stuck.clone();
                let plugin = load(project, sink, full).await;
                let quiet = format!("{held}; sleep 100");
                let first = plugin.clone();
                let task = tokio::spawn(async move { exec(&first, &quiet).await });
                while !stuck.has_first() {
                    tokio::task::yield_now().await;
                }
                println!("at the point");
                // Its decision is the second record, in whose write the sink stays.
                exec(&plugin, "exit 0").await;
                task.await.unwrap();
            }
        }
    });
    std::process::ExitCode::SUCCESS
}

async fn load(project: &Path, sink: Arc<dyn Sink>, full: bool) -> Plugin {
    let mut grants = programs(&["sh"]);
    if let Some(exec) = grants.exec.as_mut().filter(|_| full) {
        exec.confinement = Confinement::Full;
        grants.fs = vec![directory(project, "/project", FsAccess::ReadWrite)];
    }
    let host = Host::builder()
        .project(project)
        .audit(sink)
        .build()
        .unwrap();
    host.load(Source {
        bytes: guest_bytes("exec-args"),
        grants,
    })
    .await
    .unwrap()
}

async fn exec(plugin: &Plugin, script: &str) {
    let mut instance = plugin.instantiate("role").await.unwrap();
    let _ = instance
        .run(&args(&["exec", "--", "sh", "-c", script]))
        .await;
}

/// Takes the first record and never returns from the second.
#[derive(Default)]
struct Stuck(Memory);

impl Stuck {
    fn has_first(&self) -> bool {
        !self.0.events().is_empty()
    }
}

impl Sink for Stuck {
    fn append(&self, at: jiff::Timestamp, event: &Event) -> Result<Option<Head>, AppendError> {
        if self.0.events().len() == 1 {
            loop {
                std::thread::park();
            }
        }
        self.0.append(at, event)
    }
}
