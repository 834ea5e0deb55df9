//! `portcullis check`: what is wrong with policy files, whether their tests hold, and what allows more than it seems to.

use serde_json::json;

use crate::args::CheckArgs;
use crate::exit::Exit;
use crate::failure::{Report, Result, above_ceiling};
use crate::lint;
use crate::render::{Level, Printer, count, line};
use crate::settings::{Environment, Settings};
use portcullis_config::FlagSet;

pub(super) fn check(args: &CheckArgs, env: Environment, out: Printer) -> Result<Exit> {
    let settings = if args.files.is_empty() {
        Settings::load(&args.common, FlagSet::default(), env)?
    } else {
        Settings::with_only(&args.common, &args.files, env)?
    };
    let mut plugins = 0_usize;
    let mut warnings = Vec::new();
    for id in settings.policy.ids() {
        let entry = settings.policy.plugin(id.as_str())?;
        plugins += 1;
        warnings.extend(entry.cut.iter().map(|cut| above_ceiling(&entry.id, cut)));
        warnings.extend(lint::lint(&entry.grants));
    }
    let tests = settings.policy.tests();
    let files: Vec<_> = settings
        .files
        .iter()
        .map(|file| file.path.display().to_string())
        .collect();
    if args.common.output.json {
        out.json(
            json!({ "files": files, "plugins": plugins, "tests": tests, "warnings": warnings }),
        )?;
    } else {
        for file in &settings.files {
            out.line(&line(&format!(
                "checked `{}` ({})",
                file.path.display(),
                file.role.describe()
            )))?;
        }
        let counts = [
            (files.len(), "policy file"),
            (plugins, "plugin"),
            (tests, "test"),
            (warnings.len(), "warning"),
        ];
        out.line(
            &counts
                .map(|(number, noun)| count(number as u64, noun))
                .join(", "),
        )?;
    }
    let any = !warnings.is_empty();
    for warning in warnings {
        out.report(Level::Warning, &Report::Plain(warning));
    }
    Ok(if args.strict && any {
        Exit::NEGATIVE
    } else {
        Exit::OK
    })
}
