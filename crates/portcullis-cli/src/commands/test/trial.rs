//! One test: a plugin under its policy, with a scripted world around it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use portcullis::{Compilation, GuestLog, GuestStdio, LogLine, Prompt, Prompter, Reply};
use portcullis_policy::{
    Confinement, ExecGrant, FsAccess, Grants, HostEnvironment, PluginId, ProgramRef, ProgramRule,
};
use wasmtime_wasi::p2::pipe::{MemoryInputPipe, MemoryOutputPipe};

use super::verdict::{Outcome, differences};
use crate::args::Common;
use crate::code;
use crate::commands::call;
use crate::commands::observed;
use crate::commands::run::{self, Answer, Answered, Ask};
use crate::failure::{Failure, Result, diagnostic};
use crate::render::denials::Denials;
use crate::scripted::{Network, Stage, Test, Workshop, calls};
use crate::session;
use crate::settings::{Directories, Environment, Settings};
use crate::target::Target;

/// Bytes that a plugin may write to each of its outputs.
const MAX_OUTPUT: usize = 64 * 1024 * 1024;

/// What all tests of a run have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) workshop: Workshop,
    /// Where plugins are compiled, as the operator has it: what is tested is not trusted for being tested.
    pub(super) compilation: Compilation,
    /// Whose cache of compiled code is used, and nothing else of them.
    pub(super) directories: Directories,
}

/// What is tested, and under which policy.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) plugin: PathBuf,
    pub(super) policy: Option<PathBuf>,
}

impl Subject {
    /// The plugin's own directory.
    pub(super) fn directory(&self) -> &Path {
        let plugin = self.plugin.as_path();
        if plugin.is_dir() {
            plugin
        } else {
            plugin.parent().unwrap_or(plugin)
        }
    }
}

/// What came of a test.
#[derive(Debug)]
pub(super) struct Trial {
    /// All that was not as expected. Nothing: it passed.
    pub(super) differences: Vec<String>,
    pub(super) duration: Duration,
}

/// Runs a test.
///
/// # Errors
/// It cannot be run: the plugin or the policy cannot be used, or this machine cannot do it.
pub(super) async fn run(test: &Test, subject: &Subject, shared: &Shared) -> Result<Trial> {
    let began = Instant::now();
    let unstaged =
        |error: &io::Error| Failure::unusable("set the stage in", &std::env::temp_dir(), error);
    let stage = shared
        .workshop
        .stage(test)
        .map_err(|error| unstaged(&error))?;
    let network = Network::start(&test.http, &stage.authority()).await;
    let network = network.map_err(|why| Failure::unavailable(diagnostic(code::HOST, why)))?;
    let (settings, mut target) = staged(subject, &stage)?;
    let mut notes = left_out(&mut target.entry.grants, &stage, subject.directory());
    // What is written lies in the test, and goes with it.
    target.entry.grants.staged.clear();
    target.entry.grants.clock = test.clock.or(target.entry.grants.clock);

    let (stdout, stderr) = (
        MemoryOutputPipe::new(MAX_OUTPUT),
        MemoryOutputPipe::new(MAX_OUTPUT),
    );
    let log = Arc::<KeptLog>::default();
    let host = session::builder(&settings)
        .host_env(environment(test, &stage))
        .compilation(shared.compilation)
        .code_cache(session::open_cache(&shared.directories)?)
        .network(network.resolver(), network.dialer())
        .name_servers([([127, 0, 0, 1], 9).into()])
        .ca_file(stage.authority())
        .guest_stdio(stdio(test, &stdout, &stderr))
        .guest_log(Arc::clone(&log) as Arc<dyn GuestLog>)
        .prompter(Arc::new(Answers(test.answers.clone())))
        .build()?;
    let plugin = host.load(target.source()?).await?;
    let ask = call::of_kind(
        wish(test)?,
        plugin.kind(),
        &target,
        &subject.plugin.to_string_lossy(),
    )?;
    let session = plugin.session("test");
    let answer = run::answer(&session, &ask).await;
    let activity = session.take_activity().await;
    let exit = run::exit_of(&answer, &activity);
    let (said, complained) = texts(&answer);
    notes.extend(activity.failures.iter().cloned());
    let outcome = Outcome {
        exit: exit.0,
        stdout: text(&stdout, &said),
        stderr: text(&stderr, &complained),
        log: log.lines(),
        denials: Denials::of(&activity.denials, &target),
        calls: calls(&stage.calls()).map_err(|error| unstaged(&error))?,
        project: stage.project(),
        notes,
    };
    Ok(Trial {
        differences: differences(test, &outcome, network.seen()),
        duration: began.elapsed(),
    })
}

/// The settings of a machine on which there is nothing but what the test says.
fn staged(subject: &Subject, stage: &Stage) -> Result<(Settings, Target)> {
    // What a test sets may reach the plugin, and never says where files of ours are.
    let env = Environment::of_home(&stage.home(), &stage.project());
    let common = Common {
        no_config: true,
        project: Some(stage.project()),
        ..Common::default()
    };
    let files: Vec<_> = subject.policy.iter().cloned().collect();
    let settings = Settings::with_only(&common, &files, env)?;
    let target = Target::find(&settings, &subject.plugin.to_string_lossy())?;
    Ok((settings, target))
}

