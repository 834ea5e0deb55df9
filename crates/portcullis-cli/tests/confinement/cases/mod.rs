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

/// Cases that are about a race or a file that only the parts below the command line can set, and where they are shown:
/// number, title, file and test.
pub(crate) const ELSEWHERE: &[(&str, &str, &str)] = &[];
