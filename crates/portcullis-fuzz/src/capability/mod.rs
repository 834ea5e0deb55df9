//! What the source of another crate looks for under this name: parts of that source, and around them what it takes.

pub(crate) mod http;
pub(crate) mod net;

/// What reaches out there; here nothing does.
#[derive(Debug)]
pub(crate) struct Client;
