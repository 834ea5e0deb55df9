//! A person agrees to a plugin, at the terminal.

use crate::code;
use crate::consent::{self, Terminal, wrapped};
use crate::exit::Exit;
use crate::failure::{Failure, Result, Say, diagnostic};
use crate::render::{Printer, count, shell};
use crate::settings::Settings;
use crate::signals::Signals;

/// What was agreed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::commands) enum Agreed {
    /// The plugin, with what the policy gives it.
    ToThePlugin,
    /// The plugin, and what it asks for besides.
    ToWhatItAsks,
}

/// What a person is asked.
#[derive(Debug)]
pub(in crate::commands) struct Question<'a> {
    /// The plugin.
    pub(in crate::commands) name: &'a str,
    /// All there is to know before one agrees.
    pub(in crate::commands) lines: Vec<String>,
    /// What is asked, such as `install it?`.
    pub(in crate::commands) what: &'a str,
    /// What does not happen without an answer, such as `installed`.
    pub(in crate::commands) refused: &'a str,
    /// Whether it can also be given what it asks for.
    pub(in crate::commands) can_grant: bool,
    /// What to type where nobody can be asked.
    pub(in crate::commands) command: Vec<String>,
}

impl Question<'_> {
    /// The failure of what nobody agreed to.
    pub(in crate::commands) fn refuse(&self, why: impl std::fmt::Display) -> Failure {
        let message = format!("plugin `{}` is not {}", self.name, self.refused);
        Failure {
            exit: Exit::NEGATIVE,
            ..Failure::usage(
                diagnostic(code::NOT_INSTALLED, message)
                    .note(why)
                    .help(shell(&self.command)),
            )
        }
    }

    /// Asks. The inner error is a signal that came instead of an answer.
    ///
    /// # Errors
    /// Nobody could be asked, or they did not agree.
    pub(in crate::commands) async fn ask(
        &self,
        settings: &Settings,
        signals: &mut Signals,
        out: Printer,
    ) -> Result<std::result::Result<Agreed, Exit>> {
        let _turn = consent::turn(&settings.directories.data, out)
            .await
            .map_err(|why| self.refuse(why))?;
        let mut terminal = Terminal::open().map_err(|why| self.refuse(why))?;
        let lines: Vec<_> = self.lines.iter().flat_map(|line| wrapped(line)).collect();
        let grant = if self.can_grant {
            "\n  grant: also give it what it asks for"
        } else {
            ""
        };
        let text = format!(
            "{}\n\nportcullis: {} That is {} above.\n  yes: with what your policy gives it, as above{grant}\n",
            lines.join("\n"),
            self.what,
            count(lines.len() as u64, "line"),
        );
        let prompt = if self.can_grant {
            "Agree? [yes/grant/N] "
        } else {
            "Agree? [yes/N] "
        };
        let answer = tokio::select! {
            answer = terminal.ask(&text, prompt) => answer,
            exit = signals.next() => return Ok(Err(exit)),
        };
        match answer.as_deref() {
            Some("yes") => Ok(Ok(Agreed::ToThePlugin)),
            Some("grant") if self.can_grant => Ok(Ok(Agreed::ToWhatItAsks)),
            _ => Err(self.refuse("you were asked, and did not agree")),
        }
    }
}
