//! `http`: requests that the guest itself sends.
//!
//! A request is decided on by its parsed URL, and again by every address that its host stands for; only an address that was
//! decided on is connected to ([`dial`](super::dial)). What comes back is counted while it comes ([`body`]), and no secret that the host adds
//! to requests ([`secret`]) is in it.

mod beside;
mod body;
mod call;
mod exchange;
mod failure;
mod head;
mod redacted;
mod search;
mod secret;
mod sending;

pub(crate) use beside::{Came, Requests};
pub(crate) use exchange::Waits;
pub(crate) use failure::HttpFailure;
pub(crate) use redacted::MAX_URL;
pub(crate) use secret::secrets_of;

/// A request as a guest asks for it.
#[derive(Debug, Default)]
pub(crate) struct HttpAsk {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// What came back. A redirect is an answer like any other: it is not followed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HttpAnswer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    /// Unpacked.
    pub(crate) body: Vec<u8>,
    /// Whether there was more than the plugin may be given.
    pub(crate) truncated: bool,
}

impl HttpAnswer {
    /// The body as text. Where it was cut it ends with a whole character; `None` when it is no UTF-8.
    pub(crate) fn into_text(self) -> Option<String> {
        match String::from_utf8(self.body) {
            Ok(text) => Some(text),
            Err(error) => {
                let cut_inside = self.truncated && error.utf8_error().error_len().is_none();
                let whole = error.utf8_error().valid_up_to();
                let mut bytes = error.into_bytes();
                bytes.truncate(whole);
                String::from_utf8(bytes).ok().filter(|_| cut_inside)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_between_characters_and_is_text() {
        let text = |body: &[u8], truncated| {
            let (body, headers) = (body.to_vec(), Vec::new());
            let answer = HttpAnswer {
                status: 200,
                headers,
                body,
                truncated,
            };
            answer.into_text()
        };
        assert_eq!(text("aé".as_bytes(), false).as_deref(), Some("aé"));
        assert_eq!(text(b"a\xc3", true).as_deref(), Some("a"));
        assert_eq!(text(b"a\xf0\x9f\x98", true).as_deref(), Some("a"));
        assert_eq!(text(b"a\xc3", false), None, "the server sent it so");
        assert_eq!(text(b"a\xffb", true), None, "nothing was cut there");
    }
}
