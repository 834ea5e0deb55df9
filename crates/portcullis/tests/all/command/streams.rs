//! Bytes between a guest and the command beside it.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use portcullis::policy::{Code, Confinement, Grants, HostEnvironment, Limits};
use portcullis::{GuestStdio, Host};
use portcullis_testkit::tests;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

use super::{answer, asked, shell};
use crate::fixture::{Fixture, programs};

tests![
    each_mode_leads_where_it_says,
    inherited_output_goes_where_the_guests_goes_if_policy_says_so,
    stdout_to_its_end_before_stderr_is_no_deadlock,
    what_is_never_read_is_lost_and_said_so,
    a_stream_may_be_longer_than_what_is_kept_of_one,
    a_rules_own_output_ends_a_stream,
    output_in_all_ends_a_stream,
    a_mebibyte_both_ways_by_turns,
    a_mebibyte_both_ways_one_after_the_other,
    a_slow_reader_holds_the_command_and_nothing_else,
    a_guest_may_wait_first_and_read_later,
    a_closed_stdout_is_sigpipe,
];

fn each_mode_leads_where_it_says() {
    let script = "cat; echo out; echo err >&2";
    let cases = [
        ("null,pipe,pipe", "stdout=out\n\nstderr=err\n\n"),
        ("pipe,pipe,pipe", "stdout=in out\n\nstderr=err\n\n"),
        ("pipe,pipe,merged", "stdout=in out\nerr\n\nstderr=none\n"),
        ("pipe,pipe,null", "stdout=in out\n\nstderr=none\n"),
        ("pipe,null,pipe", "stdout=none\nstderr=err\n\n"),
        ("pipe,null,merged", "stdout=none\nstderr=none\n"),
        ("null,null,null", "stdout=none\nstderr=none\n"),
    ];
    for confinement in [Confinement::Limits, Confinement::Full] {
        for (mode, text) in cases {
            let words = ["spawn", mode, "--stdin=in ", "sh", "-c", script];
            let mut grants = shell(Limits::default());
            grants.exec.as_mut().unwrap().confinement = confinement;
            assert_eq!(
                answer(grants, &words),
                format!("{text}again=false\nexit=Exit::Exited(0)\ntruncated=false,false\n"),
                "{mode} {confinement:?}"
            );
        }
    }
}

/// The guest's own output, kept.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl IsTerminal for Kept {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Kept {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for Kept {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn inherited_output_goes_where_the_guests_goes_if_policy_says_so() {
    let script = "echo out; echo err >&2";
    let granted = |inherit_output| {
        let mut grants = shell(Limits::default());
        grants.exec.as_mut().unwrap().inherit_output = inherit_output;
        grants
    };
    let cases = [
        ("null,inherit,pipe", "out\n", "", "stderr=err\n\n"),
        ("null,pipe,inherit", "", "err\n", "stdout=out\n\n"),
        ("null,inherit,merged", "out\nerr\n", "", "stderr=none\n"),
        ("null,inherit,inherit", "out\n", "err\n", "stderr=none\n"),
    ];
    for (mode, out, err, told) in cases {
        let (stdout, stderr) = (Kept::default(), Kept::default());
        let mut fixture = Fixture::new();
        let (one, other) = (stdout.clone(), stderr.clone());
        let stdio = GuestStdio::default()
            .stdout(move || one.clone())
            .stderr(move || other.clone());
        fixture.host = Host::builder()
            .project(fixture.project.path())
            .host_env(HostEnvironment::default())
            .guest_stdio(stdio)
            .build()
            .unwrap();
        let words = ["spawn", mode, "sh", "-c", script];
        let (text, activity) = asked(&fixture, granted(false), &words);
        assert_eq!(text, "error=Error::Denied\n", "{mode}");
        assert_eq!(activity.denials[0].code, Code::ExecInheritOutput);
        assert_eq!(stdout.text() + &stderr.text(), "", "{mode}");
        let (text, _) = asked(&fixture, granted(true), &words);
        assert!(text.contains(told), "{mode}: {text}");
        assert_eq!((stdout.text().as_str(), stderr.text().as_str()), (out, err));
    }
}

fn stdout_to_its_end_before_stderr_is_no_deadlock() {
    let script = "head -c 2097152 /dev/zero >&2; echo done";
    assert_eq!(
        answer(shell(Limits::default()), &["count", "sh", "-c", script]),
        "stdout=5 closed\nstderr=2097152 closed\nexit=Exit::Exited(0)\ntruncated=false,false\n"
    );
}

