//! `portcullis audit report`: one run as one page, to be read in a browser and sent on.

mod collect;
mod filters;
mod model;
mod page;
mod shown;
mod spread;
mod words;

use std::io::{self, Write as _};
use std::path::Path;

use portcullis_audit::{self as audit, Evidence, Head};
use portcullis_config::FlagSet;
use serde_json::json;

use self::collect::Collector;
use self::model::{Refused, Story};
use self::page::Chain;
use self::shown::Shown;
use super::super::explain;
use crate::args::ReportArgs;
use crate::code;
use crate::exit::Exit;
use crate::failure::{Failure, Result, Say, diagnostic};
use crate::render::denials::withhold;
use crate::render::{Printer, count, line};
use crate::settings::{self, Environment, Settings};
use crate::target::Target;

pub(super) fn report(args: &ReportArgs, env: Environment, out: Printer) -> Result<Exit> {
    let directories = settings::places(&args.common, &env)?.1;
    let path = env.cwd.join(&args.html);
    // Before the work, and again when it is put there.
    if !args.force && path.symlink_metadata().is_ok() {
        return Err(is_there(&args.html));
    }
    let head = args.head.as_deref().map(str::parse::<Head>).transpose();
    let head =
        head.map_err(|error| Failure::usage(diagnostic(code::ARGUMENT, error.to_string())))?;
    let is_given = head.is_some();
    if !directories.audit.exists() {
        return Err(no_run(args.run.as_deref()));
    }
    let evidence = Evidence {
        kept_in: Some(directories.data.clone()),
        head,
    };
    let found =
        audit::verify(&directories.audit, &evidence).map_err(|error| Failure::audit(&error))?;
    let mut collector = Collector::new(args.run.as_deref());
    for entry in audit::entries(&directories.audit).map_err(|error| Failure::audit(&error))? {
        collector.read(&entry.map_err(|error| Failure::audit(&error))?);
    }
    let mut story = collector
        .finish()
        .ok_or_else(|| no_run(args.run.as_deref()))?;
    today(&mut story, args, env);
    let chain = Chain {
        found: &found,
        is_given,
    };
    let page = page::page(&story, &chain);
    put(&path, page.as_bytes(), args.force).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => is_there(&args.html),
        _ => Failure::unusable("write the page", &args.html, &error),
    })?;
    let is_intact = found.is_intact();
    if args.common.output.json {
        out.json(json!({
            "file": path, "bytes": page.len(), "run": story.id, "calls": story.sums.calls, "denied": story.sums.denied,
            "rows": story.rows.len(), "intact": is_intact, "head": found.head.to_string(),
        }))?;
    } else {
        let calls = count(story.sums.calls, "call");
        let text = format!("run {}: {calls} in `{}`", story.id, args.html.display());
        out.line(&line(&text))?;
        if !is_intact {
            out.line("the trail is not intact, and the page says so: portcullis audit verify")?;
        }
    }
    Ok(if is_intact { Exit::OK } else { Exit::NEGATIVE })
}

/// Asks today's policy about what was denied. Where there is none to ask, the page has what is written down all the same.
fn today(story: &mut Story, args: &ReportArgs, env: Environment) {
    if story.refusals.is_empty() {
        return;
    }
    let settings = Settings::load(&args.common, FlagSet::default(), env);
    let target = settings
        .as_ref()
        .map(|settings| Target::find(settings, &story.plugin_id));
    let (settings, target) = match (&settings, target) {
        (Ok(settings), Ok(Ok(target))) => (settings, target),
        (Ok(_), _) => {
            let why = "the plugin is in no policy that counts now, and not installed; name its policy with `--config`, as `run` was told";
            return tell(story, why);
        }
        (Err(_), _) => return tell(story, "the policy cannot be read now: portcullis check"),
    };
    for refusal in &mut story.refusals {
        let (said, mut remedies) = match &refusal.what {
            Refused::Request(written) => explain::of_today(settings, &target, written)
                .unwrap_or_else(|_| ("it cannot be told here".to_owned(), Vec::new())),
            Refused::Host {
                place: Some(place), ..
            } => explain::host_of_today(&target, place),
            Refused::Host { place: None, .. } => continue,
        };
        withhold(&mut remedies);
        // Where there is a way, it says all.
        refusal.today = remedies.is_empty().then(|| Shown::of(&said));
        refusal.remedies = remedies
            .into_iter()
            .map(|remedy| {
                let command = remedy.command.as_deref().and_then(Shown::to_paste);
                (Shown::of(&remedy.text), command)
            })
            .collect();
    }
}

fn tell(story: &mut Story, why: &str) {
    for refusal in &mut story.refusals {
        refusal.today = Some(Shown::of(why));
    }
}

fn no_run(run: Option<&str>) -> Failure {
    let message = match run {
        Some(run) => format!("the trail has no run `{run}`"),
        None => "the trail has no run".to_owned(),
    };
    Failure {
        exit: Exit::NEGATIVE,
        ..Failure::usage(diagnostic(code::ARGUMENT, message))
    }
}

fn is_there(file: &Path) -> Failure {
    Failure::usage(
        diagnostic(
            code::UNUSABLE,
            format!("`{}` is there already", file.display()),
        )
        .help("choose another name, or replace it: --force"),
    )
}

/// Puts the page into its place at once, or not at all, for its owner alone: what it says is private.
fn put(path: &Path, page: &[u8], replace: bool) -> io::Result<()> {
    let dir = path.parent().unwrap_or(path);
    // Made with 0600.
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(page)?;
    if replace {
        file.persist(path)?;
    } else {
        file.persist_noclobber(path)?;
    }
    Ok(())
}
