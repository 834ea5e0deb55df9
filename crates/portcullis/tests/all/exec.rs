//! The three `process` interfaces end to end: a guest calls, a real command runs or is refused.

use std::path::Path;
use std::time::{Duration, Instant};

use portcullis::audit::{Event, Verdict};
use portcullis::policy::{ExecGrant, Grants, Limits, Mode};
use portcullis_testkit::tests;

use crate::fixture::{Fixture, args, block_on, exec_grant, programs};

tests![
    every_interface_name_runs_the_same_command,
    a_denied_program_is_an_error_that_tells_only_its_kind,
    a_status_is_never_mistaken,
    a_timeout_is_124_with_the_output_so_far,
    output_beyond_the_cap_is_an_error_not_a_part,
    an_overlay_holds_for_every_command_and_the_call_wins,
    contexts_are_separate_and_the_call_wins,
    the_plugin_of_the_original_design_runs,
    inheriting_passes_what_policy_lets_through,
    standard_input_arrives,
    every_decision_and_outcome_is_written_down,
    no_audit_line_no_effect,
    a_confinement_that_is_written_holds_in_every_mode,
    many_denials_are_all_reported,
];

/// A named pipe that a command's processes hold open; its end of file says that all of them are gone.
pub(crate) struct Fifo {
    path: std::path::PathBuf,
    read: std::fs::File,
}

impl Fifo {
    pub(crate) fn new(dir: &Path) -> Self {
        let path = dir.join("alive");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).unwrap();
        let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NONBLOCK;
        let read = rustix::fs::open(&path, flags, rustix::fs::Mode::empty()).unwrap();
        Self {
            path,
            read: read.into(),
        }
    }

    pub(crate) fn path(&self) -> std::path::Display<'_> {
        self.path.display()
    }

    /// Whether somebody holds the other end.
    fn is_open(&self) -> bool {
        let mut byte = [0];
        matches!(
            rustix::io::read(&self.read, &mut byte),
            Err(rustix::io::Errno::AGAIN)
        )
    }

    pub(crate) async fn opened(&self) {
        while !self.is_open() {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) fn assert_closed_within(&self, time: Duration) {
        let start = Instant::now();
        while self.is_open() {
            assert!(
                start.elapsed() < time,
                "a process still holds the pipe after {time:?}"
            );
            std::thread::yield_now();
        }
    }
}

fn run(fixture: &Fixture, guest: &str, grants: Grants, words: &[&str]) -> Result<String, String> {
    block_on(async {
        fixture
            .instance(guest, grants)
            .await
            .run(&args(words))
            .await
            .unwrap()
    })
}

fn every_interface_name_runs_the_same_command() {
    for guest in [
        "exec-args",
        "exec-args-my-cli",
        "exec-args-my-cli-versioned",
    ] {
        let answer = run(
            &Fixture::new(),
            guest,
            programs(&["echo"]),
            &["exec", "--", "echo", "a b", "", "$HOME"],
        );
        assert_eq!(
            answer.unwrap(),
            "status=0\nstdout=a b  $HOME\n\nstderr=\n",
            "{guest}"
        );
    }
}

fn a_denied_program_is_an_error_that_tells_only_its_kind() {
    let fixture = Fixture::new();
    for program in ["cat", "no-such-program", "/etc/passwd"] {
        let answer = run(
            &fixture,
            "exec-args",
            programs(&["echo"]),
            &["exec", "--", program, "x"],
        );
        assert_eq!(
            answer.unwrap_err(),
            "denied: the operator's policy does not allow this command",
            "{program}"
        );
    }
    let answer = run(
        &fixture,
        "exec-args",
        programs(&["no-such-program"]),
        &["exec", "--", "no-such-program"],
    );
    assert_eq!(
        answer.unwrap_err(),
        "not found: the program is allowed but not installed"
    );
    let answer = run(
        &fixture,
        "exec-args",
        programs(&["echo"]),
        &["exec", "--", "./echo"],
    );
    assert_eq!(answer.unwrap_err(), "invalid request");
}

fn a_status_is_never_mistaken() {
    for (script, status) in [
        ("exit 3", 3),
        ("kill -TERM $$", 143),
        ("kill -KILL $$", 137),
        ("exit 255", 255),
    ] {
        let answer = run(
            &Fixture::new(),
            "exec-args",
            programs(&["sh"]),
            &["exec", "--", "sh", "-c", script],
        );
        assert!(
            answer
                .as_ref()
                .unwrap()
                .starts_with(&format!("status={status}\n")),
            "{script}: {answer:?}"
        );
    }
}

