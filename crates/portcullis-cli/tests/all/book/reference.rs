//! Pages of the reference that are written from the schemas of files and from the interfaces of plugins.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use portcullis_config::schema;
use portcullis_testkit::{is_current, repository};
use serde_json::Value;

const WRITTEN: &str =
    "by the test that holds it to that (`UPDATE=1 cargo test -p portcullis-cli book::reference`)";

#[test]
fn the_policy() {
    let head = format!(
        "# Keys of the policy\n\nEvery key of `portcullis.toml`, with what it takes. [The policy file](../policy.md) explains them. This page is written from the \
         schema that `portcullis schema policy` prints, {WRITTEN}.\n"
    );
    is_current("docs/reference/policy.md", &keys(&head, &schema::policy()));
}

#[test]
fn the_ceiling() {
    let head = format!(
        "# Keys of the ceiling\n\nEvery key of `ceiling.toml`, with what it takes. [The ceiling](../policy.md#the-ceiling) explains them. This page is written \
         from the schema that `portcullis schema ceiling` prints, {WRITTEN}.\n"
    );
    is_current(
        "docs/reference/ceiling.md",
        &keys(&head, &schema::ceiling()),
    );
}

#[test]
fn the_manifest() {
    let head = format!(
        "# Keys of the manifest\n\nEvery key of `plugin.toml`, with what it takes. [The manifest](../manifest.md) explains them. This page is written from the \
         schema that `portcullis schema manifest` prints, {WRITTEN}.\n"
    );
    is_current(
        "docs/reference/manifest.md",
        &keys(&head, &schema::manifest()),
    );
}

/// A page with a table for each kind of table in a file, and one for each list of words.
fn keys(head: &str, schema: &Value) -> String {
    let mut page = head.to_owned();
    page.push_str("\n## The file\n");
    table(schema, &mut page);
    let definitions = schema["$defs"].as_object().unwrap();
    let mut titles = BTreeSet::new();
    for (name, definition) in definitions {
        let title = title(name);
        assert!(titles.insert(title.clone()), "{title} is there twice");
        page.push_str(&format!("\n## {title}\n\n{}\n", text(definition)));
        match (definition["properties"].is_object(), forms(definition)) {
            (true, _) => table(definition, &mut page),
            (false, Some(forms)) => {
                page.push_str("\n| | |\n|---|---|\n");
                for form in forms {
                    page.push_str(&format!("| {} | {} |\n", kind(form), text(form)));
                }
            }
            (false, None) => page.push_str(&format!("\nIt is {}.\n", kind(definition))),
        }
    }
    page
}

fn table(schema: &Value, page: &mut String) {
    let required = schema["required"].as_array();
    let is_required =
        |name: &str| required.is_some_and(|names| names.iter().any(|one| one == name));
    page.push_str("\n| key | takes | |\n|---|---|---|\n");
    for (name, key) in schema["properties"].as_object().unwrap() {
        let needed = match is_required(name) {
            true => "Required. ",
            false => "",
        };
        page.push_str(&format!(
            "| `{name}` | {} | {needed}{} |\n",
            kind(key),
            text(key)
        ));
    }
}

/// The alternatives of a definition.
fn forms(definition: &Value) -> Option<&Vec<Value>> {
    let forms = ["oneOf", "anyOf"].into_iter();
    forms.filter_map(|word| definition[word].as_array()).next()
}

/// The name of a definition, in words.
fn title(name: &str) -> String {
    let words = name.chars().enumerate().map(|(at, char)| match char {
        char if char.is_uppercase() && at > 0 => format!(" {}", char.to_lowercase()),
        char => char.to_lowercase().to_string(),
    });
    words.collect()
}

/// What a key takes, with links to what has a heading of its own.
fn kind(schema: &Value) -> String {
    if let Some(word) = schema.get("const") {
        return format!("`{word}`");
    }
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
        return words.join(", ");
    }
    if let Some(name) = schema["$ref"].as_str() {
        let title = title(name.trim_start_matches("#/$defs/"));
        return format!("[{title}](#{})", title.replace(' ', "-"));
    }
    if let Some(forms) = forms(schema) {
        let forms: Vec<_> = forms.iter().map(kind).collect();
        return forms.join(" or ");
    }
    if let Some(inner) = schema["additionalProperties"].as_object() {
        return format!("a table of {}", kind(&Value::Object(inner.clone())));
    }
    match schema["type"].as_str() {
        Some("array") => format!("a list of {}", kind(&schema["items"])),
        Some("string") => "text".to_owned(),
        Some("integer" | "number") => "a number".to_owned(),
        Some("boolean") => "`true` or `false`".to_owned(),
        Some(other) => other.to_owned(),
        None => match schema["type"].as_array() {
            Some(types) => {
                let types = types
                    .iter()
                    .map(|name| kind(&serde_json::json!({ "type": name })));
                types.collect::<Vec<_>>().join(" or ")
            }
            None => "any value".to_owned(),
        },
    }
}

/// What a schema says of itself, in a cell of a table.
fn text(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    text.replace('\n', " ").replace('|', "\\|")
}

/// An interface or a world: its name with its kind, what it says of itself, and its text.
struct Item {
    title: String,
    about: String,
    text: String,
}

#[test]
fn the_interfaces() {
    let directory = repository().join("wit/cli-0.1.0");
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            files.insert(name, fs::read_to_string(path).unwrap());
        }
    }
    let mut page = format!(
        "# The interfaces\n\nThe package `portcullis:cli@0.1.0`, as a plugin sees it. [What a plugin can import](../interfaces.md) has what the host does with it. This \
         page is written from [`wit/cli-0.1.0`](../../wit/cli-0.1.0), {WRITTEN}.\n"
    );
    for text in files.values() {
        let items = items(text);
        assert!(!items.is_empty());
        for Item { title, about, text } in items {
            page.push_str(&format!("\n## {title}\n\n{about}\n\n```wit\n{text}```\n"));
        }
    }
    is_current("docs/reference/wit.md", &page);
}

/// What stands at the margin of a file, with the comment above it.
fn items(file: &str) -> Vec<Item> {
    let (mut items, mut about, mut open) = (Vec::new(), Vec::new(), None::<Item>);
    for line in file.lines() {
        if let Some(item) = &mut open {
            item.text += &format!("{line}\n");
            if line == "}" {
                items.extend(open.take());
            }
        } else if let Some(comment) = line.strip_prefix("///") {
            about.push(comment.trim());
        } else {
            if let Some(name) = line.strip_suffix(" {") {
                let (kind, name) = name.split_once(' ').unwrap();
                open = Some(Item {
                    title: match kind {
                        "interface" => format!("Interface `{name}`"),
                        "world" => format!("World `{name}`"),
                        other => panic!("{other}"),
                    },
                    about: about.join("\n"),
                    text: format!("{line}\n"),
                });
            }
            about.clear();
        }
    }
    assert!(open.is_none(), "an item has no end");
    items
}
