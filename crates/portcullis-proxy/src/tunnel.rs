//! Bytes in both directions, the client's held back until it is known which server its TLS asks for.

use std::io;
use std::time::Duration;

use portcullis_policy::{Host, Target};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::client_hello::{Peek, peek};
use crate::verdict::{Attempt, Why};

/// Bytes of the client that are looked at: a ClientHello of 16 KiB in records of many sizes.
const MAX_PEEK: usize = 20 * 1024;

/// Carries a connection until both sides have ended, one has failed, or the client's TLS asks for another server.
///
/// A server may speak first. What the client sends waits for `hello` at most, once it has begun as TLS does.
pub(crate) async fn tunnel(
    client: impl AsyncRead + AsyncWrite,
    host: impl AsyncRead + AsyncWrite,
    target: &Target,
    attempt: &mut Attempt,
    hello: Duration,
) {
    let (mut client_read, mut client_write) = tokio::io::split(client);
    let (mut host_read, mut host_write) = tokio::io::split(host);
    let up = async {
        let mut first = Vec::new();
        if !read_first(&mut client_read, &mut first, hello).await? {
            // It begins as TLS does and goes no further.
            return Ok(Some(Why::Malformed(
                "the first message of its TLS is not complete",
            )));
        }
        if let Some(why) = wrong_server(target, &first) {
            return Ok(Some(why));
        }
        host_write.write_all(&first).await?;
        drop(first);
        tokio::io::copy(&mut client_read, &mut host_write).await?;
        host_write.shutdown().await?;
        io::Result::Ok(None)
    };
    let down = async {
        tokio::io::copy(&mut host_read, &mut client_write).await?;
        client_write.shutdown().await
    };
    tokio::pin!(up, down);
    let mut down_done = false;
    let refused = loop {
        tokio::select! {
            ended = &mut up => break match ended {
                Ok(None) if !down_done => {
                    // The answer may still come.
                    let _ended: io::Result<()> = down.await;
                    None
                }
                Ok(refused) => refused,
                Err(_) => None,
            },
            ended = &mut down, if !down_done => {
                if ended.is_err() {
                    break None;
                }
                down_done = true;
            }
        }
    };
    if let Some(why) = refused {
        attempt.set(why);
    }
}

/// Reads until the first bytes can be judged; false when they never can be.
async fn read_first(
    client: &mut (impl AsyncRead + Unpin),
    first: &mut Vec<u8>,
    hello: Duration,
) -> io::Result<bool> {
    if client.read_buf(first).await? == 0 {
        return Ok(true);
    }
    let rest = async {
        while peek(first) == Peek::More {
            if first.len() > MAX_PEEK || client.read_buf(first).await? == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    };
    timeout(hello, rest).await.unwrap_or(Ok(false))
}

/// Why the client's first bytes must not reach the host. An address has no name, and all of it is granted.
fn wrong_server(target: &Target, first: &[u8]) -> Option<Why> {
    match (peek(first), &target.host) {
        (Peek::More | Peek::Other, _)
        | (Peek::Named(_) | Peek::Unnamed | Peek::Broken, Host::Address(_)) => None,
        (Peek::Named(name), Host::Name(asked)) if name == *asked => None,
        (Peek::Named(name), Host::Name(_)) => Some(Why::ServerName(Some(name.to_string()))),
        (Peek::Unnamed, Host::Name(_)) => Some(Why::ServerName(None)),
        (Peek::Broken, Host::Name(_)) => Some(Why::Malformed(
            "its TLS begins with something else than a ClientHello",
        )),
    }
}
