//! Why a plugin cannot be had from where it is said to be.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use portcullis_policy::{Digest, shown};

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal,)+) => {
        /// The stable code of a [`FetchError`]. A code never changes its meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum FetchCode { $($(#[doc = $doc])+ $name,)+ }

        impl FetchCode {
            /// Every code, in order.
            pub const ALL: &'static [FetchCode] = &[$(FetchCode::$name,)+];

            /// The code as it is printed: `P0851`.
            pub const fn as_str(self) -> &'static str {
                match self { $(FetchCode::$name => $code,)+ }
            }

            /// The page that `portcullis explain <code>` prints.
            pub const fn page(self) -> &'static str {
                match self { $(FetchCode::$name => concat!($($doc, "\n",)+),)+ }
            }
        }
    };
}

codes! {
    /// This is no place that plugins come from.
    ///
    /// A source is a file, the directory of a plugin, `https://…#sha256=<digits>`, `oci://host/repository:tag` or
    /// `oci://host/repository@sha256:<digits>`. No URL has a user name or a password.
    Source = "P0851",
    /// The plugin's files cannot be read.
    ///
    /// Check the path, and that you may read what is there.
    Unreadable = "P0852",
    /// What is there is not laid out as a plugin.
    ///
    /// A directory has the file that its `plugin.toml` names under `component`, or `clawft.plugin.json` under `wasm_module`,
    /// or one called like the directory, with `.wasm`. It lies in the directory; links and special files are not read.
    Package = "P0853",
    /// A plugin is read from a URL only with the digest of what is expected.
    ///
    /// Whoever serves the file could exchange it. Write `#sha256=` and the digest that its author published after the URL,
    /// or use `--digest`.
    NoDigest = "P0854",
    /// What was read has another digest than was named.
    ///
    /// It was damaged on the way, exchanged, or is another version. Nothing of it is used. Ask its author for the digest; do
    /// not take the one in the message for it.
    Digest = "P0855",
    /// A file is larger than it may be.
    ///
    /// A component has at most 128 MiB, a manifest 64 KiB. What is larger is not read to its end.
    TooLarge = "P0856",
}

impl fmt::Display for FetchCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a plugin could not be read. What others wrote is escaped and cut in the text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The text is no source.
    #[error("`{}` is no source of plugins: {}", shown(.text), shown(.why))]
    Source {
        /// The text.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// A file or directory cannot be read.
    #[error("cannot read `{}`", shown(&.path.to_string_lossy()))]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is there is no plugin.
    #[error("`{}` is no plugin: {}", shown(.from), shown(.why))]
    Package {
        /// From where.
        from: String,
        /// What is wrong with it.
        why: String,
    },
    /// The digest of what is behind a URL was not named.
    #[error("`{}` is not read without the digest of what is expected", shown(.url))]
    NoDigest {
        /// The URL.
        url: String,
    },
    /// What was read has another digest.
    #[error("`{}` is {found}, and was to be {expected}", shown(.what))]
    Digest {
        /// What was read.
        what: String,
        /// The digest that was named.
        expected: Digest,
        /// That of what was read.
        found: Digest,
    },
    /// Something is larger than it may be.
    #[error("`{}` has more than {limit} bytes", shown(.what))]
    TooLarge {
        /// What.
        what: String,
        /// Bytes it may have.
        limit: u64,
    },
}

impl FetchError {
    /// The stable code.
    pub const fn code(&self) -> FetchCode {
        match self {
            Self::Source { .. } => FetchCode::Source,
            Self::Unreadable { .. } => FetchCode::Unreadable,
            Self::Package { .. } => FetchCode::Package,
            Self::NoDigest { .. } => FetchCode::NoDigest,
            Self::Digest { .. } => FetchCode::Digest,
            Self::TooLarge { .. } => FetchCode::TooLarge,
        }
    }

    pub(crate) fn read(path: &Path, source: io::Error) -> Self {
        Self::Unreadable {
            path: path.to_owned(),
            source,
        }
    }
}
