//! Calls into a guest, and what stands between a guest's request and its effect.

use std::sync::Arc;
use std::time::Instant;

use portcullis::audit::{Event, Masked, Options, Sink, Trail, Verdict};
use portcullis::policy::{Decision, HostEnvironment, decide};
use portcullis_exec::{ExecAsk, Place, resolve};

use crate::Bench;
use crate::rounds::{Goal, Row, print};

const ROUNDS: usize = 40;

pub(crate) async fn all(bench: &Bench) -> anyhow::Result<()> {
    guest_calls(bench).await?;
    gate(bench).await?;
    memory(bench).await
}

async fn guest_calls(bench: &Bench) -> anyhow::Result<()> {
    let noop = bench.plugin("noop").await?;
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

/// A call that is denied does everything but the effect; what resolving and auditing cost is measured by itself and
/// taken off.
async fn gate(bench: &Bench) -> anyhow::Result<()> {
    let grants = bench.grants()?;
    let place = Place::open(
        bench.host.project(),
        HostEnvironment::new(std::env::vars().collect()),
    )?;
    let ask = ExecAsk {
        program: "/usr/bin/env".to_owned(),
        args: vec!["-0".to_owned()],
        ..ExecAsk::default()
    };
    let allowed = ExecAsk {
        program: bench.tiny.display().to_string(),
        ..ExecAsk::default()
    };
    let trail = Arc::new(Trail::open(
        &bench.dir.path().join("gate"),
        Options::default(),
    )?);
    let event = denial_event();
    let mut instance = bench
        .plugin("exec-args")
        .await?
        .instantiate("bench")
        .await?;
    let denied_call = ["exec", "--", "/usr/bin/env", "-0"].map(str::to_owned);
    let mut rows = [
        Row::new(
            "a denied exec, from the guest's call to its error",
            Goal::None,
        ),
        Row::new("  of it: resolve", Goal::None),
        Row::new("  of it: audit", Goal::None),
        Row::new("decide alone, allowed, environment built", Goal::None),
    ];
    let (request, _) = resolve(&grants, &place, &allowed);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..500 {
            let _ = instance.run(&denied_call).await?;
        }
        rows[0].add(start.elapsed(), 500);
        rows[1].time(500, || {
            std::hint::black_box(resolve(&grants, &place, &ask));
            Ok(())
        })?;
        rows[2].time(500, || {
            trail.append(jiff::Timestamp::now(), &event)?;
            Ok(())
        })?;
        let mut requests = vec![request.clone(); 500].into_iter();
        rows[3].time(500, || {
            let decision = requests.next().map(|request| decide(&grants, request));
            anyhow::ensure!(
                matches!(decision, Some(Decision::Allow(_))),
                "the tiny program is not allowed"
            );
            Ok(())
        })?;
    }
    print("the gate", &rows);
    let rest = rows[0].median() - rows[1].median() - rows[2].median();
    let verdict = if rest <= 2.0 { "met" } else { "MISSED" };
    println!("call, lift, gate, decide, lower: {rest:.2} µs (goal ≤ 2 µs: {verdict})");
    Ok(())
}

fn denial_event() -> Event {
    Event::Decision(portcullis::audit::Decision {
        run: "bench".to_owned(),
        call: 1,
        plugin: "bench".to_owned(),
        capability: "exec".to_owned(),
        object: Masked::argv(["/usr/bin/env", "-0"]),
        verdict: Verdict::Deny,
        rule: None,
        code: Some("P0201".to_owned()),
        reason: Some(Masked::new("no `exec` rule matches; the default is deny")),
    })
}

/// Resident memory that one more instance costs, the guest's own included.
async fn memory(bench: &Bench) -> anyhow::Result<()> {
    const INSTANCES: usize = 500;
    let noop = bench.plugin("noop").await?;
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
