//! A person agrees to a commit, at the terminal.

use portcullis::stage::{Difference, Stage};

use super::content;
use super::not_committed;
use super::shown::{self, List};
use crate::code;
use crate::consent::{self, Terminal, wrapped};
use crate::failure::{Failure, Result, chain};
use crate::render::Printer;
use crate::settings::Settings;
use crate::signals::Signals;

/// How often more of it is shown.
const TRIES: usize = 5;

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
        let mut rows = Vec::new();
        let has_content = difference.changes.iter().any(content::is_of_file);
        for _ in 0..TRIES {
            let list = whole.as_ref().unwrap_or(list);
            let lines = list.lines.iter().flat_map(|line| wrapped(line));
            let lines: Vec<_> = lines.chain(std::mem::take(&mut rows)).collect();
            let text = format!(
                "{}\n\nportcullis: commit {}?\n",
                lines.join("\n"),
                shown::summary(difference, list)
            );
            let more = match list.left_out {
                0 => "",
                _ => "/show",
            };
            let within = if has_content { "/diff" } else { "" };
            let prompt = format!("Commit it? [yes{more}{within}/N] ");
            let answer = tokio::select! {
                answer = terminal.ask(&text, &prompt) => answer,
                _ = signals.next() => None,
            };
            match answer.as_deref() {
                Some("yes") => return Ok(()),
                Some("show") if list.left_out > 0 => whole = Some(shown::all(stage, difference)),
                Some("diff") if has_content => rows = content::rows(stage, difference),
                _ => break,
            }
        }
        Err(not_committed("you were asked, and did not agree"))
    })
}
