//! Fuel, memory and time.

use std::time::{Duration, Instant};

use portcullis::Session;
use portcullis::audit::Event;
use portcullis_testkit::assemble;
use serde_json::json;

use super::{call, exhausted, manifest, nothing, session, tried};
use crate::fixture::{Fixture, block_on};

portcullis_testkit::tests![
    t28_an_infinite_loop_uses_up_its_fuel,
    t29_more_than_16_mib_of_memory_is_not_had,
    t30_a_call_ends_at_its_time_by_a_real_clock,
    t31_half_the_fuel_ends_the_same_work_earlier,
    t32_eight_mib_of_memory_are_eight,
    t45_each_call_has_the_whole_of_its_fuel,
    weak_04_a_call_that_ended_takes_no_time_of_another,
    weak_05_what_runs_while_it_is_instantiated_is_bounded_too,
    weak_08_memories_count_together,
    what_was_used_up_is_written_down_and_the_plugin_is_usable_again,
];

const CPU: &str = r#"{"error":"plugin resource exhausted: CPU time limit exceeded"}"#;
const MEMORY: &str = r#"{"error":"plugin resource exhausted: memory limit exceeded"}"#;
const TIME: &str = r#"{"error":"plugin resource exhausted: execution time limit exceeded"}"#;

async fn with(fixture: &Fixture, resources: serde_json::Value) -> Session {
    session(fixture, &manifest(json!({}), resources), nothing()).await
}

fn t28_an_infinite_loop_uses_up_its_fuel() {
    block_on(async {
        // The default: a thousand million.
        let session = with(&Fixture::new(), json!({})).await;
        assert_eq!(exhausted(&session, "loop", json!({})).await, CPU);
        assert_eq!(call(&session, "count", json!({})).await.unwrap(), "[1,1]");
    });
}

fn t29_more_than_16_mib_of_memory_is_not_had() {
    block_on(async {
        let session = with(&Fixture::new(), json!({})).await;
        let fits = call(&session, "allocate", json!({ "mebibytes": 13 })).await;
        assert_eq!(fits.as_deref(), Ok("13"));
        let told = exhausted(&session, "allocate", json!({ "mebibytes": 17 })).await;
        assert_eq!(told, MEMORY);
        assert_eq!(call(&session, "count", json!({})).await.unwrap(), "[1,1]");
    });
}

fn t30_a_call_ends_at_its_time_by_a_real_clock() {
    block_on(async {
        let resources = json!({ "max_fuel": u64::MAX, "max_execution_seconds": 1 });
        let session = with(&Fixture::new(), resources).await;
        let began = Instant::now();
        assert_eq!(exhausted(&session, "loop", json!({})).await, TIME);
        assert!(
            began.elapsed() >= Duration::from_secs(1),
            "not before its time"
        );
        assert_eq!(call(&session, "count", json!({})).await.unwrap(), "[1,1]");
    });
}

/// Rounds of `burn` that a call can just make with this fuel.
async fn rounds(fixture: &Fixture, fuel: u64) -> u64 {
    let session = with(fixture, json!({ "max_fuel": fuel })).await;
    let (mut fits, mut over) = (0, fuel);
    while over - fits > fuel / 1000 {
        let middle = u64::midpoint(fits, over);
        match tried(&session, "burn", json!({ "rounds": middle })).await {
            Ok(_) => fits = middle,
            Err(_) => over = middle,
        }
    }
    fits
}

fn t31_half_the_fuel_ends_the_same_work_earlier() {
    block_on(async {
        let fixture = Fixture::new();
        let million = rounds(&fixture, 1_000_000).await;
        let work = json!({ "rounds": million * 700 });
        let whole = with(&fixture, json!({})).await;
        assert!(call(&whole, "burn", work.clone()).await.is_ok());
        let half = with(&fixture, json!({ "max_fuel": 500_000_000 })).await;
        assert_eq!(exhausted(&half, "burn", work).await, CPU);
    });
}

fn t32_eight_mib_of_memory_are_eight() {
    block_on(async {
        let session = with(&Fixture::new(), json!({ "max_memory_mb": 8 })).await;
        let fits = call(&session, "allocate", json!({ "mebibytes": 5 })).await;
        assert_eq!(fits.as_deref(), Ok("5"));
        let told = exhausted(&session, "allocate", json!({ "mebibytes": 9 })).await;
        assert_eq!(told, MEMORY);
    });
}

