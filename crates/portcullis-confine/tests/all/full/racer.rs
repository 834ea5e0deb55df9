//! A command that watches for new processes and grabs at each the moment it comes: between its clone, its walls and
//! its exec a process has been many a sandbox's weak spot.

use std::{
    fs,
    io::{Read, Write},
    process::ExitCode,
};

use portcullis_confine::{Net, Plan, Tier};

use super::{OWN_ROOT, cells_of, is_root};
use crate::fixture::{Cells, Run, c_strings, cell_of, event_of, read_all, soak, this_executable};

crate::tests![
    from_another_cell,
    from_a_cell_that_shares,
    from_a_tier_that_sees_the_hosts_processes,
    from_beside_its_own_children,
];

/// Commands that are started before the racer's eyes.
fn spawns() -> usize {
    soak(10_000) / 4
}

/// What a racer says when its standard input ends: how often it tried, on whom it had success.
#[derive(Debug)]
struct Raced {
    tries: u64,
    successes: String,
}

/// Lets a racer run in a cell while commands are started in others.
fn race(racers: &Cells, victims: &Cells, how: &str) -> Raced {
    let cell = cell_of(racers);
    let (reader, writer) = std::io::pipe().unwrap();
    let file = this_executable();
    let mut run = Run::program(file.to_str().unwrap(), &["racer", "--role", "racer"]);
    run.argv.extend(c_strings(&[how]));
    run.stdin = reader.into();
    let mut pipes = run.start(&cell).unwrap();
    drop(run);
    pipes.stdout.read_exact(&mut [0; 3]).unwrap();
    let victim = Run::program("/bin/true", &["true"]);
    for _ in 0..spawns() {
        victim.finish_in(&cell_of(victims));
    }
    drop(writer);
    let said = read_all(&mut pipes.stdout);
    event_of(&cell);
    let (tries, successes) = said.split_once(' ').unwrap();
    Raced {
        tries: tries.parse().unwrap(),
        successes: successes.trim().to_owned(),
    }
}

fn assert_none(raced: &Raced, case: &str) {
    assert!(raced.tries > 1000, "{case}: {raced:?}");
    assert_eq!(raced.successes, "", "{case}: {raced:?}");
}

fn from_another_cell() {
    for tier in OWN_ROOT {
        let cells = cells_of(Plan::new(tier));
        assert_none(&race(&cells, &cells, "all"), tier.name());
    }
}

fn from_a_cell_that_shares() {
    for tier in OWN_ROOT {
        let cells = cells_of(Plan::new(tier).network(Net::Loopback).share_scratch());
        assert_none(&race(&cells, &cells, "all"), tier.name());
    }
}

/// Without namespaces every process of the user is there to be seen, those of other cells and tiers among them.
fn from_a_tier_that_sees_the_hosts_processes() {
    if is_root() {
        return;
    }
    let racers = cells_of(Plan::new(Tier::Landlock));
    for tier in [Tier::Landlock, Tier::Full, Tier::Limits] {
        let victims = cells_of(Plan::new(tier));
        assert_none(&race(&racers, &victims, "all"), tier.name());
    }
}

/// The control: its own children a racer does catch, by the same means.
fn from_beside_its_own_children() {
    for tier in [Tier::Full, Tier::Namespaces, Tier::Limits] {
        let cells = cells_of(Plan::new(tier));
        let raced = race(&cells, &cells, "children");
        for means in ["exe", "fd", "mem"] {
            assert!(raced.successes.contains(means), "{tier:?}: {raced:?}");
        }
    }
}

/// Grabs at every process that is neither itself nor, unless they are wanted, a child of its own.
#[expect(clippy::print_stdout, reason = "the test reads it")]
pub(crate) fn play(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    let children = arguments.next().as_deref() == Some("children");
    let child = children.then(|| {
        let mut sleep = crate::fixture::command("/bin/sleep");
        sleep.arg("1000").spawn().unwrap()
    });
    println!("up");
    std::io::stdout().flush().unwrap();
    let own = std::process::id();
    let mut tries = 0_u64;
    let mut successes = std::collections::BTreeSet::new();
    while !crate::fixture::wait_readable(std::io::stdin(), std::time::Duration::ZERO) {
        let seen = fs::read_dir("/proc").into_iter().flatten().flatten();
        let seen = seen.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        // Those that are not shown may be there all the same.
        for pid in seen.chain(1..40).filter(|pid| *pid != own) {
            for means in ["exe", "fd", "mem", "write"] {
                tries += 1;
                if grab(pid, means) {
                    successes.insert(format!("{means}:{pid}"));
                }
            }
        }
    }
    let successes: Vec<String> = successes.into_iter().collect();
    println!("{tries} {}", successes.join(","));
    if let Some(mut child) = child {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    ExitCode::SUCCESS
}

fn grab(pid: u32, means: &str) -> bool {
    match means {
        "exe" => fs::read_link(format!("/proc/{pid}/exe")).is_ok(),
        "fd" => fs::read_link(format!("/proc/{pid}/fd/0")).is_ok(),
        "mem" => {
            let path = format!("/proc/{pid}/mem");
            let write = fs::File::options().write(true).open(&path);
            write.is_ok() || fs::File::open(path).is_ok()
        }
        _ => crate::probe::write_into(pid),
    }
}
