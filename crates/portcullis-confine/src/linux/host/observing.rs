//! Seeing what a command looks at.
//!
//! A thread of its own for each observed command takes every call that names a file, writes the name down, and lets the
//! call go on. It decides nothing, and it cannot: the kernel reads the name again, and by then it may be another one.

use std::{
    ffi::OsString,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStringExt,
    },
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::{Builder, JoinHandle},
    time::Duration,
};

use rustix::event::{PollFd, PollFlags};

use super::listener::{self, Listener, Stopped};
use crate::{
    Observed,
    linux::{
        names::{Act, CALLS, Name},
        socket,
    },
    observed::{Deed, Record},
    wire::{self, REPLY_BYTES},
};

/// How long an observer may take to see that everybody has gone. It takes microseconds, but memory of a command may lie
/// on a file system that hangs.
const MOMENT: Duration = Duration::from_secs(1);

/// A command that is observed.
///
/// It ends with the last process of the cell's command. Dropping it before only forgets what was seen.
#[derive(Debug)]
pub struct Observing {
    record: Arc<Mutex<Record>>,
    /// Ends with the thread.
    ended: Receiver<()>,
    thread: JoinHandle<()>,
}

impl Observing {
    /// Begins to wait for a command that is about to be sent.
    pub(super) fn start(request: &OwnedFd) -> io::Result<Self> {
        let request = request.try_clone()?;
        let record = Arc::<Mutex<Record>>::default();
        let (running, ended) = channel();
        let theirs = record.clone();
        let observer = Builder::new().name("observer".to_owned());
        let thread = observer.spawn(move || {
            let _running: Sender<()> = running;
            if let Some(listener) = wait_for_listener(request) {
                observe(&listener, &theirs);
            }
        })?;
        Ok(Self {
            record,
            ended,
            thread,
        })
    }

    /// What was seen. To be asked when the cell has said what became of its command: whatever was done by then is
    /// there.
    #[must_use]
    pub fn finish(self) -> Observed {
        if self.ended.recv_timeout(MOMENT) == Err(RecvTimeoutError::Disconnected) {
            // A panic was printed where it happened.
            let _: Result<(), _> = self.thread.join();
        }
        std::mem::take(&mut *locked(&self.record)).finish()
    }
}

fn locked(record: &Mutex<Record>) -> MutexGuard<'_, Record> {
    record.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until there is something to read; `false` if there never will be, because everybody on the other side has gone.
fn wait(fd: impl AsFd) -> bool {
    let mut ready = [PollFd::new(&fd, PollFlags::IN)];
    let polled = rustix::io::retry_on_intr(|| rustix::event::poll(&mut ready, None));
    polled.is_ok() && ready.iter().any(|fd| fd.revents().contains(PollFlags::IN))
}

/// What the process that becomes the command sends before it does; `None` if it never will.
fn wait_for_listener(request: OwnedFd) -> Option<Listener> {
    if !wait(&request) {
        return None;
    }
    let mut message = [0; REPLY_BYTES];
    let mut received = socket::receive(&request, &mut message).ok()?;
    if !wire::is_listener(message.get(..received.bytes)?) || received.fds.len() > 1 {
        return None;
    }
    Listener::new(received.fds.pop()?)
}

/// Takes calls until nobody is left who could make one.
///
/// Whoever waits when this returns gets an error that it did not earn, so nothing else ends it.
fn observe(listener: &Listener, record: &Mutex<Record>) {
    while wait(listener) {
        let stopped = match listener.receive() {
            Ok(Some(stopped)) => stopped,
            Ok(None) => continue,
            Err(_) => break,
        };
        let seen = look(&stopped);
        // What was read may be another's, if it does not.
        if listener.still_waits(&stopped) {
            let mut record = locked(record);
            match seen {
                Some(seen) => seen.iter().for_each(|(name, deed)| record.add(name, *deed)),
                None => record.add_unseen(),
            }
            drop(record);
            listener.go_on(&stopped);
        }
    }
}

/// What a call names, and what it does with that; `None` if that cannot be seen.
fn look(stopped: &Stopped) -> Option<Vec<(OsString, Deed)>> {
    let call = CALLS
        .iter()
        .find(|call| call.number == stopped.number.into())?;
    let deed = match call.act {
        Act::Open(flags) => opened(*stopped.arguments.get(flags)?),
        Act::OpenHow(how) => {
            let address = *stopped.arguments.get(how)?;
            opened(listener::read_word(stopped.thread, address)?)
        }
        Act::Write => Deed::WRITE,
        Act::Look => Deed::LOOK,
        Act::Execute => Deed::EXECUTE,
    };
    let mut seen = Vec::with_capacity(call.names.len());
    for &name in call.names {
        seen.extend(full_name(stopped, name)?.map(|name| (name, deed)));
    }
    Some(seen)
}

