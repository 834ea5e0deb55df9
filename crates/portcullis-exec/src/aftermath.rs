//! What is put in order when a command that may write has ended, however it ended.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use portcullis_confine::Cell;
use rustix::event::{PollFd, PollFlags, Timespec};

use crate::ExecFailure;
use crate::care::{Copied, TreeNote};
use crate::plan::Planned;

/// How long a killed cell may take to be gone.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a cell can write, noted before it gets its command.
#[derive(Debug)]
pub(crate) struct Prepared {
    planned: Arc<Planned>,
    copied: Vec<Copied>,
    /// The cell's init.
    init: OwnedFd,
}

/// Settles the working trees of one command: by [`Aftermath::settle`] when it has ended, or when this is dropped.
///
/// A command that is given up must not leave what one that ends does not. So dropping this waits until the cell is
/// gone, some milliseconds; drop the cell first. Nothing, for a command that can write nothing.
#[derive(Debug)]
pub(crate) struct Aftermath(Option<Prepared>);

impl Prepared {
    /// Fills the copies of a cell. `None` for one that can write nothing.
    ///
    /// # Errors
    /// As [`Planned::fill`]; [`ExecFailure::Pipe`] without descriptors.
    pub(crate) fn of(planned: &Arc<Planned>, cell: &mut Cell) -> Result<Option<Self>, ExecFailure> {
        if !planned.writes() {
            return Ok(None);
        }
        let init = cell
            .pidfd()
            .try_clone_to_owned()
            .map_err(ExecFailure::Pipe)?;
        Ok(Some(Self {
            copied: planned.fill(cell.take_copies())?,
            init,
            planned: planned.clone(),
        }))
    }
}

impl Aftermath {
    /// To be called when the cell has its command.
    pub(crate) fn of(prepared: Option<Prepared>) -> Self {
        Self(prepared)
    }

    /// To be called when the command's whole tree is gone.
    pub(crate) async fn settle(&mut self) -> Vec<TreeNote> {
        let Some(Prepared {
            planned, copied, ..
        }) = self.0.take()
        else {
            return Vec::new();
        };
        // Away from where others wait for their commands: a configuration that changed is written to the disk.
        let settled = tokio::task::spawn_blocking(move || planned.settle(copied)).await;
        // A panic was printed where it happened.
        settled.unwrap_or_default()
    }
}

impl Drop for Aftermath {
    fn drop(&mut self) {
        let Some(Prepared { planned, init, .. }) = self.0.take() else {
            return;
        };
        let timeout = Timespec::try_from(PATIENCE).ok();
        let mut gone = [PollFd::new(&init, PollFlags::IN)];
        // Should it not be gone by then, what it made so far is set aside all the same.
        let _ = rustix::event::poll(&mut gone, timeout.as_ref());
        // Nothing is carried over from the copies of a command that nobody waited for.
        for note in planned.settle(Vec::new()) {
            tracing::warn!(?note, "a command that was given up left this");
        }
    }
}
