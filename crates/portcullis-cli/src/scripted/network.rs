//! The network of a test: names, addresses and servers that are scripts.
//!
//! Policy, address checks and TLS are those of every request. Only who is asked for a name and who is connected to differ:
//! every connection leads to one server on the loopback address, which has a certificate for all hosts of the test.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use portcullis::{Dial, Dialling, Resolve, Resolving};
use portcullis_policy::HostName;
use rcgen::{CertificateParams, KeyPair};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::file::Http;
use super::glob;

/// The first byte of a TLS connection: a record of a handshake.
const HANDSHAKE: u8 = 0x16;
/// What is answered where there is no script.
const NO_SCRIPT: u16 = 501;

/// The network of one test.
#[derive(Debug)]
pub(crate) struct Network {
    server: SocketAddr,
    addresses: BTreeMap<String, IpAddr>,
    seen: Arc<Seen>,
    /// Ended with it.
    _serving: JoinSet<()>,
}

/// What was asked for.
#[derive(Debug, Default)]
pub(crate) struct Seen(Mutex<Asked>);

#[derive(Debug, Default)]
struct Asked {
    /// How often each script was followed.
    turns: BTreeMap<usize, u32>,
    /// What there is no script for.
    unscripted: Vec<String>,
}

impl Seen {
    fn lock(&self) -> MutexGuard<'_, Asked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn turns(&self, script: usize) -> u32 {
        self.lock().turns.get(&script).copied().unwrap_or(0)
    }

    pub(crate) fn unscripted(&self) -> Vec<String> {
        self.lock().unscripted.clone()
    }
}

/// Names of a test and where its server is.
#[derive(Debug)]
struct Names {
    addresses: BTreeMap<String, IpAddr>,
    seen: Arc<Seen>,
}

#[derive(Debug)]
struct ToServer(SocketAddr);

impl Resolve for Names {
    fn resolve<'a>(&'a self, name: &'a HostName) -> Resolving<'a> {
        let found = self.addresses.get(name.as_str()).copied();
        if found.is_none() {
            let asked = format!("the address of `{name}`");
            self.seen.lock().unscripted.push(asked);
        }
        let found = found.ok_or_else(|| io::Error::other("the test has no `[[test.http]]` for it"));
        Box::pin(async move { found.map(|address| vec![address]) })
    }
}

impl Dial for ToServer {
    fn dial(&self, _: SocketAddr) -> Dialling<'_> {
        Box::pin(TcpStream::connect(self.0))
    }
}

impl Network {
    /// Starts the server, and writes the certificate that its hosts are known by.
    ///
    /// # Errors
    /// A script is none, as a clause; or there can be no server.
    pub(crate) async fn start(scripts: &[Http], authority: &Path) -> Result<Self, String> {
        let hosts = scripts
            .iter()
            .map(Http::host)
            .collect::<Result<Vec<_>, _>>()?;
        let wrong = |error: &dyn std::error::Error| format!("no server for the test: {error}");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.map_err(|error| wrong(&error))?;
        let server = listener.local_addr().map_err(|error| wrong(&error))?;
        let names: BTreeSet<_> = hosts.iter().cloned().collect();
        let tls = tls(&names, authority).map_err(|error| wrong(&*error))?;
        let seen = Arc::<Seen>::default();
        let service = Arc::new(Service {
            scripts: scripts.to_vec(),
            seen: Arc::clone(&seen),
        });
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, tls, service));
        Ok(Self {
            server,
            addresses: addresses(scripts, &hosts),
            seen,
            _serving: serving,
        })
    }

    pub(crate) fn resolver(&self) -> Arc<dyn Resolve> {
        Arc::new(Names {
            addresses: self.addresses.clone(),
            seen: Arc::clone(&self.seen),
        })
    }

    pub(crate) fn dialer(&self) -> Arc<dyn Dial> {
        Arc::new(ToServer(self.server))
    }

    pub(crate) fn seen(&self) -> &Seen {
        &self.seen
    }
}