fn opened(flags: u64) -> Deed {
    let flags = int(flags);
    let has = |bits: libc::c_int| flags & bits == bits;
    match flags & libc::O_ACCMODE {
        _ if has(libc::O_TMPFILE) => Deed::WRITE,
        _ if has(libc::O_PATH) => Deed::LOOK,
        _ if has(libc::O_DIRECTORY) => Deed::LIST,
        access => Deed {
            read: access != libc::O_WRONLY,
            write: access != libc::O_RDONLY || has(libc::O_CREAT) || has(libc::O_TRUNC),
            ..Deed::default()
        },
    }
}

/// An argument of which the kernel reads no more.
#[expect(clippy::cast_possible_truncation, reason = "the kernel does the same")]
fn int(argument: u64) -> libc::c_int {
    (argument as u32).cast_signed()
}

/// The whole name in one of a call's arguments; nothing if it says none, and `None` if it cannot be seen.
fn full_name(stopped: &Stopped, name: Name) -> Option<Option<OsString>> {
    let argument = |place: usize| stopped.arguments.get(place).copied();
    let address = argument(name.path)?;
    if address == 0 {
        // The descriptor beside it is meant, or it is an error.
        return Some(None);
    }
    let path = listener::read_string(stopped.thread, address)?;
    match path.first() {
        None => Some(None),
        Some(b'/') => Some(Some(by_text(&path))),
        Some(_) => {
            let directory = name.directory.map(argument);
            let mut whole = directory_of(stopped.thread, directory.map(Option::unwrap_or_default))?;
            whole.push(b'/');
            whole.extend(path);
            Some(Some(by_text(&whole)))
        }
    }
}

/// From where a relative path is meant. The kernel shows it as it is seen from the root of the process's own mounts.
fn directory_of(thread: u32, directory: Option<u64>) -> Option<Vec<u8>> {
    let link = match directory.map(int) {
        None | Some(libc::AT_FDCWD) => format!("/proc/{thread}/cwd"),
        Some(fd) => format!("/proc/{thread}/fd/{fd}"),
    };
    let path = std::fs::read_link(link).ok()?.into_os_string().into_vec();
    // What is no directory has no path; of one that was removed nothing can be found.
    (path.starts_with(b"/") && !path.ends_with(b" (deleted)")).then_some(path)
}

/// An absolute path without `.`, `..` and doubled slashes.
fn by_text(path: &[u8]) -> OsString {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    let mut whole = Vec::with_capacity(path.len() + 1);
    for part in parts {
        whole.push(b'/');
        whole.extend(part);
    }
    if whole.is_empty() {
        whole.push(b'/');
    }
    OsString::from_vec(whole)
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

    use super::*;

    #[test]
    fn names_are_absolute_by_their_text() {
        for (path, expected) in [
            ("/", "/"),
            ("//", "/"),
            ("/a//b/./c/", "/a/b/c"),
            ("/a/../../b", "/b"),
            ("/..", "/"),
        ] {
            assert_eq!(by_text(path.as_bytes()), expected, "{path}");
        }
        let raw = b"/\xff/..\xfe";
        assert_eq!(by_text(raw), OsStr::from_bytes(raw));
    }

    #[test]
    fn what_a_file_is_opened_for() {
        let deed = |flags: libc::c_int| {
            let Deed {
                read,
                write,
                list,
                look,
                ..
            } = opened(flags.cast_unsigned().into());
            [read, write, list, look]
        };
        let cases = [
            (libc::O_RDONLY, [true, false, false, false]),
            (libc::O_RDWR, [true, true, false, false]),
            (libc::O_WRONLY, [false, true, false, false]),
            (libc::O_RDONLY | libc::O_CREAT, [true, true, false, false]),
            (libc::O_RDONLY | libc::O_TRUNC, [true, true, false, false]),
            (libc::O_DIRECTORY, [false, false, true, false]),
            (libc::O_PATH, [false, false, false, true]),
            (
                libc::O_PATH | libc::O_DIRECTORY,
                [false, false, false, true],
            ),
            (libc::O_TMPFILE | libc::O_RDWR, [false, true, false, false]),
        ];
        for (flags, expected) in cases {
            assert_eq!(deed(flags | libc::O_CLOEXEC), expected, "{flags:o}");
        }
    }
}
