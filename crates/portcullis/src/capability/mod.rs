//! What a guest may do itself, one file each.

pub(crate) mod env;
pub(crate) mod fs_guard;
pub(crate) mod log;
mod repeatable;
pub(crate) mod wasi;