fn a_timeout_is_124_with_the_output_so_far() {
    let limits = Limits {
        timeout: Duration::from_secs(2),
        ..Limits::default()
    };
    let grants = Grants {
        limits,
        ..programs(&["sh"])
    };
    let answer = run(
        &Fixture::new(),
        "exec-args",
        grants,
        &["exec", "--", "sh", "-c", "echo partial; sleep 100"],
    );
    assert_eq!(answer.unwrap(), "status=124\nstdout=partial\n\nstderr=\n");
}

fn output_beyond_the_cap_is_an_error_not_a_part() {
    let limits = |output| Grants {
        limits: Limits {
            output,
            ..Limits::default()
        },
        ..programs(&["head"])
    };
    let words = ["exec", "--", "head", "-c", "1000", "/dev/zero"];
    assert!(run(&Fixture::new(), "exec-args", limits(1000), &words).is_ok());
    assert_eq!(
        run(&Fixture::new(), "exec-args", limits(999), &words).unwrap_err(),
        "output limit reached"
    );
}

fn an_overlay_holds_for_every_command_and_the_call_wins() {
    let lines = run(&Fixture::new(), "overlay", programs(&["env"]), &[]).unwrap();
    assert!(
        lines.contains("OVERLAY_ONE=overlay\n") && lines.contains("OVERLAY_BOTH=call\n"),
        "{lines}"
    );
    let exec = ExecGrant {
        env_allow_prefixes: Some(vec!["AWS_".to_owned()]),
        ..exec_grant(&["env"])
    };
    let narrowed = Grants {
        exec: Some(exec),
        ..programs(&[])
    };
    assert!(
        run(&Fixture::new(), "overlay", narrowed, &[])
            .unwrap_err()
            .starts_with("denied")
    );
}

fn contexts_are_separate_and_the_call_wins() {
    let answer = run(&Fixture::new(), "context", programs(&["env"]), &["EXTRA=1"]).unwrap();
    let (first, second) = answer.split_once("--\n").unwrap();
    assert!(
        first.contains("CONTEXT_ONE=context\n") && first.contains("CONTEXT_BOTH=call\n"),
        "{first}"
    );
    assert!(first.contains("EXTRA=1\n"), "{first}");
    assert!(!second.contains("CONTEXT_ONE"), "{second}");
    let answer = run(
        &Fixture::new(),
        "context",
        programs(&["env"]),
        &["LD_PRELOAD=/tmp/x.so"],
    );
    assert!(answer.unwrap_err().starts_with("denied"));
}

fn the_plugin_of_the_original_design_runs() {
    let answer = run(&Fixture::new(), "seed", programs(&["env"]), &["env"]).unwrap();
    assert!(
        answer.contains("AWS_PROFILE=dev\n") && answer.contains("AWS_REGION=eu-west-1\n"),
        "{answer}"
    );
    assert!(
        !answer.contains("VISIBLE"),
        "inherit-env is set, but no policy lets anything through: {answer}"
    );
}

fn inheriting_passes_what_policy_lets_through() {
    let exec = ExecGrant {
        inherit_env: true,
        ..exec_grant(&["env"])
    };
    let grants = Grants {
        exec: Some(exec),
        ..programs(&[])
    };
    let fixture = Fixture::new();
    block_on(async {
        let mut instance = fixture.instance("exec-args", grants).await;
        let with = instance
            .run(&args(&["exec", "--inherit-env", "--", "env"]))
            .await
            .unwrap()
            .unwrap();
        assert!(
            with.contains("VISIBLE=yes") && !with.contains("MY_TOKEN"),
            "{with}"
        );
        let without = instance
            .run(&args(&["exec", "--", "env"]))
            .await
            .unwrap()
            .unwrap();
        assert!(!without.contains("VISIBLE"), "{without}");
        let dropped = &instance.activity().commands[0].dropped;
        assert!(
            dropped.iter().any(|dropped| dropped.name == "MY_TOKEN"),
            "{dropped:?}"
        );
    });
}

