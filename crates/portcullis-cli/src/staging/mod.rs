//! Runs whose writes are staged: two processes, of which the inner one runs, and the outer one waits, shows what was changed
//! and commits it.

mod agreed;
mod content;
mod shown;

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use portcullis::stage::{CommitError, Difference, Stage, StageError, Stages};
use portcullis::{Kept, Overlay, Staged, Staging, StagingError, StagingStep, enter_staging};
use portcullis_audit::{Committing, Event};
use portcullis_policy::{Commit, Confinement, FsAccess, Grants};
use serde_json::{Value, json};

use crate::args::{StageArgs, Verb};
use crate::code;
use crate::commands;
use crate::exit::Exit;
use crate::failure::{Failure, Result, Say, chain, diagnostic, system};
use crate::render::{self, Printer};
use crate::session;
use crate::settings::{self, Environment, Settings};

/// In the stage's own directory: what the inner process would have printed as JSON.
const DOCUMENT: &str = "document.json";

/// What this process is to do.
pub(crate) enum Part {
    /// Everything; or, in a staging namespace, to run.
    Run(Option<Staged>),
    /// Nothing more.
    Done(Exit),
}

/// Divides this process in two if writes are to be staged. The inner one goes on from here; the outer one comes back when it
/// has ended and everything is committed or thrown away.
///
/// To be called while there is one thread.
///
/// # Errors
/// Writes cannot be staged, or what was staged was not committed.
pub(crate) fn divide(verb: &Verb, out: Printer) -> Result<Part> {
    let (Some(args), false) = (verb.stage(), verb.is_dry_run()) else {
        return Ok(Part::Run(None));
    };
    if args.stage.is_none() && !args.staged {
        return Ok(Part::Run(None));
    }
    let env = Environment::of_process()
        .map_err(|error| Failure::unavailable(diagnostic(code::UNUSABLE, system(&error))))?;
    let (settings, grants) = commands::granted(verb, env)?;
    if grants.staged.is_empty() {
        return Ok(Part::Run(None));
    }
    if writes_anywhere(&grants) {
        return Err(Failure::usage(
            diagnostic(
                code::UNSTAGED,
                "what unconfined commands write cannot be staged",
            )
            .note("with `confinement = \"limits\"` they write wherever you can")
            .help("leave out `--stage`, or choose another confinement"),
        ));
    }
    let stage = Stages::open(&settings.directories.stages())
        .and_then(|stages| stages.begin(grants.plugin.as_str(), &outermost(&grants.staged)))
        .map_err(unstaged)?;
    let kept = Kept::of(&grants, stage.roots());
    let overlays: Vec<_> = stage
        .roots()
        .iter()
        .enumerate()
        .map(|(number, root)| Overlay {
            root: root.path.clone(),
            layers: stage.layers(number),
        })
        .collect();
    let document = stage.path().join(DOCUMENT);
    let json = verb.output().json;
    settings::hold_ceiling()?;
    match enter_staging(&overlays).map_err(|error| impossible(&error))? {
        Staging::Inside(staged) => {
            // It is the other one's.
            stage.let_go();
            if json {
                let file = File::create(&document)?;
                render::divert(file);
            }
            Ok(Part::Run(Some(staged)))
        }
        Staging::Outside(outside) => {
            let code = outside.wait()?;
            let document = std::fs::read(&document).unwrap_or_default();
            let run = Run {
                settings: &settings,
                grants: &grants,
                kept,
                exit: Exit(u8::try_from(code).unwrap_or(Exit::OURS.0)),
                document: serde_json::from_slice(&document).unwrap_or(Value::Null),
                json,
                is_trial: verb.is_trial(),
                out,
            };
            run.finish(stage).map(Part::Done)
        }
    }
}

/// Whether commands may run that are not confined to what was granted.
fn writes_anywhere(grants: &Grants) -> bool {
    grants.exec.as_ref().is_some_and(|exec| {
        let of_rules = exec.rules().filter_map(|rule| rule.narrowing.confinement);
        let mut tiers = of_rules.chain([exec.confinement]);
        tiers.any(|tier| tier == Confinement::Limits)
    })
}

