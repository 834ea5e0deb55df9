//! `log_message`: a record for the operator.

use tokio::io::AsyncWriteExt;
use wasmtime::{Caller, Result};

use super::MAX_REQUEST;
use super::guest::{Guest, copy};
use super::record::Record;
use crate::abi::object::Object;
use crate::abi::packed::{self, Packed};
use crate::state::State;

/// Writes a record into the operator's log, or, where that was not granted, to where the guest's standard error goes. A
/// record that is none is told to the operator and is no reason to stop a guest.
pub(super) async fn message(caller: &mut Caller<'_, State>, place: Packed) -> Result<()> {
    let memory = packed::memory(caller)?;
    let read = match copy(&memory, caller, place, MAX_REQUEST) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(|Object(record)| record)
            .map_err(|error| error.to_string()),
        Err(unread) => Err(unread.to_string()),
    };
    let frees = caller.data_mut().reglet().frees && read.is_ok();
    match read {
        Ok(record) => write(caller.data_mut(), &record).await,
        Err(why) => {
            let why = format!(
                "`log_message` was given what is no record: {}",
                why.escape_debug()
            );
            caller.data_mut().gate.activity.failure(why);
        }
    }
    // The SDK forgets its records, and counts them against the room that it has.
    match Guest::of(caller)? {
        Some(guest) if frees => guest.free(caller, place).await,
        Some(_) | None => Ok(()),
    }
}

async fn write(state: &mut State, record: &Record) {
    if state.gate.grants().log {
        if let Some(Object(context)) = &record.context {
            context.begin(state);
        }
        state.gate.log(record.level(), &record.text());
        state.gate.work_on(None);
        return;
    }
    let Some(log) = &mut state.reglet().log else {
        return;
    };
    // Nobody to read it is no reason to stop a guest, for a log as for standard error.
    let _ = async {
        log.write_all(record.line().as_bytes()).await?;
        log.flush().await
    }
    .await;
}