fn t45_each_call_has_the_whole_of_its_fuel() {
    block_on(async {
        let fixture = Fixture::new();
        let million = rounds(&fixture, 1_000_000).await;
        let session = with(&fixture, json!({})).await;
        let work = json!({ "rounds": million * 900 });
        for _ in 0..2 {
            assert!(call(&session, "burn", work.clone()).await.is_ok());
        }
        assert_eq!(
            call(&session, "count", json!({})).await.unwrap(),
            "[1,1]",
            "the same instance"
        );
        let more = json!({ "rounds": million * 1200 });
        assert_eq!(
            exhausted(&session, "burn", more).await,
            CPU,
            "the work is nearly all of it"
        );
    });
}

fn weak_04_a_call_that_ended_takes_no_time_of_another() {
    block_on(async {
        let fixture = Fixture::new();
        let short = json!({ "max_fuel": u64::MAX, "max_execution_seconds": 1 });
        let long = json!({ "max_fuel": 2_000_000_000, "max_execution_seconds": 300 });
        let (short, long) = (with(&fixture, short).await, with(&fixture, long).await);
        call(&short, "count", json!({})).await.unwrap();
        let (ended, other) = tokio::join!(
            exhausted(&short, "loop", json!({})),
            exhausted(&long, "loop", json!({}))
        );
        assert_eq!(
            (ended.as_str(), other.as_str()),
            (TIME, CPU),
            "each by its own limit"
        );
    });
}

/// A plugin that has this besides, and whose core module does this when it is instantiated.
fn starting(besides: &str, start: &str) -> Vec<u8> {
    let text = include_str!("../../../../../guests/wat/clawft.wat");
    let text = text.replacen(
        "(core module $memory",
        &format!("{besides} (core module $memory"),
        1,
    );
    let begun = format!("(func $begin {start}) (start $begin) (func (export \"init\")");
    assemble(
        text.replacen("(func (export \"init\")", &begun, 1)
            .as_bytes(),
    )
    .unwrap()
}

async fn of(fixture: &Fixture, bytes: Vec<u8>, resources: serde_json::Value) -> Session {
    let grants = manifest(json!({}), resources).restrict(nothing());
    let source = portcullis::Source { bytes, grants };
    fixture.host.load(source).await.unwrap().session("test")
}

fn weak_05_what_runs_while_it_is_instantiated_is_bounded_too() {
    block_on(async {
        let fixture = Fixture::new();
        let forever = || starting("", "(loop (br 0))");
        let fuel = of(&fixture, forever(), json!({ "max_fuel": 1_000_000 })).await;
        assert_eq!(exhausted(&fuel, "x", json!({})).await, CPU);
        let seconds = json!({ "max_fuel": u64::MAX, "max_execution_seconds": 1 });
        let time = of(&fixture, forever(), seconds).await;
        assert_eq!(exhausted(&time, "x", json!({})).await, TIME);
    });
}

fn weak_08_memories_count_together() {
    let more = |memories: usize| {
        let module = "(core module $more (memory 160))";
        let instances = "(core instance (instantiate $more))".repeat(memories);
        starting(&format!("{module} {instances}"), "")
    };
    block_on(async {
        let fixture = Fixture::new();
        let one = of(&fixture, more(1), json!({})).await;
        assert!(one.describe().await.is_ok(), "10 MiB of 16");
        let two = of(&fixture, more(2), json!({})).await;
        assert_eq!(
            exhausted(&two, "x", json!({})).await,
            MEMORY,
            "each less than 16"
        );
    });
}

fn what_was_used_up_is_written_down_and_the_plugin_is_usable_again() {
    block_on(async {
        let fixture = Fixture::new();
        let session = with(&fixture, json!({})).await;
        exhausted(&session, "loop", json!({})).await;
        assert_eq!(call(&session, "count", json!({})).await.unwrap(), "[1,1]");
        exhausted(&session, "allocate", json!({ "mebibytes": 20 })).await;
        assert_eq!(call(&session, "count", json!({})).await.unwrap(), "[1,1]");
        let events = fixture.trail.events().into_iter();
        let written = events.filter_map(|(_, event)| match event {
            Event::Exhausted(event) => Some((event.resource, event.export, event.limit)),
            _ => None,
        });
        let tool = "execute-tool".to_owned();
        let expected = [("fuel", 1_000_000_000), ("memory", 16 * 1024 * 1024)];
        let expected = expected.map(|(what, limit)| (what.to_owned(), tool.clone(), limit));
        assert_eq!(written.collect::<Vec<_>>(), expected);
    });
}
