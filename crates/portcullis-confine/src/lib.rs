//! What the kernel enforces on a child process, and starting it.
//!
//! The host never forks. A small single-threaded **spawn server**, which is the same executable entered through
//! [`enter`], makes one-use **cells** ahead of need: namespaces with an init of ours in them, parked. A
//! command goes from the host straight to the process that waits in one and becomes it; the init kills what it left
//! behind, says how it ended and is gone. Its socket is also the leash: when the host's end closes, for whatever
//! reason, the whole tree dies.
//!
//! ```text
//! host ──MakeTemplate{plan}──> server ──clone──> template (one for each plan)
//! host ──MakeCell─────────────> template ──clone(new pid)──> init ──clone──> waiting process
//! host <──Cell{sockets, pidfd}── template
//! host ──Request{argv, env, descriptors}──> waiting process ──exec──> command
//! host <─Exited{status} after the tree is gone── init
//! ```
//!
//! A [`Plan`] says what is wanted: a [`Tier`], the files and directories a command may use, its network. A template
//! builds the root of such cells once; what no two commands may share each cell makes for itself. Every cell reads back
//! from the kernel what is in force, tries what must be refused, and says so in its [`Report`]; one that lacks
//! something that its plan promises is never handed out.
//!
//! This crate decides nothing: which program runs, with which arguments, environment and rights, is settled by its
//! caller.
//!
//! Read first: [`enter`], [`Plan`], [`SpawnServer`], [`Template`], [`Cell`].

#![cfg_attr(
    not(cells),
    allow(dead_code, reason = "messages and reports, which only cells exchange")
)]

mod ablation;
mod error;
mod event;
#[cfg(all(feature = "fuzzing", cells))]
#[doc(hidden)]
pub mod fuzzing;
mod observed;
mod obstacle;
mod plan;
mod report;
mod rlimits;
mod seatbelt;
mod staging;

#[cfg(cells)]
mod linux;
#[cfg(not(cells))]
mod unsupported;
#[cfg(cells)]
mod wire;

#[cfg(feature = "ablation")]
pub use ablation::{Layer, is_left_out};
pub use error::{HelperError, SendError, ServerError, StartError};
pub use event::{Event, Status, Step, Usage};
#[cfg(all(feature = "test-points", cells))]
pub use linux::TestPoint;
#[cfg(cells)]
pub use linux::{
    Cell, CellCommand, Helper, Observing, Outside, SpawnServer, Staging, Template, cgroup_obstacle,
    enter, enter_leaf_cgroup, enter_staging, exit_if_reentered, stay_alone,
};
pub use observed::{Observed, Touch};
pub use obstacle::{Container, Executable, Hinders, Obstacle, obstacles};
pub use plan::{Access, Certificates, Net, Plan, Root, RootError, Tier, is_system};
pub use report::{Protection, Report};
pub use rlimits::Rlimits;
pub use seatbelt::{SeatbeltError, seatbelt_profile};
pub use staging::{Overlay, Staged, StagingError, StagingStep};
#[cfg(not(cells))]
pub use unsupported::{
    Cell, CellCommand, Helper, Observing, Outside, SpawnServer, Staging, Template, cgroup_obstacle,
    enter, enter_leaf_cgroup, enter_staging, exit_if_reentered, stay_alone,
};

/// Longest argument list, in bytes, each argument counted with its terminating zero byte.
pub const MAX_ARGV_BYTES: usize = 128 * 1024;
/// Longest environment, in bytes, each variable counted with its terminating zero byte.
pub const MAX_ENV_BYTES: usize = 64 * 1024;

/// The port, on the cell's own loopback interface, on which a cell with [`Net::Proxy`] listens.
pub const PROXY_PORT: u16 = 3128;

/// The environment variable that marks a spawn server. It gives no right: a server also needs the
/// right name and a socket whose other end is its parent.
pub(crate) const COOKIE: &str = "PORTCULLIS_SPAWN_SERVER";
