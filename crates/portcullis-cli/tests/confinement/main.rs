//! The wall, attacked: each case through a wasm guest and the shipped binary, as root and as an ordinary user.
//!
//! `cargo test -p portcullis-cli --test confinement` runs it; `PORTCULLIS_TABLE=write` writes the table of SECURITY.md
//! anew from what was measured.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(
    clippy::print_stdout,
    reason = "what cannot be tried is told to whoever runs the tests"
)]

mod cases;
mod kit;
mod scenarios;

use std::process::ExitCode;

use kit::{
    case::{Case, Layer, Tier},
    machine::{User, machine},
    results, table,
    verdict::{LEAVE_OUT, Verdict, judge, known_control},
};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for &user in User::available() {
        for case in cases::all() {
            let name = format!("control::{}::{} {}", user.name(), case.number, case.title);
            trials.push(Trial::test(name, move || {
                settle(case, known_control(case, user))
            }));
            trials.extend(Tier::ALL.map(|tier| trial(case, tier, user)));
        }
    }
    trials.push(Trial::test(
        "every_layer_carries_a_case",
        every_layer_carries_a_case,
    ));
    trials.push(Trial::test(
        "no_layer_can_be_left_out",
        no_layer_can_be_left_out,
    ));
    trials.extend(scenarios::trials());
    let conclusion = libtest_mimic::run(&arguments, trials);
    if arguments.list {
        return conclusion.exit_code();
    }
    results::print();
    let whole = arguments.filter.is_none() && arguments.skip.is_empty();
    let published = libtest_mimic::run(
        &arguments,
        if whole { vec![published()] } else { Vec::new() },
    );
    machine().remove();
    if published.has_failed() {
        published.exit_code()
    } else {
        conclusion.exit_code()
    }
}

fn trial(case: &'static Case, tier: Tier, user: User) -> Trial {
    let (tier_name, user_name) = (tier.key(), user.name());
    let name = format!("{tier_name}::{user_name}::{} {}", case.number, case.title);
    Trial::test(name, move || {
        let verdict = judge(case, tier, user);
        table::note(case, tier, user, &verdict);
        settle(case, verdict)
    })
}

/// A case that is invalid is no success: there is no machine on which it may be.
fn settle(case: &Case, verdict: Verdict) -> Result<(), Failed> {
    results::count(case, &verdict);
    match verdict {
        Verdict::Holds(_) | Verdict::Without(_) => Ok(()),
        Verdict::Broken(what) => Err(what.into()),
        Verdict::Invalid(what) => Err(format!("INVALID: {what}").into()),
    }
}

/// A layer that no case leans on could be left out, and nobody would see it.
fn every_layer_carries_a_case() -> Result<(), Failed> {
    let cases = cases::all();
    let idle = |layer: &&Layer| !cases.iter().any(|case| case.leans.contains(layer));
    match Layer::ALL.iter().find(idle) {
        Some(layer) => Err(format!("no case leans on `{}`", layer.name()).into()),
        None => Ok(()),
    }
}

/// The binary that people have knows nothing of what the tests of layers tell theirs.
fn no_layer_can_be_left_out() -> Result<(), Failed> {
    let binary = std::fs::read(machine().portcullis())?;
    let has = |text: &str| {
        binary
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    };
    // The control: names of variables are found, if they are there.
    if !has("PORTCULLIS_SPAWN_SERVER") {
        return Err("INVALID: not even a variable that it does know is found".into());
    }
    if has(LEAVE_OUT) {
        return Err(format!("it has `{LEAVE_OUT}` in it").into());
    }
    Ok(())
}

/// The table in SECURITY.md is what was measured.
fn published() -> Trial {
    Trial::test("the_table_of_security_md_is_what_was_measured", || {
        let measured = table::markdown(&cases::all(), cases::ELSEWHERE);
        if results::is_asked_to_write() {
            table::publish(&measured)?;
        }
        match table::difference(&measured)? {
            None => Ok(()),
            Some(difference) => {
                Err(format!("{difference}\n`PORTCULLIS_TABLE=write` writes it").into())
            }
        }
    })
}
