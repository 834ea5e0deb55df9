//! `portcullis list`: what is installed.

use portcullis_config::FlagSet;
use serde_json::{Value, json};

use super::plugin;
use crate::args::ListArgs;
use crate::exit::Exit;
use crate::failure::Result;
use crate::render::{Printer, line};
use crate::settings::{Environment, Settings};

pub(super) fn list(args: &ListArgs, env: Environment, out: Printer) -> Result<Exit> {
    let settings = Settings::load(&args.common, FlagSet::default(), env)?;
    let records = &settings.installed.records;
    if args.common.output.json {
        let plugins: Vec<Value> = records.iter().map(plugin::json).collect();
        out.json(json!({ "plugins": plugins }))?;
        return Ok(Exit::OK);
    }
    for record in records {
        out.line(&line(&plugin::summary(record)))?;
    }
    if records.is_empty() {
        out.line("no plugin is installed")?;
    }
    Ok(Exit::OK)
}
