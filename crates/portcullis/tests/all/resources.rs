//! What a call may use, how it ends that used it up, and what becomes of the plugin then.

use std::time::Duration;

use portcullis::audit::Event;
use portcullis::policy::{Grants, Limits};
use portcullis::{CallError, CodeCache, Exhausted, Host, Plugin, Resource, Session, Source};
use portcullis_testkit::{assemble, tests};

use crate::fixture::{Fixture, args, block_on, none};

tests![
    a_loop_ends_when_its_fuel_is_used_up,
    fuel_covers_what_runs_before_the_first_call,
    each_call_has_all_of_its_fuel,
    fuel_below_the_least_is_the_least,
    a_guest_with_fuel_lets_others_run_and_has_a_deadline,
    code_with_and_without_fuel_is_never_mistaken_in_the_cache,
    a_guest_that_ends_for_want_of_memory_is_reported_as_that,
    a_guest_that_got_over_it_crashes_for_its_own_reason,
    tables_of_all_instances_count_together,
    a_minimum_above_the_limit_is_want_of_memory,
    a_memorys_own_bound_is_not_counted,
    there_are_not_more_memories_than_any_tool_makes,
    the_clock_runs_while_the_guest_waits_for_the_host,
    the_trail_says_what_was_used_up,
    texts_of_exhaustion_are_stable,
    after_every_end_the_next_call_works,
    a_call_that_is_dropped_ends_the_instance_and_one_that_waits_does_not,
    numbers_rates_and_activity_go_on,
    an_error_of_the_guest_ends_no_instance,
    a_guest_that_cannot_start_is_tried_again,
    calls_wait_for_one_another,
    no_instance_sees_what_another_left,
];

/// A component that does what the first letter of its argument says. It counts its calls in its memory.
fn worker(memory: &str, before: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
            (import "portcullis:cli/env@0.1.0" (instance $env
                (type $kind (enum "limit" "io"))
                (export "error" (type $error (eq $kind)))
                (export "get" (func (param "name" string) (result (result (option string) (error $error)))))))
            (core module $libc
                (memory (export "memory") {memory})
                (global $top (mut i32) (i32.const 8192))
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                    (local $at i32)
                    (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
                    (global.set $top (i32.add (local.get $at) (local.get 3)))
                    (if (i32.gt_u (global.get $top) (i32.const 60000)) (then (global.set $top (i32.const 8192))))
                    (local.get $at)))
            (core instance $libc (instantiate $libc))
            (alias core export $libc "memory" (core memory $memory))
            (alias core export $libc "cabi_realloc" (core func $realloc))
            (core func $get (canon lower (func $env "get") (memory $memory) (realloc $realloc)))
            (core module $main
                (import "libc" "memory" (memory 1))
                (import "host" "get" (func $get (param i32 i32 i32)))
                (table $table 1 funcref)
                (global $calls (mut i32) (i32.const 0))
                (func $started {before})
                (start $started)
                (func $grow (loop $more (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))))
                (func $answer (param $tag i32) (param $byte i32) (result i32)
                    (i32.store (i32.const 64) (local.get $tag))
                    (i32.store (i32.const 68) (i32.const 80))
                    (i32.store (i32.const 72) (i32.const 1))
                    (i32.store8 (i32.const 80) (local.get $byte))
                    (i32.const 64))
                (func $burn (param $times i32)
                    (loop $more
                        (local.set $times (i32.sub (local.get $times) (i32.const 1)))
                        (br_if $more (local.get $times))))
                (func $is_clean (result i32)
                    (local $at i32)
                    (local.set $at (i32.const 65536))
                    (loop $more
                        (if (i64.ne (i64.load (local.get $at)) (i64.const 0)) (then (return (i32.const 110))))
                        (local.set $at (i32.add (local.get $at) (i32.const 8)))
                        (br_if $more (i32.lt_u (local.get $at) (i32.const 1048576))))
                    (i32.const 121))
                (func (export "run") (param $args i32) (param $count i32) (result i32)
                    (local $text i32) (local $what i32)
                    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
                    (local.set $text (i32.load (local.get $args)))
                    (local.set $what (i32.load8_u (local.get $text)))
                    ;; b: 150,000 times round a loop, which takes most of a million instructions
                    (if (i32.eq (local.get $what) (i32.const 98)) (then (call $burn (i32.const 150000))))
                    ;; s: never comes back
                    (if (i32.eq (local.get $what) (i32.const 115)) (then (loop $ever (br $ever))))
                    ;; u: crashes
                    (if (i32.eq (local.get $what) (i32.const 117)) (then (unreachable)))
                    ;; m: wants memory until there is none, then crashes
                    (if (i32.eq (local.get $what) (i32.const 109)) (then (call $grow) (unreachable)))
                    ;; g: wants memory until there is none, and gets over it
                    (if (i32.eq (local.get $what) (i32.const 103)) (then (call $grow)))
                    ;; d: as that, then divides by zero
                    (if (i32.eq (local.get $what) (i32.const 100))
                        (then (call $grow) (drop (i32.div_u (i32.const 1) (i32.const 0)))))
                    ;; t: wants a table until there is none, then crashes
                    (if (i32.eq (local.get $what) (i32.const 116)) (then
                        (loop $more (br_if $more (i32.ne
                            (table.grow $table (ref.null func) (i32.const 1)) (i32.const -1))))
                        (unreachable)))
                    ;; e, x: asks for the variable; x then crashes
                    (if (i32.or (i32.eq (local.get $what) (i32.const 101)) (i32.eq (local.get $what) (i32.const 120))) (then
                        (call $get (local.get $text) (i32.const 1) (i32.const 128))
                        (if (i32.eq (local.get $what) (i32.const 120)) (then (unreachable)))
                        ;; an error is no answer
                        (if (i32.load8_u (i32.const 128)) (then (return (call $answer (i32.const 1) (i32.const 76)))))))
                    ;; w: leaves its mark everywhere
                    (if (i32.eq (local.get $what) (i32.const 119)) (then
                        (drop (memory.grow (i32.const 15)))
                        (memory.fill (i32.const 65536) (i32.const 165) (i32.const 983040))))
                    ;; r: looks for what others left
                    (if (i32.eq (local.get $what) (i32.const 114)) (then
                        (drop (memory.grow (i32.const 15)))
                        (return (call $answer (i32.const 0) (call $is_clean)))))
                    ;; f: fails, as plugins do
                    (if (i32.eq (local.get $what) (i32.const 102))
                        (then (return (call $answer (i32.const 1) (i32.const 70)))))
                    (call $answer (i32.const 0) (i32.add (global.get $calls) (i32.const 48)))))
            (core instance $main (instantiate $main
                (with "libc" (instance $libc))
                (with "host" (instance (export "get" (func $get))))))
            (func (export "run") (param "args" (list string)) (result (result string (error string)))
                (canon lift (core func $main "run") (memory $memory) (realloc $realloc))))"#
    );
    assemble(text.as_bytes()).unwrap()
}

