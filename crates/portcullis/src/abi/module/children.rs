//! Commands that run beside the guest: the numbers that lead to them, and what is told of each.

use std::collections::BTreeMap;
use std::future::pending;
use std::time::Duration;

use portcullis_exec::{CHUNK, NobodyReads, Which};
use portcullis_policy::GuestError;
use wasmtime::{Caller, Result};

use super::answer::{Ended, Error, Polled, Started, encode};
use super::{Guest, malformed_request, wire};
use crate::abi::packed::{self, Packed};
use crate::gate::{Child, Modes, Refused, Way};
use crate::state::State;

/// Commands of one guest of whose end it was not told yet.
const MAX_CHILDREN: usize = 64;
/// What a function answers that has no answer but a number.
const NONE: i64 = -1;

/// The children of one instance. A number is its alone, and is given once.
#[derive(Default)]
pub(crate) struct Numbered {
    last: i32,
    open: BTreeMap<i32, Open>,
}

struct Open {
    child: Child,
    /// Whether it took less than it was given, so that the guest waits until it takes more.
    full: bool,
}

impl Numbered {
    fn add(&mut self, child: Child) -> Option<i32> {
        let number = self.last.checked_add(1)?;
        self.last = number;
        let full = false;
        self.open.insert(number, Open { child, full });
        Some(number)
    }

    /// Kills and forgets all of them.
    pub(crate) fn clear(&mut self) {
        self.open.clear();
    }
}

fn open(state: &mut State) -> &mut BTreeMap<i32, Open> {
    &mut state.module().children.open
}

pub(super) async fn start(caller: &mut Caller<'_, State>, request: Packed) -> Result<i64> {
    let Some(guest) = Guest::of(caller)? else {
        return Ok(0);
    };
    let command = wire::exec_start(request.bytes(&guest.memory, caller)?);
    let started = match command {
        Ok(command) => begin(caller.data_mut(), command).await,
        Err(malformed) => {
            malformed_request(caller.data_mut(), "exec_start", &malformed);
            Err(Error::Invalid)
        }
    };
    guest.answer(caller, &encode(started)).await
}

async fn begin(state: &mut State, command: wire::Command) -> Result<Started, Error> {
    if open(state).len() >= MAX_CHILDREN {
        return Err(Refused::from(GuestError::Limit).into());
    }
    let modes = modes(command.stdio);
    state.gate.work_on(command.request_id.as_deref());
    let spawned = state.gate.spawn(command.into(), modes).await;
    state.gate.work_on(None);
    let child = spawned?;
    let number = state.module().children.add(child);
    number
        .map(|child| Started { child })
        .ok_or_else(|| Refused::from(GuestError::Limit).into())
}

fn modes(stdio: wire::Stdio) -> Modes {
    Modes {
        stdin: stdio.stdin == wire::Input::Pipe,
        stdout: match stdio.stdout {
            wire::Sink::Null => Way::Null,
            wire::Sink::Pipe => Way::Pipe,
            wire::Sink::Inherit => Way::Inherit,
        },
        stderr: match stdio.stderr {
            wire::ErrorSink::Null => Some(Way::Null),
            wire::ErrorSink::Pipe => Some(Way::Pipe),
            wire::ErrorSink::Inherit => Some(Way::Inherit),
            wire::ErrorSink::Merged => None,
        },
    }
}

/// Gives a child bytes to read, as far as it takes them now.
pub(super) fn write(caller: &mut Caller<'_, State>, child: i32, bytes: Packed) -> Result<i64> {
    let memory = packed::memory(caller)?;
    let (data, state) = memory.data_and_store_mut(&mut *caller);
    let bytes = bytes.within(data.len()).map(|range| &data[range])?;
    let Some(open) = open(state).get_mut(&child) else {
        return Ok(NONE);
    };
    let streams = &open.child.streams;
    if bytes.is_empty() {
        streams.close_stdin();
        return Ok(0);
    }
    let taken = streams.room().and_then(|room| {
        let taken = &bytes[..bytes.len().min(room)];
        if !taken.is_empty() {
            streams.write(taken)?;
        }
        Ok(taken.len())
    });
    open.full = taken.is_ok_and(|taken| taken < bytes.len());
    Ok(match taken {
        Ok(taken) => i64::try_from(taken).unwrap_or(i64::MAX),
        Err(NobodyReads) => NONE,
    })
}

