//! A command end to end: from the guest's call to its result, beside `Command::output` of the same program.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use portcullis::Instance;

use crate::Bench;
use crate::rounds::{Goal, Row, print};

/// The smallest program there is: it writes six bytes and exits, without a libc.
const TINY: &str = r#"
static long call(long n, long a, long b, long c) {
    long r;
    __asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return r;
}
void _start(void) { call(1, 1, (long)"hello\n", 6); call(231, 0, 0, 0); for (;;) {} }
"#;

/// Compiles [`TINY`].
pub(crate) fn tiny(dir: &Path) -> anyhow::Result<PathBuf> {
    let (source, program) = (dir.join("tiny.c"), dir.join("tiny"));
    std::fs::write(&source, TINY)?;
    let flags = [
        "-Os",
        "-static",
        "-nostdlib",
        "-fno-stack-protector",
        "-s",
        "-o",
    ];
    let status = Command::new("cc")
        .args(flags)
        .arg(&program)
        .arg(&source)
        .status()?;
    anyhow::ensure!(status.success(), "cc cannot compile the tiny program");
    Ok(program)
}

pub(crate) async fn small_host(bench: &Bench) -> anyhow::Result<()> {
    rows(bench, "a command, captured, from a small host").await
}

/// The same from a host with terabytes reserved and a gibibyte touched.
pub(crate) async fn large_host() -> anyhow::Result<()> {
    let bench = Bench::new(true)?;
    let touched = vec![1_u8; 1 << 30];
    rows(&bench, "a command, captured, from a host with a pool of 1,000 instances reserved and 1 GiB touched").await?;
    std::hint::black_box(&touched);
    Ok(())
}

async fn rows(bench: &Bench, title: &str) -> anyhow::Result<()> {
    const ROUNDS: usize = 40;
    const REPETITIONS: u32 = 25;
    let tiny = bench.tiny.display().to_string();
    let mut instance = bench
        .plugin("exec-args")
        .await?
        .instantiate("bench")
        .await?;
    let mut floor = Row::new("std Command::output", Goal::None);
    let mut ours = Row::new(
        "a plugin's exec: call, lift, resolve, decide, audit, run, lower",
        Goal::Ratio(1.15),
    );
    for round in 0..ROUNDS + 2 {
        let start = Instant::now();
        for _ in 0..REPETITIONS {
            let output = Command::new(&bench.tiny).output()?;
            anyhow::ensure!(output.stdout == b"hello\n", "the tiny program is wrong");
        }
        let floor_took = start.elapsed();
        let start = Instant::now();
        for _ in 0..REPETITIONS {
            exec(&mut instance, &tiny).await?;
        }
        let ours_took = start.elapsed();
        // The first rounds warm caches and the pool.
        if round >= 2 {
            floor.add(floor_took, REPETITIONS);
            ours.add(ours_took, REPETITIONS);
        }
    }
    print(title, &[floor, ours]);
    Ok(())
}

async fn exec(instance: &mut Instance, program: &str) -> anyhow::Result<()> {
    let args = ["exec", "--", program].map(str::to_owned);
    let answer = instance.run(&args).await?.map_err(anyhow::Error::msg)?;
    anyhow::ensure!(
        answer == "status=0\nstdout=hello\n\nstderr=\n",
        "unexpected answer {answer:?}"
    );
    Ok(())
}
