//! Capabilities of Zed: what its settings grant, and what an extension asks for.

use std::fmt::Write as _;

use jsonc_parser::ast::{ObjectPropName, Value};
use jsonc_parser::common::Ranged as _;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use portcullis_policy::{ArgToken, HttpHosts, PluginId, ProgramRef, shown};
use serde::Deserialize;
use toml::Spanned;

use super::Imported;
use super::entry::{Entry, Key};
use crate::error::{ConfigCode, ConfigErrors};
use crate::reglet::{program, quoted};
use crate::source::Source;

const GRANTED: &str = "granted_extension_capabilities";

/// A capability, with the place where it is written.
enum Capability {
    Exec { command: String, args: Vec<String> },
    Download { host: String, path: Vec<String> },
    Npm { package: String },
}

/// The settings: one list that holds for all extensions.
pub(super) fn settings(
    source: Source<'_>,
    plugin: &PluginId,
    component: &str,
) -> Result<Imported, ConfigErrors> {
    let options = ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    let parsed = parse_to_ast(source.text, &CollectOptions::default(), &options);
    let parsed = parsed.map_err(|error| {
        let at = source.text.floor_char_boundary(error.range().start);
        wrong(source, at, shown(&error.kind().to_string()))
    })?;
    let Some(root @ Value::Object(_)) = &parsed.value else {
        return Err(wrong(source, 0, "settings are an object"));
    };
    let Some(Value::Array(granted)) = member(source, root, GRANTED)? else {
        return Err(wrong(
            source,
            0,
            format!("`{GRANTED}` is no list here: Zed then grants everything to every extension"),
        ));
    };
    let mut entry = Entry::new(source);
    for value in &granted.elements {
        let at = value.start();
        match capability(source, value)? {
            Capability::Exec { command, args } => exec(&command, &args, at, &mut entry),
            Capability::Download { host, path } => download(&host, &path, at, &mut entry),
            Capability::Npm { package } => npm(&package, at, &mut entry),
        }
    }
    Ok(entry.finish("settings of Zed", plugin, component))
}

fn wrong(source: Source<'_>, at: usize, message: impl Into<String>) -> ConfigErrors {
    ConfigErrors(vec![source.error(ConfigCode::Value, at..at, message)])
}

fn member<'a, 'b>(
    source: Source<'_>,
    object: &'a Value<'b>,
    key: &str,
) -> Result<Option<&'a Value<'b>>, ConfigErrors> {
    let Value::Object(object) = object else {
        return Err(wrong(source, object.start(), "expected an object"));
    };
    let mut found = object
        .properties
        .iter()
        .filter(|one| name(&one.name) == key);
    match (found.next(), found.next()) {
        (_, Some(twice)) => Err(wrong(
            source,
            twice.range.start,
            format!("`{key}` is there twice"),
        )),
        (one, None) => Ok(one.map(|one| &one.value)),
    }
}

fn name<'a>(name: &'a ObjectPropName<'_>) -> &'a str {
    match name {
        ObjectPropName::String(name) => &name.value,
        ObjectPropName::Word(name) => name.value,
    }
}

fn text(source: Source<'_>, object: &Value<'_>, key: &str) -> Result<String, ConfigErrors> {
    match member(source, object, key)? {
        Some(Value::StringLit(text)) => Ok(text.value.to_string()),
        _ => Err(wrong(
            source,
            object.start(),
            format!("`{key}` is missing, or no string"),
        )),
    }
}

fn texts(source: Source<'_>, object: &Value<'_>, key: &str) -> Result<Vec<String>, ConfigErrors> {
    let Some(Value::Array(list)) = member(source, object, key)? else {
        return Err(wrong(
            source,
            object.start(),
            format!("`{key}` is missing, or no list"),
        ));
    };
    let text = |value: &Value<'_>| match value {
        Value::StringLit(text) => Ok(text.value.to_string()),
        _ => Err(wrong(source, value.start(), "expected a string")),
    };
    list.elements.iter().map(text).collect()
}

