//! A cgroup for each cell. What needs the controllers for memory or processes runs where this executable is started in
//! a group whose parent is delegated to it, with both.

#![expect(clippy::print_stdout, reason = "what is skipped is said")]

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
    time::Duration,
};

use portcullis_confine::{
    Event, Plan, Protection, Status, Tier, cgroup_obstacle, enter_leaf_cgroup,
};

use super::confining;
use crate::fixture::{Cells, PATIENCE, Run, Witness, cell_of, command, event_of, this_executable};

crate::tests![
    memory_is_limited_exactly,
    a_tree_is_killed_together,
    scratch_counts,
    a_command_may_ask_for_less_than_its_plan,
    processes_are_counted_per_cell,
    below_the_limits_nothing_happens,
    groups_go_with_their_cells,
    a_killed_host_leaves_nothing_for_long,
    a_command_cannot_reach_its_group,
    only_what_is_limited_is_claimed,
    a_process_alone_in_its_delegated_group_moves_into_a_leaf,
];

const MIB: u64 = 1 << 20;

/// Whether a test can run here; said by name if not.
fn can(test: &str, limits: &[Protection]) -> bool {
    let obstacle = limits.iter().find_map(|&limit| cgroup_obstacle(limit));
    if let Some(obstacle) = &obstacle {
        println!("SKIP cgroup {test}: {}", obstacle.what);
    }
    obstacle.is_none()
}

const BOTH: [Protection; 2] = [Protection::MemoryCgroup, Protection::ProcessesCgroup];
const MEMORY: [Protection; 1] = [Protection::MemoryCgroup];
const PROCESSES: [Protection; 1] = [Protection::ProcessesCgroup];

/// Fills so many mebibytes, and says so.
fn eater(mebibytes: u64) -> String {
    format!("python3 -c 'block = b\"x\" * ({mebibytes} << 20); print(\"filled\", flush=True)'")
}

fn memory_is_limited_exactly() {
    if !can("memory", &MEMORY) {
        return;
    }
    for tier in confining() {
        let cells = Cells::of(&Plan::new(tier).limit_memory(100 * MIB));
        let cell = cell_of(&cells);
        let report = cell.report();
        let (cgroup, watch) = (Protection::MemoryCgroup, Protection::MemoryWatch);
        assert!(report.has(cgroup) && !report.has(watch), "{report}");
        let (event, output, errors) = Run::shell(&eater(300)).finish_in(&cell);
        match event {
            Event::OverMemory { processes, usage } => {
                assert!((1..5).contains(&processes), "{tier:?}: {processes}");
                let peak = usage.max_rss_bytes / MIB;
                assert!((50..=104).contains(&peak), "{tier:?}: {peak} MiB");
                assert!(
                    !usage.user.is_zero() || !usage.system.is_zero(),
                    "{usage:?}"
                );
            }
            other => panic!("{tier:?}: {other:?} {output}{errors}"),
        }
        assert_eq!(output, "", "{tier:?}: it never had it");
        assert!(cell.receive().is_err(), "there is one event");
        let (event, output, errors) = Run::shell(&eater(60)).finish_in(&cell_of(&cells));
        assert!(
            matches!(event, Event::Exited { .. }) && output == "filled\n",
            "{tier:?}: {event:?} {errors}"
        );
    }
}

/// None of them has much, and they have left the session of the command.
fn a_tree_is_killed_together() {
    if !can("memory of a tree", &MEMORY) {
        return;
    }
    let script = format!(
        "exec 3>&0; for i in 1 2 3 4 5 6 7 8; do
        setsid sh -c 'echo >&3; {}; exec sleep 1000' >/dev/null 2>&1 & done; wait; sleep 1000",
        "python3 -c \"import time; block = b\\\"x\\\" * (30 << 20); time.sleep(1000)\""
    );
    for tier in confining() {
        let mut witness = Witness::new();
        let mut run = Run::shell(&script);
        run.stdin = witness.hand_over();
        let cells = Cells::of(&Plan::new(tier).limit_memory(120 * MIB));
        let cell = cell_of(&cells);
        let _pipes = run.start(&cell).unwrap();
        drop(run);
        let event = event_of(&cell);
        assert!(
            matches!(event, Event::OverMemory { .. }),
            "{tier:?}: {event:?}"
        );
        // Nothing is left by then.
        assert!(witness.is_at_end(), "{tier:?}");
    }
}

fn scratch_counts() {
    if !can("memory of scratch directories", &MEMORY) {
        return;
    }
    for tier in super::OWN_ROOT {
        for place in ["/tmp", "/dev/shm"] {
            let script = format!("head -c 90M /dev/zero > {place}/file; sleep 1000");
            let cells = Cells::of(&Plan::new(tier).limit_memory(40 * MIB));
            let (event, ..) = Run::shell(&script).finish_in(&cell_of(&cells));
            let over = matches!(event, Event::OverMemory { .. });
            assert!(over, "{tier:?} {place} {event:?}");
        }
    }
}

