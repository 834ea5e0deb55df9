//! Making a component of a core module on WASI preview 1, so that all it does goes the one way of WASI 0.2: the same guard
//! in front of files, the same limits, the same lines in the trail.
//!
//! Wasmtime's adapter supplies preview 1 by means of 0.2. It knows no exit codes and traps where a command uses sockets, so
//! that small part of preview 1 is [ours](rest).

mod rest;
mod sections;

use std::fmt::Display;
use std::sync::LazyLock;

use portcullis_codecache::Maker;
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME as PREVIEW1,
    WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER as ADAPTER,
};
use wit_component::ComponentEncoder;

/// How commands are made: the same module always becomes the same component.
pub(crate) static COMMAND: LazyLock<Maker> = LazyLock::new(|| Maker {
    recipe: recipe(),
    make: command,
});

/// Counts changes of this module that make another component of the same module and adapters.
const VERSION: u8 = 1;

fn recipe() -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("portcullis 2026-11-28 made of a command");
    hasher.update(&[VERSION]).update(ADAPTER);
    *hasher.finalize().as_bytes()
}

/// Makes a component for `wasi:cli/command` of a core module that has a `_start`.
///
/// # Errors
/// What is wrong with the module.
fn command(module: &[u8]) -> Result<Vec<u8>, String> {
    sections::validate(module)?;
    let module = sections::prepared(module)?;
    let rest = rest::adapter()?;
    let encoder = ComponentEncoder::default().module(&module);
    let encoder = encoder.and_then(|encoder| encoder.adapter(PREVIEW1, ADAPTER));
    let encoder = encoder.and_then(|encoder| encoder.adapter(rest::MODULE, &rest));
    encoder
        .and_then(|mut encoder| encoder.encode())
        .map_err(words)
}

/// An error with its causes.
fn words(error: impl Display) -> String {
    format!("{error:#}")
}
