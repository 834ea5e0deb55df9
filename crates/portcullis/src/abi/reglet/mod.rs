//! The world of Reglet's plugins: core modules on WASI preview 1 that import functions from `reglet_host`, which take and
//! give JSON behind packed pointers.
//!
//! `docs/reglet.md` says what differs from Reglet's own hosts. A function that was not granted is not linked.

mod cap;
mod context;
mod dns;
mod entry;
mod error;
mod exec;
mod guest;
mod http;
mod log;
mod net;
mod observation;
mod record;
mod request;
mod smtp;
mod tcp;

use portcullis_policy::{Capability, Grants};
use tokio::io::AsyncWrite;
use wasmtime::{Caller, Engine, Linker, Result, ValType};

use super::packed::Packed;
use super::preview1;
use super::signature::Signature;
use crate::state::State;
use error::ErrorDetail;
use guest::{Guest, copy};

pub use entry::RegletText;
pub(crate) use entry::{Entry, fit, speaks};
pub use observation::{Observation, RegletError, RegletStatus};

/// The module that guests import from.
pub(crate) const MODULE: &str = "reglet_host";

/// Bytes of one request. What is longer is none.
pub(crate) const MAX_REQUEST: usize = 1024 * 1024;

/// A function that a guest may import.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Function {
    pub(crate) name: &'static str,
    /// What it needs; `None`: it is always there.
    pub(crate) needs: Option<Capability>,
    /// The request that it is, if it has an answer.
    asked: Option<Asked>,
    signature: Signature,
}

/// Every function of the world.
pub(crate) const FUNCTIONS: [Function; 6] = [
    Function {
        name: "log_message",
        needs: None,
        asked: None,
        signature: Signature {
            params: &[ValType::I64],
            results: &[],
            words: "(i64)",
        },
    },
    answering("exec_command", Capability::Exec, Asked::Exec),
    answering("http_request", Capability::Http, Asked::Http),
    answering("dns_lookup", Capability::Net, Asked::Dns),
    answering("tcp_connect", Capability::Net, Asked::Tcp),
    answering("smtp_connect", Capability::Net, Asked::Smtp),
];

const fn answering(name: &'static str, needs: Capability, asked: Asked) -> Function {
    Function {
        name,
        needs: Some(needs),
        asked: Some(asked),
        signature: Signature {
            params: &[ValType::I64],
            results: &[ValType::I64],
            words: "(i64) -> i64",
        },
    }
}

/// A request that has an answer.
#[derive(Clone, Copy, Debug)]
enum Asked {
    Exec,
    Http,
    Dns,
    Tcp,
    Smtp,
}

impl Asked {
    /// The answer to a request, as JSON.
    async fn answer(self, state: &mut State, request: &[u8]) -> Vec<u8> {
        match self {
            Self::Exec => exec::call(state, request).await,
            Self::Http => http::call(state, request).await,
            Self::Dns => dns::call(state, request).await,
            Self::Tcp => tcp::call(state, request).await,
            Self::Smtp => smtp::call(state, request).await,
        }
    }

    /// The answer where there is an error and nothing else, as JSON.
    fn failed(self, error: ErrorDetail) -> Vec<u8> {
        match self {
            Self::Exec => exec::failed(error),
            Self::Http => http::failed(error),
            Self::Dns => dns::failed(error),
            Self::Tcp => tcp::failed(error),
            Self::Smtp => smtp::failed(error),
        }
    }
}

/// What an instance has besides what every instance has.
#[derive(Default)]
pub(crate) struct RegletState {
    /// Where lines of log go that are not granted a place in the operator's.
    log: Option<Box<dyn AsyncWrite + Send + Unpin>>,
    /// Whether the guest is making or freeing room for the host.
    busy: bool,
    /// Whether what the guest hands over and forgets is freed: in an instance that is called again.
    frees: bool,
}

impl RegletState {
    pub(crate) fn new(log: Option<Box<dyn AsyncWrite + Send + Unpin>>) -> Self {
        Self {
            log,
            ..Self::default()
        }
    }
}

/// A linker with WASI preview 1, and of the world exactly what these grants give. With `late`, what is not granted is
/// there and refuses.
pub(crate) fn linker(engine: &Engine, grants: &Grants) -> Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    preview1::link(&mut linker)?;
    linker.func_wrap_async(MODULE, "log_message", |mut caller, (record,): (i64,)| {
        Box::new(async move { log::message(&mut caller, Packed::from_wasm(record)).await })
    })?;
    for Function {
        name, needs, asked, ..
    } in FUNCTIONS
    {
        let granted = needs.is_none_or(|needs| grants.has(needs) || grants.late);
        if let Some(asked) = asked.filter(|_| granted) {
            linker.func_wrap_async(MODULE, name, move |mut caller, (request,): (i64,)| {
                let request = Packed::from_wasm(request);
                Box::new(async move { ask(&mut caller, name, asked, request).await })
            })?;
        }
    }
    Ok(linker)
}

/// Answers a request of the guest: 0 where it has no room for the answer.
async fn ask(
    caller: &mut Caller<'_, State>,
    name: &str,
    asked: Asked,
    place: Packed,
) -> Result<i64> {
    let Some(guest) = Guest::of(caller)? else {
        return Ok(0);
    };
    let answer = match copy(&guest.memory, caller, place, MAX_REQUEST) {
        Ok(request) => {
            let state = caller.data_mut();
            let answer = asked.answer(state, &request).await;
            // What it said that it belongs to is that of one request.
            state.gate.work_on(None);
            answer
        }
        Err(unread) => {
            let why = format!("`{name}` was asked what is no request: {unread}");
            caller.data_mut().gate.activity.failure(why);
            asked.failed(unread.into())
        }
    };
    let place = guest.give(caller, &answer).await?;
    Ok(place.map_or(0, Packed::into_wasm))
}
