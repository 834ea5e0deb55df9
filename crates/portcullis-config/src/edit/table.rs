//! Finds the lists of a plugin's entry in a document, whichever way the tables are written.

use std::fmt;

use portcullis_policy::{ArgToken, PluginId, ProgramRule};
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, TableLike, Value};

use super::installed::{Grant, What};
use super::{Edit, EditError, Right, list};

/// The text of a policy file, open for changes.
pub(super) struct Document(DocumentMut);

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Document {
    pub(super) fn parse(text: &str) -> Result<Self, EditError> {
        text.parse()
            .map(Self)
            .map_err(|_| EditError::Layout("the file".to_owned()))
    }

    /// Writes a right down.
    pub(super) fn grant(&mut self, edit: &Edit) -> Result<(), EditError> {
        if self.entry(edit.plugin.as_str()).is_none() {
            self.add_entry(edit)?;
        }
        let entry = self
            .entry(edit.plugin.as_str())
            .ok_or_else(|| EditError::NoEntry(edit.plugin.clone()))?;
        match &edit.right {
            Right::Exec { program, args } => add(
                child(entry, "exec")?,
                "allow",
                rule(program, args.as_deref()),
            ),
            Right::Answer(rule) => {
                let layout = || EditError::Layout(rule.id.to_string());
                let rule = answer(rule).ok_or_else(layout)?;
                add(child(entry, "exec")?, "allow", rule)
            }
            Right::Read(path) => add(child(entry, "fs")?, "read", path.into()),
            Right::Write(path) => add(child(entry, "fs")?, "write", path.into()),
            Right::Net(net) => add_net(entry, net),
            Right::Env(name) => add(entry, "env", name.into()),
            Right::Log => {
                set(entry, "log", true.into());
                Ok(())
            }
            Right::Http(host) => add(child(entry, "http")?, "allow", host.into()),
            Right::Connect(place) => add(entry, "connect", place.into()),
            Right::Lookup(name) => add(entry, "lookup", name.into()),
            Right::Kv => {
                set(entry, "kv", true.into());
                Ok(())
            }
            Right::Data => {
                set(entry, "data", true.into());
                Ok(())
            }
            Right::Metadata(key) => add(entry, "metadata", key.name().into()),
            Right::Rule(_) => Err(EditError::RuleByName),
        }
    }

    /// Takes a right out. Returns whether anything was there. The list stays, also when it becomes empty: without it
    /// dev mode would allow everything. `same` says whether two paths mean one directory.
    pub(super) fn revoke(
        &mut self,
        edit: &Edit,
        same: &dyn Fn(&str, &str) -> bool,
    ) -> Result<bool, EditError> {
        let Some(entry) = self.entry(edit.plugin.as_str()) else {
            return Ok(false);
        };
        match &edit.right {
            Right::Exec { program, args } => {
                take(entry, &["exec", "allow"], |_, item| match args {
                    None => text_or(item, "program") == Some(program),
                    Some(args) => is_exactly(item, program, args),
                })
            }
            Right::Read(path) => take(entry, &["fs", "read"], |_, item| {
                is_directory(item, path, same)
            }),
            Right::Write(path) => take(entry, &["fs", "write"], |_, item| {
                is_directory(item, path, same)
            }),
            Right::Net(net) => take_net(entry, net),
            Right::Env(name) => take(entry, &["env"], |_, item| {
                text_or(item, "name") == Some(name)
            }),
            Right::Log => Ok(take_bool(entry, "log")),
            Right::Data => Ok(take_bool(entry, "data")),
            Right::Metadata(key) => take(entry, &["metadata"], |_, item| {
                text_or(item, "name") == Some(key.name())
            }),
            Right::Http(host) => take(entry, &["http", "allow"], |_, item| {
                text_or(item, "host") == Some(host)
            }),
            Right::Connect(place) => take(entry, &["connect"], |_, item| {
                text_or(item, "host") == Some(place)
            }),
            Right::Lookup(name) => take(entry, &["lookup"], |_, item| {
                text_or(item, "host") == Some(name)
            }),
            Right::Kv => {
                // What is kept is not thrown away: that is asked for by `portcullis kv clear`.
                let granted = entry
                    .get("kv")
                    .is_some_and(|kv| kv.as_bool() != Some(false));
                if granted {
                    entry.remove("kv");
                }
                Ok(granted)
            }
            Right::Answer(rule) => {
                let args = literal(rule);
                take(entry, &["exec", "allow"], |_, item| {
                    args.as_ref()
                        .is_some_and(|args| is_exactly(item, &rule.program.to_string(), args))
                })
            }
            Right::Rule(id) => {
                let removed = take(entry, &["exec", "allow"], |index, item| {
                    match text(item, "id") {
                        Some(written) => written == id.0,
                        None => id.0 == format!("allow[{index}]"),
                    }
                })?;
                let missing = || EditError::NoRule {
                    plugin: edit.plugin.clone(),
                    rule: id.clone(),
                };
                if removed { Ok(true) } else { Err(missing()) }
            }
        }
    }

    /// Puts a text in the place of another one, in a plugin's entry.
    pub(super) fn set_text(
        &mut self,
        plugin: &PluginId,
        key: &str,
        text: &str,
    ) -> Result<(), EditError> {
        let entry = self.entry(plugin.as_str());
        let entry = entry.ok_or_else(|| EditError::NoEntry(plugin.clone()))?;
        set(entry, key, text.into());
        Ok(())
    }

    /// Writes a grant into a plugin's entry.
    pub(super) fn add_value(&mut self, plugin: &PluginId, grant: Grant) -> Result<(), EditError> {
        let entry = self.entry(plugin.as_str());
        let mut entry = entry.ok_or_else(|| EditError::NoEntry(plugin.clone()))?;
        if let Some(table) = grant.table {
            entry = child(entry, table)?;
        }
        match grant.what {
            What::Item(value) => add(entry, grant.key, value),
            What::Is(value) => {
                set(entry, grant.key, value);
                Ok(())
            }
        }
    }

    fn entry(&mut self, id: &str) -> Option<&mut dyn TableLike> {
        let is = |table: &dyn TableLike| table.get("id").and_then(Item::as_str) == Some(id);
        match self.0.get_mut("plugins")? {
            Item::ArrayOfTables(tables) => tables
                .iter_mut()
                .find(|table| is(*table))
                .map(|table| table as &mut dyn TableLike),
            Item::Value(Value::Array(list)) => {
                let tables = list.iter_mut().filter_map(Value::as_inline_table_mut);
                tables
                    .map(|table| table as &mut dyn TableLike)
                    .find(|table| is(*table))
            }
            Item::None | Item::Table(_) | Item::Value(_) => None,
        }
    }

    fn add_entry(&mut self, edit: &Edit) -> Result<(), EditError> {
        let path = edit
            .path
            .as_deref()
            .ok_or_else(|| EditError::NoEntry(edit.plugin.clone()))?;
        let fields = [("id", edit.plugin.as_str()), ("path", path)];
        let first = self.0.is_empty();
        match self
            .0
            .entry("plugins")
            .or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()))
        {
            Item::ArrayOfTables(tables) => {
                let mut table: Table = fields.into_iter().collect();
                table
                    .decor_mut()
                    .set_prefix(if first && tables.is_empty() { "" } else { "\n" });
                tables.push(table);
                Ok(())
            }
            Item::Value(Value::Array(entries)) => {
                list::push(entries, Value::InlineTable(fields.into_iter().collect()));
                Ok(())
            }
            Item::None | Item::Table(_) | Item::Value(_) => {
                Err(EditError::Layout("plugins".to_owned()))
            }
        }
    }
}

