//! The entry that is written: values, and beside them what was not said as it was written.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use portcullis_policy::{Origin, PluginId, shown};

use super::{Imported, Note};
use crate::reglet::quoted;
use crate::source::Source;

/// The keys of an entry, in the order in which they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Read,
    Write,
    Http,
    Variables,
    Commands,
    Memory,
    /// What belongs to no key of ours.
    Other,
}

impl Key {
    const ALL: [Self; 7] = [
        Self::Read,
        Self::Write,
        Self::Http,
        Self::Variables,
        Self::Commands,
        Self::Memory,
        Self::Other,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Read => "fs.read",
            Self::Write => "fs.write",
            Self::Http => "http.allow",
            Self::Variables => "env",
            Self::Commands => "exec.allow",
            Self::Memory => "limits.memory",
            Self::Other => "",
        }
    }
}

/// An entry while it is made.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) source: Source<'a>,
    values: Vec<(Key, String)>,
    said: BTreeSet<(Key, String)>,
    notes: Vec<(Key, Note)>,
}

impl<'a> Entry<'a> {
    pub(super) fn new(source: Source<'a>) -> Self {
        Self {
            source,
            values: Vec::new(),
            said: BTreeSet::new(),
            notes: Vec::new(),
        }
    }

    /// Adds a value, as TOML has it; once, however often it is said.
    pub(super) fn value(&mut self, key: Key, toml: String) {
        let value = (key, toml);
        if self.said.insert(value.clone()) {
            self.values.push(value);
        }
    }

    /// Says that something is left out, or means something else here.
    pub(super) fn note(&mut self, key: Key, at: usize, what: &str, why: impl Into<String>) {
        let note = Note {
            origin: self.source.origin(at),
            what: shown(what),
            why: shown(&why.into()),
        };
        self.notes.push((key, note));
    }

    /// Writes the entry.
    pub(super) fn finish(self, from: &'static str, plugin: &PluginId, component: &str) -> Imported {
        let file = shown(&self.source.path.display().to_string());
        let mut toml = format!(
            "# From `{file}`, {from}. A comment with a line of it says what is left out or means less here.\n\n[[plugins]]\nid = {}\npath = {}\n",
            quoted(plugin.as_str()),
            quoted(component),
        );
        for key in Key::ALL {
            self.write(key, &mut toml);
        }
        Imported {
            from,
            toml,
            notes: self.notes.into_iter().map(|(_, note)| note).collect(),
        }
    }

    /// What is asked for, with the notes behind it.
    pub(super) fn asks(self, from: &'static str, mut toml: String) -> Imported {
        let notes: Vec<_> = self.notes.into_iter().map(|(_, note)| note).collect();
        for note in &notes {
            // Writing to a string cannot fail.
            let _ = writeln!(toml, "{}", note.comment());
        }
        Imported { from, toml, notes }
    }

    fn write(&self, key: Key, toml: &mut String) {
        let values = self.values.iter().filter(|(of, _)| *of == key);
        let values: Vec<_> = values.map(|(_, value)| value).collect();
        // Writing to a string cannot fail.
        let _ = match (key, values.as_slice()) {
            (_, []) => Ok(()),
            (Key::Memory, [.., last]) => writeln!(toml, "{} = {last}", key.name()),
            (_, [only]) => writeln!(toml, "{} = [{only}]", key.name()),
            (_, values) => {
                let lines = values.iter().map(|value| format!("    {value},\n"));
                writeln!(toml, "{} = [\n{}]", key.name(), lines.collect::<String>())
            }
        };
        for (_, note) in self.notes.iter().filter(|(of, _)| *of == key) {
            let _ = writeln!(toml, "{}", note.comment());
        }
    }
}

impl Note {
    /// The comment of an entry. All of the other's text in it is escaped, so it is one line.
    pub(super) fn comment(&self) -> String {
        let line = match self.origin {
            Origin::File { line, .. } => line,
            Origin::Flag { .. } | Origin::Code | Origin::Answer => 0,
        };
        format!("# line {line}: `{}` {}", self.what, self.why)
    }
}
