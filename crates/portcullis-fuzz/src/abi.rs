//! What the source of another crate looks for under this name.

#[path = "../../portcullis/src/abi/object.rs"]
pub(crate) mod object;
