//! What a plugin says of itself: hostile JSON, of which a bounded part is taken.

use serde::Serialize;
use serde_json::Value;

/// Bytes of a description that are read.
const MAX_BYTES: usize = 1024 * 1024;
/// Tools that are listed.
const MAX_TOOLS: usize = 1000;
/// Under which names plugins have the schema of a tool's parameters.
const SCHEMAS: [&str; 4] = [
    "parameters_schema",
    "parameters",
    "input_schema",
    "inputSchema",
];

/// What a plugin of clawft says of itself. Nothing of it is filtered for terminals, and nothing is true because it says so.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Description {
    /// What it is called.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its tools.
    pub tools: Vec<Tool>,
}

/// A tool of a plugin.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// A JSON Schema of its parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Value>,
}

impl Description {
    /// Reads what `describe` returned.
    ///
    /// # Errors
    /// What is wrong with it, as a clause.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_BYTES {
            return Err(format!(
                "it is longer than {MAX_BYTES} bytes: it has {}",
                text.len()
            ));
        }
        let mut whole: Value =
            serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
        let text = |of: &Value, key: &str| {
            let text = of[key].as_str().filter(|text| !text.is_empty());
            text.map(str::to_owned)
                .ok_or_else(|| format!("its `{key}` is no text"))
        };
        let (name, version) = (text(&whole, "name")?, text(&whole, "version")?);
        let Value::Array(tools) = whole["tools"].take() else {
            return Err("its `tools` is no list".to_owned());
        };
        if tools.len() > MAX_TOOLS {
            return Err(format!(
                "it has more than {MAX_TOOLS} tools: {}",
                tools.len()
            ));
        }
        let tools = tools.into_iter().map(|mut tool| {
            let schema = SCHEMAS.into_iter().find(|key| tool[*key].is_object());
            Ok(Tool {
                name: text(&tool, "name").map_err(|why| format!("a tool: {why}"))?,
                description: text(&tool, "description").ok(),
                parameters: schema.map(|key| tool[key].take()),
            })
        });
        Ok(Self {
            name,
            version,
            tools: tools.collect::<Result<_, String>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_schema_is_found_under_each_of_its_names() {
        let schema = json!({ "type": "object" });
        let tools = SCHEMAS.map(|key| json!({ "name": key, key: schema }));
        let text = json!({ "name": "n", "version": "1", "tools": tools }).to_string();
        let found = Description::parse(&text).unwrap();
        assert_eq!(found.tools.len(), 4);
        let all = found.tools.iter();
        assert!(
            all.map(|tool| &tool.parameters)
                .all(|found| *found == Some(schema.clone()))
        );
    }

    #[test]
    fn what_is_none_is_said_and_ends_nothing() {
        for (text, why) in [
            (String::new(), "it is no JSON"),
            ("[]".to_owned(), "its `name` is no text"),
            ("7".to_owned(), "its `name` is no text"),
            (
                r#"{"name":"n","version":1,"tools":[]}"#.to_owned(),
                "its `version`",
            ),
            (
                r#"{"name":"n","version":"1"}"#.to_owned(),
                "its `tools` is no list",
            ),
            (
                r#"{"name":"n","version":"1","tools":[1]}"#.to_owned(),
                "a tool: its `name`",
            ),
            ("[".repeat(100_000), "it is no JSON: recursion"),
            (" ".repeat(MAX_BYTES + 1), "it is longer"),
            (
                json!({ "name": "n", "version": "1", "tools": vec![0; MAX_TOOLS + 1] }).to_string(),
                "it has more than 1000 tools",
            ),
        ] {
            let said = Description::parse(&text).unwrap_err();
            assert!(said.starts_with(why), "{said}");
        }
    }
}
