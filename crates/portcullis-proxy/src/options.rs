//! What a proxy is made with besides its rules.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::dial::{Dial, SystemDialer};
use crate::resolve::{Resolve, SystemResolver};
use crate::upstream::Upstream;
use crate::verdict::Verdict;

/// How much one command may ask of its proxy.
///
/// # Defaults
/// - 64 connections at once; more wait
/// - 32 KiB of headers of a request
/// - 30 s for a request's headers, for the first message of TLS, and between two requests
/// - 10 s to resolve a name, and 10 s to connect
/// - 300 s without a byte in either direction; noticed at the latest after twice that time
/// - any number of bytes
#[derive(Clone, Debug)]
pub struct ProxyLimits {
    /// Connections at once.
    pub connections: usize,
    /// Bytes of the line and the headers of a request, at least 8 KiB.
    pub head_bytes: usize,
    /// Time for a request's headers, for the first message of TLS, and between two requests.
    pub head: Duration,
    /// Time to resolve a name; the same again to connect.
    pub connect: Duration,
    /// Time without a byte in either direction.
    pub idle: Duration,
    /// Bytes to and from the hosts, of all connections together.
    pub bytes: Option<u64>,
}

impl Default for ProxyLimits {
    fn default() -> Self {
        Self {
            connections: 64,
            head_bytes: 32 * 1024,
            head: Duration::from_secs(30),
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(300),
            bytes: None,
        }
    }
}

/// What a proxy is made with besides its rules. It comes from the host or from trusted configuration, never from a
/// plugin.
///
/// # Defaults
/// - the resolver and the network of this process
/// - no upstream proxy
/// - nobody is told about verdicts
#[derive(Clone)]
pub struct ProxyOptions {
    /// Finds addresses.
    pub resolver: Arc<dyn Resolve>,
    /// Connects to them.
    pub dialer: Arc<dyn Dial>,
    /// The limits.
    pub limits: ProxyLimits,
    /// A company's proxy. Names are given to it unresolved: it checks their addresses, this proxy does not, and each
    /// verdict says so. Addresses written out in rules are still connected to from here.
    pub upstream: Option<Upstream>,
    /// Told about each verdict, from the proxy's tasks: it must not block.
    pub on_verdict: Arc<dyn Fn(Verdict) + Send + Sync>,
}

impl Default for ProxyOptions {
    fn default() -> Self {
        Self {
            resolver: Arc::new(SystemResolver),
            dialer: Arc::new(SystemDialer),
            limits: ProxyLimits::default(),
            upstream: None,
            on_verdict: Arc::new(|_| {}),
        }
    }
}

impl fmt::Debug for ProxyOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyOptions")
            .field("resolver", &self.resolver)
            .field("dialer", &self.dialer)
            .field("limits", &self.limits)
            .field("upstream", &self.upstream)
            .finish_non_exhaustive()
    }
}
