//! The JSON Schemas of the files, generated from the records they are read into.

use schemars::JsonSchema;
use serde_json::Value;

/// The JSON Schema of `portcullis.toml`.
pub fn policy() -> Value {
    of::<crate::raw::PolicyFile>()
}

/// The JSON Schema of `ceiling.toml`.
pub fn ceiling() -> Value {
    of::<crate::ceiling::CeilingFile>()
}

/// The JSON Schema of `plugin.toml`.
pub fn manifest() -> Value {
    of::<crate::manifest::ManifestFile>()
}

/// The JSON Schema of `clawft.plugin.json`.
pub fn clawft() -> Value {
    of::<crate::clawft::ClawftManifest>()
}

pub(crate) fn of<T: JsonSchema>() -> Value {
    let mut schema = schemars::schema_for!(T).to_value();
    without_null(&mut schema);
    schema
}

/// TOML has no null: an optional key is absent or has a value.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    object.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(forms)) = object.get_mut("anyOf") {
                forms.retain(|form| form.get("type").is_none_or(|name| name != "null"));
                if let [only] = forms.as_slice() {
                    let only = only.clone();
                    object.remove("anyOf");
                    if let Value::Object(only) = only {
                        object.extend(only);
                    }
                }
            }
            object.remove("default");
            object.values_mut().for_each(without_null);
        }
        Value::Array(values) => values.iter_mut().for_each(without_null),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
