//! `portcullis kv`: the state that a plugin keeps.

use std::io::Write as _;
use std::sync::Arc;

use portcullis::kv::{MAX_PAGE, Store, Stores};
use serde_json::json;

use crate::args::KvVerb;
use crate::code;
use crate::exit::Exit;
use crate::failure::{Failure, Result, chain, diagnostic};
use crate::render::{Printer, line};
use crate::settings::{Environment, Settings};

pub(super) fn kv(verb: &KvVerb, env: Environment, out: Printer) -> Result<Exit> {
    let (KvVerb::List { plugin, common, .. }
    | KvVerb::Get { plugin, common, .. }
    | KvVerb::Clear { plugin, common }) = verb;
    let settings = Settings::load(common, Default::default(), env)?;
    let store = store(&settings, plugin)?;
    let json = common.output.json;
    match verb {
        KvVerb::List { prefix, .. } => list(store.as_deref(), prefix, json, out),
        KvVerb::Get { key, .. } => get(store.as_deref(), key, json, out),
        KvVerb::Clear { .. } => clear(store.as_deref(), plugin, json, out),
    }
}
