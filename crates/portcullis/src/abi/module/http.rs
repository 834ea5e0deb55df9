//! `http_send`: a request of the plugin's own, as `portcullis:cli/http`.

use std::time::Duration;

use serde::Serialize;

use super::ask::{Ask, Bytes};
use super::wire::http::Send;
use crate::abi::http::Error;
use crate::capability::http::HttpAsk;
use crate::state::State;

/// What came back.
#[derive(Serialize)]
pub(super) struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    body: Bytes,
    truncated: bool,
}

impl Ask for Send {
    const NAME: &'static str = "http_send";
    type Answer = Response;
    type Error = Error;

    async fn act(self, state: &mut State) -> Result<Response, Error> {
        let ask = HttpAsk {
            method: self.method,
            url: self.url,
            headers: self.headers.0,
            body: self.body.map(|body| body.0).unwrap_or_default(),
        };
        let sent = state.gate.http(ask);
        let answer = match self.timeout.map(Duration::from_nanos) {
            // Dropped, a request that is under way leaves the line that it was given up.
            Some(timeout) => tokio::time::timeout(timeout, sent).await,
            None => Ok(sent.await),
        };
        let answer = answer.map_err(|_| Error::TimedOut)??;
        Ok(Response {
            status: answer.status,
            headers: answer.headers,
            body: Bytes(answer.body),
            truncated: answer.truncated,
        })
    }
}
