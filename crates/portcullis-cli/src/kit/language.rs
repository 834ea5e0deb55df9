//! The languages that plugins are made of by `portcullis new` and `portcullis build`.

use std::path::Path;

use clap::ValueEnum;

/// A language with an SDK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lowercase")]
pub(crate) enum Language {
    Rust,
    Go,
    Python,
    #[value(alias = "js")]
    JavaScript,
    C,
}

impl Language {
    const ALL: [Self; 5] = [
        Self::Rust,
        Self::Go,
        Self::Python,
        Self::JavaScript,
        Self::C,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::Go => "Go",
            Self::Python => "Python",
            Self::JavaScript => "JavaScript",
            Self::C => "C",
        }
    }

    /// The file by which a plugin's directory is known to be of this language.
    pub(crate) const fn mark(self) -> &'static str {
        match self {
            Self::Rust => "Cargo.toml",
            Self::Go => "go.mod",
            Self::Python => "plugin.py",
            Self::JavaScript => "plugin.js",
            Self::C => "plugin.c",
        }
    }

    /// What the plugin in a directory is written in.
    pub(crate) fn of(dir: &Path) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|language| dir.join(language.mark()).is_file())
    }

    /// The marks of all, for messages.
    pub(crate) fn marks() -> String {
        Self::ALL
            .map(|language| format!("`{}`", language.mark()))
            .join(", ")
    }
}
