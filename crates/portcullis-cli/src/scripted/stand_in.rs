//! A program that stands in for another: it does what the script of a test says for its arguments.
//!
//! It is a copy of this executable under the other program's name, with the scripts beside its directory. So everything
//! about it is real that a plugin can meet: a process with pipes, a working directory, an environment and a status.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;

use serde::{Deserialize, Serialize};

use super::file::{Command, Step};
use super::glob;

/// Scripts of all programs of a test, beside the directory of the programs.
pub(crate) const SCRIPTS: &str = "stand-ins.json";
/// What a stand-in ends with that has no script for its arguments.
const NO_SCRIPT: u8 = 127;
/// Bytes of standard input that are looked at.
const MAX_INPUT: u64 = 64 * 1024 * 1024;

/// What stand-ins are told.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Scripts {
    pub(crate) commands: Vec<Command>,
    /// Where each call is written down.
    pub(crate) calls: PathBuf,
}

/// One call of a stand-in.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Call {
    pub(crate) program: String,
    pub(crate) args: Vec<String>,
    /// Which script it followed; `None`: there is none.
    pub(crate) script: Option<usize>,
}

/// What the file of a stand-in ends with, behind what is executed: it is one whatever it is called and whatever lies beside it.
pub(super) const MARK: &[u8; 25] = b"\0portcullis a stand-in \n\0";

/// Does what a stand-in does, if this process is one.
pub(crate) fn enter() -> Option<ExitCode> {
    if !is_marked().unwrap_or(false) {
        return None;
    }
    let code = scripts().and_then(|(program, scripts)| play(&program, &scripts));
    let code = code.unwrap_or_else(|error| {
        // Nobody is left to tell when standard error is gone.
        let _ = writeln!(io::stderr(), "a stand-in of a test: {error}");
        NO_SCRIPT
    });
    Some(ExitCode::from(code))
}

/// Whether the executable of this process ends with the mark.
fn is_marked() -> io::Result<bool> {
    let file = File::open("/proc/self/exe")?;
    let mut end = [0; MARK.len()];
    let Some(at) = file.metadata()?.len().checked_sub(MARK.len() as u64) else {
        return Ok(false);
    };
    file.read_exact_at(&mut end, at)?;
    Ok(end == *MARK)
}

/// Which program this stands for, and what it does.
fn scripts() -> io::Result<(PathBuf, Scripts)> {
    let program = std::env::current_exe()?;
    let stage = program.ancestors().nth(2).unwrap_or(&program);
    let scripts = fs::read(stage.join(SCRIPTS))?;
    Ok((program, serde_json::from_slice(&scripts)?))
}

fn play(program: &Path, scripts: &Scripts) -> io::Result<u8> {
    let name = program
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let args = std::env::args_os().skip(1);
    let args: Vec<_> = args.map(|arg| arg.to_string_lossy().into_owned()).collect();
    let script = chosen(scripts, &name, &args)?;
    let call = Call {
        program: name.clone(),
        args,
        script,
    };
    noted(&scripts.calls, &call)?;
    let Some(script) = script.and_then(|script| scripts.commands.get(script)) else {
        writeln!(
            io::stderr(),
            "{name}: the test has no script for these arguments"
        )?;
        return Ok(NO_SCRIPT);
    };
    script.all_steps().try_for_each(|step| done(&step))?;
    match script.signal {
        Some(signal) => Err(ended_by(signal)),
        None => Ok(script.status),
    }
}

/// The first script that fits, of those that were not followed as often as they may be.
fn chosen(scripts: &Scripts, program: &str, args: &[String]) -> io::Result<Option<usize>> {
    let mut input = None;
    for (place, script) in scripts.commands.iter().enumerate() {
        if script.program() != program || !glob::matches_all(&script.run[1..], args) {
            continue;
        }
        if let Some(pattern) = &script.stdin {
            let input = match &mut input {
                Some(input) => input,
                None => input.insert(whole_input()?),
            };
            if !glob::matches(pattern, input) {
                continue;
            }
        }
        if is_left(&scripts.calls, place, script.times)? {
            return Ok(Some(place));
        }
    }
    Ok(None)
}

fn whole_input() -> io::Result<String> {
    let mut bytes = Vec::new();
    io::stdin().lock().take(MAX_INPUT).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether a script may be followed once more; if so, that is done. Whoever makes a name first has it.
fn is_left(calls: &Path, script: usize, times: Option<u32>) -> io::Result<bool> {
    for turn in 0..times.unwrap_or(0) {
        if is_new(&calls.join(format!("turn-{script}-{turn}")), b"")? {
            return Ok(true);
        }
    }
    Ok(times.is_none())
}

fn noted(calls: &Path, call: &Call) -> io::Result<()> {
    let text = serde_json::to_vec(call)?;
    for number in 0.. {
        if is_new(&calls.join(format!("call-{number}")), &text)? {
            break;
        }
    }
    Ok(())
}

/// Makes a file, unless there is one.
fn is_new(path: &Path, content: &[u8]) -> io::Result<bool> {
    match File::create_new(path) {
        Ok(mut file) => file.write_all(content).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// All calls, in the order in which they were written down.
pub(crate) fn calls(directory: &Path) -> io::Result<Vec<Call>> {
    let mut calls = Vec::new();
    for number in 0.. {
        match fs::read(directory.join(format!("call-{number}"))) {
            Ok(text) => calls.push(serde_json::from_slice(&text)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(error),
        }
    }
    Ok(calls)
}

fn done(step: &Step) -> io::Result<()> {
    match step {
        Step::Stdout(text) => written(&mut io::stdout().lock(), text),
        Step::Stderr(text) => written(&mut io::stderr().lock(), text),
        Step::Delay(time) => {
            thread::sleep(*time);
            Ok(())
        }
        Step::Cat(false) => Ok(()),
        Step::Cat(true) => repeated(),
    }
}

/// Nobody reading is no error of a script.
fn written(to: &mut impl Write, text: &str) -> io::Result<()> {
    match to.write_all(text.as_bytes()).and_then(|()| to.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// As `cat` does, each part as soon as it is there.
fn repeated() -> io::Result<()> {
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let mut chunk = [0; 8192];
    loop {
        let read = input.read(&mut chunk)?;
        if read == 0 {
            return Ok(());
        }
        output
            .write_all(&chunk[..read])
            .and_then(|()| output.flush())?;
    }
}

/// Ends this process by a signal. An error says that it did not.
fn ended_by(signal: u8) -> io::Error {
    let own = rustix::process::getpid();
    match rustix::process::Signal::from_named_raw(i32::from(signal)) {
        Some(signal) => match rustix::process::kill_process(own, signal) {
            // One that waits for no handler has come by now, or is ignored.
            Ok(()) => io::Error::other("the signal did not end it"),
            Err(errno) => errno.into(),
        },
        None => io::Error::other(format!("there is no signal {signal}")),
    }
}
