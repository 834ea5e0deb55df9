//! `log`, and what is written to the standard output and error.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis::audit::{Event, Memory, Sink, Verdict};
use portcullis::policy::{Grants, LogLevel, PluginId};
use portcullis::{GuestLog, Host, LogLine, Session, Source};
use serde_json::{Value, json};

use super::{call, manifest, nothing};
use crate::fixture::block_on;

portcullis_testkit::tests![
    t33_a_hundred_lines_within_a_minute_are_all_logged,
    t34_the_hundred_and_first_is_dropped_and_the_host_warns,
    t35_a_long_line_is_cut_to_4_kib_and_says_so,
    levels_are_those_of_the_world,
    without_the_grant_nothing_is_logged_and_the_plugin_is_not_told,
    weak_10_a_character_across_a_cut_ends_nothing,
    weak_31_a_line_forges_no_other_line,
    what_wasi_prints_are_lines_of_the_log_in_their_order,
    what_wasi_prints_counts_as_lines_do,
];

/// What came to the operator.
#[derive(Default)]
struct Lines {
    lines: Mutex<Vec<(LogLevel, String)>>,
    dropped: Mutex<Vec<u64>>,
}

impl GuestLog for Lines {
    fn line(&self, line: &LogLine<'_>) {
        let mut lines = self.lines.lock().unwrap();
        lines.push((line.level, line.message.to_owned()));
    }

    fn dropped(&self, _: &PluginId, lines: u64) {
        self.dropped.lock().unwrap().push(lines);
    }
}

struct Stage {
    host: Host,
    lines: Arc<Lines>,
    trail: Arc<Memory>,
    _project: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        let (project, trail) = (tempfile::tempdir().unwrap(), Arc::new(Memory::new()));
        let (lines, sink): (_, Arc<dyn Sink>) = (Arc::new(Lines::default()), trail.clone());
        let host = Host::builder()
            .project(project.path())
            .audit(sink)
            .guest_log(lines.clone())
            .build();
        Self {
            host: host.unwrap(),
            lines,
            trail,
            _project: project,
        }
    }

    async fn session(&self, guest: &str, resources: Value, log: bool) -> Session {
        let grants = manifest(json!({}), resources).restrict(Grants { log, ..nothing() });
        let bytes = portcullis_testkit::guest_bytes(guest);
        let plugin = self.host.load(Source { bytes, grants }).await.unwrap();
        plugin.session("test")
    }

    fn log(&self, params: Value) {
        block_on(async {
            let session = self.session("clawft", json!({}), true).await;
            let said = call(&session, "log", params).await;
            assert_eq!(said.as_deref(), Ok("logged"), "it is never told");
        });
    }

    fn lines(&self) -> Vec<(LogLevel, String)> {
        self.lines.lines.lock().unwrap().clone()
    }

    fn dropped(&self) -> Vec<u64> {
        self.lines.dropped.lock().unwrap().clone()
    }
}

fn t33_a_hundred_lines_within_a_minute_are_all_logged() {
    let stage = Stage::new();
    let began = std::time::Instant::now();
    stage.log(json!({ "level": 2, "message": "hello", "times": 100 }));
    assert_eq!(
        stage.lines(),
        vec![(LogLevel::Info, "hello".to_owned()); 100]
    );
    assert_eq!(stage.dropped(), [0; 0]);
    assert!(
        began.elapsed() < Duration::from_secs(60),
        "a minute on this machine is longer"
    );
}

fn t34_the_hundred_and_first_is_dropped_and_the_host_warns() {
    let stage = Stage::new();
    block_on(async {
        let session = stage
            .session(
                "clawft",
                json!({ "max_log_messages_per_minute": 100 }),
                true,
            )
            .await;
        call(
            &session,
            "log",
            json!({ "message": "hello", "times": 100_000 }),
        )
        .await
        .unwrap();
    });
    let logged = stage.lines().len() as u64;
    assert!((100..200).contains(&logged), "{logged}");
    assert_eq!(
        stage.dropped(),
        [100_000 - logged],
        "one warning, with their number"
    );
    let denied = stage.trail.events().into_iter().filter(|(_, event)| {
        matches!(event, Event::Decision(decision) if decision.capability == "log" && decision.verdict == Verdict::Deny)
    });
    assert_eq!(denied.count(), 2, "the first, and their number");
}

