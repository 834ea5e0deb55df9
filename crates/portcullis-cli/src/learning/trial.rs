//! Trials: the same call under another policy. What it does is thrown away, and what came of it is compared.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::proposal::Proposal;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::signals::Signals;

/// What ends a call that takes too long.
const OVER: &str = "P0701";
/// Bytes that are kept of what a run writes.
const KEPT: u64 = 64 * 1024 * 1024;
/// How long all trials together may take, at least.
const TIME: Duration = Duration::from_secs(300);
/// Trials at most.
const MOST: u64 = 300;

/// What every run of the call has in common.
#[derive(Debug)]
pub(super) struct Call {
    /// The directory of this learning, which nobody else has.
    pub(super) dir: PathBuf,
    pub(super) project: PathBuf,
    pub(super) data: PathBuf,
    /// The plugin's file.
    pub(super) plugin: PathBuf,
    pub(super) args: Vec<String>,
    /// What holds in each run.
    pub(super) flags: Vec<String>,
    /// What is on standard input, if the plugin is to read it.
    pub(super) stdin: Option<PathBuf>,
    /// Whether writes can be staged.
    pub(super) stages: bool,
}

impl Call {
    /// A run of this very program.
    fn command(&self, policy: &Path, state: &Path) -> std::io::Result<Command> {
        #[expect(
            clippy::disallowed_methods,
            reason = "it is this very program, held to the policy as ever"
        )]
        let mut command = Command::new("/proc/self/exe");
        // What else was granted to the plugin is not: it is learnt what it needs.
        command.args(["run", "--json", "--quiet", "--no-config"]);
        command.arg("--config").arg(policy);
        command.arg("--project").arg(&self.project);
        command.arg("--data-dir").arg(&self.data);
        command.arg("--state").arg(state).args(&self.flags);
        if self.stages {
            command.arg("--stage=never");
        }
        match &self.stdin {
            Some(file) => command.arg("--stdin").stdin(File::open(file)?),
            None => command.stdin(Stdio::null()),
        };
        Ok(command)
    }

    fn with_plugin(&self, mut command: Command) -> Command {
        command.arg(&self.plugin).arg("--").args(&self.args);
        command.stdout(Stdio::piped());
        command
    }

    /// Runs it with all that may be learnt, and notes what it does. What it says is shown.
    pub(super) async fn learn(
        &self,
        policy: &Path,
        notes: &Path,
        signals: &mut Signals,
    ) -> Result<Run> {
        let mut command = self.command(policy, &self.empty_state()?)?;
        command.arg("--allow-exec").arg("--observed").arg(notes);
        output(self.with_plugin(command), signals).await
    }

    /// The directory for the plugin's own state, with nothing in it. Its name is the same for all runs, because some of what
    /// is compared may tell it.
    fn empty_state(&self) -> Result<PathBuf> {
        let state = self.dir.join("state");
        let made = match fs::remove_dir_all(&state) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => fs::create_dir(&state),
        };
        made.map_err(|error| Failure::unusable("make", &state, &error))?;
        Ok(state)
    }
}

/// Runs a command to its end. One that is to be stopped ends before this does.
async fn output(mut command: Command, signals: &mut Signals) -> Result<Run> {
    let child = command.spawn()?;
    let pid = rustix::process::Pid::from_child(&child);
    let mut waiting = tokio::task::spawn_blocking(move || Run::of(child));
    let exit = tokio::select! {
        done = &mut waiting => {
            return Ok(done.unwrap_or_else(|panic| Err(std::io::Error::other(panic)))?);
        }
        exit = signals.next() => exit,
    };
    // It stops what it started.
    let _: rustix::io::Result<()> =
        rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    let _ = waiting.await;
    Err(Failure {
        exit,
        reports: Vec::new(),
    })
}

/// What came of a run, as far as two runs can be compared by it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Run {
    pub(super) exit: i32,
    pub(super) document: Value,
    /// What it wrote to standard error: with `--json`, all output of the plugin.
    stderr: Said,
}

/// What a process wrote: the beginning, and how much it was. A plugin decides how much that is.
#[derive(Clone, Debug, Default, PartialEq)]
struct Said {
    beginning: Vec<u8>,
    bytes: u64,
}

impl Said {
    fn read(mut from: impl Read) -> std::io::Result<Self> {
        let mut beginning = Vec::new();
        from.by_ref().take(KEPT).read_to_end(&mut beginning)?;
        let rest = std::io::copy(&mut from, &mut std::io::sink())?;
        let bytes = beginning.len() as u64 + rest;
        Ok(Self { beginning, bytes })
    }

