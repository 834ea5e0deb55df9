//! `portcullis cache`

use portcullis::KeptCache;
use serde_json::{Value, json};

use crate::args::CacheVerb;
use crate::code;
use crate::exit::Exit;
use crate::failure::{Failure, Result, chain};
use crate::render::{Printer, escape, line};
use crate::session::open_cache;
use crate::settings::{self, Directories, Environment};

pub(super) fn cache(verb: &CacheVerb, env: &Environment, out: Printer) -> Result<Exit> {
    let (CacheVerb::Info { common } | CacheVerb::List { common } | CacheVerb::Clear { common }) =
        verb;
    let (_, directories) = settings::places(common, env)?;
    let json = common.output.json;
    match verb {
        CacheVerb::List { .. } => list(&directories, json, out),
        CacheVerb::Info { .. } => {
            let kept = kept(&directories)?;
            let bytes: u64 = kept.iter().map(|kept| kept.bytes).sum();
            let commands =
                json!({ "path": directories.commands(), "caches": kept.len(), "bytes": bytes });
            let text = format!(
                "has {} caches of commands of {bytes} bytes together",
                kept.len()
            );
            compiled(&directories, false, (commands, &text), json, out)
        }
        CacheVerb::Clear { .. } => {
            let place = directories.commands();
            let cleared = portcullis::clear_caches(&place, None).map_err(|error| {
                Failure::unusable("clear the caches of commands", &place, &error)
            })?;
            let commands =
                json!({ "path": place, "removed": cleared.removed, "in_use": cleared.in_use });
            let text = format!(
                "had {} caches of commands; {} are in use and stay",
                cleared.removed, cleared.in_use
            );
            compiled(&directories, true, (commands, &text), json, out)
        }
    }
}

/// Counts the cache of compiled code, or removes what is in it, and says so with what is said of the caches of commands.
fn compiled(
    directories: &Directories,
    clear: bool,
    (commands, of_commands): (Value, &str),
    json: bool,
    out: Printer,
) -> Result<Exit> {
    let cache = open_cache(directories)?;
    let stats = if clear { cache.clear() } else { cache.stats() };
    let stats = stats.map_err(|error| Failure::unavailable(chain(code::CACHE, &error)))?;
    let (path, entries, bytes) = (
        directories.cache.display().to_string(),
        stats.entries,
        stats.bytes,
    );
    if json {
        out.json(json!({
            "path": path, "entries": entries, "bytes": bytes, "cleared": clear, "commands": commands,
        }))?;
        return Ok(Exit::OK);
    }
    let has = if clear { "had" } else { "has" };
    out.line(&format!(
        "`{}` {has} {entries} entries of {bytes} bytes together",
        escape(&path)
    ))?;
    let place = directories.commands().display().to_string();
    out.line(&format!("`{}` {of_commands}", escape(&place)))?;
    Ok(Exit::OK)
}

fn kept(directories: &Directories) -> Result<Vec<KeptCache>> {
    let place = directories.commands();
    portcullis::caches(&place)
        .map_err(|error| Failure::unusable("read the caches of commands", &place, &error))
}

fn list(directories: &Directories, json: bool, out: Printer) -> Result<Exit> {
    let kept = kept(directories)?;
    if json {
        let caches: Vec<_> = kept.iter().map(as_json).collect();
        out.json(json!({ "caches": caches }))?;
        return Ok(Exit::OK);
    }
    for kept in &kept {
        out.line(&line(&words(kept)))?;
    }
    if kept.is_empty() {
        out.line("no caches of commands are kept")?;
    }
    Ok(Exit::OK)
}

fn as_json(kept: &KeptCache) -> Value {
    json!({
        "plugin": kept.plugin, "program": kept.program, "rules": kept.rules, "path": kept.path,
        "bytes": kept.bytes, "files": kept.files, "in_use": kept.in_use,
    })
}

fn words(kept: &KeptCache) -> String {
    let by = match kept.rules.as_slice() {
        [] => "by the grant of any program".to_owned(),
        rules => format!("by `{}`", rules.join("`, `")),
    };
    format!(
        "plugin `{}`: `{}` {by}: {} bytes in {} files in `{}`{}",
        kept.plugin,
        kept.program.display(),
        kept.bytes,
        kept.files,
        kept.path.display(),
        if kept.in_use { ", in use" } else { "" }
    )
}
