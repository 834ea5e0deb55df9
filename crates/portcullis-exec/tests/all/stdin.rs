//! Standard input: bytes, written while the outputs are read.

use portcullis_exec::{ExecAsk, Status};

use crate::fixture::{Plugin, ask, shell};

crate::tests![
    a_mebibyte_through_cat,
    a_command_that_never_reads,
    a_command_that_closes_early,
    a_command_that_closes_it_and_goes_on,
    none_is_end_of_file_at_once,
    no_bytes_are_end_of_file_at_once,
];

fn with_stdin(ask: ExecAsk, stdin: Vec<u8>) -> ExecAsk {
    ExecAsk {
        stdin: Some(stdin),
        ..ask
    }
}

/// More than any pipe holds.
fn mebibyte() -> Vec<u8> {
    (0..=u8::MAX).cycle().take(1 << 20).collect()
}

async fn a_mebibyte_through_cat() {
    let completed = Plugin::new(&["cat"])
        .run(with_stdin(ask("cat", &[]), mebibyte()))
        .await;
    assert_eq!(completed.status, Status::Exited(0));
    assert!(
        completed.stdout == mebibyte(),
        "{} bytes came back",
        completed.stdout.len()
    );
}

async fn a_command_that_never_reads() {
    let completed = Plugin::new(&["sh"])
        .run(with_stdin(shell("exit 3"), mebibyte()))
        .await;
    assert_eq!(completed.status, Status::Exited(3));
}

async fn a_command_that_closes_early() {
    let head = ask("head", &["-c", "3"]);
    let completed = Plugin::new(&["head"])
        .run(with_stdin(head, mebibyte()))
        .await;
    assert_eq!(
        (completed.status, &completed.stdout[..]),
        (Status::Exited(0), &[0, 1, 2][..])
    );
}

async fn a_command_that_closes_it_and_goes_on() {
    let plugin = Plugin::new(&["sh"]);
    let script = "exec 0<&-; head -c 1000000 /dev/zero; exit 4";
    let completed = plugin.run(with_stdin(shell(script), mebibyte())).await;
    assert_eq!(
        (completed.status, completed.stdout.len()),
        (Status::Exited(4), 1_000_000)
    );
}

async fn none_is_end_of_file_at_once() {
    let plugin = Plugin::new(&["cat", "sh"]);
    assert_eq!(plugin.output(ask("cat", &[])).await, "");
    assert_eq!(
        plugin.status("read line || exit 9").await,
        Status::Exited(9)
    );
}

async fn no_bytes_are_end_of_file_at_once() {
    let plugin = Plugin::new(&["cat"]);
    assert_eq!(
        plugin.output(with_stdin(ask("cat", &[]), Vec::new())).await,
        ""
    );
}
