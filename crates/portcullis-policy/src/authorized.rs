use std::time::Duration;

use crate::{ChildRights, Confinement, Environment, Origin, Request, RuleId};

/// A request that was decided on, and the terms it was allowed under.
///
/// Its fields are private and only [`decide`](crate::decide) makes one: code that never asked cannot act, because it
/// does not compile. It is neither `Clone` nor `Default`: one decision, one act.
///
/// ```
/// use portcullis_policy::{Authorized, ExecRequest, ExecTerms};
/// fn act(allowed: Authorized<ExecRequest>) -> (ExecRequest, ExecTerms) {
///     (allowed.request().clone(), allowed.terms().clone())
/// }
/// ```
///
/// ```compile_fail,E0451
/// use portcullis_policy::{Authorized, ExecRequest, ExecTerms};
/// fn forge(request: ExecRequest, terms: ExecTerms) -> Authorized<ExecRequest> {
///     Authorized { request, terms }
/// }
/// ```
#[derive(Debug)]
pub struct Authorized<R: Request> {
    request: R,
    terms: R::Terms,
}

impl<R: Request> Authorized<R> {
    pub(crate) fn new(request: R, terms: R::Terms) -> Self {
        Self { request, terms }
    }

    /// What was asked.
    pub fn request(&self) -> &R {
        &self.request
    }

    /// What was allowed.
    pub fn terms(&self) -> &R::Terms {
        &self.terms
    }
}

/// The terms under which a command may run: the intersection of all rules that allow it, and the plugin's limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecTerms {
    /// The rules that allow it, sorted by name; empty when any program is allowed.
    pub rules: Vec<RuleId>,
    /// The rules of the ceiling that leave it, if there is one, with their lines.
    pub ceiling: Vec<(RuleId, Origin)>,
    /// The child's whole environment, and what was left out of it.
    pub environment: Environment,
    /// Wall-clock time.
    pub timeout: Duration,
    /// Time between SIGTERM and SIGKILL, part of `timeout`.
    pub term_grace: Duration,
    /// Bytes of each output stream that are kept.
    pub output: u64,
    /// Bytes of each output stream that may be passed on without being kept, where a rule says so.
    pub streamed: Option<u64>,
    /// How the kernel has to enforce it; the strongest that a rule asks for.
    pub confinement: Confinement,
    /// What the command, and everything it starts, may reach. Wishes under [`Confinement::Limits`].
    pub rights: ChildRights,
    /// Keys of the rules that only the kernel could enforce and that are not in force under this confinement.
    pub not_in_force: Vec<&'static str>,
}
