//! Cells on Linux. `host` is what an application holds; `inside` is what runs in the spawn server, its templates and
//! their cells; `enter` is where a process becomes one of them.

mod enter;
mod host;
mod inside;
mod names;
mod process;
mod socket;
mod staging;
#[cfg(feature = "test-points")]
mod test_point;

pub use enter::{enter, exit_if_reentered};
pub use host::{
    Cell, CellCommand, Helper, Observing, SpawnServer, Template, cgroup_obstacle, enter_leaf_cgroup,
};
pub use inside::stay_alone;
pub use staging::{Outside, Staging, enter_staging};
#[cfg(feature = "test-points")]
pub(crate) use test_point::Stop;
#[cfg(feature = "test-points")]
pub use test_point::TestPoint;

/// The name a spawn server has in `argv[0]`.
const SERVER_NAME: &str = "portcullis-spawn-server";
