//! The command line, whole processes: `portcullis run` with a warm cache beside `wasmtime run` of compiled code.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Bench;
use portcullis_spawn_bench::rounds::{Goal, Row, print};

/// `bench/peers` builds it; it is no part of the workspace.
fn wasmtime() -> Option<PathBuf> {
    let path = portcullis_testkit::repository().join("bench/peers/target/bin/wasmtime");
    path.is_file().then_some(path)
}

pub(crate) fn all(bench: &Bench) -> anyhow::Result<()> {
    let portcullis = std::env::current_exe()?.with_file_name("portcullis");
    anyhow::ensure!(
        portcullis.is_file(),
        "build `portcullis` beside this program first"
    );
    let home = bench.dir.path().join("home");
    std::fs::create_dir(&home)?;
    let noop = portcullis_testkit::guest("noop");
    let mut rows = Vec::new();
    let mut commands: Vec<Vec<String>> = Vec::new();
    let words = |words: &[&str]| {
        words
            .iter()
            .map(|&word| word.to_owned())
            .collect::<Vec<_>>()
    };
    if let Some(wasmtime) = wasmtime() {
        let compiled = bench.dir.path().join("hello.cwasm");
        let source = portcullis_testkit::repository().join("target/guests/wat/core-hello.wasm");
        let done = Command::new(&wasmtime)
            .args([Path::new("compile"), &source, Path::new("-o"), &compiled])
            .status()?;
        anyhow::ensure!(done.success(), "wasmtime cannot compile the peer's guest");
        rows.push(Row::new("wasmtime run, compiled ahead", Goal::None));
        let path = compiled.display().to_string();
        commands.push(words(&[
            &wasmtime.display().to_string(),
            "run",
            "--allow-precompiled",
            &path,
        ]));
    } else {
        println!(
            "\nno `wasmtime` in bench/peers/target: the row of that peer is missing (see bench/peers/README.md)"
        );
    }
    let goal = if rows.is_empty() {
        Goal::None
    } else {
        Goal::Ratio(0.7)
    };
    rows.push(Row::new("portcullis run, warm cache", goal));
    commands.push(words(&[
        &portcullis.display().to_string(),
        "run",
        "-q",
        &noop.display().to_string(),
    ]));
    for round in 0..42 {
        for (row, command) in rows.iter_mut().zip(&commands) {
            let mut process = Command::new(&command[0]);
            process
                .args(&command[1..])
                .current_dir(bench.host.project())
                .env_clear()
                .env("HOME", &home);
            process.stdout(Stdio::null()).stderr(Stdio::null());
            let work = || {
                let status = process.status()?;
                anyhow::ensure!(status.success(), "{command:?}: {status}");
                Ok(())
            };
            if round < 2 {
                Row::new("warm-up", Goal::None).time(1, work)?;
            } else {
                row.time(1, work)?;
            }
        }
    }
    print("the command line, whole processes", &rows);
    Ok(())
}
