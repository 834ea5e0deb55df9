//! The process as it was started: its environment and its user. The only place that looks.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use portcullis::Staged;
use portcullis_policy::{HostEnvironment, mentions_secret};

/// A snapshot of the environment.
#[derive(Clone, Debug)]
pub(crate) struct Environment {
    vars: Vec<(OsString, OsString)>,
    /// The directory the command was started in.
    pub(crate) cwd: PathBuf,
    /// The effective user.
    pub(crate) user: u32,
    /// The staging namespace that this process is in.
    pub(crate) staged: Option<Staged>,
}

impl Environment {
    /// Reads them once, before threads are made.
    pub(crate) fn of_process() -> std::io::Result<Self> {
        let cwd = std::env::current_dir()?;
        Ok(Self {
            vars: std::env::vars_os().collect(),
            cwd,
            user: rustix::process::geteuid().as_raw(),
            staged: None,
        })
    }

    /// One with nothing but a home, for tests.
    pub(crate) fn of_home(home: &Path, cwd: &Path) -> Self {
        Self {
            vars: vec![("HOME".into(), home.into())],
            cwd: cwd.to_owned(),
            user: rustix::process::geteuid().as_raw(),
            staged: None,
        }
    }

    /// A variable that is set and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&OsStr> {
        let found = self.vars.iter().find(|(key, _)| key == name);
        found
            .map(|(_, value)| value.as_os_str())
            .filter(|value| !value.is_empty())
    }

    /// As [`Self::get`], as a path.
    pub(crate) fn path(&self, name: &str) -> Option<&Path> {
        self.get(name).map(Path::new)
    }

    /// Whether a variable looks like a secret, by its name or its value.
    pub(crate) fn is_secret(&self, name: &str) -> bool {
        let value = self.get(name).map(OsStr::to_string_lossy);
        portcullis_policy::is_secret_name(name)
            || portcullis_audit::is_secret_name(name)
            || value.is_some_and(|value| {
                mentions_secret(&value) || !portcullis_audit::secrets(&value).is_empty()
            })
    }

    /// What policies may let through to children: names and values that are text.
    pub(crate) fn host(&self) -> HostEnvironment {
        let text = |(name, value): &(OsString, OsString)| {
            Some((name.to_str()?.to_owned(), value.to_str()?.to_owned()))
        };
        HostEnvironment::new(self.vars.iter().filter_map(text).collect())
    }
}
