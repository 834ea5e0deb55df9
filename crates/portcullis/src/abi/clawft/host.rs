//! `host`: the functions that a plugin of clawft may call.

use portcullis_audit::{Effect, Masked};
use portcullis_policy::{Capability, LogLevel};
use wasmtime::StoreContextMut;
use wasmtime::component::Linker;

use super::{HOST, files};
use crate::state::State;

type Store<'a> = StoreContextMut<'a, State>;
/// An answer, or what the plugin is told of why there is none.
pub(super) type Text<T> = Result<T, String>;
type Headers = Vec<(String, String)>;

/// Makes the functions known to the linker. Whether a call does anything is the gate's decision.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut host = linker.instance(HOST)?;
    host.func_wrap("get-env", |mut store: Store<'_>, (name,): (String,)| {
        Ok((get_env(store.data_mut(), name),))
    })?;
    host.func_wrap(
        "http-request",
        |mut store: Store<'_>,
         (method, url, _, _): (String, String, Headers, Option<String>)|
         -> wasmtime::Result<(Result<String, String>,)> {
            let object = format!("{method} {url}");
            absent(store.data_mut(), Capability::Http, "request", &object);
            Ok((Err("network access not permitted".to_owned()),))
        },
    )?;
    host.func_wrap_async("read-file", |mut store: Store<'_>, (path,): (String,)| {
        Box::new(async move { Ok((files::read(store.data_mut(), path).await,)) })
    })?;
    host.func_wrap_async(
        "write-file",
        |mut store: Store<'_>, (path, content): (String, String)| {
            Box::new(async move { Ok((files::write(store.data_mut(), path, content).await,)) })
        },
    )?;
    host.func_wrap(
        "log",
        |mut store: Store<'_>, (level, message): (u8, String)| {
            log(store.data_mut(), level, &message);
            Ok(())
        },
    )
}

/// Nothing is said of why there is no value: not set, not granted and asked for too often look the same.
fn get_env(state: &mut State, name: String) -> Option<String> {
    state.gate.env(name).unwrap_or(None)
}

/// The plugin is not told what becomes of its line.
fn log(state: &mut State, level: u8, message: &str) {
    // What it wrote before stands before it.
    state.pass_on_output(false);
    let level = match level {
        0 => LogLevel::Error,
        1 => LogLevel::Warn,
        2 => LogLevel::Info,
        3 => LogLevel::Debug,
        4.. => LogLevel::Trace,
    };
    state.gate.log(level, message);
}

/// Counts and writes down what no gate of this release does.
fn absent(state: &mut State, capability: Capability, function: &'static str, object: &str) {
    let Ok(used) = state.gate.begin(capability, function, Masked::new(object)) else {
        return;
    };
    let effect = Effect {
        failed: Some(Masked::new("it is not part of this release")),
        ..Effect::default()
    };
    // Nothing was done that could have been kept from being done.
    let _ = state.gate.told(&used, None, effect);
}
