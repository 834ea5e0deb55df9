//! `portcullis install`: reads a plugin, shows what it is and asks for, and keeps it once somebody agrees.

use portcullis_config::FlagSet;
use serde_json::json;

use super::plugin::{self, Agreed, Candidate, Offer, Question};
use crate::args::InstallArgs;
use crate::code;
use crate::exit::Exit;
use crate::failure::{Failure, Report, Result, Say, diagnostic};
use crate::render::{Level, Printer, line};
use crate::settings::{Environment, Settings};
use crate::signals::Signals;

pub(super) async fn install(args: &InstallArgs, env: Environment, out: Printer) -> Result<Exit> {
    let mut signals = Signals::install()?;
    let settings = Settings::load(&args.common, FlagSet::default(), env)?;
    let manifest = args.manifest.as_deref();
    let manifest = manifest
        .map(|file| plugin::given(&settings, file))
        .transpose()?;
    let reading = Candidate::read(&settings, &args.source, args.digest.as_deref(), manifest);
    let candidate = tokio::select! {
        read = reading => read?,
        exit = signals.next() => return Ok(exit),
    };
    is_free(&settings, &candidate)?;
    let mut offer = Offer::new(&settings, &candidate, None)?;
    if !args.yes {
        let agreed = question(&settings, &offer, args)
            .ask(&settings, &mut signals, out)
            .await?;
        match agreed {
            Err(exit) => return Ok(exit),
            Ok(Agreed::ToWhatItAsks) => offer = offer.granting(&settings)?,
            Ok(Agreed::ToThePlugin) => {}
        }
    }
    let record = &offer.record;
    plugin::write_down(&settings, None, Some(record), !args.yes, out)?;
    plugin::registry(&settings)?
        .write()?
        .install(record, candidate.package.component())?;
    if record.signer.is_none() && record.tier != "pinned" {
        let report = diagnostic(
            code::UNSIGNED,
            format!("nobody signed plugin `{}`", record.name),
        );
        out.report(
            Level::Warning,
            &Report::Plain(report.note(format!("its tier is `{}`", record.tier))),
        );
    }
    if args.common.output.json {
        out.json(json!({ "installed": plugin::json(record), "is": offer.lines() }))?;
    } else {
        if args.yes {
            for text in offer.lines() {
                out.line(&line(&text))?;
            }
        }
        out.line(&line(&format!("installed {}", plugin::summary(record))))?;
    }
    Ok(Exit::OK)
}

fn question<'a>(settings: &Settings, offer: &'a Offer<'_>, args: &InstallArgs) -> Question<'a> {
    let command = ["portcullis", "install", "--yes", &args.source].map(str::to_owned);
    Question {
        name: &offer.record.name,
        lines: offer.lines(),
        what: "install this plugin?",
        refused: "installed",
        can_grant: offer.can_grant(settings),
        command: command.to_vec(),
    }
}

/// Whether nothing else goes by the plugin's name, in whatever case.
fn is_free(settings: &Settings, candidate: &Candidate) -> Result<()> {
    let own = candidate.manifest.id.as_str();
    let names: Vec<_> = candidate.commands().chain([own.to_owned()]).collect();
    for name in &names {
        is_free_for(settings, candidate, name)?;
    }
    Ok(())
}

fn is_free_for(settings: &Settings, candidate: &Candidate, name: &str) -> Result<()> {
    let own = candidate.manifest.id.as_str();
    let taken = |other: &str, what: String, help: String| {
        let message = format!(
            "plugin `{own}` from `{}` is not installed: the name `{name}` is taken",
            candidate.source
        );
        let note = format!("`{other}` is {what}; two plugins cannot be called by one name");
        Failure {
            exit: Exit::NEGATIVE,
            ..Failure::usage(
                diagnostic(code::NOT_INSTALLED, message)
                    .note(note)
                    .help(help),
            )
        }
    };
    let mut records = settings.installed.records.iter();
    if let Some(other) = records.find(|other| other.goes_by(name)) {
        let what = format!("installed from `{}`", other.source);
        return Err(taken(
            &other.name,
            what,
            format!("portcullis update {}", other.name),
        ));
    }
    if name == "exec" {
        return Err(taken(
            name,
            "what stands for `portcullis exec`".to_owned(),
            "its author has to give it another id".to_owned(),
        ));
    }
    if let Some(id) = settings
        .policy
        .ids()
        .find(|id| id.as_str().eq_ignore_ascii_case(name))
    {
        let path = settings.policy.plugin(id.as_str())?.path;
        let what = format!("`{}` in your policy", path.display());
        return Err(taken(
            id.as_str(),
            what,
            "give the entry in the policy another id".to_owned(),
        ));
    }
    Ok(())
}