const FUEL: u64 = 5_000_000;

/// What the worker needs, and these limits.
fn with(limits: Limits) -> Grants {
    Grants {
        env: vec!["e".to_owned()],
        limits,
        ..none()
    }
}

fn small() -> Limits {
    Limits {
        memory: 4 << 20,
        table_elements: 100,
        ..Limits::default()
    }
}

fn with_fuel(fuel: u64) -> Limits {
    Limits {
        fuel: Some(fuel),
        ..small()
    }
}

fn hurried() -> Limits {
    Limits {
        call: Duration::from_millis(300),
        ..small()
    }
}

async fn plugin(fixture: &Fixture, bytes: Vec<u8>, limits: Limits) -> Plugin {
    let grants = with(limits);
    fixture.host.load(Source { bytes, grants }).await.unwrap()
}

async fn session(fixture: &Fixture, limits: Limits) -> Session {
    let plugin = plugin(fixture, worker("1", ""), limits).await;
    plugin.session("test")
}

async fn say(session: &Session, word: &str) -> Result<Result<String, String>, CallError> {
    session.run(&args(&[word])).await
}

/// How one call of a new instance ends.
async fn end(limits: Limits, word: &str) -> CallError {
    let fixture = Fixture::new();
    let session = session(&fixture, limits).await;
    say(&session, word).await.unwrap_err()
}

fn a_loop_ends_when_its_fuel_is_used_up() {
    let error = block_on(end(with_fuel(FUEL), "s"));
    let used_up = Exhausted {
        resource: Resource::Fuel,
        used: FUEL,
        limit: FUEL,
    };
    assert_eq!(error.exhausted(), Some(used_up));
    assert_eq!(
        error.to_string(),
        "plugin `guest` was stopped: call `run` used up its fuel of 5000000 instructions"
    );
    let told = error.diagnostic();
    assert_eq!(told.code, "P0501");
    assert!(told.helps[0].text.contains("`limits.fuel`"), "{told:?}");
}

