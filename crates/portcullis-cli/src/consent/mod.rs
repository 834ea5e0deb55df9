//! A person is asked at the terminal.

mod keep;
mod terminal;
mod text;
mod turn;

use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use portcullis::{Answer, Consent, Question};

use crate::render::screen::Screen;
use crate::render::{Printer, line};

pub(crate) use keep::Keeper;
pub(crate) use terminal::Terminal;
pub(crate) use text::{escaped, wrapped};
pub(crate) use turn::take as turn;

/// How long a plugin's output may take to be written before a question.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often an answer that means nothing is asked for again.
const TRIES: usize = 3;

/// Asks at the controlling terminal of this process.
#[derive(Debug)]
pub(crate) struct AtTheTerminal {
    pub(crate) screen: Screen,
    /// Where answers are kept; without it a command is allowed once or not at all.
    pub(crate) keeper: Option<Keeper>,
    /// Whether the plugin reads what is typed at the terminal.
    pub(crate) typed_for_the_plugin: bool,
    /// Our own directory, where whoever asks waits for one another: an answer must not be read by two.
    pub(crate) data: PathBuf,
    pub(crate) out: Printer,
}

impl Consent for AtTheTerminal {
    fn ask<'a>(
        &'a self,
        question: Question<'a>,
    ) -> Pin<Box<dyn Future<Output = Answer> + Send + 'a>> {
        Box::pin(async move { self.answer(question).await.unwrap_or_else(Answer::Unasked) })
    }
}

impl AtTheTerminal {
    /// # Errors
    /// Why nobody was asked.
    async fn answer(&self, question: Question<'_>) -> Result<Answer, String> {
        if let Some(keeper) = &self.keeper
            && !keeper.is_asked_for(question.request, question.rule)
        {
            return Err("the plugin's manifest does not ask for it".to_owned());
        }
        if self.typed_for_the_plugin {
            return Err("with `--stdin` what is typed is the plugin's".to_owned());
        }
        let Ok(_held) = tokio::time::timeout(PATIENCE, self.screen.hold()).await else {
            return Err("what the plugin writes is not read".to_owned());
        };
        if self.screen.is_piped() {
            let why = "what the plugin wrote went into a pipe, and whoever reads it could write over a question";
            return Err(why.to_owned());
        }
        let _turn = turn::take(&self.data, self.out).await?;
        let mut terminal = Terminal::open()?;
        let (rows, columns) = text::SMALLEST;
        if terminal.rows < rows || terminal.columns < columns {
            return Err(format!(
                "the terminal is smaller than {rows} rows of {columns} columns"
            ));
        }
        Ok(self.converse(&mut terminal, &question).await)
    }

    async fn converse(&self, terminal: &mut Terminal, question: &Question<'_>) -> Answer {
        let mut all = String::new();
        let mut tries = 0;
        while tries < TRIES {
            let shown = text::of_command(
                question,
                self.keeper.is_some(),
                terminal.rows,
                terminal.columns,
            );
            let keys = if shown.cut && all.is_empty() {
                Keys::Incomplete
            } else {
                self.keys()
            };
            let before = std::mem::take(&mut all);
            let text = format!(
                "{before}{HEAD}\n{}{}",
                shown.text,
                self.words(&keys, terminal.columns)
            );
            let Some(typed) = terminal.ask(&text, keys.prompt()).await else {
                terminal.say("not allowed\n").await;
                return Answer::No;
            };
            match keys.of(&typed) {
                Some(Key::No) => {
                    terminal.say("not allowed\n").await;
                    return Answer::No;
                }
                Some(Key::Show) => all = text::whole(question),
                Some(Key::Once) => return Answer::Once,
                Some(Key::Run) => return Answer::Run,
                Some(Key::Always) => return self.always(terminal, question).await,
                None => {
                    tries += 1;
                    all = before;
                }
            }
        }
        Answer::No
    }

    fn keys(&self) -> Keys {
        match &self.keeper {
            Some(keeper) if keeper.place().is_some() => Keys::All,
            Some(_) => Keys::Run,
            None => Keys::Once,
        }
    }

    fn words(&self, keys: &Keys, columns: usize) -> String {
        let place = self.keeper.as_ref().and_then(Keeper::place);
        match (keys, place) {
            (Keys::Incomplete, _) => "  s: show all of it   n: no\n".to_owned(),
            (Keys::Once, _) => "  o: once   n: no\n".to_owned(),
            (Keys::Run, _) | (Keys::All, None) => {
                "  o: once   r: for this run   n: no\n".to_owned()
            }
            (Keys::All, Some(place)) => {
                let always = format!("  a: always, exactly this; kept {place}");
                let always = text::middle(&text::escaped(&always), columns.saturating_sub(1));
                format!("  o: once   r: for this run   n: no\n{always}\n")
            }
        }
    }

    async fn always(&self, terminal: &mut Terminal, question: &Question<'_>) -> Answer {
        let kept = match &self.keeper {
            Some(keeper) => keeper.keep(question.rule),
            None => Err("there is no plugin".to_owned()),
        };
        match kept {
            Ok(()) => Answer::Always,
            Err(why) => {
                let told = format!("allowed for this run, but not always: {}\n", line(&why));
                terminal.say(&told).await;
                Answer::Run
            }
        }
    }
}

/// The first line of a question.
const HEAD: &str = "portcullis: no rule of the policy is about this command";

/// The keys of a question.
enum Keys {
    /// Some of it was not shown yet: nobody agrees to what was not shown.
    Incomplete,
    Once,
    Run,
    All,
}

enum Key {
    Once,
    Run,
    Always,
    No,
    Show,
}

impl Keys {
    const fn prompt(&self) -> &'static str {
        match self {
            Self::Incomplete => "Allow it? [s/N] ",
            Self::Once => "Allow it? [o/N] ",
            Self::Run => "Allow it? [o/r/N] ",
            Self::All => "Allow it? [o/r/a/N] ",
        }
    }

    /// What was typed means; nothing typed is no.
    fn of(&self, typed: &str) -> Option<Key> {
        let typed = typed.to_ascii_lowercase();
        match (typed.as_str(), self) {
            ("" | "n" | "no", _) => Some(Key::No),
            ("s" | "show", Self::Incomplete) => Some(Key::Show),
            ("o" | "once", Self::Once | Self::Run | Self::All) => Some(Key::Once),
            ("r" | "run", Self::Run | Self::All) => Some(Key::Run),
            ("a" | "always", Self::All) => Some(Key::Always),
            _ => None,
        }
    }
}
