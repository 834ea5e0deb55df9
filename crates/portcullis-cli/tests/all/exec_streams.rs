//! `exec`: streams are pipes of ours that are passed on while the command runs, and nothing outlives it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::context::Context;

const MIB: usize = 1 << 20;

fn piped(context: &Context, args: &[&str]) -> Child {
    let pipe = Stdio::piped;
    let mut command = context.portcullis(&[&["exec"], args].concat());
    command.stdin(pipe()).stdout(pipe()).stderr(pipe());
    command.spawn().unwrap()
}

/// Bytes in which nothing repeats at the size of a buffer.
fn chunk(number: usize) -> Vec<u8> {
    let words = (0..MIB / 8).map(|at| (number * MIB + at * 8) as u64);
    words
        .flat_map(|word| word.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes())
        .collect()
}

#[test]
fn a_hundred_mebibytes_go_in_and_come_out_again() {
    let context = Context::new();
    let mut child = piped(&context, &["--", "cat"]);
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        for number in 0..100 {
            stdin.write_all(&chunk(number)).unwrap();
        }
        // The end of ours is the end of the command's.
    });
    let mut stdout = child.stdout.take().unwrap();
    let mut came = vec![0; MIB];
    let mut most = 0;
    for number in 0..100 {
        stdout.read_exact(&mut came).unwrap();
        assert!(came == chunk(number), "mebibyte {number} is another");
        most = most.max(resident(&child));
    }
    assert_eq!(stdout.read(&mut came).unwrap(), 0);
    writer.join().unwrap();
    assert!(child.wait().unwrap().success());
    assert!(most < 80 * 1024, "it is passed on and not kept: {most} KiB");
}

/// KiB of memory that a process holds; none when it has ended.
fn resident(child: &Child) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.map_or(0, |line| {
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    })
}

#[test]
fn what_is_written_comes_before_the_command_ends() {
    let context = Context::new();
    let mut child = piped(&context, &["--", "cat"]);
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    for word in ["without a newline", "and another"] {
        stdin.write_all(word.as_bytes()).unwrap();
        let mut came = vec![0; word.len()];
        stdout.read_exact(&mut came).unwrap();
        assert_eq!(came, word.as_bytes());
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_command_that_ends_does_not_wait_for_our_standard_input() {
    let context = Context::new();
    let mut child = piped(&context, &["--", "true"]);
    let _open = child.stdin.take();
    assert!(child.wait().unwrap().success());
    let mut child = piped(&context, &["-n", "--", "cat"]);
    let _open = child.stdin.take();
    assert!(child.wait().unwrap().success(), "it was given none");
}

#[test]
fn what_was_said_last_is_not_lost() {
    let context = Context::new();
    let script = "head -c 60000 /dev/zero; printf end";
    let mut child = piped(&context, &["--", "sh", "-c", script]);
    drop(child.stdin.take());
    let mut all = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut all).unwrap();
    assert_eq!(all.len(), 60_003);
    assert!(all.ends_with(b"end"));
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_command_gets_pipes_and_never_our_descriptors() {
    let context = Context::new();
    let log = context.write("log", "line\n");
    let ours = || File::options().read(true).write(true).open(&log).unwrap();
    let script =
        "readlink /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2; ls /proc/self/fd; echo x >&0";
    let output = context
        .portcullis(&["exec", "--", "bash", "-c", script])
        .stdin(ours())
        .output()
        .unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(stdout.matches("pipe:[").count(), 3, "{stdout}");
    assert!(
        stdout.ends_with("0\n1\n2\n3\n"),
        "and the directory that is listed: {stdout}"
    );
    assert!(
        !output.status.success(),
        "the end that it was given is for reading"
    );
    assert_eq!(fs::read(&log).unwrap(), b"line\n");
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    for script in [
        "yes",
        "trap '' PIPE; while :; do echo y || :; done 2>/dev/null",
    ] {
        let context = Context::new();
        let mut child = piped(&context, &["--", "sh", "-c", script]);
        child
            .stdout
            .take()
            .unwrap()
            .read_exact(&mut [0; 10])
            .unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(141), "{script}");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
        let trail = context.json(&["audit", "tail", "-n", "1", "--json"]);
        assert_eq!(trail["records"][0]["event"]["kind"], "run_ended");
    }
}

#[test]
fn what_others_execute_is_set_aside_however_it_ends() {
    let context = Context::beside_tmp();
    let script = "echo x > .envrc; exec yes";
    let begin = || {
        let mut child = piped(&context, &["--write", ".", "--", "sh", "-c", script]);
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut [0; 10]).unwrap();
        (child, stdout)
    };
    let is_there = || context.project().join(".envrc").exists();
    let (mut child, stdout) = begin();
    drop(stdout);
    assert_eq!(child.wait().unwrap().code(), Some(141));
    assert!(!is_there(), "its reader went away");
    let (mut child, _stdout) = begin();
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!is_there(), "it was stopped");
    let output = context.output(&["exec", "--write", ".", "--", "sh", "-c", "echo x > .envrc"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        !is_there() && stderr.starts_with("warning[P0803]: `/usr/bin/dash` made `"),
        "{stderr}"
    );
}