/// The directories of a list that lie in no other one.
fn outermost(paths: &[PathBuf]) -> Vec<PathBuf> {
    let lies_in = |path: &Path, other: &PathBuf| path != other && path.starts_with(other);
    let mut outer: Vec<_> = paths
        .iter()
        .filter(|path| !paths.iter().any(|other| lies_in(path, other)))
        .cloned()
        .collect();
    outer.sort();
    outer.dedup();
    outer
}

/// Says in the grants what is staged, by the flag and the policy.
///
/// # Errors
/// A file is written that lies in no directory: it cannot be staged.
pub(crate) fn settle(args: &StageArgs, grants: &mut Grants, granted: &Grants) -> Result<()> {
    if let Some(word) = args.stage {
        grants.commit = word.into();
        if let Some(file) = grants.stage_all().first() {
            return Err(Failure::usage(
                diagnostic(
                    code::UNSTAGED,
                    format!("what is written to `{}` cannot be staged", file.display()),
                )
                .note("it is granted as a file, and what is staged is a directory")
                .help("grant the directory that it lies in, or leave out `--stage`"),
            ));
        }
    }
    // What is not granted after all is not covered either.
    let written = |dir: &Path| {
        granted.fs.iter().any(|grant| {
            grant.access == FsAccess::ReadWrite
                && (grant.host.starts_with(dir) || dir.starts_with(&grant.host))
        })
    };
    grants.staged.retain(|dir| written(dir));
    Ok(())
}

/// Starts this program anew, to be divided, if the grants say that writes are staged and they are not.
///
/// # Errors
/// It cannot be started.
pub(crate) fn begin_anew(grants: &Grants, env: &Environment) -> Result<()> {
    if grants.staged.is_empty() || env.staged.is_some() {
        return Ok(());
    }
    let mut words = std::env::args_os();
    let name = words.next().unwrap_or_default();
    let verb = words.next().unwrap_or_default();
    #[expect(
        clippy::disallowed_methods,
        reason = "it is this very program, in this very process"
    )]
    let error = Command::new("/proc/self/exe")
        .arg0(name)
        .arg(verb)
        .arg("--staged")
        .args(words)
        .exec();
    Err(Failure::unavailable(
        diagnostic(code::UNSTAGED, "what is written cannot be staged").note(system(&error)),
    ))
}

/// A run that is over, and what it left.
struct Run<'a> {
    settings: &'a Settings,
    grants: &'a Grants,
    kept: Kept,
    exit: Exit,
    document: Value,
    json: bool,
    /// Whether nobody is told but by the document.
    is_trial: bool,
    out: Printer,
}