fn capability(source: Source<'_>, value: &Value<'_>) -> Result<Capability, ConfigErrors> {
    let kind = text(source, value, "kind")?;
    let known: &[&str] = match kind.as_str() {
        "process:exec" => &["kind", "command", "args"],
        "download_file" => &["kind", "host", "path"],
        "npm:install" => &["kind", "package"],
        _ => {
            let message = format!(
                "unknown kind `{}`: expected `process:exec`, `download_file` or `npm:install`",
                shown(&kind)
            );
            return Err(wrong(source, value.start(), message));
        }
    };
    if let Value::Object(object) = value {
        let unknown = object
            .properties
            .iter()
            .find(|one| !known.contains(&name(&one.name)));
        if let Some(unknown) = unknown {
            let message = format!("unknown key `{}`", shown(name(&unknown.name)));
            return Err(wrong(source, unknown.range.start, message));
        }
    }
    Ok(match kind.as_str() {
        "process:exec" => Capability::Exec {
            command: text(source, value, "command")?,
            args: texts(source, value, "args")?,
        },
        "download_file" => Capability::Download {
            host: text(source, value, "host")?,
            path: texts(source, value, "path")?,
        },
        _ => Capability::Npm {
            package: text(source, value, "package")?,
        },
    })
}

fn exec(command: &str, args: &[String], at: usize, entry: &mut Entry<'_>) {
    if command == "*" {
        entry.note(
            Key::Commands,
            at,
            "process:exec *",
            "is left out: it is every program; name those that are needed",
        );
        return;
    }
    let program = match named(command) {
        Ok(program) => program,
        Err(why) => {
            entry.note(Key::Commands, at, command, format!("is left out: {why}"));
            return;
        }
    };
    let program = quoted(&program.to_string());
    // Whatever stands behind `**` is not looked at there either.
    let end = args.iter().position(|arg| arg == "**");
    let args = &args[..end.map_or(args.len(), |end| end + 1)];
    if args == ["**"] {
        entry.value(Key::Commands, program);
        return;
    }
    let tokens = args.iter().map(|arg| match arg.as_str() {
        "*" | "**" => quoted(arg),
        literal => quoted(&ArgToken::escape(literal)),
    });
    let tokens = tokens.collect::<Vec<_>>().join(", ");
    entry.value(
        Key::Commands,
        format!("{{ program = {program}, args = [{tokens}] }}"),
    );
    if args.iter().any(|arg| arg == "*") {
        entry.note(
            Key::Commands,
            at,
            command,
            "means less here: `*` is one argument that does not begin with `-`",
        );
    }
}

fn named(command: &str) -> Result<ProgramRef, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._+-/".contains(c);
    if !command.chars().all(plain) || command.starts_with('-') {
        return Err("it is not the name or absolute path of one program".to_owned());
    }
    program(command)
}

fn download(host: &str, path: &[String], at: usize, entry: &mut Entry<'_>) {
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-[]:*".contains(c);
    let known = host.chars().all(plain) && !host.starts_with("*.");
    let hosts = HttpHosts::parse(host)
        .map(drop)
        .map_err(|error| error.to_string());
    if let Err(why) = hosts.and_then(|()| known.then_some(()).ok_or("is no host there".to_owned()))
    {
        entry.note(Key::Http, at, host, format!("is left out: {why}"));
        return;
    }
    let end = path.iter().position(|part| part == "**");
    let path = &path[..end.map_or(path.len(), |end| end + 1)];
    let plain = |c: char| c.is_ascii_alphanumeric() || "._~-".contains(c);
    let known = |part: &String| {
        matches!(part.as_str(), "*" | "**")
            || !part.is_empty() && !matches!(part.as_str(), "." | "..") && part.chars().all(plain)
    };
    if path.is_empty() || !path.iter().all(known) {
        let what = format!("{host}/{}", path.join("/"));
        entry.note(
            Key::Http,
            at,
            &what,
            "is left out: its path is none of segments, `*` and a final `**`",
        );
        return;
    }
    let paths = match path {
        [all] if all == "**" => String::new(),
        path => format!(", paths = [{}]", quoted(&format!("/{}", path.join("/")))),
    };
    entry.value(
        Key::Http,
        format!("{{ host = {}, methods = [\"GET\"]{paths} }}", quoted(host)),
    );
    entry.note(
        Key::Http,
        at,
        host,
        "is for requests of the plugin to ports 80 and 443; nothing is stored or unpacked for it",
    );
}

