//! Asking a person for what no rule says.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use portcullis_policy::{ExecRequest, ExecTerms, Grants, ProgramRule};

/// Asks a person whether a plugin may do what no rule is about, in `dev` mode.
///
/// A host asks one question at a time, and never for what a denial or a ceiling forbids, nor for a command that would be
/// refused for another reason. No clock runs while a question is open. Whatever is answered, the request is decided
/// again with the answer as one more rule.
///
/// An implementation is the only witness that a person was asked: text and bytes that plugins choose must not be able
/// to answer a question, nor to look like one.
pub trait Consent: fmt::Debug + Send + Sync {
    /// Asks, and waits for the answer.
    ///
    /// # Cancellation
    /// The future is dropped when the call is: the question is then withdrawn, and nothing was allowed.
    fn ask<'a>(
        &'a self,
        question: Question<'a>,
    ) -> Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;
}

/// What a person is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Who asks for it, and what it was granted so far.
    pub grants: &'a Grants,
    /// The command. Its program was found and opened, and this very file will run.
    pub request: &'a ExecRequest,
    /// What an answer that allows it becomes: this program with exactly these arguments.
    pub rule: &'a ProgramRule,
    /// What the command would have.
    pub terms: &'a ExecTerms,
}

/// What a person answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This one command.
    Once,
    /// This command, as long as the instance lives.
    Run,
    /// As [`Answer::Run`]; whoever asked has also kept the rule for later runs.
    Always,
    /// No. Three of them, and the instance is not asked about any more.
    No,
    /// Nobody could be asked, for this reason. It is told to the operator with the denial.
    Unasked(String),
}

/// Whom a host asks, one question at a time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asker {
    pub(crate) consent: Option<Arc<dyn Consent>>,
    pub(crate) turn: Arc<tokio::sync::Mutex<()>>,
}
