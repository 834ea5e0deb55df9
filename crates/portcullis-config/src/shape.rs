//! Checks a TOML file against the schema of its records and reports every unknown key, missing key and wrong type
//! with its place. Serde alone would stop at the first.

use std::ops::Range;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::{ConfigCode, Report};
use crate::source::Source;

/// Reads a file into its record. `None` when it cannot be; what is wrong is in the report, also when there is a record.
pub(crate) fn read<T: DeserializeOwned + JsonSchema>(
    source: &Source<'_>,
    report: &mut Report,
) -> Option<T> {
    let (table, errors) = DeTable::parse_recoverable(source.text);
    let mut lines = Vec::new();
    for error in &errors {
        let span = error.span().unwrap_or_default();
        // What follows the first mistake on a line is mostly the parser looking for its way back.
        let line = source
            .text
            .get(..span.start)
            .map(|before| before.matches('\n').count());
        if lines.contains(&line) {
            continue;
        }
        lines.push(line);
        report.push(source.error(
            ConfigCode::Syntax,
            span,
            error.message().lines().next().unwrap_or("not TOML"),
        ));
    }
    if !errors.is_empty() {
        return None;
    }
    let schema = crate::schema::of::<T>();
    let mut shape = Shape {
        source,
        root: &schema,
        report,
        clean: true,
    };
    shape.table(&schema, table.get_ref(), 0..0, "");
    let clean = shape.clean;
    match T::deserialize(toml::de::Deserializer::from(table)) {
        Ok(record) => Some(record),
        Err(error) => {
            if clean {
                let span = error.span().unwrap_or_default();
                report.push(source.error(ConfigCode::Value, span, error.message().to_owned()));
            }
            None
        }
    }
}

struct Shape<'a> {
    source: &'a Source<'a>,
    root: &'a Value,
    report: &'a mut Report,
    clean: bool,
}

impl<'a> Shape<'a> {
    /// The plain forms that a schema stands for: references followed, alternatives spread out.
    fn forms(&self, schema: &'a Value) -> Vec<&'a Value> {
        if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
            let target = name
                .strip_prefix('#')
                .and_then(|pointer| self.root.pointer(pointer));
            return target.map(|target| self.forms(target)).unwrap_or_default();
        }
        let alternatives = schema
            .get("anyOf")
            .or_else(|| schema.get("oneOf"))
            .and_then(Value::as_array);
        match alternatives {
            Some(forms) => forms.iter().flat_map(|form| self.forms(form)).collect(),
            None => vec![schema],
        }
    }

    fn value(&mut self, schema: &'a Value, value: &Spanned<DeValue<'_>>, place: &str) {
        let all = self.forms(schema);
        let name = type_name(value.get_ref());
        let fitting: Vec<_> = all
            .iter()
            .copied()
            .filter(|form| form.get("type").is_some_and(|t| t == name))
            .collect();
        if fitting.is_empty() {
            let mut names: Vec<_> = all
                .iter()
                .filter_map(|form| form.get("type")?.as_str())
                .map(article)
                .collect();
            names.dedup();
            let expected = names.join(" or ");
            let message = format!("`{place}` must be {expected}, not {}", article(name));
            return self.wrong(value.span(), message, "");
        }
        match value.get_ref() {
            DeValue::String(text) => self.word(&fitting, text, value.span(), place),
            DeValue::Integer(number) if number.as_str().starts_with('-') => {
                self.wrong(value.span(), format!("`{place}` must not be negative"), "");
            }
            DeValue::Integer(number) => {
                let small = fitting
                    .iter()
                    .any(|form| form.get("format").is_some_and(|format| format == "uint32"));
                if small
                    && i64::from_str_radix(number.as_str(), number.radix())
                        .is_ok_and(|n| n > u32::MAX.into())
                {
                    self.wrong(
                        value.span(),
                        format!("`{place}` must be at most {}", u32::MAX),
                        "",
                    );
                }
            }
            DeValue::Array(values) => {
                for form in fitting.iter().filter_map(|form| form.get("items")) {
                    values
                        .iter()
                        .for_each(|value| self.value(form, value, place));
                }
            }
            DeValue::Table(table) => {
                for form in fitting {
                    self.table(form, table, value.span(), place);
                }
            }
            DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {}
        }
    }

    /// A string where only some words have a meaning.
    fn word(&mut self, forms: &[&'a Value], text: &str, span: Range<usize>, place: &str) {
        let mut words = Vec::new();
        for form in forms {
            match (
                form.get("const"),
                form.get("enum").and_then(Value::as_array),
            ) {
                (Some(word), _) => words.extend(word.as_str()),
                (None, Some(several)) => words.extend(several.iter().filter_map(Value::as_str)),
                (None, None) => return,
            }
        }
        if !words.contains(&text) {
            let message = format!("`{}` is no value of `{place}`", text);
            self.wrong(span, message, &expected(&words));
        }
    }

    fn table(&mut self, schema: &'a Value, table: &DeTable<'_>, span: Range<usize>, place: &str) {
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
            return;
        };
        let known: Vec<&str> = properties.keys().map(String::as_str).collect();
        for (key, value) in table {
            let name: &str = key.get_ref();
            let inner = if place.is_empty() {
                name.to_owned()
            } else {
                format!("{place}.{name}")
            };
            match properties.get(name) {
                Some(schema) => self.value(schema, value, &inner),
                None => self.unknown(name, key.span(), place, &known),
            }
        }
        for name in schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            if !table.contains_key(name) {
                let message = if place.is_empty() {
                    format!("the file has no key `{name}`")
                } else {
                    format!("this entry of `{place}` has no key `{name}`")
                };
                self.wrong(span.clone(), message, "");
            }
        }
    }

    fn unknown(&mut self, name: &str, span: Range<usize>, place: &str, known: &[&str]) {
        let place = if place.is_empty() {
            String::new()
        } else {
            format!(" in `{place}`")
        };
        let message = format!("unknown key `{}`{place}", name);
        let mut error = self
            .source
            .error(ConfigCode::UnknownKey, span, message)
            .label(expected(known));
        if let Some(near) = nearest(name, known.iter().copied()) {
            error = error.help(format!("a key with a similar name is `{near}`"));
        }
        self.report.push(error);
    }

    fn wrong(&mut self, span: Range<usize>, message: String, label: &str) {
        self.clean = false;
        self.report.push(
            self.source
                .error(ConfigCode::Value, span, message)
                .label(label),
        );
    }
}

/// The name in the list that a mistyped one was most likely meant to be.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |other: &str| strsim::damerau_levenshtein(&name.to_lowercase(), other);
    let limit = (name.chars().count() / 3).max(1);
    known
        .map(|other| (distance(other), other))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, other)| other)
}

pub(crate) fn expected(words: &[&str]) -> String {
    let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    match words.as_slice() {
        [only] => format!("expected {only}"),
        _ => format!("expected one of {}", words.join(", ")),
    }
}

/// The TOML type under its name in JSON Schema.
fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "string",
        DeValue::Integer(_) => "integer",
        DeValue::Float(_) => "number",
        DeValue::Boolean(_) => "boolean",
        DeValue::Datetime(_) => "datetime",
        DeValue::Array(_) => "array",
        DeValue::Table(_) => "object",
    }
}

fn article(name: &str) -> &'static str {
    match name {
        "string" => "a string",
        "integer" => "an integer",
        "number" => "a number",
        "boolean" => "`true` or `false`",
        "array" => "a list",
        "object" => "a table",
        _ => "a date",
    }
}
