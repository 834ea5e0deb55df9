//! From what a command asked for to a connection: decide by name, resolve once, check every address, and connect to
//! one that was checked.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use portcullis_policy::{Host, HostRules, Target};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::dial::dial;
use crate::meter::{Budget, Meter, Metered};
use crate::options::ProxyOptions;
use crate::upstream::Upstream;
use crate::verdict::{Attempt, Why};

/// Addresses of one name that are considered.
const MAX_ADDRESSES: usize = 16;

/// What the connections of one command share.
pub(crate) struct Gate {
    pub(crate) rules: HostRules,
    pub(crate) options: ProxyOptions,
    pub(crate) budget: Option<Arc<Budget>>,
}

/// A stream to a host.
pub(crate) type HostStream = Metered<TcpStream>;

/// What the stream is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Bytes in both directions.
    Tunnel,
    /// Requests of plain HTTP, which an upstream proxy takes without a tunnel.
    Requests,
}

impl Gate {
    pub(crate) fn attempt(&self, target: &Target) -> Attempt {
        let meter = Arc::new(Meter::new(self.budget.clone()));
        Attempt::new(&self.options.on_verdict, target, meter)
    }

    pub(crate) fn malformed(&self, text: &str, what: &'static str) {
        Attempt::malformed(&self.options.on_verdict, text, what);
    }

    /// Connects to the target as far as the rules allow; the attempt says why not.
    pub(crate) async fn connect(
        &self,
        target: &Target,
        attempt: &mut Attempt,
        wanted: Use,
    ) -> Option<HostStream> {
        let Some(rule) = self.rules.decide_name(target) else {
            attempt.set(Why::NoRule);
            return None;
        };
        attempt.rule(rule);
        let connected = match (self.upstream_for(target), &target.host) {
            (Some(upstream), _) => self.through(upstream, target, attempt, wanted).await,
            (None, Host::Address(address)) => self.checked(target, &[*address], attempt).await,
            (None, Host::Name(name)) => {
                let found = timeout(
                    self.options.limits.connect,
                    self.options.resolver.resolve(name),
                );
                match found.await {
                    Ok(Ok(addresses)) => self.checked(target, &addresses, attempt).await,
                    Ok(Err(_)) | Err(_) => Err(Why::Unresolved),
                }
            }
        };
        match connected {
            Ok(stream) => {
                // Small messages of both sides pass at once. A socket that cannot do it is only slower.
                let _slower: io::Result<()> = stream.set_nodelay(true);
                Some(Metered::new(stream, Arc::clone(&attempt.meter)))
            }
            Err(why) => {
                attempt.set(why);
                None
            }
        }
    }

    /// The proxy that the target is reached through: addresses are connected to from here.
    pub(crate) fn upstream_for(&self, target: &Target) -> Option<&Upstream> {
        match target.host {
            Host::Name(_) => self.options.upstream.as_ref(),
            Host::Address(_) => None,
        }
    }

    /// Connects to one of the addresses that a rule about the target allows.
    async fn checked(
        &self,
        target: &Target,
        addresses: &[IpAddr],
        attempt: &mut Attempt,
    ) -> Result<TcpStream, Why> {
        let mut allowed = Vec::new();
        let mut refused = None;
        for address in addresses
            .iter()
            .take(MAX_ADDRESSES)
            .map(IpAddr::to_canonical)
        {
            match self.rules.decide_address(target, address) {
                Ok(rule) => allowed.push((SocketAddr::new(address, target.port), rule)),
                Err(class) => {
                    refused = refused.or(class.map(|class| Why::Address(address, class)));
                }
            }
        }
        if allowed.is_empty() {
            return Err(refused.unwrap_or(Why::Unresolved));
        }
        let sockets: Vec<_> = allowed.iter().map(|(socket, _)| *socket).collect();
        let (stream, socket) = dial(&self.options.dialer, &sockets, self.options.limits.connect)
            .await
            .map_err(|error| Why::Unreachable(error.kind()))?;
        if let Some((_, rule)) = allowed.iter().find(|(one, _)| *one == socket) {
            attempt.rule(rule);
        }
        attempt.connected(socket.ip());
        Ok(stream)
    }

    async fn through(
        &self,
        upstream: &Upstream,
        target: &Target,
        attempt: &mut Attempt,
        wanted: Use,
    ) -> Result<TcpStream, Why> {
        let limit = self.options.limits.connect;
        let connected = async {
            // Its address is not judged: it is the operator's.
            let addresses = match upstream.host() {
                Host::Address(address) => vec![*address],
                Host::Name(name) => self.options.resolver.resolve(name).await?,
            };
            let port = upstream.target().port;
            let sockets: Vec<_> = addresses
                .into_iter()
                .take(MAX_ADDRESSES)
                .map(|address| SocketAddr::new(address, port))
                .collect();
            let (mut stream, _) = dial(&self.options.dialer, &sockets, limit).await?;
            if wanted == Use::Tunnel {
                upstream.connect(&mut stream, target).await?;
            }
            io::Result::Ok(stream)
        };
        let connected = timeout(limit * 2, connected).await;
        let stream = connected
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|error| Why::Unreachable(error.kind()))?;
        attempt.set(Why::AllowedUnchecked);
        Ok(stream)
    }
}
