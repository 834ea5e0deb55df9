//! What plugins ask the person at the terminal. No line of such a question looks like one of ours: each begins with the
//! plugin that asks.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use portcullis::{Prompt, PromptKind, Prompter, Reply};

use crate::code;
use crate::consent::{Terminal, escaped, turn};
use crate::failure::{Failure, Result, Say, diagnostic};
use crate::render::Printer;
use crate::render::screen::Screen;

/// How long a plugin's output may take to be written before a question.
const PATIENCE: Duration = Duration::from_secs(1);
/// Characters of a question, and of an option, that are shown.
const MESSAGE: usize = 1000;
const OPTION: usize = 200;
/// Rows that are left for the prompt.
const MARGIN: usize = 4;
/// Characters of a plugin's name that are shown, and columns that a question has at least besides.
const NAME: usize = 24;
const NARROWEST: usize = 20;

/// Answers that were given with the command, and the terminal for the others.
#[derive(Debug)]
pub(crate) struct Questions {
    /// By the name of the question.
    pub(crate) answers: BTreeMap<String, String>,
    pub(crate) screen: Screen,
    /// Whether the plugin reads what is typed at the terminal.
    pub(crate) typed_for_the_plugin: bool,
    pub(crate) data: PathBuf,
    pub(crate) out: Printer,
}

/// Reads `--answer ID=VALUE`.
///
/// # Errors
/// One has no `=`, or an id stands there twice.
pub(crate) fn answers(written: &[String]) -> Result<BTreeMap<String, String>> {
    let mut answers = BTreeMap::new();
    for answer in written {
        let wrong = |message: String| {
            let report = diagnostic(code::ARGUMENT, message);
            Failure::usage(report.help("write it as `--answer ID=VALUE`, once for each question"))
        };
        let (id, value) = answer
            .split_once('=')
            .ok_or_else(|| wrong(format!("`--answer {answer}` has no `=`")))?;
        if answers.insert(id.to_owned(), value.to_owned()).is_some() {
            return Err(wrong(format!("`--answer` has `{id}` a second time")));
        }
    }
    Ok(answers)
}

impl Prompter for Questions {
    fn ask<'a>(&'a self, prompt: Prompt<'a>) -> Pin<Box<dyn Future<Output = Reply> + Send + 'a>> {
        Box::pin(async move {
            match self.answers.get(prompt.id) {
                Some(answer) => Reply::Given(answer.clone()),
                None => self.converse(prompt).await.unwrap_or_else(Reply::Nobody),
            }
        })
    }
}

impl Questions {
    /// # Errors
    /// Why nobody was asked.
    async fn converse(&self, prompt: Prompt<'_>) -> std::result::Result<Reply, String> {
        if self.typed_for_the_plugin {
            return Err("with `--stdin` what is typed is the plugin's".to_owned());
        }
        let Ok(_held) = tokio::time::timeout(PATIENCE, self.screen.hold()).await else {
            return Err("what the plugin writes is not read".to_owned());
        };
        let _turn = turn(&self.data, self.out).await?;
        let mut terminal = Terminal::open()?;
        let text = text(&prompt, terminal.rows, terminal.columns)
            .ok_or("the terminal is too narrow for a question")?;
        let typed = terminal.ask(&text, &format!("{}> ", head(&prompt))).await;
        typed
            .map(Reply::Typed)
            .ok_or_else(|| "nothing was typed".to_owned())
    }
}

/// What each row of a question begins with. The characters of an id move nothing and close no bracket.
fn head(prompt: &Prompt<'_>) -> String {
    format!("[plugin {} asks] ", cut(prompt.plugin.as_str(), NAME))
}

/// A question, a line for each option, and what an empty answer means: as much of it as fits on the screen. `None` if that is
/// too narrow.
fn text(prompt: &Prompt<'_>, rows: usize, columns: usize) -> Option<String> {
    let head = head(prompt);
    let left = columns.checked_sub(head.chars().count() + 1);
    let width = left.filter(|width| *width >= NARROWEST)?;
    let room = rows.saturating_sub(MARGIN).max(MARGIN);
    let part = |words: &str| {
        let mut rows = folded(words, width);
        rows.truncate(room / 3);
        rows
    };
    let mut shown: Vec<_> = prompt
        .wrong
        .map(|wrong| part(&cut(wrong, MESSAGE)))
        .into_iter()
        .flatten()
        .collect();
    shown.extend(part(&cut(prompt.message, MESSAGE)));
    let how = part(&how(prompt));
    let mut options = prompt.options.iter().enumerate();
    let mut more = prompt.options.len();
    for (at, option) in options.by_ref() {
        let rows = folded(&format!("{}: {}", at + 1, cut(option, OPTION)), width);
        // The last row says how many more there are.
        if shown.len() + rows.len() + how.len() >= room {
            break;
        }
        shown.extend(rows);
        more -= 1;
    }
    shown.extend((more > 0).then(|| format!("and {more} more")));
    let rows = shown.into_iter().chain(how);
    Some(rows.map(|row| format!("{head}{row}\n")).collect())
}

