//! `portcullis verify`: whether installed plugins are what was installed.

use portcullis_config::FlagSet;
use portcullis_registry::Registry;
use serde_json::json;

use super::plugin;
use crate::args::SomeArgs;
use crate::code;
use crate::exit::Exit;
use crate::failure::{Report, Result, chain, diagnostic};
use crate::render::{Level, Printer, line};
use crate::settings::{Environment, Settings};

pub(super) fn verify(args: &SomeArgs, env: Environment, out: Printer) -> Result<Exit> {
    let settings = Settings::load(&args.common, FlagSet::default(), env)?;
    let records = plugin::chosen(&settings, args.name.as_deref())?;
    let Some(registry) = Registry::existing(&settings.directories.plugins())? else {
        out.line("no plugin is installed")?;
        return Ok(Exit::OK);
    };
    registry.verify_rows()?;
    let mut plugins = Vec::new();
    let mut exit = Exit::OK;
    for record in records {
        let wrong = registry.verify(record).err();
        if let Some(error) = &wrong {
            exit = Exit::NEGATIVE;
            let message = format!("plugin `{}` is not what was installed", record.name);
            let mut report = diagnostic(code::NOT_VERIFIED, message);
            report.notes.push(chain(code::NOT_VERIFIED, error).message);
            out.report(Level::Error, &Report::Plain(report));
        } else if !args.common.output.json {
            out.line(&line(&format!("intact: {}", plugin::summary(record))))?;
        }
        plugins.push(json!({
            "plugin": plugin::json(record), "intact": wrong.is_none(), "wrong": wrong.map(|why| why.to_string()),
        }));
    }
    if args.common.output.json {
        out.json(json!({ "plugins": plugins, "intact": exit == Exit::OK }))?;
    }
    Ok(exit)
}
