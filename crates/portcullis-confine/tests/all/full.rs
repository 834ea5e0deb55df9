//! Cells that confine: what a command finds in them, what it does not, and with which error.
//!
//! What two tiers promise alike is tested in both; the tier without namespaces needs an ordinary user.

mod access;
mod between;
mod devices;
mod identity;
mod landlock;
mod memory;
mod network;
mod proc;
pub(crate) mod racer;
mod root;
mod scratch;
mod seccomp;
mod tied;

use std::{fs, path::PathBuf};

use portcullis_confine::{Access, Event, Plan, Protection, Root, ServerError, Status, Step, Tier};

use crate::{
    Test,
    fixture::{Cells, Run, cell_of, scratch, wait_readable},
    probe::with_probe,
};

crate::tests![
    everything_is_in_force,
    landlock_is_not_claimed_without_it,
    the_tier_without_namespaces_is_not_for_root,
];

pub(crate) fn tests() -> Vec<Test> {
    [
        TESTS,
        access::TESTS,
        between::TESTS,
        devices::TESTS,
        identity::TESTS,
        landlock::TESTS,
        memory::TESTS,
        network::TESTS,
        proc::TESTS,
        racer::TESTS,
        root::TESTS,
        scratch::TESTS,
        seccomp::TESTS,
        tied::TESTS,
    ]
    .concat()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The tiers with a root of their own.
const OWN_ROOT: [Tier; 2] = [Tier::Full, Tier::Namespaces];

/// The tiers that keep files from a command, as far as this user can have them.
fn confining() -> Vec<Tier> {
    let landlock = (!is_root()).then_some(Tier::Landlock);
    OWN_ROOT.into_iter().chain(landlock).collect()
}

/// A directory of its own for each test.
fn directory(name: &str) -> PathBuf {
    let path = scratch().canonicalize().unwrap().join("full").join(name);
    fs::create_dir_all(&path).unwrap();
    path
}

fn open(path: impl Into<PathBuf>, access: Access) -> Root {
    Root::open(&path.into(), access).unwrap()
}

/// Cells of a plan in which probes can run.
fn cells_of(plan: Plan) -> Cells {
    Cells::of(&with_probe(plan))
}

/// What `sh -c` writes in a new cell, if it ends well.
fn output(cells: &Cells, script: &str) -> String {
    let (event, output, errors) = Run::shell(script).finish_in(&cell_of(cells));
    let well = matches!(
        event,
        Event::Exited {
            status: Status::Code(0),
            ..
        }
    );
    assert!(well, "{event:?} {output} {errors}");
    output
}

/// Why no cell of this plan can be made.
fn refusal(cells: &Cells) -> (Step, i32) {
    cells.template.request_cell().unwrap();
    loop {
        assert!(wait_readable(
            cells.template.socket(),
            crate::fixture::PATIENCE
        ));
        match cells.template.receive_cell() {
            Ok(None) => {}
            Err(ServerError::Cell { step, errno }) => return (step, errno),
            other => panic!("{other:?}"),
        }
    }
}

fn everything_is_in_force() {
    let report = cell_of(&Cells::of(&Plan::new(Tier::Full))).report();
    for &protection in Protection::ALL {
        assert!(report.has(protection), "{protection:?}: {report}");
    }
}

fn landlock_is_not_claimed_without_it() {
    let report = cell_of(&Cells::of(&Plan::new(Tier::Namespaces))).report();
    for &protection in Protection::ALL {
        let expected = protection != Protection::Landlock;
        assert_eq!(report.has(protection), expected, "{protection:?}: {report}");
    }
    assert_eq!(report.landlock_abi(), 0);
}

/// Without a user namespace root's command would be root.
fn the_tier_without_namespaces_is_not_for_root() {
    let server = crate::fixture::new_server().server;
    let template = server.template(&Plan::new(Tier::Landlock)).unwrap();
    let cells = Cells { template, server };
    if is_root() {
        assert_eq!(refusal(&cells), (Step::Unprivileged, libc::EPERM));
    } else {
        let report = cell_of(&cells).report();
        assert!(report.has(Protection::Landlock) && report.has(Protection::Seccomp));
        assert!(!report.has(Protection::PidNamespace), "{report}");
    }
}
