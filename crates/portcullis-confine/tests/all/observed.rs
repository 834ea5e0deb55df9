//! What a command is seen to look at, and that being seen changes nothing else.

use std::{
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use portcullis_confine::{Access, Cell, Event, Observed, Plan, Root, Status, Step, Tier, Touch};

use crate::{
    fixture::{
        Cells, PATIENCE, Run, Witness, c_strings, cell_of, event_of, new_cell, scratch,
        this_executable,
    },
    full::is_root,
    probe::{Tried, probe_observed, with_probe},
};

crate::tests![
    what_programs_do_is_seen,
    what_is_changed_is_seen_whoever_changes_it,
    names_below_a_directory_are_whole,
    flags_behind_a_pointer_are_read,
    what_is_executed_is_seen_but_not_the_command_itself,
    nothing_is_seen_unless_asked_for,
    what_is_refused_stays_refused,
    names_that_cannot_be_read_are_counted,
    a_name_is_any_bytes,
    names_have_a_bound,
    a_name_that_changes_is_one_of_those_that_it_was,
    many_calls_of_many_processes_end_well,
    signals_do_not_stop_a_call_for_ever,
    processes_that_die_in_a_call_are_no_harm,
    a_tree_that_fills_its_limit_is_seen_and_killed,
    a_command_is_killed_in_a_call,
    nothing_is_left_of_an_observer,
    where_it_cannot_be_seen_nothing_is_started,
];

/// All tiers that this user can have.
fn tiers() -> Vec<Tier> {
    let landlock = (!is_root()).then_some(Tier::Landlock);
    [Tier::Full, Tier::Namespaces, Tier::Limits]
        .into_iter()
        .chain(landlock)
        .collect()
}

/// An empty directory of a test, in which commands may do what they want.
fn directory(name: &str) -> PathBuf {
    let path = scratch()
        .canonicalize()
        .unwrap()
        .join("observed")
        .join(name);
    if path.exists() {
        fs::remove_dir_all(&path).unwrap();
    }
    fs::create_dir_all(&path).unwrap();
    path
}

fn cells(tier: Tier, directory: &Path) -> Cells {
    let plan = Plan::new(tier);
    Cells::of(&match tier {
        Tier::Limits => plan,
        _ => with_probe(plan.root(Root::open(directory, Access::Write).unwrap())),
    })
}

/// Runs it to its end in a new cell; it must end well.
fn observed(cells: &Cells, mut run: Run) -> Observed {
    run.observed = true;
    let cell = cell_of(cells);
    let (event, output, errors) = run.finish_in(&cell);
    let well = matches!(
        event,
        Event::Exited {
            status: Status::Code(0),
            ..
        }
    );
    assert!(well, "{event:?} {output} {errors}");
    let observed = cell.take_observing().unwrap().finish();
    assert!(cell.take_observing().is_none());
    observed
}

fn shell(directory: &Path, script: &str) -> Run {
    Run {
        cwd: fs::File::open(directory).unwrap(),
        ..Run::shell(script)
    }
}

/// What is seen of a script in a full cell that may write this directory.
pub(crate) fn of_a_script(directory: &Path, script: &str) -> Observed {
    observed(&cells(Tier::Full, directory), shell(directory, script))
}

/// This executable in the role of [`looker`](crate::looker).
fn looker(directory: &Path, act: &[&str]) -> Run {
    let file = this_executable();
    let mut run = Run::program(file.to_str().unwrap(), &["looker", "--role", "looker"]);
    run.argv.extend(c_strings(act));
    run.cwd = fs::File::open(directory).unwrap();
    run
}

const READ: u64 = 1;
const WRITE: u64 = 10;
const LIST: u64 = 100;
const LOOK: u64 = 1000;

/// What was seen in one directory: names, and how often what was done, one digit for each.
fn below(observed: &Observed, directory: &Path) -> Vec<(String, u64)> {
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
            let deeds = read * READ + write * WRITE + list * LIST + look * LOOK;
            Some((name.display().to_string(), deeds))
        })
        .collect()
}

