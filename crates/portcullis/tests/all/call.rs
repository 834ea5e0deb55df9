//! Calls into a guest: deadlines, traps, memory, and futures that are dropped.

use std::time::{Duration, Instant};

use portcullis::CallError;
use portcullis::policy::{Grants, Limits};
use portcullis_testkit::tests;

use crate::fixture::{Fixture, args, block_on, none, programs};

tests![
    a_guest_that_never_returns_is_stopped_at_its_deadline,
    a_trap_names_plugin_call_cause_and_functions,
    a_crash_has_what_the_guests_language_says,
    memory_grows_to_the_limit_and_no_further,
    a_memory_that_is_too_large_from_the_start_is_said_so,
    a_dropped_call_kills_its_command_and_poisons_the_instance,
    the_calls_deadline_covers_commands,
    instances_share_nothing,
    calls_are_send,
];

fn with_limits(grants: Grants, limits: Limits) -> Grants {
    Grants { limits, ..grants }
}

fn a_guest_that_never_returns_is_stopped_at_its_deadline() {
    block_on(async {
        let fixture = Fixture::new();
        let limits = Limits {
            call: Duration::from_millis(200),
            ..Limits::default()
        };
        let mut instance = fixture
            .instance("spin", with_limits(programs(&[]), limits))
            .await;
        let error = instance.run(&[]).await.unwrap_err();
        assert!(matches!(error, CallError::Deadline { .. }), "{error}");
        assert_eq!(
            error.to_string(),
            "plugin `guest` was stopped: call `run` passed its deadline of 200 ms"
        );
        let again = instance.run(&[]).await.unwrap_err();
        assert!(matches!(again, CallError::Poisoned { .. }), "{again}");
    });
}

fn a_trap_names_plugin_call_cause_and_functions() {
    block_on(async {
        let fixture = Fixture::new();
        let mut instance = fixture.instance("trap", programs(&[])).await;
        let error = instance.run(&[]).await.unwrap_err();
        let CallError::Trap { backtrace, .. } = &error else {
            panic!("{error}")
        };
        for function in ["expect_section", "parse_settings", "read_settings"] {
            assert!(
                backtrace.iter().any(|frame| frame.contains(function)),
                "{function} in {backtrace:?}"
            );
        }
        assert!(
            backtrace[0].contains("expect_section"),
            "not the panic's own frames: {backtrace:?}"
        );
        assert!(
            error
                .to_string()
                .starts_with("plugin `guest` crashed in call `run`: "),
            "{error}"
        );
        assert!(error.to_string().contains("unreachable"), "{error}");
    });
}

fn a_crash_has_what_the_guests_language_says() {
    let Some(guest) = portcullis_testkit::interpreted("javascript-overlay") else {
        println!("SKIP call::a_crash_has_what_the_guests_language_says: its guest is not built");
        return;
    };
    block_on(async {
        // Although this application reads nothing of what guests write.
        let fixture = Fixture::new();
        let source = portcullis::Source {
            bytes: std::fs::read(guest).unwrap(),
            grants: programs(&[]),
        };
        let plugin = fixture.host.load(source).await.unwrap();
        let error = plugin.instantiate("test").await.unwrap_err();
        let CallError::Trap {
            exception: Some(exception),
            ..
        } = &error
        else {
            panic!("{error}")
        };
        assert_eq!(exception.message, "no overlay today");
        assert!(
            exception.frames[0].starts_with("`envOverlay` (/overlay.js:"),
            "{exception:?}"
        );
        assert_eq!(
            error.to_string(),
            "plugin `guest` crashed in call `env-overlay`: `no overlay today`"
        );
    });
}

fn memory_grows_to_the_limit_and_no_further() {
    block_on(async {
        let fixture = Fixture::new();
        for mebibytes in [8, 32] {
            let limits = Limits {
                memory: mebibytes * 1024 * 1024,
                ..Limits::default()
            };
            let mut instance = fixture
                .instance("memory-hog", with_limits(programs(&[]), limits))
                .await;
            let answer = instance.run(&[]).await.unwrap().unwrap();
            let pages: u64 = answer.strip_prefix("pages=").unwrap().parse().unwrap();
            let reached = pages * 64 * 1024;
            let limit = mebibytes * 1024 * 1024;
            assert!(
                reached <= limit && reached > limit - 2 * 1024 * 1024,
                "{reached} of {limit}"
            );
        }
    });
}