fn fuel_covers_what_runs_before_the_first_call() {
    block_on(async {
        let fixture = Fixture::new();
        let bytes = worker("1", "(loop $ever (br $ever))");
        let plugin = plugin(&fixture, bytes, with_fuel(FUEL)).await;
        let error = plugin.instantiate("test").await.unwrap_err();
        assert!(
            matches!(&error, CallError::Exhausted { call, exhausted, .. }
                if *call == "instantiate" && exhausted.resource == Resource::Fuel),
            "{error}"
        );
    });
}

fn each_call_has_all_of_its_fuel() {
    block_on(async {
        let fixture = Fixture::new();
        // One round takes most of it.
        let session = session(&fixture, with_fuel(1_000_000)).await;
        for count in ["1", "2", "3"] {
            assert_eq!(say(&session, "b").await.unwrap().unwrap(), count);
        }
    });
    let rounds = "(call $burn (i32.const 150000))".repeat(2);
    block_on(async {
        let fixture = Fixture::new();
        let plugin = plugin(&fixture, worker("1", &rounds), with_fuel(1_000_000)).await;
        let error = plugin.instantiate("test").await.unwrap_err();
        assert_eq!(error.code(), "P0501", "two rounds are too many: {error}");
    });
}

fn fuel_below_the_least_is_the_least() {
    let error = block_on(end(with_fuel(0), "s"));
    assert_eq!(error.exhausted().unwrap().limit, *Limits::FUEL.start());
}

fn a_guest_with_fuel_lets_others_run_and_has_a_deadline() {
    // One thread: only a guest that gives way lets the clock be looked at.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let fixture = Fixture::new();
        let limits = Limits {
            call: Duration::from_secs(2),
            ..with_fuel(*Limits::FUEL.end())
        };
        let session = session(&fixture, limits).await;
        session.start().await.unwrap();
        let spinning = args(&["s"]);
        let mut call = std::pin::pin!(session.run(&spinning));
        tokio::select! {
            biased;
            answer = &mut call => panic!("it gave no way: {answer:?}"),
            () = tokio::task::yield_now() => {}
        }
        let error = call.await.unwrap_err();
        assert_eq!(error.exhausted().unwrap().resource, Resource::Time);
    });
}

fn code_with_and_without_fuel_is_never_mistaken_in_the_cache() {
    let dir = tempfile::tempdir().unwrap();
    let (cache, keys) = (dir.path().join("cache"), dir.path().join("keys"));
    let open = || CodeCache::open(&cache, &keys, Default::default()).unwrap();
    let host = Host::builder().project(dir.path()).code_cache(open());
    let host = host.build().unwrap();
    let load = async |limits| {
        let source = Source {
            bytes: worker("1", ""),
            grants: with(limits),
        };
        host.load(source).await.unwrap()
    };
    block_on(async {
        for (limits, entries) in [(small(), 1), (with_fuel(FUEL), 2)] {
            assert!(load(limits.clone()).await.compilation().is_some());
            assert_eq!(open().stats().unwrap().entries, entries);
            let cached = load(limits).await;
            assert_eq!(cached.compilation(), None, "from the cache");
            let answer = say(&cached.session("test"), "b").await;
            assert_eq!(answer.unwrap().unwrap(), "1");
        }
        let error = say(&load(with_fuel(FUEL)).await.session("test"), "s").await;
        assert_eq!(error.unwrap_err().code(), "P0501", "counted all the same");
    });
}

fn a_guest_that_ends_for_want_of_memory_is_reported_as_that() {
    let error = block_on(end(small(), "m"));
    let used_up = Exhausted {
        resource: Resource::Memory,
        used: 4 << 20,
        limit: 4 << 20,
    };
    assert_eq!(error.exhausted(), Some(used_up));
    let told = error.diagnostic();
    assert_eq!(told.code, "P0502");
    assert!(told.notes[0].contains("unreachable"), "{told:?}");
    assert!(told.helps[0].text.contains("`limits.memory`"), "{told:?}");
    let error = block_on(end(small(), "u"));
    assert!(matches!(error, CallError::Trap { .. }), "{error}");
}