/// The table under a key; made when it is not there.
fn child<'a>(table: &'a mut dyn TableLike, key: &str) -> Result<&'a mut dyn TableLike, EditError> {
    if table.get(key).is_none() {
        insert(table, key, Value::InlineTable(InlineTable::new()));
    }
    let child = table.get_mut(key).and_then(Item::as_table_like_mut);
    child.ok_or_else(|| EditError::Layout(key.to_owned()))
}

/// Adds a value to the list under a key; makes the list when it is not there.
fn add(table: &mut dyn TableLike, key: &str, value: Value) -> Result<(), EditError> {
    if table.get(key).is_none() {
        insert(table, key, Value::Array(Array::new()));
    }
    match table.get_mut(key) {
        Some(Item::Value(Value::Array(values))) => list::push(values, value),
        Some(Item::ArrayOfTables(tables)) => match value {
            Value::InlineTable(fields) => tables.push(fields.into_table()),
            Value::String(program) if key == "allow" => {
                tables.push(
                    [("program", program.value().as_str())]
                        .into_iter()
                        .collect(),
                );
            }
            _ => return Err(EditError::Layout(key.to_owned())),
        },
        _ => return Err(EditError::Layout(key.to_owned())),
    }
    Ok(())
}

/// Adds to what commands may reach. A word stands alone; before a list of hosts it gives way.
fn add_net(entry: &mut dyn TableLike, net: &str) -> Result<(), EditError> {
    if is_word(net) {
        set(entry, "net", net.into());
        return Ok(());
    }
    if matches!(entry.get("net"), Some(Item::Value(Value::String(_)))) {
        set(entry, "net", Value::Array(Array::new()));
    }
    add(entry, "net", net.into())
}

