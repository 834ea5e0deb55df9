//! `host`: the functions that a plugin of clawft may call.

use portcullis_policy::LogLevel;
use wasmtime::StoreContextMut;
use wasmtime::component::Linker;

use super::{HOST, files, http};
use crate::capability::http::HttpAsk;
use crate::state::State;

type Store<'a> = StoreContextMut<'a, State>;
/// An answer, or what the plugin is told of why there is none.
pub(super) type Text<T> = Result<T, String>;
/// Method, URL, headers and body.
type Request = (String, String, Vec<(String, String)>, Option<String>);

/// Makes the functions known to the linker. Whether a call does anything is the gate's decision.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut host = linker.instance(HOST)?;
    host.func_wrap("get-env", |mut store: Store<'_>, (name,): (String,)| {
        Ok((get_env(store.data_mut(), name),))
    })?;
    host.func_wrap_async(
        "http-request",
        |mut store: Store<'_>, (method, url, headers, body): Request| {
            let ask = HttpAsk {
                method,
                url,
                headers,
                body: body.unwrap_or_default().into_bytes(),
            };
            Box::new(async move { Ok((http::request(store.data_mut(), ask).await,)) })
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
    state.gate.env(name).unwrap_or_default()
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
