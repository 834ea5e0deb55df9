use serde::Serialize;

use portcullis_policy::{Denial, Remedy};

/// What happened, for a person: one shape for every error of the host, so that the terminal, the JSON and the log use
/// the same words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// The stable code, `P0xxx`.
    pub code: &'static str,
    /// One clause with the subject first, lower case, no final period.
    pub message: String,
    /// More facts.
    pub notes: Vec<String>,
    /// The smallest changes that would help.
    pub helps: Vec<Remedy>,
    /// The lines in which a guest's language told of its error, escaped. They went to the guest's standard error as well.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trace: Vec<String>,
}

impl Diagnostic {
    pub(crate) fn new(code: &'static str, message: String) -> Self {
        Self {
            code,
            message,
            notes: Vec::new(),
            helps: Vec::new(),
            trace: Vec::new(),
        }
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    pub(crate) fn help(mut self, text: impl Into<String>) -> Self {
        self.helps.push(Remedy {
            text: text.into(),
            command: None,
        });
        self
    }
}

impl From<&Denial> for Diagnostic {
    fn from(denial: &Denial) -> Self {
        Self {
            code: denial.code.as_str(),
            message: denial.headline(),
            notes: denial.notes.clone(),
            helps: denial.remedies.clone(),
            trace: Vec::new(),
        }
    }
}
