//! Plugins in the core-module form.

mod beside;
mod guest;
mod hostile;
mod load;
mod run;

pub(crate) fn tests() -> Vec<(&'static str, fn())> {
    [beside::TESTS, hostile::TESTS, load::TESTS, run::TESTS].concat()
}
