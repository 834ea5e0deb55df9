//! What authors write, natively, on scripted hosts.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod commands;
mod files;
mod plugins;
mod rest;
