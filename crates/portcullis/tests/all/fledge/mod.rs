//! Plugins of fledge: its golden table row by row, the attacks on it, and what this host adds.

mod answers;
mod attacks;
mod canary;
mod golden;
mod imports;
mod stage;

pub(crate) fn tests() -> Vec<(&'static str, fn())> {
    [
        answers::TESTS,
        attacks::TESTS,
        canary::TESTS,
        golden::TESTS,
        imports::TESTS,
    ]
    .concat()
}
