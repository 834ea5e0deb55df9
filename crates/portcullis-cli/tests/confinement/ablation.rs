//! Every layer carries load: left out, something gets through that it had stopped.
//!
//! `cargo test -p portcullis-cli --features ablation --test ablation`. Only a build with that feature can leave layers
//! out; a release cannot have it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(
    clippy::print_stdout,
    reason = "what cannot be tried is told to whoever runs the tests"
)]
#![allow(
    dead_code,
    reason = "the cases and their kit are those of the confinement tests"
)]

mod cases;
mod kit;

use std::process::ExitCode;

use kit::{
    case::{Case, Expect, Layer, Tier},
    machine::{User, machine},
    verdict::{Through, gets_through},
};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let cases = cases::all();
    let mut trials = vec![
        Trial::test("nothing_gets_through_where_no_layer_is_left_out", whole),
        Trial::test("this_build_can_leave_layers_out", can_leave_out),
    ];
    for case in cases.iter().copied().filter(|case| is_stopped(case)) {
        let name = format!("case {} {}", case.number, case.title);
        trials.push(Trial::test(name, move || falls(case)));
    }
    for layer in Layer::ALL {
        let name = format!("layer {} carries a case by itself", layer.name());
        trials.push(Trial::test(name, move || carries(layer)));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    if !arguments.list {
        machine().remove();
    }
    conclusion.exit_code()
}

/// Whether the full tier stops it by layers of the cell.
fn is_stopped(case: &Case) -> bool {
    !case.leans.is_empty() && !matches!(case.full, Expect::Open | Expect::Absent)
}

/// Tries a case with layers left out: whether any user gets through. Untried where this machine has no such thing.
fn through(case: &'static Case, without: &[Layer]) -> Through {
    let mut stopped = Vec::new();
    for &user in User::available() {
        match gets_through(case, Tier::Full, user, without) {
            Through::Yes => return Through::Yes,
            Through::No(seen) => stopped.push(format!("{}: {seen}", user.name())),
            Through::Untried => {}
        }
    }
    if stopped.is_empty() {
        Through::Untried
    } else {
        Through::No(stopped.join("\n"))
    }
}

fn first_case() -> &'static Case {
    cases::all()[0]
}

fn whole() -> Result<(), Failed> {
    match through(first_case(), &[]) {
        Through::No(_) => Ok(()),
        other => Err(format!("{other:?}").into()),
    }
}

/// Without this every other trial would fail for the wrong reason, or pass for none.
fn can_leave_out() -> Result<(), Failed> {
    match through(first_case(), &Layer::ALL) {
        Through::Yes => Ok(()),
        other => Err(format!("INVALID: this build leaves nothing out: {other:?}").into()),
    }
}

/// All layers that the case leans on left out, the act succeeds: nothing else stopped it, and it is no empty case.
fn falls(case: &'static Case) -> Result<(), Failed> {
    match through(case, case.leans) {
        Through::Yes => Ok(()),
        Through::No(seen) => {
            let layers: Vec<_> = case.leans.iter().map(|layer| layer.name()).collect();
            Err(format!("without {layers:?}, too: {seen}").into())
        }
        Through::Untried => {
            println!(
                "SKIP ablation case {}: this machine has no such thing",
                case.number
            );
            Ok(())
        }
    }
}

/// One layer left out, at least one case that leans on it gets through.
fn carries(layer: Layer) -> Result<(), Failed> {
    let leaning = cases::all()
        .into_iter()
        .filter(|case| case.leans.contains(&layer) && is_stopped(case));
    // Those that lean on nothing else first: one is enough.
    let mut leaning: Vec<_> = leaning.collect();
    leaning.sort_by_key(|case| case.leans.len());
    if leaning
        .iter()
        .any(|case| through(case, &[layer]) == Through::Yes)
    {
        Ok(())
    } else {
        Err(format!("nothing gets through without `{}` alone", layer.name()).into())
    }
}
