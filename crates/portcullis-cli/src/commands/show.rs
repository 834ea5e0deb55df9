//! `portcullis show`: everything that is known of an installed plugin.

use portcullis_config::FlagSet;
use serde_json::json;

use super::{inspect, plan, plugin};
use crate::args::ShowArgs;
use crate::exit::Exit;
use crate::failure::Result;
use crate::render::{Printer, line};
use crate::settings::{Environment, Settings};

pub(super) fn show(args: &ShowArgs, env: Environment, out: Printer) -> Result<Exit> {
    let settings = Settings::load(&args.common, FlagSet::default(), env)?;
    let [record] = plugin::chosen(&settings, Some(&args.name))?[..] else {
        return Ok(Exit::NEGATIVE);
    };
    let entry = settings.policy.plugin(&record.name)?;
    let Some((_, manifest)) = &entry.manifest else {
        return Ok(Exit::NEGATIVE);
    };
    let missing = manifest.asks_not_granted(&entry.grants);
    let gives = plan::words(&manifest.restrict(entry.grants.clone()), settings.ca_file());
    if args.common.output.json {
        let asks = manifest.asks.iter().map(|ask| {
            json!({
                "asks": inspect::ask_words(&ask.kind), "reason": ask.reason,
                "granted": !missing.contains(&ask),
            })
        });
        let asks: Vec<_> = asks.collect();
        out.json(json!({
            "plugin": plugin::json(record), "asks": asks, "gives": gives, "grants": record.grants,
        }))?;
        return Ok(Exit::OK);
    }
    let mut lines = vec![
        plugin::summary(record),
        format!(
            "{}, {} bytes, for world `{}`",
            record.kind, record.bytes, record.world
        ),
        format!("sha256 {}", record.sha256),
        format!("installed {}", record.installed),
    ];
    lines.extend(record.updated.iter().map(|time| format!("updated {time}")));
    lines.extend(manifest.asks.iter().map(|ask| {
        let given = if missing.contains(&ask) {
            "not granted"
        } else {
            "granted"
        };
        format!(
            "asks for {}: {} ({given})",
            inspect::ask_words(&ask.kind),
            ask.reason
        )
    }));
    lines.push("under the policy it".to_owned());
    lines.extend(gives.iter().map(|word| format!("  {word}")));
    for text in lines {
        out.line(&line(&text))?;
    }
    Ok(Exit::OK)
}
