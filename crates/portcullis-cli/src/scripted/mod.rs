//! A scripted host, for the tests of plugins: what a test says is the only world that a plugin meets.
//!
//! Nothing in it stands in for a part of ours: the host, its policy engine, its pipes, deadlines and TLS are those of every
//! run. Only the far ends are scripts. A command is a [stand-in](stand_in) that does what its script says, a server is one
//! that answers by a script, and the files are those of a directory made for the test.

mod file;
mod glob;
mod network;
mod stage;
mod stand_in;

pub(crate) use file::{Content, Denied, Test, TestFile, Text};
pub(crate) use glob::matches;
pub(crate) use network::{Network, Seen};
pub(crate) use stage::{Stage, Workshop};
pub(crate) use stand_in::{Call, calls, enter};
