//! Loading compiled code from the cache, verified, beside mapping the same code unverified; and what it costs to have a
//! plugin compiled where it can do no harm.

use std::time::Instant;

use portcullis::policy::{Confinement, Grants, PluginId};
use portcullis::{CodeCache, Compilation, Host, Source};
use portcullis_testkit::{Hostile, guest_bytes};
use wasmtime::component::Component;
use wasmtime::{Config, Engine};

use crate::Bench;
use portcullis_spawn_bench::rounds::{Goal, Row, print};

pub(crate) fn all(bench: &Bench) -> anyhow::Result<()> {
    // Compiled code of the size that a Python plugin has.
    let large = format!(
        "(component (core module (memory 600) (data (i32.const 0) \"{}\")))",
        "portcullis!".repeat(33_000_000 / 11)
    );
    load(
        bench,
        "a small plugin",
        guest_bytes("exec-args"),
        30,
        40,
        150.0,
    )?;
    load(bench, "a large plugin", large.into_bytes(), 1, 15, 15_000.0)
}

/// Compiling a plugin: in the host's process, by a host that has just been started, and by one that has compiled before.
pub(crate) async fn cold(bench: &Bench) -> anyhow::Result<()> {
    for (name, wasm, rounds) in [
        ("a small plugin", guest_bytes("exec-args"), 20),
        ("a large plugin", Hostile::Large.component(), 7),
    ] {
        let mut rows = [
            Row::new("compiled in the host's process", Goal::None),
            Row::new("compiled confined, by a host just started", Goal::None),
            Row::new(
                "compiled confined, by a host that has done so before",
                Goal::None,
            ),
        ];
        let host = |compilation| {
            let host = Host::builder().project(bench.host.project());
            host.compilation(compilation).build()
        };
        let confined = Compilation::Confined(Confinement::Full);
        let (inside, before) = (host(Compilation::InProcess)?, host(confined)?);
        compile(&before, &wasm).await?;
        for _ in 0..rounds {
            let fresh = host(confined)?;
            for (row, host) in rows.iter_mut().zip([&inside, &fresh, &before]) {
                let start = Instant::now();
                compile(host, &wasm).await?;
                row.add(start.elapsed(), 1);
            }
        }
        print(
            &format!("compiling {name}: {} KB", wasm.len() / 1000),
            &rows,
        );
    }
    Ok(())
}

/// How long large plugins are compiled, and how large they are in the cache.
pub(crate) async fn kept(bench: &Bench) -> anyhow::Result<()> {
    let large = Hostile::Large.component();
    // Its module twice.
    let larger = [&large[..], &large[8..]].concat();
    let mut plugins = vec![("functions of ordinary size", larger)];
    if let Some(python) = portcullis_testkit::interpreted("python") {
        plugins.push(("a Python plugin", std::fs::read(python)?));
    }
    for (at, (name, wasm)) in plugins.into_iter().enumerate() {
        let mut row = [Row::new("compiled confined, into the cache", Goal::None)];
        let mut bytes = 0;
        for round in 0..3 {
            let root = bench.dir.path().join(format!("kept-{at}-{round}"));
            std::fs::create_dir(&root)?;
            let (dir, key) = (root.join("cache"), root.join("data"));
            let cache = CodeCache::open(&dir, &key, Default::default())?;
            let host = Host::builder().project(bench.host.project());
            let host = host.code_cache(cache).build()?;
            let start = Instant::now();
            compile(&host, &wasm).await?;
            row[0].add(start.elapsed(), 1);
            bytes = CodeCache::open(&dir, &key, Default::default())?
                .stats()?
                .bytes;
        }
        let (before, after) = (wasm.len() / 1000, bytes / 1000);
        let title = format!("{name}: {before} KB of wasm, {after} KB in the cache");
        print(&title, &row);
    }
    Ok(())
}

/// Loads it with nothing granted: what it lacks, it would be told at the call.
async fn compile(host: &Host, wasm: &[u8]) -> anyhow::Result<()> {
    let mut grants = Grants::none(PluginId::new("bench")?);
    grants.late = true;
    let bytes = wasm.to_vec();
    match host.load(Source { bytes, grants }).await {
        // What has nothing to run is refused when it has been compiled.
        Ok(_) | Err(portcullis::LoadError::Interface { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn load(
    bench: &Bench,
    name: &str,
    wasm: Vec<u8>,
    repeat: u32,
    rounds: usize,
    goal: f64,
) -> anyhow::Result<()> {
    let engine = Engine::new(Config::new().epoch_interruption(true))?;
    let wasm = if wasm.starts_with(b"\0asm") {
        wasm
    } else {
        portcullis_testkit::assemble(&wasm)?
    };
    let root = bench.dir.path().join(name.replace(' ', "-"));
    std::fs::create_dir(&root)?;
    let cache = CodeCache::open(&root.join("cache"), &root.join("data"), Default::default())?;
    let component = Component::new(&engine, &wasm)?;
    cache.put_component(&wasm, &component)?;
    let compiled = component.serialize()?;
    let mut rows = [
        Row::new("hash of the compiled code alone (BLAKE3)", Goal::None),
        Row::new(
            "from the cache: read, authenticate, deserialize",
            Goal::Micros(goal),
        ),
    ];
    for _ in 0..rounds {
        rows[0].time(repeat, || {
            std::hint::black_box(blake3::hash(&compiled));
            Ok(())
        })?;
        rows[1].time(repeat, || {
            anyhow::ensure!(
                cache.get_component(&engine, &wasm)?.is_some(),
                "the cache has lost it"
            );
            Ok(())
        })?;
    }
    print(
        &format!(
            "loading {name}: {} KB of wasm, {} KB compiled",
            wasm.len() / 1000,
            compiled.len() / 1000
        ),
        &rows,
    );
    Ok(())
}