/// Takes from the grants what leads out of the test: files, and programs. Says what was taken.
///
/// The tree that is tested is not trusted: its policy must not have its plugin reach what is real.
fn left_out(grants: &mut Grants, stage: &Stage, own: &Path) -> Vec<String> {
    let mut notes = Vec::new();
    grants.fs.retain(|grant| {
        let is_read = grant.access == FsAccess::Read && grant.host.starts_with(own);
        let stays = is_read || stage.has(&grant.host);
        if !stays {
            notes.push(format!(
                "the policy grants `{}`, which is not in the test: only what is in `files` is",
                grant.host.display()
            ));
        }
        stays
    });
    if let Some(exec) = &mut grants.exec {
        scripted(exec, stage, &mut notes);
    }
    notes
}

/// Programs are the stand-ins of the test alone. The kernel holds them to nothing: they do what their scripts say.
fn scripted(exec: &mut ExecGrant, stage: &Stage, notes: &mut Vec<String>) {
    exec.search_path = vec![stage.programs()];
    exec.confinement = Confinement::Limits;
    exec.system.clear();
    exec.write_exec.clear();
    exec.cache = None;
    if std::mem::take(&mut exec.any_program) {
        exec.allow.extend(
            stage
                .names()
                .iter()
                .map(|name| ProgramRule::any_arguments(name)),
        );
    }
    for rules in [&mut exec.allow, &mut exec.deny] {
        rules.retain_mut(|rule| {
            // A path would lead to what is really there.
            let Some(name) = rule.program.named().map(ProgramRef::base_name) else {
                notes.push(format!(
                    "rule `{}` is about `{}`: a stand-in is in no directory, so the rule is not in the test",
                    rule.id, rule.program
                ));
                return false;
            };
            rule.program = ProgramRef::Name(name.to_owned()).into();
            rule.sha256 = None;
            rule.narrowing.confinement = None;
            true
        });
    }
}

/// What the plugin's policy may let through.
fn environment(test: &Test, stage: &Stage) -> HostEnvironment {
    let home = (
        "HOME".to_owned(),
        stage.home().to_string_lossy().into_owned(),
    );
    let vars = test.env.clone().into_iter().chain([home]);
    HostEnvironment::new(vars.collect())
}

fn stdio(test: &Test, stdout: &MemoryOutputPipe, stderr: &MemoryOutputPipe) -> GuestStdio {
    let stdin = test.stdin.clone().unwrap_or_default();
    let (stdout, stderr) = (stdout.clone(), stderr.clone());
    GuestStdio::default()
        .stdin(move || MemoryInputPipe::new(stdin.clone()))
        .stdout(move || stdout.clone())
        .stderr(move || stderr.clone())
}

fn wish(test: &Test) -> Result<Ask> {
    let Some(tool) = &test.tool else {
        return Ok(Ask::Args(test.args.clone()));
    };
    let params = match &test.params {
        Some(params) => serde_json::to_string(params),
        None => Ok("{}".to_owned()),
    };
    let params =
        params.map_err(|error| Failure::usage(diagnostic(code::ARGUMENT, error.to_string())))?;
    call::tool(tool.clone(), params)
}

/// What `run` would write to standard output and to standard error for it.
fn texts(answer: &Answer) -> (String, String) {
    match answer {
        Ok(Answered::Text(Ok(text))) => (text.clone(), String::new()),
        Ok(Answered::Text(Err(text))) => (String::new(), text.clone()),
        Ok(Answered::Observed(observation)) => (observed::words(observation), String::new()),
        Ok(Answered::Code(_) | Answered::Left(_)) => Default::default(),
        Err(error) => {
            let report = error.diagnostic();
            let lines = [vec![report.message], report.notes, report.trace].concat();
            (String::new(), lines.join("\n"))
        }
    }
}

fn text(written: &MemoryOutputPipe, said: &str) -> String {
    format!("{}{said}", String::from_utf8_lossy(&written.contents()))
}

/// Lines that the plugin logged.
#[derive(Debug, Default)]
struct KeptLog(Mutex<Vec<String>>);

impl KeptLog {
    fn lines(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl GuestLog for KeptLog {
    fn line(&self, line: &LogLine<'_>) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push(format!("{}: {}", line.level, line.message));
    }

    fn dropped(&self, _: &PluginId, _: u64) {}
}

/// Answers that were given beforehand.
#[derive(Debug)]
struct Answers(BTreeMap<String, String>);

impl Prompter for Answers {
    fn ask<'a>(&'a self, prompt: Prompt<'a>) -> Pin<Box<dyn Future<Output = Reply> + Send + 'a>> {
        let reply = match self.0.get(prompt.id) {
            Some(answer) => Reply::Given(answer.clone()),
            None => Reply::Nobody(format!("the test has no answer for `{}`", prompt.id)),
        };
        Box::pin(async { reply })
    }
}
