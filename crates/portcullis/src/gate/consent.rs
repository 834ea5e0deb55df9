//! What becomes of a command that no rule is about, in `dev` mode.

use std::sync::Arc;

use portcullis_audit::{self as audit, Masked};
use portcullis_policy::{
    Decision, Denial, ExecRequest, ExecTerms, Grants, GuestError, ProgramRule, RuleId, decide,
};

use super::Gate;
use crate::consent::{Answer, Consent, Question};

/// Refusals after which an instance is not asked about any more: who asks often enough finds somebody tired.
const REFUSALS: u32 = 3;

/// The answers so far.
#[derive(Debug, Default)]
pub(super) struct Answers {
    refused: u32,
    /// Every rule that an answer became, also those for one command.
    pub(super) rules: Vec<ProgramRule>,
}

/// A command that an answer would allow.
struct Offer {
    rule: ProgramRule,
    /// The grants with the rule.
    grants: Grants,
    terms: ExecTerms,
}

impl Gate {
    /// Has a person asked, if the decision is to ask, and decides again with the answer. Never `Ask`.
    pub(super) async fn consented(
        &mut self,
        call: u64,
        object: &Masked,
        decision: Decision<ExecRequest>,
    ) -> Result<Decision<ExecRequest>, GuestError> {
        let Decision::Ask { request, denial } = decision else {
            return Ok(decision);
        };
        let Some(offer) = self.offer(&request, call) else {
            return Ok(Decision::Deny(denial));
        };
        let Some(consent) = self.parts.asker.consent.clone() else {
            return Ok(unasked(denial, "this application asks nobody"));
        };
        if self.answers.refused >= REFUSALS {
            let why = format!("after {REFUSALS} refusals nothing more is asked in this run");
            return Ok(unasked(denial, &why));
        }
        let answer = self.ask(&*consent, &request, &offer).await;
        let (answered, lasts) = match answer {
            Answer::Unasked(why) => return Ok(unasked(denial, &why)),
            Answer::No => {
                self.answers.refused += 1;
                self.record_answer(call, object, audit::Answer::No)?;
                return Ok(refused(denial));
            }
            Answer::Once => (audit::Answer::Once, false),
            Answer::Run => (audit::Answer::Run, true),
            Answer::Always => (audit::Answer::Always, true),
        };
        self.record_answer(call, object, answered)?;
        self.answers.rules.push(offer.rule);
        let decision = decide(&offer.grants, request);
        if lasts {
            self.grants = Arc::new(offer.grants);
        }
        Ok(match decision {
            Decision::Ask { denial, .. } => Decision::Deny(denial),
            decided => decided,
        })
    }

    /// What an answer would allow; nothing where the command would be refused all the same.
    fn offer(&self, request: &ExecRequest, call: u64) -> Option<Offer> {
        let rule = ProgramRule::exactly(request, RuleId(format!("answer-{call}")))?;
        let mut grants = Grants::clone(&self.grants);
        grants.exec.as_mut()?.allow.push(rule.clone());
        match decide(&grants, request.clone()) {
            Decision::Allow(authorized) => Some(Offer {
                rule,
                terms: authorized.terms().clone(),
                grants,
            }),
            Decision::Ask { .. } | Decision::Deny(_) => None,
        }
    }

    async fn ask(&self, consent: &dyn Consent, request: &ExecRequest, offer: &Offer) -> Answer {
        // Waiting for one's turn is waiting for the person too.
        let _stopped = self.clock.stop();
        let _turn = self.parts.asker.turn.lock().await;
        consent
            .ask(Question {
                grants: &self.grants,
                request,
                rule: &offer.rule,
                terms: &offer.terms,
            })
            .await
    }

    /// The rule that a decision names in the trail.
    pub(super) fn rule(&self, id: &RuleId) -> audit::Rule {
        let rules = self.grants.exec.iter().flat_map(|exec| &exec.allow);
        let rule = rules.chain(&self.answers.rules).find(|rule| rule.id == *id);
        audit::Rule {
            id: id.to_string(),
            origin: rule.map(|rule| rule.origin.to_string()).unwrap_or_default(),
        }
    }

    fn record_answer(
        &mut self,
        call: u64,
        object: &Masked,
        answer: audit::Answer,
    ) -> Result<(), GuestError> {
        let written = self.lines(call).answer(object, answer);
        self.closed_without(written)
    }
}

fn unasked(mut denial: Box<Denial>, why: &str) -> Decision<ExecRequest> {
    let note = format!("mode `dev` asks for what no rule matches, and nobody was asked: {why}");
    denial.notes.push(note);
    Decision::Deny(denial)
}

fn refused(mut denial: Box<Denial>) -> Decision<ExecRequest> {
    denial
        .notes
        .push("you were asked, and did not allow it".to_owned());
    Decision::Deny(denial)
}
