//! A second reader of requests: what the gate was asked stands there.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_policy::HttpUrl;
use serde_json::{Value, json};

use crate::capability::http::HttpAsk;
use crate::capability::net::RecordKind;
use crate::gate::{Asked, Gate};

/// Requests that one may lead to.
const REDIRECTS: usize = 10;

/// Whether what was asked is what the request means.
pub(super) fn check(request: &[u8], gate: &Gate) {
    let Some(first) = gate.asked.first() else {
        return;
    };
    // A member that nobody knows is not looked into, and may hold a text that is none.
    let Ok(value) = serde_json::from_slice::<Value>(request) else {
        return;
    };
    assert!(value.is_object(), "a request is an object: {value}");
    let context = &value["context"];
    assert!(context.is_object() || context.is_null(), "{context}");
    for canceled in ["canceled", "Canceled", "cancelled", "Cancelled"] {
        assert_ne!(context[canceled], true, "it was given up");
    }
    assert_eq!(gate.work.as_deref(), context["request_id"].as_str());
    match first {
        Asked::Exec(wish) => {
            in_time(&value, wish.timeout);
            let ask = &wish.ask;
            assert_eq!(text(&value["command"]), ask.program);
            assert_eq!(list(&value["args"]), json!(ask.args));
            assert_eq!(text(&value["dir"]), ask.cwd.as_deref().unwrap_or_default());
            let env = ask
                .env
                .iter()
                .map(|(name, value)| format!("{name}={value}"));
            assert_eq!(variables(&value["env"]), env.collect::<Vec<_>>());
            assert!(ask.stdin.is_none() && !ask.inherit_env, "{ask:?}");
        }
        Asked::Http(ask) => {
            assert_eq!(text(&value["url"]), ask.url);
            let method = text(&value["method"]);
            assert_eq!(if method.is_empty() { "GET" } else { method }, ask.method);
            assert_eq!(text(&value["body"]), STANDARD.encode(&ask.body));
            for (name, held) in &ask.headers {
                let header = &value["headers"][name];
                assert!(
                    header == held
                        || list(header)
                            .as_array()
                            .unwrap()
                            .iter()
                            .any(|one| one == held),
                    "{name}: {held}"
                );
            }
            redirected(&gate.asked);
        }
        Asked::Dns(ask) => {
            in_time(&value, ask.timeout);
            assert_eq!(text(&value["hostname"]), ask.name);
            assert_eq!(
                text(&value["nameserver"]),
                ask.name_server.as_deref().unwrap_or_default()
            );
            let kind = either(&value, ["type", "record_type"]);
            let kind = text(kind).to_ascii_uppercase();
            let wanted = match ask.kind {
                RecordKind::Addresses => "",
                RecordKind::A => "A",
                RecordKind::Aaaa => "AAAA",
                RecordKind::Cname => "CNAME",
                RecordKind::Mx => "MX",
                RecordKind::Txt => "TXT",
                RecordKind::Ns => "NS",
            };
            assert_eq!(kind, wanted);
        }
        Asked::Tcp(ask) => {
            in_time(&value, ask.timeout);
            assert_eq!(text(&value["host"]), planted(&ask.host));
            assert_eq!(port(&value["port"]), ask.port);
            assert_eq!(*either(&value, ["tls", "use_tls"]) == true, ask.tls);
        }
        Asked::Mail {
            host,
            port: asked,
            timeout,
        } => {
            in_time(&value, *timeout);
            assert_eq!(text(&value["host"]), planted(host));
            assert_eq!(port(&value["port"]), *asked);
        }
    }
    let more = gate.asked.len() - 1;
    assert!(
        more == 0 || matches!(first, Asked::Http(_)),
        "it is asked again"
    );
}

/// The first in a request that says both ways is none: it would be refused.
fn either<'a>(value: &'a Value, names: [&str; 2]) -> &'a Value {
    match &value[names[0]] {
        Value::Null => &value[names[1]],
        said => said,
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> Value {
    if value.is_array() {
        value.clone()
    } else {
        json!([])
    }
}

fn variables(value: &Value) -> Vec<String> {
    if let Some(object) = value.as_object() {
        let all: BTreeMap<_, _> = object.iter().collect();
        let all = all
            .iter()
            .map(|(name, value)| format!("{name}={}", text(value)));
        return all.collect();
    }
    let all = value.as_array().into_iter().flatten().map(text);
    all.filter(|entry| entry.contains('='))
        .map(str::to_owned)
        .collect()
}

/// 0 for what is none.
fn port(value: &Value) -> u16 {
    let number = match value {
        Value::String(digits) => digits.parse::<u128>().ok(),
        number => number.as_u64().map(u128::from),
    };
    number
        .and_then(|number| u16::try_from(number).ok())
        .unwrap_or_default()
}

/// The least time that is said, or what is left until the deadline.
fn in_time(value: &Value, asked: Option<Duration>) {
    let said = [&value["timeout_ms"], &value["context"]["timeout_ms"]];
    let said = said
        .iter()
        .filter_map(|said| said.as_u64())
        .filter(|said| *said > 0);
    match said.min() {
        Some(least) => assert_eq!(asked, Some(Duration::from_millis(least))),
        None if value["context"]["deadline"].is_string() => {
            assert!(asked.is_some_and(|left| !left.is_zero()))
        }
        None => assert_eq!(asked, None),
    }
}

/// A request that another led to has nothing of a host that is not its own, and no body that nobody asked to have sent there.
fn redirected(asked: &[Asked]) {
    assert!(asked.len() <= REDIRECTS + 1, "{} requests", asked.len());
    let requests = asked.iter().map(|asked| match asked {
        Asked::Http(ask) => ask,
        other => panic!("{other:?}"),
    });
    let requests: Vec<&HttpAsk> = requests.collect();
    for pair in requests.windows(2) {
        let (before, after) = (pair[0], pair[1]);
        let place = |ask: &HttpAsk| {
            HttpUrl::parse(&ask.url)
                .ok()
                .map(|url| (url.as_url().scheme().to_owned(), url.target().clone()))
        };
        let stays = place(before).is_some() && place(before) == place(after);
        for (name, _) in &after.headers {
            let own = ["authorization", "cookie", "proxy-authorization"];
            assert!(
                stays || !own.contains(&name.to_ascii_lowercase().as_str()),
                "`{name}` goes to {}",
                after.url
            );
        }
        assert!(after.headers.len() <= before.headers.len());
        assert!(after.method == before.method || after.method == "GET");
        assert!(after.body.is_empty() || after.body == before.body);
    }
}

#[cfg(not(feature = "planted"))]
fn planted(host: &str) -> String {
    host.to_owned()
}

/// The bug: a host is asked for in small letters.
#[cfg(feature = "planted")]
fn planted(host: &str) -> String {
    host.to_ascii_lowercase()
}
