//! What a hostile component tries against the host itself: its time, its memory, its neighbours.

use std::time::{Duration, Instant};

use portcullis::policy::{Grants, Limits};
use portcullis::{CallError, Plugin, Source};
use portcullis_testkit::assemble;

use crate::fixture::{Fixture, args, block_on, none, programs};

portcullis_testkit::tests![
    components_deep_in_one_another_are_refused_before_they_cost_anything,
    contexts_that_are_never_dropped_are_counted,
    what_the_trail_calls_allowed_was_run,
    a_denied_interpreter_is_denied_through_its_scripts,
    a_start_function_that_never_returns_is_stopped_at_the_deadline,
    an_overlay_that_never_returns_is_stopped_at_the_deadline,
    an_answer_larger_than_a_host_call_may_carry_is_refused,
    a_list_whose_items_are_all_the_same_bytes_is_refused_before_it_is_copied,
    many_small_memories_are_one_large_one,
    a_neighbour_that_used_up_its_commands_takes_none_of_ours,
];

const ARGUMENTS: &str = r#"(param "args" (list string)) (result (result string (error string)))"#;

/// A component around one core module: `body` is its code, with `run` in it; `around` comes after `run` is exported.
fn component(body: &str, around: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
            (core module $main
                (memory (export "memory") 16)
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
                {body})
            (core instance $main (instantiate $main))
            (alias core export $main "memory" (core memory $memory))
            (alias core export $main "cabi_realloc" (core func $realloc))
            (func (export "run") {ARGUMENTS}
                (canon lift (core func $main "run") (memory $memory) (realloc $realloc)))
            {around})"#
    );
    assemble(text.as_bytes()).unwrap()
}

/// Sixteen is the address of zeros: the tag of `ok`, then an empty string.
const NOTHING: &str = r#"(func (export "run") (param i32 i32) (result i32) (i32.const 16))"#;

async fn load(fixture: &Fixture, bytes: Vec<u8>, grants: Grants) -> Plugin {
    fixture.host.load(Source { bytes, grants }).await.unwrap()
}

/// `none` with little time.
fn hurried() -> Grants {
    Grants {
        limits: Limits {
            call: Duration::from_millis(200),
            ..Limits::default()
        },
        ..none()
    }
}

async fn is_stopped(bytes: Vec<u8>) {
    let fixture = Fixture::new();
    let plugin = load(&fixture, bytes, hurried()).await;
    let begun = Instant::now();
    let error = plugin.instantiate("test").await.unwrap_err();
    assert!(matches!(error, CallError::Deadline { .. }), "{error}");
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
}

fn a_start_function_that_never_returns_is_stopped_at_the_deadline() {
    let body = format!("{NOTHING} (func $start (loop $again (br $again))) (start $start)");
    block_on(is_stopped(component(&body, "")));
}

fn an_overlay_that_never_returns_is_stopped_at_the_deadline() {
    let body = format!(
        r#"{NOTHING} (func (export "overlay") (result i32) (loop $again (br $again)) (i32.const 16))"#
    );
    let overlay = r#"(func (export "env-overlay") (result (list (tuple string string)))
        (canon lift (core func $main "overlay") (memory $memory) (realloc $realloc)))"#;
    block_on(is_stopped(component(&body, overlay)));
}

/// An `ok` of `bytes` zeros.
fn answer(bytes: u32) -> Vec<u8> {
    let pages = bytes / 65536 + 1;
    component(
        &format!(
            r#"(func (export "run") (param i32 i32) (result i32)
                (drop (memory.grow (i32.const {pages})))
                (i32.store (i32.const 20) (i32.const 65536))
                (i32.store (i32.const 24) (i32.const {bytes}))
                (i32.const 16))"#
        ),
        "",
    )
}

