//! The rows: one command at a time, several at once, and what a cell costs inside.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use portcullis_confine::{Cell, Tier};

use crate::cells::{Cells, Task, settle};
use crate::floor::Program;
use crate::rounds::{Goal, Row, print, print_against, rates};
use crate::setting::Setting;
use crate::tiny::OUTPUT;

/// Before each measurement: time in which cells that were used up are made anew, for the rows that need none too.
const PAUSE: Duration = Duration::from_millis(3);
const WARM_UP: usize = 10;
/// Cells that a host keeps parked.
const PARKED: usize = 3;
/// How long one round of commands at once lasts.
const SUSTAINED: Duration = Duration::from_millis(400);

/// A way to run the tiny program once: timed by itself, with what has to happen before and after it.
type Way<'a> = Box<dyn FnMut() -> anyhow::Result<Duration> + 'a>;

/// One command at a time from this process, whose size `title` tells.
///
/// Gives back how many times longer than the floor a command in a parked cell takes.
///
/// # Errors
/// A way fails.
pub fn one_at_a_time(setting: &Setting, title: &str, rounds: usize) -> anyhow::Result<f64> {
    let task = Task::new(&setting.tiny, &["tiny"])?;
    let program = Program::new(&setting.tiny)?;
    let cells = |tier, parked| Cells::new(&setting.server, &setting.plan(tier)?, parked);
    let shared = setting.plan(Tier::Full)?.share_scratch();
    let (limits, full) = (cells(Tier::Limits, 1)?, cells(Tier::Full, PARKED)?);
    let (empty, twice) = (cells(Tier::Full, 0)?, cells(Tier::Full, 0)?);
    let shared = Cells::new(&setting.server, &shared, 1)?;
    let landlock = cells(Tier::Landlock, 1);
    let mut ways: Vec<(Row, Way<'_>)> = Vec::new();
    let mut add = |name: &str, goal, way| ways.push((Row::new(name, goal), way));
    add("posix_spawn", Goal::None, posix_spawn(&program));
    add("std Command::output", Goal::None, std_output(&setting.tiny));
    let name = "not confined (limits), a cell parked";
    add(name, Goal::None, parked(&limits, &task));
    match &landlock {
        Ok(cells) => add(
            "Landlock alone, a cell parked",
            Goal::None,
            parked(cells, &task),
        ),
        Err(error) => println!("\nno row `Landlock alone`: {error}"),
    }
    add(FULL, Goal::Ratio(1.3), parked(&full, &task));
    let name = "full, share = \"plan\", a cell parked";
    add(name, Goal::Ratio(1.25), parked(&shared, &task));
    let name = "full, none parked: made when it is asked for";
    add(name, Goal::Ratio(6.0), made(&empty, &task, false));
    let name = "full, none parked, right after another was made";
    add(name, Goal::None, made(&twice, &task, true));
    match setting.bwrap(&setting.tiny) {
        Some(bwrap) => add(BWRAP, Goal::None, by_bwrap(bwrap)),
        None => println!(
            "\nno `bwrap` here, so its row is missing (Debian: apt-get install bubblewrap)"
        ),
    }
    take_turns(&mut ways, rounds)?;
    let rows: Vec<Row> = ways.into_iter().map(|(row, _)| row).collect();
    print(title, &rows);
    let named = |name: &str| rows.iter().find(|row| row.name == name);
    if let (Some(bwrap), Some(full)) = (named(BWRAP), named(FULL)) {
        print_against(title, "bwrap beside full, a cell parked", bwrap, full, 15.0);
    }
    let full = named(FULL).ok_or_else(|| anyhow::anyhow!("no row of parked cells"))?;
    Ok(full.ratio_to(&rows[0]))
}

const FULL: &str = "full, a cell parked";
const BWRAP: &str = "bwrap, the same namespaces and mounts, no Landlock, no filter";

/// Every way once a round, beginning with another one each time.
fn take_turns(ways: &mut [(Row, Way<'_>)], rounds: usize) -> anyhow::Result<()> {
    for round in 0..WARM_UP + rounds {
        for turn in 0..ways.len() {
            let which = (round + turn) % ways.len();
            std::thread::sleep(PAUSE);
            let (row, way) = &mut ways[which];
            let took = way()?;
            if round >= WARM_UP {
                row.add(took, 1);
            }
        }
    }
    Ok(())
}

/// What a way gives back is right, and how long it took.
fn timed(work: impl FnOnce() -> anyhow::Result<[Vec<u8>; 2]>) -> anyhow::Result<Duration> {
    let start = Instant::now();
    let [stdout, stderr] = work()?;
    let took = start.elapsed();
    anyhow::ensure!(
        stdout == OUTPUT && stderr.is_empty(),
        "the tiny program is wrong"
    );
    Ok(took)
}

fn posix_spawn(program: &Program) -> Way<'_> {
    Box::new(|| timed(|| program.output()))
}

fn std_output(program: &Path) -> Way<'_> {
    Box::new(move || timed(|| output(Command::new(program).env_clear())))
}

fn by_bwrap(mut command: Command) -> Way<'static> {
    Box::new(move || timed(|| output(&mut command)))
}

