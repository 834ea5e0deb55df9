//! All that was denied in one run: equal denials once, and the one command that allows everything that was missing.

use std::borrow::Cow;
use std::path::Path;

use portcullis::{Diagnostic, keeps_secrets};
use portcullis_audit::mask;
use portcullis_policy::{Denial, Remedy};
use serde::Serialize;

use super::{Level, Printer, report, shell};
use crate::target::Target;

/// A denial, and how often it happened.
#[derive(Debug, Serialize)]
pub(crate) struct Counted {
    #[serde(flatten)]
    pub(crate) denial: Denial,
    pub(crate) count: usize,
}

/// Everything that was denied, in the order of the first of each.
#[derive(Debug)]
pub(crate) struct Denials(pub(crate) Vec<Counted>);

impl Denials {
    /// Counts equal denials, and completes their commands.
    pub(crate) fn of(denials: &[Denial], target: &Target) -> Self {
        let mut counted: Vec<Counted> = Vec::new();
        for denial in denials {
            let mut denial = target.explain(denial.clone());
            for command in denial
                .remedies
                .iter_mut()
                .filter_map(|remedy| remedy.command.as_mut())
            {
                *command = target.editing.complete(command);
            }
            without_secrets(&mut denial);
            withhold(&mut denial.remedies);
            match counted.iter_mut().find(|known| known.denial == denial) {
                Some(known) => known.count += 1,
                None => counted.push(Counted { denial, count: 1 }),
            }
        }
        Self(counted)
    }

    /// Denials of `portcullis exec`, for which there is no plugin to grant anything to.
    pub(crate) fn of_a_command<'a>(
        denials: &[Denial],
        help: impl Fn(&Denial) -> Option<&'a str>,
    ) -> Self {
        let told = denials.iter().map(|denial| {
            let mut denial = denial.clone();
            denial.remedies.retain(|remedy| remedy.command.is_none());
            denial.remedies.extend(help(&denial).map(|help| Remedy {
                text: help.to_owned(),
                command: None,
            }));
            without_secrets(&mut denial);
            Counted { denial, count: 1 }
        });
        Self(told.collect())
    }

    /// The commands that together allow everything that a command can allow, each once.
    pub(crate) fn commands(&self) -> Vec<&[String]> {
        let mut commands: Vec<&[String]> = Vec::new();
        for command in self
            .0
            .iter()
            .flat_map(|counted| &counted.denial.remedies)
            .filter_map(|remedy| remedy.command.as_deref())
        {
            if !commands.contains(&command) {
                commands.push(command);
            }
        }
        commands
    }
}

/// Masks the texts of a denial. A command with a secret in it would be masked too, and so allow something else: the
/// remedy says so instead.
fn without_secrets(denial: &mut Denial) {
    let texts = [&mut denial.action, &mut denial.object];
    for text in texts.into_iter().chain(&mut denial.notes) {
        if let Cow::Owned(masked) = mask(text) {
            *text = masked;
        }
    }
    for remedy in &mut denial.remedies {
        let command = remedy.command.as_deref().map(shell);
        if command.is_some_and(|command| matches!(mask(&command), Cow::Owned(_))) {
            remedy.command = None;
            remedy.text = format!(
                "{}: the command has a secret in it; write a rule with `*` in its place",
                remedy.text
            );
        }
    }
}

/// Hands out no command that grants what lies where people keep secrets: a plugin decides what it is denied.
pub(crate) fn withhold(remedies: &mut [Remedy]) {
    for remedy in remedies {
        let path = match remedy.command.as_deref() {
            Some([.., right, path]) if matches!(right.as_str(), "read" | "write") => path,
            _ => continue,
        };
        if keeps_secrets(Path::new(path)) {
            remedy.text = format!(
                "{}: secrets are kept there, so write it into the policy by hand, if you mean it",
                remedy.text
            );
            remedy.command = None;
        }
    }
}

/// Commands that are shown as one; a plugin decides how many there are.
const JOINED: usize = 16;

impl Printer {
    /// Reports all denials, and after them what would allow them.
    pub(crate) fn denials(self, level: Level, denials: &Denials) {
        if level == Level::Warning && self.quiet {
            return;
        }
        let commands = denials.commands();
        for counted in &denials.0 {
            let mut diagnostic = Diagnostic::from(&counted.denial);
            if counted.count > 1 {
                diagnostic.notes.push(format!("{} times", counted.count));
            }
            if commands.len() > 1 {
                // The commands follow together.
                diagnostic.helps.retain(|remedy| remedy.command.is_none());
            }
            self.tell(report::plain(level, &diagnostic).trim_end());
        }
        if commands.len() > 1 {
            let shown = commands.iter().take(JOINED).map(|command| shell(command));
            let mut joined = shown.collect::<Vec<_>>().join(" && ");
            if let Some(more @ 1..) = commands.len().checked_sub(JOINED) {
                joined.push_str(&format!(", and {more} more, which `--json` prints"));
            }
            let mut out = String::new();
            report::push(
                &mut out,
                "help",
                &format!("to allow exactly these: {joined}"),
            );
            self.tell(out.trim_start().trim_end());
        }
    }
}
