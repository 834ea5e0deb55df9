//! The sum of a run, in which what is invalid and what this machine cannot show have names.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use super::{case::Case, verdict::Verdict};

#[derive(Debug, Default)]
struct Sum {
    holds: usize,
    broken: usize,
    invalid: usize,
    /// Case and reason, once each.
    without: BTreeMap<&'static str, String>,
}

static SUM: Mutex<Sum> = Mutex::new(Sum {
    holds: 0,
    broken: 0,
    invalid: 0,
    without: BTreeMap::new(),
});

/// Counts a verdict.
pub(crate) fn count(case: &Case, verdict: &Verdict) {
    let mut sum = SUM.lock().unwrap_or_else(PoisonError::into_inner);
    match verdict {
        Verdict::Holds(_) => sum.holds += 1,
        Verdict::Broken(_) => sum.broken += 1,
        Verdict::Invalid(_) => sum.invalid += 1,
        Verdict::Without(reason) => drop(sum.without.insert(case.number, reason.clone())),
    }
}

/// Prints the sum, and a line that the runner of all tests counts for each case this machine cannot show.
pub(crate) fn print() {
    let sum = SUM.lock().unwrap_or_else(PoisonError::into_inner);
    for (number, reason) in &sum.without {
        println!("SKIP confinement case {number}: {reason}");
    }
    println!(
        "confinement: {} hold, {} broken, {} invalid, {} cases not on this machine",
        sum.holds,
        sum.broken,
        sum.invalid,
        sum.without.len()
    );
}

/// Whether the table is to be written instead of compared.
#[expect(
    clippy::disallowed_methods,
    reason = "a switch for whoever runs the tests"
)]
pub(crate) fn is_asked_to_write() -> bool {
    std::env::var("PORTCULLIS_TABLE").is_ok_and(|value| value == "write")
}