fn output(command: &mut Command) -> anyhow::Result<[Vec<u8>; 2]> {
    let output = command.output()?;
    anyhow::ensure!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok([output.stdout, output.stderr])
}

fn parked<'a>(cells: &'a Cells, task: &'a Task) -> Way<'a> {
    Box::new(|| {
        let cell = cells.take()?;
        let took = timed(|| cells.run(&cell, task))?;
        discard(&cell);
        cells.park()?;
        Ok(took)
    })
}

/// A cell made for its command; `at_once`: when its template has just made another.
fn made<'a>(cells: &'a Cells, task: &'a Task, at_once: bool) -> Way<'a> {
    Box::new(move || {
        if at_once {
            discard(&cells.make()?);
        }
        let mut made = None;
        let took = timed(|| cells.run(made.insert(cells.make()?), task))?;
        if let Some(cell) = made {
            discard(&cell);
        }
        Ok(took)
    })
}

/// Ends a cell and waits until it is gone.
fn discard(cell: &Cell) {
    cell.kill();
    settle(cell);
}
/// Making a cell, without a command.
///
/// # Errors
/// It cannot be made.
pub fn making(setting: &Setting, rounds: usize) -> anyhow::Result<()> {
    let plans = [
        ("full", setting.plan(Tier::Full)?),
        (
            "full, share = \"plan\"",
            setting.plan(Tier::Full)?.share_scratch(),
        ),
        ("not confined (limits)", setting.plan(Tier::Limits)?),
    ];
    let mut rows = vec![Row::new("a template and its first cell, full", Goal::None)];
    let mut made = Vec::new();
    for (name, plan) in &plans {
        rows.push(Row::new(format!("a cell, {name}"), Goal::None));
        made.push(Cells::new(&setting.server, plan, 0)?);
    }
    for _ in 0..rounds {
        std::thread::sleep(PAUSE);
        let start = Instant::now();
        let first = Cells::new(&setting.server, &plans[0].1, 1)?;
        rows[0].add(start.elapsed(), 1);
        drop(first);
        for (row, cells) in rows[1..].iter_mut().zip(&made) {
            std::thread::sleep(PAUSE);
            let start = Instant::now();
            let cell = cells.make()?;
            row.add(start.elapsed(), 1);
            discard(&cell);
        }
    }
    print("making a cell, ahead of its command", &rows);
    Ok(())
}

