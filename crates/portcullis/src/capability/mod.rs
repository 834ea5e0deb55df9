//! What a guest may do itself, one file each.

mod client;
mod dial;
pub(crate) mod env;
pub(crate) mod fs;
pub(crate) mod http;
pub(crate) mod kv;
pub(crate) mod log;
pub(crate) mod metadata;
pub(crate) mod net;
pub(crate) mod prompt;
mod repeatable;
pub(crate) mod wasi;

pub(crate) use client::Client;
