//! `http-request`: what a plugin of clawft is told of a request. The texts are a contract.

use super::host::Text;
use crate::capability::http::{HttpAsk, HttpFailure};
use crate::state::State;

/// The body of whatever came back: neither its status nor its headers reach the plugin, so a redirect or an error of the
/// server is an answer like any other.
pub(super) async fn request(state: &mut State, ask: HttpAsk) -> Text<String> {
    let answered = state.gate.http(ask).await;
    let answer = answered.map_err(told)?;
    let body = answer.into_text();
    body.ok_or_else(|| "response error: body is not valid UTF-8".to_owned())
}

/// What is in a text is what the plugin asked with: neither what a name resolved to, nor why a server was not reached.
fn told(failure: HttpFailure) -> String {
    match failure {
        HttpFailure::NotGranted => "network access not permitted".to_owned(),
        HttpFailure::InvalidUrl(why) => format!("invalid URL: {why}"),
        HttpFailure::Scheme(scheme) => format!("scheme not allowed: {scheme}"),
        HttpFailure::HostNotAllowed(host) => format!("host not in network allowlist: {host}"),
        HttpFailure::Request => "request not in network allowlist: method or path".to_owned(),
        HttpFailure::Address(host) => format!("request to private/reserved IP denied: {host}"),
        HttpFailure::Method => "method not allowed".to_owned(),
        HttpFailure::Header(name) => format!("header not allowed: {name}"),
        HttpFailure::HeadTooLarge { max } => format!("request headers too large: max {max} bytes"),
        HttpFailure::BodyTooLarge { bytes, max } => {
            format!("request body too large: {bytes} bytes, max {max}")
        }
        HttpFailure::Rate => "rate limit exceeded: HTTP requests".to_owned(),
        HttpFailure::TimedOut => "request timed out".to_owned(),
        HttpFailure::Secret(_)
        | HttpFailure::NoSecret(_)
        | HttpFailure::Io(_)
        | HttpFailure::Closed => "request failed".to_owned(),
    }
}
