//! From a host that was decided on to a stream, by addresses that were decided on too.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use portcullis_policy::{
    Authorized, Connection, Decision, Denial, Grants, Host, HostName, HttpDial, Request, Target,
    decide,
};
use portcullis_proxy::{Upstream, dial};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;

use super::Client;

/// Addresses of one name that are considered.
const MAX_ADDRESSES: usize = 16;
/// Time to resolve a name; the same again to connect. The request's own time ends them earlier.
const CONNECT: Duration = Duration::from_secs(10);

/// A request for one address.
pub(super) trait Place: Request {
    /// The only place that may be connected to once this is authorized.
    fn socket(&self) -> SocketAddr;
}

impl Place for HttpDial {
    fn socket(&self) -> SocketAddr {
        self.socket()
    }
}

impl Place for Connection {
    fn socket(&self) -> SocketAddr {
        self.socket()
    }
}

/// The way to a host.
#[derive(Debug)]
pub(super) enum Way<P: Place> {
    /// To one of these places, each of which policy allows.
    Places(Vec<Authorized<P>>),
    /// Through the operator's proxy, which resolves the name and judges its addresses.
    Through(Upstream),
}

/// Why there is no way.
#[derive(Debug)]
pub(super) enum NoWay {
    /// Policy allows none of the addresses: the denial of the first.
    Denied(Box<Denial>),
    /// The name has none.
    Unresolved(String),
}

/// The way to a host. `request` is what is decided on for each address.
///
/// Names are resolved once, and written addresses are judged like resolved ones. Of several addresses those remain that policy
/// allows.
pub(super) async fn way<P: Place>(
    client: &Client,
    grants: &Grants,
    host: &Host,
    request: impl Fn(IpAddr) -> P,
) -> Result<Way<P>, NoWay> {
    let addresses = match host {
        Host::Address(address) => vec![*address],
        Host::Name(name) => match &client.upstream {
            // To the proxy that name would mean the proxy's own machine.
            Some(upstream) if !name.is_localhost() => return Ok(Way::Through(upstream.clone())),
            Some(_) | None => resolved(client, name).await.map_err(NoWay::Unresolved)?,
        },
    };
    let mut places = Vec::new();
    let mut refused = None;
    for address in addresses.into_iter().take(MAX_ADDRESSES) {
        match decide(grants, request(address)) {
            Decision::Allow(place) => places.push(place),
            Decision::Ask { denial, .. } | Decision::Deny(denial) => {
                refused = refused.or(Some(denial));
            }
        }
    }
    match refused {
        _ if !places.is_empty() => Ok(Way::Places(places)),
        Some(denial) => Err(NoWay::Denied(denial)),
        None => Err(NoWay::Unresolved("the name has no address".to_owned())),
    }
}

async fn resolved(client: &Client, name: &HostName) -> Result<Vec<IpAddr>, String> {
    match tokio::time::timeout(CONNECT, client.resolver.resolve(name)).await {
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(error)) => Err(format!("cannot resolve `{name}`: {error}")),
        Err(_) => Err(format!("cannot resolve `{name}` within {CONNECT:?}")),
    }
}

/// The places that were allowed.
pub(super) fn sockets<P: Place>(places: &[Authorized<P>]) -> Vec<SocketAddr> {
    places
        .iter()
        .map(|place| place.request().socket())
        .collect()
}

/// Connects. With a tunnel the stream leads to the target itself; without one a proxy on the way reads the request.
pub(super) async fn connect<P: Place>(
    client: &Client,
    way: Way<P>,
    target: &Target,
    tunnel: bool,
) -> io::Result<(TcpStream, SocketAddr)> {
    let upstream = match way {
        Way::Places(places) => return dial(&client.dialer, &sockets(&places), CONNECT).await,
        Way::Through(upstream) => upstream,
    };
    // Its address is not judged: it is the operator's.
    let place = upstream.target();
    let addresses = match &place.host {
        Host::Address(address) => vec![*address],
        Host::Name(name) => client.resolver.resolve(name).await?,
    };
    let addresses = addresses.into_iter().take(MAX_ADDRESSES);
    let sockets: Vec<_> = addresses
        .map(|address| SocketAddr::new(address, place.port))
        .collect();
    let (mut stream, socket) = dial(&client.dialer, &sockets, CONNECT).await?;
    if tunnel {
        upstream.connect(&mut stream, target).await?;
    }
    Ok((stream, socket))
}

/// The name that a server's certificate has to be for.
///
/// # Errors
/// Why there is none, as a clause.
pub(super) fn server_name(host: &Host) -> Result<ServerName<'static>, String> {
    match host {
        Host::Name(name) => ServerName::try_from(name.as_str().to_owned())
            .map_err(|error| format!("`{host}` is no name of a server: {error}")),
        Host::Address(address) => Ok(ServerName::from(*address)),
    }
}
