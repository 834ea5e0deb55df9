//! The world of fledge's plugins: core modules on WASI preview 1 that import functions from `fledge`, and speak its
//! protocol `fledge-v1` in JSON.
//!
//! `docs/fledge.md` says what differs from fledge. A function that was not granted is not linked.

mod answer;
mod entry;
mod exec;
mod init;
mod line;
mod message;
mod said;
mod send;
mod slot;
mod store;

use portcullis_policy::{Capability, Grants};
use wasmtime::{Caller, Engine, Extern, Linker, Memory, Result, ValType, bail};

use super::preview1;
use super::signature::Signature;
use crate::state::State;
use crate::stdio::GuestStdio;
pub(crate) use entry::{Entry, NotMade, START, fit};
use said::Said;
use slot::Slot;

/// The module that guests import from.
pub(crate) const MODULE: &str = "fledge";

/// A function that a guest may import.
pub(crate) struct Function {
    pub(crate) name: &'static str,
    /// What it needs; `None`: it is always there.
    pub(crate) needs: Option<Capability>,
    signature: Signature,
}

const I32: ValType = ValType::I32;

/// Every function of the world.
pub(crate) const FUNCTIONS: [Function; 7] = [
    function("send", None, &[I32, I32], &[], "(i32, i32)"),
    function("recv", None, &[I32, I32], &[I32], "(i32, i32) -> i32"),
    function("exit", None, &[I32], &[], "(i32)"),
    function(
        "exec",
        Some(Capability::Exec),
        &[I32, I32],
        &[I32],
        "(i32, i32) -> i32",
    ),
    function(
        "store_set",
        Some(Capability::Kv),
        &[I32, I32],
        &[],
        "(i32, i32)",
    ),
    function(
        "store_get",
        Some(Capability::Kv),
        &[I32, I32],
        &[I32],
        "(i32, i32) -> i32",
    ),
    function(
        "metadata",
        Some(Capability::Metadata),
        &[I32, I32],
        &[I32],
        "(i32, i32) -> i32",
    ),
];

const fn function(
    name: &'static str,
    needs: Option<Capability>,
    params: &'static [ValType],
    results: &'static [ValType],
    words: &'static str,
) -> Function {
    let signature = Signature {
        params,
        results,
        words,
    };
    Function {
        name,
        needs,
        signature,
    }
}

/// Bytes of one message or request. What is longer is none.
pub(crate) const MAX_MESSAGE: usize = 16 * 1024 * 1024;

/// What an instance has besides what every instance has.
pub(crate) struct FledgeState {
    slot: Slot,
    said: Said,
    /// Whether it reads answers to messages that have an `id`.
    responses: bool,
}

impl FledgeState {
    pub(crate) fn new(grants: &Grants, stdio: &GuestStdio) -> Self {
        let plugin = grants.fledge.as_ref();
        Self {
            slot: Slot::default(),
            said: Said::new(grants, stdio),
            responses: plugin.is_some_and(|plugin| plugin.responses),
        }
    }

    /// Whether it may write so many bytes more to its streams. Those that it may not are counted as dropped.
    pub(crate) fn may_say(&mut self, bytes: u64) -> bool {
        self.said.take(bytes)
    }

    /// Bytes that it wanted to write and were dropped, and lines of log, since this was asked the last time.
    pub(crate) fn take_dropped(&mut self) -> Option<String> {
        self.said.take_dropped()
    }
}

/// The guest has left.
#[derive(Debug, thiserror::Error)]
#[error("it exited with code {0}")]
pub(crate) struct Exited(pub(crate) i32);

