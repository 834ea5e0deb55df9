//! Calls into a guest, and what stands between a guest's request and its effect.

use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis::audit::{Event, Masked, Options, Sink, Trail, Verdict};
use portcullis::policy::{Decision, HostEnvironment, decide};
use portcullis_exec::{ExecAsk, Place, resolve};

use crate::lift::Lift;
use crate::uses::{SIDES, Sides, Use, WARM_UP, print_more};
use crate::{Bench, Wish};
use portcullis_spawn_bench::rounds::{Figure, Goal, Row, print};

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
    let mut lift = Lift::new("exec-args").await?;
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
        let (took, requests) = requests(&mut lift).await?;
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
    Figure::at_most(
        "the gate",
        "lift, decide and lower together",
        both,
        "µs",
        2.0,
    )
    .put();
    Ok(())
}

/// Many requests in one call, less one in one call, so that only requests count.
async fn requests(lift: &mut Lift) -> anyhow::Result<(Duration, u32)> {
    const REQUESTS: u32 = 500;
    let one = ["exec", "--", "/usr/bin/tiny"].map(str::to_owned);
    let mut many = one.to_vec();
    for _ in 0..REQUESTS {
        many.push(";;".to_owned());
        many.extend(one.clone());
    }
    let base = lift.call(one.to_vec()).await?;
    Ok((lift.call(many).await?.saturating_sub(base), REQUESTS))
}

fn decision_event() -> Event {
    Event::Decision(portcullis::audit::Decision {
        run: "bench".to_owned(),
        call: 1,
        plugin: "bench".to_owned(),
        capability: "exec".to_owned(),
        function: None,
        object: Masked::argv(["/usr/bin/env", "-0"]),
        request_id: None,
        verdict: Verdict::Allow,
        rule: None,
        code: None,
        reason: None,
        effect: None,
    })
}

/// What guests do themselves, in turns with native Rust.
pub(crate) async fn uses() -> anyhow::Result<()> {
    let mut sides = Sides::new().await?;
    for what in Use::ALL {
        let mut rows = SIDES.map(|(_, name)| Row::new(name, Goal::None));
        for round in 0..WARM_UP + ROUNDS {
            for turn in 0..SIDES.len() {
                let which = (round + turn) % SIDES.len();
                let took = sides.time(SIDES[which].0, what, what.repetitions()).await?;
                if round >= WARM_UP {
                    rows[which].add(took, what.repetitions());
                }
            }
        }
        print(what.title(), &rows);
        let [native, trail, no_trail] = &rows;
        print_more(what.title(), native, trail, no_trail);
    }
    Ok(())
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
    println!();
    let name = "resident for each instance, its guest's memory included";
    Figure::at_most("memory", name, each as f64, "KiB", 64.0).put();
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
