//! What a guest may do itself, one file each.

pub(crate) mod wasi;
