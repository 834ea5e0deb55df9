//! A person agrees to a commit, at the terminal.

use portcullis::stage::{Difference, Stage};

use super::not_committed;
use super::shown::{self, List};
use crate::code;
use crate::consent::{self, Terminal, wrapped};
use crate::failure::{Failure, Result, chain};
use crate::render::Printer;
use crate::settings::Settings;
use crate::signals::Signals;

/// How often all of it is shown.
const TRIES: usize = 3;

/// Asks whether what is listed is to be committed.
///
/// # Errors
/// Nobody could be asked, or they did not agree.
pub(super) fn ask(
    stage: &Stage,
    difference: &Difference,
    list: &List,
    settings: &Settings,
    out: Printer,
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::unavailable(chain(code::HOST, &error)))?;
    runtime.block_on(async {
        let refused = |why: String| {
            not_committed(&why).with_help("`--stage=always` commits without a question")
        };
        let _turn = consent::turn(&settings.directories.data, out)
            .await
            .map_err(refused)?;
        let mut signals = Signals::install()?;
        let mut terminal = Terminal::open().map_err(refused)?;
        let mut whole = None;
        for _ in 0..TRIES {
            let list = whole.as_ref().unwrap_or(list);
            let lines: Vec<_> = list.lines.iter().flat_map(|line| wrapped(line)).collect();
            let text = format!(
                "{}\n\nportcullis: commit {}?\n",
                lines.join("\n"),
                shown::summary(difference, list)
            );
            let prompt = match list.left_out {
                0 => "Commit it? [yes/N] ",
                _ => "Commit it? [yes/show/N] ",
            };
            let answer = tokio::select! {
                answer = terminal.ask(&text, prompt) => answer,
                _ = signals.next() => None,
            };
            match answer.as_deref() {
                Some("yes") => return Ok(()),
                Some("show") if list.left_out > 0 => whole = Some(shown::all(stage, difference)),
                _ => break,
            }
        }
        Err(not_committed("you were asked, and did not agree"))
    })
}
