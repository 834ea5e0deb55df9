//! From addresses to a connection.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// After this time without an answer the next address is tried as well, RFC 8305 section 5.
const NEXT_ADDRESS: Duration = Duration::from_millis(250);

/// A connection, to come.
pub type Dialling<'a> = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send + 'a>>;

/// Connects to addresses. It is asked only for addresses that were checked, and for the upstream proxy's.
pub trait Dial: fmt::Debug + Send + Sync {
    /// Connects to this address and to no other.
    fn dial(&self, address: SocketAddr) -> Dialling<'_>;
}

/// The network of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDialer;

impl Dial for SystemDialer {
    fn dial(&self, address: SocketAddr) -> Dialling<'_> {
        Box::pin(TcpStream::connect(address))
    }
}

/// Connects to the first address that answers. They are tried in order, the next one also when the one before takes
/// long.
///
/// # Errors
/// None answers within `limit`; the error is that of the last one.
pub async fn dial(
    dialer: &Arc<dyn Dial>,
    sockets: &[SocketAddr],
    limit: Duration,
) -> io::Result<(TcpStream, SocketAddr)> {
    let all = async {
        let mut waiting = sockets.iter().copied();
        let mut attempts = JoinSet::new();
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        loop {
            let next = waiting.next();
            let more = next.is_some();
            if let Some(socket) = next {
                let dialer = Arc::clone(dialer);
                attempts.spawn(async move { (dialer.dial(socket).await, socket) });
            }
            if attempts.is_empty() {
                return Err(last);
            }
            tokio::select! {
                joined = attempts.join_next() => match joined {
                    Some(Ok((Ok(stream), socket))) => return Ok((stream, socket)),
                    Some(Ok((Err(error), _))) => last = error,
                    Some(Err(_)) | None => {}
                },
                () = sleep(NEXT_ADDRESS), if more => {}
            }
        }
    };
    timeout(limit, all)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