fn what_is_never_read_is_lost_and_said_so() {
    let limits = Limits {
        output: 100_000,
        ..Limits::default()
    };
    let script = "head -c 2097152 /dev/zero >&2; echo done";
    assert_eq!(
        answer(shell(limits), &["count", "sh", "-c", script]),
        "stdout=5 closed\nstderr=100000 failed\nexit=Exit::Exited(0)\ntruncated=false,true\n"
    );
}

fn a_stream_may_be_longer_than_what_is_kept_of_one() {
    let limits = Limits {
        output: 1000,
        ..Limits::default()
    };
    let words = [
        "count",
        "null,pipe,pipe",
        "head",
        "-c",
        "20971520",
        "/dev/zero",
    ];
    let grants = Grants {
        limits,
        ..programs(&["head"])
    };
    assert_eq!(
        answer(grants, &words),
        "stdout=20971520 closed\nstderr=0 closed\nexit=Exit::Exited(0)\ntruncated=false,false\n"
    );
}

fn a_rules_own_output_ends_a_stream() {
    let mut grants = programs(&["yes"]);
    grants.exec.as_mut().unwrap().allow[0].narrowing.output = Some(1_000_000);
    let (text, activity) = asked(&Fixture::new(), grants, &["count", "null,pipe,pipe", "yes"]);
    assert_eq!(
        text,
        "stdout=1000000 failed\nstderr=0 closed\nexit=Exit::Killed(Reason::Output)\ntruncated=true,false\n"
    );
    let denial = &activity.denials[0];
    assert_eq!(denial.code, Code::LimitOutput);
    assert_eq!(
        denial.notes,
        ["a stream is longer than 1000000 bytes (`output` of its rule)"]
    );
}

fn output_in_all_ends_a_stream() {
    let limits = Limits {
        total_output: 1_000_000,
        ..Limits::default()
    };
    let grants = Grants {
        limits,
        ..programs(&["yes"])
    };
    let (text, activity) = asked(&Fixture::new(), grants, &["count", "null,pipe,pipe", "yes"]);
    assert_eq!(
        text,
        "stdout=1000000 failed\nstderr=0 closed\nexit=Exit::Killed(Reason::TotalOutput)\ntruncated=true,false\n"
    );
    assert_eq!(activity.denials[0].code, Code::LimitTotalOutput);
}

fn a_mebibyte_both_ways_by_turns() {
    let words = ["echo", "pipe,pipe,pipe", "--bytes=1048576", "cat"];
    assert_eq!(
        answer(programs(&["cat"]), &words),
        "same=true\nexit=Exit::Exited(0)\ntruncated=false,false\n"
    );
}

fn a_mebibyte_both_ways_one_after_the_other() {
    let words = ["echo-after", "pipe,pipe,pipe", "--bytes=1048576", "cat"];
    assert_eq!(
        answer(programs(&["cat"]), &words),
        "same=true closed\nexit=Exit::Exited(0)\ntruncated=false,false\n"
    );
}

fn a_slow_reader_holds_the_command_and_nothing_else() {
    const BLOCK: usize = 64 * 1024;
    let fixture = Fixture::new();
    let progress = fixture.path().join("progress");
    let script = format!(
        "while :; do head -c {BLOCK} /dev/zero; printf x >> '{}'; done",
        progress.display()
    );
    // Read, in a pipe, in one read beyond what was asked for, and one written half.
    let most = |read: usize| read.div_ceil(BLOCK) + 3;
    for read in [1, 64 * BLOCK] {
        let bytes = format!("--bytes={read}");
        let words = [
            "slow",
            "null,pipe,pipe",
            &bytes,
            "--runs=20",
            "sh",
            "-c",
            &script,
        ];
        asked(&fixture, shell(Limits::default()), &words);
        let written = std::fs::read(&progress).unwrap().len();
        assert!(
            written <= most(read) && (written + 1) * BLOCK >= read,
            "{written} blocks were written while {read} bytes were read"
        );
        std::fs::remove_file(&progress).unwrap();
    }
}

fn a_guest_may_wait_first_and_read_later() {
    let words = [
        "unread",
        "null,pipe,pipe",
        "head",
        "-c",
        "1048576",
        "/dev/zero",
    ];
    assert_eq!(
        answer(programs(&["head"]), &words),
        "exit=Exit::Exited(0)\ntruncated=false,false\nstdout=1048576 closed\n"
    );
}

fn a_closed_stdout_is_sigpipe() {
    assert_eq!(
        answer(programs(&["yes"]), &["closed", "yes"]),
        "exit=Exit::Signalled(13)\ntruncated=false,false\nwrite=true\n"
    );
}
