//! `dns_lookup`: what a name stands for. No grant gives a plugin names to look up, so each is refused.

use serde::Serialize;

use super::error::ErrorDetail;
use crate::state::State;

#[derive(Debug, Serialize)]
struct Answer {
    records: [String; 0],
    error: ErrorDetail,
}

/// Says in an answer why there is none.
#[expect(clippy::unused_async, reason = "as the other requests")]
pub(super) async fn call(_: &mut State, _: &[u8]) -> Vec<u8> {
    failed(ErrorDetail::denied(
        "capability denied: network:outbound:53",
    ))
}

/// The answer with this error and nothing else.
pub(super) fn failed(error: ErrorDetail) -> Vec<u8> {
    let records = [];
    serde_json::to_vec(&Answer { records, error }).unwrap_or_default()
}