fn a_guest_that_got_over_it_crashes_for_its_own_reason() {
    block_on(async {
        let fixture = Fixture::new();
        let session = session(&fixture, small()).await;
        assert_eq!(say(&session, "g").await.unwrap().unwrap(), "1");
        let later = say(&session, "u").await.unwrap_err();
        assert!(matches!(later, CallError::Trap { .. }), "{later}");
        let other = say(&session, "d").await.unwrap_err();
        assert!(matches!(other, CallError::Trap { .. }), "{other}");
    });
}

fn tables_of_all_instances_count_together() {
    let error = block_on(end(small(), "t"));
    assert_eq!(error.code(), "P0503");
    assert_eq!(error.exhausted().unwrap().resource, Resource::Tables);
    for (count, fits) in [(3, true), (4, false)] {
        let more = "(core instance (instantiate $more))".repeat(count);
        let around = format!("(core module $more (table 30 funcref)) {more}");
        assert_eq!(starts(&around, small()), fits, "{count} tables of 30");
    }
}

/// Whether a component starts that has this besides.
fn starts(around: &str, limits: Limits) -> bool {
    let text = format!(
        r#"(component
            (core module $main
                (memory (export "memory") 1)
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
                (func (export "run") (param i32 i32) (result i32) (i32.const 16)))
            (core instance $main (instantiate $main))
            (alias core export $main "memory" (core memory $memory))
            (alias core export $main "cabi_realloc" (core func $realloc))
            {around}
            (func (export "run") (param "args" (list string)) (result (result string (error string)))
                (canon lift (core func $main "run") (memory $memory) (realloc $realloc))))"#
    );
    let bytes = assemble(text.as_bytes()).unwrap();
    block_on(async {
        let fixture = Fixture::new();
        let plugin = plugin(&fixture, bytes, limits).await;
        plugin.instantiate("test").await.is_ok()
    })
}

fn a_minimum_above_the_limit_is_want_of_memory() {
    block_on(async {
        let fixture = Fixture::new();
        for (pages, fits) in [("64", true), ("65", false)] {
            let plugin = plugin(&fixture, worker(pages, ""), small()).await;
            match plugin.instantiate("test").await {
                Ok(_) => assert!(fits, "{pages}"),
                Err(error) => {
                    assert!(!fits, "{pages}: {error}");
                    assert_eq!(error.code(), "P0502");
                }
            }
        }
    });
}

fn a_memorys_own_bound_is_not_counted() {
    // It may have four pages by its own word, and asks for ten more a thousand times.
    let asks = "(local $left i32) (local.set $left (i32.const 1000))
        (loop $more
            (drop (memory.grow (i32.const 10)))
            (local.set $left (i32.sub (local.get $left) (i32.const 1)))
            (br_if $more (local.get $left)))
        (if (i32.eq (memory.grow (i32.const 3)) (i32.const -1)) (then (unreachable)))
        (if (i32.ne (memory.grow (i32.const 1)) (i32.const -1)) (then (unreachable)))";
    block_on(async {
        let fixture = Fixture::new();
        let plugin = plugin(&fixture, worker("1 4", asks), small()).await;
        plugin.instantiate("test").await.unwrap();
        let late = worker("1 4", &format!("{asks} (unreachable)"));
        let plugin = self::plugin(&fixture, late, small()).await;
        let error = plugin.instantiate("test").await.unwrap_err();
        assert_eq!(error.exhausted(), None, "it was its own bound: {error}");
    });
}

fn there_are_not_more_memories_than_any_tool_makes() {
    for (count, fits) in [(63, true), (64, false)] {
        let more = "(core instance (instantiate $more))".repeat(count);
        let around = format!("(core module $more (memory 0)) {more}");
        assert_eq!(starts(&around, small()), fits, "{count} besides the first");
    }
}

/// Waits for an hour.
const WAITER: &str = r#"(component
    (import "wasi:io/poll@0.2.0" (instance $poll
        (export "pollable" (type $pollable (sub resource)))
        (export "[method]pollable.block" (func (param "self" (borrow $pollable))))))
    (alias export $poll "pollable" (type $pollable))
    (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
        (alias outer 1 $pollable (type $p))
        (export "pollable" (type $pollable (eq $p)))
        (export "subscribe-duration" (func (param "when" u64) (result (own $pollable))))))
    (core func $subscribe (canon lower (func $clock "subscribe-duration")))
    (core func $block (canon lower (func $poll "[method]pollable.block")))
    (core module $main
        (import "host" "subscribe" (func $subscribe (param i64) (result i32)))
        (import "host" "block" (func $block (param i32)))
        (memory (export "memory") 1)
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
        (func (export "run") (param i32 i32) (result i32)
            (call $block (call $subscribe (i64.const 3600000000000)))
            (i32.const 16)))
    (core instance $main (instantiate $main (with "host" (instance
        (export "subscribe" (func $subscribe)) (export "block" (func $block))))))
    (alias core export $main "memory" (core memory $memory))
    (alias core export $main "cabi_realloc" (core func $realloc))
    (func (export "run") (param "args" (list string)) (result (result string (error string)))
        (canon lift (core func $main "run") (memory $memory) (realloc $realloc))))"#;

