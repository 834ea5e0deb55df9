//! What the guest does itself, by a capability other than `exec`: the steps that all of them have.
//!
//! A use begins with [`Gate::begin`] and is decided by [`Gate::authorize`]. What changes something outside is written down
//! before it is done ([`Gate::before`]) and when it is done ([`Gate::done`]); what only tells the guest something
//! is written down before the guest is told ([`Gate::told`]).

use std::time::Instant;

use portcullis_audit::{self as audit, Effect, Event, Masked, Verdict};
use portcullis_policy::{
    Authorized, Capability, Code, Decision, Denial, GuestError, Origin, Request, RuleId, decide,
};

use super::records::Lines;
use super::{Gate, Refused};

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
        self.calls += 1;
        let began = Instant::now();
        let used = Use {
            call: self.calls,
            capability,
            function,
            object,
            began,
        };
        let (rates, limits) = (&self.parts.rates, &self.parts.grants.limits);
        match rates.take(limits, capability, function, began) {
            Ok(()) => Ok(used),
            Err(limit) => {
                let denial = self.too_often(&used, limit);
                Err(self.refused(&used, denial)?)
            }
        }
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
        let written = self.lines(used.call).refused_use(used, &denial);
        self.closed_without(written)?;
        let refused = Refused {
            guest: denial.guest,
            code: Some(denial.code),
        };
        self.activity.denial(denial);
        Ok(refused)
    }

    /// Writes down that something outside is about to be changed.
    ///
    /// # Errors
    /// The trail cannot be written, and so it may not be done.
    pub(crate) fn before(&mut self, used: &Use, rule: Rule<'_>) -> Result<(), Refused> {
        let written = self.lines(used.call).allowed_use(used, rule, None);
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
        let written = self.lines(used.call).allowed_use(used, rule, Some(effect));
        Ok(self.closed_without(written)?)
    }

    fn too_often(&self, used: &Use, limit: u32) -> Denial {
        let key = match used.capability {
            Capability::Http => "http_per_minute",
            Capability::Log => "log_per_minute",
            Capability::Exec
            | Capability::Fs
            | Capability::Env
            | Capability::Kv
            | Capability::Prompt
            | Capability::Metadata => "calls_per_minute",
        };
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
type Rule<'a> = Option<(&'a RuleId, &'a Origin)>;

impl Use {
    fn timed(&self, effect: Effect) -> Effect {
        Effect {
            duration_us: u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX),
            ..effect
        }
    }
}

impl Lines {
    fn decision_on(&self, used: &Use) -> audit::Decision {
        audit::Decision {
            run: self.run.to_string(),
            call: self.call,
            plugin: self.parts.grants.plugin.to_string(),
            capability: used.capability.name().to_owned(),
            function: Some(used.function.to_owned()),
            object: used.object.clone(),
            verdict: Verdict::Allow,
            rule: None,
            code: None,
            reason: None,
            effect: None,
        }
    }

    fn refused_use(&self, used: &Use, denial: &Denial) -> Result<(), super::Unwritten> {
        let rule = denial.rule.as_ref();
        self.append(&Event::Decision(audit::Decision {
            verdict: Verdict::Deny,
            rule: rule.map(|(id, origin)| written(id, origin)),
            code: Some(denial.code.to_string()),
            reason: Some(Masked::new(&denial.notes.join("; "))),
            ..self.decision_on(used)
        }))
    }

    fn allowed_use(
        &self,
        used: &Use,
        rule: Rule<'_>,
        effect: Option<Effect>,
    ) -> Result<(), super::Unwritten> {
        self.append(&Event::Decision(audit::Decision {
            rule: rule.map(|(id, origin)| written(id, origin)),
            effect,
            ..self.decision_on(used)
        }))
    }

    fn done(&self, effect: Effect) -> Result<(), super::Unwritten> {
        self.append(&Event::Done(audit::Done {
            run: self.run.to_string(),
            call: self.call,
            effect,
        }))
    }
}

fn written(id: &RuleId, origin: &Origin) -> audit::Rule {
    audit::Rule {
        id: id.to_string(),
        origin: origin.to_string(),
    }
}
