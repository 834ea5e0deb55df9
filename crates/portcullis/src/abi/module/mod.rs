//! The core-module form of our world, for languages without component tooling: JSON behind packed pointers.
//!
//! `docs/interfaces.md` is its contract. Functions that wait for nothing but their answer are an [`ask::Ask`] each; commands
//! that run beside the guest are `children`. A guest exports `memory`, `allocate` and `run`, and imports from `MODULE` what
//! it was granted.

mod answer;
mod ask;
mod children;
mod entry;
mod env;
mod fs;
mod http;
mod kv;
mod log;
mod prompt;
pub(crate) mod wire;

use portcullis_audit::Masked;
use portcullis_policy::{Capability, Grants};
use tokio::io::AsyncWrite;
use wasmtime::{AsContextMut, Caller, Engine, Linker, Memory, Result, TypedFunc};

use super::packed::{self, Packed};
use super::preview1;
use crate::gate::Wish;
use crate::state::State;
use answer::{Error, Output, encode};
use children::Numbered;
pub(crate) use entry::{Entry, NoRoom, REQUIRED, fit};

/// The module that guests import from.
pub(crate) const MODULE: &str = "portcullis:core/v1";

/// Every function of it, with what it needs; `None`: it is always there.
pub(crate) const FUNCTIONS: [(&str, Option<Capability>); 24] = [
    ("log", None),
    ("exec", Some(Capability::Exec)),
    ("exec_start", Some(Capability::Exec)),
    ("exec_write", Some(Capability::Exec)),
    ("exec_poll", Some(Capability::Exec)),
    ("exec_cancel", Some(Capability::Exec)),
    ("fs_read", Some(Capability::Fs)),
    ("fs_write", Some(Capability::Fs)),
    ("fs_entries", Some(Capability::Fs)),
    ("fs_stat", Some(Capability::Fs)),
    ("fs_make_directory", Some(Capability::Fs)),
    ("fs_remove", Some(Capability::Fs)),
    ("fs_rename", Some(Capability::Fs)),
    ("kv_get", Some(Capability::Kv)),
    ("kv_set", Some(Capability::Kv)),
    ("kv_delete", Some(Capability::Kv)),
    ("kv_list", Some(Capability::Kv)),
    ("kv_compare_and_swap", Some(Capability::Kv)),
    ("http_send", Some(Capability::Http)),
    ("env_get", Some(Capability::Env)),
    ("prompt_text", None),
    ("prompt_confirm", None),
    ("prompt_choose", None),
    ("prompt_choose_some", None),
];

/// What an instance of a core module has besides what every instance has.
pub(crate) struct ModuleState {
    /// Where `log` writes.
    log: Option<Box<dyn AsyncWrite + Send + Unpin>>,
    pub(crate) children: Numbered,
    /// Whether the guest is making room for an answer.
    answering: bool,
}

impl ModuleState {
    pub(crate) fn new(log: Option<Box<dyn AsyncWrite + Send + Unpin>>) -> Self {
        Self {
            log,
            children: Numbered::default(),
            answering: false,
        }
    }
}

/// A linker with WASI preview 1, and of ours exactly what these grants give. With `late`, what is not granted is there
/// and refuses.
pub(crate) fn linker(engine: &Engine, grants: &Grants) -> Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    preview1::link(&mut linker)?;
    linker.func_wrap_async(MODULE, "log", |mut caller, (level, text): (i32, i64)| {
        Box::new(async move { log::log(&mut caller, level, Packed::from_wasm(text)).await })
    })?;
    ask::link::<wire::prompt::Text>(&mut linker)?;
    ask::link::<wire::prompt::Confirm>(&mut linker)?;
    ask::link::<wire::prompt::Choose>(&mut linker)?;
    ask::link::<wire::prompt::ChooseSome>(&mut linker)?;
    let granted = |capability| grants.has(capability) || grants.late;
    if granted(Capability::Exec) {
        link_exec(&mut linker)?;
    }
    if granted(Capability::Fs) {
        link_fs(&mut linker)?;
    }
    if granted(Capability::Kv) {
        ask::link::<wire::kv::Get>(&mut linker)?;
        ask::link::<wire::kv::Set>(&mut linker)?;
        ask::link::<wire::kv::Delete>(&mut linker)?;
        ask::link::<wire::kv::List>(&mut linker)?;
        ask::link::<wire::kv::Swap>(&mut linker)?;
    }
    if granted(Capability::Http) {
        ask::link::<wire::http::Send>(&mut linker)?;
    }
    if granted(Capability::Env) {
        ask::link::<wire::env::Get>(&mut linker)?;
    }
    Ok(linker)
}

