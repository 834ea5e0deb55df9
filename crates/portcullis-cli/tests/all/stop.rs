//! Runs that are stopped from outside.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};

use portcullis_testkit::Hostile;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use crate::context::{Context, is_alive};

/// Starts a plugin whose command says that it is there and then waits.
fn waiting(context: &Context) -> Child {
    let fifo = context.project().join("fifo");
    assert!(
        context
            .command("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    let script = "trap '' TERM; sleep 600 & echo up > fifo; wait";
    let args = [
        "run",
        "--config",
        "policy.toml",
        "p",
        "exec",
        "--",
        "sh",
        "-c",
        script,
    ];
    let child = context
        .portcullis(&args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Opening the pipe for reading waits for the command to open it for writing: then it runs.
    let mut said = String::new();
    BufReader::new(std::fs::File::open(&fifo).unwrap())
        .read_line(&mut said)
        .unwrap();
    assert_eq!(said, "up\n");
    child
}

fn stopped_by(signal: Signal) -> Option<i32> {
    let context = Context::with_policy("limits.timeout = \"60s\"\nexec.allow = [\"sh\"]\n");
    let mut child = waiting(&context);
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.signal(), None, "it ends by itself");
    let trail = context.json(&["audit", "tail", "-n", "1", "--json"]);
    assert_eq!(trail["records"][0]["event"]["kind"], "run_ended");
    status.code()
}

#[test]
fn a_signal_ends_the_run_with_its_code() {
    assert_eq!(stopped_by(Signal::INT), Some(130));
    assert_eq!(stopped_by(Signal::TERM), Some(143));
    assert_eq!(stopped_by(Signal::HUP), Some(129));
}

#[test]
fn the_whole_tree_dies_with_the_run() {
    let context = Context::with_policy("limits.timeout = \"60s\"\nexec.allow = [\"sh\"]\n");
    assert!(
        context
            .command("mkfifo")
            .arg("held")
            .status()
            .unwrap()
            .success()
    );
    // The grandchild keeps the pipe open for as long as it lives.
    let script =
        "setsid sh -c 'exec 9>held; echo up >&9; trap \"\" TERM INT HUP; sleep 600' & wait";
    let args = [
        "run",
        "--config",
        "policy.toml",
        "p",
        "exec",
        "--",
        "sh",
        "-c",
        script,
    ];
    let mut child = context
        .portcullis(&args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut held = BufReader::new(std::fs::File::open(context.project().join("held")).unwrap());
    let mut said = String::new();
    held.read_line(&mut said).unwrap();
    assert_eq!(said, "up\n");
    let pid = child.id().to_string();
    kill_process(
        Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(),
        Signal::INT,
    )
    .unwrap();
    let mut rest = Vec::new();
    held.read_to_end(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!is_alive(&pid));
}

#[test]
fn a_guest_that_only_computes_is_stopped_too() {
    let context = Context::with_guest("spin");
    let mut child = context
        .portcullis(&["run", "-v", "p.wasm"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Signals are listened for before anything is said.
    let mut said = String::new();
    BufReader::new(child.stderr.take().unwrap())
        .read_line(&mut said)
        .unwrap();
    kill_process(
        Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(),
        Signal::INT,
    )
    .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let context = Context::with_guest("output");
    let mut child = context
        .portcullis(&["run", "p.wasm", "long", "10000000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ten = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut ten).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(141));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn output_that_nobody_reads_does_not_keep_a_signal_from_ending_it() {
    let context = Context::with_guest("output");
    let mut child = context
        .portcullis(&["run", "p.wasm", "long", "10000000"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // The plugin is done when its text arrives; the rest of it does not fit into the pipe.
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 10]).unwrap();
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
}

#[test]
fn the_same_signal_twice_at_once_is_one() {
    let context = Context::with_policy("limits.timeout = \"60s\"\nexec.allow = [\"sh\"]\n");
    let mut child = waiting(&context);
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn a_plugin_that_writes_for_ever_ends_with_its_reader() {
    let context = Context::new();
    let plugin = portcullis_testkit::assemble(include_bytes!("stdout.wat")).unwrap();
    context.write("p.wasm", plugin);
    let mut child = context
        .portcullis(&["run", "p.wasm", "x"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdout
        .take()
        .unwrap()
        .read_exact(&mut [0; 10])
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(141));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

/// Far longer than anything here takes.
const PATIENCE: Timespec = Timespec {
    tv_sec: 60,
    tv_nsec: 0,
};

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap()
}

fn stat(pid: Pid, field: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    Some(line.trim().to_owned())
}

fn is_below(pid: Pid, ancestor: Pid) -> bool {
    let parent = |pid| Pid::from_raw(stat(pid, "PPid:")?.parse().ok()?);
    std::iter::successors(Some(pid), |pid| parent(*pid)).any(|pid| pid == ancestor)
}

/// Waits for a process below this one whose first argument is `name`.
fn descendant(ancestor: Pid, name: &str) -> OwnedFd {
    loop {
        let numbers = fs::read_dir("/proc").unwrap().flatten();
        let pids =
            numbers.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
        let mut named = pids.filter(|pid| {
            let line = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero()));
            let line = line.unwrap_or_default();
            let first = line.split(|byte| *byte == 0).next().unwrap_or_default();
            first == name.as_bytes() || first.ends_with(format!("/{name}").as_bytes())
        });
        let found = named.find(|pid| *pid != ancestor && is_below(*pid, ancestor));
        if let Some(fd) = found.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) {
            return fd;
        }
        std::thread::yield_now();
    }
}

fn wait_until_gone(process: &OwnedFd) {
    let mut ended = [PollFd::new(process, PollFlags::IN)];
    assert_eq!(
        rustix::event::poll(&mut ended, Some(&PATIENCE)),
        Ok(1),
        "it lives on"
    );
}

/// Starts to compile a plugin that takes hours, and gives the compiler's process.
fn compiling(context: &Context) -> (Child, OwnedFd) {
    context.write("p.wasm", Hostile::Time.component());
    let child = context
        .portcullis(&["run", "p.wasm"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let compiler = descendant(pid_of(&child), "portcullis: compiler");
    (child, compiler)
}

#[test]
fn a_signal_ends_a_compilation_and_its_process() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let context = Context::new();
        let (child, compiler) = compiling(&context);
        kill_process(pid_of(&child), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code));
        assert_eq!(
            String::from_utf8(output.stderr).unwrap(),
            "",
            "it ends quietly"
        );
        wait_until_gone(&compiler);
    }
}

#[test]
fn a_compiler_does_not_outlive_a_host_that_was_killed() {
    let context = Context::new();
    let (mut child, compiler) = compiling(&context);
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until_gone(&compiler);
}

/// Runs `args` on a terminal of its own, waits until the command in it runs, and takes the terminal away.
fn on_a_terminal_that_is_closed(context: &Context, args: &str) {
    let fifo = context.command("mkfifo").arg("held").status().unwrap();
    assert!(fifo.success());
    let line = format!("exec {} {args}", env!("CARGO_BIN_EXE_portcullis"));
    let mut terminal = context
        .command("script")
        .args(["-qec", &line, "/dev/null"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut held = BufReader::new(fs::File::open(context.project().join("held")).unwrap());
    let mut said = String::new();
    held.read_line(&mut said).unwrap();
    assert_eq!(said, "up\n");
    let portcullis = descendant(pid_of(&terminal), "portcullis");
    // It has the other end of the terminal, which ends with it.
    terminal.kill().unwrap();
    terminal.wait().unwrap();
    held.read_to_end(&mut Vec::new()).unwrap();
    wait_until_gone(&portcullis);
    let trail = context.json(&["audit", "tail", "-n", "1", "--json"]);
    let last = &trail["records"][0]["event"];
    assert_eq!(
        (last["kind"].as_str(), last["exit_code"].as_i64()),
        (Some("run_ended"), Some(129))
    );
}

#[test]
fn a_terminal_that_is_closed_ends_it_with_everything_that_it_started() {
    let script = "setsid sh -c \"exec 9>held; echo up >&9; trap : TERM INT HUP; sleep 600\" & wait";
    let context = Context::with_policy("limits.timeout = \"60s\"\nexec.allow = [\"sh\"]\n");
    let args = format!("run --config policy.toml p exec -- sh -c '{script}'");
    on_a_terminal_that_is_closed(&context, &args);
    let context = Context::new();
    let args = format!("exec --confinement limits -- sh -c '{script}'");
    on_a_terminal_that_is_closed(&context, &args);
}

/// Holds the trail's lock, so that the end of a run cannot be written down, and interrupts it again and again.
fn ends_at_the_second(context: &Context, args: &[&str]) {
    let mut child = context
        .portcullis(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 3]).unwrap();
    let lock = context
        .home()
        .join(".local/state/portcullis/audit/audit.lock");
    let lock = fs::File::open(lock).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let status = loop {
        kill_process(pid_of(&child), Signal::INT).unwrap();
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::yield_now();
    };
    assert_eq!(status.signal(), Some(Signal::KILL.as_raw()));
}

#[test]
fn a_second_interrupt_does_not_wait_for_what_the_first_waits_for() {
    let plugin = portcullis_testkit::assemble(include_bytes!("stdout.wat")).unwrap();
    let context = Context::new();
    context.write("p.wasm", plugin);
    ends_at_the_second(&context, &["run", "p.wasm", "x"]);
    let command = [
        "exec",
        "--confinement",
        "limits",
        "--",
        "sh",
        "-c",
        "echo up; sleep 600",
    ];
    ends_at_the_second(&context, &command);
}
