//! What is said beside a proposal: what was kept from the call, what is not proposed, and how to learn further.

use std::collections::BTreeSet;
use std::path::Path;

use portcullis_audit::Masked;

use super::draft::{Draft, RULES};
use super::never::{kind, runs_anything, words};
use super::proposal::{Key, quoted};
use super::trial::Denied;
use crate::render;

impl Draft<'_> {
    /// What is not proposed although it was used or asked for, a line each.
    pub(super) fn notes(&self, denials: &[Denied]) -> Vec<String> {
        let mut notes: BTreeSet<String> = BTreeSet::new();
        for command in &self.seen.commands {
            let object = Masked::argv(words(command));
            if !self.is_proposed(command) {
                let what = runs_anything(command).unwrap_or_default();
                notes.insert(format!(
                    "not proposed: {object}: it {what}; {} asks for it",
                    flag("exec", &command.program)
                ));
            } else if let Some(why) = self.kept_out(command) {
                notes.insert(format!("not proposed: {object}: {why}"));
            }
            for (program, what) in command
                .programs
                .keys()
                .filter_map(|program| Some((program, kind(program, &["shells"])?)))
            {
                notes.insert(format!(
                    "`{}` started `{}`, which {what}: such are never in a list `exec` unasked",
                    command.program,
                    program.display()
                ));
            }
            for host in command.refused_hosts.keys() {
                notes.insert(format!(
                    "`{}` asked for {host}: to learn further, {}",
                    command.program,
                    flag("net", host)
                ));
            }
        }
        for path in self.used_secrets().filter(|path| path.exists()) {
            notes.insert(format!(
                "not proposed, and nothing that it lies in: `{}`, where secrets are kept",
                path.display()
            ));
        }
        for (name, variable) in &self.seen.variables {
            let mut asked = self.bounds.others.iter();
            let is_asked = asked.any(|line| line.key == Key::Env && line.value == quoted(name));
            if !variable.is_set || is_asked || self.variables.contains(name) {
                continue;
            }
            notes.insert(if self.env.is_secret(name) {
                format!("not proposed: the variable `{name}`, which looks like a secret")
            } else {
                format!(
                    "not told, and not proposed: the variable `{name}`; {} asks for it",
                    flag("env", name)
                )
            });
        }
        for Denied {
            code,
            object,
            right,
        } in denials
        {
            let variable = self.seen.variables.get(object);
            if variable.is_some_and(|variable| !variable.is_set) {
                continue;
            }
            let right = right
                .as_ref()
                .filter(|(_, of)| !self.is_secret(Path::new(of)));
            let further = right.map_or_else(String::new, |(right, of)| {
                format!(": to learn further, {}", flag(right, of))
            });
            notes.insert(format!(
                "denied while it was learnt: {object} ({code}){further}"
            ));
        }
        if self.rules(false).len() > RULES {
            notes.insert(format!(
                "there would be more than {RULES} rules, which nobody reads: the rest is not proposed"
            ));
        }
        if self.seen.is_cut {
            notes.insert("there was more than was kept to learn from".to_owned());
        }
        notes.into_iter().collect()
    }
}

/// How something is learnt further, as it can be pasted.
fn flag(right: &str, of: &str) -> String {
    let flag = format!("--allow-{right}={of}");
    format!("`--learn {}`", render::shell(&[flag]))
}
