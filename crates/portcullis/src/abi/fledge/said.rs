//! What a plugin says: its output, and lines for the operator on standard error. How much is bounded.

use std::sync::Arc;
use std::time::Instant;

use portcullis_policy::{Capability, Grants, Limits, escape_within};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::rates::Rates;
use crate::stdio::GuestStdio;

/// Bytes of a line, what says that it was cut included.
const MAX_LINE: usize = 4096;
/// At the end of a line that was cut.
const CUT: &str = "... [truncated]";

type Stream = Option<Box<dyn AsyncWrite + Send + Unpin>>;

/// Where a plugin's words go, and how many there may be.
pub(super) struct Said {
    plugin: String,
    limits: Limits,
    stdout: Stream,
    stderr: Stream,
    /// Bytes that are left to be written by messages and by WASI together.
    left: u64,
    /// Bytes that were not written, and lines that were one too many.
    dropped: u64,
    lines_dropped: u64,
}

impl Said {
    pub(super) fn new(grants: &Grants, stdio: &GuestStdio) -> Self {
        Self {
            plugin: grants.plugin.to_string(),
            limits: grants.limits.clone(),
            stdout: stdio.stdout_of_command(),
            stderr: stdio.stderr_of_command(),
            left: grants.limits.total_output,
            dropped: 0,
            lines_dropped: 0,
        }
    }

    /// Takes so many bytes of what may be written, or none.
    pub(super) fn take(&mut self, bytes: u64) -> bool {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                true
            }
            None => {
                self.dropped = self.dropped.saturating_add(bytes);
                false
            }
        }
    }

    /// Writes to the standard output, as it is.
    pub(super) async fn output(&mut self, text: &str) {
        if self.take(text.len() as u64) {
            write(&mut self.stdout, text.as_bytes()).await;
        }
    }

    /// Writes a line to standard error: one line, whatever it says, and no more of them than a minute may have.
    pub(super) async fn line(&mut self, rates: &Arc<Rates>, level: &str, message: &str) {
        if !rates.take(&self.limits, Capability::Log, "send", Instant::now()) {
            self.lines_dropped += 1;
            return;
        }
        let level = escape_within(level, 32, "");
        let message = escape_within(message, MAX_LINE, CUT);
        let line = format!("[{}] {level}: {message}\n", self.plugin);
        if self.take(line.len() as u64) {
            write(&mut self.stderr, line.as_bytes()).await;
        }
    }

    pub(super) fn take_dropped(&mut self) -> Option<String> {
        let bytes = std::mem::take(&mut self.dropped);
        let lines = std::mem::take(&mut self.lines_dropped);
        let bytes = (bytes > 0).then(|| {
            let most = self.limits.total_output;
            format!("{bytes} bytes of its output were dropped: it may write {most} in all (`limits.total_output`)")
        });
        let lines = (lines > 0).then(|| {
            let most = self.limits.log_per_minute;
            format!("{lines} of its lines were dropped: it may write {most} a minute (`limits.log_per_minute`)")
        });
        let told: Vec<_> = bytes.into_iter().chain(lines).collect();
        (!told.is_empty()).then(|| told.join("; "))
    }
}

/// Nobody to read it is no reason to stop a guest.
async fn write(stream: &mut Stream, bytes: &[u8]) {
    if let Some(stream) = stream {
        let _ = async {
            stream.write_all(bytes).await?;
            stream.flush().await
        }
        .await;
    }
}
