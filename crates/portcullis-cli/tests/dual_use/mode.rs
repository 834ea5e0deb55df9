//! The four modes, and the command line and policy of each.

use crate::entry::{DIRECTORIES, Entry, Payload};
use crate::kit::Kit;
use crate::scene::Scene;
use std::error::Error;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

/// How long a program may take; then it is ended and what it gained until then counts.
const LIMIT: Duration = Duration::from_secs(20);

/// How long the command that confines may take in all. Reached only by a failing test.
const PATIENCE: Duration = Duration::from_secs(90);

/// What the operator wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mode {
    /// A list of program names, children with the rights of the user: the positive control.
    Names,
    /// The tier without namespaces.
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

    /// The tier it asks for, if anything confines the program.
    pub(crate) const fn tier(self) -> Option<&'static str> {
        match self {
            Self::Names => None,
            Self::Landlock => Some("landlock"),
            Self::Full | Self::Single => Some("full"),
        }
    }
}

/// Runs a program with a payload and waits for its end.
///
/// # Errors
/// It cannot be started, or what confines it does not come to an end.
pub(crate) fn run(
    kit: &Kit,
    mode: Mode,
    program: &Path,
    entry: &Entry,
    payload: Payload,
    scene: &Scene,
) -> Result<ExitStatus, Box<dyn Error>> {
    let script = entry.own.as_ref().map_or("", |own| &own.script);
    let args = entry.args(payload).iter();
    let args: Vec<_> = args.map(|arg| scene.fill(arg, script)).collect();
    let stdin = match payload {
        Payload::Native => scene.fill(&entry.stdin, script),
        Payload::Own => String::new(),
    };
    // A session of its own: no terminal to ask on, and one group to kill.
    let mut command = Command::new("/usr/bin/setsid");
    let output = File::create(scene.output())?;
    command
        .env_clear()
        .env("PATH", DIRECTORIES.join(":"))
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
    let Some(tier) = mode.tier() else {
        command.arg(program).args(args);
        return finish(command, &stdin, LIMIT)?.ok_or_else(|| "killed at its limit".into());
    };
    scene.write_policy(&policy(kit, mode, tier, entry, scene))?;
    command
        .env("XDG_CACHE_HOME", kit.state(scene.user()).join("cache"))
        .arg(kit.portcullis())
        .args(["run", "--no-config", "--config"])
        .arg(scene.policy())
        .arg("--data-dir")
        .arg(kit.state(scene.user()).join("data"))
        .arg("--project")
        .arg(scene.grant())
        .args(["p", "exec"])
        .arg(format!("--cwd={}", scene.grant().display()))
        .arg(format!("--stdin={stdin}"))
        .args(["--", &entry.name])
        .args(args);
    finish(command, "", PATIENCE)?.ok_or_else(|| "`portcullis run` did not end".into())
}

/// The program is allowed by its name. Where it may start others, the payload's directory is a toolchain, so that the
/// native payload runs and is stopped by what it tries, not by where it lies.
fn policy(kit: &Kit, mode: Mode, tier: &str, entry: &Entry, scene: &Scene) -> String {
    let (tools, grant) = (scene.tools(), scene.grant());
    let read: Vec<_> = [&tools].into_iter().chain(&entry.read).collect();
    let (rule, system) = match mode {
        Mode::Single => (format!("{{ program = {:?}, exec = [] }}", entry.name), ""),
        _ => (
            format!("{:?}", entry.name),
            &*format!("system = [{tools:?}]"),
        ),
    };
    let limits = format!("{{ timeout = \"{}s\", call = \"80s\" }}", LIMIT.as_secs());
    format!(
        "confinement = {tier:?}\n\
         exec_path = {DIRECTORIES:?}\n\
         [[plugins]]\n\
         id = \"p\"\n\
         path = {:?}\n\
         fs = {{ read = {read:?}, write = [{grant:?}] }}\n\
         net = \"none\"\n\
         limits = {limits}\n\
         [plugins.exec]\n\
         allow = [{rule}]\n\
         {system}\n",
        kit.guest()
    )
}

/// Starts a command and waits for its end; nothing if it took longer than it may.
fn finish(
    mut command: Command,
    stdin: &str,
    limit: Duration,
) -> Result<Option<ExitStatus>, Box<dyn Error>> {
    let mut child = command.spawn()?;
    let mut pipe = child.stdin.take().ok_or("no pipe")?;
    // A program that reads nothing is gone before; that is its right.
    pipe.write_all(stdin.as_bytes()).ok();
    drop(pipe);
    let pid = rustix::process::Pid::from_child(&child);
    let in_time = ended(pid, limit)?;
    // The group outlives its leader where something was left behind; nothing is left to kill where not.
    rustix::process::kill_process_group(pid, rustix::process::Signal::KILL).ok();
    let status = child.wait()?;
    Ok(in_time.then_some(status))
}

/// Waits for a process, at most for a time.
fn ended(pid: rustix::process::Pid, limit: Duration) -> Result<bool, Box<dyn Error>> {
    let handle = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?;
    let mut wait = [rustix::event::PollFd::new(
        &handle,
        rustix::event::PollFlags::IN,
    )];
    let limit = rustix::event::Timespec::try_from(limit)?;
    Ok(rustix::event::poll(&mut wait, Some(&limit))? > 0)
}

/// Whether the plugin says that its command was started and ended: a policy that is refused would look like a wall.
pub(crate) fn was_started(output: &[u8]) -> bool {
    output
        .split(|&byte| byte == b'\n')
        .any(|line| line.starts_with(b"status="))
}
