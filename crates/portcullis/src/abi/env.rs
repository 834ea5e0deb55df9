//! `portcullis:cli/env`.

use portcullis_policy::GuestError;
use serde::Serialize;
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Linker, Lower};

use crate::gate::Refused;
use crate::state::State;

pub(crate) const ENV: &str = "portcullis:cli/env@0.1.0";

#[derive(ComponentType, Lower, Clone, Copy, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[component(enum)]
#[repr(u8)]
pub(crate) enum Error {
    #[component(name = "limit")]
    Limit,
    #[component(name = "io")]
    Io,
}

/// Makes the interface known to the linker.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.instance(ENV)?.func_wrap(
        "get",
        |mut store: StoreContextMut<'_, State>, (name,): (String,)| {
            Ok((get(store.data_mut(), name),))
        },
    )
}

pub(crate) fn get(state: &mut State, name: String) -> Result<Option<String>, Error> {
    state
        .gate
        .env(name)
        .or_else(|refused: Refused| match refused.guest {
            // As if it were not set.
            GuestError::Denied => Ok(None),
            GuestError::Limit => Err(Error::Limit),
            GuestError::NotFound
            | GuestError::Invalid
            | GuestError::OutputLimit
            | GuestError::MemoryLimit
            | GuestError::TimedOut
            | GuestError::CannotStart => Err(Error::Io),
        })
}