/// A directory with a file, and a directory with another.
fn tree(name: &str) -> PathBuf {
    let here = directory(name);
    fs::create_dir(here.join("d")).unwrap();
    fs::write(here.join("a"), "text").unwrap();
    fs::write(here.join("d/f"), "text").unwrap();
    here
}

fn what_programs_do_is_seen() {
    let scripts: &[(&str, &[(&str, u64)])] = &[
        ("cat a", &[("a", READ)]),
        (
            "cat a a nothing || true",
            &[("a", 2 * READ), ("nothing", READ)],
        ),
        ("ls d", &[("d", LIST + LOOK)]),
        ("test -f x || true", &[("x", LOOK)]),
        ("cat <a >b", &[("a", READ), ("b", WRITE)]),
        ("cat a >>b", &[("a", READ), ("b", WRITE)]),
        (
            "cd d && cat ../a ./f",
            &[("a", READ), ("d", LOOK), ("d/f", READ)],
        ),
    ];
    for tier in tiers() {
        let here = tree("programs");
        let cells = cells(tier, &here);
        for &(script, expected) in scripts {
            let observed = observed(&cells, shell(&here, script));
            let expected = expected.iter();
            let expected: Vec<_> = expected
                .map(|&(name, deeds)| (name.to_owned(), deeds))
                .collect();
            assert_eq!(below(&observed, &here), expected, "{tier:?}: {script}");
            assert!(!observed.truncated && observed.unseen == 0, "{observed:?}");
        }
    }
}

/// How often one of these looks before it acts is its own affair.
fn what_is_changed_is_seen_whoever_changes_it() {
    let scripts: &[(&str, &[&str], &[&str])] = &[
        ("cp a c", &["a"], &["c"]),
        ("cp -r d e", &["d/f"], &["e", "e/f"]),
        ("mv a b", &[], &["a", "b"]),
        ("rm -r d", &[], &["d", "d/f"]),
        ("mkdir n; rmdir n", &[], &["n"]),
        ("ln a l; ln -s a s", &[], &["a", "l", "s"]),
        ("chmod 600 a; touch t", &[], &["a", "t"]),
        ("find . -name f -delete", &[""], &["d/f"]),
        ("truncate -s 1 a", &[], &["a"]),
    ];
    for tier in tiers() {
        for &(script, read, written) in scripts {
            let here = tree("changed");
            let observed = observed(&cells(tier, &here), shell(&here, script));
            let names = |done: fn(&Touch) -> u64| {
                let paths = observed.paths.iter();
                let done = paths.filter(|(_, touch)| done(touch) > 0);
                let names = done.filter_map(|(path, _)| path.strip_prefix(&here).ok());
                names.map(|name| name.to_str().unwrap()).collect::<Vec<_>>()
            };
            assert_eq!(names(|touch| touch.write), written, "{tier:?}: {script}");
            assert_eq!(names(|touch| touch.read), read, "{tier:?}: {script}");
        }
    }
}

fn names_below_a_directory_are_whole() {
    for tier in tiers() {
        let here = directory("below");
        fs::create_dir(here.join("d")).unwrap();
        fs::write(here.join("d/from"), "").unwrap();
        let run = looker(&here, &["below", "d", "from", "../d//to"]);
        let observed = observed(&cells(tier, &here), run);
        let expected = [
            ("d".to_owned(), LIST),
            ("d/from".to_owned(), READ + WRITE),
            ("d/to".to_owned(), WRITE),
        ];
        assert_eq!(below(&observed, &here), expected, "{tier:?}");
        assert_eq!(observed.unseen, 0, "{tier:?}");
    }
}