/// Says no where it says yes. Returns whether it did.
fn take_bool(entry: &mut dyn TableLike, key: &str) -> bool {
    let written = entry.get(key).and_then(Item::as_bool) == Some(true);
    if written {
        set(entry, key, false.into());
    }
    written
}

/// Whether it is a whole network, and no host.
fn is_word(net: &str) -> bool {
    matches!(net, "open" | "loopback")
}

/// Takes out of what commands may reach. Returns whether it was there.
fn take_net(entry: &mut dyn TableLike, net: &str) -> Result<bool, EditError> {
    if !is_word(net) {
        return match entry.get("net") {
            Some(Item::Value(Value::String(_))) => Ok(false),
            _ => take(entry, &["net"], |_, item| {
                text_or(item, "host") == Some(net)
            }),
        };
    }
    if entry.get("net").and_then(Item::as_str) != Some(net) {
        return Ok(false);
    }
    set(entry, "net", "none".into());
    Ok(true)
}

/// Puts a value in the place of another one, with the spaces and comments around it; or adds the key.
fn set(table: &mut dyn TableLike, key: &str, mut value: Value) {
    match table.get_mut(key) {
        Some(Item::Value(old)) => {
            *value.decor_mut() = old.decor().clone();
            *old = value;
        }
        _ => insert(table, key, value),
    }
}

/// Adds a key. In an inline table the space before the closing brace belongs to the last value.
fn insert(table: &mut dyn TableLike, key: &str, mut value: Value) {
    let last = table.iter().last().map(|(key, _)| key.to_owned());
    if let Some(Item::Value(last)) = last.and_then(|last| table.get_mut(&last)) {
        let suffix = last
            .decor()
            .suffix()
            .and_then(|suffix| suffix.as_str())
            .unwrap_or_default()
            .to_owned();
        if !suffix.is_empty() && suffix.trim_matches(' ').is_empty() {
            last.decor_mut().set_suffix("");
            value.decor_mut().set_suffix(suffix);
            value.decor_mut().set_prefix(" ");
        }
    }
    table.insert(key, Item::Value(value));
}

