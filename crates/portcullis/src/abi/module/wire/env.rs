//! `env_get`.

use serde::Deserialize;

/// `env_get`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Get {
    /// The name of the variable.
    pub name: String,
}
