//! `portcullis:cli/log`, called by a component.

use std::sync::{Arc, Mutex};

use portcullis::audit::{AppendError, Event, Head, Memory, Sink, Verdict};
use portcullis::policy::{Grants, Limits, LogLevel, PluginId};
use portcullis::{GuestLog, Host, LogLine, Source};

use crate::fixture::{args, block_on, none};

portcullis_testkit::tests![
    a_line_has_its_level_and_plugin_and_one_line_in_the_trail,
    a_hundred_lines_within_a_minute_are_all_there,
    those_after_the_hundredth_are_dropped_and_the_operator_is_warned_once,
    of_lines_that_are_dropped_the_trail_has_the_first_and_their_number,
    a_new_instance_has_no_more_lines,
    a_long_line_ends_with_what_says_that_it_was_cut,
    a_character_across_the_cut_is_left_out_whole,
    a_line_forges_no_other_and_moves_no_cursor,
    without_the_grant_the_plugin_is_not_loaded,
    late_the_line_goes_nowhere_and_the_guest_is_not_told,
    a_line_that_cannot_be_written_down_goes_nowhere,
];

/// What came to the operator.
#[derive(Default)]
struct Lines {
    lines: Mutex<Vec<(LogLevel, String)>>,
    dropped: Mutex<Vec<u64>>,
}

impl GuestLog for Lines {
    fn line(&self, line: &LogLine<'_>) {
        assert_eq!((line.plugin.as_str(), line.run), ("guest", "test"));
        let text = line.message.to_owned();
        self.lines.lock().unwrap().push((line.level, text));
    }

    fn dropped(&self, plugin: &PluginId, lines: u64) {
        assert_eq!(plugin.as_str(), "guest");
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
        let trail = Arc::new(Memory::new());
        Self::writing_to(trail.clone(), trail)
    }

    fn writing_to(sink: Arc<dyn Sink>, trail: Arc<Memory>) -> Self {
        let project = tempfile::tempdir().unwrap();
        let lines = Arc::new(Lines::default());
        let host = Host::builder()
            .project(project.path())
            .audit(sink)
            .guest_log(lines.clone())
            .build()
            .unwrap();
        Self {
            host,
            lines,
            trail,
            _project: project,
        }
    }

    /// Writes a line so often: so many of a character, and a text. Returns how many the instance saw dropped.
    fn write(&self, grants: Grants, words: [&str; 5]) -> u64 {
        block_on(async {
            let source = Source {
                bytes: portcullis_testkit::guest_bytes("log"),
                grants,
            };
            let plugin = self.host.load(source).await.unwrap();
            let mut instance = plugin.instantiate("test").await.unwrap();
            let said = instance.run(&args(&words)).await.unwrap();
            assert_eq!(said, Ok("written".to_owned()));
            instance.activity().log_dropped
        })
    }

    fn texts(&self) -> Vec<String> {
        let lines = self.lines.lines.lock().unwrap();
        lines.iter().map(|(_, text)| text.clone()).collect()
    }

    fn dropped(&self) -> Vec<u64> {
        self.lines.dropped.lock().unwrap().clone()
    }

    /// The decisions of the trail: verdict, object, code and bytes.
    fn decisions(&self) -> Vec<(Verdict, String, Option<String>, u64)> {
        let events = self.trail.events().into_iter();
        let decision = |(_, event)| {
            let Event::Decision(decision) = event else {
                panic!("a line is one line of the trail: {event:?}");
            };
            assert_eq!(decision.capability, "log");
            assert_eq!(decision.function.as_deref(), Some("write"));
            let bytes = decision.effect.map_or(0, |effect| effect.bytes_out);
            let object = decision.object.as_str().to_owned();
            (decision.verdict, object, decision.code, bytes)
        };
        events.map(decision).collect()
    }
}

fn granted() -> Grants {
    Grants {
        log: true,
        ..none()
    }
}

fn a_line_has_its_level_and_plugin_and_one_line_in_the_trail() {
    let stage = Stage::new();
    for level in ["error", "warn", "info", "debug", "trace"] {
        assert_eq!(stage.write(granted(), [level, "1", "", "0", "hello"]), 0);
    }
    let lines = stage.lines.lines.lock().unwrap().clone();
    let levels: Vec<_> = lines.iter().map(|(level, _)| *level).collect();
    assert_eq!(
        levels,
        [
            LogLevel::Error,
            LogLevel::Warn,
            LogLevel::Info,
            LogLevel::Debug,
            LogLevel::Trace
        ]
    );
    assert!(lines.iter().all(|(_, text)| text == "hello"));
    let decisions = stage.decisions();
    assert_eq!(
        (decisions.len(), &decisions[1]),
        (5, &(Verdict::Allow, "warn: hello".to_owned(), None, 5))
    );
}

fn a_hundred_lines_within_a_minute_are_all_there() {
    let stage = Stage::new();
    assert_eq!(stage.write(granted(), ["info", "100", "", "0", "line"]), 0);
    assert_eq!(stage.texts(), vec!["line"; 100]);
    assert_eq!((stage.dropped(), stage.decisions().len()), (vec![], 100));
}

/// One line, and so another one a minute later.
fn slow() -> Grants {
    Grants {
        limits: Limits {
            log_per_minute: 1,
            ..Limits::default()
        },
        ..granted()
    }
}

