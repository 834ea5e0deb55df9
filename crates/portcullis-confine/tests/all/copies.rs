//! Files that a command changes in a copy of its own.

use std::{
    fs::{self, File},
    io::{Read, Write},
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
};

use portcullis_confine::{Access, Event, Plan, Root, Status, Tier};

use crate::fixture::{Cells, Run, cell_of, scratch};

crate::tests![
    a_command_changes_its_copy_and_not_the_file,
    a_copy_lies_in_a_home_too,
    each_cell_has_its_own,
    only_a_file_in_another_root_is_copied,
];

/// A writable directory with a pinned one in it, and there a file.
fn tree(name: &str) -> PathBuf {
    let path = scratch().canonicalize().unwrap().join(name);
    fs::create_dir_all(path.join("dir")).unwrap();
    fs::write(path.join("dir/config"), "real").unwrap();
    path
}

fn plan(tree: &Path) -> Plan {
    let open = |path: &Path, access| Root::open(path, access).unwrap();
    Plan::new(Tier::Full)
        .root(open(tree, Access::Write))
        .root(open(&tree.join("dir"), Access::Write))
        .root(open(&tree.join("dir/config"), Access::Copied))
}

fn beneath(directory: &OwnedFd, path: &str) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{path}", directory.as_raw_fd()))
}

/// Runs a script in a cell whose copy says `filled`; says what it printed and what the copy is then.
fn run(plan: &Plan, script: &str) -> (String, String) {
    let cells = Cells::of(plan);
    let mut cell = cell_of(&cells);
    let copies = cell.take_copies().unwrap();
    assert!(cell.take_copies().is_none());
    let copy = beneath(&copies, "0/config");
    let mut file = File::options().write(true).open(&copy).unwrap();
    file.write_all(b"filled").unwrap();
    let (event, output, errors) = Run::shell(script).finish_in(&cell);
    let Event::Exited { status, .. } = event else {
        panic!("{event:?}");
    };
    assert_eq!(status, Status::Code(0), "{output}{errors}");
    drop(cell);
    let mut changed = String::new();
    File::open(copy)
        .unwrap()
        .read_to_string(&mut changed)
        .unwrap();
    (output, changed)
}

/// As git changes its configuration: by a lock beside what the link leads to, and a rename.
const CHANGE: &str = r#"set -e
cat $T/dir/config
real=$(readlink -f $T/dir/config)
echo changed > $real.lock
mv $real.lock $real
cat $T/dir/config
! rm -f $T/dir/config 2>/dev/null
! mv $T/dir $T/other 2>/dev/null
! ln -s x $T/dir/config 2>/dev/null
echo beside > $T/dir/file"#;

fn assert_copied(tree: &Path, plan: &Plan) {
    let script = format!("T={}; {CHANGE}", tree.display());
    let (output, copy) = run(plan, &script);
    assert_eq!(
        (output.as_str(), copy.as_str()),
        ("filledchanged\n", "changed\n")
    );
    assert_eq!(fs::read_to_string(tree.join("dir/config")).unwrap(), "real");
    assert_eq!(
        fs::read_to_string(tree.join("dir/file")).unwrap(),
        "beside\n"
    );
}

fn a_command_changes_its_copy_and_not_the_file() {
    let tree = tree("copied");
    assert_copied(&tree, &plan(&tree));
}

fn a_copy_lies_in_a_home_too() {
    let tree = tree("home/copied");
    let home = tree.parent().unwrap().to_owned();
    assert_copied(&tree, &plan(&tree).home(home));
}

fn each_cell_has_its_own() {
    let tree = tree("several");
    let cells = Cells::of(&plan(&tree));
    let copies = [0, 1].map(|_| {
        let mut cell = cell_of(&cells);
        (cell.take_copies().unwrap(), cell)
    });
    fs::write(beneath(&copies[0].0, "0/config"), "first").unwrap();
    let second = fs::read_to_string(beneath(&copies[1].0, "0/config")).unwrap();
    assert_eq!(second, "");
}

fn only_a_file_in_another_root_is_copied() {
    let tree = tree("wrong");
    let open = |path: &Path, access| Root::open(path, access).unwrap();
    let alone = Plan::new(Tier::Full).root(open(&tree.join("dir/config"), Access::Copied));
    let directory = Plan::new(Tier::Full)
        .root(open(&tree, Access::Write))
        .root(open(&tree.join("dir"), Access::Copied));
    for plan in [alone, directory, plan(&tree).share_scratch()] {
        let cells = Cells::of(&Plan::new(Tier::Full));
        let template = cells.server.template(&plan).unwrap();
        template.request_cell().unwrap();
        crate::fixture::wait_readable(template.socket(), std::time::Duration::from_secs(10));
        assert!(template.receive_cell().is_err(), "{plan:?}");
    }
}
