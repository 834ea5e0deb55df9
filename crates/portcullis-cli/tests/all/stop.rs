//! Runs that are stopped from outside.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};

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