fn a_dropped_call_kills_its_command_and_poisons_the_instance() {
    block_on(async {
        let fixture = Fixture::new();
        let mut instance = fixture.instance("exec-args", programs(&["sh"])).await;
        let fifo = crate::exec::Fifo::new(&fixture.path());
        let script = format!("exec 9>{}; (setsid sleep 100 &) ; sleep 100", fifo.path());
        let command = args(&["exec", "--", "sh", "-c", &script]);
        {
            let mut call = Box::pin(instance.run(&command));
            // Driven only until the command holds the pipe: then the future is dropped with everything it started.
            tokio::select! {
                answer = &mut call => panic!("the command ended: {answer:?}"),
                () = fifo.opened() => {}
            }
        }
        fifo.assert_closed_within(Duration::from_secs(1));
        let events = fixture.trail.events();
        let Some((_, portcullis::audit::Event::Outcome(outcome))) = events.last() else {
            panic!("{events:?}")
        };
        assert_eq!(outcome.ended, portcullis::audit::Ended::Cancelled);
        assert!(matches!(
            instance.run(&[]).await,
            Err(CallError::Poisoned { .. })
        ));
    });
}

fn the_calls_deadline_covers_commands() {
    block_on(async {
        let fixture = Fixture::new();
        let limits = Limits {
            call: Duration::from_secs(2),
            ..Limits::default()
        };
        let mut instance = fixture
            .instance("exec-args", with_limits(programs(&["sleep"]), limits))
            .await;
        let start = Instant::now();
        let answer = instance.run(&args(&["exec", "--", "sleep", "100"])).await;
        // Either the guest hears of it in time to answer, or its own time is up: both end here.
        match answer {
            Ok(answer) => assert!(answer.unwrap().starts_with("status=124\n")),
            Err(error) => assert!(matches!(error, CallError::Deadline { .. }), "{error}"),
        }
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "{:?}",
            start.elapsed()
        );
    });
}

fn instances_share_nothing() {
    block_on(async {
        let fixture = Fixture::new();
        let limits = Limits {
            memory: 8 * 1024 * 1024,
            ..Limits::default()
        };
        let plugin = fixture
            .load("memory-hog", with_limits(programs(&[]), limits))
            .await
            .unwrap();
        let mut answers = Vec::new();
        for run in ["first", "second"] {
            answers.push(
                plugin
                    .instantiate(run)
                    .await
                    .unwrap()
                    .run(&[])
                    .await
                    .unwrap()
                    .unwrap(),
            );
        }
        assert_eq!(
            answers[0], answers[1],
            "the second instance starts from the beginning"
        );
    });
}

fn calls_are_send() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    block_on(async {
        let fixture = Fixture::new();
        let plugin = fixture.load("noop", none()).await.unwrap();
        let task = is_send(async move {
            plugin
                .instantiate("task")
                .await
                .unwrap()
                .run(&[])
                .await
                .unwrap()
        });
        assert_eq!(tokio::spawn(task).await.unwrap(), Ok(String::new()));
    });
}

fn a_memory_that_is_too_large_from_the_start_is_said_so() {
    block_on(async {
        let fixture = Fixture::new();
        let bytes = portcullis_testkit::wat("huge-memory");
        let source = portcullis::Source {
            bytes,
            grants: programs(&[]),
        };
        let error = fixture
            .host
            .load(source)
            .await
            .unwrap()
            .instantiate("test")
            .await
            .unwrap_err();
        assert_eq!(error.code(), "P0502");
        assert_eq!(
            error.to_string(),
            "plugin `guest` was stopped: call `instantiate` ran out of memory: it has 0 bytes, wanted more, and may have 268435456"
        );
    });
}
