//! What a call costs in Extism and in Portcullis, in one run: `cargo xtask bench -- peers`.
//!
//! Both guests are Rust and do the same (`guests/calls`, `guest`); both runtimes have their modules compiled before, a
//! deadline for each call and a limit of memory, but for one row; both pass text as text. What has a structure goes through Extism as
//! JSON, which is how its kit passes it, and through Portcullis as what it is.

mod extism;
#[path = "../../src/lift.rs"]
mod lift;
mod ours;
#[path = "../../src/uses.rs"]
mod uses;

use std::time::Instant;

use portcullis_spawn_bench::rounds::{Goal, Row, print, print_against, section};

const ROUNDS: usize = 40;
/// Requests in one call of a guest that asks for commands.
const REQUESTS: u32 = 500;
const TEXT_BYTES: usize = 1024;
const TEXTS: [&str; 4] = ["repository", "--since=yesterday", "a/path/of/a/file", "x"];

/// A call that both can make, by what it is given.
#[derive(Clone, Copy)]
pub(crate) enum Call<'a> {
    Nothing,
    Text(&'a str),
    Texts(&'a [&'a str]),
}

/// How two runtimes are compared in one group.
struct Pair {
    title: &'static str,
    rows: Vec<Row>,
    /// How many times longer Extism should at least take, where that is a goal.
    goal: Option<f64>,
}

impl Pair {
    fn new(title: &'static str, goal: Option<f64>) -> Self {
        let names = ["Portcullis", "Extism", "Extism without a deadline"];
        let rows = names.map(|name| Row::new(name, Goal::None)).to_vec();
        Self { title, rows, goal }
    }

    fn print(&self) {
        print(self.title, &self.rows);
        if let (Some(goal), [ours, extism, ..]) = (self.goal, &self.rows[..]) {
            print_against(self.title, "Extism beside Portcullis", extism, ours, goal);
        }
    }
}

fn main() -> anyhow::Result<()> {
    portcullis::enter();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    section("peers");
    runtime.block_on(measure())
}

async fn measure() -> anyhow::Result<()> {
    let text = "portcullis "
        .repeat(TEXT_BYTES)
        .split_at(TEXT_BYTES)
        .0
        .to_owned();
    let calls = [
        (
            Pair::new("a call with nothing in it", Some(14.0)),
            Call::Nothing,
            2_000,
        ),
        (
            Pair::new("a call with a text of 1 KiB, and back", None),
            Call::Text(&text),
            1_000,
        ),
        (
            Pair::new("a call with a list of four texts, one back", None),
            Call::Texts(&TEXTS),
            1_000,
        ),
    ];
    let ours = ours::Runtime::new().await?;
    let mut sides = uses::Sides::new().await?;
    let native = &sides.native;
    let peers = [
        extism::Runtime::new(true, native)?,
        extism::Runtime::new(false, native)?,
    ];
    starts(&ours, &peers).await?;
    for (mut pair, call, repetitions) in calls {
        let mut mine = ours.instance().await?;
        let mut others = [peers[0].instance()?, peers[1].instance()?];
        anyhow::ensure!(
            mine.call(call).await? == others[0].call(call)?,
            "the guests do different things"
        );
        for round in 0..ROUNDS {
            for turn in 0..3 {
                let start = Instant::now();
                let which = (round + turn) % 3;
                for _ in 0..repetitions {
                    let answer = match which.checked_sub(1) {
                        None => mine.call(call).await?,
                        Some(other) => others[other].call(call)?,
                    };
                    std::hint::black_box(answer);
                }
                pair.rows[which].add(start.elapsed(), repetitions);
            }
        }
        pair.print();
    }
    host_function(&ours, &peers[0]).await?;
    for what in uses::Use::ALL {
        guest_does(what, &mut sides, &peers[0]).await?;
    }
    Ok(())
}

/// What a guest does itself, beside a function of the host that does the same in native Rust and nothing else.
async fn guest_does(
    what: uses::Use,
    sides: &mut uses::Sides,
    peer: &extism::Runtime,
) -> anyhow::Result<()> {
    let names = uses::SIDES.map(|(_, name)| name);
    let mut rows = names.map(|name| Row::new(name, Goal::None)).to_vec();
    rows.push(Row::new("Extism, a function of the host", Goal::None));
    let (object, times) = (what.object(&sides.native), what.repetitions());
    let mut peer = peer.instance()?;
    for round in 0..uses::WARM_UP + ROUNDS {
        for turn in 0..rows.len() {
            let which = (round + turn) % rows.len();
            let took = match uses::SIDES.get(which) {
                Some((side, _)) => sides.time(*side, what, times).await?,
                None => peer.again(what, &object, times)?,
            };
            if round >= uses::WARM_UP {
                rows[which].add(took, times);
            }
        }
    }
    print(what.title(), &rows);
    let [native, trail, no_trail, extism] = &rows[..] else {
        anyhow::bail!("a row is missing");
    };
    uses::print_more(what.title(), native, trail, no_trail);
    for (name, ours) in [
        ("Extism beside a plugin, written into the trail", trail),
        ("Extism beside a plugin, no trail", no_trail),
    ] {
        print_against(what.title(), name, extism, ours, 5.0);
    }
    Ok(())
}

/// From compiled code to the answer of the first call, and everything given back.
async fn starts(ours: &ours::Runtime, peers: &[extism::Runtime; 2]) -> anyhow::Result<()> {
    const REPETITIONS: u32 = 50;
    let mut pair = Pair::new("instantiate compiled code, a first call, drop", Some(4.0));
    for round in 0..ROUNDS {
        for turn in 0..3 {
            let start = Instant::now();
            let which = (round + turn) % 3;
            for _ in 0..REPETITIONS {
                match which.checked_sub(1) {
                    None => ours.instance().await?.call(Call::Nothing).await?,
                    Some(other) => peers[other].instance()?.call(Call::Nothing)?,
                };
            }
            pair.rows[which].add(start.elapsed(), REPETITIONS);
        }
    }
    pair.print();
    Ok(())
}

/// A guest asks its host for a command. Both hosts answer at once, so that only the asking counts; in a third row
/// Portcullis resolves, decides, and writes down that it refuses.
async fn host_function(ours: &ours::Runtime, peer: &extism::Runtime) -> anyhow::Result<()> {
    let mut pair = Pair::new("a guest's request to its host, and the answer", Some(10.0));
    let mut refused = Row::new("Portcullis, decided, refused and written down", Goal::None);
    let count = |count: u32| ["exec".to_owned(), count.to_string()].to_vec();
    let mut lift = lift::Lift::new("calls").await?;
    for round in 0..ROUNDS {
        let (mut gate, mut other) = (ours.instance().await?, peer.instance()?);
        for turn in 0..3 {
            match (round + turn) % 3 {
                0 => {
                    let base = lift.call(count(0)).await?;
                    let took = lift.call(count(REQUESTS)).await?.saturating_sub(base);
                    pair.rows[0].add(took, REQUESTS);
                }
                1 => {
                    other.ask(0)?;
                    let start = Instant::now();
                    anyhow::ensure!(
                        other.ask(REQUESTS)? == REQUESTS,
                        "a request was not answered"
                    );
                    pair.rows[1].add(start.elapsed(), REQUESTS);
                }
                _ => {
                    let start = Instant::now();
                    anyhow::ensure!(gate.ask(REQUESTS).await? == 0, "a request was allowed");
                    refused.add(start.elapsed(), REQUESTS);
                }
            }
        }
    }
    // A deadline is one for the whole call, in which nothing of it is seen.
    pair.rows[2] = refused;
    pair.print();
    Ok(())
}