fn the_clock_runs_while_the_guest_waits_for_the_host() {
    block_on(async {
        let fixture = Fixture::new();
        let bytes = assemble(WAITER.as_bytes()).unwrap();
        for fuel in [None, Some(FUEL)] {
            let limits = Limits { fuel, ..hurried() };
            let session = plugin(&fixture, bytes.clone(), limits)
                .await
                .session("test");
            let error = say(&session, "").await.unwrap_err();
            assert!(
                matches!(&error, CallError::Deadline { backtrace, .. } if backtrace.is_empty()),
                "{error}"
            );
        }
    });
}

fn the_trail_says_what_was_used_up() {
    block_on(async {
        let fixture = Fixture::new();
        let limits = Limits {
            call: Duration::from_secs(20),
            ..with_fuel(FUEL)
        };
        let session = session(&fixture, limits).await;
        for word in ["s", "m", "u", "t"] {
            say(&session, word).await.unwrap_err();
        }
        let written: Vec<_> = fixture.trail.events().into_iter().collect();
        let written = written.iter().map(|(_, event)| match event {
            Event::Exhausted(event) => {
                assert_eq!((&*event.run, &*event.plugin), ("test", "guest"));
                assert_eq!(event.export, "run");
                (event.call, &*event.resource, event.used, event.limit)
            }
            other => panic!("a crash alone is no line: {other:?}"),
        });
        assert_eq!(
            written.collect::<Vec<_>>(),
            [
                (1, "fuel", FUEL, FUEL),
                (2, "memory", 4 << 20, 4 << 20),
                (3, "tables", 100, 100)
            ]
        );
    });
}

fn texts_of_exhaustion_are_stable() {
    let texts = [
        (Resource::Fuel, "fuel", "CPU time limit exceeded"),
        (Resource::Memory, "memory", "memory limit exceeded"),
        (Resource::Tables, "tables", "table limit exceeded"),
        (Resource::Time, "time", "execution time limit exceeded"),
    ];
    for (resource, name, text) in texts {
        assert_eq!((resource.name(), resource.text()), (name, text));
    }
}

fn after_every_end_the_next_call_works() {
    block_on(async {
        let fixture = Fixture::new();
        let limits = Limits {
            call: Duration::from_secs(1),
            ..with_fuel(FUEL)
        };
        let session = session(&fixture, limits.clone()).await;
        assert_eq!(say(&session, "c").await.unwrap().unwrap(), "1");
        assert_eq!(say(&session, "c").await.unwrap().unwrap(), "2", "kept");
        for word in ["u", "s", "m", "t", "d"] {
            say(&session, word).await.unwrap_err();
            assert_eq!(
                say(&session, "c").await.unwrap().unwrap(),
                "1",
                "another after `{word}`"
            );
        }
    });
}

fn a_call_that_is_dropped_ends_the_instance_and_one_that_waits_does_not() {
    block_on(async {
        let fixture = Fixture::new();
        let session = session(&fixture, small()).await;
        assert_eq!(say(&session, "c").await.unwrap().unwrap(), "1");
        let spinning = args(&["s"]);
        {
            let mut running = std::pin::pin!(session.run(&spinning));
            let mut waiting = std::pin::pin!(session.run(&spinning));
            tokio::select! {
                biased;
                answer = &mut running => panic!("{answer:?}"),
                answer = &mut waiting => panic!("{answer:?}"),
                () = tokio::task::yield_now() => {}
            }
        }
        assert_eq!(say(&session, "c").await.unwrap().unwrap(), "1", "another");
        {
            let mut counting = std::pin::pin!(say(&session, "b"));
            let mut waiting = Box::pin(session.run(&spinning));
            tokio::select! {
                biased;
                answer = &mut counting => assert_eq!(answer.unwrap().unwrap(), "2"),
                answer = &mut waiting => panic!("{answer:?}"),
                () = tokio::task::yield_now() => {
                    drop(waiting);
                    assert_eq!(counting.await.unwrap().unwrap(), "2");
                }
            }
        }
        assert_eq!(say(&session, "c").await.unwrap().unwrap(), "3", "kept");
    });
}

