//! The controlling terminal, opened anew: what a person reads and answers there comes from nowhere else.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::getpgrp;
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, QueueSelector, SpecialCodeIndex, Termios, tcflush,
    tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr,
};
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::system;

/// How long nothing may be typed before an answer is read: who types meanwhile did not mean this question.
const QUIET: Duration = Duration::from_millis(400);
/// How long that is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long it may take until we know that we were stopped and go on.
const AFTERWARDS: Duration = Duration::from_millis(50);
/// How long the signal of a terminal that went away may take.
const HANGUP: Duration = Duration::from_secs(1);
/// Bytes of an answer that are looked at.
const MAX_ANSWER: usize = 4096;

/// Ends what a plugin may have begun (CAN, a colour, a hidden cursor, another set of characters, a scrolling region), and
/// goes to a new line at the bottom: what follows is the last on the screen, whatever was painted before.
const TO_THE_END: &str = "\x18\x1b[0m\x1b(B\x0f\x1b[?25h\x1b[?7h\x1b[r\x1b[9999;1H\r\n";

/// A terminal that a person is asked at.
#[derive(Debug)]
pub(crate) struct Terminal {
    fd: AsyncFd<OwnedFd>,
    /// How it was set before.
    saved: Termios,
    /// Whether a prompt waits for an answer.
    is_open: bool,
    continued: Signal,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

/// What came of waiting for a line.
enum Line {
    Typed(String),
    /// Nothing can be typed any more: the end of input, or the terminal is gone or somebody else's.
    Over,
    /// We were stopped and go on: what was shown may be gone.
    Continued,
}

impl Terminal {
    /// Opens the controlling terminal of this process.
    ///
    /// # Errors
    /// Why nobody can be asked there, as a clause.
    pub(crate) fn open() -> Result<Self, String> {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let failed = |errno: Errno| {
            let why = system(&errno.into());
            format!("the terminal cannot be used: {why}")
        };
        let fd =
            rustix::fs::open("/dev/tty", flags, Mode::empty()).map_err(|errno| match errno {
                Errno::NXIO | Errno::NOENT | Errno::NODEV => "there is no terminal".to_owned(),
                errno => failed(errno),
            })?;
        if !is_ours(&fd) {
            return Err(
                "the terminal belongs to another job: bring this one to the foreground".to_owned(),
            );
        }
        let saved = tcgetattr(&fd).map_err(failed)?;
        let size = tcgetwinsize(&fd).map_err(failed)?;
        let continued = signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()));
        let io = |error: io::Error| format!("the terminal cannot be used: {}", system(&error));
        let or = |number: u16, usual| {
            if number == 0 {
                usual
            } else {
                usize::from(number)
            }
        };
        Ok(Self {
            fd: watched(fd).map_err(io)?,
            saved,
            is_open: false,
            continued: continued.map_err(io)?,
            rows: or(size.ws_row, 24),
            columns: or(size.ws_col, 80),
        })
    }

    /// Shows `text` and after it `prompt`, as the last that is on the screen, and reads one line that was typed after that.
    /// `None` when there is none.
    pub(crate) async fn ask(&mut self, text: &str, prompt: &str) -> Option<String> {
        loop {
            match self.once(text, prompt).await {
                Ok(Line::Typed(line)) => return Some(line),
                Ok(Line::Continued) => {}
                Ok(Line::Over) | Err(_) => break,
            }
        }
        if self.has_hung_up() {
            // The signal that comes with it ends the run; "no" would let the plugin go on first.
            tokio::time::sleep(HANGUP).await;
        }
        None
    }

    fn has_hung_up(&self) -> bool {
        let mut polled = [PollFd::new(self.fd.get_ref(), PollFlags::empty())];
        let at_once = Timespec::default();
        let polled = rustix::event::poll(&mut polled, Some(&at_once)).map(|_| polled[0].revents());
        polled.is_ok_and(|events| events.intersects(PollFlags::HUP))
    }

    /// Shows a text, from where the last one ended.
    pub(crate) async fn say(&mut self, text: &str) {
        let begin = if std::mem::take(&mut self.is_open) {
            "\r\n"
        } else {
            ""
        };
        // Nobody is left to tell when the terminal is gone.
        let _ = self
            .write(&format!("{begin}{}", text.replace('\n', "\r\n")))
            .await;
    }

    async fn once(&mut self, text: &str, prompt: &str) -> io::Result<Line> {
        // Without an echo, and key by key: what is typed now is seen to come and thrown away.
        self.set(false)?;
        self.write(&format!("{TO_THE_END}{}", text.replace('\n', "\r\n")))
            .await?;
        match tokio::time::timeout(PATIENCE, self.quiet()).await {
            Ok(quiet) => quiet?,
            Err(_) => return Ok(Line::Over),
        }
        // Changing the modes throws away what is not read yet.
        self.set(true)?;
        self.write(prompt).await?;
        self.is_open = true;
        let line = self.line().await;
        self.is_open = matches!(line, Ok(Line::Over | Line::Continued) | Err(_));
        line
    }

    /// How a question needs the terminal: typed lines are shown and can be corrected, Ctrl-C is a signal.
    fn set(&self, lines: bool) -> io::Result<()> {
        if !is_ours(self.fd.get_ref()) {
            // Setting it would stop us.
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let mut modes = self.saved.clone();
        let reading = LocalModes::ICANON | LocalModes::ECHO | LocalModes::ECHOE | LocalModes::ECHOK;
        modes.local_modes |= LocalModes::ISIG;
        modes.local_modes.set(reading, lines);
        modes.input_modes |= InputModes::ICRNL;
        modes.input_modes -= InputModes::IGNCR | InputModes::INLCR;
        if !lines {
            modes.special_codes[SpecialCodeIndex::VMIN] = 1;
            modes.special_codes[SpecialCodeIndex::VTIME] = 0;
        }
        Ok(tcsetattr(
            self.fd.get_ref(),
            OptionalActions::Flush,
            &modes,
        )?)
    }

    /// Waits until nothing was typed for a while, and throws away what is.
    async fn quiet(&self) -> io::Result<()> {
        loop {
            let Ok(typed) = tokio::time::timeout(QUIET, self.fd.readable()).await else {
                return Ok(());
            };
            let mut typed = typed?;
            if typed.ready().is_read_closed() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            tcflush(self.fd.get_ref(), QueueSelector::IFlush)?;
            typed.clear_ready();
        }
    }

    async fn line(&mut self) -> io::Result<Line> {
        let mut line = Vec::new();
        loop {
            let mut readable = tokio::select! {
                readable = self.fd.readable() => readable?,
                _ = self.continued.recv() => return Ok(Line::Continued),
            };
            if !is_ours(self.fd.get_ref()) {
                return Ok(Line::Over);
            }
            let mut bytes = [0; MAX_ANSWER];
            match rustix::io::read(self.fd.get_ref(), &mut bytes) {
                Ok(0) => return Ok(Line::Over),
                Ok(count) => line.extend_from_slice(bytes.get(..count).unwrap_or_default()),
                Err(Errno::AGAIN) => readable.clear_ready(),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            if line.len() > MAX_ANSWER {
                return Ok(Line::Over);
            }
            if line.ends_with(b"\n") {
                // What was typed while we were stopped was typed for somebody else.
                if tokio::time::timeout(AFTERWARDS, self.continued.recv())
                    .await
                    .is_ok()
                {
                    return Ok(Line::Continued);
                }
                return Ok(Line::Typed(
                    String::from_utf8_lossy(&line).trim().to_owned(),
                ));
            }
        }
    }

    async fn write(&self, text: &str) -> io::Result<()> {
        let mut bytes = text.as_bytes();
        while !bytes.is_empty() {
            let mut writable = self.fd.writable().await?;
            match rustix::io::write(self.fd.get_ref(), bytes) {
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(Errno::AGAIN) => writable.clear_ready(),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if self.is_open {
            let _ = rustix::io::write(self.fd.get_ref(), b"\r\n");
        }
        if is_ours(self.fd.get_ref()) {
            // What was typed for a question that is over is for nobody else either.
            let _ = tcsetattr(self.fd.get_ref(), OptionalActions::Flush, &self.saved);
        }
    }
}

/// Whether what is typed comes to this job.
fn is_ours(fd: &OwnedFd) -> bool {
    match tcgetpgrp(fd) {
        Ok(foreground) => foreground == getpgrp(),
        // Of a job outside of this process namespace, as our own is in a staged run. Should it be another one, it stops when
        // it asks, as any does that is in the background.
        Err(Errno::OPNOTSUPP) => true,
        Err(_) => false,
    }
}

/// A descriptor that is waited for.
#[expect(
    deprecated,
    reason = "its successor is unsafe for types that could answer with another descriptor each time; this one owns its own"
)]
fn watched(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(fd)
}
