//! A record of a run, which anybody may have written: what is read is what stands there, line for line, and is written as it
//! was read.

#[path = "../../portcullis/src/record/line.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "the source of another crate, which keeps it to itself"
)]
mod line;

use line::Record;
use serde_json::Value;

use crate::Run;

pub(crate) fn target() -> Run {
    Box::new(|data| {
        if let Ok(record) = Record::read(planted(data)) {
            is_what_stands_there(&record, data);
        }
    })
}

/// To a reader of JSON that knows nothing of records, each line has one key, and the end is where it says.
fn is_what_stands_there(record: &Record, data: &[u8]) {
    let text = data.strip_suffix(b"\n").unwrap_or(data);
    let lines: Vec<Value> = text
        .split(|byte| *byte == b'\n')
        .map(|line| serde_json::from_slice(line).expect("a line of a record is JSON"))
        .collect();
    let key = |value: &Value| -> String {
        let mut keys = value.as_object().expect("of one key").keys();
        keys.next().expect("of one key").clone()
    };
    assert_eq!(key(&lines[0]), "record");
    let ends = lines.iter().filter(|line| key(line) == "end").count();
    let last = &lines[lines.len() - 1];
    assert_eq!(ends == 1, record.whole, "it ends once, and says so");
    if record.whole {
        assert_eq!(key(last), "end", "nothing comes after the end");
        assert_eq!(last["end"]["lines"], lines.len() - 1);
    }
    assert_eq!(record.lines.len(), lines.len() - 1 - ends);
    let written = record.lines.iter().map(serde_json::to_string);
    let written: Vec<_> = written
        .map(|line| line.expect("it can be written"))
        .collect();
    for (written, line) in written.iter().zip(&record.lines) {
        let again: line::Line = serde_json::from_str(written).expect("what was written is read");
        assert_eq!(again, *line, "{written}");
    }
}

#[cfg(not(feature = "planted"))]
fn planted(data: &[u8]) -> &[u8] {
    data
}

/// The bug: what comes after an end is not looked at.
#[cfg(feature = "planted")]
fn planted(data: &[u8]) -> &[u8] {
    let mut lines = data.split_inclusive(|byte| *byte == b'\n');
    let mut kept = 0;
    while let Some(line) = lines.next() {
        kept += line.len();
        if line.starts_with(b"{\"end\"") {
            break;
        }
    }
    &data[..kept]
}
