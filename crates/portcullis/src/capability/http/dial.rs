//! From a request that was decided on to a stream, by addresses that were decided on too.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use portcullis_policy::{
    Authorized, Decision, Denial, Grants, Host, HostName, HttpDial, HttpRequest, decide,
};
use portcullis_proxy::{Upstream, dial};
use tokio::net::TcpStream;

use super::client::Client;

/// Addresses of one name that are considered.
const MAX_ADDRESSES: usize = 16;
/// Time to resolve a name; the same again to connect. The request's own time ends them earlier.
const CONNECT: Duration = Duration::from_secs(10);

/// The way to a host.
#[derive(Debug)]
pub(super) enum Way {
    /// To one of these places, each of which policy allows.
    Places(Vec<Authorized<HttpDial>>),
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

/// The way to the host of a request.
///
/// Names are resolved once, and written addresses are judged like resolved ones. Of several addresses those remain that policy
/// allows.
pub(super) async fn way(
    client: &Client,
    grants: &Grants,
    request: &HttpRequest,
) -> Result<Way, NoWay> {
    let addresses = match &request.url.target().host {
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
        let request = request.clone();
        match decide(grants, HttpDial { request, address }) {
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

/// Connects. With a tunnel the stream leads to the host itself; without one a proxy on the way reads the request.
pub(super) async fn connect(
    client: &Client,
    way: Way,
    request: &HttpRequest,
    tunnel: bool,
) -> io::Result<(TcpStream, SocketAddr)> {
    let upstream = match way {
        Way::Places(places) => {
            let sockets: Vec<_> = places
                .iter()
                .map(|place| place.request().socket())
                .collect();
            return dial(&client.dialer, &sockets, CONNECT).await;
        }
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
        upstream.connect(&mut stream, request.url.target()).await?;
    }
    Ok((stream, socket))
}
