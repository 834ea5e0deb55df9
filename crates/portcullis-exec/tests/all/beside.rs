//! Commands that run beside whoever started them.

use std::time::Duration;

use portcullis_exec::{ExecAsk, Pauses, Piped, ReadError, Running, Status, Stream, Streams, Which};
use portcullis_policy::Code;

use crate::fixture::{PATIENCE, Plugin, ask, executor, shell};
use crate::witness::{STUBBORN_LINES, Witness};

crate::tests![
    what_was_written_before_the_end_of_file_arrives,
    one_that_is_let_go_is_killed_and_its_streams_end,
    a_kill_leaves_nothing_and_what_was_written_can_be_read,
    one_whose_stream_was_too_long_and_is_closed_ends_for_that_reason,
    one_that_reads_nothing_any_more_says_so,
    no_time_passes_while_somebody_is_asked,
];

const AT_MOST: Duration = Duration::from_secs(1);

async fn spawn(plugin: &Plugin, ask: &ExecAsk) -> (Piped, Running) {
    let (authorized, opened) = plugin.decide(ask).unwrap();
    let streams = Streams {
        stdin: true,
        stdout: Stream::Pipe(None),
        stderr: Some(Stream::Pipe(None)),
    };
    let spawned = executor().spawn(authorized, opened, streams, None, plugin.permit());
    spawned.await.unwrap()
}

async fn read_to_end(piped: &Piped) -> (Vec<u8>, ReadError) {
    let mut bytes = Vec::new();
    loop {
        match piped.read(Which::Stdout, usize::MAX) {
            Ok(read) if read.is_empty() => piped.readable(Which::Stdout).await,
            Ok(read) => bytes.extend(read),
            Err(end) => return (bytes, end),
        }
    }
}

async fn what_was_written_before_the_end_of_file_arrives() {
    let plugin = Plugin::new(&["cat"]);
    let (piped, running) = spawn(&plugin, &ask("cat", &[])).await;
    let running = tokio::spawn(running.finish());
    let sent: Vec<u8> = (0..1_000_000).map(|at: u32| (at % 251) as u8).collect();
    for part in sent.chunks(portcullis_exec::ROOM) {
        piped.writable().await;
        piped.write(part).unwrap();
    }
    piped.close_stdin();
    assert!(piped.room().is_err());
    let back = tokio::time::timeout(PATIENCE, read_to_end(&piped)).await;
    assert_eq!(back.unwrap(), (sent, ReadError::Ended));
    let completed = running.await.unwrap().unwrap();
    assert_eq!(completed.status, Status::Exited(0));
    assert_eq!(completed.stdout_written, 1_000_000);
}

async fn one_that_is_let_go_is_killed_and_its_streams_end() {
    let plugin = Plugin::new(&["sh"]);
    let mut witness = Witness::new(plugin.place.project());
    let (piped, running) = spawn(&plugin, &shell(&witness.stubborn_tree())).await;
    witness.lines(STUBBORN_LINES).await;
    assert!(!witness.is_at_end());
    drop(running);
    assert!(witness.ends_within(AT_MOST), "something is left");
    assert_eq!(read_to_end(&piped).await.1, ReadError::Ended);
    assert!(piped.room().is_err());
}

async fn a_kill_leaves_nothing_and_what_was_written_can_be_read() {
    let plugin = Plugin::new(&["sh"]);
    let mut witness = Witness::new(plugin.place.project());
    let (piped, running) = spawn(&plugin, &shell(&witness.stubborn_tree())).await;
    witness.lines(STUBBORN_LINES).await;
    piped.kill();
    let completed = tokio::time::timeout(PATIENCE, running.finish()).await;
    let completed = completed.unwrap().unwrap();
    assert!(witness.is_at_end(), "something is left");
    assert!(completed.asked && completed.killed_for.is_none());
    assert_eq!(
        read_to_end(&piped).await,
        (b"partial\n".to_vec(), ReadError::Ended)
    );
    assert_eq!(completed.stdout_written, 8);
}

async fn one_whose_stream_was_too_long_and_is_closed_ends_for_that_reason() {
    let mut plugin = Plugin::new(&["yes"]);
    plugin.limit(|limits| limits.total_output = 1000);
    let (piped, running) = spawn(&plugin, &ask("yes", &[])).await;
    let (read, end) = read_to_end(&piped).await;
    assert_eq!((read.len(), end), (1000, ReadError::Lost));
    // Nobody has killed it yet: it dies of SIGPIPE, and has long told so when another one has come and gone.
    piped.close(Which::Stdout);
    piped.readable(Which::Stderr).await;
    let others = Plugin::new(&["true"]);
    let (_, other) = spawn(&others, &ask("true", &[])).await;
    assert_eq!(other.finish().await.unwrap().status, Status::Exited(0));
    let completed = running.finish().await.unwrap();
    assert_eq!(completed.killed_for, Some(Code::LimitTotalOutput));
}

async fn one_that_reads_nothing_any_more_says_so() {
    let plugin = Plugin::new(&["sh"]);
    let (piped, running) = spawn(&plugin, &shell("exec <&-; echo; sleep 1000")).await;
    let running = tokio::spawn(running.finish());
    piped.readable(Which::Stdout).await;
    assert!(piped.write(b"x").is_err());
    assert!(piped.room().is_err());
    piped.kill();
    assert!(running.await.unwrap().unwrap().asked);
}

/// Longer than the commands of the test below may take.
const LONG: Duration = Duration::from_millis(600);

async fn no_time_passes_while_somebody_is_asked() {
    let mut plugin = Plugin::new(&["cat"]);
    plugin.limit(|limits| limits.timeout = LONG / 3);
    let pauses = Pauses::default();
    let begin = async |pauses: &Pauses| {
        let (authorized, opened) = plugin.decide(&ask("cat", &[])).unwrap();
        let permit = plugin.permit().with_pauses(pauses);
        let streams = Streams {
            stdin: true,
            stdout: Stream::Null,
            stderr: Some(Stream::Null),
        };
        let spawned = executor().spawn(authorized, opened, streams, None, permit);
        let (piped, running) = spawned.await.unwrap();
        (piped, tokio::spawn(running.finish()))
    };
    let (piped, paused) = begin(&pauses).await;
    let asked = pauses.begin();
    // The time of others goes on: each of these ends because its own is over.
    let since = std::time::Instant::now();
    while since.elapsed() < LONG {
        let (_open, other) = begin(&Pauses::default()).await;
        assert_eq!(other.await.unwrap().unwrap().status, Status::TimedOut);
    }
    assert!(!paused.is_finished(), "its time passed");
    drop(asked);
    piped.close_stdin();
    assert_eq!(paused.await.unwrap().unwrap().status, Status::Exited(0));
    let (_open, again) = begin(&pauses).await;
    assert_eq!(
        again.await.unwrap().unwrap().status,
        Status::TimedOut,
        "it goes on"
    );
}
