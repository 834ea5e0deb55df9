//! Lines that a guest writes into the log, on their way to standard error.

use std::sync::{Mutex, MutexGuard, PoisonError};

use portcullis::{Activity, GuestLog, LogLine};
use portcullis_policy::{Code, LogLevel, PluginId};
use serde_json::{Value, json};

use super::guest::GuestOutput;
use super::{Level, Printer, count};
use crate::failure::{Report, diagnostic};

/// Writes lines to standard error, each with its level and plugin, and keeps the first of them for a document.
///
/// Shown are errors, warnings and what a plugin does; with `-v` the rest as well, with `-q` errors only.
#[derive(Debug)]
pub(crate) struct ShownLog {
    stderr: GuestOutput,
    out: Printer,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    lines: Vec<Value>,
    not_kept: u64,
}

impl ShownLog {
    pub(crate) fn new(stderr: &GuestOutput, out: Printer) -> Self {
        Self {
            stderr: stderr.clone(),
            out,
            kept: Mutex::default(),
        }
    }

    /// Every line, whatever its level, as data; how many came after those that are kept, and how many were dropped.
    pub(crate) fn document(&self, dropped: u64) -> Value {
        let kept = self.kept();
        json!({ "lines": kept.lines, "not_kept": kept.not_kept, "dropped": dropped })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shows(&self, level: LogLevel) -> bool {
        match level {
            LogLevel::Error => true,
            LogLevel::Warn | LogLevel::Info => !self.out.quiet,
            LogLevel::Debug | LogLevel::Trace => self.out.verbose,
        }
    }
}

impl GuestLog for ShownLog {
    fn line(&self, line: &LogLine<'_>) {
        let (level, plugin) = (line.level, line.plugin);
        let mut kept = self.kept();
        // A plugin decides how many there are.
        if kept.lines.len() < Activity::KEPT {
            kept.lines
                .push(json!({ "level": level, "message": line.message }));
        } else {
            kept.not_kept += 1;
        }
        drop(kept);
        if self.shows(level) {
            let text = format!("[{plugin}] {level}: {}\n", line.message);
            // Nobody to read it is no reason to stop a guest, for a log as for standard error.
            let _ = self.stderr.write(text.as_bytes());
        }
    }

    fn dropped(&self, plugin: &PluginId, lines: u64) {
        let lines = count(lines, "line");
        let mut warning = diagnostic(
            Code::LimitCalls.as_str(),
            format!(
                "plugin `{plugin}` wrote too much into the log: {lines} were dropped in the last minute"
            ),
        );
        let limit = "raise `limits.log_per_minute` for it, or have it write less";
        warning.notes.push(limit.to_owned());
        self.out.report(Level::Warning, &Report::Plain(warning));
    }
}
