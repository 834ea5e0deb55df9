//! `prompt_*`.

use serde::Deserialize;

use super::List;

/// `prompt_text`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// What the operator answers it by beforehand.
    pub id: String,
    /// The question.
    pub message: String,
    /// What an empty line means.
    #[serde(default)]
    pub default: Option<String>,
}

/// `prompt_confirm`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirm {
    /// What the operator answers it by beforehand.
    pub id: String,
    /// The question.
    pub message: String,
    /// What an empty line means.
    pub default: bool,
}

/// `prompt_choose`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choose {
    /// What the operator answers it by beforehand.
    pub id: String,
    /// The question.
    pub message: String,
    /// What there is to choose from.
    pub options: List<String>,
    /// The place of what an empty line means.
    #[serde(default)]
    pub default: Option<u32>,
}

/// `prompt_choose_some`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChooseSome {
    /// What the operator answers it by beforehand.
    pub id: String,
    /// The question.
    pub message: String,
    /// What there is to choose from.
    pub options: List<String>,
    /// The places of what an empty line means.
    #[serde(default)]
    pub defaults: List<u32>,
}
