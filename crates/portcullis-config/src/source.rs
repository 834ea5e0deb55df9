//! A text and where it came from: turns byte ranges into positions that a person can find.

use std::fmt;
use std::ops::{Deref, Range};
use std::path::Path;

use portcullis_policy::Origin;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use crate::error::{ConfigCode, ConfigError};

/// The text of one file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    pub(crate) path: &'a Path,
    pub(crate) text: &'a str,
}

impl Source<'_> {
    pub(crate) fn origin(&self, at: usize) -> Origin {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Origin::File {
            file: self.path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    /// Bytes before a line and column that are counted from 1, the column in characters; zeros: the beginning.
    pub(crate) fn offset(&self, line: usize, column: usize) -> usize {
        let before = self.text.split_inclusive('\n').take(line.saturating_sub(1));
        let start: usize = before.map(str::len).sum();
        let rest = &self.text[start..];
        let within = rest.char_indices().nth(column.saturating_sub(1));
        start + within.map_or(rest.len(), |(at, _)| at)
    }

    pub(crate) fn error(
        &self,
        code: ConfigCode,
        span: Range<usize>,
        message: impl Into<String>,
    ) -> ConfigError {
        ConfigError {
            code,
            origin: self.origin(span.start),
            span,
            message: message.into(),
            label: String::new(),
            notes: Vec::new(),
            helps: Vec::new(),
        }
    }
}

/// A value and its place in the text.
#[derive(Clone, Debug)]
pub(crate) struct At<T>(Spanned<T>);

impl<T> At<T> {
    pub(crate) fn span(&self) -> Range<usize> {
        self.0.span()
    }

    /// Another value that stands in the same place.
    pub(crate) fn with<U>(&self, value: U) -> At<U> {
        At(Spanned::new(self.span(), value))
    }
}

impl<T> Deref for At<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.get_ref()
    }
}

impl<T: fmt::Display> fmt::Display for At<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::deserialize(deserializer).map(Self)
    }
}

/// The place is no part of the format.
impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> std::borrow::Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        T::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_from_one() {
        let source = Source {
            path: Path::new("p.toml"),
            text: "a = 1\nü = \"ö\" # x\n",
        };
        let position = |at| match source.origin(at) {
            Origin::File { line, column, .. } => (line, column),
            Origin::Flag { .. } | Origin::Code | Origin::Answer => (0, 0),
        };
        assert_eq!(position(0), (1, 1));
        assert_eq!(position(6), (2, 1));
        assert_eq!(position(source.text.find('"').unwrap()), (2, 5));
        assert_eq!(position(source.text.find('#').unwrap()), (2, 9));
        assert_eq!(position(source.text.len()), (3, 1));
    }
}