#[test]
fn output_that_cannot_be_written_is_a_failure() {
    let context = Context::new();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = context
        .portcullis(&["exec", "--", "echo", "hi"])
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(125));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("P0909") && stderr.contains("no space left"),
        "{stderr}"
    );
}

/// A tree that will not go, whose last process is gone when the pipe is at its end.
const TREE: &str = "setsid sh -c 'exec 9>held; echo up >&9; trap \"\" TERM INT HUP; sleep 600' & \
                    trap '' TERM INT HUP; wait";

fn stopped_by(signal: Signal, stdout: Stdio) -> i32 {
    let context = Context::new();
    let made = context.command("mkfifo").arg("held").status().unwrap();
    assert!(made.success());
    let mut child = context
        .portcullis(&["exec", "--write", ".", "--", "sh", "-c", TREE])
        .stdin(Stdio::piped())
        .stdout(stdout)
        .spawn()
        .unwrap();
    let mut held = BufReader::new(File::open(context.project().join("held")).unwrap());
    let mut said = String::new();
    held.read_line(&mut said).unwrap();
    assert_eq!(said, "up\n");
    kill_process(
        Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(),
        signal,
    )
    .unwrap();
    let mut rest = Vec::new();
    held.read_to_end(&mut rest).unwrap();
    child.wait().unwrap().code().unwrap()
}

#[test]
fn signals_end_it_with_everything_that_it_started() {
    assert_eq!(stopped_by(Signal::INT, Stdio::null()), 130);
    assert_eq!(stopped_by(Signal::TERM, Stdio::null()), 143);
    assert_eq!(stopped_by(Signal::HUP, Stdio::piped()), 129);
}

#[test]
fn a_reader_that_does_not_read_keeps_no_signal_and_no_time_from_ending_it() {
    let context = Context::new();
    let made = context.command("mkfifo").arg("held").status().unwrap();
    assert!(made.success());
    let script = "exec 9>held; echo up >&9; exec yes";
    let args = ["--write", ".", "--timeout", "2s", "--", "sh", "-c", script];
    let mut child = piped(&context, &args);
    // What it writes is not read, and goes no further than the pipes; its time passes all the same.
    let mut held = BufReader::new(File::open(context.project().join("held")).unwrap());
    let mut said = Vec::new();
    held.read_to_end(&mut said).unwrap();
    assert_eq!(said, b"up\n");
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
}

#[test]
fn the_tree_dies_with_a_portcullis_that_is_killed() {
    let context = Context::new();
    let made = context.command("mkfifo").arg("held").status().unwrap();
    assert!(made.success());
    let mut child = piped(&context, &["--write", ".", "--", "sh", "-c", TREE]);
    let mut held = BufReader::new(File::open(context.project().join("held")).unwrap());
    let mut said = String::new();
    held.read_line(&mut said).unwrap();
    child.kill().unwrap();
    let mut rest = Vec::new();
    held.read_to_end(&mut rest).unwrap();
    child.wait().unwrap();
}

/// Runs a line with a terminal for all three streams.
fn on_a_terminal(context: &Context, script: &str) -> String {
    context.write("script", script);
    let line = format!(
        "{} exec --read . -- sh script",
        env!("CARGO_BIN_EXE_portcullis")
    );
    let output = context
        .command("script")
        .args(["-qec", &line, "/dev/null"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_terminal_gets_colours_and_takes_no_orders() {
    let context = Context::new();
    let orders = "printf '\\033]52;c;aGVsbG8=\\007\\033[31mred\\033[0m\\n\\033P1$r\\033\\\\'";
    for to in ["", " >&2"] {
        let shown = on_a_terminal(&context, &format!("{orders}{to}\n"));
        assert_eq!(shown, "\x1b[31mred\x1b[0m\r\n");
    }
    let output = context.output(&["exec", "--read", ".", "--", "sh", "script"]);
    assert!(
        output.stderr.starts_with(b"\x1b]52;c;aGVsbG8=\x07"),
        "bytes for a pipe are untouched"
    );
    let script = "test -t 0 || test -t 1 || test -t 2 || (: < /dev/tty) 2>/dev/null || echo none\n";
    assert_eq!(on_a_terminal(&context, script), "none\r\n");
}
