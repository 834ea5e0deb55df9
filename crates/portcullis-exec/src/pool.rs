//! The spawn server, a template for each plan in use, and the cells that they have parked.
//!
//! Nothing runs in the background here: a request for a cell is one message, the template makes the
//! cell in its own process, and the answer waits in the socket until somebody wants a cell. So the
//! pool belongs to no async runtime and can be used from several.

mod yard;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_confine::{Cell, Helper, Plan, ServerError, SpawnServer, StartError, Tier};

use crate::sharer::SharerId;
use crate::{ExecFailure, Sharer};
pub(crate) use yard::Yard;

/// Templates that are kept; each is a process with its parked cells. The one unused for longest goes.
const MAX_YARDS: usize = 16;

/// Makes cells ahead of need, and starts the server again after it was lost.
#[derive(Debug)]
pub(crate) struct Pool {
    helper: Helper,
    /// What a new server has to prove that it can make.
    proof: Plan,
    target: usize,
    state: Mutex<State>,
    /// Held while a server is being started, so that only one is.
    starting: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    server: Option<Arc<SpawnServer>>,
    /// In the order of their last use.
    yards: Vec<(Key, Arc<Yard>)>,
}

/// What cells of one yard have in common.
#[derive(Debug)]
struct Key {
    plan: Plan,
    /// The instance whose commands share them, where the plan says that they do.
    sharer: Option<SharerId>,
}

impl Key {
    fn new(plan: &Plan, sharer: &Sharer) -> Self {
        Self {
            plan: plan.clone(),
            sharer: plan.shares_scratch().then(|| sharer.id()),
        }
    }

    fn fits(&self, plan: &Plan, sharer: &Sharer) -> bool {
        self.plan == *plan && self.sharer.as_ref().is_none_or(|id| id.is(sharer))
    }

    fn is_of_use(&self) -> bool {
        self.sharer.as_ref().is_none_or(|id| !id.is_gone())
    }
}

impl Pool {
    /// Starts the server and has it prove that it can make a cell of `proof`.
    pub(crate) fn start(helper: Helper, proof: Plan, target: usize) -> Result<Self, StartError> {
        let server = SpawnServer::start(&helper, &proof)?;
        Ok(Self {
            helper,
            proof,
            target,
            state: Mutex::new(State {
                server: Some(Arc::new(server)),
                yards: Vec::new(),
            }),
            starting: tokio::sync::Mutex::default(),
        })
    }

    /// Processes of ours beside the command of one plan: its template, and an init and a waiting process in each cell.
    pub(crate) fn own_processes(&self) -> u32 {
        // Those that are parked, one on its way, and the command's own.
        let cells = u32::try_from(self.target).unwrap_or_default() + 2;
        1 + 2 * cells
    }

    /// Whether the limits of a plan are kept by cgroups.
    pub(crate) fn has_cgroups(&self) -> bool {
        let state = self.state();
        state
            .server
            .as_ref()
            .is_some_and(|server| server.has_cgroups())
    }

    /// The executable that serves.
    pub(crate) fn helper(&self) -> &Helper {
        &self.helper
    }

    /// What the server has proved that it can enforce.
    pub(crate) fn tier(&self) -> Tier {
        self.proof.tier()
    }

    pub(crate) fn server_pid(&self) -> Option<u32> {
        self.state().server.as_ref().map(|server| server.pid())
    }

    /// A cell of this plan, made now if none is parked, and the yard that it comes from, without which it ends.
    ///
    /// # Errors
    /// [`ExecFailure::Server`] once when the server was lost, so that it shows; the next call starts
    /// another.
    pub(crate) async fn cell(
        &self,
        plan: &Plan,
        sharer: &Sharer,
    ) -> Result<(Cell, Arc<Yard>), ExecFailure> {
        let yard = self.yard(plan, sharer).await?;
        match yard.cell().await {
            Ok(cell) => Ok((cell, yard)),
            Err(error) => {
                self.lose(&error, &yard);
                Err(ExecFailure::Server(error))
            }
        }
    }

    /// Takes in what the yard's template has made. Never waits.
    pub(crate) fn take_in(&self, yard: &Arc<Yard>) {
        self.look_at(yard.take_in(), yard);
    }

    /// Asks for the cells that the yard is short of. Never waits.
    pub(crate) fn refill(&self, yard: &Arc<Yard>) {
        self.look_at(yard.refill(), yard);
    }

