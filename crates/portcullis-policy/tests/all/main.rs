//! Behaviour of the policy: one module per promise.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that cannot go on fails its test"
)]

mod addresses;
mod arguments;
mod changes;
mod denials;
mod directories;
mod environment;
mod hosts;
mod patterns;
mod properties;
mod random;
mod reference;
mod reglet;
mod rights;
mod support;
mod types;
mod urls;
