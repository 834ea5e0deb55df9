//! The four modes, and the command line of each.

use crate::entry::{Entry, Payload};
use crate::kit::Kit;
use crate::scene::Scene;
use std::error::Error;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

/// How long a case may take; then all of it is killed and what it gained until then counts.
const LIMIT: Duration = Duration::from_secs(20);

/// What the operator wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mode {
    /// A list of program names, children with the rights of the user: the positive control.
    Names,
    /// Landlock alone.
    Landlock,
    /// The whole wall.
    Full,
    /// The whole wall, and no program but this one.
    Single,
}

impl Mode {
    /// All four, in the table's order.
    pub(crate) const ALL: [Self; 4] = [Self::Names, Self::Landlock, Self::Full, Self::Single];

    /// Its name in the names of tests.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Names => "names",
            Self::Landlock => "landlock",
            Self::Full => "full",
            Self::Single => "single",
        }
    }
}

/// Runs a program with a payload and waits for its end.
///
/// # Errors
/// It cannot be started.
pub(crate) fn run(
    kit: &Kit,
    mode: Mode,
    program: &Path,
    entry: &Entry,
    payload: Payload,
    scene: &Scene,
) -> Result<ExitStatus, Box<dyn Error>> {
    let script = entry.own.as_ref().map_or("", |own| &own.script);
    let args = entry
        .args(payload)
        .iter()
        .map(|arg| scene.fill(arg, script));
    // A session of its own: no terminal to ask on, and one group to kill.
    let mut command = Command::new("/usr/bin/setsid");
    confine(&mut command, kit, mode, program, scene);
    command.arg(program).args(args);
    let output = File::create(scene.output())?;
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
        .env("HOME", scene.home())
        .env("LANG", "C.UTF-8")
        .env("TERM", "dumb")
        .current_dir(scene.grant())
        .stdin(Stdio::piped())
        .stdout(output.try_clone()?)
        .stderr(output);
    if let Some(user) = scene.user() {
        command.uid(user).gid(user);
    }
    let mut child = command.spawn()?;
    let stdin = if payload == Payload::Native {
        &*entry.stdin
    } else {
        ""
    };
    let mut pipe = child.stdin.take().ok_or("no pipe")?;
    // A program that reads nothing is gone before; that is its right.
    pipe.write_all(scene.fill(stdin, script).as_bytes()).ok();
    drop(pipe);
    let pid = rustix::process::Pid::from_child(&child);
    if !ended(pid)? {
        fs::write(scene.output(), "killed at its limit\n")?;
    }
    // The group outlives its leader where something was left behind; nothing is left to kill where not.
    rustix::process::kill_process_group(pid, rustix::process::Signal::KILL).ok();
    Ok(child.wait()?)
}

/// Puts the command that confines before the program.
fn confine(command: &mut Command, kit: &Kit, mode: Mode, program: &Path, scene: &Scene) {
    if mode == Mode::Names {
        return;
    }
    command.arg(kit.portcullis()).arg("exec");
    command.arg("--read").arg(scene.tools());
    command.arg("--write").arg(scene.grant());
    command.args(["--net", "none"]);
    match mode {
        Mode::Landlock => {
            command.args(["--confinement", "landlock"]);
        }
        Mode::Single => {
            command.arg("--exec").arg(program);
        }
        Mode::Names | Mode::Full => {}
    }
    command.arg("--");
}

/// Waits for a process, at most as long as a case may take.
fn ended(pid: rustix::process::Pid) -> Result<bool, Box<dyn Error>> {
    let handle = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?;
    let mut wait = [rustix::event::PollFd::new(
        &handle,
        rustix::event::PollFlags::IN,
    )];
    let limit = rustix::event::Timespec::try_from(LIMIT)?;
    Ok(rustix::event::poll(&mut wait, Some(&limit))? > 0)
}
