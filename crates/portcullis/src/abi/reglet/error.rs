//! Why a request has no answer, as Reglet's SDK reads it: always an object. Where one of Reglet's hosts sends a text
//! instead, its own SDK cannot read the answer at all.

use serde::Serialize;

/// An error in an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct ErrorDetail {
    pub(super) message: String,
    /// The kind, in a word.
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) code: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_timeout: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_not_found: bool,
}

impl ErrorDetail {
    pub(super) fn new(kind: &'static str, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            kind,
            code,
            ..Self::default()
        }
    }

    /// Policy does not allow it.
    pub(super) fn denied(why: &str) -> Self {
        Self::new(
            "capability",
            "CAPABILITY_DENIED",
            format!("permission denied: {why}"),
        )
    }

    /// There is no such request.
    pub(super) fn invalid(why: impl Into<String>) -> Self {
        Self::new("validation", "INVALID_REQUEST", why)
    }

    /// It is no request at all.
    pub(super) fn malformed(why: impl std::fmt::Display) -> Self {
        Self::new("internal", "", format!("failed to parse request: {why}"))
    }

    /// Its time was over.
    pub(super) fn timed_out(why: &str) -> Self {
        Self {
            is_timeout: true,
            ..Self::new("timeout", "ETIMEDOUT", why)
        }
    }

    /// The guest gave it up before it asked.
    pub(super) fn canceled() -> Self {
        Self::new("execution", "", "context canceled")
    }
}
