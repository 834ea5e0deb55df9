//! Why a verb could not do what it was asked: reports for a person, and an exit code.

use std::fmt::Display;
use std::io;
use std::path::Path;

use portcullis::{BuildError, Diagnostic, LoadError};
use portcullis_config::{ConfigError, ConfigErrors};
use portcullis_policy::{Cut, PluginId, Remedy};
use serde::Serialize;

use crate::code;
use crate::exit::Exit;

/// One thing that is wrong.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Report {
    /// Without a place in a file.
    Plain(Diagnostic),
    /// A mistake in a file, or in a flag.
    File(ConfigError),
}

/// Everything that is wrong, and how the process ends for it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) reports: Vec<Report>,
}

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// Wrong usage, a wrong file, a wrong environment.
    pub(crate) fn usage(diagnostic: Diagnostic) -> Self {
        Self {
            exit: Exit::USAGE,
            reports: vec![Report::Plain(diagnostic)],
        }
    }

    /// This machine cannot do it.
    pub(crate) fn unavailable(diagnostic: Diagnostic) -> Self {
        Self {
            exit: Exit::UNAVAILABLE,
            reports: vec![Report::Plain(diagnostic)],
        }
    }

    /// A file or directory cannot be used.
    pub(crate) fn unusable(verb: &str, path: &Path, why: &io::Error) -> Self {
        Self::usage(
            diagnostic(
                code::UNUSABLE,
                format!("cannot {verb} `{}`", path.display()),
            )
            .note(system(why)),
        )
    }

    /// Adds to its first report what to do.
    pub(crate) fn with_help(mut self, help: &str) -> Self {
        if let Some(Report::Plain(report)) = self.reports.first_mut() {
            *report = report.clone().help(help);
        }
        self
    }

    /// The audit trail cannot be used.
    pub(crate) fn audit(error: &dyn std::error::Error) -> Self {
        Self::unavailable(chain(code::AUDIT, error))
    }
}

/// A report without notes.
pub(crate) fn diagnostic(code: &'static str, message: impl Into<String>) -> Diagnostic {
    Diagnostic {
        code,
        message: message.into(),
        notes: Vec::new(),
        helps: Vec::new(),
        trace: Vec::new(),
    }
}

/// More to say in a report.
pub(crate) trait Say: Sized {
    /// Adds a fact.
    fn note(self, note: impl Display) -> Self;
    /// Adds what to do, in words.
    fn help(self, help: impl Display) -> Self;
}

impl Say for Diagnostic {
    fn note(mut self, note: impl Display) -> Self {
        self.notes.push(note.to_string());
        self
    }

    fn help(mut self, help: impl Display) -> Self {
        self.helps.push(Remedy {
            text: help.to_string(),
            command: None,
        });
        self
    }
}

/// An error with its causes as notes.
pub(crate) fn chain(code: &'static str, error: &dyn std::error::Error) -> Diagnostic {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(diagnostic(code, error.to_string()), |report, cause| {
        report.note(cause)
    })
}

/// What is not granted to a plugin after all.
pub(crate) fn above_ceiling(plugin: &PluginId, cut: &Cut) -> Diagnostic {
    let message = format!("plugin `{plugin}` may not {} after all", cut.what);
    let report = diagnostic(code::ABOVE_CEILING, message);
    let report = match &cut.granted {
        Some(origin) => report.note(format!("granted at {origin}")),
        None => report,
    };
    report.note(format!("it is above the ceiling ({})", cut.ceiling))
}

/// A system error without its number.
pub(crate) fn system(error: &io::Error) -> String {
    let text = error.to_string();
    let end = text.find(" (os error").unwrap_or(text.len());
    text[..end].to_lowercase()
}

impl From<ConfigErrors> for Failure {
    fn from(errors: ConfigErrors) -> Self {
        Self {
            exit: Exit::USAGE,
            reports: errors.0.into_iter().map(Report::File).collect(),
        }
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Executor { .. } => Self::unavailable(error.diagnostic()),
            _ => Self::usage(error.diagnostic()),
        }
    }
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::Project { .. } => Self::usage(chain(code::UNUSABLE, &error)),
            _ => Self::unavailable(chain(code::HOST, &error)),
        }
    }
}

/// From our own output.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self {
                exit: Exit::BROKEN_PIPE,
                reports: Vec::new(),
            };
        }
        Self::unavailable(diagnostic(code::OUTPUT, "cannot write the output").note(system(&error)))
    }
}
