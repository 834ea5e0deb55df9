//! The user's git identity, read once.

use std::path::{Path, PathBuf};

use portcullis_policy::HostEnvironment;

use super::git_file::Entry;
use super::git_identity::{git_environment, read_user_config};

/// What commands learn of the user's git configuration; see [`git_environment`].
///
/// # Defaults
/// Nothing.
#[derive(Clone, Debug, Default)]
pub struct GitIdentity(Vec<Entry>);

impl GitIdentity {
    /// Reads `$XDG_CONFIG_HOME/git/config` and `$HOME/.gitconfig`, as git does.
    ///
    /// # Authority
    /// Ambient: reads the user's own files.
    pub fn read(env: &HostEnvironment) -> Self {
        let absolute = |name: &str| {
            env.get(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let home = absolute("HOME");
        let config = absolute("XDG_CONFIG_HOME");
        let config = config.or_else(|| home.as_ref().map(|home| home.join(".config")));
        let files = [
            config.map(|config| config.join("git/config")),
            home.map(|home| home.join(".gitconfig")),
        ];
        let files = files.iter().flatten();
        Self(files.flat_map(|file| read_user_config(file)).collect())
    }

    /// The variables that pass it on, with the directories that were granted.
    pub(crate) fn environment<'a>(
        &self,
        roots: impl IntoIterator<Item = &'a Path>,
    ) -> Vec<(String, String)> {
        git_environment(&self.0, roots)
    }
}
