//! The only place that prints. Data goes to standard output, everything else to standard error; all of it can be read
//! without colour, and colour is left out where it is not wanted (`NO_COLOR`) or would be noise.

pub(crate) mod denials;
mod escape;
pub(crate) mod guest;
pub(crate) mod guest_log;
pub(crate) mod progress;
pub(crate) mod relayed;
mod report;
pub(crate) mod screen;
mod terminal;
pub(crate) mod trace;

use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use serde_json::{Map, Value};

use portcullis_policy::{Cut, PluginId};

use crate::failure::{Failure, Report, above_ceiling};

pub(crate) use escape::{escape, line, shell};

/// The version of every JSON document this command prints. A key never changes its meaning; new ones may come.
const SCHEMA_VERSION: u32 = 1;

/// How serious a report is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// It ended what was asked for.
    Error,
    /// It is worth knowing.
    Warning,
}

/// The two streams, and how much is said on them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Printer {
    pub(crate) quiet: bool,
    pub(crate) verbose: bool,
}

const fn colour(colour: AnsiColor) -> Style {
    colour.on_default().bold()
}

impl Level {
    const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }

    const fn style(self) -> Style {
        match self {
            Self::Error => colour(AnsiColor::BrightRed),
            Self::Warning => colour(AnsiColor::BrightYellow),
        }
    }
}

/// Where documents go instead of standard output.
static DIVERTED: std::sync::OnceLock<std::fs::File> = std::sync::OnceLock::new();

/// Has documents written to a file, of which somebody else makes one document.
pub(crate) fn divert(file: std::fs::File) {
    let _ = DIVERTED.set(file);
}

impl Printer {
    /// One line of data, for people and programs. Escaped where it has text from elsewhere.
    pub(crate) fn line(self, text: &str) -> io::Result<()> {
        let mut out = anstream::stdout().lock();
        writeln!(out, "{text}")?;
        out.flush()
    }

    /// A JSON document with its version.
    pub(crate) fn json(self, fields: Value) -> io::Result<()> {
        let mut document = Map::new();
        document.insert("schema_version".to_owned(), SCHEMA_VERSION.into());
        if let Value::Object(fields) = fields {
            document.extend(fields);
        }
        let text = format!("{:#}", Value::Object(document));
        match DIVERTED.get() {
            Some(mut file) => writeln!(file, "{text}"),
            None => self.line(&text),
        }
    }

    /// A note on standard error when asked for details.
    pub(crate) fn detail(self, text: &str) {
        if self.verbose {
            self.tell(text);
        }
    }

    /// A line on standard error, always.
    pub(crate) fn tell(self, text: &str) {
        // Nobody is left to tell when standard error is gone.
        let _ = writeln!(anstream::stderr().lock(), "{text}");
    }

    /// A report on standard error; warnings are left out when quiet.
    pub(crate) fn report(self, level: Level, report: &Report) {
        if level == Level::Error || !self.quiet {
            self.tell(report::text(level, report).trim_end());
        }
    }

    /// What was granted to a plugin and is above the ceiling.
    pub(crate) fn cut(self, plugin: &PluginId, cut: &[Cut]) {
        for cut in cut {
            self.report(Level::Warning, &Report::Plain(above_ceiling(plugin, cut)));
        }
    }

    /// Everything that is wrong.
    pub(crate) fn failure(self, failure: &Failure) {
        for report in &failure.reports {
            self.report(Level::Error, report);
        }
    }
}

/// A number of things.
pub(crate) fn count(number: impl Into<u64>, noun: &str) -> String {
    match number.into() {
        1 => format!("1 {noun}"),
        number => format!("{number} {noun}s"),
    }
}

/// Whether standard error is a terminal.
pub(crate) fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}
