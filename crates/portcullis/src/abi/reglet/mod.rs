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
mod request;
mod smtp;
mod tcp;

use portcullis_policy::{Capability, Grants};
use tokio::io::AsyncWrite;
use wasmtime::{Caller, Engine, Linker, Result, ValType};

use super::packed::Packed;
use super::preview1;
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
    pub(crate) needs: Needs,
    pub(crate) results: &'static [ValType],
    pub(crate) words: &'static str,
}

/// What a function needs to be there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Needs {
    /// Nothing.
    Nothing,
    /// Something of this capability to be granted.
    Grant(Capability),
}

/// Every function of the world, each with the request that it is.
pub(crate) const FUNCTIONS: [Function; 6] = [
    function("log_message", Needs::Nothing, &[], "(i64)"),
    function(
        "exec_command",
        Needs::Grant(Capability::Exec),
        &[ValType::I64],
        ANSWERS,
    ),
    function(
        "http_request",
        Needs::Grant(Capability::Http),
        &[ValType::I64],
        ANSWERS,
    ),
    function(
        "dns_lookup",
        Needs::Grant(Capability::Net),
        &[ValType::I64],
        ANSWERS,
    ),
    function(
        "tcp_connect",
        Needs::Grant(Capability::Net),
        &[ValType::I64],
        ANSWERS,
    ),
    function(
        "smtp_connect",
        Needs::Grant(Capability::Net),
        &[ValType::I64],
        ANSWERS,
    ),
];

const ANSWERS: &str = "(i64) -> i64";

const fn function(
    name: &'static str,
    needs: Needs,
    results: &'static [ValType],
    words: &'static str,
) -> Function {
    Function {
        name,
        needs,
        results,
        words,
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
    const ALL: [(&'static str, Self); 5] = [
        ("exec_command", Self::Exec),
        ("http_request", Self::Http),
        ("dns_lookup", Self::Dns),
        ("tcp_connect", Self::Tcp),
        ("smtp_connect", Self::Smtp),
    ];

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
    for function in FUNCTIONS {
        let asked = Asked::ALL.iter().find(|(name, _)| *name == function.name);
        let granted = match function.needs {
            Needs::Nothing => true,
            Needs::Grant(capability) => grants.has(capability) || grants.late,
        };
        if let Some(&(name, asked)) = asked.filter(|_| granted) {
            linker.func_wrap_async(MODULE, name, move |mut caller, (request,): (i64,)| {
                Box::new(async move { ask(&mut caller, asked, Packed::from_wasm(request)).await })
            })?;
        }
    }
    Ok(linker)
}

/// Answers a request of the guest: 0 where it has no room for the answer.
async fn ask(caller: &mut Caller<'_, State>, asked: Asked, place: Packed) -> Result<i64> {
    let Some(guest) = Guest::of(caller)? else {
        return Ok(0);
    };
    let answer = match copy(&guest.memory, caller, place, MAX_REQUEST) {
        Ok(request) => asked.answer(caller.data_mut(), &request).await,
        Err(unread) => {
            let why = format!("`{}` was asked what is no request: {unread}", asked.name());
            caller.data_mut().gate.activity.failure(why);
            asked.failed(unread.into())
        }
    };
    let place = guest.give(caller, &answer).await?;
    Ok(place.map_or(0, Packed::into_wasm))
}

impl Asked {
    fn name(self) -> &'static str {
        let named = Self::ALL
            .iter()
            .find(|(_, asked)| *asked as u8 == self as u8);
        named.map_or("", |(name, _)| name)
    }
}