/// Removes the items of a list for which `gone` holds. Returns whether there were any.
fn take(
    entry: &mut dyn TableLike,
    keys: &[&str],
    gone: impl Fn(usize, &dyn Entry) -> bool,
) -> Result<bool, EditError> {
    let Some((key, tables)) = keys.split_last() else {
        return Ok(false);
    };
    let mut table = entry;
    for key in tables {
        match table.get_mut(key).and_then(Item::as_table_like_mut) {
            Some(inner) => table = inner,
            None => return Ok(false),
        }
    }
    match table.get_mut(key) {
        None => Ok(false),
        Some(Item::Value(Value::Array(values))) => {
            Ok(list::remove(values, |index, value| gone(index, value)))
        }
        Some(Item::ArrayOfTables(tables)) => {
            let before = tables.len();
            let mut index = 0;
            tables.retain(|table| {
                index += 1;
                !gone(index - 1, table)
            });
            // An array of tables that becomes empty would vanish from the text, and with it the list.
            if tables.is_empty() && before > 0 {
                table.insert(key, Item::Value(Value::Array(Array::new())));
                return Ok(true);
            }
            Ok(tables.len() < before)
        }
        Some(_) => Err(EditError::Layout((*key).to_owned())),
    }
}

/// One item of a list, in its short or long form.
trait Entry {
    fn short(&self) -> Option<&str>;
    fn long(&self) -> Option<&dyn TableLike>;
}

impl Entry for Value {
    fn short(&self) -> Option<&str> {
        self.as_str()
    }

    fn long(&self) -> Option<&dyn TableLike> {
        self.as_inline_table().map(|table| table as &dyn TableLike)
    }
}

impl Entry for Table {
    fn short(&self) -> Option<&str> {
        None
    }

    fn long(&self) -> Option<&dyn TableLike> {
        Some(self)
    }
}

fn text<'a>(item: &'a dyn Entry, key: &str) -> Option<&'a str> {
    item.long()?.get(key)?.as_str()
}

/// The short form, or a field of the long one.
fn text_or<'a>(item: &'a dyn Entry, key: &str) -> Option<&'a str> {
    item.short().or_else(|| text(item, key))
}

fn is_directory(item: &dyn Entry, path: &str, same: &dyn Fn(&str, &str) -> bool) -> bool {
    text_or(item, "path").is_some_and(|written| same(written, path))
}

/// Whether a rule is the one that a grant of exactly these arguments writes; its name and narrowing do not matter.
fn is_exactly(item: &dyn Entry, program: &str, args: &[String]) -> bool {
    let written = item.long().and_then(|table| table.get("args")?.as_array());
    let written: Option<Vec<_>> =
        written.map(|args| args.iter().filter_map(Value::as_str).collect());
    let wanted: Vec<_> = args.iter().map(|arg| ArgToken::escape(arg)).collect();
    text(item, "program") == Some(program) && written.is_some_and(|written| written == wanted)
}

/// A program with any arguments, or with exactly these.
fn rule(program: &str, args: Option<&[String]>) -> Value {
    let Some(args) = args else {
        return program.into();
    };
    let args: Array = args.iter().map(|arg| ArgToken::escape(arg)).collect();
    let mut table = InlineTable::new();
    table.insert("program", program.into());
    table.insert("args", Value::Array(args));
    Value::InlineTable(table)
}

/// A rule that somebody answered.
fn answer(rule: &ProgramRule) -> Option<Value> {
    let Value::InlineTable(mut table) =
        self::rule(&rule.program.to_string(), Some(&literal(rule)?))
    else {
        return None;
    };
    if let Some(digest) = rule.plugin_sha256 {
        let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        table.insert("plugin_sha256", digits.into());
    }
    if let Some(env) = &rule.narrowing.env {
        let names: Array = env.iter().map(String::as_str).collect();
        table.insert("env", Value::Array(names));
    }
    if let Some(stdin) = rule.narrowing.stdin {
        table.insert("stdin", stdin.into());
    }
    Some(Value::InlineTable(table))
}

/// The arguments of a rule for exactly one list of them.
pub(super) fn literal(rule: &ProgramRule) -> Option<Vec<String>> {
    let one = |token: &ArgToken| match token {
        ArgToken::Literal(texts) => match texts.as_slice() {
            [text] => Some(text.clone()),
            _ => None,
        },
        _ => None,
    };
    rule.arguments.args.as_ref()?.iter().map(one).collect()
}
