//! `portcullis cache`

use serde_json::json;

use crate::args::{CacheVerb, Common};
use crate::code;
use crate::exit::Exit;
use crate::failure::{Failure, Result, chain};
use crate::render::{Printer, escape};
use crate::session::open_cache;
use crate::settings::{self, Environment};

pub(super) fn cache(verb: &CacheVerb, env: &Environment, out: Printer) -> Result<Exit> {
    let (common, clear): (&Common, bool) = match verb {
        CacheVerb::Info { common } => (common, false),
        CacheVerb::Clear { common } => (common, true),
    };
    let (_, directories) = settings::places(common, env)?;
    let cache = open_cache(&directories)?;
    let stats = if clear { cache.clear() } else { cache.stats() };
    let stats = stats.map_err(|error| Failure::unavailable(chain(code::CACHE, &error)))?;
    let (path, entries, bytes) = (
        directories.cache.display().to_string(),
        stats.entries,
        stats.bytes,
    );
    if common.output.json {
        out.json(json!({ "path": path, "entries": entries, "bytes": bytes, "cleared": clear }))?;
    } else {
        let has = if clear { "had" } else { "has" };
        out.line(&format!(
            "`{}` {has} {entries} entries of {bytes} bytes together",
            escape(&path)
        ))?;
    }
    Ok(Exit::OK)
}