    /// What it can be compared by.
    fn told(&self) -> Value {
        let digest = hex::encode(Sha256::digest(&self.beginning));
        json!([digest, self.bytes])
    }
}

impl Run {
    /// What comes of this one, at its end.
    fn of(mut child: Child) -> std::io::Result<Self> {
        let stderr = child.stderr.take();
        let stderr = std::thread::spawn(|| stderr.map(Said::read).transpose());
        let stdout = child.stdout.take().map(Said::read).transpose()?;
        let stderr = stderr
            .join()
            .map_err(|_| std::io::Error::other("a panic"))??;
        Ok(Self {
            // Killed by a signal is like nothing else.
            exit: child.wait()?.code().unwrap_or(-1),
            document: serde_json::from_slice(&stdout.unwrap_or_default().beginning)
                .unwrap_or(Value::Null),
            stderr: stderr.unwrap_or_default(),
        })
    }

    /// What has to be the same in every run: how it ended, its commands, what it was denied, what was kept from its commands.
    fn essence(&self) -> Value {
        let of = |list: &Value, fields: &[&str]| {
            let list = list.as_array().into_iter().flatten();
            let mut told: Vec<String> = list
                .map(|entry| {
                    let fields: Vec<_> = fields.iter().map(|field| &entry[field]).collect();
                    json!(fields).to_string()
                })
                .collect();
            // Commands beside each other have no order.
            told.sort();
            told
        };
        let document = &self.document;
        json!({
            "exit": self.exit,
            "errors": document["errors"],
            "denials": of(&document["denials"], &["code", "object"]),
            "commands": of(&document["children"]["commands"], &["program", "status"]),
            "notices": of(&document["notices"], &["code", "message"]),
            "failures": of(&document["failures"], &["message"]),
        })
    }

    /// What may differ from run to run by itself.
    fn rest(&self) -> [(&'static str, Value); 5] {
        let document = &self.document;
        // Where nothing may be written nothing is staged.
        let changes = document["staged"]["changes"].as_array();
        let changes = changes.cloned().unwrap_or_default();
        let names = changes
            .iter()
            .map(|change| json!([change["path"], change["kind"]]));
        [
            ("result", document["result"].clone()),
            ("log", document["log"].clone()),
            ("output", self.stderr.told()),
            ("names of what is changed", names.collect()),
            ("changes", json!(changes)),
        ]
    }

    /// Whether the guest was ended because it had no time left.
    pub(super) fn is_endless(&self) -> bool {
        self.document["error"]["code"] == OVER
    }

    /// What ended the call, if it did not return.
    pub(super) fn error(&self) -> Option<String> {
        let part = |name: &str| self.document["error"][name].as_str();
        Some(format!("{} ({})", part("message")?, part("code")?))
    }

    /// What was denied.
    pub(super) fn denials(&self) -> Vec<Denied> {
        let list = self.document["denials"].as_array().into_iter().flatten();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        list.map(|denial| Denied {
            code: text(&denial["code"]),
            object: text(&denial["object"]),
            right: right(denial),
        })
        .collect()
    }
}

/// Something that was denied.
#[derive(Debug)]
pub(super) struct Denied {
    pub(super) code: String,
    pub(super) object: String,
    /// What would allow it, as `grant` names it: the right, and what it is about.
    pub(super) right: Option<(String, String)>,
}

/// From `portcullis grant [--config FILE] PLUGIN RIGHT OBJECT`.
fn right(denial: &Value) -> Option<(String, String)> {
    let remedies = denial["remedies"].as_array()?;
    let words = remedies.iter().find_map(|remedy| {
        let words = remedy["command"].as_array()?;
        let words: Vec<_> = words.iter().filter_map(Value::as_str).collect();
        (words.get(1) == Some(&"grant")).then_some(words)
    })?;
    let [.., right, object] = words.as_slice() else {
        return None;
    };
    let rights = ["read", "write", "net", "http", "connect", "lookup"];
    let is_flag = rights.contains(right);
    is_flag.then(|| ((*right).to_owned(), (*object).to_owned()))
}

/// The trials of one learning.
#[derive(Debug)]
pub(super) struct Trials<'a> {
    call: &'a Call,
    began: Instant,
    pub(super) count: u64,
    /// What a run under a policy that is enough comes to.
    known: Option<Known>,
}