/// Commands a second with so many at once, for as long as anybody wants them.
///
/// # Errors
/// A command fails.
pub fn in_flight(setting: &Setting, rounds: usize) -> anyhow::Result<()> {
    let task = Task::new(&setting.tiny, &["tiny"])?;
    let program = Program::new(&setting.tiny)?;
    for flying in [1, 2, 8] {
        let full = Cells::new(
            &setting.server,
            &setting.plan(Tier::Full)?,
            PARKED.max(flying),
        )?;
        let shared = setting.plan(Tier::Full)?.share_scratch();
        let shared = Cells::new(&setting.server, &shared, PARKED.max(flying))?;
        let in_cell = |cells: &Cells| {
            let cell = cells.next()?;
            cells.run(&cell, &task).map(|_| ())
        };
        let mut rows = vec![
            Row::new("posix_spawn", Goal::None),
            Row::new("full, one-use cells", Goal::None),
            Row::new("full, share = \"plan\"", Goal::None),
        ];
        let bwrap = setting.bwrap(&setting.tiny).is_some();
        if bwrap {
            rows.push(Row::new(
                "bwrap, the same namespaces and mounts",
                Goal::None,
            ));
        }
        for _ in 0..rounds {
            rows[0].push(sustained(flying, &|| program.output().map(|_| ()))?);
            rows[1].push(sustained(flying, &|| in_cell(&full))?);
            rows[2].push(sustained(flying, &|| in_cell(&shared))?);
            if bwrap {
                let run = || match setting.bwrap(&setting.tiny) {
                    Some(mut command) => output(&mut command).map(|_| ()),
                    None => Ok(()),
                };
                rows[3].push(sustained(flying, &run)?);
            }
        }
        rates(
            &format!("commands a second, {flying} at once"),
            &rows,
            bwrap && flying == 8,
        );
    }
    Ok(())
}

/// Repeats something in so many threads; how often a second it was done.
fn sustained(
    threads: usize,
    work: &(dyn Fn() -> anyhow::Result<()> + Sync),
) -> anyhow::Result<f64> {
    let start = Instant::now();
    let done: anyhow::Result<u32> = std::thread::scope(|scope| {
        let repeat = || {
            let mut done = 0_u32;
            while start.elapsed() < SUSTAINED {
                work()?;
                done += 1;
            }
            Ok(done)
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(repeat)).collect();
        let counts = threads.into_iter().map(|thread| match thread.join() {
            Ok(count) => count,
            Err(_) => anyhow::bail!("a thread panicked"),
        });
        counts.sum()
    });
    Ok(f64::from(done?) / start.elapsed().as_secs_f64())
}

/// The same work inside a cell and outside: opening and closing a file, and `find` over some thousands of files.
///
/// # Errors
/// A command fails.
pub fn inside(setting: &Setting, rounds: usize) -> anyhow::Result<()> {
    let cells = Cells::new(&setting.server, &setting.plan(Tier::Full)?, 1)?;
    let tree = setting.tree.display().to_string();
    // The shell opens and closes a file for each redirection, and does nothing else in between.
    let open =
        format!("i=0; while [ $i -lt 20000 ]; do : <{tree}/directory-1/file-1; i=$((i+1)); done");
    let works: [(&str, Goal, &Path, Vec<&str>); 2] = [
        (
            "sh: 20,000 times open and close a file",
            Goal::None,
            Path::new("/bin/sh"),
            vec!["sh", "-c", &open],
        ),
        (
            "find: 3,600 files in 60 directories, ten times",
            Goal::Ratio(1.1),
            Path::new("/usr/bin/find"),
            {
                let mut args = vec!["find"];
                args.extend([tree.as_str(); 10]);
                args.extend(["-type", "f", "-size", "+1000"]);
                args
            },
        ),
    ];
    for (name, goal, program, args) in works {
        let program = program.canonicalize()?;
        let task = Task::new(&program, &args)?;
        let mut rows = [
            Row::new("outside", Goal::None),
            Row::new("inside a cell", goal),
        ];
        for round in 0..rounds {
            for turn in 0..2 {
                let which = (round + turn) % 2;
                let start;
                if which == 0 {
                    let mut command = Command::new(&program);
                    command.args(&args[1..]).env_clear().current_dir("/");
                    start = Instant::now();
                    output(&mut command)?;
                } else {
                    let cell = cells.take()?;
                    start = Instant::now();
                    cells.run(&cell, &task)?;
                    rows[which].add(start.elapsed(), 1);
                    discard(&cell);
                    cells.park()?;
                    continue;
                }
                rows[which].add(start.elapsed(), 1);
            }
        }
        print(name, &rows);
    }
    Ok(())
}
