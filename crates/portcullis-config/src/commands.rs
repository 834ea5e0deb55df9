//! The commands that a plugin offers, and the host that it needs, as its manifest says.

use schemars::JsonSchema;
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::error::ConfigCode;
use crate::raw::{Text, Texts};
use crate::reader::Reader;
use crate::source::At;

/// Characters that the reason for an ask may have: what a person reads at once.
const MAX_REASON: usize = 140;
/// Bytes that the name of a command may have.
const MAX_NAME: usize = 64;
/// The version of this host, which is that of all its crates.
const THIS_HOST: &str = env!("CARGO_PKG_VERSION");

/// One thing the plugin does, by the name under which it is called.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct CommandTable {
    /// What it is called by: 1 to 64 letters, digits, `_` or `-`, starting with a letter or digit.
    name: Text,
    /// What it does, in one line.
    description: Option<Text>,
    /// Arguments that are put before those it is called with. Default: none.
    args: Option<Texts>,
}

/// One thing a plugin does, by the name under which it is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PluginCommand {
    /// What it is called by.
    pub name: String,
    /// What it does, in one line; not filtered for terminals.
    pub description: Option<String>,
    /// Arguments that are put before those it is called with.
    pub args: Vec<String>,
}

impl Reader<'_> {
    /// Reads the commands, and tells of every one that has no name of its own.
    pub(crate) fn commands(&mut self, tables: &[At<CommandTable>]) -> Vec<PluginCommand> {
        let mut commands: Vec<PluginCommand> = Vec::new();
        for table in tables {
            let name = table.name.as_str();
            if !is_name(name) {
                let message = format!(
                    "`{}` is no name of a command: 1 to {MAX_NAME} letters, digits, `_` or `-`, starting with a letter or digit",
                    name.escape_debug()
                );
                self.wrong(ConfigCode::Value, &table.name, message);
            }
            if commands.iter().any(|command| command.name == name) {
                let message = format!("two commands are called `{}`", name.escape_debug());
                self.wrong(ConfigCode::Duplicate, &table.name, message);
            }
            let owned = |text: &Text| (**text).clone();
            commands.push(PluginCommand {
                name: owned(&table.name),
                description: table.description.as_ref().map(owned),
                args: table
                    .args
                    .iter()
                    .flat_map(|args| args.iter().map(owned))
                    .collect(),
            });
        }
        commands
    }

    /// Refuses a plugin that needs a later host than this one.
    pub(crate) fn minimum_host(&mut self, version: &Text) -> Option<Version> {
        let read = Version::parse(version).map_err(|error| {
            format!(
                "`{}` is no version such as `0.1.0`: {error}",
                version.escape_debug()
            )
        });
        let minimum = self.take(ConfigCode::Value, version, read)?;
        if Version::parse(THIS_HOST).is_ok_and(|host| host < minimum) {
            let message =
                format!("the plugin needs Portcullis {minimum} or later, and this is {THIS_HOST}");
            self.wrong(ConfigCode::Host, version, message);
        }
        Some(minimum)
    }

    /// Tells of a reason that nobody gave, or nobody would read.
    pub(crate) fn reason(&mut self, reason: &Text) {
        if reason.trim().is_empty() {
            self.wrong(ConfigCode::Value, reason, "`reason` is empty");
        }
        let length = reason.chars().count();
        if length > MAX_REASON {
            let message = format!(
                "`reason` has {length} characters, and may have {MAX_REASON}: one line that a person reads"
            );
            self.wrong(ConfigCode::Value, reason, message);
        }
    }
}

pub(crate) fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    name.len() <= MAX_NAME
        && name.chars().all(plain)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
}
