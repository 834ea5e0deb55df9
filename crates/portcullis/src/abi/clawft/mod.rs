//! The world of clawft's plugins, `clawft:plugin/plugin@0.1.0`. A component has its two interfaces under plain names, without
//! package and version, so it is known by its shape.

mod calls;
mod description;
mod files;
mod host;
mod http;
mod output;
mod size;

use crate::outline;

pub(crate) use calls::{Entry, Exports};
pub use description::{Description, Tool};
pub(crate) use host::link;
pub(crate) use output::Output;
pub use size::fits;

/// What it imports. Functions that it does not call are missing from it, and it may be missing altogether.
pub(crate) const HOST: &str = "host";
/// What it exports.
pub(crate) const PLUGIN: &str = "plugin";
/// The functions of [`PLUGIN`].
pub(crate) const FUNCTIONS: [&str; 3] = ["init", "execute-tool", "describe"];
/// How the interfaces are called in a draft that gave them names.
pub(crate) const NAMED: &str = "clawft:plugin/";

/// The functions that a component lacks to be a plugin.
pub(crate) fn lacks(bytes: &[u8]) -> Vec<&'static str> {
    let there = outline::functions_of(bytes, PLUGIN);
    let functions = FUNCTIONS.into_iter();
    functions
        .filter(|function| !there.iter().any(|name| name == function))
        .collect()
}
