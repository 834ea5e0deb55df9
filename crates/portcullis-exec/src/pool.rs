//! The spawn server and the cells that it has parked.
//!
//! Nothing runs in the background here: a request for a cell is one message, the server makes the
//! cell in its own process, and the answer waits in the socket until somebody wants a cell. So the
//! pool belongs to no async runtime and can be used from several.

use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_confine::{Cell, Helper, Plan, ServerError, SpawnServer, StartError};
use tokio::io::Interest;

use crate::ExecFailure;
use crate::watch::watch;

/// How often one command asks again after a cell could not be made.
const MAX_FAILED_CELLS: usize = 2;

/// Makes cells ahead of need, and starts the server again after it was lost.
#[derive(Debug)]
pub(crate) struct Pool {
    helper: Helper,
    plan: Plan,
    target: usize,
    state: Mutex<State>,
    /// Held while a server is being started, so that only one is.
    starting: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct State {
    server: Option<Arc<SpawnServer>>,
    parked: Vec<Cell>,
    /// Cells that were asked for and have not come.
    under_way: usize,
}

impl Pool {
    /// Starts the server and has `target` cells made.
    pub(crate) fn start(helper: Helper, plan: Plan, target: usize) -> Result<Self, StartError> {
        let server = SpawnServer::start(&helper)?;
        let state = State {
            server: None,
            parked: Vec::with_capacity(target),
            under_way: 0,
        };
        let starting = tokio::sync::Mutex::default();
        let pool = Self {
            helper,
            plan,
            target,
            state: Mutex::new(state),
            starting,
        };
        pool.install(server);
        Ok(pool)
    }

    /// A parked cell at once, if there is one.
    pub(crate) fn parked(&self) -> Option<Cell> {
        self.state().parked.pop()
    }

    pub(crate) fn server_pid(&self) -> Option<u32> {
        self.state().server.as_ref().map(|server| server.pid())
    }

    /// Takes in what the server has made, and asks for what is missing. Never waits.
    ///
    /// Meant for the time when the host waits for a command anyway.
    pub(crate) fn refill(&self) {
        let mut state = self.state();
        let Some(server) = state.server.clone() else {
            return;
        };
        let refilled = (|| {
            while state.under_way > 0 {
                match server.receive_cell() {
                    Ok(Some(cell)) => state.parked.push(cell),
                    Ok(None) => break,
                    Err(error @ ServerError::Cell { .. }) => tracing::warn!(%error, "no cell"),
                    Err(error) => return Err(error),
                }
                state.under_way -= 1;
            }
            while state.parked.len() + state.under_way < self.target {
                server.request_cell(&self.plan)?;
                state.under_way += 1;
            }
            Ok(())
        })();
        if let Err(error) = refilled
            && !matches!(error, ServerError::Busy)
        {
            // The next command finds no server and starts one.
            tracing::warn!(%error, "the spawn server was lost");
            state.forget(&server);
        }
    }

    /// A cell, made now if none is parked.
    ///
    /// # Errors
    /// [`ExecFailure::Server`] once when the server was lost, so that it shows; the next call starts
    /// another.
    pub(crate) async fn cell(&self) -> Result<Cell, ExecFailure> {
        if let Some(cell) = self.parked() {
            return Ok(cell);
        }
        let server = self.server().await?;
        let made = self.wait_for_cell(&server).await;
        made.map_err(|error| {
            if !matches!(error, ServerError::Cell { .. } | ServerError::Busy) {
                self.state().forget(&server);
            }
            ExecFailure::Server(error)
        })
    }

    /// Puts a cell back that was not used.
    pub(crate) fn park(&self, cell: Cell) {
        self.state().parked.push(cell);
    }

    async fn wait_for_cell(&self, server: &SpawnServer) -> Result<Cell, ServerError> {
        self.request(server)?;
        // Several commands may wait at once, and one descriptor can be waited for only once.
        let socket = |source| ServerError::Io {
            peer: "spawn server",
            source,
        };
        let copy = server
            .socket()
            .as_fd()
            .try_clone_to_owned()
            .map_err(socket)?;
        let copy = watch(copy, Interest::READABLE).map_err(socket)?;
        let mut failed = 0;
        loop {
            match self.receive(server) {
                Ok(Some(cell)) => return Ok(cell),
                Ok(None) => copy.readable().await.map_err(socket)?.clear_ready(),
                // It may be the answer to an older request; what was true then need not be now.
                Err(ServerError::Cell { .. }) if failed < MAX_FAILED_CELLS => {
                    failed += 1;
                    self.request(server)?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn request(&self, server: &SpawnServer) -> Result<(), ServerError> {
        let mut state = self.state();
        server.request_cell(&self.plan)?;
        state.under_way += 1;
        Ok(())
    }

    /// A cell that was parked meanwhile, or that the server has just made.
    fn receive(&self, server: &SpawnServer) -> Result<Option<Cell>, ServerError> {
        let mut state = self.state();
        if let Some(cell) = state.parked.pop() {
            return Ok(Some(cell));
        }
        let received = server.receive_cell();
        if matches!(received, Ok(Some(_)) | Err(ServerError::Cell { .. })) {
            state.under_way = state.under_way.saturating_sub(1);
        }
        received
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
        // About two milliseconds, once after a loss: not worth a thread.
        let server = SpawnServer::start(&self.helper).map_err(ExecFailure::Start)?;
        Ok(self.install(server))
    }

    fn install(&self, server: SpawnServer) -> Arc<SpawnServer> {
        let server = Arc::new(server);
        let mut state = self.state();
        state.server = Some(server.clone());
        state.parked.clear();
        state.under_way = 0;
        drop(state);
        self.refill();
        server
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock half way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Lets go of a server that is of no more use, and of the cells that died with it.
    fn forget(&mut self, server: &Arc<SpawnServer>) {
        if self
            .server
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, server))
        {
            self.server = None;
            self.parked.clear();
            self.under_way = 0;
        }
    }
}
