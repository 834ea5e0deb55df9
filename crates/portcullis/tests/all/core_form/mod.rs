//! Plugins in the core-module form.

mod guest;
mod hostile;
mod load;
mod run;

pub(crate) fn tests() -> Vec<(&'static str, fn())> {
    [hostile::TESTS, load::TESTS, run::TESTS].concat()
}
