//! Calls into a guest, and what stands between a guest's request and its effect.

use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis::audit::{Event, Masked, Options, Sink, Trail, Verdict};
use portcullis::policy::{Decision, HostEnvironment, decide};
use portcullis_exec::{ExecAsk, Place, resolve};

use wasmtime::component::{Component, ComponentType, Linker, Lower, TypedFunc};
use wasmtime::{Config, Engine, Store};

use crate::{Bench, Wish};
use portcullis_spawn_bench::rounds::{Goal, Row, print};

const ROUNDS: usize = 40;

pub(crate) async fn all(bench: &Bench) -> anyhow::Result<()> {
    guest_calls(bench).await?;
    gate(bench).await?;
    memory(bench).await
}

async fn guest_calls(bench: &Bench) -> anyhow::Result<()> {
    let noop = bench.plugin("noop", Wish::LIMITS).await?;
    let mut warm = noop.instantiate("bench").await?;
    let mut rows = [
        Row::new("warm call of `run`", Goal::Micros(1.0)),
        Row::new("instantiate, call, drop (stretch 30)", Goal::Micros(45.0)),
    ];
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..2_000 {
            let _ = warm.run(&[]).await?;
        }
        rows[0].add(start.elapsed(), 2_000);
        let start = Instant::now();
        for _ in 0..200 {
            let _ = noop.instantiate("bench").await?.run(&[]).await?;
        }
        rows[1].add(start.elapsed(), 200);
    }
    print("calls", &rows);
    Ok(())
}

/// What stands between a guest's request and its effect: lifting the request and lowering the answer, measured with a
/// host that answers at once; then resolve, decide and audit, each by itself.
async fn gate(bench: &Bench) -> anyhow::Result<()> {
    let grants = bench.grants(Wish::LIMITS)?;
    let place = Place::open(
        bench.host.project(),
        HostEnvironment::new(std::env::vars().collect()),
    )?;
    let ask = ExecAsk {
        program: bench.tiny.display().to_string(),
        ..ExecAsk::default()
    };
    let (request, _) = resolve(&grants, &place, &ask);
    let trail = Arc::new(Trail::open(
        &bench.dir.path().join("gate"),
        Options::default(),
    )?);
    let event = decision_event();
    let mut lift = Lift::new().await?;
    let mut rows = [
        Row::new(
            "lift the request, lower the answer; the guest's own work included",
            Goal::None,
        ),
        Row::new("decide, the environment built", Goal::None),
        Row::new("resolve", Goal::None),
        Row::new("audit, one record", Goal::None),
    ];
    for _ in 0..ROUNDS {
        let (took, requests) = lift.time().await?;
        rows[0].add(took, requests);
        let mut requests = vec![request.clone(); 500].into_iter();
        rows[1].time(500, || {
            let decision = requests.next().map(|request| decide(&grants, request));
            anyhow::ensure!(
                matches!(decision, Some(Decision::Allow(_))),
                "the tiny program is not allowed"
            );
            Ok(())
        })?;
        rows[2].time(500, || {
            std::hint::black_box(resolve(&grants, &place, &ask));
            Ok(())
        })?;
        rows[3].time(500, || {
            trail.append(jiff::Timestamp::now(), &event)?;
            Ok(())
        })?;
    }
    print("the gate", &rows);
    let both = rows[0].median() + rows[1].median();
    let verdict = if both <= 2.0 { "met" } else { "MISSED" };
    println!("lift, decide, lower: {both:.2} µs (goal ≤ 2 µs: {verdict})");
    Ok(())
}

/// The guest of the other rows over a host of its own that answers every request with an empty result.
struct Lift {
    store: Store<()>,
    run: TypedFunc<(Vec<String>,), (Result<String, String>,)>,
}

#[derive(ComponentType, wasmtime::component::Lift)]
#[component(record)]
struct Request {
    program: String,
    args: Vec<String>,
    cwd: Option<String>,
    env: Vec<(String, String)>,
    #[component(name = "inherit-env")]
    inherit_env: bool,
    stdin: Option<Vec<u8>>,
}

#[derive(ComponentType, Lower)]
#[component(record)]
struct Answer {
    status: u32,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Lift {
    async fn new() -> anyhow::Result<Self> {
        let engine = Engine::new(Config::new().epoch_interruption(true))?;
        let component = Component::new(&engine, portcullis_testkit::guest_bytes("exec-args"))?;
        let mut linker = Linker::new(&engine);
        linker
            .instance("portcullis:cli/process@0.1.0")?
            .func_wrap_async("exec", |_, (request,): (Request,)| {
                std::hint::black_box((request.program, request.args, request.cwd));
                std::hint::black_box((request.env, request.inherit_env, request.stdin));
                Box::new(async {
                    Ok((Ok::<_, String>(Answer {
                        status: 0,
                        stdout: Vec::new(),
                        stderr: Vec::new(),
                    }),))
                })
            })?;
        let mut store = Store::new(&engine, ());
        store.set_epoch_deadline(u64::MAX / 2);
        let instance = linker.instantiate_async(&mut store, &component).await?;
        let run = instance.get_typed_func(&mut store, "run")?;
        Ok(Self { store, run })
    }

    /// Many requests in one call, less one in one call, so that only requests count.
    async fn time(&mut self) -> anyhow::Result<(Duration, u32)> {
        const REQUESTS: u32 = 500;
        let one = ["exec", "--", "/usr/bin/tiny"].map(str::to_owned);
        let mut many = one.to_vec();
        for _ in 0..REQUESTS {
            many.push(";;".to_owned());
            many.extend(one.clone());
        }
        let base = self.call(one.to_vec()).await?;
        Ok((self.call(many).await?.saturating_sub(base), REQUESTS))
    }

    async fn call(&mut self, args: Vec<String>) -> anyhow::Result<Duration> {
        let start = Instant::now();
        let (answer,) = self.run.call_async(&mut self.store, (args,)).await?;
        let took = start.elapsed();
        answer.map_err(anyhow::Error::msg)?;
        Ok(took)
    }
}

fn decision_event() -> Event {
    Event::Decision(portcullis::audit::Decision {
        run: "bench".to_owned(),
        call: 1,
        plugin: "bench".to_owned(),
        capability: "exec".to_owned(),
        object: Masked::argv(["/usr/bin/env", "-0"]),
        verdict: Verdict::Allow,
        rule: None,
        code: None,
        reason: None,
    })
}

/// Resident memory that one more instance costs, the guest's own included.
async fn memory(bench: &Bench) -> anyhow::Result<()> {
    const INSTANCES: usize = 500;
    let noop = bench.plugin("noop", Wish::LIMITS).await?;
    let mut held = Vec::with_capacity(INSTANCES + 8);
    for _ in 0..8 {
        held.push(noop.instantiate("bench").await?);
    }
    let before = resident()?;
    for _ in 0..INSTANCES {
        let mut instance = noop.instantiate("bench").await?;
        let _ = instance.run(&[]).await?;
        held.push(instance);
    }
    let each = (resident()? - before) / INSTANCES / 1024;
    let verdict = if each <= 64 { "met" } else { "MISSED" };
    println!(
        "\nmemory: {each} KiB resident for each instance, its guest's memory included (goal ≤ 64 KiB: {verdict})"
    );
    Ok(())
}

/// Bytes of this process in memory: the second field of `/proc/self/statm`, in pages.
fn resident() -> anyhow::Result<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: usize = statm
        .split(' ')
        .nth(1)
        .ok_or_else(|| anyhow::anyhow!("statm has another form"))?
        .parse()?;
    Ok(pages * 4096)
}
