//! What a call costs in Extism and in Portcullis, in one run: `cargo xtask bench -- peers`.
//!
//! Both guests are Rust and do the same (`guests/calls`, `guest`); both runtimes have their modules compiled before, a
//! deadline for each call and a limit of memory; both pass text as text. What has a structure goes through Extism as
//! JSON, which is how its kit passes it, and through Portcullis as what it is.

mod extism;
#[path = "../../src/lift.rs"]
mod lift;
mod ours;

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
    rows: [Row; 2],
    /// How many times longer Extism should at least take; from our own earlier measurements of both.
    goal: f64,
}

impl Pair {
    fn new(title: &'static str, goal: f64) -> Self {
        let rows = ["Portcullis", "Extism"].map(|name| Row::new(name, Goal::None));
        Self { title, rows, goal }
    }

    fn print(&self) {
        let [ours, extism] = &self.rows;
        print(self.title, &self.rows);
        print_against(self.title, "Extism beside Portcullis", extism, ours, self.goal);
    }
}

fn main() -> anyhow::Result<()> {
    portcullis::enter();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    section("peers");
    runtime.block_on(measure())
}

async fn measure() -> anyhow::Result<()> {
    let text = "portcullis ".repeat(TEXT_BYTES).split_at(TEXT_BYTES).0.to_owned();
    let calls = [
        (Pair::new("a call with nothing in it", 14.0), Call::Nothing, 2_000),
        (Pair::new("a call with a text of 1 KiB, and back", 5.0), Call::Text(&text), 1_000),
        (Pair::new("a call with a list of four texts, one back", 5.0), Call::Texts(&TEXTS), 1_000),
    ];
    let ours = ours::Runtime::new().await?;
    let peer = extism::Runtime::new()?;
    starts(&ours, &peer).await?;
    for (mut pair, call, repetitions) in calls {
        let (mut mine, mut other) = (ours.instance().await?, peer.instance()?);
        anyhow::ensure!(
            mine.call(call).await? == other.call(call)?,
            "the guests do different things"
        );
        for round in 0..ROUNDS {
            for turn in 0..2 {
                let start = Instant::now();
                let which = (round + turn) % 2;
                for _ in 0..repetitions {
                    if which == 0 {
                        std::hint::black_box(mine.call(call).await?);
                    } else {
                        std::hint::black_box(other.call(call)?);
                    }
                }
                pair.rows[which].add(start.elapsed(), repetitions);
            }
        }
        pair.print();
    }
    host_function(&ours, &peer).await
}

/// From compiled code to the answer of the first call, and everything given back.
async fn starts(ours: &ours::Runtime, peer: &extism::Runtime) -> anyhow::Result<()> {
    const REPETITIONS: u32 = 50;
    let mut pair = Pair::new("instantiate compiled code, a first call, drop", 4.0);
    for round in 0..ROUNDS {
        for turn in 0..2 {
            let start = Instant::now();
            let which = (round + turn) % 2;
            for _ in 0..REPETITIONS {
                if which == 0 {
                    ours.instance().await?.call(Call::Nothing).await?;
                } else {
                    peer.instance()?.call(Call::Nothing)?;
                }
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
    let mut pair = Pair::new("a guest's request to its host, and the answer", 10.0);
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
                    anyhow::ensure!(other.ask(REQUESTS)? == REQUESTS, "a request was not answered");
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
    let [ours, extism] = pair.rows;
    let rows = [ours, extism, refused];
    print(pair.title, &rows);
    print_against(pair.title, "Extism beside Portcullis", &rows[1], &rows[0], pair.goal);
    Ok(())
}
