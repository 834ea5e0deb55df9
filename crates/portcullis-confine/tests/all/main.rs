//! Cells with real processes.
//!
//! `enter` has to be the first call in `main`, so this has a `main` of its own. Each test runs as the
//! user that runs the tests; where that is root, it runs once more as an ordinary user. What is about
//! processes runs in two tiers: with limits only, and, as `confined::…`, in the full one.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod copies;
mod fixture;
mod full;
mod inside;
mod kill;
mod killed_host;
mod killed_server;
mod landlock;
mod limits;
mod looker;
mod observed;
mod probe;
mod server;
mod staging;
mod start;
mod status;
mod unprivileged;

use libtest_mimic::{Arguments, Failed, Trial};
use portcullis_confine::Tier;

type Test = (&'static str, fn() -> Result<(), Failed>);

/// Names the tests of a module.
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        crate::tests![TESTS: $($name),*];
    };
    ($list:ident: $($name:ident),* $(,)?) => {
        pub(crate) const $list: &[crate::Test] = &[
            $((concat!(module_path!(), "::", stringify!($name)), || { $name(); Ok(()) }),)*
        ];
    };
}
pub(crate) use tests;

/// A test in a tier.
struct Case {
    name: String,
    tier: Tier,
    run: fn() -> Result<(), Failed>,
}

fn cases() -> Vec<Case> {
    let processes = [
        kill::TESTS,
        killed_host::TESTS,
        killed_server::TESTS,
        server::PROCESSES,
        status::PROCESSES,
    ]
    .concat();
    let others = [
        copies::TESTS,
        inside::TESTS,
        landlock::TESTS,
        limits::TESTS,
        observed::TESTS,
        server::TESTS,
        staging::TESTS,
        start::TESTS,
        status::TESTS,
    ]
    .concat();
    let case = |prefix: &str, tier| {
        let prefix = prefix.to_owned();
        move |(name, run): Test| Case {
            name: format!("{prefix}{name}"),
            tier,
            run,
        }
    };
    let limits = processes.iter().copied().chain(others).chain(full::tests());
    let mut cases: Vec<Case> = limits.map(case("", Tier::Limits)).collect();
    cases.extend(processes.into_iter().map(case("confined::", Tier::Full)));
    cases
}

fn main() -> std::process::ExitCode {
    portcullis_confine::enter();
    if let Some(code) = fixture::play_role() {
        return code;
    }
    let cases = cases();
    let mut trials = unprivileged::trials(&cases);
    trials.extend(
        cases
            .into_iter()
            .map(|Case { name, tier, run }| Trial::test(name, move || fixture::in_tier(tier, run))),
    );
    let conclusion = libtest_mimic::run(&Arguments::from_args(), trials);
    fixture::clean_up();
    conclusion.exit_code()
}