impl Run<'_> {
    fn finish(mut self, stage: Stage) -> Result<Exit> {
        if self.exit != Exit::OK {
            let code = self.exit.0;
            self.tell(&format!(
                "portcullis: nothing is committed, since the run ended with code {code}"
            ));
            self.document(json!({ "committed": false, "why": "the run failed" }))?;
            return Ok(self.exit);
        }
        let difference = stage
            .difference(Overlay::UPPER, &self.kept)
            .map_err(unstaged)?;
        let shown = shown::json(&stage, &difference);
        match self.decide(stage, &difference) {
            Ok(committed) => {
                self.document(json!({ "committed": committed, "changes": shown }))?;
                Ok(Exit::OK)
            }
            Err(mut failure) => {
                failure.exit = Exit::OURS;
                self.document = match std::mem::take(&mut self.document) {
                    Value::Object(mut fields) => {
                        fields.insert("exit_code".to_owned(), Exit::OURS.0.into());
                        Value::Object(fields)
                    }
                    other => other,
                };
                self.document(json!({
                    "committed": false,
                    "changes": shown,
                    "errors": failure.reports,
                }))?;
                if self.json {
                    // The document has it.
                    self.out.failure(&failure);
                    return Ok(Exit::OURS);
                }
                Err(failure)
            }
        }
    }

    fn tell(&self, text: &str) {
        if !self.is_trial {
            self.out.tell(text);
        }
    }

    /// Shows it, and commits it or not.
    fn decide(&self, stage: Stage, difference: &Difference) -> Result<bool> {
        if difference.is_empty() {
            self.out.detail("nothing was changed");
            return Ok(false);
        }
        let list = shown::lines(&stage, difference);
        for line in &list.lines {
            self.tell(line);
        }
        if !difference.is_fit() {
            return Err(not_committed(
                "some of it cannot be, so none of it is: the list above says why",
            ));
        }
        match self.grants.commit {
            Commit::Never => {
                self.tell("portcullis: thrown away, as was asked for");
                return Ok(false);
            }
            Commit::Ask => agreed::ask(&stage, difference, &list, self.settings, self.out)?,
            Commit::Always => {}
        }
        let event = Event::Committing(Committing {
            plugin: self.grants.plugin.to_string(),
            roots: stage
                .roots()
                .iter()
                .map(|root| root.path.display().to_string())
                .collect(),
            changes: difference.changes.len() as u64,
            digest: hex::encode(difference.digest()),
            agreed: self.grants.commit == Commit::Ask,
        });
        let (directories, policy) = (&self.settings.directories, &self.settings.policy);
        session::write_down(directories, policy.audit(), &event, self.out)?;
        let committed = stage
            .commit(Overlay::UPPER, difference)
            .map_err(|error| uncommitted(&error))?;
        self.out.tell(&format!(
            "portcullis: committed {}",
            render::count(committed.changes as u64, "change")
        ));
        Ok(true)
    }

    /// Prints the document of the run, with what became of its changes.
    fn document(&mut self, staged: Value) -> Result<()> {
        if !self.json {
            return Ok(());
        }
        let mut document = match std::mem::take(&mut self.document) {
            Value::Object(fields) => fields,
            _ => serde_json::Map::new(),
        };
        document.insert("staged".to_owned(), staged);
        self.out.json(Value::Object(document))?;
        Ok(())
    }
}

/// Why what was staged was not committed.
fn not_committed(why: &str) -> Failure {
    Failure {
        exit: Exit::OURS,
        ..Failure::usage(diagnostic(code::NOT_COMMITTED, "nothing is committed").note(why))
    }
}

fn uncommitted(error: &CommitError) -> Failure {
    if let CommitError::Torn(unrecovered) = error {
        return torn(unrecovered);
    }
    let report = chain(code::NOT_COMMITTED, error);
    Failure {
        exit: Exit::OURS,
        ..Failure::usage(report.note("everything is as it was before"))
    }
}

/// What is said where a commit cannot be taken back.
pub(crate) fn torn(unrecovered: &portcullis::stage::Unrecovered) -> Failure {
    Failure::unavailable(
        diagnostic(code::UNRECOVERED, unrecovered.to_string())
            .note(format!(
                "what was there before is kept in `{}`",
                unrecovered.kept.display()
            ))
            .help(format!(
                "put it back where it belongs, then remove that directory and `{}`",
                unrecovered.journal.display()
            )),
    )
}

/// Why what is staged cannot be kept or looked at.
pub(crate) fn unstaged(error: StageError) -> Failure {
    if let StageError::Unrecovered(unrecovered) = &error {
        return torn(unrecovered);
    }
    Failure::unavailable(chain(code::UNSTAGED, &error))
}

/// Why there is no staging namespace.
fn impossible(error: &StagingError) -> Failure {
    let report = diagnostic(code::UNSTAGED, "what is written cannot be staged").note(error);
    Failure::unavailable(match error {
        StagingError::Root => report
            .note("commands of root run as nobody, and an overlay cannot show them root's files as theirs")
            .help("run it as another user, or without `--stage`"),
        StagingError::System {
            step: StagingStep::Overlay,
            ..
        } => report.note(
            "it needs Linux 5.11, no other file system mounted below the directory, and extended attributes where the data directory is",
        ),
        _ => report.help("run `portcullis doctor`: it says what this machine lacks"),
    })
}