    fn look_at(&self, result: Result<(), ServerError>, yard: &Arc<Yard>) {
        if let Err(error) = result {
            tracing::warn!(%error, "a template was lost");
            self.lose(&error, yard);
        }
    }

    /// Lets go of what is of no more use after an error.
    fn lose(&self, error: &ServerError, yard: &Arc<Yard>) {
        let passing = matches!(error, ServerError::Cell { .. } | ServerError::Busy);
        if passing && !yard.is_lost() {
            return;
        }
        let mut state = self.state();
        state.yards.retain(|(_, kept)| !Arc::ptr_eq(kept, yard));
        // A template that ended tells nothing about the server, but a server takes its templates with it.
        let ended = state
            .server
            .as_ref()
            .is_some_and(|server| server.has_ended());
        if ended {
            *state = State::default();
        }
    }

    /// The yard of a plan, with a template made for it if there is none.
    async fn yard(&self, plan: &Plan, sharer: &Sharer) -> Result<Arc<Yard>, ExecFailure> {
        if let Some(yard) = self.state().yard(plan, sharer) {
            return Ok(yard);
        }
        let server = self.server().await?;
        let mut state = self.state();
        if let Some(yard) = state.yard(plan, sharer) {
            return Ok(yard);
        }
        let template = match server.template(plan) {
            Ok(template) => template,
            Err(error) => {
                if !matches!(error, ServerError::PlanTooLarge | ServerError::Busy) {
                    *state = State::default();
                }
                return Err(ExecFailure::Server(error));
            }
        };
        let yard = Arc::new(Yard::new(template, self.target));
        if state.yards.len() >= MAX_YARDS {
            // Running commands hold on to theirs.
            state.yards.remove(0);
        }
        state.yards.push((Key::new(plan, sharer), yard.clone()));
        Ok(yard)
    }

    /// The running server, or a new one.
    async fn server(&self) -> Result<Arc<SpawnServer>, ExecFailure> {
        let running = || self.state().server.clone();
        if let Some(server) = running() {
            return Ok(server);
        }
        let _only_one = self.starting.lock().await;
        if let Some(server) = running() {
            return Ok(server);
        }
        // A few milliseconds, once after a loss: not worth a thread.
        let server = SpawnServer::start(&self.helper, &self.proof).map_err(ExecFailure::Start)?;
        let server = Arc::new(server);
        *self.state() = State {
            server: Some(server.clone()),
            yards: Vec::new(),
        };
        Ok(server)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock half way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The yard of a plan, which is now the last one used.
    fn yard(&mut self, plan: &Plan, sharer: &Sharer) -> Option<Arc<Yard>> {
        self.yards.retain(|(kept, _)| kept.is_of_use());
        let place = self
            .yards
            .iter()
            .rposition(|(kept, _)| kept.fits(plan, sharer))?;
        let entry = self.yards.remove(place);
        let yard = entry.1.clone();
        self.yards.push(entry);
        Some(yard)
    }
}

#[cfg(test)]
mod tests {
    use portcullis_confine::Net;

    use super::*;

    fn plans() -> Vec<Plan> {
        let plan = || Plan::new(Tier::Full);
        vec![
            plan(),
            plan().home("/home/ann"),
            plan().network(Net::Loopback),
            plan().empty_directory("/srv"),
            plan().only_listed_programs(),
            plan().share_scratch(),
            plan().share_scratch().network(Net::Loopback),
            Plan::new(Tier::Namespaces),
        ]
    }

    #[test]
    fn cells_are_for_their_own_plan() {
        let sharer = Sharer::new();
        for (number, plan) in plans().iter().enumerate() {
            let key = Key::new(plan, &sharer);
            for (other, wanted) in plans().iter().enumerate() {
                assert_eq!(key.fits(wanted, &sharer), number == other);
            }
        }
    }

    #[test]
    fn shared_cells_are_for_their_own_instance_while_it_lives() {
        for plan in plans() {
            let sharer = Sharer::new();
            let key = Key::new(&plan, &sharer);
            assert!(key.fits(&plan, &sharer.clone()));
            assert_eq!(key.fits(&plan, &Sharer::new()), !plan.shares_scratch());
            drop(sharer);
            assert_eq!(key.is_of_use(), !plan.shares_scratch());
            // Whatever is made now lies somewhere else.
            let later: Vec<_> = (0..100).map(|_| Sharer::new()).collect();
            let taken = later.iter().any(|later| key.fits(&plan, later));
            assert_eq!(taken, !plan.shares_scratch());
        }
    }
}
