//! From a policy that is enough to one of which nothing can be left out.

use std::path::{Path, PathBuf};

use super::Found;
use super::draft::Draft;
use super::places::Cut;
use super::proposal::{Key, Line, Proposal};
use super::trial::{Run, Trials};
use crate::failure::Result;
use crate::signals::Signals;

/// A proposal on its way.
pub(super) struct Shrinking<'a> {
    pub(super) trials: Trials<'a>,
    pub(super) draft: &'a Draft<'a>,
    pub(super) signals: &'a mut Signals,
    /// Whether there was no time to try everything.
    pub(super) is_cut_short: bool,
}

impl Shrinking<'_> {
    pub(super) async fn shrink(&mut self, learnt: &Run) -> Result<(Proposal, Found)> {
        let whole = self.draft.whole(true);
        let untried = if self.draft.seen.has_effects() {
            Some("a second run would have done again what the first one did on the network")
        } else if learnt.is_endless() {
            Some("the call was ended because its time was over, which it would be in each trial")
        } else {
            None
        };
        if let Some(why) = untried {
            return Ok((self.narrowest(), Found::Untried(why)));
        }
        let mut proposal = whole;
        let mut is_enough = self.trials.begin(&proposal, learnt, self.signals).await?;
        if !is_enough {
            // A kind may have been read out of arguments that are none.
            let literal = self.draft.whole(false);
            if literal != proposal {
                proposal = literal;
                is_enough = self.trials.begin(&proposal, learnt, self.signals).await?;
            }
        }
        if !self.trials.can_compare() {
            return Ok((self.narrowest(), Found::TooLittle));
        }
        if !self.write_nothing(&mut proposal).await? {
            self.cut(&mut proposal, Key::Write).await?;
        }
        self.cut(&mut proposal, Key::Read).await?;
        self.drop_lines(&mut proposal, 0).await?;
        self.drop_commands(&mut proposal).await?;
        self.tighten(&mut proposal).await?;
        self.narrow_rules(&mut proposal).await?;
        // What comes to the same by chance once does not twice.
        let holds = self.trials.is_enough(&proposal, self.signals).await?;
        Ok((
            proposal,
            if is_enough && holds {
                Found::Enough
            } else {
                Found::TooLittle
            },
        ))
    }

    /// What was used and nothing wider, untried.
    fn narrowest(&self) -> Proposal {
        let mut proposal = self.draft.whole(false);
        let bounds = self.draft.bounds;
        proposal.lines.retain(|line| bounds.may_need(line.key));
        for key in [Key::Read, Key::Write] {
            self.replace(
                &mut proposal,
                key,
                self.draft.cover(key, None, Cut::Directories),
            );
        }
        proposal
    }

    fn replace(&self, proposal: &mut Proposal, key: Key, places: Vec<PathBuf>) {
        let named = &self.draft.bounds.named;
        let is_named = |line: &Line| named.iter().any(|(_, named)| named == line);
        proposal
            .lines
            .retain(|line| line.key != key || is_named(line));
        proposal.lines.extend(self.draft.places(key, places));
    }

    /// Takes a change over if it leaves enough. Gives whether it does.
    async fn attempt(&mut self, proposal: &mut Proposal, changed: Proposal) -> Result<bool> {
        if self.trials.are_over() {
            self.is_cut_short = true;
            return Ok(false);
        }
        if changed == *proposal {
            return Ok(false);
        }
        let is_enough = self.trials.is_enough(&changed, self.signals).await?;
        if is_enough {
            *proposal = changed;
        }
        Ok(is_enough)
    }

    /// Takes away all writing where none was seen, and compares with that from then on.
    async fn write_nothing(&mut self, proposal: &mut Proposal) -> Result<bool> {
        if self.draft.has_written() || !self.draft.bounds.named.is_empty() {
            return Ok(false);
        }
        let mut changed = proposal.clone();
        self.replace(&mut changed, Key::Write, Vec::new());
        self.replace(&mut changed, Key::Read, self.draft.wide(Key::Read));
        let does = self.trials.begin_unstaged(&changed, self.signals).await?;
        if does {
            *proposal = changed;
        }
        Ok(does)
    }

    /// Cuts the directories down: to nothing, to the files that were used, to their directories, or not at all.
    async fn cut(&mut self, proposal: &mut Proposal, key: Key) -> Result<()> {
        if !proposal.lines.iter().any(|line| line.key == key) {
            return Ok(());
        }
        let covers = [
            Vec::new(),
            self.draft.cover(key, None, Cut::Files),
            self.draft.cover(key, None, Cut::Directories),
        ];
        for places in covers {
            let mut changed = proposal.clone();
            self.replace(&mut changed, key, places.clone());
            if key == Key::Write {
                // What may be written may be read, and now is only read.
                let mut read = self.draft.wide(Key::Read);
                read.retain(|dir| !places.iter().any(|place| dir.starts_with(place)));
                self.replace(&mut changed, Key::Read, read);
            }
            if self.attempt(proposal, changed).await? {
                break;
            }
        }
        Ok(())
    }

    /// Leaves out each line that is not needed, from one on.
    async fn drop_lines(&mut self, proposal: &mut Proposal, from: usize) -> Result<()> {
        let mut at = from;
        while at < proposal.lines.len() {
            let mut changed = proposal.clone();
            changed.lines.remove(at);
            if !self.attempt(proposal, changed).await? {
                at += 1;
            }
        }
        Ok(())
    }

    /// Takes away commands altogether where none is allowed.
    async fn drop_commands(&mut self, proposal: &mut Proposal) -> Result<()> {
        if !proposal.lines.iter().any(|line| line.key == Key::Allow) {
            let changed = Proposal {
                has_commands: false,
                ..proposal.clone()
            };
            self.attempt(proposal, changed).await?;
        }
        Ok(())
    }

    /// Has each directory give way to the files in it, where few were used.
    async fn tighten(&mut self, proposal: &mut Proposal) -> Result<()> {
        for key in [Key::Write, Key::Read] {
            let files = self.draft.cover(key, None, Cut::Files);
            let dirs: Vec<_> = proposal
                .lines
                .iter()
                .filter(|line| line.key == key)
                .cloned()
                .collect();
            for dir in dirs {
                let is_it = |place: &Path| self.draft.place(place).as_ref() == Some(&dir.value);
                let within: Vec<_> = files
                    .iter()
                    .filter(|file| file.ancestors().skip(1).any(is_it))
                    .cloned()
                    .collect();
                if within.is_empty() {
                    continue;
                }
                let mut changed = proposal.clone();
                changed.lines.retain(|line| *line != dir);
                changed.lines.extend(self.draft.places(key, within));
                let new = proposal.lines.len() - 1;
                if self.attempt(proposal, changed).await? {
                    self.drop_lines(proposal, new).await?;
                }
            }
        }
        Ok(())
    }

    /// Takes away from each rule what its commands did not need.
    async fn narrow_rules(&mut self, proposal: &mut Proposal) -> Result<()> {
        let draft = self.draft;
        let has = |proposal: &Proposal, key| proposal.lines.iter().any(|line| line.key == key);
        let rules: Vec<_> = (0..proposal.lines.len())
            .filter(|&at| proposal.lines[at].key == Key::Allow)
            .collect();
        // With one rule, and a plugin that uses no file itself, the rights of the rule are those of the plugin.
        let is_alone = rules.len() == 1 && draft.seen.files.is_empty();
        for at in rules {
            let commands = draft.commands_of(&proposal.lines[at]);
            let mut choices = vec![draft.programs(&commands)];
            if !is_alone && has(proposal, Key::Write) {
                choices.push(draft.own(proposal, Key::Write, &commands));
            }
            if !is_alone && has(proposal, Key::Read) {
                choices.push(draft.own(proposal, Key::Read, &commands));
            }
            if has(proposal, Key::Net) {
                choices.push(vec!["net = \"none\"".to_owned()]);
            }
            for narrowings in choices {
                for narrowing in narrowings {
                    let mut changed = proposal.clone();
                    changed.lines[at].narrowing.push(narrowing);
                    if self.attempt(proposal, changed).await? {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// What there is to say of the trials.
    pub(super) fn notes(&self, found: Found) -> Vec<String> {
        let mut notes = Vec::new();
        match found {
            Found::Enough => {}
            Found::TooLittle => notes.push(
                "NOT ENOUGH: under this policy the call comes to something else than while it was learnt: what it needs is not proposed, or no two runs of it are the same"
                    .to_owned(),
            ),
            Found::Untried(why) => notes.push(format!("NOT TRIED: {why}")),
        }
        if self.is_cut_short {
            notes.push(
                "there was no time to try without each line: some may not be needed".to_owned(),
            );
        }
        if found == Found::Enough {
            for what in self.trials.unsteady() {
                notes.push(format!(
                    "of two calls the {what} differed, so it was not compared"
                ));
            }
        }
        notes
    }
}
