//! Streams that are passed on while the command runs.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use portcullis_exec::{ExecAsk, ExecFailure, Input, Output, Status, Stdio};
use portcullis_policy::Code;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, duplex};

use crate::fixture::{PATIENCE, Plugin, ask, executor, shell};
use crate::witness::Witness;

crate::tests![
    bytes_go_through_as_they_come,
    what_was_left_in_the_pipe_comes_too,
    one_output_can_be_kept_and_the_other_passed_on,
    a_source_that_never_ends_is_not_waited_for,
    a_source_that_fails_ends_the_command,
    a_taker_that_fails_ends_the_command,
    a_slow_taker_holds_the_command_and_not_its_time,
    a_limit_cuts_exactly_and_kills,
];

async fn run(
    plugin: &Plugin,
    ask: ExecAsk,
    stdio: Stdio,
) -> Result<portcullis_exec::Completed, ExecFailure> {
    let (authorized, opened) = plugin.decide(&ask).unwrap();
    let run = executor().run(authorized, opened, stdio, None, plugin.permit());
    tokio::time::timeout(PATIENCE, run).await.unwrap()
}

/// Takes everything.
#[derive(Clone, Default)]
struct Taker(Arc<Mutex<Vec<u8>>>);

impl Taker {
    fn output(&self) -> Output {
        Output::Relay(Box::new(self.clone()))
    }

    fn taken(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

impl AsyncWrite for Taker {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What a plugin's decision needs when nothing limits its output.
fn unlimited(programs: &[&str]) -> Plugin {
    let mut plugin = Plugin::new(programs);
    plugin.limit(|limits| (limits.output, limits.total_output) = (u64::MAX, u64::MAX));
    plugin
}

async fn bytes_go_through_as_they_come() {
    let plugin = unlimited(&["cat"]);
    let (mut ours, theirs) = duplex(64);
    let (out, mut comes) = duplex(64);
    let stdio = Stdio {
        stdin: Input::Relay(Box::new(theirs)),
        stdout: Output::Relay(Box::new(out)),
        stderr: Output::Capture,
    };
    let talk = async {
        for number in 0..1000_u32 {
            ours.write_all(&number.to_le_bytes()).await.unwrap();
            assert_eq!(comes.read_u32_le().await.unwrap(), number);
        }
        drop(ours);
    };
    let (completed, ()) = tokio::join!(run(&plugin, ask("cat", &[]), stdio), talk);
    let completed = completed.unwrap();
    assert_eq!(completed.status, Status::Exited(0));
    assert_eq!(
        (completed.stdout_written, completed.stdout.len()),
        (4000, 0)
    );
}

async fn what_was_left_in_the_pipe_comes_too() {
    let plugin = unlimited(&["sh"]);
    let taker = Taker::default();
    let stdio = Stdio {
        stdout: taker.output(),
        ..Stdio::default()
    };
    let script = "head -c 65536 /dev/zero; exit 3";
    let completed = run(&plugin, shell(script), stdio).await.unwrap();
    assert_eq!(completed.status, Status::Exited(3));
    assert_eq!(taker.taken(), vec![0; 65536]);
}

async fn one_output_can_be_kept_and_the_other_passed_on() {
    let plugin = unlimited(&["sh"]);
    let taker = Taker::default();
    let stdio = Stdio {
        stderr: taker.output(),
        ..Stdio::default()
    };
    let completed = run(&plugin, shell("echo kept; echo passed >&2"), stdio)
        .await
        .unwrap();
    assert_eq!(completed.stdout, b"kept\n");
    assert_eq!(
        (taker.taken(), completed.stderr),
        (b"passed\n".to_vec(), Vec::new())
    );
}

async fn a_source_that_never_ends_is_not_waited_for() {
    let plugin = unlimited(&["true"]);
    let (_ours, theirs) = duplex(64);
    let stdio = Stdio {
        stdin: Input::Relay(Box::new(theirs)),
        ..Stdio::default()
    };
    let completed = run(&plugin, ask("true", &[]), stdio).await.unwrap();
    assert_eq!(completed.status, Status::Exited(0));
}

async fn a_source_that_fails_ends_the_command() {
    struct Broken;
    impl tokio::io::AsyncRead for Broken {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut tokio::io::ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Poll::Ready(Err(io::Error::other("gone")))
        }
    }
    let stdio = Stdio {
        stdin: Input::Relay(Box::new(Broken)),
        ..Stdio::default()
    };
    let failed = run(&unlimited(&["cat"]), ask("cat", &[]), stdio).await;
    assert!(matches!(failed, Err(ExecFailure::Relay(_))), "{failed:?}");
}

async fn a_taker_that_fails_ends_the_command() {
    let plugin = unlimited(&["sh", "true", "echo"]);
    let (out, comes) = duplex(64);
    drop(comes);
    let stdio = Stdio {
        stdout: Output::Relay(Box::new(out)),
        ..Stdio::default()
    };
    let script = "trap '' PIPE; echo said; sleep 600";
    let failed = run(&plugin, shell(script), stdio).await;
    let Err(ExecFailure::Relay(error)) = failed else {
        panic!("{failed:?}")
    };
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    // Also when all was said before it shows.
    let (out, comes) = duplex(64);
    drop(comes);
    let stdio = Stdio {
        stdout: Output::Relay(Box::new(out)),
        ..Stdio::default()
    };
    let failed = run(&plugin, ask("echo", &["said"]), stdio).await;
    assert!(matches!(failed, Err(ExecFailure::Relay(_))), "{failed:?}");
}

async fn a_slow_taker_holds_the_command_and_not_its_time() {
    let mut plugin = unlimited(&["sh"]);
    plugin.grants.limits.timeout = Duration::from_millis(500);
    let mut witness = Witness::new(plugin.place.project());
    // Nobody reads: what is written goes no further than the pipe and one buffer.
    let (out, mut comes) = duplex(64);
    let stdio = Stdio {
        stdout: Output::Relay(Box::new(out)),
        ..Stdio::default()
    };
    let script = format!("{}exec yes", witness.hold());
    let (authorized, opened) = plugin.decide(&shell(&script)).unwrap();
    let running = tokio::spawn(executor().run(authorized, opened, stdio, None, plugin.permit()));
    let ended = tokio::task::spawn_blocking(move || witness.ends_within(PATIENCE));
    assert!(ended.await.unwrap(), "its time is over all the same");
    assert!(!running.is_finished(), "what was said is still to be taken");
    let mut all = Vec::new();
    comes.read_to_end(&mut all).await.unwrap();
    let completed = running.await.unwrap().unwrap();
    assert_eq!(completed.status, Status::TimedOut);
    assert_eq!(completed.stdout_written, all.len() as u64);
    assert!(all.len() < 1 << 20, "it was not read ahead: {}", all.len());
}

async fn a_limit_cuts_exactly_and_kills() {
    let mut plugin = unlimited(&["yes"]);
    plugin.limit(|limits| (limits.output, limits.total_output) = (1000, u64::MAX));
    let taker = Taker::default();
    let stdio = Stdio {
        stdout: taker.output(),
        ..Stdio::default()
    };
    let completed = run(&plugin, ask("yes", &[]), stdio).await.unwrap();
    assert_eq!(completed.killed_for, Some(Code::LimitOutput));
    assert_eq!(taker.taken().len(), 1000);
}
