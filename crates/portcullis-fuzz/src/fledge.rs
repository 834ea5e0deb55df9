//! What a plugin of fledge sends: messages in JSON, and lines that were written for a shell. What is accepted is what stands
//! there, and a line that only a shell understands is none.
//!
//! An input that begins with `L` is a line; every other one is a message.

#[path = "../../portcullis/src/abi/fledge/line.rs"]
#[allow(
    dead_code,
    reason = "the source of another crate, which keeps it to itself"
)]
mod line;
#[path = "../../portcullis/src/abi/fledge/message.rs"]
#[allow(
    dead_code,
    reason = "the source of another crate, which keeps it to itself"
)]
mod message;

use message::Message;
use serde_json::{Value, json};

use crate::Run;

pub(crate) fn target() -> Run {
    Box::new(|data| match data.split_first() {
        Some((b'L', text)) => {
            if let Ok(text) = std::str::from_utf8(text) {
                is_a_plain_line(text);
            }
        }
        _ => is_what_stands_there(data),
    })
}

/// The words are those of a reader that knows quotes and nothing else, and nothing of the line is left for a shell.
fn is_a_plain_line(text: &str) {
    let read = words(text);
    match (line::argv(text), &read) {
        (Ok(argv), Some(read)) => {
            assert_eq!(argv, *read, "{text:?}");
            assert!(!argv.is_empty());
            // Written with quotes around everything, it is the same.
            let quoted = argv.iter().map(|word| word.replace('\'', "'\\''"));
            let quoted: Vec<_> = quoted.map(|word| format!("'{word}'")).collect();
            assert_eq!(line::argv(&quoted.join(" ")), Ok(argv), "{text:?}");
        }
        (Ok(argv), None) => panic!("{text:?} is {argv:?}, and only a shell understands it"),
        (Err(why), _) => assert!(!why.is_empty() && why.len() < 200 + text.len() * 10),
    }
}

/// The words of a line; `None` where it has anything outside of quotes that a shell would act on, or a quote without an end.
fn words(text: &str) -> Option<Vec<String>> {
    let mut words: Vec<String> = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if matches!(c, ' ' | '\t') {
            words.extend(word.take());
            continue;
        }
        let begins = word.is_none();
        let word = word.get_or_insert_default();
        match c {
            '\'' => loop {
                match chars.next()? {
                    '\'' => break,
                    c => word.push(c),
                }
            },
            '"' => loop {
                match chars.next()? {
                    '"' => break,
                    '$' | '`' => return None,
                    '\\' => match chars.next()? {
                        c @ ('$' | '`' | '"' | '\\') => word.push(c),
                        c => word.extend(['\\', c]),
                    },
                    c => word.push(c),
                }
            },
            '\\' => word.push(chars.next().filter(|c| *c != '\n')?),
            '~' | '#' if begins => return None,
            c if "|&;<>()$`*?[\n\0".contains(c) => return None,
            c => word.push(c),
        }
    }
    words.extend(word);
    Some(words)
}

/// Every field of the message is in the JSON, as it was read; and what is a message by a plain look at the JSON is one.
fn is_what_stands_there(data: &[u8]) {
    let value: Option<Value> = serde_json::from_slice(data).ok();
    match Message::parse(data) {
        Ok(message) => {
            let value = value.expect("what is accepted is JSON");
            for (name, field) in fields(planted(message)) {
                let there = &value[name];
                // A list that may be left out is an empty one.
                let is_left_out = there.is_null() && field == json!([]);
                assert!(*there == field || is_left_out, "{name} of {value}");
            }
        }
        Err(why) => {
            let value = value.filter(looks_right);
            // A member that stands there twice is refused, and nowhere in this text.
            let again = value.map(|value| Message::parse(value.to_string().as_bytes()).is_ok());
            assert_ne!(again, Some(false), "{why}");
        }
    }
}