fn npm(package: &str, at: usize, entry: &mut Entry<'_>) {
    let what = format!("npm:install {package}");
    entry.note(Key::Commands, at, &what, "is left out: nothing is installed for a plugin; a rule for `npm` with `net` and a directory to write lets it do so itself");
}

/// `extension.toml`, of which only this is read.
#[derive(Deserialize)]
struct Extension {
    #[serde(default)]
    capabilities: Vec<Spanned<Asked>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    kind: String,
    command: Option<String>,
    args: Option<Vec<String>>,
    host: Option<String>,
    path: Option<Vec<String>>,
    package: Option<String>,
}

/// What an extension asks for, as asks of a manifest. Asking grants nothing.
pub(super) fn requests(source: Source<'_>) -> Result<Imported, ConfigErrors> {
    let extension: Extension = toml::from_str(source.text).map_err(|error| {
        let at = error
            .span()
            .map_or(0, |span| source.text.floor_char_boundary(span.start));
        wrong(source, at, shown(error.message()))
    })?;
    let from = "an extension of Zed";
    let file = shown(&source.path.display().to_string());
    let mut toml = format!(
        "# From `{file}`, {from}: what it asks for, for a `plugin.toml`. Asking grants nothing.\n"
    );
    let mut entry = Entry::new(source);
    for asked in extension.capabilities {
        let at = asked.span().start;
        let asked = asked.into_inner();
        let ask = match (asked.kind.as_str(), &asked) {
            (
                "process:exec",
                Asked {
                    command: Some(command),
                    args: Some(args),
                    host: None,
                    path: None,
                    package: None,
                    ..
                },
            ) => match (command.as_str(), named(command)) {
                ("*", _) => "capability = \"exec\"\n".to_owned(),
                (_, Ok(program)) => {
                    if args.first().is_none_or(|first| first != "**") {
                        entry.note(
                            Key::Commands,
                            at,
                            command,
                            "asks for any arguments here: a manifest names programs",
                        );
                    }
                    format!(
                        "capability = \"exec\"\nprogram = {}\n",
                        quoted(&program.to_string())
                    )
                }
                (_, Err(why)) => {
                    entry.note(Key::Commands, at, command, format!("is left out: {why}"));
                    continue;
                }
            },
            (
                "download_file",
                Asked {
                    host: Some(host),
                    path: Some(_),
                    command: None,
                    args: None,
                    package: None,
                    ..
                },
            ) => {
                if HttpHosts::parse(host).is_err() || host.starts_with("*.") {
                    entry.note(Key::Http, at, host, "is left out: it is no host");
                    continue;
                }
                format!("capability = \"http\"\nhost = {}\n", quoted(host))
            }
            (
                "npm:install",
                Asked {
                    package: Some(package),
                    command: None,
                    args: None,
                    host: None,
                    path: None,
                    ..
                },
            ) => {
                npm(package, at, &mut entry);
                continue;
            }
            (kind, _) => {
                let message = format!("`{}` is no capability, or has other keys", shown(kind));
                return Err(wrong(source, at, message));
            }
        };
        // Writing to a string cannot fail.
        let _ = write!(
            toml,
            "\n[[asks]]\n{ask}reason = \"a capability of the extension\"\n"
        );
    }
    Ok(entry.asks(from, toml))
}
