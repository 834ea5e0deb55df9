//! Cells with real processes.
//!
//! `enter` has to be the first call in `main`, so this has a `main` of its own. Each test runs as the
//! user that runs the tests; where that is root, it runs once more as an ordinary user.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod copies;
mod fixture;
mod full;
mod inside;
mod kill;
mod killed_host;
mod landlock;
mod limits;
mod server;
mod start;
mod status;
mod unprivileged;

use libtest_mimic::{Arguments, Failed, Trial};

type Test = (&'static str, fn() -> Result<(), Failed>);

/// Names the tests of a module.
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        pub(crate) const TESTS: &[crate::Test] = &[
            $((concat!(module_path!(), "::", stringify!($name)), || { $name(); Ok(()) }),)*
        ];
    };
}
pub(crate) use tests;

fn main() -> std::process::ExitCode {
    portcullis_confine::enter();
    if let Some(code) = fixture::play_role() {
        return code;
    }
    let tests = [
        copies::TESTS,
        full::TESTS,
        inside::TESTS,
        kill::TESTS,
        killed_host::TESTS,
        landlock::TESTS,
        limits::TESTS,
        server::TESTS,
        start::TESTS,
        status::TESTS,
    ];
    let tests: Vec<Test> = tests.concat();
    let mut trials = unprivileged::trials(&tests);
    trials.extend(tests.into_iter().map(|(name, run)| Trial::test(name, run)));
    let conclusion = libtest_mimic::run(&Arguments::from_args(), trials);
    fixture::clean_up();
    conclusion.exit_code()
}
