//! `http_send`.

use serde::Deserialize;

use super::{Base64, List};

/// `http_send`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Send {
    /// Such as `GET`.
    pub method: String,
    /// All of it, with its scheme.
    pub url: String,
    /// Names and values, in their order.
    #[serde(default)]
    pub headers: List<(String, String)>,
    /// What is sent after the headers.
    #[serde(default)]
    pub body: Option<Base64>,
    /// Nanoseconds, if it is to be less than policy says.
    #[serde(default)]
    pub timeout: Option<u64>,
}
