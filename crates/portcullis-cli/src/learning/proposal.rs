//! A policy for one plugin, a line for each thing that it grants.

use std::fmt::Write as _;

use portcullis_policy::is_unseen;

use crate::render;

/// The keys of an entry, in the order in which they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Late,
    Log,
    Kv,
    Data,
    Metadata,
    Env,
    Read,
    Write,
    Net,
    Http,
    Connect,
    Lookup,
    InheritOutput,
    Allow,
}

impl Key {
    const ALL: [Self; 14] = [
        Self::Late,
        Self::Log,
        Self::Kv,
        Self::Data,
        Self::Metadata,
        Self::Env,
        Self::Read,
        Self::Write,
        Self::Net,
        Self::Http,
        Self::Connect,
        Self::Lookup,
        Self::InheritOutput,
        Self::Allow,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Log => "log",
            Self::Kv => "kv",
            Self::Data => "data",
            Self::Metadata => "metadata",
            Self::Env => "env",
            Self::Read => "fs.read",
            Self::Write => "fs.write",
            Self::Net => "net",
            Self::Http => "http.allow",
            Self::Connect => "connect",
            Self::Lookup => "lookup",
            Self::InheritOutput => "exec.inherit_output",
            Self::Allow => "exec.allow",
        }
    }

    /// Whether it is there or not, and no list.
    const fn is_switch(self) -> bool {
        matches!(
            self,
            Self::Late | Self::Log | Self::Kv | Self::Data | Self::InheritOutput
        )
    }
}

/// One thing that is granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) key: Key,
    /// What it is, as TOML has it; of a rule the fields without braces.
    pub(super) value: String,
    /// What of its rights a rule takes away, in the same form.
    pub(super) narrowing: Vec<String>,
    /// How often it was needed, or what for.
    pub(super) why: String,
}

impl Line {
    pub(super) fn new(key: Key, value: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            key,
            value: value.into(),
            narrowing: Vec::new(),
            why: why.into(),
        }
    }

    /// A right that is given or not.
    pub(super) fn switch(key: Key, why: &str) -> Self {
        Self::new(key, "true", why)
    }

    fn toml(&self) -> String {
        if self.key != Key::Allow {
            return self.value.clone();
        }
        let fields = [self.value.as_str()].into_iter();
        let fields: Vec<_> = fields
            .chain(self.narrowing.iter().map(String::as_str))
            .collect();
        format!("{{ {} }}", fields.join(", "))
    }
}

/// The policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proposal {
    pub(super) id: String,
    /// The plugin's file.
    pub(super) path: String,
    /// Whether it is granted commands at all, though it may run none.
    pub(super) has_commands: bool,
    pub(super) lines: Vec<Line>,
}

impl Proposal {
    /// The entry. Every line of it grants something, or belongs to one that does.
    pub(super) fn toml(&self) -> String {
        let (id, path) = (quoted(&self.id), quoted(&self.path));
        let mut toml = format!("[[plugins]]\nid = {id}\npath = {path}\n");
        for key in Key::ALL {
            let of_key = || self.lines.iter().filter(|line| line.key == key);
            if key.is_switch() {
                for line in of_key() {
                    let _ = writeln!(
                        toml,
                        "{} = {}{}",
                        key.name(),
                        line.value,
                        comment(&line.why)
                    );
                }
            } else if of_key().next().is_some() {
                let _ = writeln!(toml, "{} = [", key.name());
                for line in of_key() {
                    let _ = writeln!(toml, "    {},{}", line.toml(), comment(&line.why));
                }
                toml.push_str("]\n");
            } else if key == Key::Allow && self.has_commands {
                let _ = writeln!(toml, "{} = []", key.name());
            }
        }
        toml
    }
}

/// What follows on a line; nothing in it ends the line.
pub(super) fn comment(why: &str) -> String {
    if why.is_empty() {
        return String::new();
    }
    format!("  # {}", render::line(why))
}

/// A string as TOML has it, on one line, and harmless on a terminal.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || is_unseen(c) => {
                let _ = write!(out, "\\U{:08X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A list of strings as TOML has it, on one line.
pub(super) fn list<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> String {
    let texts: Vec<_> = texts
        .into_iter()
        .map(|text| quoted(text.as_ref()))
        .collect();
    format!("[{}]", texts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proposal() -> Proposal {
        let rule = Line {
            narrowing: vec!["exec = []".to_owned()],
            ..Line::new(
                Key::Allow,
                format!("program = \"git\", args = {}", list(["log", "-n\"1"])),
                "2 calls",
            )
        };
        Proposal {
            id: "p".to_owned(),
            path: "/a\n/p.wasm".to_owned(),
            has_commands: true,
            lines: vec![
                rule,
                Line::switch(Key::Log, "1 line\n[[plugins]]"),
                Line::new(Key::Read, quoted("${project}"), ""),
            ],
        }
    }

    #[test]
    fn nothing_in_a_line_begins_another() {
        let toml = proposal().toml();
        let read: toml::Table = toml.parse().unwrap();
        let plugin = &read["plugins"][0];
        assert_eq!(plugin["path"].as_str(), Some("/a\n/p.wasm"));
        assert_eq!(plugin["log"].as_bool(), Some(true));
        assert_eq!(plugin["fs"]["read"][0].as_str(), Some("${project}"));
        let rule = &plugin["exec"]["allow"][0];
        assert_eq!(rule["args"][1].as_str(), Some("-n\"1"));
        assert_eq!(rule["exec"].as_array().map(Vec::len), Some(0));
        assert_eq!(read["plugins"].as_array().map(Vec::len), Some(1));
    }

    #[test]
    fn every_text_is_one_line_that_moves_nothing_and_is_read_as_it_was() {
        for text in [
            "plain",
            "a\nb\r\n\"\"\"\n[[plugins]]",
            "''' # \\ \\u0041 \t",
            "\u{1b}[2J\u{9b}31m\u{7f}\0",
            "\u{202e}txt\u{2066}\u{200b}\u{e0041}\u{feff}",
        ] {
            let written = quoted(text);
            let moves = |c: char| c.is_control() || is_unseen(c);
            assert!(!written.contains(moves), "{written:?}");
            let read: toml::Table = format!("x = {written}").parse().unwrap();
            assert_eq!(read["x"].as_str(), Some(text));
        }
    }

    #[test]
    fn every_line_is_needed_for_what_it_says() {
        let toml = proposal().toml();
        let whole: toml::Table = toml.parse().unwrap();
        let lines: Vec<_> = toml.lines().collect();
        for left_out in 0..lines.len() {
            let rest = lines.iter().enumerate().filter(|(at, _)| *at != left_out);
            let rest: Vec<_> = rest.map(|(_, line)| *line).collect();
            let rest = rest.join("\n").parse::<toml::Table>();
            assert_ne!(rest.ok().as_ref(), Some(&whole), "{}", lines[left_out]);
        }
    }
}