fn standard_input_arrives() {
    let fixture = Fixture::new();
    let answer = run(
        &fixture,
        "exec-args",
        programs(&["cat"]),
        &["exec", "--stdin=hello", "--", "cat"],
    );
    assert_eq!(answer.unwrap(), "status=0\nstdout=hello\nstderr=\n");
    let answer = run(
        &fixture,
        "exec-args",
        programs(&["wc"]),
        &["exec", "--stdin-size=1000000", "--", "wc", "-c"],
    );
    assert_eq!(answer.unwrap(), "status=0\nstdout=1000000\n\nstderr=\n");
    let answer = run(
        &fixture,
        "exec-args",
        programs(&["cat"]),
        &["exec", "--", "cat"],
    );
    assert_eq!(
        answer.unwrap(),
        "status=0\nstdout=\nstderr=\n",
        "without any, it is at its end at once"
    );
}

fn every_decision_and_outcome_is_written_down() {
    let fixture = Fixture::new();
    let words = ["exec", "--", "echo", "hi", ";;", "exec", "--", "cat"];
    run(&fixture, "exec-args", programs(&["echo"]), &words).unwrap();
    let events: Vec<_> = fixture
        .trail
        .events()
        .into_iter()
        .map(|(_, event)| event)
        .collect();
    let [
        Event::Decision(allowed),
        Event::Outcome(outcome),
        Event::Decision(denied),
    ] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!(
        (allowed.verdict, allowed.call, outcome.call),
        (Verdict::Allow, 1, 1)
    );
    assert_eq!(outcome.ended, portcullis::audit::Ended::Exited(0));
    assert_eq!(
        (denied.verdict, denied.call, denied.code.as_deref()),
        (Verdict::Deny, 2, Some("P0201"))
    );
}

/// A trail that cannot be written.
pub(crate) struct Full;

impl portcullis::audit::Sink for Full {
    fn append(
        &self,
        at: jiff::Timestamp,
        event: &Event,
    ) -> Result<Option<portcullis::audit::Head>, portcullis::audit::AppendError> {
        // A trail in a directory that has gone, so that the error is a real one.
        let dir = tempfile::tempdir().unwrap();
        let trail = portcullis::audit::Trail::open(
            &dir.path().join("trail"),
            portcullis::audit::Options::default(),
        )
        .unwrap();
        drop(dir);
        trail.append(at, event)
    }
}

fn no_audit_line_no_effect() {
    let project = tempfile::tempdir().unwrap();
    let host = portcullis::Host::builder()
        .project(project.path())
        .audit(std::sync::Arc::new(Full))
        .build()
        .unwrap();
    block_on(async {
        let bytes = portcullis_testkit::guest_bytes("exec-args");
        let plugin = host
            .load(portcullis::Source {
                bytes,
                grants: programs(&["touch"]),
            })
            .await
            .unwrap();
        let mut instance = plugin.instantiate("test").await.unwrap();
        let witness = project.path().join("witness");
        let words = ["exec", "--", "touch", witness.to_str().unwrap()];
        assert_eq!(
            instance.run(&args(&words)).await.unwrap().unwrap_err(),
            "cannot start the command"
        );
        assert!(
            !witness.exists(),
            "the command ran without a line in the trail"
        );
        assert!(
            instance.activity().failures[0].contains("audit trail"),
            "{:?}",
            instance.activity()
        );
    });
}

fn a_confinement_that_is_written_holds_in_every_mode() {
    let fixture = Fixture::new();
    for mode in [Mode::Production, Mode::Dev] {
        let grants = Grants {
            mode,
            ..programs(&["true"])
        };
        block_on(async {
            let mut instance = fixture.instance("exec-args", grants).await;
            let answer = instance.run(&args(&["exec", "--", "true"])).await.unwrap();
            assert!(answer.is_ok(), "{mode:?}: {answer:?}");
            assert_eq!(instance.activity().commands.len(), 1, "{mode:?}");
        });
    }
}

fn many_denials_are_all_reported() {
    let fixture = Fixture::new();
    block_on(async {
        let mut instance = fixture.instance("exec-args", programs(&["true"])).await;
        let words = [
            "exec", "--", "a", ";;", "exec", "--", "true", ";;", "exec", "--", "b",
        ];
        let answer = instance.run(&args(&words)).await.unwrap().unwrap();
        assert_eq!(answer.matches("error=denied").count(), 2, "{answer}");
        let objects: Vec<_> = instance
            .activity()
            .denials
            .iter()
            .map(|denial| denial.object.as_str())
            .collect();
        assert_eq!(objects, ["a", "b"]);
    });
}
