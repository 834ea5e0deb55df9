//! Facts of the project for a plugin of fledge, as JSON.

use portcullis_policy::MetadataKey;
use serde_json::{Map, Value};
use wasmtime::{Result, bail};

use crate::state::State;

/// Keys that are asked for at once.
const MAX_KEYS: usize = 1000;

/// `metadata`: an object with an entry for each key.
///
/// # Errors
/// The request is no JSON, which ends the plugin.
pub(super) async fn metadata(state: &mut State, request: &[u8]) -> Result<Vec<u8>> {
    let asked: Value = match serde_json::from_slice(request) {
        Ok(asked) => asked,
        Err(error) => bail!("metadata: malformed JSON: {error}"),
    };
    let keys = asked.as_array().into_iter().flatten();
    let keys = keys.filter_map(Value::as_str).map(str::to_owned);
    let facts = facts(state, keys.collect()).await;
    Ok(serde_json::to_vec(&facts)?)
}

/// What each key stands for: `null` where it stands for nothing, was not granted, or cannot be told.
pub(super) async fn facts(state: &mut State, mut keys: Vec<String>) -> Value {
    keys.truncate(MAX_KEYS);
    let mut facts = Map::new();
    for name in keys {
        if facts.contains_key(&name) {
            continue;
        }
        let fact = match MetadataKey::parse(&name) {
            Some(key) => state.gate.metadata(key).await.unwrap_or_default(),
            None => Value::Null,
        };
        facts.insert(name, fact);
    }
    Value::Object(facts)
}
