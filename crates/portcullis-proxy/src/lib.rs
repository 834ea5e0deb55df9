//! The only way out of a confined command's network: a proxy that connects to granted hosts.
//!
//! A command whose rule lists hosts runs in a network of its own, in which there is nothing but the listener of this
//! proxy. The host holds that listener and accepts there; it connects to hosts from its own network. One proxy
//! belongs to one command. It speaks HTTP/1 (CONNECT, and plain HTTP with a whole URL) and SOCKS 5 on one port.
//!
//! What was asked for is read once and strictly, matched by name, resolved once; every address is checked, and only
//! a checked one is connected to. Where a tunnel to a name speaks TLS, its first message must ask for that name.
//!
//! What happens inside a tunnel is not seen: a server that answers for several names can be asked for another of
//! them inside TLS (domain fronting, Encrypted ClientHello) or by a plain request in a tunnel, and data can leave to
//! any host that is granted.
//!
//! ```
//! use portcullis_policy::HostRule;
//! use portcullis_proxy::{Proxy, ProxyOptions, environment};
//!
//! # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
//! let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
//! let variables = environment(listener.local_addr()?.port());
//! let rules = vec![HostRule::parse("api.github.com:443")?];
//! let serving = Proxy::new(rules, ProxyOptions::default()).serve(listener)?;
//! // … the command runs with `variables` …
//! serving.finish().await;
//! # drop(variables);
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Read first: [`Proxy`], [`ProxyOptions`], [`Verdict`].

mod client_hello;
mod dial;
mod environment;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod headers;
mod http;
mod meter;
mod options;
mod proxy;
mod resolve;
mod socks;
mod tunnel;
mod upstream;
mod verdict;

pub use dial::{Dial, Dialling, SystemDialer, dial};
pub use environment::{environment, node_options};
pub use options::{ProxyLimits, ProxyOptions};
pub use proxy::{Proxy, Serving};
pub use resolve::{Resolve, Resolving, SystemResolver};
pub use upstream::{InvalidUpstream, Upstream};
pub use verdict::{Verdict, Why};
