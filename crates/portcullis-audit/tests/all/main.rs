//! Behaviour of the audit trail, through its public interface.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod attacks;
mod failures;
mod folding;
mod forwarding;
mod keys;
mod masking;
mod ownership;
mod reading;
mod recovery;
mod writers;

use std::fs;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use portcullis_audit::{
    Decision, Event, Evidence, Head, Masked, Options, Rule, Sink, Trail, Verdict, Verification,
    verify,
};
use tempfile::TempDir;

/// A directory for a trail and one for its kept head.
struct Place {
    _parent: TempDir,
    audit: PathBuf,
    data: PathBuf,
}

impl Place {
    fn new() -> Self {
        let parent = tempfile::tempdir().unwrap();
        let (audit, data) = (parent.path().join("audit"), parent.path().join("data"));
        Place {
            _parent: parent,
            audit,
            data,
        }
    }

    fn options(&self) -> Options {
        let mut options = Options::default();
        options.keep_head_in = Some(self.data.clone());
        options
    }

    fn trail(&self) -> Trail {
        Trail::open(&self.audit, self.options()).unwrap()
    }

    /// Verifies against the copy in the data directory.
    fn verify(&self) -> Verification {
        verify(
            &self.audit,
            &Evidence {
                kept_in: Some(self.data.clone()),
                head: None,
            },
        )
        .unwrap()
    }

    /// Verifies against the sidecar alone.
    fn verify_alone(&self) -> Verification {
        verify(&self.audit, &Evidence::default()).unwrap()
    }

    fn file(&self, ordinal: u32) -> PathBuf {
        self.audit.join(format!("audit-{ordinal:06}.jsonl"))
    }

    /// A trail of this many events (and one record that opens it).
    fn filled(events: u64) -> (Self, Head) {
        let place = Place::new();
        let trail = place.trail();
        for call in 1..=events {
            append(&trail, call);
        }
        let head = trail.head().unwrap();
        (place, head)
    }
}

fn time(call: u64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_millis(i64::try_from(call).unwrap())
}

fn decision(call: u64, verdict: Verdict) -> Event {
    Event::Decision(Decision {
        run: "run-1".into(),
        call,
        plugin: "notes".into(),
        capability: "exec".into(),
        function: None,
        object: Masked::argv(["/usr/bin/git", "log", "--oneline"]),
        request_id: None,
        verdict,
        rule: Some(Rule {
            id: "git-read".into(),
            origin: "portcullis.toml:14".into(),
        }),
        code: None,
        reason: None,
        effect: None,
    })
}

fn append(sink: &impl Sink, call: u64) -> Head {
    sink.append(time(call), &decision(call, Verdict::Allow))
        .unwrap()
        .unwrap()
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

fn write_lines(path: &Path, lines: &[String]) {
    fs::write(
        path,
        lines
            .iter()
            .map(|line| format!("{line}\n"))
            .collect::<String>(),
    )
    .unwrap();
}
