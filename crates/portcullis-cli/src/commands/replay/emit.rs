//! A test file of a record: the same commands and servers, as scripts.

use std::collections::BTreeSet;
use std::path::Path;

use jiff::Timestamp;
use portcullis::{CallOfHost, Channel, Record};
use serde_json::Value;
use toml::Table;

use crate::exit::Exit;

/// Calls of which a test needs no script, or has one by what passed the gate. The names end with what any rest may follow.
const EXPRESSED: &[(&str, &[&str])] = &[
    ("portcullis:cli/process", &[""]),
    ("my:cli/process", &[""]),
    ("portcullis:cli/command", &["run"]),
    ("portcullis:cli/context", &[""]),
    ("portcullis:cli/http", &[""]),
    ("portcullis:cli/env", &[""]),
    ("portcullis:cli/log", &[""]),
    ("wasi:cli/", &[""]),
    ("wasi:io/", &[""]),
    ("wasi:random/", &[""]),
    ("wasi:clocks/", &["now", "resolution", "get-"]),
    (
        "portcullis:core/v1",
        &["exec", "log", "http_send", "env_get"],
    ),
    ("fledge", &["send", "recv", "exec", "exit"]),
    (
        "reglet_host",
        &["log_message", "exec_command", "http_request"],
    ),
    (
        "wasi_snapshot_preview1",
        &[
            "args_",
            "environ_",
            "clock_",
            "random_get",
            "fd_write",
            "fd_close",
            "fd_fdstat_get",
            "fd_prestat_get",
            "proc_exit",
            "sched_yield",
        ],
    ),
];
/// Functions of the core-module form whose names only begin like one of those.
const NOT_EXPRESSED: &[&str] = &["exec_start", "exec_write", "exec_poll", "exec_cancel"];
/// Headers that each answer has of its own.
const OF_EACH: &[&str] = &[
    "content-length",
    "date",
    "connection",
    "transfer-encoding",
    "content-encoding",
];

/// The test file of a record.
///
/// # Errors
/// What of the record no test file can say, each by its name.
pub(super) fn test(record: &Record, plugin: &Path) -> Result<String, BTreeSet<String>> {
    let mut refused = BTreeSet::new();
    let mut test = Table::new();
    let name = format!(
        "does what plugin `{}` did when it was recorded",
        record.header.plugin
    );
    test.insert("name".into(), name.into());
    asked(record, &mut test, &mut refused);
    surroundings(record, &mut test, &mut refused);
    let (commands, servers, denied) = scripts(record, &mut refused);
    let mut expect = Table::new();
    ended(record, !denied.is_empty(), &mut expect, &mut refused);
    if !denied.is_empty() {
        expect.insert("denied".into(), denied.into());
    }
    for (key, scripts) in [("command", commands), ("http", servers)] {
        if !scripts.is_empty() {
            test.insert(key.into(), scripts.into());
        }
    }
    test.insert("expect".into(), expect.into());
    let mut file = Table::new();
    file.insert("plugin".into(), plugin.display().to_string().into());
    match &record.header.policy[..] {
        [] => {}
        [policy] => _ = file.insert("policy".into(), policy.clone().into()),
        _ => _ = refused.insert("a policy of several files".to_owned()),
    }
    file.insert("test".into(), vec![toml::Value::from(test)].into());
    if !refused.is_empty() {
        return Err(refused);
    }
    toml::to_string_pretty(&file).map_err(|error| [error.to_string()].into())
}