#[derive(Debug)]
struct Known {
    /// The last policy that was enough.
    proposal: Proposal,
    essence: Value,
    /// What was the same in each run under such a policy.
    steady: Vec<(&'static str, Value)>,
    /// What was not.
    unsteady: Vec<&'static str>,
}

impl Known {
    fn of(proposal: &Proposal, first: &Run, second: &Run) -> Self {
        let mut known = Self {
            proposal: proposal.clone(),
            essence: first.essence(),
            steady: first.rest().to_vec(),
            unsteady: Vec::new(),
        };
        known.forget_what_differs(second);
        known
    }

    fn differs(&self, run: &Run) -> bool {
        let rest = run.rest();
        !self.steady.iter().all(|field| rest.contains(field))
    }

    /// No longer compares what is something else in this run.
    fn forget_what_differs(&mut self, run: &Run) {
        let rest = run.rest();
        let unsteady = self
            .steady
            .extract_if(.., |field| !rest.contains(field))
            .map(|(name, _)| name);
        self.unsteady.extend(unsteady);
    }
}

impl<'a> Trials<'a> {
    pub(super) fn new(call: &'a Call) -> Self {
        Self {
            call,
            began: Instant::now(),
            count: 0,
            known: None,
        }
    }

    /// Whether there is neither time nor room for more.
    pub(super) fn are_over(&self) -> bool {
        self.count >= MOST || self.began.elapsed() > TIME
    }

    /// Names of what differs from run to run, and is not compared.
    pub(super) fn unsteady(&self) -> Vec<&'static str> {
        let known = self.known.iter();
        known.flat_map(|known| known.unsteady.clone()).collect()
    }

    /// Takes this policy for what the others are compared with, if the call comes to the same under it as when it was learnt
    /// from. It is made twice, to know what of it is always the same.
    pub(super) async fn begin(
        &mut self,
        proposal: &Proposal,
        learnt: &Run,
        signals: &mut Signals,
    ) -> Result<bool> {
        let first = self.run(proposal, signals).await?;
        let (mut own, mut learnt) = (first.essence(), learnt.essence());
        for essence in [&mut own, &mut learnt] {
            // More was there to be asked for.
            essence["notices"] = Value::Null;
        }
        let is_same = own == learnt;
        let second = self.run(proposal, signals).await?;
        if first.essence() != second.essence() {
            return Ok(false);
        }
        self.known = Some(Known::of(proposal, &first, &second));
        Ok(is_same)
    }

    /// Takes this policy for what the others are compared with from now on, if under it the call ends as before: for one that
    /// stages nothing, where file systems look different. Nothing may have been changed before.
    pub(super) async fn begin_unstaged(
        &mut self,
        proposal: &Proposal,
        signals: &mut Signals,
    ) -> Result<bool> {
        let before = self.known.take();
        if let Some(known) = &before
            && known.steady.contains(&("changes", json!([])))
        {
            let first = self.run(proposal, signals).await?;
            let second = self.run(proposal, signals).await?;
            if first.essence() == known.essence && second.essence() == known.essence {
                self.known = Some(Known::of(proposal, &first, &second));
                return Ok(true);
            }
        }
        self.known = before;
        Ok(false)
    }

    /// Whether there is something that trials can be compared with: two runs under one policy came to the same.
    pub(super) fn can_compare(&self) -> bool {
        self.known.is_some()
    }

    /// Whether the call comes to the same under this policy.
    pub(super) async fn is_enough(
        &mut self,
        proposal: &Proposal,
        signals: &mut Signals,
    ) -> Result<bool> {
        let run = self.run(proposal, signals).await?;
        let Some(known) = &self.known else {
            return Ok(false);
        };
        if known.essence != run.essence() {
            return Ok(false);
        }
        if known.differs(&run) {
            // The world may have changed meanwhile, and not what comes of the policy.
            let again = self.run(&known.proposal.clone(), signals).await?;
            if let Some(known) = &mut self.known {
                known.forget_what_differs(&again);
            }
        }
        let known = self.known.as_mut().filter(|known| !known.differs(&run));
        Ok(known.is_some_and(|known| {
            known.proposal.clone_from(proposal);
            true
        }))
    }

    async fn run(&mut self, proposal: &Proposal, signals: &mut Signals) -> Result<Run> {
        self.count += 1;
        let policy = self.call.dir.join("policy.toml");
        fs::write(&policy, proposal.toml())
            .map_err(|error| Failure::unusable("write", &policy, &error))?;
        let mut command = self.call.command(&policy, &self.call.empty_state()?)?;
        command.stderr(Stdio::piped());
        output(self.call.with_plugin(command), signals).await
    }
}

/// A failure of ours, and not of what was tried.
pub(super) fn is_ours(run: &Run) -> bool {
    run.document.get("run").is_none() && run.exit == i32::from(Exit::OURS.0)
}
