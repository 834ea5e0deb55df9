//! The seed from which policy files are fuzzed has every key that there is, and each is read.

use std::collections::BTreeSet;

use portcullis_config::{FlagSet, schema};
use serde_json::Value;

use crate::support::Project;

const SEED: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../fuzz/corpus/policy/every-key"
);

#[test]
fn the_seed_of_the_fuzzer_has_every_key_of_the_schema() {
    let seed = std::fs::read_to_string(SEED).unwrap();
    let policy = seed.split("\n%%\n").next().unwrap();
    let schema = schema::policy();
    let mut had = BTreeSet::new();
    let value: Value = toml::from_str(policy).unwrap();
    keys(&schema, "policy", &schema, &value, &mut had);
    let definitions = schema["$defs"].as_object().unwrap().iter();
    let tables = definitions.map(|(name, table)| (name.as_str(), table));
    let missing: Vec<_> = tables
        .chain([("policy", &schema)])
        .filter_map(|(name, table)| Some((name, table["properties"].as_object()?)))
        .flat_map(|(name, keys)| keys.keys().map(move |key| format!("{name}.{key}")))
        .filter(|key| !had.contains(key))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");

    let project = Project::new();
    std::fs::write(project.path("notes/ca.pem"), "").unwrap();
    let entry = project.entry(policy, FlagSet::default());
    assert!(entry.grants.exec.is_some() && !entry.grants.own_net.is_empty());
}

/// Notes which keys of which table a value has. Where a value may be one of several things, it is looked at as each of them.
fn keys(schema: &Value, name: &str, table: &Value, value: &Value, had: &mut BTreeSet<String>) {
    if let Some(name) = table["$ref"].as_str() {
        let name = name.trim_start_matches("#/$defs/");
        keys(schema, name, &schema["$defs"][name], value, had);
    }
    for one in table["anyOf"].as_array().into_iter().flatten() {
        keys(schema, name, one, value, had);
    }
    for element in value.as_array().into_iter().flatten() {
        keys(schema, name, &table["items"], element, had);
    }
    for (key, value) in value.as_object().into_iter().flatten() {
        let table = &table["properties"][key];
        if !table.is_null() {
            had.insert(format!("{name}.{key}"));
            keys(schema, name, table, value, had);
        }
    }
}