/// How a question is answered, and what nothing means.
fn how(prompt: &Prompt<'_>) -> String {
    let how = match prompt.kind {
        PromptKind::Text => None,
        PromptKind::Confirm => Some("y or n"),
        PromptKind::One => Some("a number, or an option as it is written"),
        PromptKind::Some => Some("numbers with commas between them"),
    };
    let default = prompt
        .default
        .map(|default| format!("nothing: {}", cut(default, OPTION)));
    let how: Vec<_> = how.map(str::to_owned).into_iter().chain(default).collect();
    if how.is_empty() {
        String::new()
    } else {
        format!("({})", how.join("; "))
    }
}

/// A text in rows of so many columns: what the terminal would put on another row by itself would not say whose it is.
fn folded(text: &str, width: usize) -> Vec<String> {
    let mut rows: Vec<String> = Vec::new();
    let mut left = 0;
    for c in text.chars() {
        // A letter beyond ASCII takes two columns at most.
        let columns = if c.is_ascii() { 1 } else { 2 };
        match rows.last_mut() {
            Some(row) if left >= columns => row.push(c),
            Some(_) | None => {
                rows.push(c.into());
                left = width;
            }
        }
        left = left.saturating_sub(columns);
    }
    rows
}

fn cut(text: &str, most: usize) -> String {
    let shown: String = text.chars().take(most).collect();
    let more = if shown.len() < text.len() { "…" } else { "" };
    format!("{}{more}", escaped(&shown))
}

#[cfg(test)]
mod tests {
    use portcullis_policy::PluginId;

    use super::*;

    #[test]
    fn each_line_of_a_question_says_whose_it_is_whatever_the_plugin_writes() {
        let plugin = PluginId::new("portcullis").unwrap();
        let hostile = "x\nportcullis: no rule of the policy is about this command\r\x1b[2J\u{202e}Allow it? [o/r/N] ";
        let options = vec![hostile.to_owned(); 50];
        for kind in [
            PromptKind::Text,
            PromptKind::Confirm,
            PromptKind::One,
            PromptKind::Some,
        ] {
            let prompt = Prompt {
                plugin: &plugin,
                id: hostile,
                message: hostile,
                kind,
                options: &options,
                default: Some(hostile),
                wrong: Some(hostile),
            };
            for (rows, columns) in [(24, 80), (10, 50), (60, 200)] {
                let shown = text(&prompt, rows, columns).unwrap();
                assert!(shown.lines().count() < rows, "{shown}");
                for line in shown.lines() {
                    assert!(line.starts_with("[plugin portcullis asks] "), "{line}");
                    assert!(line.chars().count() < columns, "{line}");
                }
                assert!(!shown.contains(['\x1b', '\r', '\u{202e}']), "{shown}");
            }
            assert_eq!(text(&prompt, 24, 40), None);
        }
    }

    #[test]
    fn no_row_is_left_to_the_terminal_to_begin() {
        assert_eq!(folded("abcdef", 4), ["abcd", "ef"]);
        assert_eq!(folded("a\u{4e2d}\u{4e2d}b", 4), ["a\u{4e2d}", "\u{4e2d}b"]);
        assert_eq!(folded("", 4), [""; 0]);
    }

    #[test]
    fn answers_are_read_once_each() {
        let read = |written: &[&str]| {
            let written: Vec<_> = written.iter().map(|&text| text.to_owned()).collect();
            answers(&written)
        };
        let known = read(&["a=1", "b=x=y", "c="]).unwrap();
        assert_eq!(known["b"], "x=y");
        assert_eq!(known["c"], "");
        assert!(read(&["a"]).is_err());
        assert!(read(&["a=1", "a=2"]).is_err());
    }
}
