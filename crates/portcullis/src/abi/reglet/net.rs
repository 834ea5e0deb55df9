//! What requests of names, connections and mail servers have in common.

use serde::{Deserialize, Serialize};

use super::error::ErrorDetail;
use crate::capability::net::{NetFailure, TlsFacts};

/// A port: digits as every SDK sends it, or a number as one of Reglet's hosts has it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Port {
    Text(String),
    Number(u64),
}

impl Port {
    /// 0 for what is no port, which no policy allows.
    pub(super) fn number(port: Option<&Self>) -> u16 {
        let number = match port {
            Some(Self::Text(text)) => text.parse().ok(),
            Some(Self::Number(number)) => u16::try_from(*number).ok(),
            None => None,
        };
        number.unwrap_or_default()
    }
}

/// What a server said of itself in TLS, if it was spoken; `tls_cert_expiry` is what one of Reglet's hosts calls it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Tls {
    tls: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    tls_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    tls_cipher_suite: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    tls_server_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    tls_cert_subject: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    tls_cert_issuer: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    tls_cert_not_after: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    tls_cert_expiry: String,
}

impl Tls {
    pub(super) fn told(facts: Option<TlsFacts>) -> Self {
        let Some(facts) = facts else {
            return Self::default();
        };
        Self {
            tls: true,
            tls_version: facts.version,
            tls_cipher_suite: facts.cipher_suite,
            tls_server_name: facts.server_name,
            tls_cert_subject: facts.subject,
            tls_cert_issuer: facts.issuer,
            tls_cert_expiry: facts.not_after.clone(),
            tls_cert_not_after: facts.not_after,
        }
    }
}

/// What a guest learns of it: what it asked with, and how it failed; not what a name that is refused stands for.
///
/// `code` is that of a failure of this kind of request.
pub(super) fn refusal(failure: NetFailure, code: &'static str) -> ErrorDetail {
    match failure {
        NetFailure::Denied(object) => {
            ErrorDetail::denied(&format!("capability denied: network:outbound:{object}"))
        }
        NetFailure::Address(object) => ErrorDetail::new(
            "ssrf_protection",
            "SSRF_BLOCKED",
            format!("permission denied: private or reserved address: {object}"),
        ),
        NetFailure::Invalid(why) => ErrorDetail::new("config", "INVALID_REQUEST", why),
        NetFailure::Rate => ErrorDetail::new(
            "network",
            "RATE_LIMITED",
            "too many requests within a minute",
        ),
        NetFailure::TimedOut => ErrorDetail {
            code: "TIMEOUT",
            ..ErrorDetail::timed_out("request timed out")
        },
        NetFailure::NotFound(why) => ErrorDetail {
            is_not_found: true,
            ..ErrorDetail::new("network", code, why)
        },
        NetFailure::Io(why) => ErrorDetail::new("network", code, why),
        NetFailure::Unready(_) | NetFailure::Closed => {
            ErrorDetail::new("internal", "", "the request failed")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    #[test]
    fn a_port_comes_as_text_or_as_a_number() {
        for (value, number) in [
            (json!("25"), 25),
            (json!(25), 25),
            (json!("65536"), 0),
            (json!(65536), 0),
            (json!("smtp"), 0),
            (json!("-1"), 0),
            (json!(""), 0),
        ] {
            let port: Port = from_value(value).unwrap();
            assert_eq!(Port::number(Some(&port)), number, "{port:?}");
        }
        assert_eq!(Port::number(None), 0);
        assert!(from_value::<Port>(json!(2.5)).is_err());
    }
}
