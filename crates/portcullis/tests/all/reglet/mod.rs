//! Plugins of Reglet: three generations of them, the wire formats, and what nobody else tests.

mod exec;
mod gaps;
mod generations;
mod http;
mod many;
mod stage;

pub(crate) use stage::code_cache;

pub(crate) fn tests() -> Vec<(&'static str, fn())> {
    [
        exec::TESTS,
        gaps::TESTS,
        generations::TESTS,
        http::TESTS,
        many::TESTS,
    ]
    .concat()
}
