//! Cells on Linux. Host: `helper`, `server_handle`, `cell`. Server: `enter`, `server`. Cell:
//! `namespaces`, `init`, `turns`, `launch`, `child`.

mod cell;
mod child;
mod enter;
mod helper;
mod init;
mod launch;
mod namespaces;
mod process;
mod remedy;
mod server;
mod server_handle;
mod socket;
#[cfg(feature = "test-points")]
mod test_point;
mod turns;

pub use cell::{Cell, CellCommand};
pub use enter::{enter, exit_if_reentered};
pub use helper::Helper;
pub use server_handle::SpawnServer;
#[cfg(feature = "test-points")]
pub use test_point::TestPoint;

/// The name a spawn server has in `argv[0]`.
const SERVER_NAME: &str = "portcullis-spawn-server";