/// What the plugin was called for.
fn asked(record: &Record, test: &mut Table, refused: &mut BTreeSet<String>) {
    let asked = record.asked();
    let [asked] = &asked[..] else {
        refused.insert("several calls of the plugin".to_owned());
        return;
    };
    let list = |value: &Value| -> toml::Value {
        let words = value.as_array().into_iter().flatten();
        let words: Vec<_> = words
            .filter_map(Value::as_str)
            .map(toml::Value::from)
            .collect();
        words.into()
    };
    let (key, value) = asked
        .as_object()
        .and_then(|asked| asked.iter().next())
        .map_or(("", &Value::Null), |(key, value)| (key.as_str(), value));
    match key {
        "run" | "start" => _ = test.insert("args".into(), list(value)),
        "command" => {
            // The first is its name.
            let words = value
                .as_array()
                .map(|words| words[1.min(words.len())..].to_vec());
            test.insert("args".into(), list(&words.into()));
        }
        "tool" => {
            let text = |key: &str| value[key].as_str().unwrap_or_default();
            test.insert("tool".into(), text("name").into());
            match serde_json::from_str::<toml::Value>(text("params")) {
                Ok(params) => _ = test.insert("params".into(), params),
                Err(_) => _ = refused.insert("parameters that are not of TOML".to_owned()),
            }
        }
        "observe" => match value.as_str().map(serde_json::from_str::<toml::Value>) {
            Some(Ok(params)) => {
                test.insert("tool".into(), "observe".into());
                test.insert("params".into(), params);
            }
            _ => _ = refused.insert("a configuration that is not of TOML".to_owned()),
        },
        _ => _ = refused.insert("what it was called for".to_owned()),
    }
}

/// The environment and the time; and what else it was given that no test has.
fn surroundings(record: &Record, test: &mut Table, refused: &mut BTreeSet<String>) {
    let mut env = Table::new();
    let mut clock = None;
    for call in record.calls() {
        let CallOfHost { of, name, gave, .. } = call;
        let is_known = EXPRESSED.iter().any(|(known, names)| {
            of.starts_with(known) && names.iter().any(|known| name.starts_with(known))
        });
        if !is_known || NOT_EXPRESSED.contains(&name) {
            refused.insert(format!("`{name}` of `{of}`"));
        }
        let gave = gave.unwrap_or_default();
        match name {
            "get-environment" => {
                for variable in gave.first().and_then(Value::as_array).into_iter().flatten() {
                    if let (Some(name), Some(value)) = (variable[0].as_str(), variable[1].as_str())
                    {
                        env.insert(name.to_owned(), value.into());
                    }
                }
            }
            "environ_get" if gave.len() > 1 => {
                _ = refused.insert("the variables of a core module".to_owned())
            }
            "now" if of.starts_with("wasi:clocks/wall-clock") => {
                clock = clock.or_else(|| gave.first()?["seconds"].as_i64());
            }
            _ if name.starts_with("[method]input-stream.") && is_text(gave) => {
                refused.insert("its standard input".to_owned());
            }
            _ => {}
        }
    }
    for passed in record.passed() {
        if let Some([name, value]) = passed["variable"].as_array().map(Vec::as_slice)
            && let (Some(name), Some(value)) = (name.as_str(), value.as_str())
        {
            env.insert(name.to_owned(), value.into());
        }
    }
    if !env.is_empty() {
        test.insert("env".into(), env.into());
    }
    if let Some(time) = clock.and_then(|seconds| Timestamp::from_second(seconds).ok()) {
        test.insert("clock".into(), time.to_string().into());
    }
}

fn is_text(gave: &[Value]) -> bool {
    gave.iter()
        .any(|gave| gave["ok"]["text"].is_string() || gave["ok"]["base64"].is_string())
}

type Scripts = (Vec<toml::Value>, Vec<toml::Value>, Vec<toml::Value>);

