//! The exec contract with real processes: each row of it is a module, each sentence a test.
//!
//! `enter` has to be the first call in `main`, so this has a `main` of its own. Each test runs as the
//! user that runs the tests; where that is root, it runs once more as an ordinary user. The contract is
//! the same whatever a command is confined to, so it is tested twice: under limits only, and, as
//! `full::…`, in full confinement.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests, in a binary of their own harness"
)]

mod args;
mod beside;
mod cache;
mod cwd;
mod directories;
mod env;
mod fixture;
mod lifetime;
mod limits;
mod memory;
mod observed;
mod output;
mod program;
mod relay;
mod rights;
mod script;
mod server;
mod share;
mod soak;
mod status;
mod stdin;
mod templates;
mod time;
mod trees;
mod unfit;
mod unprivileged;
mod witness;

use libtest_mimic::{Arguments, Failed, Trial};
use portcullis_policy::Confinement;

type Test = (&'static str, fn() -> Result<(), Failed>);

/// Names the tests of a module: functions that make a future.
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        pub(crate) const TESTS: &[crate::Test] = &[$((
            concat!(module_path!(), "::", stringify!($name)),
            || { crate::fixture::block_on($name()); Ok(()) },
        ),)*];
    };
}
pub(crate) use tests;

/// A test under a confinement.
struct Case {
    name: String,
    confinement: Confinement,
    run: fn() -> Result<(), Failed>,
}

/// The contract under limits only and in full, and what there is in full only.
fn cases() -> Vec<Case> {
    let contract = [
        program::TESTS,
        directories::TESTS,
        unfit::TESTS,
        script::TESTS,
        args::TESTS,
        env::TESTS,
        cwd::TESTS,
        stdin::TESTS,
        output::TESTS,
        relay::TESTS,
        time::TESTS,
        status::TESTS,
        limits::TESTS,
        lifetime::TESTS,
        beside::TESTS,
        observed::TESTS,
        server::TESTS,
    ]
    .concat();
    let confined = [
        cache::TESTS,
        memory::TESTS,
        rights::TESTS,
        share::TESTS,
        soak::TESTS,
        templates::TESTS,
        trees::TESTS,
    ]
    .concat();
    let case = |prefix: &'static str, confinement| {
        move |(name, run): Test| Case {
            name: format!("{prefix}{name}"),
            confinement,
            run,
        }
    };
    let mut cases: Vec<_> = contract
        .iter()
        .copied()
        .map(case("", Confinement::Limits))
        .collect();
    let full = contract.into_iter().chain(confined);
    cases.extend(full.map(case("full::", Confinement::Full)));
    cases
}

fn main() -> std::process::ExitCode {
    portcullis_exec::enter();
    let cases = cases();
    let mut trials = unprivileged::trials(&cases);
    trials.extend(cases.into_iter().map(
        |Case {
             name,
             confinement,
             run,
         }| Trial::test(name, move || fixture::under(confinement, run)),
    ));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
