//! Lists of programs, and what lies behind them: loaders, files in memory, libraries.

use std::{
    fs,
    path::{Path, PathBuf},
};

use portcullis_confine::{Access, Plan, Root, Tier};

use super::{cells_of, confining, directory, open};
use crate::{
    fixture::{Cells, Run, cell_of},
    probe::{Tried, probe, probe_outside},
};

crate::tests![
    only_listed_programs_are_executed,
    a_list_holds_in_a_toolchain,
    without_a_list_the_systems_are,
    no_list_without_landlock,
    the_loader_runs_no_other_program,
    a_program_in_memory_is_none,
    a_library_that_was_written_is_not_mapped,
    a_copy_of_a_program_is_none,
];

/// Tiers that enforce a list, and a plan with `echo` and nothing else on it.
fn listed() -> impl Iterator<Item = Plan> {
    let tiers = confining().into_iter();
    let tiers = tiers.filter(|tier| *tier != Tier::Namespaces);
    tiers.map(|tier| {
        Plan::new(tier)
            .root(program("/bin/echo"))
            .only_listed_programs()
    })
}

fn program(path: &str) -> Root {
    open(Path::new(path).canonicalize().unwrap(), Access::Program)
}

fn loader() -> PathBuf {
    let names = ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"];
    let found = names.into_iter().find(|path| Path::new(path).exists());
    found.expect("this system has a loader").into()
}

fn execute(cells: &Cells, path: &str) -> Tried {
    probe(cells, &["execute", path])
}

fn only_listed_programs_are_executed() {
    for plan in listed() {
        let tier = plan.tier();
        let cells = cells_of(plan);
        assert_eq!(execute(&cells, "/bin/echo"), Tried::Done, "{tier:?}");
        for other in ["/bin/cat", "/bin/sh", "/usr/bin/env"] {
            assert_eq!(
                execute(&cells, other),
                Tried::Refused(libc::EACCES),
                "{tier:?}"
            );
            assert_eq!(
                probe(&cells, &["read", other]),
                Tried::Refused(libc::EACCES),
                "{tier:?}"
            );
        }
    }
}

/// A toolchain is as the system is: its libraries are mapped, its programs need to be listed.
fn a_list_holds_in_a_toolchain() {
    let path = directory("toolchain");
    let [echo, other, library] = [
        ("echo", "/bin/echo".into()),
        ("other", "/bin/echo".into()),
        ("library.so", self::library()),
    ]
    .map(|(name, from)| {
        fs::copy(from, path.join(name)).unwrap();
        path.join(name).to_str().unwrap().to_owned()
    });
    let toolchain = |plan: Plan| cells_of(plan.root(open(&path, Access::Program)));
    for plan in listed() {
        let tier = plan.tier();
        let free = toolchain(Plan::new(tier));
        assert_eq!(execute(&free, &other), Tried::Done, "{tier:?}: the control");
        let cells = toolchain(plan.root(program(&echo)));
        assert_eq!(execute(&cells, &echo), Tried::Done, "{tier:?}");
        assert_eq!(
            execute(&cells, &other),
            Tried::Refused(libc::EACCES),
            "{tier:?}"
        );
        let mapped = probe(&cells, &["map", &library]);
        assert_eq!(mapped, Tried::Done, "{tier:?}");
    }
}

fn without_a_list_the_systems_are() {
    for tier in confining() {
        let cells = cells_of(Plan::new(tier));
        assert_eq!(execute(&cells, "/bin/echo"), Tried::Done, "{tier:?}");
        assert_eq!(probe(&cells, &["read", "/bin/cat"]), Tried::Done);
    }
}

/// What this tier gives up, so that a list is never thought to hold there.
fn no_list_without_landlock() {
    let plan = Plan::new(Tier::Namespaces).only_listed_programs();
    assert_eq!(execute(&cells_of(plan), "/bin/echo"), Tried::Done);
}

/// The loader can be executed, because the kernel executes it with every program.
fn the_loader_runs_no_other_program() {
    let loader = loader();
    let run = |cells: &Cells, path: &str| {
        let real = Path::new(path).canonicalize().unwrap();
        let argv = ["ld.so", real.to_str().unwrap(), "ran"];
        let run = Run::program(loader.to_str().unwrap(), &argv);
        run.finish_in(&cell_of(cells))
    };
    for plan in listed() {
        let cells = cells_of(plan);
        assert_eq!(run(&cells, "/bin/echo").1, "ran\n", "the control");
        let (_, output, errors) = run(&cells, "/usr/bin/printf");
        assert_eq!(output, "");
        assert!(errors.contains("Permission denied"), "{errors}");
    }
}

fn a_program_in_memory_is_none() {
    const PLAIN: &str = "0";
    const SEALED: &str = "8";
    assert_eq!(probe_outside(&["memfd", PLAIN]), Tried::Done, "the control");
    let unlisted = confining().into_iter().map(Plan::new);
    for plan in listed().chain(unlisted) {
        let cells = cells_of(plan);
        assert_eq!(
            probe(&cells, &["memfd", PLAIN]),
            Tried::Refused(libc::EPERM)
        );
        assert_eq!(
            probe(&cells, &["memfd", SEALED]),
            Tried::Refused(libc::EPERM)
        );
    }
}

/// A library of the system, which every program has mapped.
fn library() -> PathBuf {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mut files = maps
        .lines()
        .filter_map(|line| line.find('/').map(|at| &line[at..]));
    let found = files.find(|file| file.contains("libc.so"));
    found.expect("this executable has a C library").into()
}

fn a_library_that_was_written_is_not_mapped() {
    let path = directory("library");
    let copy = path.join("library.so");
    fs::copy(library(), &copy).unwrap();
    let map = ["map", copy.to_str().unwrap()];
    assert_eq!(probe_outside(&map), Tried::Done, "the control");
    for tier in super::OWN_ROOT {
        let cells = cells_of(Plan::new(tier).root(open(&path, Access::Write)));
        assert_eq!(probe(&cells, &map), Tried::Refused(libc::EPERM), "{tier:?}");
        let preload = Run {
            env: crate::fixture::c_strings(&[&format!("LD_PRELOAD={}", copy.display())]),
            ..Run::program("/bin/true", &["true"])
        };
        let (_, _, errors) = preload.finish_in(&cell_of(&cells));
        assert!(errors.contains("cannot be preloaded"), "{errors}");
        let cells = cells_of(Plan::new(tier).root(open(&path, Access::WriteExec)));
        assert_eq!(probe(&cells, &map), Tried::Done, "{tier:?}: where it may");
    }
}

fn a_copy_of_a_program_is_none() {
    let path = directory("copies");
    for tier in confining() {
        let copy = path.join("copy");
        let script = format!(
            "cp /bin/echo {0} && chmod 755 {0} && {0} ran; echo $?",
            copy.display()
        );
        for (access, expected) in [(Access::Write, "126\n"), (Access::WriteExec, "ran\n0\n")] {
            let cells = cells_of(Plan::new(tier).root(open(&path, access)));
            assert_eq!(
                super::output(&cells, &script),
                expected,
                "{tier:?} {access:?}"
            );
        }
    }
}
