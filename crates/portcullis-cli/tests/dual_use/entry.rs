//! The table of programs: data in `programs/*.toml`, one file a category.
//!
//! Written from the programs' own manuals. In arguments, input and files a name between two `@` is replaced, see
//! [`crate::scene::Scene`].

use crate::power::{Power, Powers};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Where Debian puts programs; `/usr/local` and the search path of whoever runs the tests do not count.
pub(crate) const DIRECTORIES: [&str; 3] = ["/usr/bin", "/bin", "/usr/sbin"];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Category {
    category: String,
    program: BTreeMap<String, Entry>,
}

/// A program, and how it is made to run the native payload.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    #[serde(skip)]
    pub(crate) name: String,
    #[serde(skip)]
    pub(crate) category: String,
    /// The Debian package that has it.
    pub(crate) package: String,
    /// Whether its package is too large to be installed for every run: it is tried where it is installed.
    #[serde(default)]
    pub(crate) heavy: bool,
    /// Whether it refuses to run for a user that has no name.
    #[serde(default)]
    pub(crate) named: bool,
    /// What the native payload can do where the program itself holds it back, besides running; all if it is not said.
    #[serde(default = "all")]
    gains: Powers,
    /// Where its own configuration lies, which an operator grants so that it works at all.
    #[serde(default)]
    pub(crate) read: Vec<PathBuf>,
    /// Arguments after the program.
    #[serde(default)]
    pub(crate) args: Vec<String>,
    /// Standard input; none is an empty one.
    #[serde(default)]
    pub(crate) stdin: String,
    /// Files in the working directory, executable.
    #[serde(default)]
    pub(crate) files: BTreeMap<String, String>,
    /// The payload in the program's own language, where it has one.
    pub(crate) own: Option<Own>,
}

/// A payload in a program's own language, so that no other program is needed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Own {
    /// A file of `payload/`.
    pub(crate) script: String,
    /// Arguments after the program.
    pub(crate) args: Vec<String>,
    /// What the language can do besides running, all if it is not said. Unconfined it must do exactly this much.
    #[serde(default = "all")]
    gains: Powers,
}

fn all() -> Powers {
    Power::ALL.into()
}

/// One of the two ways to use a program.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Payload {
    /// The program starts ours.
    Native,
    /// The program's language does it.
    Own,
}

impl Entry {
    /// The program's file, if it is installed.
    pub(crate) fn program(&self) -> Option<PathBuf> {
        DIRECTORIES
            .iter()
            .map(|directory| Path::new(directory).join(&self.name))
            .find(|path| path.is_file())
    }

    /// The payloads it has.
    pub(crate) fn payloads(&self) -> Vec<Payload> {
        let own = self.own.as_ref().map(|_| Payload::Own);
        [Payload::Native].into_iter().chain(own).collect()
    }

    /// Arguments for a payload.
    pub(crate) fn args(&self, payload: Payload) -> &[String] {
        match (payload, &self.own) {
            (Payload::Own, Some(own)) => &own.args,
            _ => &self.args,
        }
    }

    /// What a payload must gain where nothing confines it.
    pub(crate) fn gains(&self, payload: Payload) -> Powers {
        let mut gains = match (payload, &self.own) {
            (Payload::Own, Some(own)) => own.gains.clone(),
            _ => self.gains.clone(),
        };
        gains.insert(Power::RunCode);
        gains
    }
}

/// Reads the whole table, ordered by category and name.
///
/// # Errors
/// A file that cannot be read or does not parse.
pub(crate) fn load() -> Result<Vec<Entry>, Box<dyn std::error::Error>> {
    let mut entries = Vec::new();
    for file in fs::read_dir(directory().join("programs"))? {
        let path = file?.path();
        let category: Category = toml::from_str(&fs::read_to_string(&path)?)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        entries.extend(category.program.into_iter().map(|(name, entry)| Entry {
            name,
            category: category.category.clone(),
            ..entry
        }));
    }
    entries.sort_by(|a, b| (&a.category, &a.name).cmp(&(&b.category, &b.name)));
    Ok(entries)
}

/// The directory of this test.
pub(crate) fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dual_use")
}
