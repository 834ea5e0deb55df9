//! A plugin in Go, built with the SDK, beside native Go that does the same, and beside a component with types in place of JSON.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use portcullis::policy::{Grants, PluginId};
use portcullis::{CodeCache, Host, Instance, Source};
use portcullis_spawn_bench::rounds::{Goal, Row, print};

use crate::uses::WARM_UP;
use crate::{Bench, Wish};

const ROUNDS: usize = 30;
/// Commands of one round.
const COMMANDS: u32 = 20;
/// Reads of a variable of one round.
const READS: u32 = 400;
/// A variable that every process has.
const VARIABLE: &str = "PATH";

/// Go, if it is here: the program and the plugin of `bench/go`.
fn built(dir: &Path) -> anyhow::Result<Option<(PathBuf, Vec<u8>)>> {
    if !Command::new("go")
        .arg("version")
        .output()
        .is_ok_and(|output| output.status.success())
    {
        println!("skipped: go: go is not installed");
        return Ok(None);
    }
    let (native, plugin) = (dir.join("native-go"), dir.join("go.wasm"));
    let build = |package: &str, args: &[&str], out: &Path| {
        let mut go = Command::new("go");
        go.current_dir(portcullis_testkit::repository().join("sdk/go"))
            .args(["build", "-ldflags=-s -w"])
            .args(args)
            .arg("-o")
            .arg(out)
            .arg(package);
        go
    };
    let mut wasm = build("./internal/bench/plugin", &["-buildmode=c-shared"], &plugin);
    wasm.env("GOOS", "wasip1").env("GOARCH", "wasm");
    for go in [
        &mut build("./internal/bench/native", &[], &native),
        &mut wasm,
    ] {
        anyhow::ensure!(go.status()?.success(), "go does not build");
    }
    Ok(Some((native, std::fs::read(plugin)?)))
}

/// How long a program or a plugin says that it took.
fn took(said: &str) -> anyhow::Result<Duration> {
    Ok(Duration::from_nanos(said.trim().parse()?))
}

pub(crate) async fn all(bench: &Bench) -> anyhow::Result<()> {
    let Some((native, plugin)) = built(bench.dir.path())? else {
        return Ok(());
    };
    let mut grants = Grants {
        env: vec![VARIABLE.to_owned()],
        ..bench.grants(Wish::LIMITS)?
    };
    grants.limits.calls_per_minute = u32::MAX;
    let bytes = plugin;
    let source = Source {
        bytes: bytes.clone(),
        grants: grants.clone(),
    };
    let go = bench.host.load(source).await?;
    commands(bench, &native, &mut go.instantiate("bench").await?).await?;
    reads(bench, &grants, &mut go.instantiate("bench").await?).await?;
    instances(bench, &bytes).await
}

/// A command, captured, with pauses of 5 ms.
async fn commands(bench: &Bench, native: &Path, go: &mut Instance) -> anyhow::Result<()> {
    let tiny = bench.tiny.display().to_string();
    let count = COMMANDS.to_string();
    let mut typed = bench
        .plugin("exec-args", Wish::LIMITS)
        .await?
        .instantiate("bench")
        .await?;
    let mut rows = [
        Row::new("native Go, exec.Command(…).Output()", Goal::None),
        Row::new("a component with types, not confined (limits)", Goal::None),
        Row::new(
            "a Go plugin's exec.Run, JSON, not confined (limits)",
            Goal::None,
        ),
    ];
    for round in 0..ROUNDS + WARM_UP {
        let output = Command::new(native).args([&tiny, &count]).output()?;
        let native = took(std::str::from_utf8(&output.stdout)?)?;
        let mut of_typed = Duration::ZERO;
        for _ in 0..COMMANDS {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let args = ["exec", "--", tiny.as_str()].map(str::to_owned);
            let began = std::time::Instant::now();
            typed.run(&args).await?.map_err(anyhow::Error::msg)?;
            of_typed += began.elapsed();
        }
        let args = ["exec".to_owned(), tiny.clone(), count.clone()];
        let of_go = took(&go.run(&args).await?.map_err(anyhow::Error::msg)?)?;
        if round >= WARM_UP {
            for (row, took) in rows.iter_mut().zip([native, of_typed, of_go]) {
                row.add(took, COMMANDS);
            }
        }
    }
    print(
        "a command of a plugin in Go, captured, with pauses of 5 ms",
        &rows,
    );
    Ok(())
}

/// What a call costs that has next to no effect: a variable is read, by types and by JSON.
async fn reads(bench: &Bench, grants: &Grants, go: &mut Instance) -> anyhow::Result<()> {
    let source = Source {
        bytes: portcullis_testkit::guest_bytes("env"),
        grants: grants.clone(),
    };
    let typed = bench.host.load(source).await?;
    let mut typed = typed.instantiate("bench").await?;
    let count = READS.to_string();
    let mut rows = [
        Row::new("a component in Rust, with types", Goal::None),
        Row::new("a Go plugin, JSON", Goal::None),
    ];
    for round in 0..ROUNDS + WARM_UP {
        let args = ["again", &count, VARIABLE].map(str::to_owned);
        let began = std::time::Instant::now();
        typed.run(&args).await?.map_err(anyhow::Error::msg)?;
        let of_typed = began.elapsed();
        let args = ["env", VARIABLE, &count].map(str::to_owned);
        let of_go = took(&go.run(&args).await?.map_err(anyhow::Error::msg)?)?;
        if round >= WARM_UP {
            rows[0].add(of_typed, READS);
            rows[1].add(of_go, READS);
        }
    }
    print(
        "a guest reads an environment variable, by types and by JSON",
        &rows,
    );
    Ok(())
}

/// What a plugin in Go costs to begin with, when it was compiled before.
async fn instances(bench: &Bench, bytes: &[u8]) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let host = Host::builder()
        .project(dir.path())
        .code_cache(CodeCache::open(
            &dir.path().join("cache"),
            &dir.path().join("key"),
            Default::default(),
        )?)
        .build()?;
    let source = || -> anyhow::Result<Source> {
        let grants = Grants::none(PluginId::new("bench")?);
        let grants = Grants {
            late: true,
            ..grants
        };
        Ok(Source {
            bytes: bytes.to_vec(),
            grants,
        })
    };
    let plugin = host.load(source()?).await?;
    let noop = bench.plugin("noop", Wish::LIMITS).await?;
    let mut rows = [
        Row::new("a component in Rust: instantiate, call, drop", Goal::None),
        Row::new(
            "a plugin in Go: instantiate, `_initialize`, call, drop",
            Goal::None,
        ),
        Row::new("a plugin in Go: load what was compiled before", Goal::None),
    ];
    for _ in 0..ROUNDS {
        let began = std::time::Instant::now();
        for _ in 0..50 {
            let _ = noop.instantiate("bench").await?.run(&[]).await?;
        }
        rows[0].add(began.elapsed(), 50);
        let began = std::time::Instant::now();
        for _ in 0..10 {
            let _ = plugin
                .instantiate("bench")
                .await?
                .run(&["nothing".to_owned()])
                .await?;
        }
        rows[1].add(began.elapsed(), 10);
        let began = std::time::Instant::now();
        drop(host.load(source()?).await?);
        rows[2].add(began.elapsed(), 1);
    }
    print("what a plugin in Go costs to begin with", &rows);
    Ok(())
}
