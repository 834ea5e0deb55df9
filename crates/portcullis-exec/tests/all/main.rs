//! The exec contract with real processes: each row of it is a module, each sentence a test.
//!
//! `enter` has to be the first call in `main`, so this has a `main` of its own. Each test runs as the
//! user that runs the tests; where that is root, it runs once more as an ordinary user.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests, in a binary of their own harness"
)]

mod args;
mod cwd;
mod env;
mod fixture;
mod lifetime;
mod limits;
mod output;
mod program;
mod relay;
mod script;
mod server;
mod status;
mod stdin;
mod time;
mod trees;
mod unfit;
mod unprivileged;
mod witness;

use libtest_mimic::{Arguments, Failed, Trial};

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

fn main() -> std::process::ExitCode {
    portcullis_exec::enter();
    let tests = [
        program::TESTS,
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
        server::TESTS,
        trees::TESTS,
    ]
    .concat();
    let mut trials = unprivileged::trials(&tests);
    trials.extend(tests.into_iter().map(|(name, run)| Trial::test(name, run)));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
