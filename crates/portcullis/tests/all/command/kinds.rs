//! Every kind of error and of end.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use portcullis::policy::{Code, Grants, Limits};
use portcullis_testkit::tests;

use super::{answer, asked, shell};
use crate::fixture::{Fixture, programs};

tests![
    what_is_refused_has_its_kind_and_the_operator_its_reason,
    what_is_not_allowed_is_denied_there_or_not,
    a_command_without_time_is_not_started,
    a_program_that_cannot_be_executed_is_an_io_error,
    a_rate_is_a_limit_of_its_own,
    output_in_all_ends_a_command_and_then_every_other,
    every_end_is_told_apart,
    a_timeout_of_the_call_only_shortens,
    what_is_too_long_is_cut_and_marked,
    far_too_much_output_is_a_reason,
    standard_input_arrives_and_ends,
];

fn what_is_refused_has_its_kind_and_the_operator_its_reason() {
    let fixture = Fixture::new();
    let cases = [
        ("cat", "error=Error::Denied\n", Code::ExecNoRule),
        ("nowhere", "error=Error::NotFound\n", Code::ExecNotFound),
        ("./echo", "error=Error::Invalid\n", Code::ExecInvalid),
    ];
    for (program, told, code) in cases {
        for how in ["run", "spawn"] {
            let grants = programs(&["echo", "nowhere"]);
            let (text, activity) = asked(&fixture, grants, &[how, program]);
            assert_eq!(text, told, "{how} {program}");
            let codes: Vec<_> = activity.denials.iter().map(|denial| denial.code).collect();
            assert_eq!(codes, [code], "{how} {program}");
        }
    }
}

fn what_is_not_allowed_is_denied_there_or_not() {
    for how in ["run", "spawn"] {
        for program in ["cat", "no-such-program"] {
            let text = answer(programs(&["echo"]), &[how, program]);
            assert_eq!(text, "error=Error::Denied\n", "{how} {program}");
        }
    }
}

fn a_command_without_time_is_not_started() {
    for how in ["run", "spawn"] {
        let text = answer(programs(&["echo"]), &[how, "--timeout=0", "echo"]);
        assert_eq!(text, "error=Error::TimedOut\n", "{how}");
    }
}

fn a_program_that_cannot_be_executed_is_an_io_error() {
    let fixture = Fixture::new();
    let broken = fixture.path().join("broken");
    std::fs::write(&broken, b"\x7fELF and nothing of one").unwrap();
    std::fs::set_permissions(&broken, std::fs::Permissions::from_mode(0o755)).unwrap();
    let broken = broken.to_str().unwrap();
    let run = asked(&fixture, programs(&[broken]), &["run", broken]);
    assert_eq!(run.0, "error=Error::Io\n");
    assert_eq!(run.1.failures.len(), 1, "{:?}", run.1);
    let spawn = asked(&fixture, programs(&[broken]), &["spawn", broken]);
    assert!(spawn.0.ends_with("error=Error::Io\n"), "{}", spawn.0);
    assert_eq!(spawn.1.failures.len(), 1, "{:?}", spawn.1);
}

fn a_rate_is_a_limit_of_its_own() {
    let limits = Limits {
        spawns_per_minute: 3,
        ..Limits::default()
    };
    let text = answer(shell(limits), &["rate", "true"]);
    assert_eq!(text, "ran=3\nerror=Error::Limit(Limit::Rate)\n");
}

fn output_in_all_ends_a_command_and_then_every_other() {
    let limits = Limits {
        total_output: 500,
        ..Limits::default()
    };
    let fixture = Fixture::new();
    let grants = shell(limits);
    crate::fixture::block_on(async {
        let mut instance = fixture.instance("command", grants).await;
        let words = ["run", "sh", "-c", "head -c 1000 /dev/zero; sleep 100"];
        let first = instance.run(&crate::fixture::args(&words)).await.unwrap();
        let first = first.unwrap();
        assert!(
            first.starts_with("exit=Exit::Killed(Reason::TotalOutput)\n")
                && first.contains("truncated=true,false\n"),
            "{first}"
        );
        let second = instance.run(&crate::fixture::args(&words)).await.unwrap();
        assert_eq!(second.unwrap(), "error=Error::Limit(Limit::TotalOutput)\n");
        let denials = &instance.activity().denials;
        let codes: Vec<_> = denials.iter().map(|denial| denial.code).collect();
        assert_eq!(codes, [Code::LimitTotalOutput, Code::LimitTotalOutput]);
    });
}

fn every_end_is_told_apart() {
    let cases = [
        ("exit 0", "Exit::Exited(0)"),
        ("exit 255", "Exit::Exited(255)"),
        ("kill -TERM $$", "Exit::Signalled(15)"),
        ("kill -KILL $$", "Exit::Signalled(9)"),
    ];
    for (script, exit) in cases {
        for how in ["run", "spawn"] {
            let text = answer(shell(Limits::default()), &[how, "sh", "-c", script]);
            assert!(text.contains(&format!("exit={exit}\n")), "{script}: {text}");
        }
    }
    for how in ["run", "spawn"] {
        let script = "echo partial; sleep 100";
        let words = [how, "--timeout=1000000000", "sh", "-c", script];
        let text = answer(shell(Limits::default()), &words);
        assert!(text.contains("exit=Exit::TimedOut\n"), "{text}");
        assert!(text.contains("stdout=partial\n"), "{text}");
    }
}

fn a_timeout_of_the_call_only_shortens() {
    let limits = Limits {
        timeout: Duration::from_secs(1),
        ..Limits::default()
    };
    for how in ["run", "spawn"] {
        let long = format!("--timeout={}", u64::MAX);
        let words = [how, &long, "sh", "-c", "sleep 100"];
        let text = answer(shell(limits.clone()), &words);
        assert!(text.contains("exit=Exit::TimedOut\n"), "{text}");
    }
}

fn what_is_too_long_is_cut_and_marked() {
    let cut = |output| {
        let limits = Limits {
            output,
            ..Limits::default()
        };
        let script = "head -c 1000 /dev/zero | tr '\\0' a; head -c 10 /dev/zero | tr '\\0' b >&2";
        answer(shell(limits), &["run", "sh", "-c", script])
    };
    let (a, b) = ("a".repeat(1000), "b".repeat(10));
    let end = "took=true\n";
    assert_eq!(
        cut(1000),
        format!("exit=Exit::Exited(0)\nstdout={a}\nstderr={b}\ntruncated=false,false\n{end}")
    );
    assert_eq!(
        cut(999),
        format!(
            "exit=Exit::Exited(0)\nstdout={}\nstderr={b}\ntruncated=true,false\n{end}",
            &a[1..]
        )
    );
}

fn far_too_much_output_is_a_reason() {
    let limits = Limits {
        output: 1024,
        ..Limits::default()
    };
    let (text, activity) = asked(
        &Fixture::new(),
        Grants {
            limits,
            ..programs(&["yes"])
        },
        &["run", "yes"],
    );
    assert!(
        text.starts_with("exit=Exit::Killed(Reason::Output)\n"),
        "{text}"
    );
    let codes: Vec<_> = activity.denials.iter().map(|denial| denial.code).collect();
    assert_eq!(codes, [Code::LimitOutput]);
}

fn standard_input_arrives_and_ends() {
    let text = answer(programs(&["cat"]), &["run", "--stdin=to cat", "cat"]);
    assert!(text.contains("stdout=to cat\n"), "{text}");
    let text = answer(programs(&["cat"]), &["run", "cat"]);
    assert!(text.contains("exit=Exit::Exited(0)\nstdout=\n"), "{text}");
}
