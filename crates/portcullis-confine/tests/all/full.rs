//! Cells that confine: what a command finds in them, what it does not, and with which error.
//!
//! What two tiers promise alike is tested in both; the tier without namespaces needs an ordinary user.

mod access;
mod between;
mod certificates;
pub(crate) mod cgroup;
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

use portcullis_confine::{
    Access, Event, Net, Plan, Protection, Root, ServerError, Status, Step, Tier,
};

use crate::{
    Test,
    fixture::{Cells, Run, cell_of, scratch, wait_readable},
    probe::with_probe,
};

crate::tests![
    everything_is_in_force,
    landlock_is_not_claimed_without_it,
    the_tier_without_namespaces_is_not_for_root,
    a_listener_for_a_proxy_is_handed_out,
    a_program_cannot_be_written_by_way_of_itself,
    a_command_cannot_end_its_cell_by_a_signal,
    no_precedence_on_the_processor,
    names_of_keys_are_not_shown,
];

pub(crate) fn tests() -> Vec<Test> {
    [
        TESTS,
        access::TESTS,
        between::TESTS,
        certificates::TESTS,
        cgroup::TESTS,
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

pub(crate) fn is_root() -> bool {
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
    match cells.template.request_cell() {
        Ok(()) => {}
        // It has said so already.
        Err(ServerError::Cell { step, errno }) => return (step, errno),
        other => panic!("{other:?}"),
    }
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

/// All but those of cells that have a cgroup.
fn of_all_cells() -> impl Iterator<Item = Protection> {
    use Protection::{MemoryCgroup, ProcessesCgroup};
    let all = Protection::ALL.iter().copied();
    all.filter(|protection| !matches!(protection, MemoryCgroup | ProcessesCgroup))
}

fn everything_is_in_force() {
    let report = cell_of(&Cells::of(&Plan::new(Tier::Full))).report();
    for protection in of_all_cells() {
        assert!(report.has(protection), "{protection:?}: {report}");
    }
}

fn landlock_is_not_claimed_without_it() {
    let report = cell_of(&Cells::of(&Plan::new(Tier::Namespaces))).report();
    for protection in of_all_cells() {
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

fn a_listener_for_a_proxy_is_handed_out() {
    let cells = Cells::of(&Plan::new(Tier::Full).network(Net::Proxy));
    let mut cell = cell_of(&cells);
    let listener = std::net::TcpListener::from(cell.take_listener().unwrap());
    let address = listener.local_addr().unwrap();
    assert_eq!(address.port(), portcullis_confine::PROXY_PORT);
    let without = Cells::of(&Plan::new(Tier::Full).network(Net::Loopback));
    assert!(cell_of(&without).take_listener().is_none());
}

/// `/proc/self/exe` is no way to the file on a mount of the host, where its owner may write it.
fn a_program_cannot_be_written_by_way_of_itself() {
    let program = crate::fixture::copy_of("/bin/sh", "own-program", 0o755);
    let program = program.canonicalize().unwrap();
    let before = fs::read(&program).unwrap();
    // Namespaces alone: Landlock would refuse it, too.
    let plan = Plan::new(Tier::Namespaces).root(Root::open(&program, Access::Program).unwrap());
    // Once nothing executes the file any more, it could be opened for writing.
    let script = "exec 3</proc/self/exe; exec /usr/bin/env sh -c 'echo x >>/proc/self/fd/3'";
    let path = program.to_str().unwrap();
    let run = Run::program(path, &[path, "-c", script]);
    let cells = Cells::of(&plan);
    let (event, output, errors) = run.finish_in(&cell_of(&cells));
    assert!(
        errors.contains("Read-only file system"),
        "{event:?} {output}{errors}"
    );
    assert_eq!(fs::read(&program).unwrap(), before);
}

fn names_of_keys_are_not_shown() {
    let host = fs::read_to_string("/proc/keys").unwrap_or_default();
    let inside = output(
        &cells_of(Plan::new(Tier::Full)),
        "cat /proc/keys /proc/key-users",
    );
    assert_eq!(inside, "", "outside it is {host}");
}

/// The init has signals blocked, so it gets them.
fn a_command_cannot_end_its_cell_by_a_signal() {
    let cells = Cells::of(&Plan::new(Tier::Full));
    let script = "kill -TERM 1; kill -INT 1; kill -KILL 1; exit 3";
    let (event, output, errors) = Run::shell(script).finish_in(&cell_of(&cells));
    let code = matches!(
        event,
        Event::Exited {
            status: Status::Code(3),
            ..
        }
    );
    assert!(code, "{event:?} {output}{errors}");
}

fn no_precedence_on_the_processor() {
    // Whatever the user may do: here it is little, so that this is what is read back.
    let shown = output(&cells_of(Plan::new(Tier::Full)), "cat /proc/self/limits");
    let limit = |name: &str| {
        let line = shown.lines().find(|line| line.starts_with(name)).unwrap();
        line[name.len()..]
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(limit("Max realtime priority"), ["0", "0"], "{shown}");
    assert_eq!(limit("Max nice priority"), ["0", "0"], "{shown}");
}