fn numbers_rates_and_activity_go_on() {
    let fixture = Fixture::with_env(&[("HOME", "/nonexistent"), ("e", "v")]);
    block_on(async {
        let limits = Limits {
            calls_per_minute: 4,
            ..small()
        };
        let session = session(&fixture, limits).await;
        // `e` is granted, `x` is not.
        assert_eq!(say(&session, "e").await.unwrap().unwrap(), "1");
        for _ in 0..3 {
            say(&session, "x").await.unwrap_err();
        }
        let limited = say(&session, "e").await.unwrap();
        assert_eq!(
            limited,
            Err("L".to_owned()),
            "no new rate with a new instance"
        );
        let codes: Vec<_> = {
            let activity = session.activity().await;
            activity
                .denials
                .iter()
                .map(|denial| denial.code.to_string())
                .collect()
        };
        assert_eq!(codes, ["P0401", "P0401", "P0401", "P0226"]);
        assert_eq!(session.take_activity().await.denials.len(), 4);
        assert_eq!(session.activity().await.denials.len(), 0, "taken");
        let calls = fixture
            .trail
            .events()
            .into_iter()
            .map(|(_, event)| match event {
                Event::Decision(decision) => (decision.run, decision.call),
                other => panic!("{other:?}"),
            });
        let expected = (1..=5).map(|call| ("test".to_owned(), call));
        assert_eq!(calls.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    });
}

fn an_error_of_the_guest_ends_no_instance() {
    block_on(async {
        let fixture = Fixture::new();
        let session = session(&fixture, small()).await;
        assert_eq!(say(&session, "f").await.unwrap(), Err("F".to_owned()));
        assert_eq!(say(&session, "c").await.unwrap().unwrap(), "2");
    });
}

fn a_guest_that_cannot_start_is_tried_again() {
    block_on(async {
        let fixture = Fixture::new();
        let bytes = worker(
            "1",
            "(call $get (i32.const 0) (i32.const 1) (i32.const 128)) (unreachable)",
        );
        let session = plugin(&fixture, bytes, small()).await.session("test");
        for _ in 0..2 {
            let error = say(&session, "c").await.unwrap_err();
            assert!(matches!(error, CallError::Instantiate { .. }), "{error}");
        }
        let activity = session.activity().await;
        assert_eq!(
            activity.denials.len(),
            2,
            "what it did then is not forgotten"
        );
    });
}

fn calls_wait_for_one_another() {
    block_on(async {
        let fixture = Fixture::new();
        let session = session(&fixture, small()).await;
        let calls = (0..8).map(|_| {
            let session = session.clone();
            tokio::spawn(async move { say(&session, "b").await.unwrap().unwrap() })
        });
        let mut answers = Vec::new();
        for call in calls.collect::<Vec<_>>() {
            answers.push(call.await.unwrap());
        }
        answers.sort();
        assert_eq!(answers, ["1", "2", "3", "4", "5", "6", "7", "8"]);
    });
}

fn no_instance_sees_what_another_left() {
    for pooling in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let host = Host::builder().project(dir.path()).pooling(pooling);
        let host = host.build().unwrap();
        block_on(async {
            let load = async |id: &str| {
                let grants = Grants {
                    plugin: portcullis::policy::PluginId::new(id).unwrap(),
                    ..with(small())
                };
                let bytes = worker("1", "");
                host.load(Source { bytes, grants })
                    .await
                    .unwrap()
                    .session(id)
            };
            let (one, other) = (load("one").await, load("other").await);
            let (written, clean) = tokio::join!(say(&one, "w"), say(&other, "r"));
            assert_eq!(written.unwrap().unwrap(), "1");
            assert_eq!(clean.unwrap().unwrap(), "y", "beside it");
            assert_eq!(say(&one, "r").await.unwrap().unwrap(), "n", "its own mark");
            say(&one, "u").await.unwrap_err();
            assert_eq!(say(&one, "r").await.unwrap().unwrap(), "y", "after itself");
            say(&other, "u").await.unwrap_err();
            assert_eq!(say(&other, "r").await.unwrap().unwrap(), "y", "after both");
        });
    }
}
