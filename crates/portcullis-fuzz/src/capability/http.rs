//! As there, without anything that sends.

#[path = "../../../portcullis/src/capability/http/failure.rs"]
#[allow(
    dead_code,
    reason = "the source of another crate, of which a part is used"
)]
mod failure;

pub(crate) use failure::HttpFailure;

/// As there.
#[derive(Debug)]
pub(crate) struct HttpAsk {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// As there.
#[derive(Debug)]
pub(crate) struct HttpAnswer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) truncated: bool,
}
