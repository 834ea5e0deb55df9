//! What a plugin of Reglet asks, and what it is answered: nothing is asked of the gate but what stands in the request, and every
//! answer is an object of bounded length with the members that an SDK knows.
//!
//! The first byte of an input says the function: `E` a command, `H` HTTP, `D` DNS, `T` a connection, `S` a mail server, `L` a record
//! of log. The second is how the gate answers, the third is `9` where that is long, and the rest of the line is what it says. After it
//! comes the request.

#[path = "../../../portcullis/src/abi/reglet/cap.rs"]
mod cap;
#[path = "../../../portcullis/src/abi/reglet/context.rs"]
mod context;
#[path = "../../../portcullis/src/abi/reglet/dns.rs"]
mod dns;
#[path = "../../../portcullis/src/abi/reglet/error.rs"]
mod error;
#[path = "../../../portcullis/src/abi/reglet/exec.rs"]
mod exec;
#[path = "../../../portcullis/src/abi/reglet/http.rs"]
mod http;
mod meant;
#[path = "../../../portcullis/src/abi/reglet/net.rs"]
mod net;
#[path = "../../../portcullis/src/abi/reglet/record.rs"]
#[allow(
    dead_code,
    reason = "the source of another crate, of which a part is used"
)]
mod record;
#[path = "../../../portcullis/src/abi/reglet/request.rs"]
mod request;
#[path = "../../../portcullis/src/abi/reglet/smtp.rs"]
mod smtp;
#[path = "../../../portcullis/src/abi/reglet/tcp.rs"]
mod tcp;

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::Run;
use crate::abi::object::Object;
use crate::capability::net::Script;
use crate::gate::{Gate, Says};
use crate::state::State;

/// Bytes of an answer.
const ANSWER: usize = 24 * 1024 * 1024;
/// Bytes of what a gate says where that is long: more than an answer has room for when it is written out.
const LONG: usize = 19 * 1024 * 1024;

pub(crate) fn target() -> Run {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    // What is long takes long: of each function it is tried once.
    let mut long = BTreeSet::new();
    Box::new(move |data| {
        let [function, failure, length, rest @ ..] = data else {
            return;
        };
        let mut parts = rest.splitn(2, |byte| *byte == b'\n');
        let text = parts.next().unwrap_or_default();
        let request = parts.next().unwrap_or_default();
        if *function == b'L' {
            return logged(request);
        }
        let says = Says {
            failure: failure.saturating_sub(b'0').min(9),
            text: match length {
                b'9' if !text.is_empty() && long.insert(*function) => {
                    text.iter().copied().cycle().take(LONG).collect()
                }
                _ => text.to_vec(),
            },
            server: Script::saying(&greeting(text), u8::MAX, false),
        };
        let failure = says.failure;
        let mut state = State {
            gate: Gate::new(says),
        };
        let answer = runtime.block_on(async {
            let state = &mut state;
            Some(match function {
                b'E' => exec::call(state, request).await,
                b'H' => http::call(state, request).await,
                b'D' => dns::call(state, request).await,
                b'T' => tcp::call(state, request).await,
                b'S' => smtp::call(state, request).await,
                _ => return None,
            })
        });
        if let Some(answer) = answer {
            let answer = answered(*function, &answer);
            let gate = &state.gate;
            meant::check(request, gate);
            // A command that was killed and one that was stopped are no failure.
            let ran = *function == b'E' && failure < 3;
            let wanted = gate.asked.is_empty() || failure > 0 && !ran;
            assert!(
                !wanted || answer.contains_key("error"),
                "it is answered as if it had been done: {answer:?}"
            );
        }
    })
}

/// What a mail server with this to say says in its turns.
fn greeting(text: &[u8]) -> Vec<u8> {
    let turns: Vec<_> = text.split(|byte| *byte == b'|').collect();
    [&turns.join(&b"\r\n|"[..]), &b"\r\n"[..]].concat()
}

/// The answer, as an SDK takes it.
fn answered(function: u8, answer: &[u8]) -> Map<String, Value> {
    assert!(answer.len() <= ANSWER, "{} bytes", answer.len());
    let answer: Value = serde_json::from_slice(answer).expect("an answer is JSON");
    let Value::Object(answer) = answer else {
        panic!("an answer is an object: {answer}");
    };
    for (name, value) in &answer {
        let is = match name.as_str() {
            "error" => is_an_error(value),
            "exit_code" => value
                .as_i64()
                .is_some_and(|code| (-1..=255).contains(&code)),
            "duration_ms" | "response_time_ms" | "latency_ms" | "status_code" => value.is_u64(),
            "connected" | "tls" => value.is_boolean() && function != b'E',
            "is_timeout" | "stdout_truncated" | "stderr_truncated" => value.is_boolean(),
            "body_truncated" => value.is_boolean(),
            "headers" => value.is_object(),
            "records" | "mx_records" => value.is_array(),
            _ => value.is_string(),
        };
        assert!(is, "`{name}` of an answer to `{}`", char::from(function));
    }
    answer
}

fn is_an_error(value: &Value) -> bool {
    let texts = ["message", "type", "code"];
    let is_text = |name: &str| value.get(name).is_some_and(Value::is_string);
    let kinds = [
        "capability",
        "config",
        "execution",
        "internal",
        "network",
        "ssrf_protection",
        "timeout",
        "validation",
    ];
    texts.iter().all(|name| is_text(name))
        && value["type"]
            .as_str()
            .is_some_and(|kind| kinds.contains(&kind))
}

/// A record becomes one line that no terminal obeys.
fn logged(request: &[u8]) {
    let read = serde_json::from_slice(request);
    let Ok(Object(record)) = read else {
        return;
    };
    let record: record::Record = record;
    let Ok(said) = serde_json::from_slice::<Value>(request) else {
        return;
    };
    let message = said["message"].as_str().unwrap_or_default();
    assert!(record.text().starts_with(message), "{said}");
    let line = record.line();
    let line = line.strip_suffix('\n').expect("a line ends");
    assert!(line.len() <= 4096 + 16, "{} bytes", line.len());
    assert!(!line.chars().any(char::is_control), "{line:?}");
}
