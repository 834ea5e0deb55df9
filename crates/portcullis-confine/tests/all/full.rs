//! Cells of the full tier: what a command finds in them, and what it does not.

use std::{fs, path::PathBuf};

use portcullis_confine::{Access, Event, Net, Plan, Protection, Root, Status, Tier};

use crate::fixture::{Cells, Run, cell_of, scratch};

crate::tests![
    everything_is_in_force,
    roots_are_where_they_were,
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
    assert!(matches!(event, Event::Exited { status: Status::Code(0), .. }), "{event:?} {output} {errors}");
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
