//! A gibibyte of a command's output into a guest, beside a plain read of the same pipe by the host.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis::audit::{DigestKey, Options, Trail};
use portcullis::policy::{Confinement, ProgramRule};
use portcullis::{Host, Instance, Source};
use portcullis_spawn_bench::rounds::{Figure, Goal, Row, print};

use crate::{Bench, Wish};

const ROUNDS: usize = 7;
const MIB: usize = 1024;
const SOURCE: &str = include_str!("pour.c");
/// What the host reads at once.
const CHUNK: usize = 64 * 1024;
/// Bytes a second that the guest is to get at least, in GB.
const GOAL: f64 = 1.4;

pub(crate) async fn all(bench: &Bench) -> anyhow::Result<()> {
    let pour = build(bench.dir.path())?;
    let mut rows = [
        Row::new("the host reads the pipe itself", Goal::None),
        Row::new("a guest reads a stream, limits", Goal::None),
        Row::new("the same with a digest for the trail", Goal::None),
        Row::new("the same, confined (full)", Goal::None),
    ];
    let full = Wish {
        confinement: Confinement::Full,
        ..Wish::LIMITS
    };
    let mut guests = [
        guest(bench, &pour, Wish::LIMITS, false).await?,
        guest(bench, &pour, Wish::LIMITS, true).await?,
        guest(bench, &pour, full, true).await?,
    ];
    let mut grown = 0;
    for _ in 0..ROUNDS {
        rows[0].add(plain(&pour)?, 1);
        for (guest, row) in guests.iter_mut().zip(&mut rows[1..]) {
            let before = peak(true)?;
            row.add(stream(guest, &pour).await?, 1);
            grown = grown.max(peak(false)?.saturating_sub(before));
        }
    }
    let group = "1 GiB of a command's output";
    print(group, &rows);
    let rate = |row: &Row| (MIB << 20) as f64 / row.median() / 1e3;
    let name = |row: &Row| format!("{}: a second", row.name);
    Figure::plain(group, &name(&rows[0]), rate(&rows[0]), "GB").put();
    for row in &rows[1..] {
        Figure::at_least(group, &name(row), rate(row), "GB", GOAL).put();
    }
    let name = "peak memory while a guest read, more than before";
    Figure::plain(group, name, (grown / 1024) as f64, "KiB").put();
    Ok(())
}

fn build(dir: &Path) -> anyhow::Result<PathBuf> {
    let dir = dir.canonicalize()?;
    let (source, program) = (dir.join("pour.c"), dir.join("pour"));
    std::fs::write(&source, SOURCE)?;
    let built = Command::new("cc")
        .args(["-O2", "-o"])
        .args([&program, &source])
        .status()?;
    anyhow::ensure!(built.success(), "cc cannot compile the program that writes");
    Ok(program)
}

/// A plugin of a host of its own, so that it can have a digest key.
async fn guest(bench: &Bench, pour: &Path, wish: Wish, digest: bool) -> anyhow::Result<Instance> {
    let dir = tempfile::tempdir_in(bench.dir.path())?.keep();
    let mut host = Host::builder()
        .project(bench.host.project())
        .audit(Arc::new(Trail::open(
            &dir.join("trail"),
            Options::default(),
        )?));
    if digest {
        host = host.digest_key(DigestKey::open_or_create(&dir.join("data"))?);
    }
    let mut grants = bench.grants(wish)?;
    grants.limits.timeout = Duration::from_secs(600);
    grants.limits.call = grants.limits.timeout;
    if let Some(exec) = &mut grants.exec {
        let pour = pour.display().to_string();
        exec.allow.push(ProgramRule::any_arguments(&pour));
    }
    let bytes = portcullis_testkit::guest_bytes("command");
    let plugin = host.build()?.load(Source { bytes, grants }).await?;
    Ok(plugin.instantiate("bench").await?)
}

fn plain(pour: &Path) -> anyhow::Result<Duration> {
    let start = Instant::now();
    let mut child = Command::new(pour)
        .arg(MIB.to_string())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut buffer = vec![0; CHUNK];
    let mut read = 0;
    if let Some(stdout) = &mut child.stdout {
        loop {
            match stdout.read(&mut buffer)? {
                0 => break,
                some => read += some,
            }
        }
    }
    anyhow::ensure!(child.wait()?.success() && read == MIB << 20);
    Ok(start.elapsed())
}

async fn stream(guest: &mut Instance, pour: &Path) -> anyhow::Result<Duration> {
    let words = [
        "count",
        "null,pipe,null",
        &pour.display().to_string(),
        &MIB.to_string(),
    ]
    .map(str::to_owned);
    let start = Instant::now();
    let answer = guest.run(&words).await?.map_err(anyhow::Error::msg)?;
    let took = start.elapsed();
    let expected = format!("stdout={} closed\n", MIB << 20);
    anyhow::ensure!(answer.starts_with(&expected), "it read: {answer}");
    Ok(took)
}

/// The most bytes this process had in memory, since the last time it was reset.
fn peak(reset: bool) -> anyhow::Result<usize> {
    if reset {
        std::fs::write("/proc/self/clear_refs", "5")?;
    }
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    Ok(kib
        .ok_or_else(|| anyhow::anyhow!("status has another form"))?
        .parse::<usize>()?
        * 1024)
}
