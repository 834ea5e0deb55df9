//! Repository tasks: `cargo xtask <task>`. One file per task, beside what they share.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a task talks to a terminal and has no other reader"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "a task starts tools and reads the environment; it holds no plugin"
)]

mod arrows;
mod bench;
mod book;
mod c;
mod check;
mod clawft;
mod component;
mod componentizers;
mod dual_use;
mod extra;
mod figures;
mod fuzz;
mod go;
mod go_sdk;
mod guests;
mod interpreted;
mod links;
mod ordinary;
mod packages;
mod rebuild;
mod script_sdks;
mod shapes;
mod shell;
mod skips;
mod soak;
mod sysroot;
mod tally;
mod test;
mod toolchain;

use anyhow::{Result, bail};
use std::process::ExitCode;
use toolchain::Route;

const USAGE: &str = "\
usage: cargo xtask TASK [OPTION]...

tasks
  test     format, lints, docs, arrows, guests, all tests; what continuous integration runs
  check    format, lints, docs, arrows, links and the table of clawft only
  book     build the book of docs/ into target/book, and check every link of the documentation
  clawft   write into docs/clawft.md which tests show clawft's rows and weak spots
  guests   build the test guests and the example plugins into target/guests
  extra    licences and advisories, spelling, feature combinations, oldest compiler, packaging
  bench    measure, release build; arguments after `--` are groups of rows, `peers` among them
  fuzz     hostile input guided by coverage, ten minutes for each target; arguments: [TARGET]... [--seconds N]
           [--keep] replaces the committed corpus by the fewest inputs that reach as much, [--planted] looks for planted bugs
  soak     the tests that kill and time out processes, with their long counts

options
  --yes            install what is missing (system packages, tools, toolchain parts); CI=true implies it
  --route ROUTE    guests: how to get the wasm target: installed, rustup or debian (default: the first that works)
  --write          bench: put the tables into docs/performance.md
  --from FILE      bench: write what a run noted in this file (PORTCULLIS_FIGURES=FILE), and measure nothing
  --bless          guests: replace the committed example component with the one just built";

/// What the command line said.
#[derive(Debug, Default)]
struct Options {
    /// Whether missing tools and packages may be installed.
    yes: bool,
    /// Whether this is continuous integration, where a skip that is not expected is a failure.
    ci: bool,
    /// The only way to try for the wasm target.
    route: Option<Route>,
    /// Whether to replace the committed component.
    bless: bool,
    /// Whether to write what was measured into the book.
    write: bool,
    /// A file of figures to write instead of measuring.
    from: Option<std::path::PathBuf>,
    /// Arguments after `--`.
    rest: Vec<String>,
}

impl Options {
    fn parse(task: Option<&str>, mut args: impl Iterator<Item = String>) -> Result<Self> {
        let ci = shell::env("CI").is_some_and(|value| value == "true" || value == "1");
        let mut options = Self {
            yes: ci,
            ci,
            ..Self::default()
        };
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--yes" => options.yes = true,
                "--bless" => options.bless = true,
                "--write" => options.write = true,
                "--from" => options.from = args.next().map(Into::into),
                "--route" => options.route = Some(args.next().unwrap_or_default().parse()?),
                // It has no options of the others, and takes its own without `--` too.
                _ if task == Some("fuzz") && arg != "--" => options.rest.push(arg),
                "--" => options.rest = args.by_ref().collect(),
                _ => bail!("unknown option `{arg}`\n\n{USAGE}"),
            }
        }
        Ok(options)
    }
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let task = args.next();
    let done = Options::parse(task.as_deref(), args).and_then(|options| match task.as_deref() {
        Some("test") => test::run(&options),
        Some("check") => check::run(&options).and_then(|()| check::docs()),
        Some("book") => book::task(&options),
        Some("clawft") => clawft::write(),
        Some("guests") => guests::task(&options),
        Some("extra") => extra::run(&options),
        Some("bench") => bench::run(&options),
        Some("fuzz") => fuzz::run(&options),
        Some("soak") => soak::run(),
        Some("help" | "--help" | "-h") => {
            println!("{USAGE}");
            Ok(())
        }
        Some(other) => bail!("unknown task `{other}`\n\n{USAGE}"),
        None => bail!("{USAGE}"),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
