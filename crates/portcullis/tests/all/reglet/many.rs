//! Many calls: on one instance that is kept, and on a fresh one each. The memory of this process stays what it is.

use portcullis::policy::{Grants, Limits};
use serde_json::{Value, json};

use super::stage::{Stage, go};
use crate::fixture::{block_on, programs};

portcullis_testkit::tests![
    calls_on_one_instance_keep_its_memory_flat,
    calls_on_fresh_instances_keep_the_hosts_memory_flat,
    an_instance_that_is_kept_remembers_and_a_fresh_one_does_not,
];

/// How many calls a run makes; `cargo xtask soak` makes more.
fn calls() -> usize {
    let soak = std::env::var("PORTCULLIS_SOAK").is_ok();
    if soak { 1000 } else { 100 }
}

/// Bytes of this process that are in memory.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let number = line.split_whitespace().nth(1).unwrap();
    number.parse::<usize>().unwrap() * 1024
}

/// The right to run `true` as often as anybody likes.
fn unhurried() -> Grants {
    Grants {
        limits: Limits {
            spawns_per_minute: u32::MAX,
            ..Limits::default()
        },
        ..programs(&["true"])
    }
}

fn config() -> String {
    let request = json!({ "command": "true", "context": {} });
    json!({ "act": "exec", "request": request }).to_string()
}

fn calls_on_one_instance_keep_its_memory_flat() {
    let Some(bytes) = go("reglet-2") else { return };
    block_on(async {
        let session = Stage::new().session(bytes, unhurried()).await;
        let record = json!({ "level": "INFO", "message": "x".repeat(10_000) });
        let log = json!({ "act": "log", "times": 20, "request": record }).to_string();
        let facts = json!({ "act": "facts" }).to_string();
        let held = async |session: &portcullis::Session| {
            let said = session.observe_again(&facts).await.unwrap().json;
            let said: Value = serde_json::from_str(&said).unwrap();
            (
                said["data"]["held"].as_i64().unwrap(),
                said["data"]["calls"].as_i64().unwrap(),
            )
        };
        session.observe_again(&config()).await.unwrap();
        session.observe_again(&log).await.unwrap();
        let (before, _) = held(&session).await;
        let calls = calls();
        let resident_before = resident();
        for _ in 0..calls {
            session.observe_again(&config()).await.unwrap();
            session.observe_again(&log).await.unwrap();
        }
        let (after, made) = held(&session).await;
        println!(
            "{calls} rounds on one instance: the guest holds {before} buffers, then {after}; {} KiB more are resident",
            resident().saturating_sub(resident_before) >> 10
        );
        assert_eq!(
            after, before,
            "nothing that was handed over is kept by the guest"
        );
        assert_eq!(
            made,
            2 * i64::try_from(calls).unwrap() + 4,
            "it was one instance"
        );
        assert_eq!(session.activity().await.denials.len(), 0);
    });
}

fn calls_on_fresh_instances_keep_the_hosts_memory_flat() {
    let Some(bytes) = go("reglet-2") else { return };
    block_on(async {
        let session = Stage::new().session(bytes, unhurried()).await;
        for _ in 0..10 {
            session.observe(&config()).await.unwrap();
            session.take_activity().await;
        }
        let before = resident();
        for _ in 0..calls() {
            session.observe(&config()).await.unwrap();
            session.take_activity().await;
        }
        let grown = resident().saturating_sub(before);
        println!(
            "{} fresh instances: {} KiB were resident, {} KiB more are",
            calls(),
            before >> 10,
            grown >> 10
        );
        // Other tests run in this process at the same time; an instance that stayed would be 6 MiB each.
        assert!(
            grown < calls() * 2 * 1024 * 1024,
            "{} MiB more",
            grown >> 20
        );
    });
}

fn an_instance_that_is_kept_remembers_and_a_fresh_one_does_not() {
    let Some(bytes) = go("reglet-2") else { return };
    block_on(async {
        let session = Stage::new().session(bytes, programs(&[])).await;
        let facts = json!({ "act": "facts" }).to_string();
        let calls = |json: String| {
            let said: Value = serde_json::from_str(&json).unwrap();
            said["data"]["calls"].as_i64().unwrap()
        };
        for _ in 0..3 {
            assert_eq!(calls(session.observe(&facts).await.unwrap().json), 1);
        }
        for made in 1..4 {
            assert_eq!(
                calls(session.observe_again(&facts).await.unwrap().json),
                made
            );
        }
    });
}
