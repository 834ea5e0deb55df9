//! `portcullis remove`: an installed plugin, what was granted to it and what it has kept are no longer there.

use portcullis::kv::Stores;
use portcullis_config::FlagSet;
use portcullis_policy::{KvOwner, PluginId};
use portcullis_registry::Record;
use serde_json::json;

use super::plugin::{self, Question};
use crate::args::RemoveArgs;
use crate::code;
use crate::exit::Exit;
use crate::failure::{Failure, Result, chain};
use crate::render::{Printer, count, line};
use crate::settings::{Environment, Settings};
use crate::signals::Signals;

pub(super) async fn remove(args: &RemoveArgs, env: Environment, out: Printer) -> Result<Exit> {
    let mut signals = Signals::install()?;
    let settings = Settings::load(&args.common, FlagSet::default(), env)?;
    let record = match plugin::chosen(&settings, Some(&args.name))?[..] {
        [record] => record,
        _ => return Ok(Exit::NEGATIVE),
    };
    let keys = keys(&settings, record, false)?;
    if keys > 0 && !args.yes {
        let command = ["portcullis", "remove", "--yes", &record.name].map(str::to_owned);
        let question = Question {
            name: &record.name,
            lines: vec![format!(
                "plugin `{}` has kept state: {}",
                record.name,
                count(keys, "key")
            )],
            what: "remove this plugin, and throw its state away?",
            refused: "removed",
            can_grant: false,
            command: command.to_vec(),
        };
        if let Err(exit) = question.ask(&settings, &mut signals, out).await? {
            return Ok(exit);
        }
    }
    plugin::write_down(&settings, Some(record), None, !args.yes, out)?;
    plugin::registry(&settings)?.write()?.remove(record)?;
    // Nobody finds it any more: what is installed next under this name has a state of its own.
    self::keys(&settings, record, true)?;
    if args.common.output.json {
        out.json(json!({ "removed": plugin::json(record), "keys": keys }))?;
    } else {
        out.line(&line(&format!("removed {}", plugin::summary(record))))?;
    }
    Ok(Exit::OK)
}

/// How many keys it has kept; they are thrown away if that is said.
fn keys(settings: &Settings, record: &Record, clear: bool) -> Result<u64> {
    let failed = |error| Failure::unavailable(chain(code::STATE, &error));
    let id = PluginId::new(&record.name).map_err(portcullis_config::SelectError::from)?;
    let owner = KvOwner::Installed {
        record: record.record.clone(),
    };
    let stores = Stores::existing(&settings.directories.state).map_err(failed)?;
    let store = stores.map(|stores| stores.existing_store(&owner.state_of(&id)));
    let Some(store) = store.transpose().map_err(failed)?.flatten() else {
        return Ok(0);
    };
    let usage = if clear { store.clear() } else { store.usage() };
    Ok(usage.map_err(failed)?.keys)
}