fn link_fs(linker: &mut Linker<State>) -> Result<()> {
    ask::link::<wire::fs::Read>(linker)?;
    ask::link::<wire::fs::Write>(linker)?;
    ask::link::<wire::fs::Entries>(linker)?;
    ask::link::<wire::fs::Stat>(linker)?;
    ask::link::<wire::fs::MakeDirectory>(linker)?;
    ask::link::<wire::fs::Remove>(linker)?;
    ask::link::<wire::fs::Rename>(linker)
}

fn link_exec(linker: &mut Linker<State>) -> Result<()> {
    linker.func_wrap_async(MODULE, "exec", |mut caller, (request,): (i64,)| {
        Box::new(async move { exec(&mut caller, Packed::from_wasm(request)).await })
    })?;
    linker.func_wrap_async(MODULE, "exec_start", |mut caller, (request,): (i64,)| {
        Box::new(async move { children::start(&mut caller, Packed::from_wasm(request)).await })
    })?;
    linker.func_wrap(
        MODULE,
        "exec_write",
        |mut caller: Caller<'_, State>, child: i32, bytes: i64| {
            children::write(&mut caller, child, Packed::from_wasm(bytes))
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "exec_poll",
        |mut caller, (child, timeout_ms): (i32, i64)| {
            Box::new(async move { children::poll(&mut caller, child, timeout_ms).await })
        },
    )?;
    linker.func_wrap_async(MODULE, "exec_cancel", |mut caller, (child,): (i32,)| {
        Box::new(async move { children::cancel(&mut caller, child).await })
    })?;
    Ok(())
}

/// The guest that calls: its memory, and the way to make room in it.
struct Guest {
    memory: Memory,
    allocate: TypedFunc<u32, u32>,
}

impl Guest {
    /// `None` while it makes room for an answer: one that calls for an answer then would never come to an end.
    fn of(caller: &mut Caller<'_, State>) -> Result<Option<Self>> {
        if caller.data_mut().module().answering {
            return Ok(None);
        }
        let memory = packed::memory(caller)?;
        let allocate = packed::allocate(caller)?;
        Ok(Some(Self { memory, allocate }))
    }

    async fn answer(&self, caller: &mut Caller<'_, State>, answer: &[u8]) -> Result<i64> {
        let place = give(caller, self.memory, &self.allocate, answer).await?;
        Ok(place.map_or(0, Packed::into_wasm))
    }
}

/// Passes bytes to a guest, which gets no answers meanwhile.
async fn give(
    mut store: impl AsContextMut<Data = State>,
    memory: Memory,
    allocate: &TypedFunc<u32, u32>,
    bytes: &[u8],
) -> Result<Option<Packed>> {
    store.as_context_mut().data_mut().module().answering = true;
    let place = packed::give(&mut store, memory, allocate, bytes).await;
    store.as_context_mut().data_mut().module().answering = false;
    place
}

async fn exec(caller: &mut Caller<'_, State>, request: Packed) -> Result<i64> {
    let Some(guest) = Guest::of(caller)? else {
        return Ok(0);
    };
    let command = wire::exec(request.bytes(&guest.memory, caller)?);
    let completed = match command {
        Ok(command) => {
            let gate = &mut caller.data_mut().gate;
            gate.work_on(command.request_id.as_deref());
            let ran = gate.exec(command.into()).await;
            gate.work_on(None);
            ran.map_err(Error::from)
        }
        Err(malformed) => {
            malformed_request(caller.data_mut(), "exec", &malformed);
            Err(Error::Invalid)
        }
    };
    let answer = encode(completed.as_ref().map(Output::from).map_err(|&error| error));
    // What the answer was made of is not needed while the guest makes room for it.
    drop(completed);
    guest.answer(caller, &answer).await
}

impl From<wire::Command> for Wish {
    fn from(command: wire::Command) -> Self {
        Self {
            ask: command.ask,
            timeout: command.timeout,
        }
    }
}

/// The guest learns the kind alone; whoever wrote it looks for the place.
fn malformed_request(state: &mut State, function: &str, malformed: &wire::Malformed) {
    let why = shown(malformed);
    let why = format!("`{function}` was asked what is no request: {why}");
    state.gate.activity.failure(why);
}

/// What is wrong with a message, for the operator. It may quote the message.
fn shown(malformed: &wire::Malformed) -> String {
    Masked::new(&malformed.0)
        .as_str()
        .escape_debug()
        .to_string()
}