fn t35_a_long_line_is_cut_to_4_kib_and_says_so() {
    let stage = Stage::new();
    stage.log(json!({ "bytes": 4096 }));
    stage.log(json!({ "bytes": 4097 }));
    let lines = stage.lines();
    assert_eq!(lines[0].1, "x".repeat(4096), "as much is whole");
    assert_eq!(lines[1].1.len(), 4096);
    assert!(lines[1].1.ends_with("x... [truncated]"));
}

fn levels_are_those_of_the_world() {
    let stage = Stage::new();
    for level in [0, 1, 2, 3, 4, 5, 255] {
        stage.log(json!({ "level": level, "message": "m" }));
    }
    use LogLevel::{Debug, Error, Info, Trace, Warn};
    let levels: Vec<_> = stage.lines().into_iter().map(|(level, _)| level).collect();
    assert_eq!(levels, [Error, Warn, Info, Debug, Trace, Trace, Trace]);
}

fn without_the_grant_nothing_is_logged_and_the_plugin_is_not_told() {
    let stage = Stage::new();
    block_on(async {
        let session = stage.session("clawft", json!({}), false).await;
        let said = call(&session, "log", json!({ "message": "m" })).await;
        assert_eq!(said.as_deref(), Ok("logged"));
        let denials = session.activity().await.denials;
        let last = denials.last().unwrap();
        let command = last.remedies[0].command.as_ref().unwrap();
        assert_eq!(command.join(" "), "portcullis grant everything log");
    });
    assert_eq!(stage.lines(), []);
}

fn weak_10_a_character_across_a_cut_ends_nothing() {
    let stage = Stage::new();
    for before in (74..=82).chain(4070..=4097) {
        let message = format!("{}\u{1f600}\u{e9}", "a".repeat(before));
        stage.log(json!({ "message": message }));
    }
    assert_eq!(stage.lines().len(), 9 + 28);
    assert!(stage.lines().iter().all(|(_, line)| line.len() <= 4096));
}

fn weak_31_a_line_forges_no_other_line() {
    let stage = Stage::new();
    let evil = "one\n[PLUGIN_FS] plugin=x result=ok\r\u{1b}[2K\u{202e}two\u{7}";
    stage.log(json!({ "message": evil }));
    let lines = stage.lines();
    assert_eq!(lines.len(), 1);
    let forbidden = ['\n', '\r', '\u{1b}', '\u{202e}', '\u{7}'];
    assert!(!lines[0].1.contains(forbidden), "{:?}", lines[0].1);
    assert!(lines[0].1.contains("two"), "nothing is lost");
    let trail = String::from_utf8(stage.trail.lines()).unwrap();
    assert!(!trail.contains(['\u{1b}', '\u{202e}', '\u{7}']));
}

fn what_wasi_prints_are_lines_of_the_log_in_their_order() {
    let stage = Stage::new();
    block_on(async {
        let session = stage.session("clawft-wasi", json!({}), true).await;
        let said = call(&session, "print", json!("first\nsec")).await;
        assert_eq!(said.as_deref(), Ok("printed"));
    });
    let line = |level, text: &str| (level, text.to_owned());
    assert_eq!(
        stage.lines(),
        [
            line(LogLevel::Info, "first"),
            line(LogLevel::Info, "between"),
            line(LogLevel::Warn, "first"),
            line(LogLevel::Info, "sec"),
            line(LogLevel::Warn, "sec"),
        ]
    );
}

fn what_wasi_prints_counts_as_lines_do() {
    let stage = Stage::new();
    block_on(async {
        let session = stage.session("clawft-wasi", json!({}), true).await;
        call(&session, "print", json!("line\n".repeat(50_000)))
            .await
            .unwrap();
        let denied = stage.session("clawft-wasi", json!({}), false).await;
        call(&denied, "print", json!("never shown")).await.unwrap();
    });
    let lines = stage.lines();
    assert!(lines.len() < 200, "{}", lines.len());
    assert!(lines.iter().all(|(_, line)| line != "never shown"));
}
