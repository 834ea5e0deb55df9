//! What a program does to files, as `strace` saw it.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A system call that changes files, or says something. Paths are those of descriptors at that moment.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) pid: u32,
    pub(crate) name: String,
    /// As written, quoted texts and descriptors with their paths in hexadecimal.
    args: String,
    /// Whether it has begun, or come to its end.
    pub(crate) moment: Moment,
}

/// A call that another process interrupted in the log is there twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    Begin,
    End,
    Both,
}

impl Moment {
    pub(crate) fn begins(self) -> bool {
        self != Self::End
    }

    pub(crate) fn ends(self) -> bool {
        self != Self::Begin
    }
}

/// All that can change a file, or tell somebody of it.
const CALLS: &str =
    "openat,pwrite64,write,fsync,fdatasync,ftruncate,unlink,unlinkat,rename,renameat,renameat2";

/// `strace` with these options, if it is there and may trace.
pub(crate) fn strace(log: &Path, options: &[&str]) -> Option<Command> {
    let mut tried = Command::new("strace");
    let tried = tried
        .args(["-o", "/dev/null", "-e", "trace=none", "true"])
        .output();
    if !tried.is_ok_and(|tried| tried.status.success()) {
        return None;
    }
    let mut command = Command::new("strace");
    command
        .args(["-f", "-y", "-xx", "-s", "1000000", "-o"])
        .arg(log);
    command
        .arg("-e")
        .arg(format!("trace={CALLS}"))
        .args(options);
    Some(command)
}

/// Reads a log.
pub(crate) fn read(log: &Path) -> Vec<Call> {
    let log = fs::read_to_string(log).unwrap();
    let mut begun = HashMap::<u32, Call>::new();
    let mut calls = Vec::new();
    for line in log.lines() {
        let (pid, rest) = line.split_once(' ').unwrap();
        let (pid, rest) = (pid.parse().unwrap(), rest.trim_start());
        if rest.starts_with("+++") || rest.starts_with("---") {
            continue;
        }
        if rest.starts_with("<...") {
            let mut call = begun.remove(&pid).unwrap();
            if succeeded(rest) {
                call.moment = Moment::End;
                calls.push(call);
            }
            continue;
        }
        let (name, args) = rest.split_once('(').unwrap();
        let mut call = Call {
            pid,
            name: name.to_owned(),
            args: args.to_owned(),
            moment: Moment::Both,
        };
        if args.ends_with("<unfinished ...>") {
            call.moment = Moment::Begin;
            calls.push(call.clone());
            begun.insert(pid, call);
        } else if succeeded(rest) {
            calls.push(call);
        }
    }
    calls
}

fn succeeded(rest: &str) -> bool {
    let result = rest.rsplit_once(" = ").map(|(_, result)| result);
    result.is_some_and(|result| !result.starts_with('-') && !result.starts_with('?'))
}

impl Call {
    /// The path of the descriptor that is its first argument.
    pub(crate) fn path(&self) -> PathBuf {
        let (_, rest) = self.args.split_once('<').unwrap();
        let (path, _) = rest.split_once('>').unwrap();
        text(path).into()
    }

    /// The first quoted text.
    pub(crate) fn data(&self) -> Vec<u8> {
        let (_, rest) = self.args.split_once('"').unwrap();
        let (data, more) = rest.split_once('"').unwrap();
        assert!(!more.starts_with("..."), "the log cuts nothing off");
        bytes(data)
    }

    /// The last number: an offset or a length.
    pub(crate) fn last_number(&self) -> usize {
        let args = self.args.split(')').next().unwrap();
        let args = args.split(" <unfinished").next().unwrap();
        args.rsplit(", ").next().unwrap().parse().unwrap()
    }

    /// The path that `openat` gave, and whether it may have made it.
    pub(crate) fn opened(&self) -> PathBuf {
        String::from_utf8(self.data()).unwrap().into()
    }

    pub(crate) fn may_make(&self) -> bool {
        self.args.contains("O_CREAT")
    }

    /// Which descriptor it writes to.
    pub(crate) fn descriptor(&self) -> u32 {
        self.args.split('<').next().unwrap().parse().unwrap()
    }
}

fn text(hexadecimal: &str) -> String {
    String::from_utf8(bytes(hexadecimal)).unwrap()
}

fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digits = hexadecimal.split("\\x").skip(1);
    digits
        .map(|digits| u8::from_str_radix(digits, 16).unwrap())
        .collect()
}
