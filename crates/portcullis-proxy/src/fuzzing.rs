//! One client without a socket, for a harness that tries hostile ones.

use std::sync::Arc;

use portcullis_policy::{HostRule, HostRules};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::client_hello::{self, Peek};
use crate::gate::Gate;
use crate::{ProxyOptions, http, socks};

/// Serves one client of HTTP, or of SOCKS, until it ends.
pub async fn serve(
    client: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    socks: bool,
    rules: Vec<HostRule>,
    options: ProxyOptions,
) {
    let gate = Arc::new(Gate {
        rules: HostRules::from(rules),
        options,
        budget: None,
    });
    if socks {
        socks::serve(client, &gate).await;
    } else {
        http::serve(client, &gate).await;
    }
}

/// What the first bytes of a client are taken for, in words; `None` while that cannot be told.
#[must_use]
pub fn first_bytes(bytes: &[u8]) -> Option<String> {
    match client_hello::peek(bytes) {
        Peek::More => None,
        known => Some(format!("{known:?}")),
    }
}