/// A component that runs a command with so many arguments, which are all the same mebibyte of its memory.
fn aliases(arguments: u32) -> Vec<u8> {
    let text = format!(
        r#"(component
            (import "my:cli/process" (instance $process
                (type $req (record
                    (field "program" string) (field "args" (list string)) (field "cwd" (option string))
                    (field "env" (list (tuple string string))) (field "inherit-env" bool)
                    (field "stdin" (option (list u8)))))
                (export "exec-request" (type $request (eq $req)))
                (type $res (record
                    (field "status" u32) (field "stdout" (list u8)) (field "stderr" (list u8))))
                (export "exec-result" (type $result (eq $res)))
                (export "exec" (func (param "req" $request) (result (result $result (error string)))))))
            (core module $memory
                (memory (export "memory") 64)
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 3000000)))
            (core instance $memory (instantiate $memory))
            (alias core export $memory "memory" (core memory $bytes))
            (alias core export $memory "cabi_realloc" (core func $realloc))
            (core func $exec (canon lower (func $process "exec") (memory $bytes) (realloc $realloc)))
            (core module $main
                (import "host" "memory" (memory 64))
                (import "host" "exec" (func $exec
                    (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
                (data (i32.const 32) "nothing")
                (func (export "run") (param i32 i32) (result i32) (local $at i32)
                    (memory.fill (i32.const 2000000) (i32.const 97) (i32.const 1048576))
                    (local.set $at (i32.const 65536))
                    (loop $next
                        (i32.store (local.get $at) (i32.const 2000000))
                        (i32.store offset=4 (local.get $at) (i32.const 1048576))
                        (local.set $at (i32.add (local.get $at) (i32.const 8)))
                        (br_if $next (i32.lt_u (local.get $at) (i32.const {end}))))
                    (call $exec (i32.const 32) (i32.const 7) (i32.const 65536) (i32.const {arguments})
                        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
                        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1024))
                    (i32.const 16)))
            (core instance $main (instantiate $main (with "host" (instance
                (export "memory" (memory $bytes)) (export "exec" (func $exec))))))
            (func (export "run") {ARGUMENTS}
                (canon lift (core func $main "run") (memory $bytes) (realloc $realloc))))"#,
        end = 65536 + arguments * 8,
    );
    assemble(text.as_bytes()).unwrap()
}

fn a_list_whose_items_are_all_the_same_bytes_is_refused_before_it_is_copied() {
    block_on(async {
        let fixture = Fixture::new();
        let start = async |arguments| {
            let plugin = load(&fixture, aliases(arguments), programs(&["true"])).await;
            plugin.instantiate("test").await.unwrap()
        };
        let mut instance = start(8).await;
        assert_eq!(instance.run(&[]).await.unwrap(), Ok(String::new()));
        assert_eq!(instance.activity().denials.len(), 1, "it was asked for");
        let mut instance = start(4096).await;
        let CallError::Trap { cause, .. } = instance.run(&[]).await.unwrap_err() else {
            panic!("4 GiB were copied");
        };
        assert!(cause.contains("fuel"), "{cause}");
        assert!(
            instance.activity().denials.is_empty(),
            "nothing was decided"
        );
        let again = instance.run(&[]).await.unwrap_err();
        assert!(matches!(again, CallError::Poisoned { .. }), "{again}");
    });
}

fn an_answer_larger_than_a_host_call_may_carry_is_refused() {
    block_on(async {
        let fixture = Fixture::new();
        for (mebibytes, carried) in [(1, true), (100, false)] {
            let plugin = load(&fixture, answer(mebibytes << 20), none()).await;
            let mut instance = plugin.instantiate("test").await.unwrap();
            let answer = instance.run(&[]).await;
            assert_eq!(answer.is_ok(), carried, "{mebibytes} MiB");
        }
    });
}

fn many_small_memories_are_one_large_one() {
    let memories = |count: usize| {
        let instance = "(core instance (instantiate $more))";
        let around = format!(
            "(core module $more (memory 256)) {}",
            instance.repeat(count)
        );
        component(NOTHING, &around)
    };
    let grants = Grants {
        limits: Limits {
            memory: 64 << 20,
            ..Limits::default()
        },
        ..none()
    };
    block_on(async {
        let fixture = Fixture::new();
        // 1 MiB of its own, and 16 MiB each.
        for (count, fits) in [(3, true), (4, false)] {
            let plugin = load(&fixture, memories(count), grants.clone()).await;
            assert_eq!(plugin.instantiate("test").await.is_ok(), fits, "{count}");
        }
    });
}

fn a_neighbour_that_used_up_its_commands_takes_none_of_ours() {
    let grants = || Grants {
        limits: Limits {
            spawns_per_minute: 1,
            ..Limits::default()
        },
        ..programs(&["true"])
    };
    let request = args(&["exec", "--", "true"]);
    block_on(async {
        let fixture = Fixture::new();
        let [ours, theirs] = [
            fixture.load("exec-args", grants()).await.unwrap(),
            fixture.load("exec-args", grants()).await.unwrap(),
        ];
        let run = async |plugin: &Plugin| {
            let mut instance = plugin.instantiate("test").await.unwrap();
            instance.run(&request).await.unwrap()
        };
        assert!(run(&theirs).await.is_ok());
        let refused = run(&theirs).await.unwrap_err();
        assert!(
            refused.starts_with("limit"),
            "a new instance has no new quota: {refused}"
        );
        assert!(run(&ours).await.is_ok());
    });
}

