//! The cases, by what the command attacks. Numbers up to 60 are those of the catalogue; letters are its variants.

mod exec;
mod files;
mod ipc;
mod kernel;
mod limits;
mod metadata;
mod network;
mod processes;
mod proxy;
mod roots;
mod sockets;

use crate::kit::case::Case;

/// All of them, in the order of their numbers.
pub(crate) fn all() -> Vec<&'static Case> {
    let lists = [
        files::CASES,
        metadata::CASES,
        roots::CASES,
        exec::CASES,
        network::CASES,
        proxy::CASES,
        sockets::CASES,
        processes::CASES,
        ipc::CASES,
        kernel::CASES,
        limits::CASES,
    ];
    let mut cases: Vec<_> = lists.into_iter().flatten().collect();
    cases.sort_by_key(|case| order(case.number));
    cases
}

/// `18b` comes after `18` and before `19`.
fn order(number: &str) -> (u32, &str) {
    let digits = number.trim_end_matches(|letter: char| letter.is_ascii_lowercase());
    (digits.parse().unwrap(), &number[digits.len()..])
}

/// Cases that are about a race, a name of the network or more than one command, and where they are shown: number,
/// title, place.
pub(crate) const ELSEWHERE: &[(&str, &str, &str)] = &[
    (
        "28",
        "is found in a directory that the plugin may write, or by a path through one",
        "portcullis-exec: `unfit.rs`",
    ),
    (
        "29b",
        "is replaced after the decision",
        "portcullis-exec: `program.rs`",
    ),
    (
        "30",
        "is removed or replaced while its cell is made",
        "portcullis-confine: `full.rs`",
    ),
    (
        "40d",
        "names a host in thirty other ways",
        "portcullis-proxy: `names.rs`, `requests.rs`",
    ),
    (
        "41",
        "reaches a private address by a granted name",
        "portcullis-proxy: `addresses.rs`",
    ),
    (
        "57d",
        "writes without end, takes more memory than it was given",
        "scenarios: `told.rs`",
    ),
    (
        "58",
        "leaves a daemon, ignores signals, holds pipes",
        "scenarios: `trees.rs`",
    ),
    (
        "59",
        "outlives its host, or the spawn server",
        "scenarios: `trees.rs`",
    ),
    (
        "60b",
        "is given variables that run code, or secrets",
        "scenarios: `environment.rs`",
    ),
    (
        "63",
        "finds what an earlier command left, or reaches another one",
        "scenarios: `between.rs`",
    ),
    (
        "65",
        "reaches the host's own state by a grant",
        "scenarios: `host_state.rs`",
    ),
];