fn those_after_the_hundredth_are_dropped_and_the_operator_is_warned_once() {
    let stage = Stage::new();
    let dropped = stage.write(granted(), ["info", "300", "", "0", "line"]);
    // A token comes back each 0.6 s: on a slow machine a few more are there.
    assert!((1..=200).contains(&dropped), "{dropped}");
    assert_eq!(stage.texts().len() as u64, 300 - dropped);
    assert_eq!(stage.dropped(), [dropped]);
}

fn of_lines_that_are_dropped_the_trail_has_the_first_and_their_number() {
    let stage = Stage::new();
    assert_eq!(stage.write(slow(), ["info", "3", "", "0", "line"]), 2);
    assert_eq!(
        (stage.texts(), stage.dropped()),
        (vec!["line".to_owned()], vec![2])
    );
    let denied: Vec<_> = stage.decisions().into_iter().skip(1).collect();
    let denial = |object: &str| (Verdict::Deny, object.to_owned(), Some("P0226".into()), 0);
    assert_eq!(denied, [denial("info: line"), denial("")]);
}

fn a_new_instance_has_no_more_lines() {
    let stage = Stage::new();
    assert_eq!(stage.write(slow(), ["info", "2", "", "0", "line"]), 1);
    assert_eq!(stage.write(slow(), ["info", "4", "", "0", "line"]), 4);
    assert_eq!(stage.texts().len(), 1);
    assert_eq!(stage.dropped(), [1], "one warning a minute");
}

fn a_long_line_ends_with_what_says_that_it_was_cut() {
    let stage = Stage::new();
    stage.write(granted(), ["info", "1", "x", "4096", ""]);
    stage.write(granted(), ["info", "1", "x", "4097", ""]);
    stage.write(granted(), ["info", "1", "x", "3000000", ""]);
    let whole = "x".repeat(4096);
    let cut = format!("{}... [truncated]", "x".repeat(4096 - 15));
    assert_eq!(stage.texts(), [whole, cut.clone(), cut]);
}

fn a_character_across_the_cut_is_left_out_whole() {
    let stage = Stage::new();
    for before in 4070..4090 {
        let before = before.to_string();
        let words = [
            "info",
            "1",
            "x",
            &before,
            "\u{1f600}\u{e9}\u{1f600}\u{1f600}\u{1f600}\u{1f600}\u{1f600}\u{1f600}",
        ];
        stage.write(granted(), words);
    }
    for before in 70..90 {
        let before = before.to_string();
        stage.write(granted(), ["info", "1", "x", &before, "\u{1f600}\u{1f600}"]);
    }
    let texts = stage.texts();
    assert_eq!(texts.len(), 40);
    assert!(texts.iter().all(|text| text.len() <= 4096));
    let decisions = stage.decisions();
    assert!(decisions.iter().all(|(_, object, ..)| object.len() <= 86));
    assert!(
        decisions
            .iter()
            .any(|(_, object, ..)| object.ends_with('\u{1f600}'))
    );
}

fn a_line_forges_no_other_and_moves_no_cursor() {
    let stage = Stage::new();
    let text = "a\n[other] error: forged\r\u{1b}[2J\u{9b}\u{202e}b\u{200b}";
    stage.write(granted(), ["info", "1", "", "0", text]);
    stage.write(granted(), ["info", "1", "\u{1b}", "5000", ""]);
    let texts = stage.texts();
    assert_eq!(
        texts[0],
        "a\\n[other] error: forged\\r\\u{1b}[2J\\u{9b}\\u{202e}b\\u{200b}"
    );
    assert!(texts[1].len() <= 4096 && texts[1].ends_with("\\u{1b}... [truncated]"));
    for (_, object, ..) in stage.decisions() {
        assert!(
            object.bytes().all(|byte| (0x20..0x7f).contains(&byte)),
            "{object}"
        );
    }
}

fn without_the_grant_the_plugin_is_not_loaded() {
    let stage = Stage::new();
    let source = Source {
        bytes: portcullis_testkit::guest_bytes("log"),
        grants: none(),
    };
    let error = block_on(stage.host.load(source)).unwrap_err();
    let told = error.diagnostic().notes.join("\n");
    assert!(
        told.contains(
            "needs the `log` grant; to allow lines in the log: portcullis grant guest log"
        ),
        "{told}"
    );
}

fn late_the_line_goes_nowhere_and_the_guest_is_not_told() {
    let stage = Stage::new();
    let late = Grants {
        late: true,
        ..none()
    };
    assert_eq!(stage.write(late, ["info", "1", "", "0", "line"]), 0);
    assert_eq!(stage.texts(), [""; 0]);
    let denial = (
        Verdict::Deny,
        "info: line".to_owned(),
        Some("P0451".into()),
        0,
    );
    assert_eq!(stage.decisions(), [denial]);
}

#[derive(Debug)]
struct Full;

impl Sink for Full {
    fn append(&self, _: jiff::Timestamp, _: &Event) -> Result<Option<Head>, AppendError> {
        Err(AppendError::Write {
            path: "trail".into(),
            source: std::io::ErrorKind::StorageFull.into(),
        })
    }
}

fn a_line_that_cannot_be_written_down_goes_nowhere() {
    let stage = Stage::writing_to(Arc::new(Full), Arc::new(Memory::new()));
    assert_eq!(stage.write(granted(), ["info", "2", "", "0", "line"]), 0);
    assert_eq!(stage.texts(), [""; 0]);
}
