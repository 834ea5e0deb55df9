//! A code, a signal and a failure to start are three different things.

use portcullis_exec::{ExecFailure, Protection, Status, Step};

use crate::fixture::{Plugin, ask_path, is_full};

crate::tests![
    codes,
    signals_are_no_codes,
    a_writer_into_a_closed_pipe,
    a_failure_to_start_is_an_error,
    what_is_in_force_is_reported,
    time_of_the_processor_is_reported,
];

async fn codes() {
    let plugin = Plugin::new(&["sh"]);
    for code in [0, 1, 2, 125, 126, 127, 128, 255] {
        assert_eq!(
            plugin.status(&format!("exit {code}")).await,
            Status::Exited(code)
        );
    }
}

async fn signals_are_no_codes() {
    let plugin = Plugin::new(&["sh"]);
    for signal in [1, 2, 6, 9, 11, 13, 15] {
        let killed = plugin
            .status(&format!("kill -{signal} $$; sleep 1000"))
            .await;
        assert_eq!(killed, Status::Signalled(signal));
        let code = u8::try_from(128 + signal).unwrap();
        assert_eq!(
            plugin.status(&format!("exit {code}")).await,
            Status::Exited(code)
        );
    }
}

/// SIGPIPE has its default action in a command, whatever it is in the host.
async fn a_writer_into_a_closed_pipe() {
    let plugin = Plugin::new(&["sh"]);
    let completed = plugin
        .run(crate::fixture::shell("(yes; echo $? >&2) | head -c 2"))
        .await;
    assert_eq!(
        (&completed.stdout[..], &completed.stderr[..]),
        (&b"y\n"[..], &b"141\n"[..])
    );
}

async fn a_failure_to_start_is_an_error() {
    let mut plugin = Plugin::new(&[]);
    plugin.exec().any_program = true;
    // A 64-bit header that says that it is for another machine.
    let mut bytes = std::fs::read("/bin/sh").unwrap();
    bytes[18..20].copy_from_slice(&[0xfe, 0xfe]);
    let file = plugin.write("foreign", bytes, 0o755);
    let failure = plugin.failure(ask_path(&file, &[])).await;
    assert!(
        matches!(
            failure,
            ExecFailure::CannotStart {
                step: Step::Exec | Step::CheckProgram,
                ..
            }
        ),
        "{failure:?}"
    );
    assert!(
        failure.to_string().contains("Exec format error"),
        "{failure}"
    );
}

async fn what_is_in_force_is_reported() {
    let completed = Plugin::new(&["sh"])
        .run(crate::fixture::shell("exit 0"))
        .await;
    assert_eq!(completed.report.is_confined(), is_full());
    let in_force: Vec<_> = completed.report.in_force().collect();
    assert!(
        in_force.contains(&Protection::PidNamespace) && in_force.contains(&Protection::NoNewPrivs)
    );
    let walls = [
        Protection::OwnRoot,
        Protection::NetNamespace,
        Protection::Landlock,
        Protection::Seccomp,
        Protection::NoCapabilities,
    ];
    assert!(
        walls
            .iter()
            .all(|wall| in_force.contains(wall) == is_full())
    );
    let says = if is_full() {
        "children: confined (full); in force: own pid namespace, "
    } else {
        "children: not confined; in force: own pid namespace, "
    };
    assert!(completed.report.to_string().starts_with(says));
}

async fn time_of_the_processor_is_reported() {
    let script = "i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done";
    let completed = Plugin::new(&["sh"])
        .run(crate::fixture::shell(script))
        .await;
    let used = completed.usage.user + completed.usage.system;
    assert!(used >= std::time::Duration::from_millis(10), "{used:?}");
    assert!(completed.usage.max_rss_bytes > 100_000);
}