/// A linker with WASI preview 1, and of the world exactly what these grants give. With `late`, what is not granted is
/// there and refuses.
pub(crate) fn linker(engine: &Engine, grants: &Grants) -> Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    preview1::link(&mut linker)?;
    linker.func_wrap_async(MODULE, "send", |mut caller, (at, length): (i32, i32)| {
        Box::new(async move { send::send(&mut caller, at, length).await })
    })?;
    linker.func_wrap(
        MODULE,
        "recv",
        |mut caller: Caller<'_, State>, at: i32, most: i32| recv(&mut caller, at, most),
    )?;
    linker.func_wrap(MODULE, "exit", |code: i32| -> Result<()> {
        Err(Exited(code).into())
    })?;
    let granted = |capability| grants.has(capability) || grants.late;
    if granted(Capability::Exec) {
        linker.func_wrap_async(MODULE, "exec", |mut caller, (at, length): (i32, i32)| {
            Box::new(async move {
                let asked = request(&mut caller, at, length)?.to_vec();
                let answer = exec::call(caller.data_mut(), &asked).await?;
                put(caller.data_mut(), answer)
            })
        })?;
    }
    if granted(Capability::Kv) {
        linker.func_wrap_async(
            MODULE,
            "store_set",
            |mut caller, (at, length): (i32, i32)| {
                Box::new(async move {
                    let asked = request(&mut caller, at, length)?.to_vec();
                    store::set(caller.data_mut(), &asked).await
                })
            },
        )?;
        linker.func_wrap_async(
            MODULE,
            "store_get",
            |mut caller, (at, length): (i32, i32)| {
                Box::new(async move {
                    let asked = request(&mut caller, at, length)?.to_vec();
                    let answer = store::get(caller.data_mut(), &asked).await?;
                    put(caller.data_mut(), answer)
                })
            },
        )?;
    }
    if granted(Capability::Metadata) {
        linker.func_wrap_async(
            MODULE,
            "metadata",
            |mut caller, (at, length): (i32, i32)| {
                Box::new(async move {
                    let asked = request(&mut caller, at, length)?.to_vec();
                    let answer = answer::metadata(caller.data_mut(), &asked).await?;
                    put(caller.data_mut(), answer)
                })
            },
        )?;
    }
    Ok(linker)
}

/// Leaves an answer in the one place for it, and gives its length.
fn put(state: &mut State, answer: Vec<u8>) -> Result<i32> {
    let length = i32::try_from(answer.len())?;
    state.fledge().slot.put(answer);
    Ok(length)
}

/// Gives the guest as much of what waits for it as it has room for.
fn recv(caller: &mut Caller<'_, State>, at: i32, most: i32) -> Result<i32> {
    let memory = memory(caller)?;
    let (data, state) = memory.data_and_store_mut(&mut *caller);
    let slot = &mut state.fledge().slot;
    let length = unsigned(most)?.min(slot.len());
    let place = place(at, length, data.len())?;
    Ok(i32::try_from(slot.take(&mut data[place]))?)
}

/// The bytes of a request, for as long as nothing of the guest runs.
fn request<'a>(caller: &'a mut Caller<'_, State>, at: i32, length: i32) -> Result<&'a [u8]> {
    let memory = memory(caller)?;
    let data = memory.data(&*caller);
    let place = place(at, unsigned(length)?, data.len())?;
    if place.len() > MAX_MESSAGE {
        bail!(
            "a request has {} bytes, more than {MAX_MESSAGE}",
            place.len()
        );
    }
    Ok(&data[place])
}

/// The memory of the guest that calls. Looked up each time, as fledge does.
fn memory(caller: &mut Caller<'_, State>) -> Result<Memory> {
    match caller.get_export("memory") {
        Some(Extern::Memory(memory)) => Ok(memory),
        _ => bail!("plugin has no memory export"),
    }
}

fn unsigned(number: i32) -> Result<usize> {
    match usize::try_from(number) {
        Ok(number) => Ok(number),
        Err(_) => bail!("negative pointer or length from guest"),
    }
}

fn place(at: i32, length: usize, memory: usize) -> Result<std::ops::Range<usize>> {
    let start = unsigned(at)?;
    match start.checked_add(length) {
        Some(end) if end <= memory => Ok(start..end),
        _ => bail!("out-of-bounds guest memory access"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_negative_or_leads_out_is_no_place() {
        let of = |at, length: i32| unsigned(length).and_then(|length| place(at, length, 100));
        assert_eq!(of(0, 0).unwrap(), 0..0);
        assert_eq!(of(100, 0).unwrap(), 100..100);
        assert_eq!(of(90, 10).unwrap(), 90..100);
        for (at, length) in [(-1, 1), (1, -1), (i32::MIN, i32::MIN)] {
            let why = of(at, length).unwrap_err().to_string();
            assert!(why.starts_with("negative"), "{why}");
        }
        for (at, length) in [(90, 11), (101, 0), (i32::MAX, i32::MAX)] {
            let why = of(at, length).unwrap_err().to_string();
            assert!(why.starts_with("out-of-bounds"), "{why}");
        }
    }
}
