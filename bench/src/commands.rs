//! A command end to end: from the guest's call to its result, beside `Command::output` of the same program.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

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

/// Time between two commands in which the cells that were used up are made anew.
const PAUSE: Duration = Duration::from_millis(5);

async fn rows(bench: &Bench, title: &str) -> anyhow::Result<()> {
    let tiny = bench.tiny.display().to_string();
    let mut instance = bench
        .plugin("exec-args")
        .await?
        .instantiate("bench")
        .await?;
    let mut floor = Row::new("std Command::output", Goal::None);
    let mut warm = Row::new(
        "a plugin's exec, a cell parked: all from call to result",
        Goal::Ratio(1.15),
    );
    for round in 0..410 {
        let mut one = [Duration::ZERO; 2];
        // In turns, each first as often as the other, each after the same pause.
        for which in [round % 2, 1 - round % 2] {
            tokio::time::sleep(PAUSE).await;
            let start = Instant::now();
            if which == 0 {
                output(&bench.tiny)?;
            } else {
                exec(&mut instance, &tiny).await?;
            }
            one[which] = start.elapsed();
        }
        if round >= 10 {
            floor.add(one[0], 1);
            warm.add(one[1], 1);
        }
    }
    print(
        &format!("{title}, with pauses of {} ms", PAUSE.as_millis()),
        &[floor, warm],
    );

    let mut floor = Row::new("std Command::output", Goal::None);
    let mut ours = Row::new(
        "a plugin's exec: each waits for a cell to be made",
        Goal::None,
    );
    for _ in 0..20 {
        floor.time(25, || output(&bench.tiny))?;
        let start = Instant::now();
        for _ in 0..25 {
            exec(&mut instance, &tiny).await?;
        }
        ours.add(start.elapsed(), 25);
    }
    print(&format!("{title}, without a pause"), &[floor, ours]);
    Ok(())
}

fn output(tiny: &Path) -> anyhow::Result<()> {
    let output = Command::new(tiny).output()?;
    anyhow::ensure!(output.stdout == b"hello\n", "the tiny program is wrong");
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
