//! Which commands have a cache in common: those of one plugin that run one program by the same rules, with the same
//! rights and with variables of the same names.

use std::path::Path;

use portcullis_policy::{
    Authorized, ChildRights, Confinement, ExecRequest, PluginId, Program, RuleId,
};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::CacheOwner;

/// Changes when what is hashed changes its meaning.
const FORMAT: u32 = 1;

/// Everything that two commands have to have in common.
#[derive(Debug, Serialize)]
pub(crate) struct Scope<'a> {
    format: u32,
    plugin: &'a PluginId,
    digest: &'a str,
    /// As it was found, and by which name it is called: one file may be several programs.
    program: &'a Path,
    name: &'a str,
    interpreter: Option<&'a Path>,
    rules: &'a [RuleId],
    confinement: Confinement,
    rights: ChildRights,
    /// A command that is given a secret has nothing from one that was not.
    variables: Vec<&'a str>,
}

/// What `about.json` says.
#[derive(Serialize)]
struct About<'a> {
    plugin: &'a PluginId,
    program: &'a Path,
    rules: &'a [RuleId],
}

impl<'a> Scope<'a> {
    /// The scope of a command; `None` for one without a program.
    pub(crate) fn of(
        owner: &'a CacheOwner,
        authorized: &'a Authorized<ExecRequest>,
    ) -> Option<Self> {
        let (request, terms) = (authorized.request(), authorized.terms());
        let Program::Found(found) = &request.found else {
            return None;
        };
        let names = terms.environment.vars.iter();
        let mut variables: Vec<_> = names.map(|(name, _)| &**name).collect();
        variables.sort_unstable();
        let interpreter = found.interpreter.as_ref();
        Some(Self {
            format: FORMAT,
            plugin: &owner.plugin,
            digest: &owner.digest,
            program: &found.path,
            name: request.program.base_name(),
            interpreter: interpreter.map(|interpreter| interpreter.path.as_path()),
            rules: &terms.rules,
            confinement: terms.confinement,
            rights: ChildRights {
                // How much it may use says nothing about what it may do.
                cache: None,
                memory: None,
                processes: None,
                ..terms.rights.clone()
            },
            variables,
        })
    }

    pub(super) fn plugin(&self) -> &str {
        self.plugin.as_str()
    }

    /// A name for the scope that no other has.
    ///
    /// # Errors
    /// When a path is no UTF-8.
    pub(super) fn key(&self) -> serde_json::Result<String> {
        let digest = Sha256::digest(serde_json::to_vec(self)?);
        Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// What a person is told of it.
    pub(super) fn about(&self) -> serde_json::Result<String> {
        serde_json::to_string(&About {
            plugin: self.plugin,
            program: self.program,
            rules: self.rules,
        })
    }
}
