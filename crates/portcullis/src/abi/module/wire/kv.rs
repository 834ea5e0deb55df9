//! `kv_*`.

use serde::Deserialize;

use super::Base64;

/// `kv_get`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Get {
    /// What the value is kept under.
    pub key: String,
}

/// `kv_set`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Set {
    /// What the value is kept under.
    pub key: String,
    /// What is to be kept.
    pub value: Base64,
}

/// `kv_delete`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delete {
    /// What the value is kept under.
    pub key: String,
}

/// `kv_list`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// What all of them begin with.
    #[serde(default)]
    pub prefix: String,
    /// The last one of the page before.
    #[serde(default)]
    pub after: Option<String>,
    /// How many at most.
    pub limit: u32,
}

/// `kv_compare_and_swap`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Swap {
    /// What the value is kept under.
    pub key: String,
    /// What has to be there; nothing: no value.
    #[serde(default)]
    pub expected: Option<Base64>,
    /// What is to be kept.
    pub value: Base64,
}