/// Each name has an address of its own in the public network, if its script names none.
fn addresses(scripts: &[Http], hosts: &[String]) -> BTreeMap<String, IpAddr> {
    let mut addresses = BTreeMap::new();
    let mut next = 0;
    for (script, host) in scripts.iter().zip(hosts) {
        if let Some(address) = script.address {
            addresses.insert(host.clone(), address);
        } else if !addresses.contains_key(host) {
            next += 1;
            addresses.insert(
                host.clone(),
                IpAddr::V4(Ipv4Addr::from_bits(0x0808_0800 + next)),
            );
        }
    }
    addresses
}

fn tls(
    names: &BTreeSet<String>,
    authority: &Path,
) -> Result<TlsAcceptor, Box<dyn std::error::Error + Send + Sync>> {
    let key = KeyPair::generate()?;
    let names: Vec<_> = names.iter().cloned().collect();
    let certificate = CertificateParams::new(names)?.self_signed(&key)?;
    std::fs::write(authority, certificate.pem())?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, service: Arc<Service>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, service) = (tls.clone(), Arc::clone(&service));
        connections.spawn(async move {
            let mut first = [0];
            // Whoever goes away is of no interest.
            let _ = match stream.peek(&mut first).await {
                Ok(1) if first[0] == HANDSHAKE => match tls.accept(stream).await {
                    Ok(stream) => service.connection("https", stream).await,
                    Err(_) => return,
                },
                Ok(_) => service.connection("http", stream).await,
                Err(_) => return,
            };
        });
    }
}

/// What answers.
#[derive(Debug)]
struct Service {
    scripts: Vec<Http>,
    seen: Arc<Seen>,
}

impl Service {
    async fn connection<S>(self: Arc<Self>, scheme: &str, stream: S) -> hyper::Result<()>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    {
        let answer = service_fn(|request| self.answer(scheme, request));
        hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), answer)
            .await
    }

    async fn answer(
        &self,
        scheme: &str,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, hyper::Error> {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let host = head.headers.get("host").and_then(|host| host.to_str().ok());
        let url = format!("{scheme}://{}{}", host.unwrap_or_default(), head.uri);
        let asked = format!("{} {url}", head.method);
        let fits = |script: &Http| {
            let header = |(name, pattern): (&String, &String)| {
                let value = head.headers.get(name).and_then(|value| value.to_str().ok());
                value.is_some_and(|value| glob::matches(pattern, value))
            };
            glob::matches(&script.request, &asked)
                && script.with.iter().all(header)
                && script
                    .sent
                    .as_ref()
                    .is_none_or(|pattern| glob::matches(pattern, &String::from_utf8_lossy(&body)))
        };
        let Some(script) = self.next(&asked, fits) else {
            return Ok(response(
                NO_SCRIPT,
                &BTreeMap::new(),
                "the test has no script for this request",
            ));
        };
        if let Some(delay) = script.delay {
            tokio::time::sleep(delay).await;
        }
        Ok(response(script.status, &script.headers, &script.body))
    }

    /// The first script that fits, of those that were not followed as often as they may be.
    fn next(&self, asked: &str, fits: impl Fn(&Http) -> bool) -> Option<&Http> {
        let mut seen = self.seen.lock();
        for (place, script) in self.scripts.iter().enumerate() {
            let turns = seen.turns.entry(place).or_default();
            if script.times.is_none_or(|times| *turns < times) && fits(script) {
                *turns += 1;
                return Some(script);
            }
        }
        seen.unscripted.push(format!("`{asked}`"));
        None
    }
}

fn response(status: u16, headers: &BTreeMap<String, String>, body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    let body = Full::new(Bytes::from(body.to_owned()));
    response.body(body).unwrap_or_else(|error| {
        let why = Full::new(Bytes::from(format!(
            "the script has no such answer: {error}"
        )));
        let mut response = Response::new(why);
        *response.status_mut() = hyper::StatusCode::NOT_IMPLEMENTED;
        response
    })
}
