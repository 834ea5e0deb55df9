//! `tcp_connect`: whether a place can be connected to, and what it says of itself in TLS.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::cap::encode;
use super::context::Context;
use super::error::ErrorDetail;
use super::net::{Port, Tls, refusal};
use super::request::read;
use crate::abi::object::Object;
use crate::capability::net::{TcpAnswer, TcpAsk};
use crate::state::State;

/// What a guest asks for. `null` is as good as nothing.
#[derive(Debug, Deserialize)]
struct Request {
    host: Option<String>,
    port: Option<Port>,
    #[serde(alias = "use_tls")]
    tls: Option<bool>,
    context: Option<Object<Context>>,
    timeout_ms: Option<i64>,
}

/// What a guest is told. Names that another of Reglet's hosts has stand beside those of its SDK.
#[derive(Debug, Default, Serialize)]
struct Answer {
    connected: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_addr: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    local_addr: Option<SocketAddr>,
    response_time_ms: u64,
    latency_ms: u64,
    #[serde(flatten)]
    tls: Tls,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorDetail>,
}

/// Connects, or says in an answer why that came to nothing.
pub(super) async fn call(state: &mut State, request: &[u8]) -> Vec<u8> {
    match connect(state, request).await {
        Ok(answer) => encode(&told(answer)),
        Err(error) => failed(error),
    }
}

async fn connect(state: &mut State, request: &[u8]) -> Result<TcpAnswer, ErrorDetail> {
    let request: Request = read(request)?;
    let Object(context) = request.context.unwrap_or_default();
    let timeout = context.time(request.timeout_ms)?;
    let ask = TcpAsk {
        host: request.host.unwrap_or_default(),
        port: Port::number(request.port.as_ref()),
        tls: request.tls.unwrap_or_default(),
        timeout,
    };
    context.begin(state);
    let answer = state.gate.net_connect(ask).await;
    answer.map_err(|failure| refusal(failure, "CONNECTION_FAILED"))
}

fn told(answer: TcpAnswer) -> Answer {
    let took = u64::try_from(answer.took.as_millis()).unwrap_or(u64::MAX);
    Answer {
        connected: true,
        address: answer.target.to_string(),
        remote_addr: answer.remote,
        local_addr: Some(answer.local),
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
