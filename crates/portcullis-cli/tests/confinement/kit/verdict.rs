//! The judgement: a control without confinement, a control with the grant, and the act itself.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use super::{
    case::{Case, Expect, Grant, Layer, Prepare, Tier, Truth},
    machine::{User, is_root},
    run::{Line, Outcome, Ran, base_policy, write_policy},
    scene::Scene,
};

/// What a case came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As expected; what was seen, in the words of the table.
    Holds(String),
    /// The act was not stopped as it had to be, or not by the error that was expected.
    Broken(String),
    /// A control failed: what the case seems to show, it does not.
    Invalid(String),
    /// This kernel has nothing to attack, or this user cannot set the scene.
    Without(String),
}

/// One run of the act.
struct Attempt {
    ran: Ran,
    effect: bool,
}

/// Which rights the act is tried with.
#[derive(Clone, Copy)]
enum With {
    Nothing,
    Grant(Tier),
    NoGrant(Tier),
}

/// Judges a case in a tier, as a user.
pub(crate) fn judge(case: &'static Case, tier: Tier, user: User) -> Verdict {
    let expected = case.expected(tier, user == User::Root);
    if expected == Expect::Absent {
        return Verdict::Holds(expected.to_string());
    }
    match known_control(case, user) {
        Verdict::Holds(_) => {}
        other => return other,
    }
    let stopped = !matches!(expected, Expect::Open | Expect::NotStarted);
    if !matches!(case.grant, Grant::Never) && stopped {
        let granted = attempt(case, user, With::Grant(tier));
        if !granted.ran.is_ok() || !granted.effect {
            return Verdict::Invalid(said("with the grant it does not succeed", &granted));
        }
    }
    negative(case, tier, user, expected)
}

/// The control of a case and user, tried once for all tiers.
pub(crate) fn known_control(case: &'static Case, user: User) -> Verdict {
    static KNOWN: Mutex<BTreeMap<(&'static str, User), Verdict>> = Mutex::new(BTreeMap::new());
    let lock = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let found = lock().get(&(case.number, user)).cloned();
    found.unwrap_or_else(|| {
        let verdict = control(case, user);
        lock().insert((case.number, user), verdict.clone());
        verdict
    })
}

/// The act without any confinement, which has to succeed and to show outside.
fn control(case: &Case, user: User) -> Verdict {
    if let Some(reason) = cannot_be_set(case) {
        return Verdict::Without(reason.to_owned());
    }
    let actor = if case.needs_root { User::Root } else { user };
    let free = attempt(case, actor, With::Nothing);
    if case.missing.is_some_and(|error| free.ran.error() == error) {
        let error = free.ran.error();
        return Verdict::Without(format!("this kernel has no such thing ({error})"));
    }
    if free.ran.is_ok() && free.effect {
        Verdict::Holds("control".to_owned())
    } else {
        Verdict::Invalid(said("unconfined it does not succeed", &free))
    }
}

fn negative(case: &Case, tier: Tier, user: User, expected: Expect) -> Verdict {
    let tried = attempt(case, user, With::NoGrant(tier));
    let holds = match expected {
        Expect::Refused(error) => tried.ran.error() == error && !tried.effect,
        Expect::Own if case.truth == Truth::Answer => tried.ran.is_ok(),
        Expect::Own => tried.ran.is_ok() && !tried.effect,
        Expect::Open => tried.ran.is_ok() && tried.effect,
        Expect::NotStarted => matches!(tried.ran.outcome(), Outcome::Silent) && !tried.effect,
        Expect::AsFull | Expect::Absent => unreachable!("resolved before"),
    };
    if holds {
        Verdict::Holds(expected.to_string())
    } else {
        Verdict::Broken(said(&format!("expected {expected}"), &tried))
    }
}

/// Whether an act came through a wall with holes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "asked only by the tests of layers")]
pub(crate) enum Through {
    Yes,
    /// With what was seen instead.
    No(String),
    /// The act cannot be tried here.
    Untried,
}

/// Tries an act with layers left out, with no judgement of how it was refused.
#[allow(dead_code, reason = "asked only by the tests of layers")]
pub(crate) fn gets_through(
    case: &'static Case,
    tier: Tier,
    user: User,
    without: &[Layer],
) -> Through {
    if !matches!(known_control(case, user), Verdict::Holds(_)) {
        return Through::Untried;
    }
    let tried = attempt_without(case, user, With::NoGrant(tier), without);
    if tried.ran.is_ok() && tried.effect {
        Through::Yes
    } else {
        Through::No(said("it is stopped", &tried))
    }
}

/// The variable by which a build that can leave layers out is told which.
pub(crate) const LEAVE_OUT: &str = "PORTCULLIS_ABLATE";

fn leave_out(scene: &mut Scene, layers: &[Layer]) {
    let names: Vec<_> = layers.iter().map(|layer| layer.name()).collect();
    if !names.is_empty() {
        scene.set_environment(LEAVE_OUT, &names.join(","));
    }
}

fn attempt(case: &Case, user: User, with: With) -> Attempt {
    attempt_without(case, user, with, &[])
}

fn attempt_without(case: &Case, user: User, with: With, without: &[Layer]) -> Attempt {
    let mut scene = Scene::new(user, case.prepare);
    leave_out(&mut scene, without);
    let line = match with {
        With::Nothing => Line::direct(&scene, case.free_act.unwrap_or(case.act)),
        With::Grant(tier) | With::NoGrant(tier) => {
            let base = base_policy(&scene, case.prepare);
            let policy = if matches!(with, With::Grant(_)) {
                base.with(&scene, case.grant)
            } else {
                base.with(&scene, case.given).without(case.grant)
            };
            write_policy(&scene, &policy, tier);
            Line::confined(&scene, &[case.act])
        }
    };
    let before = scene.trace(case.truth);
    let ran = line.run(&scene, user);
    let effect = scene.had_effect(case.truth, &before, &ran);
    Attempt { ran, effect }
}

/// Why the scene cannot be set by this run.
fn cannot_be_set(case: &Case) -> Option<&'static str> {
    if is_root() {
        None
    } else if case.needs_root {
        Some("only root can do it unconfined, and this is not root")
    } else if case.prepare == Prepare::SetId {
        Some("only root can make a program of somebody else's")
    } else {
        None
    }
}

fn said(what: &str, attempt: &Attempt) -> String {
    let Attempt { ran, effect } = attempt;
    let effect = if *effect {
        "with an effect outside"
    } else {
        "without effect outside"
    };
    format!("{what}: {} {effect}\n{}", ran.error(), ran.text)
}
