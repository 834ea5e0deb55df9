//! Behaviour of the proxy, over real sockets on loopback: one module per promise.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that cannot go on fails its test"
)]

mod addresses;
mod clients;
mod names;
mod requests;
mod socks;
mod support;
mod tools;
mod tunnels;
mod upstream;
