use std::fmt;

use serde::Serialize;

/// The name an operator gives a plugin in a policy: the key of every grant.
///
/// # Shapes and units
/// 1 to 128 characters of `A-Z a-z 0-9 . _ -`, the first a letter or a digit. No path, no whitespace, nothing
/// that a terminal or a file name would treat specially.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct PluginId(String);

/// A name that cannot be a plugin id.
#[derive(Debug, thiserror::Error)]
#[error("`{}` is not a plugin id: 1 to 128 letters, digits, `.`, `_` or `-`, starting with a letter or digit", .0.escape_debug())]
pub struct InvalidPluginId(String);

impl PluginId {
    /// Checks and takes a name.
    ///
    /// # Errors
    /// [`InvalidPluginId`] when the name has another shape.
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidPluginId> {
        let name = name.into();
        let shape = name.len() <= 128
            && name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
        if shape {
            Ok(Self(name))
        } else {
            Err(InvalidPluginId(name))
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PluginId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::PluginId;

    #[test]
    fn ids_are_plain_names() {
        for good in ["aws-tools", "a", "9lives", "A.b_c", &"x".repeat(128)] {
            assert!(PluginId::new(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "-a",
            ".hidden",
            "a/b",
            "a b",
            "a\u{202e}b",
            "a\n",
            &"x".repeat(129),
        ] {
            assert!(PluginId::new(bad).is_err(), "{bad:?}");
        }
    }
}
