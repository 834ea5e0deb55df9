//! The form of a report: `error[P0201]: …`, then notes, then what helps.

use std::borrow::Cow;
use std::fmt::Write;
use std::path::Path;

use annotate_snippets::{AnnotationKind, Group, Renderer, Snippet};
use anstyle::AnsiColor;
use portcullis::Diagnostic;
use portcullis_audit::mask;
use portcullis_config::ConfigError;

use super::{Level, colour, escape, line, shell};
use crate::failure::Report;

/// Bytes of a command that is still worth printing.
const MAX_COMMAND: usize = 4096;

pub(super) fn text(level: Level, report: &Report) -> String {
    match report {
        Report::Plain(diagnostic) => plain(level, diagnostic),
        Report::File(error) => {
            with_source(level, error).unwrap_or_else(|| plain(level, &without_source(error)))
        }
    }
}

/// A report without a place in a file.
pub(super) fn plain(level: Level, diagnostic: &Diagnostic) -> String {
    let mut out = head(level, diagnostic.code, &diagnostic.message);
    for note in &diagnostic.notes {
        push(&mut out, "note", &line(note));
    }
    for remedy in &diagnostic.helps {
        push(
            &mut out,
            "help",
            &help(&remedy.text, remedy.command.as_deref()),
        );
    }
    out
}

pub(super) fn head(level: Level, code: &str, message: &str) -> String {
    let style = level.style();
    format!(
        "{style}{}[{code}]{style:#}: {}\n",
        level.word(),
        line(message)
    )
}

pub(super) fn push(out: &mut String, word: &str, text: &str) {
    let style = colour(if word == "help" {
        AnsiColor::BrightCyan
    } else {
        AnsiColor::BrightGreen
    });
    // Writing to a string cannot fail.
    let _ = writeln!(out, "  {style}{word}{style:#}: {text}");
}

pub(super) fn help(text: &str, command: Option<&[String]>) -> String {
    match command.map(shell) {
        Some(command) if matches!(mask(&command), Cow::Owned(_)) => format!(
            "{}: the command has a secret in it; write a rule with `*` in its place",
            line(text)
        ),
        Some(command) if command.len() <= MAX_COMMAND => format!("{}: {command}", line(text)),
        Some(command) => format!(
            "{}: the command has {} bytes; `--json` has it",
            line(text),
            command.len()
        ),
        None => line(text),
    }
}

/// The mistake under the line of the file where it is.
fn with_source(level: Level, error: &ConfigError) -> Option<String> {
    let path = error.file()?;
    let text = readable(&std::fs::read_to_string(path).ok()?);
    // The file may have changed since it was read.
    let span = error.span.clone();
    // It is about more than one line.
    if span == (0..0) && error.position() != (1, 1) {
        return None;
    }
    text.get(span.clone())?;
    let (message, label, path) = (line(&error.message), line(&error.label), name(path));
    let annotation = AnnotationKind::Primary.span(span);
    let annotation = if label.is_empty() {
        annotation
    } else {
        annotation.label(&label)
    };
    let title = match level {
        Level::Error => annotate_snippets::Level::ERROR,
        Level::Warning => annotate_snippets::Level::WARNING,
    };
    let title = title.primary_title(&message).id(error.code.as_str());
    let mut group: Group<'_> =
        title.element(Snippet::source(&text).path(&path).annotation(annotation));
    for note in &error.notes {
        group = group.element(annotate_snippets::Level::NOTE.message(line(note)));
    }
    for help in &error.helps {
        group = group.element(annotate_snippets::Level::HELP.message(line(help)));
    }
    Some(Renderer::styled().render(&[group]))
}

fn without_source(error: &ConfigError) -> Diagnostic {
    let place = match error.file() {
        Some(file) => {
            let (line, column) = error.position();
            format!("at {}:{line}:{column}", file.display())
        }
        None => format!("in {}", error.origin),
    };
    let remedy = |help: &String| portcullis_policy::Remedy {
        text: help.clone(),
        command: None,
    };
    let label = (!error.label.is_empty()).then(|| error.label.clone());
    Diagnostic {
        code: error.code.as_str(),
        message: error.message.clone(),
        notes: [place]
            .into_iter()
            .chain(label)
            .chain(error.notes.iter().cloned())
            .collect(),
        helps: error.helps.iter().map(remedy).collect(),
        trace: Vec::new(),
    }
}

fn name(path: &Path) -> String {
    escape(&path.display().to_string())
}

/// The text with the same number of bytes, and nothing in it that a terminal would obey.
fn readable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\n' | '\t') || escape(c.encode_utf8(&mut [0; 4])).starts_with(c) {
            out.push(c);
        } else if c.len_utf8() == '\u{fffd}'.len_utf8() {
            out.push('\u{fffd}');
        } else {
            out.extend(std::iter::repeat_n('?', c.len_utf8()));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_lines_keep_their_length_and_lose_their_orders() {
        let text = "a = \"\x1b[2J\u{9b}\u{202e}\u{e0001}é\\\"\n\tb";
        let shown = readable(text);
        assert_eq!(shown.len(), text.len());
        assert_eq!(shown, "a = \"?[2J??\u{fffd}????é\\\"\n\tb");
    }
}
