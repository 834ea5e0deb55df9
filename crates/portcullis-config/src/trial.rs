//! `[[plugins.exec.test]]`: commands that the rules must allow or deny, tried on the function that decides.

use std::path::{Path, PathBuf};

use portcullis_policy::{
    Cwd, Decision, ExecRequest, FileId, Found, Grants, HostEnvironment, PluginId, Program,
    ProgramRef, decide,
};

use crate::error::{ConfigCode, ConfigError};
use crate::raw::{Test, Texts};
use crate::reader::Reader;
use crate::source::At;

/// One command of a test.
#[derive(Debug)]
pub(crate) struct Trial {
    plugin: PluginId,
    program: ProgramRef,
    args: Vec<String>,
    allowed: bool,
    /// The mistake to report when the rules do something else.
    failure: ConfigError,
}

/// Reads the commands of one test.
pub(crate) fn read(reader: &mut Reader<'_>, plugin: &PluginId, test: &At<Test>) -> Vec<Trial> {
    let allow = test.allow.iter().map(|command| (command, true));
    let deny = test.deny.iter().map(|command| (command, false));
    allow
        .chain(deny)
        .filter_map(|(command, allowed)| one(reader, plugin, command, allowed))
        .collect()
}

fn one(
    reader: &mut Reader<'_>,
    plugin: &PluginId,
    command: &Texts,
    allowed: bool,
) -> Option<Trial> {
    let Some((program, args)) = command.split_first() else {
        reader.wrong(
            ConfigCode::Value,
            command,
            "a command of a test is a program and its arguments",
        );
        return None;
    };
    let program = reader.program(program, program)?;
    let args: Vec<String> = args.iter().map(|arg| (**arg).clone()).collect();
    let words: Vec<_> = command.iter().map(|word| word.as_str()).collect();
    let (must, does) = if allowed {
        ("allow", "do not")
    } else {
        ("deny", "allow it")
    };
    let message = format!("the rules must {must} {words:?}, and {does}");
    let failure = reader.error(ConfigCode::Test, command, message);
    Some(Trial {
        plugin: plugin.clone(),
        program,
        args,
        allowed,
        failure,
    })
}

impl Trial {
    /// The failure, unless the rules do what the test says.
    pub(crate) fn run(self, grants: &Grants) -> Option<ConfigError> {
        debug_assert_eq!(grants.plugin, self.plugin);
        match allows(grants, &self.program, &self.args) {
            Ok(()) if self.allowed => None,
            Ok(()) => Some(self.failure),
            Err(notes) if self.allowed => {
                Some(notes.into_iter().fold(self.failure, ConfigError::note))
            }
            Err(_) => None,
        }
    }

    pub(crate) fn plugin(&self) -> &PluginId {
        &self.plugin
    }
}

/// Whether the rules allow a command, wherever it would be found and however it would be confined.
///
/// # Errors
/// What a denial would say.
pub(crate) fn allows(
    grants: &Grants,
    program: &ProgramRef,
    args: &[String],
) -> Result<(), Vec<String>> {
    match decide(grants, request(grants, program, args)) {
        Decision::Allow(_) => Ok(()),
        // The last note of a denial repeats the request.
        Decision::Ask { denial, .. } | Decision::Deny(denial) => {
            Err(denial.notes.into_iter().take(1).collect())
        }
    }
}

fn request(grants: &Grants, program: &ProgramRef, args: &[String]) -> ExecRequest {
    ExecRequest {
        program: program.clone(),
        found: Program::Found(found(grants, program)),
        args: args.to_vec(),
        arg_paths: Vec::new(),
        cwd: Cwd::Project(PathBuf::from("/")),
        env: Vec::new(),
        inherit_env: false,
        host_env: HostEnvironment::default(),
        stdin: false,
        inherit_output: false,
    }
}

/// The program as if it were installed: a name and its path on the search path are one file.
fn found(grants: &Grants, program: &ProgramRef) -> Found {
    let dirs = grants
        .exec
        .as_ref()
        .map(|exec| exec.search_path.as_slice())
        .unwrap_or_default();
    let on_search_path = |path: &Path| {
        path.parent()
            .is_some_and(|dir| dirs.iter().any(|known| known == dir))
    };
    let mut same_as = vec![program.clone()];
    let rules = grants
        .exec
        .iter()
        .flat_map(|exec| exec.allow.iter().chain(&exec.deny));
    let about: Vec<_> = rules
        .filter(|rule| rule.program.base_name() == program.base_name())
        .collect();
    for rule in &about {
        let same = match (&rule.program, program) {
            (ProgramRef::Path(path), ProgramRef::Name(_))
            | (ProgramRef::Name(_), ProgramRef::Path(path)) => on_search_path(path),
            (ProgramRef::Name(_), ProgramRef::Name(_))
            | (ProgramRef::Path(_), ProgramRef::Path(_)) => false,
        };
        if same && !same_as.contains(&rule.program) {
            same_as.push(rule.program.clone());
        }
    }
    let path = match program {
        ProgramRef::Name(name) => dirs
            .first()
            .map_or(PathBuf::from("/usr/bin"), PathBuf::clone)
            .join(name),
        ProgramRef::Path(path) => path.clone(),
    };
    let sha256 = about.iter().find_map(|rule| rule.sha256);
    Found {
        path,
        file: FileId { dev: 0, ino: 0 },
        same_as,
        sha256,
        interpreter: None,
    }
}
