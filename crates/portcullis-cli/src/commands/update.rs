//! `portcullis update`: reads an installed plugin's source again. What is more than somebody agreed to is asked about.

use portcullis_config::FlagSet;
use portcullis_fetch::may_replace;
use portcullis_registry::Record;
use serde_json::{Value, json};

use super::plugin::{self, Agreed, Candidate, Difference, Offer, Question};
use crate::args::UpdateArgs;
use crate::code;
use crate::exit::Exit;
use crate::failure::{Failure, Result, Say, chain, diagnostic};
use crate::render::{Printer, line};
use crate::settings::{Environment, Settings};
use crate::signals::Signals;

pub(super) async fn update(args: &UpdateArgs, env: Environment, out: Printer) -> Result<Exit> {
    let mut signals = Signals::install()?;
    let settings = Settings::load(&args.common, FlagSet::default(), env)?;
    let mut results = Vec::new();
    let mut exit = Exit::OK;
    for record in plugin::chosen(&settings, args.name.as_deref())? {
        let done = tokio::select! {
            done = update_one(args, &settings, record, out) => done,
            exit = signals.next() => return Ok(exit),
        };
        match done {
            Ok(done) => results.push(done),
            Err(failure) if args.name.is_some() => return Err(failure),
            Err(failure) => {
                // The others are updated all the same.
                exit = Exit::NEGATIVE;
                out.failure(&failure);
                results.push(
                    json!({ "name": record.name, "status": "failed", "errors": failure.reports }),
                );
            }
        }
    }
    if args.common.output.json {
        out.json(json!({ "results": results }))?;
    }
    Ok(exit)
}

async fn update_one(
    args: &UpdateArgs,
    settings: &Settings,
    before: &Record,
    out: Printer,
) -> Result<Value> {
    let json = args.common.output.json;
    let source = args.source.as_deref().unwrap_or(&before.source);
    let manifest = match &args.manifest {
        Some(file) => plugin::given(settings, file)?,
        None => before.manifest.clone(),
    };
    let candidate = Candidate::read(settings, source, None, Some(manifest)).await?;
    is_same(before, &candidate, args.downgrade)?;
    let mut offer = Offer::new(settings, &candidate, Some(before))?;
    let after = &offer.record;
    if (&after.sha256, &after.manifest, &after.source)
        == (&before.sha256, &before.manifest, &before.source)
    {
        if !json {
            out.line(&line(&format!("up to date: {}", plugin::summary(before))))?;
        }
        return Ok(
            json!({ "name": before.name, "status": "up-to-date", "plugin": plugin::json(before) }),
        );
    }
    let difference = Difference::of(before, after);
    let has_grown = !difference.grew.is_empty();
    if has_grown {
        let question = question(settings, &offer, &difference);
        if args.yes {
            return Err(question.refuse(
                "it is more than what was agreed to, and `--yes` does not answer for that",
            ));
        }
        let mut signals = Signals::install()?;
        match question.ask(settings, &mut signals, out).await? {
            Err(_) => return Err(question.refuse("it was interrupted")),
            Ok(Agreed::ToWhatItAsks) => offer = offer.granting(settings)?,
            Ok(Agreed::ToThePlugin) => {}
        }
    }
    let after = &offer.record;
    plugin::write_down(settings, Some(before), Some(after), has_grown, out)?;
    let component = candidate.package.component();
    plugin::registry(settings)?
        .write()?
        .replace(before, after, Some(component))?;
    if !json {
        out.line(&line(&format!("updated {}", plugin::summary(after))))?;
        for text in difference.lines() {
            out.line(&line(&text))?;
        }
    }
    Ok(json!({
        "name": before.name, "status": "updated", "plugin": plugin::json(after),
        "grew": difference.grew, "changed": difference.other,
    }))
}

fn question<'a>(
    settings: &Settings,
    offer: &'a Offer<'_>,
    difference: &Difference,
) -> Question<'a> {
    let mut lines = vec![format!(
        "plugin `{}` is different from what you agreed to:",
        offer.record.name
    )];
    lines.extend(difference.lines());
    let command = ["portcullis", "update", &offer.record.name].map(str::to_owned);
    Question {
        name: &offer.record.name,
        lines,
        what: "update this plugin? What it was granted, it keeps.",
        refused: "updated",
        can_grant: offer.can_grant(settings),
        command: command.to_vec(),
    }
}

/// Whether what was read is the same plugin, and not an earlier one.
fn is_same(before: &Record, candidate: &Candidate, downgrade: bool) -> Result<()> {
    let Record { name, version, .. } = before;
    let manifest = &candidate.manifest;
    let refuse = |why: String, help: String| Failure {
        exit: Exit::NEGATIVE,
        ..Failure::usage(
            diagnostic(
                code::NOT_INSTALLED,
                format!("plugin `{name}` is not updated"),
            )
            .note(why)
            .help(help),
        )
    };
    if manifest.id.as_str() != name {
        let why = format!("`{}` now has a plugin `{}`", candidate.source, manifest.id);
        return Err(refuse(
            why,
            format!("portcullis install {}", candidate.source),
        ));
    }
    if downgrade {
        return Ok(());
    }
    may_replace(name, version, &manifest.version).map_err(|error| Failure {
        exit: Exit::NEGATIVE,
        ..Failure::usage(
            chain(error.code().as_str(), &error)
                .help(format!("portcullis update --downgrade {name}")),
        )
    })
}