/// Waits until there is something to say of a child, and says all of it.
pub(super) async fn poll(
    caller: &mut Caller<'_, State>,
    child: i32,
    timeout_ms: i64,
) -> Result<i64> {
    let Some(guest) = Guest::of(caller)? else {
        return Ok(0);
    };
    let state = caller.data_mut();
    let polled = match open(state).get_mut(&child) {
        Some(open) => {
            let polled = said(open, timeout_ms).await;
            // Told once: a guest that has nothing more to write is not woken for it again.
            open.full &= polled.writable == 0;
            Ok(polled)
        }
        None => Err(Error::Invalid),
    };
    if polled.as_ref().is_ok_and(|polled| polled.outcome.is_some()) {
        open(state).remove(&child);
    }
    let answer = encode(polled);
    guest.answer(caller, &answer).await
}

async fn said(open: &Open, timeout_ms: i64) -> Polled {
    let timeout = async {
        match u64::try_from(timeout_ms) {
            Ok(timeout) => tokio::time::sleep(Duration::from_millis(timeout)).await,
            // Negative: the call's own time is the limit.
            Err(_) => pending().await,
        }
    };
    tokio::pin!(timeout);
    loop {
        if let Some(polled) = look(open) {
            return polled;
        }
        tokio::select! {
            biased;
            () = something(open) => {}
            () = &mut timeout => return look(open).unwrap_or_else(|| nothing(open)),
        }
    }
}

/// What there is to say now, if there is anything.
fn look(open: &Open) -> Option<Polled> {
    let streams = &open.child.streams;
    // Before the streams: what a command wrote is there when its end is told.
    let over = open.child.try_wait();
    let (stdout, stderr) = (
        streams.read(Which::Stdout, CHUNK),
        streams.read(Which::Stderr, CHUNK),
    );
    let told = stdout.is_err() && stderr.is_err();
    let polled = Polled {
        stdout: stdout.unwrap_or_default(),
        stderr: stderr.unwrap_or_default(),
        outcome: over.filter(|_| told).map(Ended::from),
        ..nothing(open)
    };
    let room = open.full && polled.writable > 0;
    let any =
        room || polled.outcome.is_some() || !polled.stdout.is_empty() || !polled.stderr.is_empty();
    any.then_some(polled)
}

fn nothing(open: &Open) -> Polled {
    Polled {
        writable: open.child.streams.room().unwrap_or_default(),
        ..Polled::default()
    }
}

/// Waits until a look may find something.
async fn something(open: &Open) {
    let streams = &open.child.streams;
    let ended = |which| streams.read(which, 0).is_err();
    let readable = async |which| {
        if ended(which) {
            pending::<()>().await;
        }
        streams.readable(which).await;
    };
    let writable = async {
        if !open.full {
            pending::<()>().await;
        }
        streams.writable().await;
    };
    let ending = open.child.ending();
    tokio::select! {
        biased;
        () = readable(Which::Stdout) => {}
        () = readable(Which::Stderr) => {}
        () = writable => {}
        () = ending.wait() => {}
    }
}

/// Kills a child, waits until it and all it started are gone, and forgets it.
pub(super) async fn cancel(caller: &mut Caller<'_, State>, child: i32) -> i64 {
    let Some(open) = open(caller.data_mut()).remove(&child) else {
        return NONE;
    };
    open.child.streams.kill();
    // Whatever became of it, it is gone.
    let _ = open.child.wait().await;
    0
}
