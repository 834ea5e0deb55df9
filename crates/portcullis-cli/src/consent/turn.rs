//! One question at a time, also between processes: two at one terminal could read each other's answer.

use std::fs::File;
use std::path::Path;

use portcullis_private::PrivateDir;
use rustix::fs::FlockOperation;

use crate::failure::system;
use crate::render::Printer;

/// The file that is locked while somebody is asked.
const LOCK: &str = "asking.lock";

/// Waits until no other process of this user asks. The turn is over when the file is closed.
///
/// # Errors
/// Why that cannot be known, as a clause.
pub(crate) async fn take(data: &Path, out: Printer) -> Result<File, String> {
    let dir = PrivateDir::open_or_create(data).map_err(|error| error.to_string())?;
    let file = dir
        .open_or_create_file(LOCK)
        .map_err(|error| error.to_string())?;
    let file = File::from(file);
    if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
        return Ok(file);
    }
    out.tell("waiting: another run of portcullis asks something first");
    let waiting = tokio::task::spawn_blocking(move || file.lock().map(|()| file));
    let locked = waiting.await.map_err(|panic| panic.to_string())?;
    locked.map_err(|error| system(&error))
}
