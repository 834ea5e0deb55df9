//! Plugins in the core-module form.

mod asks;
mod beside;
mod guest;
mod hostile;
mod load;
mod run;

pub(crate) fn tests() -> Vec<(&'static str, fn())> {
    [
        asks::TESTS,
        beside::TESTS,
        hostile::TESTS,
        load::TESTS,
        run::TESTS,
    ]
    .concat()
}
