//! What runs in the spawn server and below it, each one thread:
//!
//! `server` makes a copy of itself for each plan, a `template`, which sets up what the plan's cells have in common:
//! `identity`, `root`; and ahead of each cell its `ground`: `scratch`, `network`. A template makes a copy of itself for
//! each cell, whose `init` sets up the rest: `capabilities`, `landlock`, `seccomp`; `read_back` asks the kernel what
//! came of it. Then it waits for its command: `launch`, `child`.

mod capabilities;
mod certificates;
mod child;
mod directory;
mod failure;
mod ground;
mod identity;
mod init;
mod landlock;
mod launch;
mod layout;
mod leash;
mod memory;
mod mounts;
mod network;
mod read_back;
mod root;
mod scratch;
mod seccomp;
mod server;
mod template;
mod tree;
mod turns;

pub(super) use identity::OUTSIDE;
pub use seccomp::stay_alone;
pub(super) use server::serve;
