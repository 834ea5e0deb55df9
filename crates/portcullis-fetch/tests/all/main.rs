//! Plugins from every kind of source: one module per promise.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that cannot go on fails its test"
)]

mod local;
mod packed;
mod registry;
mod server;
mod signatures;
mod sources;
mod web;
