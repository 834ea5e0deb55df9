//! The runs that are learnt from.

use std::{fs, io};

use super::seen::Seen;
use super::trial::{self, Call, Run};
use super::wide::Bounds;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::settings::Environment;
use crate::signals::Signals;
use crate::target::Target;

/// Runs at most: each may ask for variables that the one before was not told.
const ROUNDS: usize = 3;

/// A call that is watched.
pub(super) struct Watched<'a> {
    pub(super) call: &'a Call,
    pub(super) target: &'a Target,
    pub(super) bounds: &'a Bounds,
    pub(super) env: &'a Environment,
}

impl Watched<'_> {
    /// Runs it until it asks for no variable that it was not told, or did something outside. Gives how the last run ended, what it
    /// did, and the variables; or how all of this ends, because the plugin cannot be run.
    pub(super) async fn run(
        &self,
        signals: &mut Signals,
    ) -> Result<Result<(Run, Seen, Vec<String>), Exit>> {
        let (policy, notes) = (
            self.call.dir.join("learning.toml"),
            self.call.dir.join("seen.json"),
        );
        let mut variables: Vec<String> = Vec::new();
        for round in 1.. {
            let text = self.bounds.policy(self.target, &variables).toml();
            fs::write(&policy, text)
                .map_err(|error| Failure::unusable("write", &policy, &error))?;
            let run = self.call.learn(&policy, &notes, signals).await?;
            let seen = fs::read(&notes).ok();
            // The next run makes it anew.
            let _: io::Result<()> = fs::remove_file(&notes);
            let seen = seen.and_then(|bytes| serde_json::from_slice::<Seen>(&bytes).ok());
            let Some(seen) = seen.filter(|_| !trial::is_ours(&run)) else {
                let exit = u8::try_from(run.exit).map_or(Exit::OURS, Exit);
                return Ok(Err(if exit == Exit::OK { Exit::OURS } else { exit }));
            };
            let asked = seen.variables.iter().filter(|(name, variable)| {
                let is_told = variables.contains(name);
                variable.is_set && is_name(name) && !self.env.is_secret(name) && !is_told
            });
            let asked: Vec<_> = asked.map(|(name, _)| name.clone()).collect();
            if asked.is_empty() || round == ROUNDS || seen.has_effects() {
                return Ok(Ok((run, seen, variables)));
            }
            variables.extend(asked);
        }
        Ok(Err(Exit::OURS))
    }
}

/// Whether it is the name of one variable, as a policy has it.
fn is_name(name: &str) -> bool {
    name.bytes()
        .all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
}
