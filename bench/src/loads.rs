//! Loading compiled code from the cache, verified, beside mapping the same code unverified.

use portcullis::CodeCache;
use portcullis_testkit::guest_bytes;
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
