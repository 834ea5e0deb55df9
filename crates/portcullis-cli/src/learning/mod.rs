//! `run --learn`: the smallest policy that one call of a plugin needs.
//!
//! The call is run once under a wide policy, with what it writes thrown away, and what it did is noted. From the notes a proposal
//! is made. Then the call is run again and again, under the proposal and under less and less of it, so that what is left is
//! what was needed: the observed run only proposes, the trials decide. Nothing here grants anything; the policy is printed.

mod arguments;
mod directory;
mod draft;
mod never;
mod notes;
mod places;
mod proposal;
mod seen;
mod shrink;
mod trial;
mod watched;
mod wide;

use portcullis::LoadError;
use portcullis_config::{AllowExec, FlagSet};
use portcullis_policy::{Confinement, Digest};
use serde_json::json;

use crate::args::RunArgs;
use crate::code;
use crate::exit::Exit;
use crate::failure::{Failure, Result, Say as _, diagnostic};
use crate::render::{self, Printer, count};
use crate::settings::{Environment, Settings};
use crate::signals::Signals;
use crate::target::Target;
use directory::Directory;
pub(crate) use directory::follow;
use draft::Draft;
use proposal::Proposal;
pub(crate) use seen::Notes;
use shrink::Shrinking;
use trial::{Call, Run, Trials};
use watched::Watched;
use wide::Bounds;

/// Notes at most on what was seen: nobody reads more.
const NOTES: usize = 50;

/// Learns what a call needs, and prints it.
///
/// # Errors
/// The plugin cannot be run here at all.
pub(crate) async fn learn(args: &RunArgs, env: Environment, out: Printer) -> Result<Exit> {
    match learnt(args, env, out).await {
        // Somebody ended it, and knows.
        Err(Failure { exit, reports }) if reports.is_empty() => Ok(exit),
        learnt => learnt,
    }
}

async fn learnt(args: &RunArgs, env: Environment, out: Printer) -> Result<Exit> {
    let mut signals = Signals::install()?;
    let flags = args.flags();
    if flags.confinement == Some(Confinement::Limits) {
        let report = diagnostic(
            code::UNLEARNT,
            "what unconfined commands do would be done, and could not be thrown away",
        );
        return Err(Failure::usage(
            report.help("leave out `--confinement=limits`"),
        ));
    }
    let own = FlagSet {
        confinement: flags.confinement,
        // What is denied is known of a plugin that may run something.
        allow_exec: Some(AllowExec::All),
        deny_exec: flags.deny_exec.clone(),
        ..Default::default()
    };
    let (selector, rest) = args.called();
    let cwd = env.cwd.clone();
    let (settings, mut target) = Target::load(&args.common, &own, &env, selector)?;
    target.bytes = target.source()?.bytes;
    refuse_revoked(&settings, &target)?;
    let project = settings
        .project
        .canonicalize()
        .map_err(|error| Failure::unusable("open", &settings.project, &error))?;
    let directory = Directory::make(&settings)?;
    let stages = !rustix::process::geteuid().is_root();
    if !stages && !out.quiet {
        out.tell("portcullis: as root nothing is staged, so nothing is written while it is learnt");
    }
    let call = Call {
        dir: directory.path.clone(),
        project: project.clone(),
        data: settings.directories.data.clone(),
        plugin: target.entry.path.clone(),
        args: target.first_args.iter().chain(rest).cloned().collect(),
        flags: passed_on(args, &flags, &target),
        stdin: directory::input(args.stdin, &target, &directory.path)?,
        stages,
    };
    let bounds = Bounds::of(&target, &flags, (&project, &cwd), stages);
    let watched = Watched {
        call: &call,
        target: &target,
        bounds: &bounds,
        env: &env,
    };
    let (learnt, seen, variables) = match watched.run(&mut signals).await? {
        Ok(learnt) => learnt,
        // It has said why.
        Err(exit) => return Ok(exit),
    };
    let draft = Draft {
        target: &target,
        bounds: &bounds,
        seen: &seen,
        project: &project,
        variables: &variables,
        env: &env,
    };
    let mut shrinking = Shrinking {
        trials: Trials::new(&call),
        draft: &draft,
        signals: &mut signals,
        is_cut_short: false,
    };
    let (proposal, found) = shrinking.shrink(&learnt).await?;
    // What was found comes first: a plugin decides how many the others are.
    let mut notes = shrinking.notes(found);
    notes.extend(
        learnt
            .error()
            .map(|error| format!("the call failed: {error}")),
    );
    let others = draft.notes(&learnt.denials());
    notes.extend(others.iter().take(NOTES).cloned());
    if let Some(more) = others.len().checked_sub(NOTES).filter(|&more| more > 0) {
        notes.push(format!("and {}", count(more as u64, "more note")));
    }
    let trials = shrinking.trials.count;
    print(&proposal, &learnt, trials, found, &notes, args, out)?;
    Ok(match found {
        Found::Enough => Exit::OK,
        Found::TooLittle | Found::Untried(_) => Exit::NEGATIVE,
    })
}

/// Whether the proposal is enough for the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Enough,
    /// The call comes to something else under it: what it needs is never proposed, or it does not repeat itself.
    TooLittle,
    /// The call was not repeated, because of this.
    Untried(&'static str),
}

/// Nothing of what is revoked has run, not even to be learnt from.
fn refuse_revoked(settings: &Settings, target: &Target) -> Result<()> {
    let digest = Digest::from(target.digest);
    if settings.provenance().revoked.contains(&digest) {
        let plugin = target.entry.id.clone();
        return Err(LoadError::Revoked { plugin, digest }.into());
    }
    Ok(())
}

/// What holds in each run: flags as they were given, and the programs that a policy denies the plugin.
fn passed_on(args: &RunArgs, flags: &FlagSet, target: &Target) -> Vec<String> {
    let answers = args.answer.iter();
    let mut passed: Vec<_> = answers.map(|answer| format!("--answer={answer}")).collect();
    let confinement = flags.confinement.iter();
    passed.extend(confinement.map(|tier| format!("--confinement={}", tier.name())));
    let exec = target.entry.grants.exec.iter();
    let denied = exec.flat_map(|exec| &exec.deny);
    passed.extend(denied.map(|rule| format!("--deny-exec={}", rule.program)));
    let told = flags.env.iter().filter(|text| text.contains('='));
    passed.extend(told.map(|text| format!("--env={text}")));
    passed
}

fn print(
    proposal: &Proposal,
    learnt: &Run,
    trials: u64,
    found: Found,
    notes: &[String],
    args: &RunArgs,
    out: Printer,
) -> Result<()> {
    let mut text = format!(
        "# NOT REVIEWED: learnt by `portcullis run --learn` from one call, which ended with code {}, and {}.\n# Read every line before you use it. Each was needed for that call; another call may need more.\n",
        learnt.exit,
        count(trials, "trial"),
    );
    for note in notes {
        text.push_str(&format!("# - {}\n", render::line(note)));
    }
    text.push('\n');
    text.push_str(&proposal.toml());
    if args.common.output.json {
        out.json(json!({
            "toml": text,
            "enough": match found {
                Found::Enough => Some(true),
                Found::TooLittle => Some(false),
                Found::Untried(_) => None,
            },
            "trials": trials,
            "exit_code": learnt.exit,
            "notes": notes,
        }))?;
    } else {
        out.line(text.trim_end())?;
    }
    Ok(())
}
