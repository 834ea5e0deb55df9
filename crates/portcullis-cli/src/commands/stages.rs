//! `portcullis stages`: what staged runs keep, and what is left of those that were killed.

use jiff::{Timestamp, Unit};
use portcullis::stage::{KeptStage, Progress, Stages};
use serde_json::{Value, json};

use crate::args::StagesVerb;
use crate::exit::Exit;
use crate::failure::Result;
use crate::render::{Printer, count, line};
use crate::settings::{self, Environment};
use crate::staging::{torn, unstaged};

pub(super) fn stages(verb: &StagesVerb, env: &Environment, out: Printer) -> Result<Exit> {
    let (StagesVerb::List { common } | StagesVerb::Clear { common }) = verb;
    let (_, directories) = settings::places(common, env)?;
    let stages = Stages::existing(&directories.stages()).map_err(unstaged)?;
    let json = common.output.json;
    match verb {
        StagesVerb::List { .. } => list(stages.as_ref(), json, out),
        StagesVerb::Clear { .. } => clear(stages.as_ref(), json, out),
    }
}

fn kept(stages: Option<&Stages>) -> Result<Vec<KeptStage>> {
    let kept = stages.map(Stages::kept).transpose().map_err(unstaged)?;
    Ok(kept.unwrap_or_default())
}

fn list(stages: Option<&Stages>, json: bool, out: Printer) -> Result<Exit> {
    let kept = kept(stages)?;
    if json {
        let stages: Vec<_> = kept.iter().map(as_json).collect();
        out.json(json!({ "stages": stages }))?;
        return Ok(Exit::OK);
    }
    for kept in &kept {
        out.line(&line(&words(kept)))?;
    }
    if kept.is_empty() {
        out.line("no stages are kept")?;
    }
    Ok(Exit::OK)
}

/// Does what the next staged run would do first.
fn clear(stages: Option<&Stages>, json: bool, out: Printer) -> Result<Exit> {
    let before = kept(stages)?;
    let stuck = stages.map(Stages::recover).transpose().map_err(unstaged)?;
    let after = kept(stages)?;
    let is_kept = |kept: &&KeptStage| after.iter().any(|still| still.id == kept.id);
    let (stay, cleared): (Vec<_>, Vec<_>) = before.iter().partition(is_kept);
    let in_use = stay.iter().filter(|kept| kept.in_use).count();
    if json {
        let cleared: Vec<_> = cleared.into_iter().map(as_json).collect();
        out.json(json!({ "cleared": cleared, "in_use": in_use, "stuck": stay.len() - in_use }))?;
    } else {
        for kept in &cleared {
            out.line(&line(&format!("{}: {}", words(kept), became(kept))))?;
        }
        out.line(&format!(
            "{} cleared; {in_use} in use and left alone",
            count(cleared.len() as u64, "stage")
        ))?;
    }
    match stuck.unwrap_or_default().first() {
        Some(unrecovered) => Err(torn(unrecovered)),
        None => Ok(Exit::OK),
    }
}

fn as_json(kept: &KeptStage) -> Value {
    json!({
        "plugin": kept.owner, "directories": kept.roots, "begun": begun(kept), "in_use": kept.in_use,
        "commit": commit(kept), "path": kept.path,
    })
}

fn begun(kept: &KeptStage) -> String {
    let time = Timestamp::try_from(kept.begun).unwrap_or_default();
    time.round(Unit::Second).unwrap_or(time).to_string()
}

const fn commit(kept: &KeptStage) -> &'static str {
    match kept.commit {
        Progress::None => "none",
        Progress::Begun => "begun",
        Progress::Complete => "complete",
    }
}

/// What becomes of one whose run was killed.
const fn became(kept: &KeptStage) -> &'static str {
    match kept.commit {
        Progress::None => "thrown away",
        Progress::Begun => "taken back",
        Progress::Complete => "tidied up",
    }
}

fn words(kept: &KeptStage) -> String {
    let roots: Vec<_> = kept
        .roots
        .iter()
        .map(|root| format!("`{}`", root.display()))
        .collect();
    let of = match roots.is_empty() {
        true => "which had not begun".to_owned(),
        false => format!("of plugin `{}` in {}", kept.owner, roots.join(", ")),
    };
    let state = match (kept.in_use, kept.commit) {
        (true, Progress::None) => "in use",
        (true, _) => "in use, and being committed",
        (false, Progress::None) => "its run was killed, and nothing was committed",
        (false, Progress::Begun) => "its commit was cut off",
        (false, Progress::Complete) => "its commit was complete",
    };
    format!("stage {of}, since {}: {state}", begun(kept))
}
