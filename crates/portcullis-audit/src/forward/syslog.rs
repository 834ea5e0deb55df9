//! RFC 5424 over the Unix datagram socket of the system's log.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;

use super::{Message, Outlet};

/// How long a message that must be sent waits for a log that is busy.
const PATIENCE: Duration = Duration::from_secs(2);

/// `authpriv`: what only the administrator reads.
const FACILITY: u8 = 10;
const WARNING: u8 = 4;
const INFORMATIONAL: u8 = 6;

/// The log at one socket.
#[derive(Debug)]
pub(super) struct Syslog {
    path: PathBuf,
    socket: Option<UnixDatagram>,
    host: String,
    lost: u64,
    why: String,
}

impl Syslog {
    pub(super) fn new(path: PathBuf) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = host.trim_end().to_owned();
        let printable = host.bytes().all(|b| b.is_ascii_graphic());
        Self {
            path,
            socket: None,
            host: Some(host)
                .filter(|host| printable && !host.is_empty())
                .unwrap_or_else(|| "-".to_owned()),
            lost: 0,
            why: String::new(),
        }
    }

    /// The header of RFC 5424, and the text. Without structured data: the text is JSON.
    fn datagram(&self, message: &Message) -> String {
        let severity = if message.denied {
            WARNING
        } else {
            INFORMATIONAL
        };
        let priority = FACILITY * 8 + severity;
        let Message { at, kind, text, .. } = message;
        let (host, process) = (&self.host, std::process::id());
        format!("<{priority}>1 {at:.6} {host} portcullis {process} {kind} - {text}")
    }

    fn try_send(&mut self, datagram: &[u8], must: bool) -> io::Result<()> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(&self.path)?;
                socket
            }
        };
        socket.set_nonblocking(!must)?;
        socket.set_write_timeout(must.then_some(PATIENCE))?;
        socket.send(datagram)?;
        // Kept only as long as it works: a log that was started again has another socket.
        self.socket = Some(socket);
        Ok(())
    }
}

impl Outlet for Syslog {
    fn send(&mut self, message: &Message, must: bool) -> io::Result<()> {
        let datagram = self.datagram(message);
        let was_connected = self.socket.is_some();
        let mut sent = self.try_send(datagram.as_bytes(), must);
        if sent.is_err() && was_connected {
            sent = self.try_send(datagram.as_bytes(), must);
        }
        match sent {
            Err(error) if must => Err(error),
            Err(error) => {
                self.lost += 1;
                self.why = error.to_string();
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn settle(&mut self, _within: Duration) -> Option<(u64, String)> {
        let lost = std::mem::take(&mut self.lost);
        (lost > 0).then(|| (lost, std::mem::take(&mut self.why)))
    }
}