/// Only without a filter of the cell's own, which has no such call.
fn flags_behind_a_pointer_are_read() {
    let here = directory("openat2");
    fs::write(here.join("a"), "").unwrap();
    let observed = observed(
        &cells(Tier::Limits, &here),
        looker(&here, &["openat2", "a"]),
    );
    assert_eq!(
        below(&observed, &here),
        [("a".to_owned(), READ + WRITE)],
        "{observed:?}"
    );
}

fn what_is_executed_is_seen_but_not_the_command_itself() {
    for tier in tiers() {
        let here = directory("executed");
        let script =
            "PATH=nowhere:/usr/bin; env true; env true; cd /usr; bin/false || exec env true";
        let observed = observed(&cells(tier, &here), shell(&here, script));
        let expected = [
            (here.join("nowhere/true"), 2),
            ("/usr/nowhere/env".into(), 1),
            ("/usr/nowhere/true".into(), 1),
            ("/usr/bin/env".into(), 3),
            ("/usr/bin/false".into(), 1),
            ("/usr/bin/true".into(), 3),
        ];
        assert_eq!(observed.programs, expected.into(), "{tier:?}");
    }
}

fn nothing_is_seen_unless_asked_for() {
    let cell = new_cell();
    let _pipes = Run::shell("cat /dev/null").start(&cell).unwrap();
    event_of(&cell);
    assert!(cell.take_observing().is_none());
}

/// The first are refused by number, the others by their arguments, in calls that are told to the host as well.
fn what_is_refused_stays_refused() {
    let calls: &[(libc::c_long, &[i64], i32)] = &[
        (libc::SYS_ptrace, &[0], libc::EPERM),
        (
            libc::SYS_unshare,
            &[libc::CLONE_NEWUSER as i64],
            libc::EPERM,
        ),
        (
            libc::SYS_clone,
            &[libc::CLONE_NEWUSER as i64, 0, 0, 0, 0],
            libc::EPERM,
        ),
        (libc::SYS_mount, &[0, 0, 0, 0, 0], libc::EPERM),
        (
            libc::SYS_process_vm_readv,
            &[-1, 0, 0, 0, 0, 1],
            libc::EPERM,
        ),
        (libc::SYS_openat2, &[-1, 0, 0, 0], libc::ENOSYS),
        (libc::SYS_mkdirat, &[-1, 1, 0o4755], libc::EPERM),
        (libc::SYS_mknodat, &[-1, 1, 0o4755, 0], libc::EPERM),
        (
            libc::SYS_openat,
            &[-1, 1, libc::O_CREAT as i64, 0o4755],
            libc::EPERM,
        ),
    ];
    let confining = tiers().into_iter().filter(|&tier| tier != Tier::Limits);
    for tier in confining {
        let here = directory("refused");
        let file = here.join("file");
        fs::write(&file, "").unwrap();
        let cells = cells(tier, &here);
        for &(call, arguments, errno) in calls {
            let words = [call].into_iter().chain(arguments.iter().copied());
            let words: Vec<String> = words.map(|word| word.to_string()).collect();
            let act: Vec<&str> = ["syscall"]
                .into_iter()
                .chain(words.iter().map(String::as_str))
                .collect();
            let (tried, _) = probe_observed(&cells, &act);
            assert_eq!(tried, Tried::Refused(errno), "{tier:?}: call {call}");
        }
        let file = file.to_str().unwrap();
        let (tried, _) = probe_observed(&cells, &["chmod", file, "4755"]);
        assert_eq!(tried, Tried::Refused(libc::EPERM), "{tier:?}");
        let (tried, observed) = probe_observed(&cells, &["write", "/usr/bin/env"]);
        assert!(matches!(tried, Tried::Refused(_)), "{tier:?}");
        assert_eq!(observed.paths[Path::new("/usr/bin/env")].write, 1);
        let (tried, _) = probe_observed(&cells, &["chmod", file, "755"]);
        assert_eq!(tried, Tried::Done, "{tier:?}: the control");
    }
}

