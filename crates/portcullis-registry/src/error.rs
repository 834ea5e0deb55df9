use std::path::PathBuf;

use portcullis_kv::KvError;
use portcullis_private::PrivateError;

/// Why installed plugins cannot be looked at or changed. Nothing is changed then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The directory, or a file in it, is not ours alone.
    #[error(transparent)]
    Private(#[from] PrivateError),
    /// The rows cannot be used.
    #[error(transparent)]
    Rows(#[from] KvError),
    /// A row is not as this crate writes it.
    #[error("what is known of the installed plugin `{name}` is damaged: {why}")]
    Damaged {
        /// The name of the row.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// The file of a plugin is not what was installed.
    #[error(
        "the content of `{name}` is not what was installed: it has the SHA-256 `{found}`, not `{expected}`"
    )]
    Tampered {
        /// The plugin.
        name: String,
        /// What was installed.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The file of a plugin is gone.
    #[error("the content of `{name}` is gone from `{}`", .path.display())]
    Gone {
        /// The plugin.
        name: String,
        /// Where it was kept.
        path: PathBuf,
    },
    /// A plugin is called by this already, by its name or by that of a command, in whatever case it is written.
    #[error(
        "plugin `{other}`, installed from `{source_of}`, is called by `{name}`; two plugins cannot have one name"
    )]
    Taken {
        /// What both are called by.
        name: String,
        /// The one that is there.
        other: String,
        /// Where it came from.
        source_of: String,
    },
    /// Somebody changed the row since it was looked at.
    #[error("plugin `{name}` was changed by another command meanwhile")]
    Changed {
        /// The plugin.
        name: String,
    },
    /// The disk is full.
    #[error("no space is left for `{}`", .path.display())]
    NoSpace {
        /// What was to be written.
        path: PathBuf,
    },
    /// The system refused.
    #[error("failed to {action} `{}`", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The system has no random bytes.
    #[error("failed to draw random bytes: {0}")]
    Random(String),
}

impl RegistryError {
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Self::NoSpace { path }
            }
            _ => Self::Io {
                action,
                path,
                source,
            },
        }
    }
}
