//! An answer that is to hold in later runs: a rule in the user's own policy file, for this very plugin.

use std::path::{Path, PathBuf};

use portcullis_config::edit::{self, Edit, Right};
use portcullis_config::{Context, Manifest};
use portcullis_policy::{Decision, ExecRequest, Grants, PluginId, ProgramRule, decide};

use crate::commands::edit::{Change, edit_installed, load, prepare};
use crate::failure::{Failure, Report, Result};
use crate::settings::installed::Installed;
use crate::settings::{Environment, Settings};
use crate::target::Target;

/// Where answers of one plugin are kept.
#[derive(Debug)]
pub(crate) struct Keeper {
    plugin: PluginId,
    /// The plugin's file.
    path: PathBuf,
    sha256: [u8; 32],
    grants: Grants,
    manifest: Option<Manifest>,
    /// The user's own policy file, if this run reads it.
    file: Option<PathBuf>,
    /// Of an installed plugin: what is installed.
    installed: Option<Installed>,
    context: Context,
    env: Environment,
}

impl Keeper {
    /// For a plugin that was found and read. `reads_own`: whether the user's own policy file counts in this run.
    pub(crate) fn new(settings: &Settings, target: &Target, reads_own: bool) -> Self {
        let directories = &settings.directories;
        Self {
            plugin: target.entry.id.clone(),
            path: target.entry.path.clone(),
            sha256: target.digest,
            grants: target.entry.grants.clone(),
            manifest: target.manifest().cloned(),
            file: reads_own.then(|| directories.policy.clone()),
            installed: target.entry.installed.then(|| settings.installed.clone()),
            context: settings.context.clone(),
            env: settings.env.clone(),
        }
    }

    /// Where an answer would be kept, in words.
    pub(super) fn place(&self) -> Option<String> {
        let file = self.file.as_ref()?;
        Some(match &self.installed {
            Some(_) => "with the installed plugin".to_owned(),
            None => format!("in {}", file.display()),
        })
    }

    /// Whether the plugin itself asked for it: what its manifest does not name, no answer gives it.
    pub(super) fn is_asked_for(&self, request: &ExecRequest, rule: &ProgramRule) -> bool {
        let Some(manifest) = &self.manifest else {
            return true;
        };
        let mut grants = self.grants.clone();
        if let Some(exec) = &mut grants.exec {
            exec.allow = vec![rule.clone()];
        }
        let decision = decide(&manifest.restrict(grants), request.clone());
        matches!(decision, Decision::Allow(_))
    }

    /// Writes the rule down.
    ///
    /// # Errors
    /// Why it is not kept, as a clause. The file is as it was then.
    pub(super) fn keep(&self, rule: &ProgramRule) -> Result<(), String> {
        let Some(file) = &self.file else {
            return Err("this run does not read your own policy file".to_owned());
        };
        self.write(file, rule).map_err(|failure| why(&failure))
    }

    fn write(&self, file: &Path, rule: &ProgramRule) -> Result<()> {
        let right = Right::Answer(Box::new(ProgramRule {
            plugin_sha256: Some(self.sha256),
            ..rule.clone()
        }));
        if let Some(installed) = &self.installed {
            let id = self.plugin.clone();
            let edit = Edit {
                plugin: id,
                path: None,
                right,
            };
            return edit_installed(installed, &self.context, &edit, Change::Grant).map(drop);
        }
        prepare(file, &self.env)?;
        // By its path: another plugin may have the same id there.
        let entry = load(file, &self.context)?.plugin(&self.path.display().to_string())?;
        let edit = Edit {
            plugin: if entry.origin.is_some() {
                entry.id
            } else {
                self.plugin.clone()
            },
            path: entry
                .origin
                .is_none()
                .then(|| self.path.display().to_string()),
            right,
        };
        edit::update(file, |text| edit::grant(text, &edit, file, &self.context))?;
        Ok(())
    }
}

/// The first thing that is wrong, on one line.
fn why(failure: &Failure) -> String {
    match failure.reports.first() {
        Some(Report::Plain(report)) => match report.notes.first() {
            Some(note) => format!("{}: {note}", report.message),
            None => report.message.clone(),
        },
        Some(Report::File(error)) => format!("{}: {}", error.origin, error.message),
        None => "it cannot be written".to_owned(),
    }
}
