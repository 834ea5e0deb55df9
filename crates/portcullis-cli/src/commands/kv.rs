//! `portcullis kv`: the state that a plugin keeps.

use std::sync::Arc;

use portcullis::kv::{KvError, MAX_PAGE, Store, Stores};
use serde_json::json;

use crate::args::KvVerb;
use crate::code;
use crate::exit::Exit;
use crate::failure::{Failure, Result, Say as _, chain, diagnostic};
use crate::packed;
use crate::render::{Printer, line};
use crate::settings::{Environment, Settings};

pub(super) fn kv(verb: &KvVerb, env: Environment, out: Printer) -> Result<Exit> {
    let (KvVerb::List { plugin, common, .. }
    | KvVerb::Get { plugin, common, .. }
    | KvVerb::Clear { plugin, common }) = verb;
    let settings = Settings::load(common, Default::default(), env)?;
    let store = store(&settings, plugin)?;
    let store = store.as_deref();
    let json = common.output.json;
    match verb {
        KvVerb::List { prefix, .. } => list(store, prefix, json, out),
        KvVerb::Get { key, .. } => get(store, key, json, out),
        KvVerb::Clear { .. } => clear(store, plugin, json, out),
    }
}

/// The plugin's state, if it has kept any.
fn store(settings: &Settings, plugin: &str) -> Result<Option<Arc<Store>>> {
    let grants = packed::entry(&settings.policy, plugin)??.grants;
    let Some(kv) = &grants.kv else {
        let id = &grants.plugin;
        return Err(Failure::usage(
            diagnostic(code::STATE, format!("plugin `{id}` may keep no state"))
                .note("what it kept before `kv` was revoked is still there; it is found by the file that grants it")
                .help(format!("portcullis grant {id} kv")),
        ));
    };
    let stores = Stores::existing(&settings.directories.state).map_err(failed)?;
    let name = kv.owner.state_of(&grants.plugin);
    let store = stores.map(|stores| stores.existing_store(&name));
    Ok(store.transpose().map_err(failed)?.flatten())
}

fn failed(error: KvError) -> Failure {
    Failure::unavailable(chain(code::STATE, &error))
}

fn list(store: Option<&Store>, prefix: &str, json: bool, out: Printer) -> Result<Exit> {
    let (mut keys, mut more) = (Vec::new(), true);
    while let (Some(store), true) = (store, more) {
        let after = keys.last().map(String::as_str);
        let page = store.list(prefix, after, MAX_PAGE).map_err(failed)?;
        more = page.more;
        keys.extend(page.keys);
    }
    if json {
        let usage = store.map(Store::usage).transpose().map_err(failed)?;
        let usage = usage.unwrap_or_default();
        out.json(json!({ "keys": keys, "all_keys": usage.keys, "all_bytes": usage.bytes }))?;
        return Ok(Exit::OK);
    }
    for key in keys {
        out.line(&line(&key))?;
    }
    Ok(Exit::OK)
}

fn get(store: Option<&Store>, key: &str, json: bool, out: Printer) -> Result<Exit> {
    let value = store.map(|store| store.get(key)).transpose();
    let value = value.map_err(failed)?.flatten();
    let found = value.is_some();
    let text = value.as_deref().map(String::from_utf8_lossy);
    if json {
        out.json(json!({ "key": key, "value": text, "hex": value.as_ref().map(hex::encode) }))?;
    } else if let Some(text) = text {
        out.line(&line(&text))?;
    }
    Ok(if found { Exit::OK } else { Exit::NEGATIVE })
}

fn clear(store: Option<&Store>, plugin: &str, json: bool, out: Printer) -> Result<Exit> {
    let cleared = store.map(Store::clear).transpose().map_err(failed)?;
    let cleared = cleared.unwrap_or_default();
    if json {
        out.json(json!({ "keys": cleared.keys, "bytes": cleared.bytes }))?;
    } else {
        let (keys, bytes) = (cleared.keys, cleared.bytes);
        let plugin = line(plugin);
        out.line(&format!(
            "`{plugin}` had {keys} keys of {bytes} bytes together"
        ))?;
    }
    Ok(Exit::OK)
}
