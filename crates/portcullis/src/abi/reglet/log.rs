//! `log_message`: a record for the operator.

use std::fmt::Write as _;

use portcullis_policy::{LogLevel, escape_within};
use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use wasmtime::{Caller, Result};

use super::MAX_REQUEST;
use super::context::Context;
use super::guest::{Guest, copy};
use crate::abi::packed::{self, Packed};
use crate::state::State;

/// Bytes of a line that goes to the standard error.
const MAX_LINE: usize = 4096;
const CUT: &str = "... [truncated]";

/// A record as it comes. The time that a guest says is not told: the trail has its own.
#[derive(Debug, Deserialize)]
struct Record {
    level: Option<String>,
    message: Option<String>,
    attrs: Option<Vec<Attr>>,
    context: Option<Context>,
}

#[derive(Debug, Deserialize)]
struct Attr {
    key: Option<String>,
    value: Option<String>,
}

/// Writes a record into the operator's log, or, where that was not granted, to where the guest's standard error goes. A
/// record that is none is told to the operator and is no reason to stop a guest.
pub(super) async fn message(caller: &mut Caller<'_, State>, place: Packed) -> Result<()> {
    let memory = packed::memory(caller)?;
    let read = match copy(&memory, caller, place, MAX_REQUEST) {
        Ok(bytes) => serde_json::from_slice::<Record>(&bytes).map_err(|error| error.to_string()),
        Err(unread) => Err(unread.to_string()),
    };
    let frees = caller.data_mut().reglet().frees && read.is_ok();
    match read {
        Ok(record) => write(caller.data_mut(), &record).await,
        Err(why) => {
            let why = format!(
                "`log_message` was given what is no record: {}",
                why.escape_debug()
            );
            caller.data_mut().gate.activity.failure(why);
        }
    }
    // The SDK forgets its records, and counts them against the room that it has.
    match Guest::of(caller)? {
        Some(guest) if frees => guest.free(caller, place).await,
        Some(_) | None => Ok(()),
    }
}

async fn write(state: &mut State, record: &Record) {
    let level = level(record.level.as_deref().unwrap_or_default());
    let text = record.text();
    if state.gate.grants().log {
        if let Some(context) = &record.context {
            context.begin(state);
        }
        state.gate.log(level, &text);
        state.gate.work_on(None);
        return;
    }
    let Some(log) = &mut state.reglet().log else {
        return;
    };
    let line = format!("{level}: {}\n", escape_within(&text, MAX_LINE, CUT));
    // Nobody to read it is no reason to stop a guest, for a log as for standard error.
    let _ = async {
        log.write_all(line.as_bytes()).await?;
        log.flush().await
    }
    .await;
}

impl Record {
    /// The message, and after it what belongs to it.
    fn text(&self) -> String {
        let mut text = self.message.clone().unwrap_or_default();
        for attr in self.attrs.iter().flatten() {
            let part = |part: &Option<String>| part.clone().unwrap_or_default();
            let _ = write!(text, " {}={}", part(&attr.key), part(&attr.value));
        }
        text
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
