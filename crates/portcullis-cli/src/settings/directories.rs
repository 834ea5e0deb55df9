//! Where Portcullis keeps what is its own, after the XDG base directory specification.

use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::trust;
use crate::code;
use crate::failure::{Failure, Result, Say, diagnostic};

/// Files and directories of Portcullis. They need not exist.
#[derive(Clone, Debug)]
pub(crate) struct Directories {
    /// The user's home, for `~` in policies.
    pub(crate) home: Option<PathBuf>,
    /// The user's own policy file.
    pub(crate) policy: PathBuf,
    /// Configuration: `$XDG_CONFIG_HOME/portcullis`.
    pub(crate) config: PathBuf,
    /// Keys and kept heads: `$XDG_DATA_HOME/portcullis`.
    pub(crate) data: PathBuf,
    /// Compiled code: `$XDG_CACHE_HOME/portcullis`.
    pub(crate) cache: PathBuf,
    /// The state of plugins: below the data directory, which no grant reaches.
    pub(crate) state: PathBuf,
    /// The audit trail: `$XDG_STATE_HOME/portcullis/audit`.
    pub(crate) audit: PathBuf,
}

const OWN: &str = "portcullis";
/// The name of a policy file.
pub(crate) const POLICY_FILE: &str = "portcullis.toml";

impl Directories {
    /// The caches of commands: below the data directory, which no grant reaches.
    pub(crate) fn commands(&self) -> PathBuf {
        self.data.join("caches")
    }

    /// The installed plugins: below the data directory, which no grant reaches.
    pub(crate) fn plugins(&self) -> PathBuf {
        self.data.join("plugins")
    }

    /// What staged runs change.
    pub(crate) fn stages(&self) -> PathBuf {
        self.data.join("stages")
    }

    /// Finds them for a run in `project`; `data_dir` is the operator's own choice and needs no variable.
    ///
    /// # Errors
    /// When a variable names a place that is not believed, or none says where the home is.
    pub(crate) fn find(env: &Environment, project: &Path, data_dir: Option<&Path>) -> Result<Self> {
        let home = match env.path("HOME") {
            Some(home) => Some(trust::home(home, env.user, project)?),
            None => None,
        };
        let tree = trust::working_tree(project, home.as_deref());
        let place =
            |variable: &str, path: &Path| trust::place(variable, path, env.user, tree.as_deref());
        let base = |variable: &str, below: &str| match (env.path(variable), &home) {
            (Some(path), _) => place(variable, path).map(|dir| dir.join(OWN)),
            (None, Some(home)) => Ok(home.join(below).join(OWN)),
            (None, None) => Err(Failure::usage(
                diagnostic(
                    code::VARIABLE,
                    format!("neither `{variable}` nor `HOME` is set"),
                )
                .help("set `HOME` to the home directory"),
            )),
        };
        let config = base("XDG_CONFIG_HOME", ".config")?;
        let data = match (data_dir, env.path("PORTCULLIS_DATA_DIR")) {
            (Some(dir), _) => env.cwd.join(dir),
            (None, Some(dir)) => place("PORTCULLIS_DATA_DIR", dir)?,
            (None, None) => base("XDG_DATA_HOME", ".local/share")?,
        };
        let policy = match env.path("PORTCULLIS_CONFIG") {
            Some(file) => place("PORTCULLIS_CONFIG", file)?,
            None => config.join(POLICY_FILE),
        };
        let cache = base("XDG_CACHE_HOME", ".cache")?;
        let audit = base("XDG_STATE_HOME", ".local/state")?.join("audit");
        Ok(Self {
            home,
            policy,
            config,
            state: data.join("kv"),
            data,
            cache,
            audit,
        })
    }
}
