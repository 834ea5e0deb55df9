//! As there, but that nothing is enciphered: the server's script goes on.

use portcullis_policy::Host;

use super::attempt::Given;
use super::failure::Failed;
use super::script::Script;
use crate::capability::Client;

/// As there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TlsFacts {
    pub(crate) version: String,
    pub(crate) cipher_suite: String,
    pub(crate) server_name: String,
    pub(crate) subject: String,
    pub(crate) issuer: String,
    pub(crate) not_after: String,
}

impl Given for TlsFacts {
    fn bytes(&self) -> usize {
        self.subject.len()
    }
}

pub(super) async fn handshake(
    _: &Client,
    _: &Host,
    stream: Script,
) -> Result<(Script, TlsFacts), Failed> {
    stream.begin_tls();
    Ok((stream, TlsFacts::default()))
}
