//! One template and the cells that it has parked.

use std::os::fd::AsFd;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use portcullis_confine::{Cell, ServerError, Template};
use tokio::io::Interest;
use tokio::sync::Notify;

use crate::watch::watch;

/// How often one command asks again after a cell could not be made.
const MAX_FAILED_CELLS: usize = 2;

/// Cells of one plan.
#[derive(Debug)]
pub(crate) struct Yard {
    template: Template,
    target: usize,
    state: Mutex<State>,
    /// Told when a cell is parked: whoever waits at the socket does not see what somebody else took from it.
    parked: Notify,
}

#[derive(Debug, Default)]
struct State {
    parked: Vec<Cell>,
    /// Cells that were asked for and have not come.
    under_way: usize,
}

impl Yard {
    pub(super) fn new(template: Template, target: usize) -> Self {
        Self {
            template,
            target,
            state: Mutex::default(),
            parked: Notify::new(),
        }
    }

    /// Takes in what the template has made, and if nothing is left asks for more. Never waits.
    ///
    /// Meant for the time when the host waits for a command anyway.
    pub(super) fn take_in(&self) -> Result<(), ServerError> {
        let mut state = self.state();
        while state.under_way > 0 {
            match self.template.receive_cell() {
                Ok(Some(cell)) => {
                    state.parked.push(cell);
                    self.parked.notify_waiters();
                }
                Ok(None) => break,
                Err(error @ ServerError::Cell { .. }) => tracing::warn!(%error, "no cell"),
                Err(error) => return Err(error),
            }
            state.under_way -= 1;
        }
        if state.parked.is_empty() {
            self.ask(&mut state)
        } else {
            Ok(())
        }
    }

    /// Asks for what is missing. Never waits.
    ///
    /// Meant for the time when a command has ended: making a cell is as much work as a small command, and is not to take
    /// the processor from one.
    pub(super) fn refill(&self) -> Result<(), ServerError> {
        self.ask(&mut self.state())
    }

    fn ask(&self, state: &mut State) -> Result<(), ServerError> {
        while state.parked.len() + state.under_way < self.target {
            match self.template.request_cell() {
                Ok(()) => state.under_way += 1,
                Err(ServerError::Busy) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// A cell, made now if none is parked.
    pub(super) async fn cell(&self) -> Result<Cell, ServerError> {
        if let Some(cell) = self.state().parked.pop() {
            return Ok(cell);
        }
        self.request()?;
        // Several commands may wait at once, and one descriptor can be waited for only once.
        let socket = |source| ServerError::Io {
            peer: "template",
            source,
        };
        let copy = self.template.socket().as_fd().try_clone_to_owned();
        let copy = watch(copy.map_err(socket)?, Interest::READABLE).map_err(socket)?;
        let (mut failed, mut said) = (0, None);
        loop {
            let mut parked = pin!(self.parked.notified());
            // From here on, so that nothing that is parked after the look goes unnoticed.
            parked.as_mut().enable();
            match self.receive() {
                Ok(Some(cell)) => return Ok(cell),
                Ok(None) => tokio::select! {
                    ready = copy.readable() => ready.map_err(socket)?.clear_ready(),
                    () = parked => {}
                },
                // It may be the answer to an older request; what was true then need not be now.
                Err(error @ ServerError::Cell { .. }) if failed < MAX_FAILED_CELLS => {
                    failed += 1;
                    if self.request().is_err() {
                        return Err(error);
                    }
                    said = Some(error);
                }
                Err(error @ ServerError::Cell { .. }) => return Err(error),
                // Where not even a template could be made, its last word was the reason.
                Err(error) => return Err(said.unwrap_or(error)),
            }
        }
    }

    /// Whether there will be no more cells from here.
    pub(super) fn is_lost(&self) -> bool {
        self.template.is_given_up()
    }

    fn request(&self) -> Result<(), ServerError> {
        let mut state = self.state();
        self.template.request_cell()?;
        state.under_way += 1;
        Ok(())
    }

    /// A cell that was parked meanwhile, or that the template has just made.
    fn receive(&self) -> Result<Option<Cell>, ServerError> {
        let mut state = self.state();
        if let Some(cell) = state.parked.pop() {
            return Ok(Some(cell));
        }
        let received = self.template.receive_cell();
        if matches!(received, Ok(Some(_)) | Err(ServerError::Cell { .. })) {
            state.under_way = state.under_way.saturating_sub(1);
        }
        received
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock half way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
