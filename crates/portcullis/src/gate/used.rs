//! What the guest does itself, by a capability other than `exec`: the steps that all of them have.
//!
//! A use begins with [`Gate::begin`] and is decided by [`Gate::authorize`]. What changes something outside is written down
//! before it is done ([`Gate::before`]) and when it is done ([`Gate::done`]); what only tells the guest something
//! is written down before the guest is told ([`Gate::told`]).

use std::time::Instant;

use portcullis_audit::{self as audit, Effect, Event, Masked};
use portcullis_policy::{
    Authorized, Capability, Code, Decision, Denial, GuestError, Origin, Request, RuleId, decide,
};

use super::records::{About, Lines, Unwritten, rule};
use super::{Gate, Refused};
use crate::rates::per_minute;

/// One use of a capability.
#[derive(Debug)]
pub(crate) struct Use {
    call: u64,
    capability: Capability,
    function: &'static str,
    object: Masked,
    began: Instant,
}

impl Gate {
    /// Counts a use, which a rate may not leave room for.
    ///
    /// # Errors
    /// The plugin calls this too often, or the trail cannot be written.
    pub(crate) fn begin(
        &mut self,
        capability: Capability,
        function: &'static str,
        object: Masked,
    ) -> Result<Use, Refused> {
        match self.begin_unless_full(capability, function, object) {
            Ok(used) => Ok(used),
            Err(used) => {
                let denial = self.too_often(&used);
                Err(self.refused(&used, denial)?)
            }
        }
    }

    /// As [`begin`](Self::begin), but nothing is written down of a use for which a rate leaves no room: it is the error.
    pub(crate) fn begin_unless_full(
        &mut self,
        capability: Capability,
        function: &'static str,
        object: Masked,
    ) -> Result<Use, Use> {
        let used = self.uncounted(capability, function, object);
        let (rates, limits) = (&self.parts.rates, &self.parts.grants.limits);
        if rates.take(limits, capability, function, used.began) {
            Ok(used)
        } else {
            Err(used)
        }
    }

    /// Counts a use that is not written down, unless a rate leaves no room for it.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub(crate) fn count(
        &mut self,
        capability: Capability,
        function: &'static str,
        object: &str,
    ) -> Result<(), Refused> {
        let (rates, limits) = (&self.parts.rates, &self.parts.grants.limits);
        if rates.take(limits, capability, function, Instant::now()) {
            return Ok(());
        }
        let used = self.uncounted(capability, function, Masked::new(object));
        let denial = self.too_often(&used);
        Err(self.refused(&used, denial)?)
    }

    /// A use that counts against no rate.
    pub(crate) fn uncounted(
        &mut self,
        capability: Capability,
        function: &'static str,
        object: Masked,
    ) -> Use {
        self.calls += 1;
        Use {
            call: self.calls,
            capability,
            function,
            object,
            began: Instant::now(),
        }
    }

    /// Writes down that a rate left no room, and what came of it. The operator is told of it in another way.
    ///
    /// # Errors
    /// The trail cannot be written.
    pub(crate) fn full(&mut self, used: &Use, what: String) -> Result<(), GuestError> {
        let mut denial = self.too_often(used);
        denial.notes.push(what);
        let written = self.lines(used.call).decided_use(used, Err(&denial), None);
        self.closed_without(written)
    }

    /// Decides on what the guest asks for. A denial is written down.
    ///
    /// # Errors
    /// Policy does not allow it, or the trail cannot be written.
    pub(crate) fn authorize<R: Request>(
        &mut self,
        used: &Use,
        request: R,
    ) -> Result<Authorized<R>, Refused> {
        match decide(&self.parts.grants, request) {
            Decision::Allow(authorized) => Ok(authorized),
            Decision::Ask { denial, .. } | Decision::Deny(denial) => {
                Err(self.refused(used, *denial)?)
            }
        }
    }

    /// Writes a denial down and gives what the guest learns of it.
    ///
    /// # Errors
    /// The trail cannot be written.
    pub(crate) fn refused(&mut self, used: &Use, denial: Denial) -> Result<Refused, GuestError> {
        let written = self.lines(used.call).decided_use(used, Err(&denial), None);
        self.denied(written, denial)
    }

    /// Writes down that something outside is about to be changed.
    ///
    /// # Errors
    /// The trail cannot be written, and so it may not be done.
    pub(crate) fn before(&mut self, used: &Use, rule: Rule<'_>) -> Result<(), Refused> {
        let written = self.lines(used.call).decided_use(used, Ok(rule), None);
        Ok(self.closed_without(written)?)
    }

    /// Writes down what came of what was [allowed before](Self::before).
    ///
    /// # Errors
    /// The trail cannot be written: the guest is not told.
    pub(crate) fn done(&mut self, used: &Use, effect: Effect) -> Result<(), Refused> {
        let written = self.lines(used.call).done(used.timed(effect));
        Ok(self.closed_without(written)?)
    }

    /// Writes down what the guest is about to be told.
    ///
    /// # Errors
    /// The trail cannot be written: the guest is not told.
    pub(crate) fn told(
        &mut self,
        used: &Use,
        rule: Rule<'_>,
        effect: Effect,
    ) -> Result<(), Refused> {
        let effect = used.timed(effect);
        let written = self
            .lines(used.call)
            .decided_use(used, Ok(rule), Some(effect));
        Ok(self.closed_without(written)?)
    }

    fn too_often(&self, used: &Use) -> Denial {
        let (limit, key) = per_minute(&self.parts.grants.limits, used.capability);
        let function = format!("{}.{}", used.capability, used.function);
        Denial {
            code: Code::LimitCalls,
            plugin: self.parts.grants.plugin.clone(),
            capability: used.capability,
            action: format!("call `{function}` now"),
            object: function,
            notes: vec![format!(
                "it was called {limit} times within a minute (`limits.{key}`)"
            )],
            remedies: Vec::new(),
            rule: None,
            guest: GuestError::Limit,
        }
    }
}

/// The rule that allows a use, and its line; where the grant has no rules, its key.
type Rule<'a> = Option<&'a (RuleId, Origin)>;

impl Use {
    /// Says what it is about, where that costs more than counting it.
    pub(crate) fn is_about(&mut self, object: Masked) {
        self.object = object;
    }

    /// When it began.
    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    fn timed(&self, effect: Effect) -> Effect {
        Effect {
            duration_us: u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX),
            ..effect
        }
    }
}

impl Lines {
    fn decided_use(
        &self,
        used: &Use,
        verdict: Result<Rule<'_>, &Denial>,
        effect: Option<Effect>,
    ) -> Result<(), Unwritten> {
        let about = About {
            capability: used.capability,
            function: Some(used.function),
            object: &used.object,
        };
        self.decided(about, verdict.map(|allowing| allowing.map(rule)), effect)
    }

    fn done(&self, effect: Effect) -> Result<(), Unwritten> {
        self.append(&Event::Done(audit::Done {
            run: self.run.to_string(),
            call: self.call,
            effect,
        }))
    }
}
