//! What the kernel enforces on a child process, and starting it.
//!
//! The host never forks. A small single-threaded **spawn server**, which is the same executable
//! entered through [`enter`], makes one-use **cells** ahead of need: a pid namespace with an init of
//! ours in it, parked on a socket. A command goes from the host straight to a parked init, which
//! runs it, kills what it left behind, says how it ended and is gone. That socket is also the leash:
//! when the host's end closes, for whatever reason, the whole tree dies.
//!
//! ```text
//! host ──MakeCell──> server ──clone(new pid, mount, user)──> init (parked)
//! host <──Cell{socket, pidfd}── server
//! host ──────────────Request{argv, env, descriptors}───────> init ──clone──> command
//! host <─────────────Exited{status} after the tree is gone── init
//! ```
//!
//! This crate decides nothing: which program runs, with which arguments and environment, is settled
//! by its caller. It does not confine files or network yet; [`Report`] says what is in force.
//! A command that runs as root can leave its cell, as root can leave anything without further
//! confinement.
//!
//! Read first: [`enter`], [`SpawnServer`], [`Cell`], [`CellCommand`].

mod error;
mod event;
mod obstacle;
mod plan;
mod report;
mod rlimits;

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod linux;
#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
mod unsupported;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod wire;

pub use error::{HelperError, SendError, ServerError, StartError};
pub use event::{Event, Status, Step, Usage};
#[cfg(all(
    feature = "test-points",
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
pub use linux::TestPoint;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
pub use linux::{Cell, CellCommand, Helper, SpawnServer, Template, enter, exit_if_reentered};
pub use obstacle::{Container, Executable, Hinders, Obstacle, obstacles};
pub use plan::{Access, Net, Plan, Root, RootError, Tier, is_system};
pub use report::{Protection, Report};
pub use rlimits::Rlimits;
#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
pub use unsupported::{Cell, CellCommand, Helper, SpawnServer, Template, enter, exit_if_reentered};

/// Longest argument list, in bytes, each argument counted with its terminating zero byte.
pub const MAX_ARGV_BYTES: usize = 128 * 1024;
/// Longest environment, in bytes, each variable counted with its terminating zero byte.
pub const MAX_ENV_BYTES: usize = 64 * 1024;

/// The port, on the cell's own loopback interface, on which a cell with [`Net::Proxy`] listens.
pub const PROXY_PORT: u16 = 3128;

/// The environment variable that marks a spawn server. It gives no right: a server also needs the
/// right name and a socket whose other end is its parent.
pub(crate) const COOKIE: &str = "PORTCULLIS_SPAWN_SERVER";
