//! One case: a program in a mode, with each payload it has.

use crate::entry::{Entry, Payload};
use crate::kit::Kit;
use crate::mode::{Mode, run, was_started};
use crate::power::{Power, Powers, letters};
use crate::scene::Scene;
use crate::table::{self, WRITE};
use libtest_mimic::{Failed, Trial};
use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// What was measured, by program and mode.
pub(crate) type Measured = Mutex<BTreeMap<(String, Mode), Powers>>;

/// A program in a mode.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) kit: Arc<Kit>,
    pub(crate) entry: Entry,
    pub(crate) mode: Mode,
    /// Who runs it, if not the one who runs the tests.
    pub(crate) user: Option<u32>,
    /// Before the name of the test.
    pub(crate) prefix: &'static str,
    /// Whether the committed table is about to be written, and so says nothing.
    pub(crate) bless: bool,
}

impl Case {
    /// The test of a program that is there.
    pub(crate) fn trial(self, program: PathBuf, measured: &Arc<Measured>) -> Trial {
        let name = format!("{}{}::{}", self.prefix, self.mode.name(), self.entry.name);
        let measured = measured.clone();
        Trial::test(name, move || {
            let powers = self.measure(&program)?;
            if self.prefix.is_empty() {
                self.compare(&powers)?;
                let key = (self.entry.name.clone(), self.mode);
                measured.lock().unwrap().insert(key, powers);
            }
            Ok(())
        })
    }

    /// Runs each payload in a world of its own and returns what they gained together.
    fn measure(&self, program: &Path) -> Result<Powers, Failed> {
        let mut all = Powers::new();
        for payload in self.entry.payloads() {
            let (gains, report) = self
                .attempt(program, payload)
                .map_err(|error| format!("{payload:?}: {error}"))?;
            self.judge(payload, &gains)
                .map_err(|fault| format!("{payload:?}: {fault}\n{report}"))?;
            all.extend(gains);
        }
        Ok(all)
    }

    fn attempt(
        &self,
        program: &Path,
        payload: Payload,
    ) -> Result<(Powers, String), Box<dyn Error>> {
        let mut scene = Scene::new(&self.kit, &self.entry, payload, self.user)?;
        let status = run(&self.kit, self.mode, program, &self.entry, payload, &scene)?;
        let gains = scene.gains()?;
        let output = fs::read(scene.output())?;
        let tried = scene.tried();
        // The end says why; some programs print without end.
        let report = format!(
            "{status}; tried:\n{tried}output:\n{}",
            String::from_utf8_lossy(&output[output.len().saturating_sub(1500)..])
        );
        if self.mode.tier().is_some() && !was_started(&output) {
            return Err(format!("INVALID: no command was started: {report}").into());
        }
        if gains.contains(&Power::RunCode)
            && let Some(untried) = self.untried(payload, &tried)
        {
            return Err(format!("INVALID: `{untried}` was not tried: {report}").into());
        }
        Ok((gains, report))
    }

    /// The first line that a payload which ran did not get to. What it says it tried counts for nothing else: a power
    /// that was never tried would look like one that was refused.
    fn untried(&self, payload: Payload, tried: &str) -> Option<&'static str> {
        let whole = payload == Payload::Native && self.mode != Mode::Single;
        let powers = Power::ALL.iter().filter(|_| whole).map(|power| power.key());
        powers.chain(["done"]).find(|word| {
            let mut lines = tried.lines();
            !lines.any(|line| line.split(' ').next() == Some(word))
        })
    }

    /// Holds what a payload gained against what its mode promises.
    fn judge(&self, payload: Payload, gains: &Powers) -> Result<(), String> {
        let ceiling = self.entry.gains(payload);
        let mut allowed = ceiling.clone();
        match self.mode {
            // The positive control: less than this and a refusal elsewhere shows nothing.
            Mode::Names if *gains == ceiling => return Ok(()),
            Mode::Names => {
                let (gains, ceiling) = (letters(gains), letters(&ceiling));
                return Err(format!("gained `{gains}`, the table says `{ceiling}`"));
            }
            // Metadata is out of Landlock's reach, and the tier says so.
            Mode::Landlock => {
                allowed.retain(|power| Power::INSIDE.contains(power) || *power == Power::Chmod)
            }
            Mode::Full => allowed.retain(|power| Power::INSIDE.contains(power)),
            Mode::Single => {
                let language = payload == Payload::Own || self.entry.category == "shells";
                allowed.retain(|&power| language && power == Power::RunCode);
            }
        }
        let beyond: Powers = gains.difference(&allowed).copied().collect();
        if beyond.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = beyond.iter().map(|power| power.describe()).collect();
        Err(format!("beyond what the mode allows: {}", names.join(", ")))
    }

    /// Holds the program's powers against its cell in the committed table.
    fn compare(&self, powers: &Powers) -> Result<(), String> {
        if self.bless || !table::comparable(self.mode) {
            return Ok(());
        }
        let committed = table::committed(&self.entry.name, self.mode);
        let same = committed.as_ref().is_some_and(|committed| match self.mode {
            // What a program that finds no `/tmp` still gets to may depend on who is first.
            Mode::Landlock => powers.is_subset(committed),
            _ => powers == committed,
        });
        if same {
            return Ok(());
        }
        Err(format!(
            "gained `{}`, `docs/dual-use.md` says `{}`; `{WRITE}` writes it anew",
            letters(powers),
            committed.map_or_else(|| "nothing".to_owned(), |powers| letters(&powers))
        ))
    }
}