fn components_deep_in_one_another_are_refused_before_they_cost_anything() {
    // Deeper than the text format can be read: each component is a section of the one around it.
    let nested = |depth: usize| {
        let empty = b"\0asm\x0d\0\x01\0".to_vec();
        (1..depth).fold(empty.clone(), |inner, _| {
            let mut outer = empty.clone();
            outer.push(4);
            let mut length = inner.len();
            while length > 0x7f {
                outer.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
                length >>= 7;
            }
            outer.push(u8::try_from(length).unwrap());
            outer.extend(inner);
            outer
        })
    };
    let refusal = |depth| {
        let grants = none();
        let source = Source {
            bytes: nested(depth),
            grants,
        };
        block_on(async {
            Fixture::new()
                .host
                .load(source)
                .await
                .unwrap_err()
                .diagnostic()
        })
    };
    let deep = refusal(1000);
    assert_eq!(deep.code, "P0602");
    assert!(deep.notes[0].contains("100 deep"), "{deep:?}");
    assert_eq!(
        refusal(50).code,
        "P0604",
        "all that is wrong with it is that it exports nothing"
    );
}

/// Makes contexts and keeps them, each with 60 KiB of environment, and says how many it could make.
const HOARDER: &str = r#"(component
    (import "portcullis:cli/process-context@0.1.0" (instance $context
        (export "context" (type $context (sub resource)))
        (export "[constructor]context" (func (result (own $context))))
        (export "[method]context.set-env"
            (func (param "self" (borrow $context)) (param "key" string) (param "value" string)))))
    (alias export $context "[constructor]context" (func $make))
    (alias export $context "[method]context.set-env" (func $set))
    (core module $libc
        (memory (export "memory") 2)
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024)))
    (core instance $libc (instantiate $libc))
    (core func $make_low (canon lower (func $make)))
    (core func $set_low (canon lower (func $set) (memory (core memory $libc "memory"))))
    (core module $main
        (import "host" "make" (func $make (result i32)))
        (import "host" "set" (func $set (param i32 i32 i32 i32 i32)))
        (func (export "run") (param i32 i32) (result i32)
            (local $left i32)
            (local.set $left (i32.const 1000))
            (loop $more
                ;; a name of one zero byte is refused when a command is run, and kept until then
                (call $set (call $make) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 61440))
                (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                (br_if $more (local.get $left)))
            (i32.const 16)))
    (core instance $main (instantiate $main (with "host" (instance
        (export "make" (func $make_low)) (export "set" (func $set_low))))))
    (alias core export $libc "memory" (core memory $memory))
    (alias core export $libc "cabi_realloc" (core func $realloc))
    (func (export "run") (param "args" (list string)) (result (result string (error string)))
        (canon lift (core func $main "run") (memory $memory) (realloc $realloc))))"#;

fn contexts_that_are_never_dropped_are_counted() {
    block_on(async {
        let fixture = Fixture::new();
        let bytes = assemble(HOARDER.as_bytes()).unwrap();
        let plugin = load(&fixture, bytes, programs(&[])).await;
        let mut instance = plugin.instantiate("test").await.unwrap();
        let error = instance.run(&[]).await.unwrap_err();
        assert!(error.to_string().contains("contexts together"), "{error}");
    });
}

fn what_the_trail_calls_allowed_was_run() {
    use portcullis::audit::{Event, Verdict};
    block_on(async {
        let fixture = Fixture::new();
        let limits = Limits {
            spawns_per_minute: 2,
            ..Limits::default()
        };
        let grants = Grants {
            limits,
            ..programs(&["true"])
        };
        let plugin = fixture.load("exec-args", grants).await.unwrap();
        let mut instance = plugin.instantiate("test").await.unwrap();
        let words = ["exec", "--", "true", ";;"].repeat(5);
        instance.run(&args(&words[..19])).await.unwrap().unwrap();
        let events = fixture.trail.events();
        let verdicts: Vec<_> = events
            .iter()
            .filter_map(|(_, event)| match event {
                Event::Decision(decision) => Some((decision.verdict, decision.code.as_deref())),
                _ => None,
            })
            .collect();
        let refused = (Verdict::Deny, Some("P0222"));
        assert_eq!(verdicts[..2], [(Verdict::Allow, None); 2]);
        assert_eq!(verdicts[2..], [refused; 3]);
    });
}

fn a_denied_interpreter_is_denied_through_its_scripts() {
    use portcullis::policy::{Decision, ExecRequest, ProgramRule};
    let fixture = Fixture::new();
    let mut grants = programs(&[]);
    if let Some(exec) = &mut grants.exec {
        exec.any_program = true;
    }
    // A script of Debian's own perl package, in a directory that only root may change.
    let ask = portcullis::ExecAsk {
        program: "/usr/bin/pod2text".to_owned(),
        ..portcullis::ExecAsk::default()
    };
    let explain =
        |grants: &Grants| -> Decision<ExecRequest> { fixture.host.explain(grants, &ask).unwrap() };
    assert!(
        matches!(explain(&grants), Decision::Allow(_)),
        "the control"
    );
    if let Some(exec) = &mut grants.exec {
        exec.deny.push(ProgramRule::any_arguments("perl"));
    }
    let Decision::Deny(denial) = explain(&grants) else {
        panic!("perl is denied, and its script is not")
    };
    assert_eq!(denial.code.as_str(), "P0202");
}
