//! The command line, whole processes: `portcullis run` with a warm cache beside `wasmtime run` of compiled code.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::Bench;
use portcullis_spawn_bench::rounds::{Goal, Row, print};

/// `bench/peers` builds it; it is no part of the workspace.
fn wasmtime() -> Option<PathBuf> {
    let path = portcullis_testkit::repository().join("bench/peers/target/bin/wasmtime");
    path.is_file().then_some(path)
}

/// A command line that is measured.
struct Measured {
    row: Row,
    command: Vec<String>,
}

impl Measured {
    fn new(name: &str, goal: Goal, command: &[&str]) -> Self {
        Self {
            row: Row::new(name, goal),
            command: command.iter().map(|&word| word.to_owned()).collect(),
        }
    }
}

pub(crate) fn all(bench: &Bench) -> anyhow::Result<()> {
    let portcullis = std::env::current_exe()?.with_file_name("portcullis");
    anyhow::ensure!(
        portcullis.is_file(),
        "build `portcullis` beside this program first"
    );
    let home = bench.dir.path().join("home");
    std::fs::create_dir(&home)?;
    let portcullis = portcullis.display().to_string();
    let repository = portcullis_testkit::repository();
    let noop = portcullis_testkit::guest("noop").display().to_string();
    let mut whole = peer(bench, &repository.join("target/guests/wat/core-hello.wasm"))?;
    let goal = |peers: &[Measured], otherwise| match peers {
        [] => otherwise,
        _ => Goal::Ratio(0.7),
    };
    whole.push(Measured::new(
        "portcullis run, warm cache",
        goal(&whole, Goal::None),
        &[&portcullis, "run", "-q", &noop],
    ));
    compare(
        bench,
        "the command line, whole processes",
        whole,
        &home,
        until_its_end,
    )?;

    // The same module, in Rust: by itself, and with what fledge knows it by.
    let scaffold = portcullis_testkit::guest("fledge-scaffold");
    let plugin = bench.dir.path().join("scaffold");
    std::fs::create_dir(&plugin)?;
    std::fs::copy(&scaffold, plugin.join("scaffold.wasm"))?;
    std::fs::write(plugin.join("plugin.toml"), SCAFFOLD)?;
    let (command, plugin) = (scaffold.display().to_string(), plugin.display().to_string());
    let mut first = peer(bench, &scaffold)?;
    first.push(Measured::new(
        "portcullis run, a plugin of fledge",
        goal(&first, Goal::Micros(10_000.0)),
        &[&portcullis, "run", "-q", &plugin],
    ));
    first.push(Measured::new(
        "portcullis run, the same as a command of WASI",
        Goal::Micros(10_000.0),
        &[&portcullis, "run", "-q", &command],
    ));
    compare(
        bench,
        "from start to first output, warm cache",
        first,
        &home,
        until_it_writes,
    )
}

/// What makes a module a plugin of fledge.
const SCAFFOLD: &str = "[plugin]\nname = \"scaffold\"\nversion = \"0.1.0\"\nprotocol = \"fledge-v1\"\nruntime = \"wasm\"\n\
    [[commands]]\nname = \"scaffold\"\nbinary = \"scaffold.wasm\"\n";

/// The peer with this module compiled ahead, if it is here.
fn peer(bench: &Bench, module: &Path) -> anyhow::Result<Vec<Measured>> {
    let Some(wasmtime) = wasmtime() else {
        println!(
            "\nno `wasmtime` in bench/peers/target: the row of that peer is missing (see bench/peers/README.md)"
        );
        return Ok(Vec::new());
    };
    let name = module.with_extension("cwasm");
    let compiled = bench.dir.path().join(name.file_name().unwrap_or_default());
    let done = Command::new(&wasmtime)
        .args([Path::new("compile"), module, Path::new("-o"), &compiled])
        .status()?;
    anyhow::ensure!(done.success(), "wasmtime cannot compile the peer's guest");
    let (wasmtime, compiled) = (
        wasmtime.display().to_string(),
        compiled.display().to_string(),
    );
    Ok(vec![Measured::new(
        "wasmtime run, compiled ahead",
        Goal::None,
        &[&wasmtime, "run", "--allow-precompiled", &compiled],
    )])
}

/// Runs them in turn, each in a machine of its own.
fn compare(
    bench: &Bench,
    title: &str,
    mut all: Vec<Measured>,
    home: &Path,
    took: fn(&mut Command) -> anyhow::Result<Duration>,
) -> anyhow::Result<()> {
    for round in 0..42 {
        for Measured { row, command } in &mut all {
            let mut process = Command::new(&command[0]);
            process
                .args(&command[1..])
                .current_dir(bench.host.project())
                .env_clear()
                .env("HOME", home)
                .stderr(Stdio::null());
            let took = took(&mut process)?;
            // The first ones warm up.
            if round >= 2 {
                row.add(took, 1);
            }
        }
    }
    let rows: Vec<_> = all.into_iter().map(|measured| measured.row).collect();
    print(title, &rows);
    Ok(())
}

fn until_its_end(process: &mut Command) -> anyhow::Result<Duration> {
    let start = Instant::now();
    let status = process.stdout(Stdio::null()).status()?;
    let took = start.elapsed();
    anyhow::ensure!(status.success(), "{process:?}: {status}");
    Ok(took)
}

fn until_it_writes(process: &mut Command) -> anyhow::Result<Duration> {
    let start = Instant::now();
    let mut child = process.stdout(Stdio::piped()).spawn()?;
    let mut stdout = child.stdout.take().context("it was given a pipe")?;
    let mut first = [0];
    stdout.read_exact(&mut first)?;
    let took = start.elapsed();
    std::io::copy(&mut stdout, &mut std::io::sink())?;
    let status = child.wait()?;
    anyhow::ensure!(status.success(), "{process:?}: {status}");
    Ok(took)
}
