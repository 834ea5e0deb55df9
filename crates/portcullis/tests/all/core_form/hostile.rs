//! Guests in the core-module form that do what no compiler makes of any program.

use std::time::Duration;

use portcullis::CallError;
use portcullis::policy::{Grants, Limits};
use portcullis_testkit::tests;

use super::guest::{ALLOCATE, EXEC, Guest, LOG, OK, Stage, packed, text};
use crate::fixture::{args, block_on, none, programs};

tests![
    pointers_that_lie_outside_stop_the_guest,
    an_allocate_that_lies_stops_the_guest,
    no_room_for_an_answer_is_no_answer,
    no_room_for_arguments_is_told,
    an_allocate_that_asks_for_answers_gets_none,
    an_allocate_that_traps_or_loops_is_stopped,
    an_allocate_that_grows_memory_is_looked_at_anew,
    an_answer_over_the_request_harms_only_the_guest,
    a_run_that_is_the_hosts_own_function_gets_nowhere,
    a_large_answer_arrives_whole,
    a_memory_that_is_full_is_no_end,
];

/// How a call ended that should not return.
fn crashed(guest: &Guest, grants: Grants) -> String {
    let stage = Stage::new();
    block_on(async {
        let mut instance = stage.start(guest, grants).await.unwrap();
        let error = instance.run(&[]).await.unwrap_err();
        assert!(matches!(error, CallError::Trap { .. }), "{error}");
        let again = instance.run(&[]).await.unwrap_err();
        assert!(matches!(again, CallError::Poisoned { .. }), "{again}");
        assert_eq!(
            stage.trail.events().len() % 2,
            0,
            "a decision has its outcome"
        );
        error.to_string()
    })
}

/// Pointers of which nothing, or not all, lies in one page.
fn outside() -> impl Iterator<Item = String> {
    const MAX: u32 = u32::MAX;
    [
        (65536, 1),
        (65535, 2),
        (0, 65537),
        (MAX, 1),
        (MAX, MAX),
        (1, MAX),
        (MAX, 0),
        (0x8000_0000, 0x8000_0000),
    ]
    .into_iter()
    .map(|(at, length): (u32, u32)| packed(at, length as usize))
}

fn pointers_that_lie_outside_stop_the_guest() {
    for at in outside() {
        let calls = [
            format!("(drop (call $exec {at})) {OK}"),
            format!("(call $log (i32.const 0) {at}) {OK}"),
            at.clone(),
        ];
        for run in calls {
            let guest = Guest {
                rest: format!("{LOG} {EXEC}"),
                run,
                allocate: r#"(func (export "allocate") (param i32) (result i32) (i32.const 4096))"#,
                ..Guest::default()
            };
            let error = crashed(&guest, programs(&[]));
            assert!(
                error.contains("and its memory has 65536 bytes in all"),
                "{at}: {error}"
            );
        }
    }
}

