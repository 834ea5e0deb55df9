//! Giving a guest what a record has, and comparing what it asks for.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::line::{Asked, Called, Line, Outcome, Record, Wrote};
use super::secrets::Secrets;

/// Differences that are told: after the first everything may be another.
const MAX_DIFFERENCES: usize = 20;

/// A record that is played to a guest.
pub(crate) struct Replayer(Mutex<Playing>);

struct Playing {
    lines: Vec<Line>,
    whole: bool,
    next: usize,
    calls: u64,
    differences: Vec<Difference>,
    /// The guest asked for something else, and cannot go on.
    lost: bool,
    /// The guest was ended where the run that was recorded ended without having returned.
    stopped: bool,
}

/// What another guest does where the one that was recorded did something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Difference {
    /// The line of the record, from 1.
    pub line: usize,
    /// The number of the call, from 1.
    pub call: u64,
    /// What the record has there.
    pub expected: Value,
    /// What the guest did.
    pub got: Value,
}

/// What came of a replay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Replayed {
    /// Calls that were compared, and dropped handles.
    pub calls: u64,
    /// What was different: nothing else is identical.
    pub differences: Vec<Difference>,
    /// Whether the record has an end.
    pub whole: bool,
    /// What the guest wrote in the run that was recorded, as far as it came.
    pub wrote: Vec<Wrote>,
    /// What it returned at last, as the record has it.
    pub answer: Option<Value>,
    /// What the kernel said when it was tried.
    pub refused: Refused,
}

/// What a process that plays a record is refused, as it saw for itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Starting a process.
    pub process: String,
    /// Opening a socket.
    pub network: String,
}

/// A guest that cannot go on.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the record has something else")]
pub(crate) struct Lost;

impl Replayer {
    pub(crate) fn new(record: Record) -> Self {
        Self(Mutex::new(Playing {
            lines: record.lines,
            whole: record.whole,
            next: 0,
            calls: 0,
            differences: Vec::new(),
            lost: false,
            stopped: false,
        }))
    }

    /// What the guest is called for next; `None` at the end.
    pub(crate) fn next(&self) -> Option<Asked> {
        let mut playing = self.playing();
        if playing.lost {
            return None;
        }
        match playing.peek() {
            Some(Line::Into(asked)) => {
                let asked = asked.clone();
                playing.next += 1;
                Some(asked)
            }
            None => None,
            Some(_) => {
                playing.differ(json!("nothing"));
                None
            }
        }
    }

    /// What became of a call.
    ///
    /// # Errors
    /// The record has another call there.
    pub(crate) fn call(&self, of: &str, name: &str, with: Vec<Value>) -> Result<Outcome, Lost> {
        let mut playing = self.playing();
        playing.calls += 1;
        let (outcome, same) = match playing.peek() {
            Some(Line::Call(called)) if called.of == of && called.name == name => {
                (called.outcome.clone(), called.with == with)
            }
            _ => return Err(playing.lose(shown(of, name, &with))),
        };
        if !same {
            playing.differ(shown(of, name, &with));
        }
        playing.next += 1;
        Ok(outcome)
    }

    /// The guest drops what it held.
    ///
    /// # Errors
    /// The record has something else there.
    pub(crate) fn dropped(&self, number: u32) -> Result<(), Lost> {
        let mut playing = self.playing();
        playing.calls += 1;
        match playing.peek() {
            Some(Line::Drop(dropped)) if *dropped == number => {
                playing.next += 1;
                Ok(())
            }
            _ => Err(playing.lose(json!({ "drop": number }))),
        }
    }

    /// The guest has returned, or was ended.
    pub(crate) fn answered(&self, mut answer: Value) {
        Secrets::default().hide_in(&mut answer);
        let answer = &answer;
        let mut playing = self.playing();
        if playing.lost {
            return;
        }
        let stopped = playing.stopped;
        let same = match playing.peek() {
            Some(Line::Answer(recorded)) => stopped || recorded == answer,
            None if stopped => return,
            _ => {
                playing.lose(json!({ "answer": answer }));
                return;
            }
        };
        if !same {
            playing.differ(json!({ "answer": answer }));
        }
        playing.next += 1;
    }

    /// Something was in a record that the guest cannot be given.
    pub(crate) fn refused(&self, why: &str) {
        let mut playing = self.playing();
        playing.next = playing.next.saturating_sub(1);
        playing.lose(json!({ "refused": why }));
    }

    pub(crate) fn finish(&self) -> Replayed {
        let mut playing = self.playing();
        if !playing.lost && !playing.stopped && playing.peek().is_some() {
            playing.differ(json!("nothing"));
        }
        let before = playing.lines.get(..playing.next).unwrap_or_default();
        let mut answer = None;
        let mut wrote = Vec::new();
        for line in before {
            match line {
                Line::Wrote(bytes) => wrote.push(bytes.clone()),
                Line::Answer(value) => answer = Some(value.clone()),
                _ => {}
            }
        }
        Replayed {
            calls: playing.calls,
            differences: playing.differences.clone(),
            whole: playing.whole,
            wrote,
            answer,
            refused: Refused::default(),
        }
    }

    fn playing(&self) -> MutexGuard<'_, Playing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn shown(of: &str, name: &str, with: &[Value]) -> Value {
    json!({ "call": { "of": of, "name": name, "with": with } })
}

impl Playing {
    /// The next line that is compared.
    fn peek(&mut self) -> Option<&Line> {
        while matches!(
            self.lines.get(self.next),
            Some(Line::Passed(_) | Line::Wrote(_))
        ) {
            self.next += 1;
        }
        self.lines.get(self.next)
    }

    fn differ(&mut self, got: Value) {
        if self.differences.len() == MAX_DIFFERENCES {
            return;
        }
        let whole = self.whole;
        let expected = match self.peek() {
            Some(Line::Call(Called { of, name, with, .. })) => shown(of, name, with),
            Some(line) => json!(line),
            None if whole => json!("nothing"),
            None => json!("the record ends here"),
        };
        let difference = Difference {
            line: self.next + 2,
            call: self.calls,
            expected,
            got,
        };
        self.differences.push(difference);
    }

    /// Ends the guest. Where the run that was recorded was ended, that is as it was.
    fn lose(&mut self, got: Value) -> Lost {
        let was_ended = match self.peek() {
            Some(Line::Answer(answer)) => is_end(answer),
            None => !self.whole,
            _ => false,
        };
        if was_ended {
            self.stopped = true;
        } else if !self.lost {
            self.differ(got);
            self.lost = true;
        }
        Lost
    }
}

/// Whether a guest was ended by the clock, in the middle of whatever it did.
fn is_end(answer: &Value) -> bool {
    answer["failed"]["code"] == super::DEADLINE
}
