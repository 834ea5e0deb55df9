//! What there may be in the directory that only the plugin has: so many names, and no file longer than that.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use portcullis_audit::Masked;
use portcullis_config::Below;
use portcullis_policy::{Capability, ChangeRequest, Code, Denial, FsAct, GuestError};
use wasmtime_wasi::p2::FsResult;
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;

use super::{FsGuard, blocking};
use crate::capability::fs::spot::Spot;

/// What is known of the directory.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// No fewer names than this instance has seen there; `None` before they were counted.
    names: Option<u64>,
    /// What the operator was told already: a guest may try without end.
    told: Vec<&'static str>,
}

impl FsGuard<'_> {
    /// Counts a name that is about to be made there.
    ///
    /// # Errors
    /// There is no room for it.
    pub(super) async fn count_name(
        &mut self,
        spot: &Spot,
        request: &ChangeRequest,
    ) -> FsResult<()> {
        let makes = match request.act {
            FsAct::Write | FsAct::MakeDirectory | FsAct::MakeLink => spot.kind.is_none(),
            // It takes another away.
            FsAct::RenameTo | FsAct::LinkTo | FsAct::Rename | FsAct::Remove | FsAct::SetTimes => {
                false
            }
        };
        if !request.own || !makes || self.has_room().await {
            return Ok(());
        }
        Err(ErrorCode::Quota.into())
    }

    /// Whether there may be another name; it is counted as if it were made. The directory is looked at when there might not be.
    async fn has_room(&mut self) -> bool {
        let Some(dir) = self.gate.own_data() else {
            return true;
        };
        let most = u64::from(self.gate.limits().data_files);
        let counted = match self.handles.room.names {
            Some(names) if names < most => names,
            Some(_) | None => {
                let names = blocking(move || names(&dir, most)).await;
                // What cannot be counted leaves no room for more.
                names.ok().and_then(std::io::Result::ok).unwrap_or(u64::MAX)
            }
        };
        let has_room = counted < most;
        self.handles.room.names = Some(counted.saturating_add(has_room.into()));
        if !has_room {
            let note =
                format!("it may have {most} files and directories there (`limits.data_files`)");
            self.refuse_room("make another file", note);
        }
        has_room
    }

    /// Whether a file may become as long as `end` says, given its length now. That is bounded where a plugin has a directory of
    /// its own, which is the only one then that it can write.
    ///
    /// # Errors
    /// It may not.
    pub(super) async fn fits(
        &mut self,
        file: &Arc<File>,
        end: impl FnOnce(u64) -> u64,
    ) -> FsResult<()> {
        if self.gate.own_data().is_none() {
            return Ok(());
        }
        let file = Arc::clone(file);
        let length = blocking(move || file.metadata()).await??.len();
        let most = self.gate.limits().data_file;
        if end(length) <= most.max(length) {
            return Ok(());
        }
        let note = format!("a file there may have {most} bytes (`limits.data_file`)");
        self.refuse_room("make a file so long", note);
        Err(ErrorCode::FileTooLarge.into())
    }

    /// Tells the operator, once for each limit. The guest is told by its call.
    fn refuse_room(&mut self, what: &'static str, note: String) {
        let told = &mut self.handles.room.told;
        if told.contains(&what) {
            return;
        }
        told.push(what);
        let object = "/plugin".to_owned();
        let used = self
            .gate
            .uncounted(Capability::Fs, "write", Masked::new(&object));
        let denial = Denial {
            code: Code::FsOwnFull,
            plugin: self.gate.grants().plugin.clone(),
            capability: Capability::Fs,
            action: format!("{what} in `{object}`"),
            object,
            notes: vec![note],
            remedies: Vec::new(),
            rule: None,
            guest: GuestError::Limit,
        };
        // Nothing is done whether or not this can be written down.
        let _ = self.gate.refused(&used, denial);
    }
}

/// How many names there are, counted no further than to `most`.
fn names(dir: &Path, most: u64) -> std::io::Result<u64> {
    let mut names = 0;
    for found in Below::new(dir)? {
        found?;
        names += 1;
        if names >= most {
            break;
        }
    }
    Ok(names)
}