/// What the group does not keep is kept as it is without one.
fn a_command_may_ask_for_less_than_its_plan() {
    if !can("memory of one command", &MEMORY) {
        return;
    }
    let cells = Cells::of(&Plan::new(Tier::Full).limit_memory(500 * MIB));
    let mut run = Run::shell(&format!("{}; sleep 1000", eater(30)));
    run.limits.memory_bytes = Some(100 * MIB);
    run.argv[2] = std::ffi::CString::new(
        "python3 -c 'import time; block = b\"x\" * (200 << 20); time.sleep(1000)'",
    )
    .unwrap();
    let (event, ..) = run.finish_in(&cell_of(&cells));
    assert!(matches!(event, Event::OverMemory { .. }), "{event:?}");
}

/// Starts processes until that is refused: then the shell ends.
const FORK_ALL: &str = "while :; do sleep 1000 & done";

fn processes_are_counted_per_cell() {
    if !can("processes", &PROCESSES) {
        return;
    }
    for tier in confining() {
        let plan = Plan::new(tier).limit_processes(8);
        let cells = Cells::of(&plan);
        let mut held = Witness::new();
        // The shell itself and seven more.
        let mut run = Run::shell(
            "exec 3>&0; for i in 1 2 3 4 5 6 7; do (echo >&3; exec sleep 1000) & done; wait",
        );
        run.stdin = held.hand_over();
        let full = cell_of(&cells);
        assert!(full.report().has(Protection::ProcessesCgroup), "{tier:?}");
        let _pipes = run.start(&full).unwrap();
        held.wait_for_lines(7);
        // Another one has as many, though the same user and template have these.
        let mut run = Run::shell(FORK_ALL);
        // What the executor would ask for where there is no group.
        run.limits.processes = Some(100);
        let (event, _, errors) = run.finish_in(&cell_of(&cells));
        match event {
            Event::Exited { stragglers, .. } => {
                assert_eq!(stragglers, 7, "{tier:?}: {errors}");
            }
            other => panic!("{tier:?}: {other:?} {errors}"),
        }
    }
}

fn below_the_limits_nothing_happens() {
    if !can("below the limits", &BOTH) {
        return;
    }
    for tier in confining() {
        let plan = Plan::new(tier).limit_memory(200 * MIB).limit_processes(20);
        let script = format!("{}; (sleep 0.01 & wait); exit 3", eater(50));
        let (event, output, errors) = Run::shell(&script).finish_in(&cell_of(&Cells::of(&plan)));
        let expected = Status::Code(3);
        assert!(
            matches!(event, Event::Exited { status, .. } if status == expected),
            "{tier:?} {event:?} {output}{errors}"
        );
    }
}

/// The directory of a process's cgroup.
fn group_of(pid: u32) -> Option<PathBuf> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mount = mounts.lines().rfind(|line| line.contains(" - cgroup2 "))?;
    Some(Path::new(mount.split(' ').nth(4)?).join(group))
}

fn limited() -> Plan {
    Plan::new(Tier::Full)
        .limit_memory(1000 * MIB)
        .limit_processes(50)
}

fn groups_go_with_their_cells() {
    if !can("removal", &BOTH) {
        return;
    }
    let cells = Cells::of(&limited());
    let (first, second) = (cell_of(&cells), cell_of(&cells));
    let groups = [&first, &second].map(|cell| group_of(cell.pid()).unwrap());
    assert!(groups[0] != groups[1] && groups.iter().all(|group| group.is_dir()));
    Run::shell("exit 0").finish_in(&first);
    assert!(crate::fixture::wait_readable(first.pidfd(), PATIENCE));
    drop(first);
    // When another is asked for, it is put in order.
    let third = cell_of(&cells);
    assert!(!groups[0].exists() && groups[1].is_dir());
    let above = groups[0].parent().unwrap().to_owned();
    assert!(above.is_dir());
    drop((second, third, cells));
    assert!(!above.exists());
}

/// A host that has a cell, and waits to be killed.
pub(crate) fn play_host() -> ExitCode {
    let cells = Cells::of(&limited());
    let cell = cell_of(&cells);
    println!("{}", group_of(cell.pid()).unwrap().display());
    let _ = std::io::stdin().read_line(&mut String::new());
    ExitCode::SUCCESS
}

