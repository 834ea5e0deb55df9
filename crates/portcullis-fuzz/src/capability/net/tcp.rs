//! As there: every connection leads to what an input says.

use std::net::SocketAddr;
use std::time::Duration;

use portcullis_policy::Target;

use super::attempt::Outside;
use super::failure::Failed;
use super::script::Script;
use super::tls::TlsFacts;

/// As there.
#[derive(Debug)]
pub(crate) struct TcpAsk {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: bool,
    pub(crate) timeout: Option<Duration>,
}

/// As there.
#[derive(Debug)]
pub(crate) struct TcpAnswer {
    pub(crate) target: Target,
    pub(crate) remote: Option<SocketAddr>,
    pub(crate) local: SocketAddr,
    pub(crate) took: Duration,
    pub(crate) tls: Option<TlsFacts>,
}

pub(super) async fn connected(
    outside: &Outside,
    _: &Target,
) -> Result<(Script, Option<SocketAddr>), Failed> {
    Ok((outside.server.clone(), None))
}
