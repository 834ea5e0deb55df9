//! Limits on what is asked for, and on what a command may use.

use portcullis_confine::{MAX_ARGV_BYTES, MAX_ENV_BYTES, Rlimits, SendError, Status};

use crate::fixture::{Run, c_strings, new_cell, scratch};

crate::tests![
    largest_request_arrives,
    too_long_is_refused_before_it_is_sent,
    resource_limits_are_set,
    limits_only_go_down,
    file_size_is_limited,
    usage_is_reported,
];

fn largest_request_arrives() {
    let mut run = Run::program("/bin/sh", &["sh", "-c", "echo ${#1} ${#BIG}", "sh"]);
    let used: usize = run
        .argv
        .iter()
        .map(|argument| argument.as_bytes_with_nul().len())
        .sum();
    run.argv
        .extend(c_strings(&[&"x".repeat(MAX_ARGV_BYTES - used - 1)]));
    run.env = c_strings(&[&format!("BIG={}", "y".repeat(MAX_ENV_BYTES - 5))]);
    let expected = format!("{} {}\n", MAX_ARGV_BYTES - used - 1, MAX_ENV_BYTES - 5);
    assert_eq!(run.output(), expected);

    run.argv.extend(c_strings(&[""]));
    assert!(matches!(
        run.start(&new_cell()),
        Err(SendError::ArgumentsTooLong { .. })
    ));
}

fn too_long_is_refused_before_it_is_sent() {
    let cell = new_cell();
    let mut run = Run::shell("echo ok");
    run.argv.extend(c_strings(&[&"x".repeat(MAX_ARGV_BYTES)]));
    assert!(matches!(
        run.start(&cell),
        Err(SendError::ArgumentsTooLong { .. })
    ));
    let mut run = Run::shell("echo ok");
    run.env = c_strings(&[&"y".repeat(MAX_ENV_BYTES)]);
    assert!(matches!(
        run.start(&cell),
        Err(SendError::EnvironmentTooLong { .. })
    ));
    let mut run = Run::shell("echo ok");
    run.argv.clear();
    assert!(matches!(run.start(&cell), Err(SendError::NoArguments)));
    // The cell has seen none of it.
    assert_eq!(Run::shell("echo ok").finish_in(&cell).1, "ok\n");
    assert!(matches!(
        Run::shell("echo ok").start(&cell),
        Err(SendError::AlreadyStarted)
    ));
}

fn resource_limits_are_set() {
    let mut run = Run::shell("ulimit -c; ulimit -n; ulimit -Hn; ulimit -t");
    run.limits.open_files = Some(64);
    run.limits.cpu_seconds = Some(77);
    assert_eq!(run.output(), "0\n64\n64\n77\n");
}

fn limits_only_go_down() {
    let mut run = Run::shell("ulimit -Hn");
    let unlimited = run.output();
    run.limits.open_files = Some(u64::MAX - 1);
    assert_eq!(run.output(), unlimited);
}

fn file_size_is_limited() {
    let script = format!("head -c 100000 /dev/zero > {}/large", scratch().display());
    let mut run = Run::shell(&format!("exec {}", &script));
    assert_eq!(run.status(), Status::Code(0));
    run.limits = Rlimits {
        file_bytes: Some(5000),
        ..Rlimits::default()
    };
    assert_eq!(run.status(), Status::Signal(libc::SIGXFSZ));
}

fn usage_is_reported() {
    let run = Run::shell("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done");
    match run.finish().0 {
        portcullis_confine::Event::Exited { usage, .. } => {
            assert!(!usage.user.is_zero() || !usage.system.is_zero());
            assert!(usage.max_rss_bytes > 100_000, "{usage:?}");
        }
        other => panic!("{other:?}"),
    }
}
