//! `smtp_connect`: what a mail server says. No grant gives a plugin a network of its own, so each request is refused.

use serde::Serialize;

use super::error::ErrorDetail;
use crate::state::State;

#[derive(Debug, Serialize)]
struct Answer {
    connected: bool,
    error: ErrorDetail,
}

/// Says in an answer why there is none.
#[expect(clippy::unused_async, reason = "as the other requests")]
pub(super) async fn call(_: &mut State, _: &[u8]) -> Vec<u8> {
    failed(ErrorDetail::denied("capability denied: network:outbound"))
}

/// The answer with this error and nothing else.
pub(super) fn failed(error: ErrorDetail) -> Vec<u8> {
    let connected = false;
    serde_json::to_vec(&Answer { connected, error }).unwrap_or_default()
}
