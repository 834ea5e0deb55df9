//! How commands beside a guest end: none outlives the guest's call, and each is in the trail.

use std::time::Duration;

use portcullis::audit::{Ended, Event, Verdict};
use portcullis::policy::Limits;
use portcullis::{CallError, Host};
use portcullis_testkit::tests;

use super::{answer, asked, called, shell};
use crate::exec::{Fifo, Full};
use crate::fixture::{Fixture, args, block_on, programs};

tests![
    everything_of_a_child_may_be_dropped_in_any_order,
    a_killed_command_is_over_and_stays_so,
    what_ignores_signals_is_killed_with_all_it_started,
    a_child_that_is_dropped_is_killed_at_once,
    a_child_that_is_left_ends_with_the_call,
    a_trap_ends_its_children,
    a_deadline_ends_its_children,
    a_dropped_call_ends_its_children,
    a_child_kept_for_the_next_call_is_over_by_then,
    as_many_at_once_as_policy_says,
    decisions_outcomes_and_digests_are_written_down,
    no_audit_line_no_child,
];

/// A tree that ignores what can be ignored and holds the pipe, and says so with a line.
fn stubborn(fifo: &Fifo) -> String {
    format!(
        "trap '' TERM INT HUP; exec 9>'{}'; \
         (setsid sh -c 'trap \"\" TERM INT HUP; sleep 1000; sleep 1000' &); \
         echo; sleep 1000; sleep 1000",
        fifo.path()
    )
}

/// How the commands of a fixture ended, by its trail.
fn ends(fixture: &Fixture) -> Vec<Ended> {
    let events = fixture.trail.events();
    let outcomes = events.into_iter().filter_map(|(_, event)| match event {
        Event::Outcome(outcome) => Some(outcome.ended),
        _ => None,
    });
    outcomes.collect()
}

fn everything_of_a_child_may_be_dropped_in_any_order() {
    let fixture = Fixture::new();
    let fifo = Fifo::new(&fixture.path());
    let script = format!("exec 9>'{}'; cat; sleep 1000", fifo.path());
    let (text, _) = asked(
        &fixture,
        shell(Limits::default()),
        &["drops", "sh", "-c", &script],
    );
    assert_eq!(text, "orders=120\n");
    fifo.assert_closed_within(Duration::ZERO);
    assert_eq!(ends(&fixture), vec![Ended::Cancelled; 120]);
}

fn a_killed_command_is_over_and_stays_so() {
    let fixture = Fixture::new();
    let killed = "exit=Exit::Killed(Reason::Asked)\ntruncated=false,false\n";
    let script = "echo; sleep 1000";
    let (text, _) = asked(
        &fixture,
        shell(Limits::default()),
        &["kill", "sh", "-c", script],
    );
    assert_eq!(
        text,
        format!("before=(false, false)\nafter=(true, true)\n{killed}{killed}")
    );
    assert_eq!(ends(&fixture), [Ended::Cancelled]);
}

fn what_ignores_signals_is_killed_with_all_it_started() {
    for how in ["kill", "drop", "leave"] {
        let fixture = Fixture::new();
        let fifo = Fifo::new(&fixture.path());
        asked(
            &fixture,
            shell(Limits::default()),
            &[how, "sh", "-c", &stubborn(&fifo)],
        );
        fifo.assert_closed_within(Duration::ZERO);
    }
}

fn a_child_that_is_dropped_is_killed_at_once() {
    // Its stdout would never end.
    let text = answer(
        shell(Limits::default()),
        &["drop", "sh", "-c", "echo; sleep 1000"],
    );
    assert_eq!(text, "stdout closed\n");
}

fn a_child_that_is_left_ends_with_the_call() {
    let fixture = Fixture::new();
    let fifo = Fifo::new(&fixture.path());
    let words = ["leave", "sh", "-c", &stubborn(&fifo)];
    let (text, activity) = asked(&fixture, shell(Limits::default()), &words);
    assert_eq!(text, "left\n");
    fifo.assert_closed_within(Duration::ZERO);
    assert_eq!(ends(&fixture), [Ended::Cancelled]);
    assert_eq!(activity.commands.len(), 1);
}

fn a_trap_ends_its_children() {
    let fixture = Fixture::new();
    let fifo = Fifo::new(&fixture.path());
    let words = ["trap", "sh", "-c", &stubborn(&fifo)];
    let (outcome, activity) = called(&fixture, shell(Limits::default()), &words);
    assert!(matches!(outcome, Err(CallError::Trap { .. })));
    fifo.assert_closed_within(Duration::ZERO);
    assert_eq!(ends(&fixture), [Ended::Cancelled]);
    assert_eq!(activity.commands.len(), 1);
}

