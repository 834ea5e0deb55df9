//! Runs that can be repeated: a fixed time of day and fixed random numbers.

use std::time::Duration;

use portcullis::policy::{ExecGrant, Grants};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;

use crate::fixture::{Fixture, args, block_on, none};

portcullis_testkit::tests![
    two_runs_say_the_same_and_another_seed_something_else,
    without_the_keys_two_runs_differ,
    a_guest_can_sleep_until_a_time_of_its_clock,
    a_core_module_has_the_same_time_and_numbers,
    a_core_module_waits_until_a_time_of_its_clocks,
];

/// 2026-01-01T00:00:00Z
const NEW_YEAR: Duration = Duration::from_secs(1_767_225_600);

fn fixed(seed: u64) -> Grants {
    Grants {
        clock: Some(NEW_YEAR),
        random: Some(seed),
        ..none()
    }
}

fn probe(grants: Grants, words: &[&str]) -> String {
    let fixture = Fixture::new();
    block_on(async {
        let mut instance = fixture.instance("wasi-probe", grants).await;
        instance.run(&args(words)).await.unwrap().unwrap()
    })
}

fn two_runs_say_the_same_and_another_seed_something_else() {
    let said = probe(fixed(42), &["repeat"]);
    assert_eq!(said, probe(fixed(42), &["repeat"]));
    let other = probe(fixed(43), &["repeat"]);
    let (said, other): (Vec<_>, Vec<_>) = (said.lines().collect(), other.lines().collect());
    assert!(said[0].contains("seconds: 1767225600"), "{said:?}");
    assert_eq!((said[0], said[0]), (said[1], other[0]), "it stands still");
    assert!(
        said[2..]
            .iter()
            .zip(&other[2..])
            .all(|(one, two)| one != two)
    );
    assert_ne!(said[2], said[4], "each source has numbers of its own");
}

fn without_the_keys_two_runs_differ() {
    let (one, two) = (probe(none(), &["repeat"]), probe(none(), &["repeat"]));
    let differ = |(one, two): (&str, &str)| one != two;
    assert!(one.lines().zip(two.lines()).all(differ), "{one}\n{two}");
    let only = |grants: Grants| probe(grants, &["repeat"]);
    let clock = || Grants {
        random: None,
        ..fixed(1)
    };
    let random = || Grants {
        clock: None,
        ..fixed(1)
    };
    assert_eq!(only(clock()).lines().next(), only(clock()).lines().next());
    assert_ne!(only(clock()).lines().nth(2), only(clock()).lines().nth(2));
    assert_eq!(only(random()).lines().nth(2), only(random()).lines().nth(2));
    assert_ne!(only(random()).lines().next(), only(random()).lines().next());
}

fn a_guest_can_sleep_until_a_time_of_its_clock() {
    assert_eq!(
        probe(fixed(1), &["sleep", "20"]),
        "over true, from zero true"
    );
}

/// Writes the time of day and 16 random bytes to standard output.
const MODULE: &str = r#"(module
    (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "\00\04\00\00\18\00\00\00")
    (data (i32.const 16) "{\22ok\22:\22\22}")
    (func (export "allocate") (param i32) (result i32) (i32.const 4096))
    (func (export "run") (param i64) (result i64)
        (drop (call $clock (i32.const 0) (i64.const 1) (i32.const 1024)))
        (drop (call $random (i32.const 1032) (i32.const 16)))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
        (i64.const 0x10_0000_0009)))"#;

/// Waits until a millisecond after each of its clocks' times, and writes 8 bytes: the time of the monotonic one before.
const WAITS: &str = r#"(module
    (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "\00\04\00\00\08\00\00\00")
    (data (i32.const 16) "{\22ok\22:\22\22}")
    (func (export "allocate") (param i32) (result i32) (i32.const 4096))
    (func $wait (param $id i32)
        (if (call $clock (local.get $id) (i64.const 1) (i32.const 1024)) (then unreachable))
        (i32.store (i32.const 80) (local.get $id))
        (i64.store (i32.const 88) (i64.add (i64.load (i32.const 1024)) (i64.const 1000000)))
        (i32.store16 (i32.const 104) (i32.const 1))
        (if (call $poll (i32.const 64) (i32.const 160) (i32.const 1) (i32.const 200)) (then unreachable))
        (if (i32.ne (i32.load (i32.const 200)) (i32.const 1)) (then unreachable)))
    (func (export "run") (param i64) (result i64)
        (call $wait (i32.const 0))
        (call $wait (i32.const 1))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
        (i64.const 0x10_0000_0009)))"#;

fn module(module: &str, grants: Grants) -> Vec<u8> {
    let written = MemoryOutputPipe::new(4096);
    let pipe = written.clone();
    let project = tempfile::tempdir().unwrap();
    let host = portcullis::Host::builder()
        .project(project.path())
        .guest_stdio(portcullis::GuestStdio::default().stdout(move || pipe.clone()))
        .build()
        .unwrap();
    let grants = Grants {
        exec: Some(ExecGrant::default()),
        ..grants
    };
    let bytes = portcullis_testkit::assemble(module.as_bytes()).unwrap();
    block_on(async {
        let plugin = host
            .load(portcullis::Source { bytes, grants })
            .await
            .unwrap();
        let mut instance = plugin.instantiate("test").await.unwrap();
        assert_eq!(instance.run(&[]).await.unwrap(), Ok(String::new()));
    });
    written.contents().to_vec()
}

fn a_core_module_has_the_same_time_and_numbers() {
    let said = module(MODULE, fixed(42));
    assert_eq!(said.len(), 24);
    let time = u64::from_le_bytes(said[..8].try_into().unwrap());
    assert_eq!(u128::from(time), NEW_YEAR.as_nanos());
    assert_eq!(said, module(MODULE, fixed(42)));
    assert_ne!(said[8..], module(MODULE, fixed(43))[8..]);
    let (one, two) = (module(MODULE, none()), module(MODULE, none()));
    assert_ne!(one[..8], two[..8]);
    assert_ne!(one[8..], two[8..]);
}

fn a_core_module_waits_until_a_time_of_its_clocks() {
    // Long after every real time: a deadline that was held against another clock would not come.
    let late = Grants {
        clock: Some(Duration::from_secs(4_102_444_800)),
        ..none()
    };
    for grants in [late, none()] {
        let said = module(WAITS, grants);
        let elapsed = u64::from_le_bytes(said.try_into().unwrap());
        let hour = Duration::from_secs(3600);
        assert!(
            u128::from(elapsed) < hour.as_nanos(),
            "it begins at zero: {elapsed}"
        );
    }
}
