//! From a decision to the line that says what became of it.

use portcullis_audit as audit;
use portcullis_exec::{Completed, ExecFailure};
use portcullis_policy::{Authorized, ExecRequest, ExecTerms};

use super::program_of;
use super::records::{Failure, Lines, Unwritten};
use crate::digest::Relayed;
use crate::trail::Running;

/// A command that was allowed. Dropped without an end, it leaves the line that it was given up.
pub(super) struct Begun {
    lines: Lines,
    program: String,
    terms: ExecTerms,
    pub(super) digests: [Option<Relayed>; 2],
    running: Running,
}

/// What became of a command, and whether that could be written down.
pub(super) struct Ended {
    pub(super) call: u64,
    pub(super) program: String,
    pub(super) terms: ExecTerms,
    pub(super) became: Result<Completed, Failure>,
    pub(super) written: Result<(), Unwritten>,
}

impl Begun {
    pub(super) fn new(lines: Lines, authorized: &Authorized<ExecRequest>) -> Self {
        let given_up: audit::Outcome = lines.given_up();
        Self {
            running: Running {
                trail: lines.parts.trail.clone(),
                given_up: Some(given_up),
            },
            lines,
            program: program_of(authorized.request()),
            terms: authorized.terms().clone(),
            digests: [None, None],
        }
    }

    /// Writes down what became of it.
    pub(super) fn ended(self, run: Result<Completed, ExecFailure>) -> Ended {
        let became = run
            .map_err(|failure| Failure::of(failure, &self.lines.parts, &self.program, &self.terms));
        self.became(became)
    }

    /// Writes down that it was not even tried.
    pub(super) fn failed(self, failure: Failure) -> Ended {
        self.became(Err(failure))
    }

    fn became(mut self, became: Result<Completed, Failure>) -> Ended {
        self.running.given_up = None;
        let dropped = &self.terms.environment.dropped;
        let written = self.lines.outcome(&became, dropped, self.digests);
        Ended {
            call: self.lines.call,
            program: self.program,
            terms: self.terms,
            became,
            written,
        }
    }
}