fn a_deadline_ends_its_children() {
    let fixture = Fixture::new();
    let fifo = Fifo::new(&fixture.path());
    let limits = Limits {
        call: Duration::from_secs(2),
        ..Limits::default()
    };
    let words = ["spin", "sh", "-c", &stubborn(&fifo)];
    let (outcome, _) = called(&fixture, shell(limits), &words);
    assert!(matches!(outcome, Err(CallError::Deadline { .. })));
    fifo.assert_closed_within(Duration::ZERO);
}

fn a_dropped_call_ends_its_children() {
    let fixture = Fixture::new();
    let fifo = Fifo::new(&fixture.path());
    block_on(async {
        let mut instance = fixture.instance("command", shell(Limits::default())).await;
        let words = args(&["spin", "sh", "-c", &stubborn(&fifo)]);
        tokio::select! {
            outcome = instance.run(&words) => panic!("{outcome:?}"),
            () = fifo.opened() => {}
        }
        // The instance is still there; its command is not.
        fifo.assert_closed_within(Duration::from_secs(10));
        while ends(&fixture).is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(ends(&fixture), [Ended::Cancelled]);
        drop(instance);
    });
}

fn a_child_kept_for_the_next_call_is_over_by_then() {
    let fixture = Fixture::new();
    let fifo = Fifo::new(&fixture.path());
    block_on(async {
        let mut instance = fixture.instance("command", shell(Limits::default())).await;
        let words = args(&["keep", "sh", "-c", &stubborn(&fifo)]);
        assert_eq!(instance.run(&words).await.unwrap().unwrap(), "kept\n");
        fifo.assert_closed_within(Duration::ZERO);
        assert_eq!(
            instance.run(&words).await.unwrap().unwrap(),
            "exit=Exit::Killed(Reason::Asked)\ntruncated=false,false\nstdout closed\n"
        );
    });
}

fn as_many_at_once_as_policy_says() {
    let limits = Limits {
        children: 3,
        ..Limits::default()
    };
    let script = "echo; sleep 1000";
    assert_eq!(
        answer(shell(limits), &["many", "--bytes=3", "sh", "-c", script]),
        "one more: error=Error::Limit(Limit::Children)\nthen=true\n"
    );
}

fn decisions_outcomes_and_digests_are_written_down() {
    let data = tempfile::tempdir().unwrap();
    let key = || portcullis::audit::DigestKey::open_or_create(data.path()).unwrap();
    let mut fixture = Fixture::new();
    fixture.host = Host::builder()
        .project(fixture.project.path())
        .audit(fixture.trail.clone())
        .digest_key(key())
        .build()
        .unwrap();
    let script = "head -c 300000 /dev/zero; echo err >&2";
    for how in ["count", "unread"] {
        asked(
            &fixture,
            shell(Limits::default()),
            &[how, "sh", "-c", script],
        );
    }
    let events: Vec<_> = fixture
        .trail
        .events()
        .into_iter()
        .map(|(_, event)| event)
        .collect();
    let [
        Event::Decision(decision),
        Event::Outcome(outcome),
        Event::Decision(_),
        Event::Outcome(unread),
    ] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!((decision.verdict, decision.call), (Verdict::Allow, 1));
    for outcome in [outcome, unread] {
        assert_eq!(outcome.ended, Ended::Exited(0));
        assert_eq!((outcome.stdout_bytes, outcome.stderr_bytes), (300_000, 4));
        assert_eq!(outcome.stdout_digest, Some(key().digest(&[0; 300_000])));
        assert_eq!(outcome.stderr_digest, Some(key().digest(b"err\n")));
    }
    assert_eq!((outcome.call, unread.call), (1, 1), "of two instances");
}

fn no_audit_line_no_child() {
    let fixture = Fixture::new();
    let ran = fixture.path().join("ran");
    let words = ["spawn", "touch", ran.to_str().unwrap()];
    let mut closed = Fixture::new();
    closed.host = Host::builder()
        .project(closed.project.path())
        .audit(std::sync::Arc::new(Full))
        .build()
        .unwrap();
    let (text, _) = asked(&closed, programs(&["touch"]), &words);
    assert_eq!(text, "error=Error::Io\n");
    assert!(!ran.exists());
    asked(&fixture, programs(&["touch"]), &words);
    assert!(ran.exists(), "with a trail it runs");
}
