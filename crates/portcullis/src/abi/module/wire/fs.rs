//! `fs_*`.

use serde::Deserialize;

use super::Base64;

/// `fs_read`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// As the guest names it.
    pub path: String,
}

/// `fs_write`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Write {
    /// As the guest names it.
    pub path: String,
    /// All of what is to be in it.
    pub content: Base64,
}

/// `fs_entries`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entries {
    /// As the guest names it.
    pub path: String,
}

/// `fs_stat`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stat {
    /// As the guest names it.
    pub path: String,
}

/// `fs_make_directory`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MakeDirectory {
    /// As the guest names it.
    pub path: String,
}

/// `fs_remove`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remove {
    /// As the guest names it.
    pub path: String,
}

/// `fs_rename`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rename {
    /// As the guest names it.
    pub from: String,
    /// The name it gets.
    pub to: String,
}
