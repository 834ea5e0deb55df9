//! Differences and commits on real directories: an upper layer as overlayfs writes it, and what becomes of it.
//!
//! The namespace that makes such layers, and what whoever runs in it can do to them, is tried with real runs by the tests of
//! the command line.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod attacks;
mod conflicts;
mod fixture;
mod kept;
mod killed;
mod whole;
