//! `cargo xtask bench`: builds the benchmarks for release, prints their tables, and writes them into the book.

use crate::figures::{self, Page};
use crate::toolchain::TARGET;
use crate::{Options, shell, toolchain};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The package that measures; arguments after `--` are passed to it: names of groups of rows, for those alone.
const PACKAGE: &str = "portcullis-bench";

/// The package of the command line.
const COMMAND: &str = "portcullis-cli";

/// The group of the other runtimes: a workspace of its own, which takes long to build and which nothing else builds.
const PEERS: &str = "peers";
const PEERS_MANIFEST: &str = "bench/peers/Cargo.toml";
const PEERS_GUEST: &str = "portcullis-peers-guest";

/// The page that has the figures.
const BOOK: &str = "docs/performance.md";

/// The variable that names a file to which the benchmarks append each figure.
const FIGURES: &str = "PORTCULLIS_FIGURES";

/// Runs the benchmarks that are named, or all; or only writes what was measured before.
///
/// # Errors
/// There is no such package, or it does not succeed.
pub(crate) fn run(options: &Options) -> Result<()> {
    if let Some(lines) = &options.from {
        return write(lines, None);
    }
    let metadata = shell::metadata()?;
    let there = metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|package| package["name"] == PACKAGE);
    if !there {
        bail!("the workspace has no package `{PACKAGE}`, so there is nothing to measure");
    }
    // Before the builds, whose own load is gone when the measuring begins.
    let machine = figures::machine();
    let directory = tempfile::tempdir()?;
    let lines = directory.path().join("figures");
    // What is measured loads real guests.
    crate::guests::task(options)?;
    let mut groups = options.rest.clone();
    let peers = groups.is_empty() || groups.iter().any(|group| group == PEERS);
    groups.retain(|group| group != PEERS);
    if peers {
        build_peers(options)?;
    }
    if !groups.is_empty() || options.rest.is_empty() {
        // Whole processes are measured on the command itself.
        shell::run(shell::cargo().args(["build", "--release", "--package", COMMAND]))?;
        let mut bench = shell::cargo();
        bench.args(["run", "--release", "--package", PACKAGE, "--"]);
        measure(bench.args(&groups), &lines)?;
    }
    if peers {
        measure(&mut shell::command(peers_program()), &lines)?;
    }
    if options.write {
        write(&lines, Some(machine))?;
    }
    Ok(())
}

fn measure(command: &mut Command, lines: &Path) -> Result<()> {
    shell::run(command.env(FIGURES, lines))
}

fn peers_target() -> PathBuf {
    shell::root().join("bench/peers/target")
}

fn peers_program() -> PathBuf {
    peers_target().join("release/portcullis-peers")
}

/// Builds the other runtimes and the guest that they run.
fn build_peers(options: &Options) -> Result<()> {
    let mut guest = toolchain::find(options)?.cargo();
    guest.args(["build", "--release", "--target", TARGET]);
    guest.args(["--manifest-path", PEERS_MANIFEST, "--package", PEERS_GUEST]);
    shell::run(guest.env("CARGO_TARGET_DIR", peers_target()))?;
    let mut host = shell::cargo();
    host.args(["build", "--release"]);
    host.args(["--manifest-path", PEERS_MANIFEST]);
    shell::run(host.env("CARGO_TARGET_DIR", peers_target()))
}

/// Puts the tables of this run in the place of those of the run before.
fn write(lines: &Path, machine: Option<String>) -> Result<()> {
    let path = shell::root().join(BOOK);
    let mut page = Page::new(fs::read_to_string(&path)?);
    let lines = fs::read_to_string(lines).context("nothing was measured")?;
    let user = if shell::is_root() { "" } else { ", as a user" };
    let mut tables = figures::sections(&lines)?;
    tables.extend(machine.map(|machine| ("machine".to_owned(), machine)));
    for (section, table) in tables {
        let place = format!("{section}{user}");
        if page.replace(&place, &table) {
            println!("{BOOK}: {place}");
        } else {
            println!("{BOOK} has no place for `{place}`; it would be\n\n{table}");
        }
    }
    fs::write(&path, page.text())?;
    Ok(())
}