fn an_allocate_that_lies_stops_the_guest() {
    for at in ["65535", "65536", "-1", "-2", "0x7fffffff"] {
        let allocate =
            format!(r#"(func (export "allocate") (param i32) (result i32) (i32.const {at}))"#);
        let guest = Guest {
            allocate: allocate.leak(),
            ..Guest::default()
        };
        let error = crashed(&guest, none());
        assert!(error.contains("its `allocate` said"), "{at}: {error}");
    }
}

/// Makes room twice in the first page, and then says that there is none.
const ONCE: &str = r#"
    (global $calls (mut i32) (i32.const 0))
    (func (export "allocate") (param i32) (result i32)
        (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
        (select (i32.const 4096) (i32.const 0) (i32.eq (global.get $calls) (i32.const 1))))"#;

fn no_room_for_an_answer_is_no_answer() {
    let (data, at) = text(r#"{"program":"echo"}"#);
    let guest = Guest {
        rest: format!("{EXEC} {data}"),
        allocate: ONCE,
        // It is asked once for each message: for the arguments, and for the answer.
        run: format!(
            "(if (i64.ne (call $exec {at}) (i64.const 0)) (then unreachable))
             (if (i32.ne (global.get $calls) (i32.const 2)) (then unreachable)) {OK}"
        ),
        ..Guest::default()
    };
    block_on(async {
        let stage = Stage::new();
        let mut instance = stage.start(&guest, programs(&["echo"])).await.unwrap();
        assert_eq!(instance.run(&[]).await.unwrap(), Ok(String::new()));
        assert_eq!(
            stage.trail.events().len(),
            2,
            "the command ran all the same"
        );
    });
}

fn no_room_for_arguments_is_told() {
    let guest = Guest {
        allocate: r#"(func (export "allocate") (param i32) (result i32) (i32.const 0))"#,
        ..Guest::default()
    };
    let error = crashed(&guest, none());
    assert!(
        error.ends_with("its `allocate` has no room for 2 bytes of arguments"),
        "{error}"
    );
}

fn an_allocate_that_asks_for_answers_gets_none() {
    let (data, at) = text(r#"{"program":"echo"}"#);
    // Without an end to it, each answer would need another.
    let allocate = format!(
        r#"(global $nested (mut i64) (i64.const -1))
        (func (export "allocate") (param i32) (result i32)
            (call $log (i32.const 0) (i64.const 0))
            (global.set $nested (call $exec {at}))
            (i32.const 4096))"#
    );
    let guest = Guest {
        rest: format!("{LOG} {EXEC} {data}"),
        allocate: allocate.leak(),
        run: format!(
            "(if (i64.ne (global.get $nested) (i64.const 0)) (then unreachable))
             (if (i64.eqz (call $exec {at})) (then unreachable))
             (if (i64.ne (global.get $nested) (i64.const 0)) (then unreachable)) {OK}"
        ),
        ..Guest::default()
    };
    block_on(async {
        let stage = Stage::new();
        let mut instance = stage.start(&guest, programs(&["echo"])).await.unwrap();
        assert_eq!(instance.run(&[]).await.unwrap(), Ok(String::new()));
        assert_eq!(
            stage.trail.events().len(),
            2,
            "one command: the one that `run` asked for"
        );
    });
}

fn an_allocate_that_traps_or_loops_is_stopped() {
    let (data, at) = text(r#"{"program":"echo"}"#);
    let guest = |second: &str| {
        let allocate = format!(
            r#"(global $calls (mut i32) (i32.const 0))
            (func (export "allocate") (param i32) (result i32)
                (if (global.get $calls) (then {second}))
                (global.set $calls (i32.const 1))
                (i32.const 4096))"#
        );
        Guest {
            rest: format!("{EXEC} {data}"),
            allocate: allocate.leak(),
            run: format!("(drop (call $exec {at})) {OK}"),
            ..Guest::default()
        }
    };
    let error = crashed(&guest("unreachable"), programs(&["echo"]));
    assert!(error.contains("unreachable"), "{error}");
    let limits = Limits {
        call: Duration::from_millis(500),
        ..Limits::default()
    };
    let grants = Grants {
        limits,
        ..programs(&["echo"])
    };
    block_on(async {
        let spins = guest("(loop $again (br $again))");
        let mut instance = Stage::new().start(&spins, grants).await.unwrap();
        let error = instance.run(&[]).await.unwrap_err();
        assert!(matches!(error, CallError::Deadline { .. }), "{error}");
    });
}

fn an_allocate_that_grows_memory_is_looked_at_anew() {
    // Each message lies in a page that was not there when it was asked for.
    let allocate = r#"(func (export "allocate") (param i32) (result i32)
        (i32.shl (memory.grow (i32.const 1)) (i32.const 16)))"#;
    let guest = Guest {
        allocate,
        ..Guest::exec(r#"{"program":"echo","args":["hi"]}"#)
    };
    let stage = Stage::new();
    block_on(async {
        let mut instance = stage.start(&guest, programs(&["echo"])).await.unwrap();
        for _ in 0..3 {
            instance.run(&args(&["a"])).await.unwrap().unwrap();
            assert_eq!(stage.answer()["ok"]["stdout"], "aGkK");
        }
    });
}

fn an_answer_over_the_request_harms_only_the_guest() {
    let allocate = r#"(func (export "allocate") (param i32) (result i32) (i32.const 1024))"#;
    let guest = Guest {
        allocate,
        ..Guest::exec(r#"{"program":"echo","args":["hi"]}"#)
    };
    let stage = Stage::new();
    block_on(async {
        let mut instance = stage.start(&guest, programs(&["echo"])).await.unwrap();
        // The arguments lie over the request as well, so that it is none.
        instance.run(&[]).await.unwrap().unwrap();
        assert_eq!(stage.answer()["error"]["kind"], "invalid");
    });
}

fn a_run_that_is_the_hosts_own_function_gets_nowhere() {
    let module = format!(
        r#"(module {EXEC} (memory (export "memory") 1) {ALLOCATE} (export "run" (func $exec)))"#
    );
    let bytes = portcullis_testkit::assemble(module.as_bytes()).unwrap();
    let stage = Stage::new();
    block_on(async {
        let plugin = stage.load(bytes, programs(&["echo"])).await.unwrap();
        let mut instance = plugin.instantiate("test").await.unwrap();
        let error = instance.run(&args(&["echo"])).await.unwrap_err();
        assert!(matches!(error, CallError::Trap { .. }), "{error}");
        assert!(stage.trail.events().is_empty());
    });
}

fn large() -> String {
    let script = "head -c 10485760 /dev/zero; head -c 10485760 /dev/zero >&2";
    format!(r#"{{"program":"sh","args":["-c","{script}"]}}"#)
}

fn a_large_answer_arrives_whole() {
    // Both streams at their cap, as base64.
    const LEAST: u32 = 2 * 10_485_760 / 3 * 4;
    let (data, at) = text(&large());
    let guest = Guest {
        rest: format!("{EXEC} {data}"),
        run: format!(
            "(if (i32.lt_u (i32.wrap_i64 (call $exec {at})) (i32.const {LEAST})) (then unreachable)) {OK}"
        ),
        ..Guest::default()
    };
    block_on(async {
        let mut instance = Stage::new().start(&guest, programs(&["sh"])).await.unwrap();
        assert_eq!(instance.run(&[]).await.unwrap(), Ok(String::new()));
    });
}

fn a_memory_that_is_full_is_no_end() {
    let (data, at) = text(&large());
    let guest = Guest {
        rest: format!("{EXEC} {data}"),
        run: format!("(if (i64.ne (call $exec {at}) (i64.const 0)) (then unreachable)) {OK}"),
        ..Guest::default()
    };
    let limits = Limits {
        memory: 1 << 20,
        ..Limits::default()
    };
    let grants = Grants {
        limits,
        ..programs(&["sh"])
    };
    block_on(async {
        let mut instance = Stage::new().start(&guest, grants).await.unwrap();
        assert_eq!(instance.run(&[]).await.unwrap(), Ok(String::new()));
    });
}
