//! A command end to end: from the guest's call to its result, beside `Command::output` of the same program.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use portcullis::Instance;
use portcullis::policy::Confinement;
use portcullis_spawn_bench::rounds::{Goal, Row, print, print_unchanged};

use crate::{Bench, Wish};

pub(crate) async fn small_host(bench: &Bench) -> anyhow::Result<()> {
    rows(bench, "a command, captured, from a small host").await
}

/// The same from a host with terabytes reserved and a gibibyte touched, and what stands below it.
pub(crate) async fn large_host(rounds: usize, small: Option<f64>) -> anyhow::Result<()> {
    let bench = Bench::new(true)?;
    let touched = vec![1_u8; 1 << 30];
    let host = "from a host with a pool of 1,000 instances reserved and 1 GiB touched";
    println!("\nreserved: {} GiB", reserved()? >> 30);
    rows(&bench, &format!("a command, captured, {host}")).await?;
    let one = ["one".to_owned()];
    let group = format!("cells alone, {host}");
    let large = portcullis_spawn_bench::run(&group, rounds, &one)?;
    if let (Some(small), Some(large)) = (small, large) {
        let title = "full, a cell parked: from this host beside a small one";
        print_unchanged(&group, title, small, large, 1.05);
    }
    std::hint::black_box(&touched);
    Ok(())
}

/// Bytes of address space that this process has: the first field of `/proc/self/statm`, in pages.
fn reserved() -> anyhow::Result<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages = statm.split(' ').next().unwrap_or_default();
    Ok(pages.parse::<usize>()? * 4096)
}

/// Time between two commands in which the cells that were used up are made anew.
const PAUSE: Duration = Duration::from_millis(5);
const WARM_UP: usize = 10;
const ROUNDS: usize = 200;

/// What the commands of a row may do.
const WISHES: [(&str, Goal, Wish); 4] = [
    (
        "a plugin's exec, not confined (limits): all from call to result",
        Goal::Ratio(1.15),
        Wish {
            confinement: Confinement::Limits,
            write: false,
            share: false,
        },
    ),
    (
        "a plugin's exec, full, the project to read",
        Goal::None,
        Wish {
            confinement: Confinement::Full,
            write: false,
            share: false,
        },
    ),
    (
        "a plugin's exec, full, the project to read, share = \"plan\"",
        Goal::None,
        Wish {
            confinement: Confinement::Full,
            write: false,
            share: true,
        },
    ),
    (
        "a plugin's exec, full, the project to write: looked over each time",
        Goal::None,
        Wish {
            confinement: Confinement::Full,
            write: true,
            share: false,
        },
    ),
];

async fn rows(bench: &Bench, title: &str) -> anyhow::Result<()> {
    let tiny = bench.tiny.display().to_string();
    let mut rows = vec![Row::new("std Command::output", Goal::None)];
    let mut instances = Vec::new();
    for (name, goal, wish) in WISHES {
        rows.push(Row::new(name, goal));
        let plugin = bench.plugin("exec-args", wish).await?;
        instances.push(plugin.instantiate("bench").await?);
    }
    for round in 0..WARM_UP + ROUNDS {
        // In turns, each first as often as the others, each after the same pause.
        for turn in 0..rows.len() {
            let which = (round + turn) % rows.len();
            tokio::time::sleep(PAUSE).await;
            let start = Instant::now();
            match which.checked_sub(1) {
                None => output(&bench.tiny)?,
                Some(ours) => exec(&mut instances[ours], &tiny).await?,
            }
            if round >= WARM_UP {
                rows[which].add(start.elapsed(), 1);
            }
        }
    }
    let title_of = |how: &str| format!("{title}, {how}");
    print(
        &title_of(&format!("with pauses of {} ms", PAUSE.as_millis())),
        &rows,
    );

    let mut rows = vec![Row::new("std Command::output", Goal::None)];
    for (name, ..) in WISHES {
        rows.push(Row::new(name, Goal::None));
    }
    for _ in 0..10 {
        rows[0].time(25, || output(&bench.tiny))?;
        for (row, instance) in rows[1..].iter_mut().zip(&mut instances) {
            let start = Instant::now();
            for _ in 0..25 {
                exec(instance, &tiny).await?;
            }
            row.add(start.elapsed(), 25);
        }
    }
    print(
        &title_of("without a pause: each waits for a cell to be made"),
        &rows,
    );
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
