//! What a plugin of Reglet observed, for a person and as data.

use portcullis::{Observation, RegletStatus};
use serde_json::{Value, json};

use crate::exit::Exit;

/// Bytes of one value that a person is shown, and lines in all.
const MAX_VALUE: usize = 400;
const MAX_LINES: usize = 100;

/// Where the plugin could not tell, as `grep` has it.
const CANNOT_TELL: Exit = Exit(2);

/// The code by the status: 0 for a success, 1 for a failure, 2 where the plugin could not tell; 126 where it is no success and
/// something was denied.
pub(super) fn exit(observation: &Observation, denied: bool) -> Exit {
    match observation.status {
        RegletStatus::Success => Exit::OK,
        RegletStatus::Failure | RegletStatus::Error if denied => Exit::DENIED,
        RegletStatus::Failure => Exit::NEGATIVE,
        RegletStatus::Error => CANNOT_TELL,
    }
}

/// The answer, as JSON: the plugin's own is the value of `observation`.
pub(super) fn document(observation: &Observation) -> Value {
    let own: Value = serde_json::from_str(&observation.json).unwrap_or_default();
    json!({ "status": observation.status.name(), "observation": own })
}

/// A summary, a line each. Nothing in it ends a line or moves the cursor.
pub(super) fn words(observation: &Observation) -> String {
    let mut lines = vec![observation.status.name().to_owned()];
    if let Some(message) = &observation.message {
        lines[0] = format!("{}: {}", lines[0], shown(message));
    }
    if let Some(error) = &observation.error {
        let code = match error.code.as_str() {
            "" => String::new(),
            code => format!(" [{}]", shown(code)),
        };
        lines.push(format!(
            "error {}: {}{code}",
            shown(&error.kind),
            shown(&error.message)
        ));
    }
    let own: Value = serde_json::from_str(&observation.json).unwrap_or_default();
    let data = own.get("data").or_else(|| own.get("Data"));
    for (name, value) in data.and_then(Value::as_object).into_iter().flatten() {
        let value = match value {
            Value::String(text) => shown(text),
            value => shown(&value.to_string()),
        };
        lines.push(format!("{}: {value}", shown(name)));
    }
    if lines.len() > MAX_LINES {
        let more = lines.len() - MAX_LINES;
        lines.truncate(MAX_LINES);
        lines.push(format!("and {more} more, which `--json` has"));
    }
    lines.join("\n")
}

fn shown(text: &str) -> String {
    portcullis_policy::escape_within(text, MAX_VALUE, "…")
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis::RegletError;

    fn observation(status: RegletStatus, json: &str) -> Observation {
        Observation {
            status,
            message: None,
            error: None,
            json: json.to_owned(),
        }
    }

    #[test]
    fn a_summary_is_one_line_for_each_value_and_moves_nothing() {
        let mut observed = observation(
            RegletStatus::Error,
            r#"{"status":"error","data":{"a\nb":"x\u001b[2Jy\nz","n":{"k":1}}}"#,
        );
        observed.message = Some("m\n2".to_owned());
        observed.error = Some(RegletError {
            message: "no\n".to_owned(),
            kind: "panic".to_owned(),
            code: "C".to_owned(),
        });
        assert_eq!(
            words(&observed),
            "error: m\\n2\nerror panic: no\\n [C]\na\\nb: x\\u{1b}[2Jy\\nz\nn: {\"k\":1}"
        );
        let evidence = observation(RegletStatus::Success, r#"{"Status":true,"Data":{"a":"b"}}"#);
        assert_eq!(words(&evidence), "success\na: b");
        let long = format!(r#"{{"data":{{"a":"{}"}}}}"#, "é".repeat(1000));
        let words = words(&observation(RegletStatus::Success, &long));
        assert!(
            words.ends_with("é…") && words.len() < MAX_VALUE + 20,
            "{words}"
        );
    }
}