/// A message as its members.
fn fields(message: Message) -> Vec<(&'static str, Value)> {
    match message {
        Message::Prompt {
            id,
            message,
            default,
            validate,
        } => vec![
            ("type", json!("prompt")),
            ("id", json!(id)),
            ("message", json!(message)),
            ("default", json!(default)),
            ("validate", json!(validate)),
        ],
        Message::Confirm {
            id,
            message,
            default,
        } => vec![
            ("type", json!("confirm")),
            ("id", json!(id)),
            ("message", json!(message)),
            ("default", json!(default)),
        ],
        Message::Select {
            id,
            message,
            options,
            default,
        } => vec![
            ("type", json!("select")),
            ("id", json!(id)),
            ("message", json!(message)),
            ("options", list(options)),
            ("default", json!(default)),
        ],
        Message::MultiSelect {
            id,
            message,
            options,
            defaults,
        } => vec![
            ("type", json!("multi_select")),
            ("id", json!(id)),
            ("message", json!(message)),
            ("options", list(options)),
            ("defaults", list(defaults)),
        ],
        Message::Progress {
            message,
            current,
            total,
            done,
        } => vec![
            ("type", json!("progress")),
            ("message", json!(message)),
            ("current", json!(current)),
            ("total", json!(total)),
            ("done", json!(done)),
        ],
        Message::Log { level, message } => vec![
            ("type", json!("log")),
            ("level", json!(level)),
            ("message", json!(message)),
        ],
        Message::Output { text } => vec![("type", json!("output")), ("text", json!(text))],
        Message::Store { key, value } => vec![
            ("type", json!("store")),
            ("key", json!(key)),
            ("value", json!(value)),
        ],
        Message::Load { id, key } => vec![
            ("type", json!("load")),
            ("id", json!(id)),
            ("key", json!(key)),
        ],
        Message::Exec {
            id,
            command,
            cwd,
            timeout,
        } => vec![
            ("type", json!("exec")),
            ("id", json!(id)),
            ("command", json!(command)),
            ("cwd", json!(cwd)),
            ("timeout", json!(timeout)),
        ],
        Message::Metadata { id, keys } => vec![
            ("type", json!("metadata")),
            ("id", json!(id)),
            ("keys", list(keys)),
        ],
    }
}

/// No list takes memory without end.
fn list<T: Into<Value>>(entries: Vec<T>) -> Value {
    assert!(entries.len() <= MOST);
    entries.into_iter().map(Into::into).collect()
}

const MOST: usize = 1000;

/// Whether JSON has the members of its type, each of the right kind.
fn looks_right(value: &Value) -> bool {
    let text = |name: &str| value[name].is_string();
    let maybe = |name: &str, is: fn(&Value) -> bool| value[name].is_null() || is(&value[name]);
    let all = |name: &str, is: fn(&Value) -> bool| {
        let entries = value[name].as_array();
        entries.is_some_and(|entries| entries.len() <= MOST && entries.iter().all(is))
    };
    let asks = text("id") && text("message");
    match value["type"].as_str() {
        Some("prompt") => {
            asks && maybe("default", Value::is_string) && maybe("validate", Value::is_string)
        }
        Some("confirm") => asks && maybe("default", Value::is_boolean),
        Some("select") => {
            asks && all("options", Value::is_string) && maybe("default", Value::is_u64)
        }
        Some("multi_select") => {
            let defaults = value["defaults"].is_null() || all("defaults", Value::is_u64);
            asks && all("options", Value::is_string) && defaults
        }
        Some("progress") => {
            maybe("message", Value::is_string)
                && maybe("current", Value::is_u64)
                && maybe("total", Value::is_u64)
                && maybe("done", Value::is_boolean)
        }
        Some("log") => text("level") && text("message"),
        Some("output") => text("text"),
        Some("store") => text("key") && text("value"),
        Some("load") => text("id") && text("key"),
        Some("exec") => {
            text("id")
                && text("command")
                && maybe("cwd", Value::is_string)
                && maybe("timeout", Value::is_u64)
        }
        Some("metadata") => text("id") && all("keys", Value::is_string),
        Some(_) | None => false,
    }
}

#[cfg(not(feature = "planted"))]
fn planted(message: Message) -> Message {
    message
}

/// The bug: a command that is to run in a directory that ends with dots runs in the project.
#[cfg(feature = "planted")]
fn planted(mut message: Message) -> Message {
    if let Message::Exec { cwd, .. } = &mut message
        && cwd.as_ref().is_some_and(|cwd| cwd.ends_with(".."))
    {
        *cwd = None;
    }
    message
}
