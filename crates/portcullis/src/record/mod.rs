//! Records of runs, and playing them again.
//!
//! A record has everything that passed between a guest and its host, in its order: each call with what it was given, and
//! each answer. So a guest can be run again with nothing but its record: it is given the same answers, as long as it asks
//! for the same. What it asks for instead is a [`Difference`].
//!
//! A record says what a guest did and was given, and neither decides anything nor is written to the audit trail.

pub(crate) mod core;
pub(crate) mod forward;
mod line;
pub(crate) mod link;
mod recorder;
mod regions;
mod replay;
mod replayer;
mod secrets;
mod values;

use std::sync::Arc;

use portcullis_audit::is_secret_name;
use serde_json::{Value, json};
use wasmtime::component::{Func, ResourceAny};

use crate::capability::http;
use crate::error::CallError;
use crate::gate::GateParts;
use crate::recognize::Kind;

pub(crate) use line::Asked;
pub use line::{Bytes, CallOfHost, Channel, Header, Record, Unreadable, Wrote};
pub use recorder::{Recorded, Recorder};
pub use replay::ReplayError;
pub(crate) use replay::{ROLE, serve};
pub(crate) use replayer::Replayer;
pub use replayer::{Difference, Refused, Replayed};
use secrets::Secrets;

/// The code of a call whose time is over.
const DEADLINE: &str = "P0701";

/// What an instance is recorded to, or played from.
#[derive(Clone)]
pub(crate) enum Tape {
    Record(Arc<Recorder>),
    Replay(Arc<Replayer>),
}

/// What stands between an instance that is recorded and its host.
#[derive(Default)]
pub(crate) struct Held {
    /// The functions of the host, as they can be called.
    functions: Vec<Func>,
    /// What the host has given the guest, which knows it by its number.
    resources: Vec<Option<ResourceAny>>,
    /// Numbers that lead to nothing.
    free: Vec<usize>,
    /// The functions of the host as a core module's can be called.
    forwarded: Vec<wasmtime::Func>,
    /// Whether the host is being called, and may call the guest to make room.
    is_calling: bool,
}

impl Tape {
    /// The guest is called.
    pub(crate) fn asked(&self, asked: Asked) {
        match self {
            Self::Record(recorder) => recorder.asked(asked),
            // It is where this comes from.
            Self::Replay(_) => {}
        }
    }

    /// The guest has returned, or was ended.
    pub(crate) fn answered(&self, answer: Value) {
        match self {
            Self::Record(recorder) => recorder.answered(answer),
            Self::Replay(replayer) => replayer.answered(answer),
        }
    }
}

/// Begins the record of a plugin.
///
/// # Errors
/// It cannot be written, in words.
pub(crate) fn begin(
    recorder: &Recorder,
    kind: Kind,
    sha256: String,
    gate: &GateParts,
) -> Result<(), String> {
    let GateParts { grants, trail, .. } = gate;
    let named = gate.guest_env.readable(&grants.env);
    let named = named.filter(|(name, _)| is_secret_name(name));
    let added = http::secrets_of(grants, &gate.secret_env);
    let values = named.map(|(_, value)| value.as_bytes());
    let values = values.chain(added.iter().map(|value| value.as_bytes()));
    let secrets = Secrets::new(values, trail.key.clone());
    let limits = &grants.limits;
    let header = Header {
        version: line::VERSION,
        plugin: grants.plugin.to_string(),
        kind,
        sha256,
        path: None,
        policy: Vec::new(),
        memory: limits.memory,
        table_elements: limits.table_elements,
        fuel: limits.fuel,
        call_ms: u64::try_from(limits.call.as_millis()).unwrap_or(u64::MAX),
    };
    recorder
        .begin(header, secrets)
        .map_err(|error| error.to_string())
}

/// A text that a guest returned, or its error.
pub(crate) fn text(answer: &Result<String, String>) -> Value {
    match answer {
        Ok(text) => json!({ "ok": text }),
        Err(text) => json!({ "err": text }),
    }
}

/// How a call ended that did not return.
pub(crate) fn failed(error: &CallError) -> Value {
    let told = error.diagnostic();
    json!({ "failed": { "code": told.code, "message": told.message } })
}
