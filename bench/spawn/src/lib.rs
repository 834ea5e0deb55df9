//! What a confined command costs: beside a bare `posix_spawn`, the standard library and bubblewrap, in one run.
//!
//! The whole benchmark is `cargo xtask bench`; `cargo run --release -p portcullis-spawn-bench` is this part alone, from
//! a small process.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "it compares with commands that are started without us, and prints a table"
)]

pub mod cells;
pub mod floor;
pub mod rounds;
pub mod rows;
pub mod setting;
pub mod tiny;

/// The parts, by the names that choose them.
pub const PARTS: [&str; 4] = ["one", "making", "flight", "inside"];

/// One command at a time from this process as it is; making a cell; several commands at once; what a cell costs inside.
/// Those of `parts`, or all if there are none. Gives back what [`rows::one_at_a_time`] does, if it was wanted.
///
/// # Errors
/// The system cannot confine commands, or a program fails.
pub fn run(title: &str, rounds: usize, parts: &[String]) -> anyhow::Result<Option<f64>> {
    let setting = setting::Setting::new()?;
    println!("\nmeasured plan: {}", setting.describe()?);
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|wanted| wanted == part);
    let one = wanted("one").then(|| rows::one_at_a_time(&setting, title, rounds));
    let one = one.transpose()?;
    if wanted("making") {
        rows::making(&setting, rounds)?;
    }
    if wanted("flight") {
        rows::in_flight(&setting, rounds.div_ceil(40))?;
    }
    if wanted("inside") {
        rows::inside(&setting, rounds.div_ceil(10))?;
    }
    Ok(one)
}
