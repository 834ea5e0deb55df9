//! Whether a place can be connected to, and what it says of itself in TLS.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use portcullis_policy::{Connection, Host, InvalidHost, Target, shown};
use tokio::net::TcpStream;

use super::attempt::{Allowed, Given, Outside};
use super::failure::{Failed, NetFailure};
use super::tls::{TlsFacts, handshake};
use crate::capability::dial::{NoWay, Way, connect, way};
use crate::gate::Gate;

/// A connection as a guest asks for it.
#[derive(Clone, Debug, Default)]
pub(crate) struct TcpAsk {
    /// A name, or an address with or without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Whether TLS is spoken on it, by a server whose certificate is trusted.
    pub(crate) tls: bool,
    /// What the guest waits at most; `None`: as long as it may.
    pub(crate) timeout: Option<Duration>,
}

/// A connection that was made, and is closed again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TcpAnswer {
    /// What was asked for.
    pub(crate) target: Target,
    /// The address that was connected to; `None` where the operator's proxy chose it.
    pub(crate) remote: Option<SocketAddr>,
    pub(crate) local: SocketAddr,
    pub(crate) took: Duration,
    pub(crate) tls: Option<TlsFacts>,
}

impl Given for TcpAnswer {
    fn bytes(&self) -> usize {
        self.tls.as_ref().map_or(0, Given::bytes)
    }
}

impl Gate {
    /// Connects, and closes the connection at once.
    ///
    /// It takes no longer than `limits.net_timeout`, no longer than asked for, and no longer than the guest's own call.
    ///
    /// # Errors
    /// [`NetFailure`]
    pub(crate) async fn net_connect(&mut self, ask: TcpAsk) -> Result<TcpAnswer, NetFailure> {
        let (target, allowed, outside) =
            self.net_place("connect", &ask.host, ask.port, ask.timeout)?;
        let work = probe(outside, target, ask.tls);
        self.net_attempt(allowed, work).await
    }

    /// Decides on a place as a guest wrote it, for what is connected to it for.
    pub(super) fn net_place(
        &mut self,
        function: &'static str,
        host: &str,
        port: u16,
        timeout: Option<Duration>,
    ) -> Result<(Target, Allowed, Outside), NetFailure> {
        let what = place(host, port);
        let used = self.net_begin(function, &what)?;
        let target = match target(host, port) {
            Ok(target) => target,
            Err(why) => return Err(self.net_invalid(&used, &what, why)),
        };
        let rule = self.net_reachable(&used, &target)?;
        let (allowed, outside) = self.net_allowed(used, what, rule, timeout);
        Ok((target, allowed, outside))
    }
}

async fn probe(outside: Outside, target: Target, tls: bool) -> Result<TcpAnswer, Failed> {
    let began = Instant::now();
    let (stream, remote) = connected(&outside, &target).await?;
    let local = stream
        .local_addr()
        .map_err(|error| unreached(&target, &error))?;
    let tls = match tls {
        true => Some(handshake(&outside.client, &target.host, stream).await?.1),
        false => None,
    };
    Ok(TcpAnswer {
        target,
        remote,
        local,
        took: began.elapsed(),
        tls,
    })
}

/// Connects to one of the addresses that the target stands for and policy allows.
pub(super) async fn connected(
    outside: &Outside,
    target: &Target,
) -> Result<(TcpStream, Option<SocketAddr>), Failed> {
    let Outside {
        client,
        grants,
        reached,
    } = outside;
    let place = |address| Connection {
        target: target.clone(),
        address,
    };
    let way = way(client, grants, &target.host, place).await?;
    let direct = matches!(way, Way::Places(_));
    let (stream, socket) = connect(client, way, target, true)
        .await
        .map_err(|error| unreached(target, &error))?;
    // It is set once: there is one connection.
    let _ = reached.set(socket);
    Ok((stream, direct.then_some(socket)))
}

fn unreached(target: &Target, error: &io::Error) -> Failed {
    match error.kind() {
        io::ErrorKind::TimedOut => Failed::Other(NetFailure::TimedOut),
        _ => Failed::io(format!("cannot connect to `{target}`: {error}")),
    }
}

impl From<NoWay> for Failed {
    fn from(no_way: NoWay) -> Self {
        match no_way {
            NoWay::Denied(denial) => Self::Denied(denial),
            NoWay::Unresolved(why) => Self::Other(NetFailure::NotFound(why)),
        }
    }
}

/// A host and a port as a guest wrote them, for messages.
pub(super) fn place(host: &str, port: u16) -> String {
    match host.contains(':') && !host.starts_with('[') {
        true => format!("[{}]:{port}", shown(host)),
        false => format!("{}:{port}", shown(host)),
    }
}

/// What a guest means by a host and a port.
///
/// # Errors
/// Why it means nothing, as a clause.
pub(super) fn target(host: &str, port: u16) -> Result<Target, String> {
    if port == 0 {
        return Err("a port is 1 to 65535".to_owned());
    }
    let host = read_host(host).map_err(|error| error.to_string())?;
    Ok(Target { host, port })
}

/// A name, with or without a final dot, or an address, with or without brackets.
fn read_host(host: &str) -> Result<Host, InvalidHost> {
    if let Ok(address) = host.parse::<std::net::Ipv6Addr>() {
        return Ok(Host::from(std::net::IpAddr::V6(address)));
    }
    let name = host
        .strip_suffix('.')
        .filter(|name| name.parse::<std::net::Ipv4Addr>().is_err());
    Host::parse(name.unwrap_or(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_read_once_and_strictly() {
        for (host, means) in [
            ("mail.example.com", "mail.example.com:25"),
            ("MAIL.example.com.", "mail.example.com:25"),
            ("8.8.8.8", "8.8.8.8:25"),
            ("::1", "[::1]:25"),
            ("[::1]", "[::1]:25"),
            ("::ffff:10.0.0.1", "10.0.0.1:25"),
            ("[::ffff:10.0.0.1]", "10.0.0.1:25"),
        ] {
            assert_eq!(target(host, 25).unwrap().to_string(), means, "{host}");
        }
        for host in [
            "",
            ".",
            "..",
            "127.1",
            "2130706433",
            "0x7f.0.0.1",
            "0177.0.0.1",
            "127.0.0.1.",
            "127.0.0.1..",
            "fe80::1%eth0",
            "[fe80::1%25eth0]",
            "[127.0.0.1]",
            "a b",
            "a\r\nb",
            "a\0b",
            "mail.example.com:25",
            "user@mail.example.com",
            "\u{ff11}27.0.0.1",
            "mail\u{3002}example",
            "*.example.com",
            "http://a",
        ] {
            assert!(target(host, 25).is_err(), "{host:?}");
        }
        assert!(target("mail.example.com", 0).is_err());
    }
}
