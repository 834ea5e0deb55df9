//! SOCKS version 5, RFC 1928: no authentication, CONNECT only.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use portcullis_policy::{Host, Target};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::gate::{Gate, Use};
use crate::tunnel::tunnel;
use crate::verdict::Why;

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const NO_METHOD: u8 = 0xff;
const CONNECT: u8 = 1;

/// The codes of a reply, RFC 1928 section 6.
#[derive(Clone, Copy, Debug)]
enum Reply {
    Succeeded = 0,
    Failure = 1,
    NotAllowed = 2,
    NetworkUnreachable = 3,
    HostUnreachable = 4,
    Refused = 5,
    Expired = 6,
    Command = 7,
    AddressType = 8,
}

/// What a client asked for.
enum Asked {
    Target(Target),
    /// Text that is no host.
    NoHost(String, &'static str),
    /// Something this proxy does not do.
    Other(Reply, &'static str),
}

/// Serves one client.
pub(crate) async fn serve(mut client: impl AsyncRead + AsyncWrite + Unpin, gate: &Gate) {
    let asked = timeout(gate.options.limits.head, read_request(&mut client)).await;
    let target = match asked {
        Ok(Ok(Some(Asked::Target(target)))) => target,
        Ok(Ok(Some(Asked::NoHost(text, what)))) => {
            gate.malformed(&text, what);
            return refuse(&mut client, Reply::NotAllowed).await;
        }
        Ok(Ok(Some(Asked::Other(reply, what)))) => {
            gate.malformed("", what);
            return refuse(&mut client, reply).await;
        }
        Ok(Ok(None) | Err(_)) | Err(_) => return,
    };
    let mut attempt = gate.attempt(&target);
    let Some(host) = gate.connect(&target, &mut attempt, Use::Tunnel).await else {
        return refuse(&mut client, failure(attempt.why())).await;
    };
    if reply(&mut client, Reply::Succeeded).await.is_ok() {
        tunnel(
            client,
            host,
            &target,
            &mut attempt,
            gate.options.limits.head,
        )
        .await;
    }
}

/// `None` when the client offers nothing that is spoken here; it has been told.
async fn read_request(
    client: &mut (impl AsyncRead + AsyncWrite + Unpin),
) -> io::Result<Option<Asked>> {
    if client.read_u8().await? != VERSION {
        return Ok(None);
    }
    let mut methods = vec![0; client.read_u8().await?.into()];
    client.read_exact(&mut methods).await?;
    if !methods.contains(&NO_AUTHENTICATION) {
        client.write_all(&[VERSION, NO_METHOD]).await?;
        return Ok(None);
    }
    client.write_all(&[VERSION, NO_AUTHENTICATION]).await?;
    let [version, command, _, kind] = read_array(client).await?;
    if version != VERSION {
        return Ok(None);
    }
    let host = match kind {
        1 => Ok(Host::from(IpAddr::from(Ipv4Addr::from(
            read_array::<4>(client).await?,
        )))),
        4 => Ok(Host::from(IpAddr::from(Ipv6Addr::from(
            read_array::<16>(client).await?,
        )))),
        3 => {
            let mut name = vec![0; client.read_u8().await?.into()];
            client.read_exact(&mut name).await?;
            let text = String::from_utf8_lossy(&name).into_owned();
            Host::parse(&text).map_err(|error| (text, error.why()))
        }
        _ => {
            return Ok(Some(Asked::Other(
                Reply::AddressType,
                "SOCKS has no such type of address",
            )));
        }
    };
    let port = client.read_u16().await?;
    if command != CONNECT {
        return Ok(Some(Asked::Other(
            Reply::Command,
            "of SOCKS only CONNECT is spoken here",
        )));
    }
    Ok(Some(match host {
        Err((text, what)) => Asked::NoHost(text, what),
        Ok(host) if port == 0 => Asked::NoHost(format!("{host}:0"), "has no port"),
        Ok(host) => Asked::Target(Target { host, port }),
    }))
}

async fn read_array<const N: usize>(client: &mut (impl AsyncRead + Unpin)) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    client.read_exact(&mut bytes).await?;
    Ok(bytes)
}

async fn refuse(client: &mut (impl AsyncWrite + Unpin), code: Reply) {
    // A client that is gone is refused all the same.
    let _gone: io::Result<()> = reply(client, code).await;
    let _gone: io::Result<()> = client.shutdown().await;
}

/// The address in a reply is that of the proxy's own socket, which is none of the client's business: zeros.
async fn reply(client: &mut (impl AsyncWrite + Unpin), code: Reply) -> io::Result<()> {
    client
        .write_all(&[VERSION, code as u8, 0, 1, 0, 0, 0, 0, 0, 0])
        .await?;
    client.flush().await
}

fn failure(why: &Why) -> Reply {
    match why {
        Why::NoRule | Why::Address(..) | Why::Malformed(_) | Why::ServerName(_) | Why::Bytes => {
            Reply::NotAllowed
        }
        Why::Unresolved => Reply::HostUnreachable,
        Why::Unreachable(kind) => match kind {
            io::ErrorKind::ConnectionRefused => Reply::Refused,
            io::ErrorKind::NetworkUnreachable => Reply::NetworkUnreachable,
            io::ErrorKind::HostUnreachable => Reply::HostUnreachable,
            io::ErrorKind::TimedOut => Reply::Expired,
            _ => Reply::Failure,
        },
        Why::Allowed | Why::AllowedUnchecked => Reply::Failure,
    }
}
