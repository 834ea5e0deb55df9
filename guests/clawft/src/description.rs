//! What the plugin says of itself: each tool with its schema under another of the names that are in use.

use serde_json::json;

/// The description; where `how` says so, one that is none.
pub fn of(how: Option<&str>) -> String {
    match how {
        Some("no JSON") => "\u{1b}[31mtools".to_owned(),
        Some("deep") => "[".repeat(100_000),
        Some("many") => {
            let tools: Vec<_> = (0..100_000)
                .map(|number| json!({ "name": number.to_string() }))
                .collect();
            json!({ "name": "many", "version": "1.0.0", "tools": tools }).to_string()
        }
        _ => usual(),
    }
}

fn usual() -> String {
    let object =
        |properties: serde_json::Value| json!({ "type": "object", "properties": properties });
    json!({
        "name": "everything",
        "version": "1.2.3",
        "tools": [
            { "name": "read", "description": "reads a file", "parameters_schema": object(json!({ "path": { "type": "string" } })) },
            { "name": "env", "description": "reads a variable", "parameters": object(json!({ "name": { "type": "string" } })) },
            { "name": "http", "description": "asks a host", "input_schema": object(json!({ "url": { "type": "string" } })) },
            { "name": "log", "description": "writes a line", "inputSchema": object(json!({ "message": { "type": "string" } })) },
            { "name": "count", "description": "how often it was called" },
        ],
    })
    .to_string()
}
