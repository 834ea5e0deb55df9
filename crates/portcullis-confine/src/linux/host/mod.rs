//! What an application holds: the server, a template for each plan, and cells.

mod cell;
mod cgroup;
mod delegation;
mod helper;
#[cfg(test)]
mod hostile;
mod listener;
mod observing;
mod remedy;
mod server;
mod template;

pub use cell::{Cell, CellCommand};
pub use delegation::{cgroup_obstacle, enter_leaf_cgroup};
pub use helper::Helper;
pub use observing::Observing;
pub use server::SpawnServer;
pub use template::Template;
