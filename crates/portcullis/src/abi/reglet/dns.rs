//! `dns_lookup`: the records of a name.

use serde::{Deserialize, Serialize};

use super::cap::encode;
use super::context::Context;
use super::error::ErrorDetail;
use super::net::refusal;
use super::request::read;
use crate::abi::object::Object;
use crate::capability::net::{DnsAnswer, DnsAsk, RecordKind};
use crate::state::State;

/// What a guest asks for. `null` is as good as nothing.
#[derive(Debug, Deserialize)]
struct Request {
    hostname: Option<String>,
    #[serde(rename = "type", alias = "record_type")]
    kind: Option<String>,
    nameserver: Option<String>,
    context: Option<Object<Context>>,
    timeout_ms: Option<i64>,
}

/// What a guest is told.
#[derive(Debug, Default, Serialize)]
struct Answer {
    records: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mx_records: Vec<Mail>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorDetail>,
}

#[derive(Debug, Serialize)]
struct Mail {
    host: String,
    pref: u16,
}

/// Looks a name up, or says in an answer why nothing was found.
pub(super) async fn call(state: &mut State, request: &[u8]) -> Vec<u8> {
    match look_up(state, request).await {
        Ok(answer) => encode(&told(answer)),
        Err(error) => failed(error),
    }
}

async fn look_up(state: &mut State, request: &[u8]) -> Result<DnsAnswer, ErrorDetail> {
    let request: Request = read(request)?;
    let Object(context) = request.context.unwrap_or_default();
    let timeout = context.time(request.timeout_ms)?;
    let ask = DnsAsk {
        name: request.hostname.unwrap_or_default(),
        kind: kind(&request.kind.unwrap_or_default())?,
        name_server: request.nameserver.filter(|server| !server.is_empty()),
        timeout,
    };
    context.begin(state);
    let answer = state.gate.net_lookup(ask).await;
    answer.map_err(|failure| refusal(failure, "LOOKUP_FAILED"))
}

fn kind(name: &str) -> Result<RecordKind, ErrorDetail> {
    Ok(match name.to_ascii_uppercase().as_str() {
        "" => RecordKind::Addresses,
        "A" => RecordKind::A,
        "AAAA" => RecordKind::Aaaa,
        "CNAME" => RecordKind::Cname,
        "MX" => RecordKind::Mx,
        "TXT" => RecordKind::Txt,
        "NS" => RecordKind::Ns,
        _ => {
            let why = "unsupported record type: it is A, AAAA, CNAME, MX, TXT or NS";
            return Err(ErrorDetail::new("config", "UNSUPPORTED_TYPE", why));
        }
    })
}

fn told(answer: DnsAnswer) -> Answer {
    let mail = answer.mail.into_iter();
    Answer {
        records: answer.records,
        mx_records: mail.map(|(host, pref)| Mail { host, pref }).collect(),
        error: None,
    }
}

/// The answer with this error and nothing else.
pub(super) fn failed(error: ErrorDetail) -> Vec<u8> {
    encode(&Answer {
        error: Some(error),
        ..Answer::default()
    })
}