fn names_that_cannot_be_read_are_counted() {
    for tier in tiers() {
        let here = directory("unseen");
        let cells = cells(tier, &here);
        for act in ["invalid", "endless", "long"] {
            let observed = observed(&cells, looker(&here, &[act]));
            assert_eq!(observed.unseen, 1, "{tier:?} {act}");
            assert_eq!(below(&observed, &here), [], "{tier:?} {act}");
        }
    }
}

fn a_name_is_any_bytes() {
    let here = directory("raw");
    let observed = observed(&cells(Tier::Full, &here), looker(&here, &["raw"]));
    let name = here.join(OsStr::from_bytes(b"\xff\n\xfe"));
    assert_eq!(observed.paths[&name].write, 2);
}

fn names_have_a_bound() {
    let here = directory("many");
    let observed = observed(
        &cells(Tier::Full, &here),
        looker(&here, &["many", "100000"]),
    );
    assert!(observed.truncated);
    assert_eq!(observed.paths.len() + observed.programs.len(), 20_000);
    assert!(observed.paths.contains_key(Path::new("/nowhere/0")));
    assert!(!observed.paths.contains_key(Path::new("/nowhere/99999")));
}

fn a_name_that_changes_is_one_of_those_that_it_was() {
    let here = directory("race");
    let observed = observed(&cells(Tier::Full, &here), looker(&here, &["race", "5000"]));
    let digits = (0..10).map(|digit| PathBuf::from(format!("/{digit}")));
    let seen: u64 = digits
        .filter_map(|path| observed.paths.get(&path))
        .map(|touch| touch.read)
        .sum();
    assert_eq!((seen, observed.unseen), (5000, 0));
}

fn many_calls_of_many_processes_end_well() {
    for tier in [Tier::Full, Tier::Limits] {
        let here = directory("load");
        let program = this_executable().canonicalize().unwrap();
        let script = format!(
            "for i in 1 2 3 4; do {} --role looker load 25000 & done; wait",
            program.display()
        );
        let cells = cells(tier, &here);
        let observed = observed(&cells, shell(&here, &script));
        // The shell gives it to each as its standard input.
        assert_eq!(observed.paths[Path::new("/dev/null")].read, 100_004);
        assert_eq!(observed.programs[&program], 4);
        assert_eq!((observed.truncated, observed.unseen), (false, 0));
    }
}

fn signals_do_not_stop_a_call_for_ever() {
    let here = directory("alarms");
    let observed = observed(
        &cells(Tier::Full, &here),
        looker(&here, &["alarms", "20000"]),
    );
    // A call that a signal interrupts before the host has seen it begins anew.
    let read = observed.paths[Path::new("/dev/null")].read;
    assert!((20_000..22_000).contains(&read), "{read}");
}

fn processes_that_die_in_a_call_are_no_harm() {
    for tier in tiers() {
        let here = directory("die");
        let program = this_executable().canonicalize().unwrap();
        let script = format!(
            "for i in 1 2 3 4 5 6 7 8; do {} --role looker die; done; cat a",
            program.display()
        );
        fs::write(here.join("a"), "text").unwrap();
        let observed = observed(&cells(tier, &here), shell(&here, &script));
        assert_eq!(
            below(&observed, &here),
            [("a".to_owned(), READ)],
            "{tier:?}"
        );
    }
}

fn a_tree_that_fills_its_limit_is_seen_and_killed() {
    let here = directory("bomb");
    let cells = cells(Tier::Full, &here);
    let mut witness = Witness::new();
    let mut run = shell(
        &here,
        "exec 3>&0; f() { cat /dev/null; f & f & cat /dev/null; }; echo >&3; f; sleep 1000",
    );
    run.observed = true;
    run.limits.processes = Some(100);
    run.stdin = witness.hand_over();
    let cell = cell_of(&cells);
    let pipes = run.start(&cell).unwrap();
    drop(run);
    witness.wait_for_lines(1);
    std::thread::sleep(Duration::from_millis(300));
    cell.kill();
    assert!(witness.wait_for_end() < PATIENCE);
    drop(pipes);
    event_of(&cell);
    let observed = cell.take_observing().unwrap().finish();
    assert!(
        observed.programs[Path::new("/usr/bin/cat")] > 1,
        "{observed:?}"
    );
}

