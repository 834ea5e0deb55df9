//! `portcullis:cli/command` end to end, by a guest that uses all of it.

pub(crate) mod kinds;
pub(crate) mod lives;
pub(crate) mod streams;

use portcullis::policy::{Grants, Limits};
use portcullis::{Activity, CallError};

use crate::fixture::{Fixture, args, block_on, programs};

/// The answer of the guest, and what the operator is told.
fn asked(fixture: &Fixture, grants: Grants, words: &[&str]) -> (String, Activity) {
    let (answer, activity) = called(fixture, grants, words);
    (answer.unwrap().unwrap(), activity)
}

fn called(
    fixture: &Fixture,
    grants: Grants,
    words: &[&str],
) -> (Result<Result<String, String>, CallError>, Activity) {
    block_on(async {
        let mut instance = fixture.instance("command", grants).await;
        let answer = instance.run(&args(words)).await;
        (answer, instance.activity().clone())
    })
}

fn answer(grants: Grants, words: &[&str]) -> String {
    asked(&Fixture::new(), grants, words).0
}

/// A shell under these limits.
fn shell(limits: Limits) -> Grants {
    Grants {
        limits,
        ..programs(&["sh", "true"])
    }
}
