//! What a person is shown who is asked: text of others is quoted, escaped and cut, so that it cannot pass for ours.

use std::fmt::Write;

use portcullis::Question;
use portcullis_policy::{Cwd, Program};

use crate::commands::children;

/// Rows that a question has besides its arguments, the prompt included.
const ROWS: usize = 16;
/// Columns of the names before the facts.
const MARGIN: usize = 13;
/// The smallest terminal in which a question is seen whole.
pub(super) const SMALLEST: (usize, usize) = (ROWS + 2, 40);

/// A question that fits on the screen.
pub(super) struct Shown {
    pub(super) text: String,
    /// Whether some of the arguments, or of what the command may reach, is not in it.
    pub(super) cut: bool,
}

/// The question about a command, of a plugin or of nobody's, for a terminal of this size.
pub(super) fn of_command(
    question: &Question<'_>,
    of_plugin: bool,
    rows: usize,
    columns: usize,
) -> Shown {
    let request = question.request;
    let room = columns.saturating_sub(MARGIN + 1);
    let lines = rows.saturating_sub(ROWS).clamp(1, 8);
    let arguments = arguments(&request.args);
    let shown = middle(&arguments, room * lines);
    let mut cut = shown.len() != arguments.len();
    let mut text = String::new();
    let mut fact = |name: &str, fact: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {name:<9}  {fact}");
    };
    if of_plugin {
        let id = quoted(question.grants.plugin.as_str());
        fact("plugin", &middle(&id, room));
    }
    if let Program::Found(found) = &request.found {
        let path = quoted(&found.path.to_string_lossy());
        let name = request.program.base_name();
        // What a program with many names does is decided by the one that it is called by.
        let called = match found.path.file_name() {
            Some(file) if file == name => String::new(),
            _ => format!(" called {}", quoted(name)),
        };
        fact("program", &middle(&format!("{path}{called}"), room));
        if let Some(interpreter) = &found.interpreter {
            let path = quoted(&interpreter.path.to_string_lossy());
            fact("", &middle(&format!("a script, read by {path}"), room));
        }
    }
    fact("arguments", &shown);
    let cwd = match &request.cwd {
        Cwd::Project(path) | Cwd::Requested { real: path, .. } => path.to_string_lossy(),
        Cwd::Unusable { asked, .. } => asked.as_str().into(),
    };
    fact("in", &middle(&quoted(&cwd), room));
    let names: Vec<_> = request.env.iter().map(|(name, _)| quoted(name)).collect();
    if !names.is_empty() {
        fact("variables", &middle(&names.join(", "), room));
    }
    if request.stdin {
        let whose = if of_plugin { "the plugin's" } else { "yours" };
        fact("input", whose);
    }
    for (at, reach) in reach(question).iter().enumerate() {
        let shown = middle(reach, room);
        cut |= shown.len() != reach.len();
        fact(if at == 0 { "it may" } else { "" }, &shown);
    }
    let foreign = |text: &str| !text.is_ascii();
    if foreign(&shown) || names.iter().any(|name| foreign(name)) {
        fact(
            "note",
            "it has letters beyond ASCII, which may look like others",
        );
    }
    Shown { text, cut }
}

/// All arguments, and all that the command may reach, a line each.
pub(super) fn whole(question: &Question<'_>) -> String {
    let mut text = String::new();
    for (at, arg) in question.request.args.iter().enumerate() {
        let _ = writeln!(text, "  argument {}: {}", at + 1, quoted(arg));
    }
    for reach in reach(question) {
        let _ = writeln!(text, "  it may {reach}");
    }
    text
}

fn reach(question: &Question<'_>) -> Vec<String> {
    let terms = question.terms;
    let reach = children::reach(&terms.rights, terms.confinement);
    reach.iter().map(|reach| escaped(reach)).collect()
}

fn arguments(args: &[String]) -> String {
    if args.is_empty() {
        return "none".to_owned();
    }
    let quoted: Vec<_> = args.iter().map(|arg| quoted(arg)).collect();
    quoted.join(" ")
}

/// Text of others between quotes that it cannot close.
pub(super) fn quoted(text: &str) -> String {
    format!(
        "\"{}\"",
        escaped(&text.replace('\\', "\\\\").replace('"', "\\\""))
    )
}

/// Whether a character is seen, stands by itself, and is written from left to right: printed ASCII, and letters and digits
/// of some scripts. Others could draw a frame, look like a quote or a space, or turn the writing around.
fn is_plain(c: char) -> bool {
    let known = matches!(c, '\u{a1}'..='\u{2ff}' | '\u{370}'..='\u{58f}' | '\u{3040}'..='\u{d7af}');
    matches!(c, ' '..='~') || (known && c.is_alphanumeric() && c != '\u{3164}')
}

pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if is_plain(c) => out.push(c),
            c => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
        }
    }
    out
}

/// Characters of a line, before it is continued on the next.
const WIDTH: usize = 200;

/// All of a text, escaped: nobody agrees to what was cut off.
pub(crate) fn wrapped(text: &str) -> Vec<String> {
    let escaped: Vec<char> = escaped(text).chars().collect();
    let chunks = escaped.chunks(WIDTH).enumerate();
    let wrapped = chunks.map(|(at, chunk)| {
        let begin = if at == 0 { "" } else { "      " };
        format!("{begin}{}", chunk.iter().collect::<String>())
    });
    wrapped.collect()
}

/// The beginning and the end of a text that is wider than the room for it.
pub(super) fn middle(text: &str, room: usize) -> String {
    // A letter beyond ASCII takes two columns at most.
    let width = |c: char| if c.is_ascii() { 1 } else { 2 };
    if text.chars().map(width).sum::<usize>() <= room {
        return text.to_owned();
    }
    let part = room.saturating_sub(" ... 123456 more ... ".len()) / 2;
    let taken = |chars: &mut dyn Iterator<Item = char>| {
        let mut used = 0;
        chars
            .take_while(|&c| {
                used += width(c);
                used <= part
            })
            .collect::<Vec<_>>()
    };
    let head = taken(&mut text.chars());
    let mut tail = taken(&mut text.chars().rev());
    tail.reverse();
    let left_out = text.chars().count() - head.len() - tail.len();
    let (head, tail): (String, String) = (head.into_iter().collect(), tail.into_iter().collect());
    format!("{head} ... {left_out} more ... {tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_quotes_can_close_them_or_move_anything() {
        assert_eq!(quoted(r#"a" \"b"#), r#""a\" \\\"b""#);
        assert_eq!(
            quoted("\u{1b}[2J\u{202e}x\u{2028}\u{a0}“│\r\n\u{9b}ü語א\u{345}\u{3164}"),
            "\"\\u{1b}[2J\\u{202e}x\\u{2028}\\u{a0}\\u{201c}\\u{2502}\\u{d}\\n\\u{9b}ü語\\u{5d0}\\u{345}\\u{3164}\""
        );
        for c in '\0'..=char::MAX {
            let shown = escaped(&c.to_string());
            assert!(shown.chars().all(is_plain), "{:x}", u32::from(c));
        }
    }

    #[test]
    fn long_text_is_cut_in_the_middle() {
        let cut = middle(&format!("begin{}end", "x".repeat(1000)), 60);
        assert!(
            cut.starts_with("begin") && cut.ends_with("end") && cut.len() <= 60,
            "{cut}"
        );
        assert!(middle(&"語".repeat(1000), 60).chars().count() <= 60);
        assert_eq!(middle("short", 10), "short");
    }
}