fn a_killed_host_leaves_nothing_for_long() {
    if !can("killed host", &BOTH) {
        return;
    }
    let mut host = command(this_executable())
        .args(["--role", "cgroup-host"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut group = String::new();
    BufReader::new(host.stdout.take().unwrap())
        .read_line(&mut group)
        .unwrap();
    let group = PathBuf::from(group.trim_end());
    let living = Cells::of(&limited());
    assert!(group.is_dir(), "another host leaves it alone");
    host.kill().unwrap();
    host.wait().unwrap();
    // As soon as its processes have ended.
    let start = std::time::Instant::now();
    while group.parent().unwrap().exists() && start.elapsed() < PATIENCE {
        drop(Cells::of(&limited()));
    }
    assert!(!group.exists() && !group.parent().unwrap().exists());
    assert!(group_of(cell_of(&living).pid()).unwrap().is_dir());
}

fn a_command_cannot_reach_its_group() {
    let Some(own) = group_of(std::process::id()) else {
        println!("SKIP cgroup reach: no cgroup tree of version 2");
        return;
    };
    for tier in confining() {
        let cells = Cells::of(&Plan::new(tier).limit_memory(500 * MIB).limit_processes(50));
        let cell = cell_of(&cells);
        let group = group_of(cell.pid()).unwrap();
        let script = format!(
            "cat /proc/self/cgroup >&2
            for group in '{}' '{}' '{}'; do
                echo $$ > \"$group/cgroup.procs\" && echo moved
                echo max > \"$group/memory.max\" && echo raised
                echo max > \"$group/pids.max\" && echo raised
                mkdir \"$group/inside\" && echo made
            done 2>/dev/null
            mount -t cgroup2 none /tmp 2>/dev/null && echo mounted
            cat /proc/self/cgroup >&2",
            group.display(),
            group.parent().unwrap().display(),
            own.display()
        );
        let (_, output, errors) = Run::shell(&script).finish_in(&cell);
        assert_eq!(output, "", "{tier:?}: {errors}");
        let lines: Vec<_> = errors
            .lines()
            .filter(|line| line.starts_with("0::"))
            .collect();
        assert!(
            lines.len() == 2 && lines[0] == lines[1],
            "{tier:?}: {errors}"
        );
        if tier != Tier::Landlock {
            let script = "cat /proc/self/mountinfo; ls /sys/fs/cgroup 2>&1";
            let (_, output, _) = Run::shell(script).finish_in(&cell_of(&cells));
            assert!(output.contains(" /tmp "), "{output}");
            assert!(!output.contains("cgroup2 "), "{output}");
            assert!(output.contains("No such file"), "{output}");
        }
    }
}

fn only_what_is_limited_is_claimed() {
    let has = |plan: &Plan| {
        let report = cell_of(&Cells::of(plan)).report();
        BOTH.map(|limit| report.has(limit))
    };
    assert_eq!(has(&Plan::new(Tier::Full)), [false; 2]);
    let there = BOTH.map(|limit| cgroup_obstacle(limit).is_none());
    assert_eq!(has(&limited()), there);
    let memory = Plan::new(Tier::Full).limit_memory(1000 * MIB);
    assert_eq!(has(&memory), [there[0], false]);
}

/// Waits for a line, moves into a leaf and says what came of it.
pub(crate) fn play_leaf() -> ExitCode {
    std::io::stdin().read_line(&mut String::new()).unwrap();
    println!("{:?}", enter_leaf_cgroup().unwrap());
    std::io::stdin().read_line(&mut String::new()).unwrap();
    ExitCode::SUCCESS
}

/// Whether a process of ours moves out of `group` into one below.
fn moves(group: &Path) -> bool {
    let mut process = command(this_executable())
        .args(["--role", "cgroup-leaf"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    fs::write(group.join("cgroup.procs"), process.id().to_string()).unwrap();
    let mut stdin = process.stdin.take().unwrap();
    stdin.write_all(b"\n").unwrap();
    let mut said = String::new();
    BufReader::new(process.stdout.take().unwrap())
        .read_line(&mut said)
        .unwrap();
    let now = group_of(process.id()).unwrap();
    drop(stdin);
    process.wait().unwrap();
    let leaf = group.join("portcullis");
    let moved = now == leaf;
    assert!(moved || now == group, "{now:?}");
    assert_eq!(said.trim_end(), moved.to_string());
    if moved {
        // As soon as the kernel has seen that it has ended.
        let start = std::time::Instant::now();
        while fs::remove_dir(&leaf).is_err() && start.elapsed() < Duration::from_secs(10) {}
    }
    moved
}

fn a_process_alone_in_its_delegated_group_moves_into_a_leaf() {
    let own = group_of(std::process::id());
    let group = own.map(|own| own.join(format!("portcullis-leaf-{}", std::process::id())));
    let made = group.as_deref().map(fs::create_dir);
    let (Some(group), Some(Ok(()))) = (group, made) else {
        println!("SKIP cgroup leaf: no group can be made here");
        return;
    };
    assert!(!moves(&group), "nobody has handed it on");
    let mark = |value: &[u8]| {
        let path = group.as_os_str().as_bytes();
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(path, "user.delegate", value, flags).unwrap();
    };
    mark(b"0");
    assert!(!moves(&group), "nobody has handed it on");
    mark(b"1");
    assert!(moves(&group));
    let mut another = command("sleep").arg("1000").spawn().unwrap();
    fs::write(group.join("cgroup.procs"), another.id().to_string()).unwrap();
    assert!(!moves(&group), "it is not alone");
    another.kill().unwrap();
    another.wait().unwrap();
    fs::remove_dir(&group).unwrap();
}
