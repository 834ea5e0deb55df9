//! A record of log, as a guest's SDK writes it.

use std::fmt::Write as _;

use portcullis_policy::{LogLevel, escape_within};
use serde::Deserialize;

use super::context::Context;
use crate::abi::object::Object;

/// Bytes of a line that goes to the standard error.
const MAX_LINE: usize = 4096;
const CUT: &str = "... [truncated]";

/// A record as it comes. The time that a guest says is not told: the trail has its own.
#[derive(Debug, Deserialize)]
pub(super) struct Record {
    level: Option<String>,
    message: Option<String>,
    attrs: Option<Vec<Object<Attr>>>,
    pub(super) context: Option<Object<Context>>,
}

#[derive(Debug, Deserialize)]
struct Attr {
    key: Option<String>,
    value: Option<String>,
}

impl Record {
    pub(super) fn level(&self) -> LogLevel {
        level(self.level.as_deref().unwrap_or_default())
    }

    /// The message, and after it what belongs to it.
    pub(super) fn text(&self) -> String {
        let mut text = self.message.clone().unwrap_or_default();
        for Object(attr) in self.attrs.iter().flatten() {
            let part = |part: &Option<String>| part.clone().unwrap_or_default();
            let _ = write!(text, " {}={}", part(&attr.key), part(&attr.value));
        }
        text
    }

    /// All of it as one line that no terminal obeys.
    pub(super) fn line(&self) -> String {
        let text = escape_within(&self.text(), MAX_LINE, CUT);
        format!("{}: {text}\n", self.level())
    }
}

/// A level of `slog`, such as `INFO+2`; what is none is as good as `INFO`.
fn level(word: &str) -> LogLevel {
    match word.split(['+', '-']).next().unwrap_or_default() {
        "ERROR" => LogLevel::Error,
        "WARN" => LogLevel::Warn,
        "DEBUG" => LogLevel::Debug,
        _ => LogLevel::Info,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_a_text_with_a_level() {
        let json = r#"{"timestamp":"x","level":"WARN+2","message":"m","attrs":[{"key":"a","type":"int64","value":"1"},{"key":"e","type":"error","value":"x y"}],"context":{},"more":1}"#;
        let record: Record = serde_json::from_str(json).unwrap();
        assert_eq!(record.text(), "m a=1 e=x y");
        assert_eq!(level("WARN+2"), LogLevel::Warn);
        assert_eq!(level("DEBUG-4"), LogLevel::Debug);
        assert_eq!(level("ERROR"), LogLevel::Error);
        assert_eq!(level("loud"), LogLevel::Info);
        let empty: Record = serde_json::from_str(r#"{"attrs":null}"#).unwrap();
        assert_eq!(empty.text(), "");
    }
}
