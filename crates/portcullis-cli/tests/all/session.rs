//! A person at a terminal: a pseudo-terminal, the shipped command on it, and what the screen shows.

use std::fs::OpenOptions;
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::context::Context;

/// The last thing that a question shows.
pub(crate) const PROMPT: &str = "Allow it? [";
pub(crate) const RUN: [&str; 4] = ["run", "--config", "policy.toml", "p"];
/// What asks for a command that no rule is about.
pub(crate) const ECHO: [&str; 8] = [
    "run",
    "--config",
    "policy.toml",
    "p",
    "exec",
    "--",
    "echo",
    "ran",
];
/// After which a test that waits has failed.
const PATIENCE_SECONDS: i64 = 120;
const ROWS: u16 = 24;
const COLUMNS: u16 = 80;

pub(crate) struct Session {
    /// Until the terminal goes away.
    master: Option<OwnedFd>,
    child: Child,
    /// Everything that was written to the terminal.
    written: Vec<u8>,
    /// How much of it was waited for.
    seen: usize,
}

impl Session {
    /// Starts a shell script on a terminal of its own. In it `$@` is the command and these arguments.
    pub(crate) fn script(context: &Context, script: &str, args: &[&str]) -> Self {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let size = Winsize {
            ws_row: ROWS,
            ws_col: COLUMNS,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&master, size).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let end = || OpenOptions::new().read(true).write(true).open(&name);
        // Opening a terminal does not make it ours: the test's own session has one already, or stays without.
        let ends = [end().unwrap(), end().unwrap(), end().unwrap()];
        let [stdin, stdout, stderr] = ends;
        let mut command = context.command("setsid");
        command
            .args(["--ctty", "sh", "-c", script, "sh"])
            .arg(context.binary())
            .args(args)
            .stdin(stdin)
            .stdout(stdout)
            .stderr(stderr);
        let child = command.spawn().unwrap();
        Self {
            master: Some(master),
            child,
            written: Vec::new(),
            seen: 0,
        }
    }

    /// Starts the command on a terminal of its own.
    pub(crate) fn start(context: &Context, args: &[&str]) -> Self {
        Self::script(context, "exec \"$@\"", args)
    }

    /// As typed by a person. A newline is the key Enter.
    pub(crate) fn types(&mut self, text: &str) -> &mut Self {
        let mut bytes = text.as_bytes();
        while !bytes.is_empty() {
            let count = rustix::io::write(self.master(), bytes).unwrap();
            bytes = &bytes[count..];
        }
        self
    }

    /// Waits until this is written, after what was waited for last.
    pub(crate) fn waits_for(&mut self, text: &str) -> &mut Self {
        loop {
            let rest = &self.written[self.seen..];
            let found = rest
                .windows(text.len())
                .position(|part| part == text.as_bytes());
            if let Some(at) = found {
                self.seen += at + text.len();
                return self;
            }
            assert!(self.read(), "`{text}` is not shown:\n{}", self.text());
        }
    }

    /// Waits for a question and answers it.
    pub(crate) fn answers(&mut self, answer: &str) -> &mut Self {
        self.waits_for(PROMPT)
            .waits_for("] ")
            .types(answer)
            .types("\n")
    }

    /// Waits for the end. The exit code and all that was written.
    pub(crate) fn ends(mut self) -> (i32, String) {
        while self.read() {}
        let code = self.code();
        (code, self.text())
    }

    /// The rows of the screen that have something on them, the cursor's last.
    pub(crate) fn rows(&self) -> Vec<String> {
        let shown = self.screen();
        let (row, _) = shown.screen().cursor_position();
        let mut rows: Vec<String> = shown.screen().rows(0, COLUMNS).collect();
        let below = rows.split_off(usize::from(row) + 1);
        assert!(
            below.iter().all(String::is_empty),
            "below the cursor: {below:?}"
        );
        rows.retain(|row| !row.is_empty());
        rows
    }

    /// The question that ends the screen, without the row that names the user's own file.
    pub(crate) fn question(&self) -> Vec<String> {
        let mut rows = self.rows();
        let head = rows.iter().rposition(|row| row.starts_with("portcullis: "));
        let mut question = rows.split_off(head.unwrap());
        question.retain(|row| !row.starts_with("  a: always"));
        question
    }

    /// Whether the last rows down to the cursor are in the terminal's own colours, and the cursor is seen.
    pub(crate) fn is_plain(&self, rows: usize) -> bool {
        let shown = self.screen();
        let screen = shown.screen();
        let (last, _) = screen.cursor_position();
        let first = (last + 1).saturating_sub(u16::try_from(rows).unwrap());
        let mut cells = (first..=last)
            .flat_map(|row| (0..COLUMNS).filter_map(move |column| screen.cell(row, column)));
        let plain = |cell: &vt100::Cell| {
            let colours = [cell.fgcolor(), cell.bgcolor()];
            colours == [vt100::Color::Default; 2] && !cell.inverse()
        };
        !screen.hide_cursor() && cells.all(plain)
    }

    fn screen(&self) -> vt100::Parser {
        let size = |size| NonZero::new(size).unwrap();
        let mut screen = vt100::Parser::new(size(ROWS), size(COLUMNS), 0);
        screen.process(&self.written);
        screen
    }

    /// Takes everything away from the terminal, as when its window is closed.
    pub(crate) fn hangs_up(mut self) -> i32 {
        self.master = None;
        self.code()
    }

    fn code(&mut self) -> i32 {
        let status = self.child.wait().unwrap();
        status
            .code()
            .unwrap_or_else(|| 128 + status.signal().unwrap())
    }

    fn master(&self) -> &OwnedFd {
        self.master.as_ref().unwrap()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.written).replace("\r\n", "\n")
    }

    /// Reads what is there. Whether more may come.
    fn read(&mut self) -> bool {
        let patience = Timespec {
            tv_sec: PATIENCE_SECONDS,
            tv_nsec: 0,
        };
        let mut ready = [PollFd::new(self.master(), PollFlags::IN)];
        assert!(
            poll(&mut ready, Some(&patience)).unwrap() > 0,
            "nothing more is shown:\n{}",
            self.text()
        );
        let mut bytes = [0; 4096];
        match rustix::io::read(self.master(), &mut bytes) {
            Ok(0) | Err(Errno::IO) => false,
            Ok(count) => {
                self.written.extend_from_slice(&bytes[..count]);
                true
            }
            Err(errno) => panic!("{errno}"),
        }
    }
}

/// A test that failed leaves nobody asking.
impl Drop for Session {
    fn drop(&mut self) {
        self.master = None;
        // It may be over already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