fn a_command_is_killed_in_a_call() {
    for tier in tiers() {
        let here = directory("killed");
        let cells = cells(tier, &here);
        for end in [Cell::kill, Cell::terminate] {
            let mut witness = Witness::new();
            let mut run = looker(&here, &["busy"]);
            run.observed = true;
            run.stdin = witness.hand_over();
            let cell = cell_of(&cells);
            let mut pipes = run.start(&cell).unwrap();
            drop(run);
            std::io::Read::read_exact(&mut pipes.stdout, &mut [0]).unwrap();
            end(&cell);
            assert!(witness.wait_for_end() < PATIENCE, "{tier:?}");
            event_of(&cell);
            let since = Instant::now();
            let observed = cell.take_observing().unwrap().finish();
            assert!(since.elapsed() < PATIENCE, "{tier:?}");
            assert!(
                observed.paths[Path::new("/dev/null")].read > 100,
                "{tier:?}"
            );
        }
    }
}

/// In a process of its own, which counts all that it has.
fn nothing_is_left_of_an_observer() {
    let output = crate::fixture::command(this_executable())
        .args(["--role", "observer"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Descriptors and threads of this process.
fn held() -> [usize; 2] {
    ["/proc/self/fd", "/proc/self/task"].map(|path| fs::read_dir(path).unwrap().count())
}

pub(crate) fn play_observer() -> std::process::ExitCode {
    let plan = Plan::new(Tier::Full);
    let cells = Cells::of(&with_probe(plan));
    let start = |act: &str| {
        let mut run = looker(Path::new("/"), &[act]);
        run.observed = true;
        let cell = cell_of(&cells);
        let mut pipes = run.start(&cell).unwrap();
        if act == "busy" {
            std::io::Read::read_exact(&mut pipes.stdout, &mut [0]).unwrap();
        }
        cell
    };
    let waits = |before: [usize; 2]| {
        let since = Instant::now();
        while held() != before {
            assert!(since.elapsed() < PATIENCE, "{before:?} {:?}", held());
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    let before = held();
    for _ in 0..3 {
        let cell = start("invalid");
        event_of(&cell);
        assert_eq!(cell.take_observing().unwrap().finish().unseen, 1);
        drop(cell);
        assert_eq!(held(), before, "one that has ended");
        let cell = start("busy");
        let observing = cell.take_observing();
        assert!(held()[1] > before[1], "the control");
        drop(cell);
        drop(observing);
        waits(before);
        drop(start("busy"));
        waits(before);
    }
    std::process::ExitCode::SUCCESS
}

/// As in a container whose runtime answers calls: of two who want to, the kernel lets one.
fn where_it_cannot_be_seen_nothing_is_started() {
    let refused = std::thread::spawn(|| {
        let _held = crate::looker::answer_calls();
        let cells = Cells::of(&Plan::new(Tier::Full));
        let mut run = Run::shell("echo ran");
        run.observed = true;
        let cell = cell_of(&cells);
        let (event, output, _) = run.finish_in(&cell);
        assert_eq!(output, "");
        let observed = cell.take_observing().unwrap().finish();
        assert_eq!(observed, Observed::default());
        run.observed = false;
        assert_eq!(run.finish_in(&cell_of(&cells)).1, "ran\n", "the control");
        event
    });
    let expected = Event::Failed {
        step: Step::Observer,
        errno: libc::EBUSY,
    };
    assert_eq!(refused.join().unwrap(), expected);
}
