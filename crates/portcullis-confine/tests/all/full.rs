//! Cells of the full tier: what a command finds in them, and what it does not.

use std::{fs, path::PathBuf};

use portcullis_confine::{Access, Event, Net, Plan, Protection, Root, Status, Tier};

use crate::fixture::{Cells, Run, cell_of, scratch};

crate::tests![
    everything_is_in_force,
    roots_are_where_they_were,
    a_listener_for_a_proxy_is_handed_out,
    a_program_cannot_be_written_by_way_of_itself,
    names_of_keys_are_not_shown,
];

/// A directory of its own for each test.
fn directory(name: &str) -> PathBuf {
    let path = scratch().canonicalize().unwrap().join(name);
    fs::create_dir_all(&path).unwrap();
    path
}

fn output_in(plan: &Plan, script: &str) -> String {
    let cells = Cells::of(plan);
    let (event, output, errors) = Run::shell(script).finish_in(&cell_of(&cells));
    assert!(
        matches!(
            event,
            Event::Exited {
                status: Status::Code(0),
                ..
            }
        ),
        "{event:?} {output} {errors}"
    );
    output
}

fn everything_is_in_force() {
    let cells = Cells::of(&Plan::new(Tier::Full));
    let report = cell_of(&cells).report();
    for &protection in Protection::ALL {
        assert!(report.has(protection), "{protection:?}: {report}");
    }
}

fn roots_are_where_they_were() {
    let read = directory("read");
    let write = directory("write");
    fs::write(read.join("file"), "content").unwrap();
    let plan = Plan::new(Tier::Full)
        .root(Root::open(&read, Access::Read).unwrap())
        .root(Root::open(&write, Access::Write).unwrap());
    let script = format!(
        "cat {0}/file; echo new > {1}/file; ls -A / /tmp /dev; id; pwd; cat /proc/mounts; echo x > {0}/y || true",
        read.display(),
        write.display()
    );
    println!("{}", output_in(&plan, &script));
    assert_eq!(fs::read_to_string(write.join("file")).unwrap(), "new\n");
    let _ = Net::None;
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
    let inside = output_in(&Plan::new(Tier::Full), "cat /proc/keys /proc/key-users");
    assert_eq!(inside, "", "outside it is {host}");
}
