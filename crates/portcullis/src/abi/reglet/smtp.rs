//! `smtp_connect`: how a mail server greets, and whether it speaks TLS.

use serde::{Deserialize, Serialize};

use super::cap::encode;
use super::context::Context;
use super::error::ErrorDetail;
use super::net::{Port, Tls, refusal};
use super::request::read;
use crate::abi::object::Object;
use crate::capability::net::{SmtpAnswer, SmtpAsk, SmtpSecurity};
use crate::state::State;

/// What a guest asks for. `null` is as good as nothing.
#[derive(Debug, Deserialize)]
struct Request {
    host: Option<String>,
    port: Option<Port>,
    #[serde(alias = "use_tls")]
    tls: Option<bool>,
    #[serde(alias = "use_starttls")]
    starttls: Option<bool>,
    context: Option<Object<Context>>,
    timeout_ms: Option<i64>,
}

/// What a guest is told.
#[derive(Debug, Default, Serialize)]
struct Answer {
    connected: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    address: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    banner: String,
    response_time_ms: u64,
    latency_ms: u64,
    #[serde(flatten)]
    tls: Tls,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorDetail>,
}

/// Has a mail server greet, or says in an answer why none did.
pub(super) async fn call(state: &mut State, request: &[u8]) -> Vec<u8> {
    match connect(state, request).await {
        Ok(answer) => encode(&told(answer)),
        Err(error) => failed(error),
    }
}

async fn connect(state: &mut State, request: &[u8]) -> Result<SmtpAnswer, ErrorDetail> {
    let request: Request = read(request)?;
    let Object(context) = request.context.unwrap_or_default();
    let timeout = context.time(request.timeout_ms)?;
    let ask = SmtpAsk {
        host: request.host.unwrap_or_default(),
        port: Port::number(request.port.as_ref()),
        security: match (request.tls, request.starttls) {
            (Some(true), _) => SmtpSecurity::Tls,
            (_, Some(true)) => SmtpSecurity::StartTls,
            _ => SmtpSecurity::None,
        },
        timeout,
    };
    context.begin(state);
    let answer = state.gate.net_mail(ask).await;
    answer.map_err(|failure| refusal(failure, "CONNECTION_FAILED"))
}

fn told(answer: SmtpAnswer) -> Answer {
    let took = u64::try_from(answer.took.as_millis()).unwrap_or(u64::MAX);
    Answer {
        connected: true,
        address: answer.target.to_string(),
        banner: answer.banner,
        response_time_ms: took,
        latency_ms: took,
        tls: Tls::told(answer.tls),
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