/// Commands, servers and denials.
fn scripts(record: &Record, refused: &mut BTreeSet<String>) -> Scripts {
    let (mut commands, mut servers, mut denied) = Scripts::default();
    for passed in record.passed() {
        let Some((key, value)) = passed.as_object().and_then(|passed| passed.iter().next()) else {
            continue;
        };
        let mut text = |value: &Value, what: &str| match value["text"].as_str() {
            Some(text) => text.to_owned(),
            None => {
                refused.insert(format!("{what} that is no text"));
                String::new()
            }
        };
        let mut script = Table::new();
        match key.as_str() {
            "command" => {
                let asked = &value["asked"];
                let args = asked["args"].as_array().into_iter().flatten();
                let words = std::iter::once(&asked["program"]).chain(args);
                let words = words.filter_map(Value::as_str).map(pattern);
                let words: Vec<toml::Value> = words.map(Into::into).collect();
                let (stdin, stdout, stderr) = (
                    text(&asked["stdin"], "input of a command"),
                    text(&value["stdout"], "output of a command"),
                    text(&value["stderr"], "output of a command"),
                );
                script.insert("run".into(), words.into());
                for (key, text) in [
                    ("stdin", pattern(&stdin)),
                    ("stdout", stdout),
                    ("stderr", stderr),
                ] {
                    if !text.is_empty() {
                        script.insert(key.into(), text.into());
                    }
                }
                let status = &value["status"];
                match (status["exited"].as_i64(), status["signalled"].as_i64()) {
                    (Some(0), _) => {}
                    (Some(code), _) => _ = script.insert("status".into(), code.into()),
                    (_, Some(signal)) => _ = script.insert("signal".into(), signal.into()),
                    _ => _ = refused.insert("a command that was stopped".to_owned()),
                }
                if value["whole"] == false {
                    refused.insert("output of a command that was cut".to_owned());
                }
                script.insert("times".into(), 1.into());
                commands.push(script.into());
            }
            "http" => {
                let word = |key: &str| value[key].as_str().unwrap_or_default();
                let request = format!("{} {}", word("method"), pattern(word("url")));
                let (sent, body) = (
                    text(&value["sent"], "a body"),
                    text(&value["body"], "a body"),
                );
                script.insert("request".into(), request.into());
                if let Some(status) = value["status"].as_i64().filter(|status| *status != 200) {
                    script.insert("status".into(), status.into());
                }
                for (key, text) in [("sent", pattern(&sent)), ("body", body)] {
                    if !text.is_empty() {
                        script.insert(key.into(), text.into());
                    }
                }
                let mut headers = Table::new();
                for header in value["headers"].as_array().into_iter().flatten() {
                    if let (Some(name), Some(value)) = (header[0].as_str(), header[1].as_str())
                        && !OF_EACH.contains(&name.to_ascii_lowercase().as_str())
                    {
                        headers.insert(name.to_owned(), value.into());
                    }
                }
                if !headers.is_empty() {
                    script.insert("headers".into(), headers.into());
                }
                script.insert("times".into(), 1.into());
                servers.push(script.into());
            }
            "denied" => {
                let code = value["code"].as_str().unwrap_or_default();
                script.insert("code".into(), code.into());
                let object = value["object"].as_str().unwrap_or_default();
                script.insert("object".into(), denied_object(code, object).into());
                denied.push(script.into());
            }
            "beside" => _ = refused.insert("a command that runs beside the plugin".to_owned()),
            _ => {}
        }
    }
    (commands, servers, denied)
}

/// How it ended.
fn ended(record: &Record, was_denied: bool, expect: &mut Table, refused: &mut BTreeSet<String>) {
    let mut stdout = Vec::new();
    for wrote in record.wrote().filter(|wrote| wrote.to == Channel::Stdout) {
        stdout.extend_from_slice(&wrote.bytes.0);
    }
    let answer = record.answer();
    let answer = answer.unwrap_or(&Value::Null);
    if let Some(text) = answer["ok"].as_str() {
        stdout.extend_from_slice(text.as_bytes());
    }
    let code = if answer["ok"].is_string() {
        Exit::OK.0
    } else if answer["err"].is_string() {
        if was_denied {
            Exit::DENIED.0
        } else {
            Exit::NEGATIVE.0
        }
    } else if let Some(code) = answer["code"]
        .as_u64()
        .and_then(|code| u8::try_from(code).ok())
    {
        code
    } else if answer["failed"].is_object() {
        Exit::OURS.0
    } else {
        refused.insert("how it ended".to_owned());
        return;
    };
    if code != 0 {
        expect.insert("code".into(), i64::from(code).into());
    }
    match String::from_utf8(stdout) {
        Ok(text) => _ = expect.insert("stdout".into(), text.into()),
        Err(_) => _ = refused.insert("output that is no text".to_owned()),
    }
}

/// A program lies somewhere else in a test.
fn denied_object(code: &str, object: &str) -> String {
    match object.rsplit_once('/') {
        Some(("" | "/bin" | "/usr/bin" | "/usr/local/bin", name)) if code.starts_with("P02") => {
            format!("*{}", pattern(name))
        }
        _ => pattern(object),
    }
}

/// A pattern that is this text.
fn pattern(text: &str) -> String {
    text.replace('\\', "\\\\").replace('*', "\\*")
}
