//! What a command is seen to look at, and that being seen changes nothing else.

use std::{
    fs,
    path::{Path, PathBuf},
};

use portcullis_confine::{Access, Event, Observed, Plan, Root, Status, Tier, Touch};

use crate::fixture::{Cells, Run, cell_of, event_of, scratch};

crate::tests![each_deed_is_seen, nothing_is_seen_unless_asked_for,];

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// All tiers that this user can have.
fn tiers() -> Vec<Tier> {
    let landlock = (!is_root()).then_some(Tier::Landlock);
    [Tier::Full, Tier::Namespaces, Tier::Limits]
        .into_iter()
        .chain(landlock)
        .collect()
}

/// A directory of a test, in which commands may do what they want.
fn directory(name: &str) -> PathBuf {
    let path = scratch()
        .canonicalize()
        .unwrap()
        .join("observed")
        .join(name);
    fs::create_dir_all(&path).unwrap();
    path
}

fn cells(tier: Tier, directory: &Path) -> Cells {
    let plan = Plan::new(tier);
    Cells::of(&match tier {
        Tier::Limits => plan,
        _ => plan.root(Root::open(directory, Access::Write).unwrap()),
    })
}

/// Runs it to its end in a new cell; it must end well.
fn observed(cells: &Cells, run: Run) -> Observed {
    let cell = cell_of(cells);
    let (event, output, errors) = Run {
        observed: true,
        ..run
    }
    .finish_in(&cell);
    let well = matches!(
        event,
        Event::Exited {
            status: Status::Code(0),
            ..
        }
    );
    assert!(well, "{event:?} {output} {errors}");
    cell.take_observing().unwrap().finish()
}

/// What was seen of one directory, by the names in it.
fn below(observed: &Observed, directory: &Path) -> Vec<(String, [u64; 4])> {
    let paths = observed.paths.iter();
    paths
        .filter_map(|(path, touch)| {
            let name = path.strip_prefix(directory).ok()?;
            let Touch {
                read,
                write,
                list,
                look,
            } = *touch;
            Some((name.display().to_string(), [read, write, list, look]))
        })
        .collect()
}

fn shell(directory: &Path, script: &str) -> Run {
    Run {
        cwd: fs::File::open(directory).unwrap(),
        ..Run::shell(script)
    }
}

fn each_deed_is_seen() {
    for tier in tiers() {
        let here = directory("deeds");
        fs::write(here.join("a"), "text").unwrap();
        let observed = observed(&cells(tier, &here), shell(&here, "cat a; test -f x; ls ."));
        let expected = [
            ("".to_owned(), [0, 0, 1, 1]),
            ("a".to_owned(), [1, 0, 0, 0]),
            ("x".to_owned(), [0, 0, 0, 1]),
        ];
        assert_eq!(below(&observed, &here), expected, "{tier:?}");
    }
}

fn nothing_is_seen_unless_asked_for() {
    let cell = crate::fixture::new_cell();
    let _pipes = Run::shell("cat /dev/null").start(&cell).unwrap();
    event_of(&cell);
    assert!(cell.take_observing().is_none());
}
