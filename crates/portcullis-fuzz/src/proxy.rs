//! What a command sends to its proxy: whatever it is, only what the rules are about is connected to.
//!
//! The first byte of an input chooses: `S` SOCKS, `T` the first message of TLS, everything else HTTP.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use portcullis_policy::{HostName, HostRule};
use portcullis_proxy::{Dial, Dialling, ProxyOptions, Resolve, Resolving, Verdict, fuzzing};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::Run;

const RULES: [&str; 4] = ["ok.com:443", "*.ok.com:80", "9.9.9.9:443", "127.0.0.1:8080"];

pub(crate) fn target() -> Run {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    Box::new(move |data| match data.split_first() {
        Some((b'T', bytes)) => hello(bytes),
        Some((&kind, bytes)) => runtime.block_on(served(kind == b'S', bytes)),
        None => {}
    })
}

/// What the first bytes are taken for is never taken back when more come: they are on their way by then.
fn hello(bytes: &[u8]) {
    let whole = fuzzing::first_bytes(bytes);
    let mut known = None;
    for end in 0..=bytes.len().min(600) {
        let now = fuzzing::first_bytes(&bytes[..end]);
        assert!(known.is_none() || known == now, "{known:?}, then {now:?}");
        known = now;
    }
    assert!(
        known.is_none() || known == whole,
        "{known:?}, then {whole:?}"
    );
}

/// What was asked of the network, which refuses everything.
#[derive(Debug, Default)]
struct Network {
    resolved: Mutex<Vec<String>>,
    dialled: Mutex<Vec<SocketAddr>>,
}

impl Resolve for Network {
    fn resolve<'a>(&'a self, name: &'a HostName) -> Resolving<'a> {
        self.resolved.lock().unwrap().push(name.to_string());
        let addresses: &[&str] = if name.as_str().starts_with("private") {
            #[cfg(feature = "planted")]
            // The bug: the first address of a name is connected to unchecked.
            self.dialled
                .lock()
                .unwrap()
                .push("10.0.0.1:80".parse().unwrap());
            &["10.0.0.1", "127.0.0.1", "::ffff:169.254.169.254", "fe80::1"]
        } else {
            &["8.8.8.8", "192.168.0.1"]
        };
        let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        Box::pin(async move { Ok(addresses) })
    }
}

impl Dial for Network {
    fn dial(&self, address: SocketAddr) -> Dialling<'_> {
        self.dialled.lock().unwrap().push(address);
        Box::pin(async { Err(io::ErrorKind::ConnectionRefused.into()) })
    }
}

async fn served(socks: bool, bytes: &[u8]) {
    let network = Arc::new(Network::default());
    let verdicts = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&verdicts);
    let options = ProxyOptions {
        resolver: network.clone(),
        dialer: network.clone(),
        on_verdict: Arc::new(move |verdict| told.lock().unwrap().push(verdict)),
        ..ProxyOptions::default()
    };
    let rules = RULES
        .iter()
        .map(|rule| HostRule::parse(rule).unwrap())
        .collect();
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    let client = async {
        // The proxy may have refused and gone before all is sent.
        let _gone: io::Result<()> = client.write_all(bytes).await;
        let _gone: io::Result<()> = client.shutdown().await;
        let mut answer = Vec::new();
        let _gone: io::Result<usize> = client.read_to_end(&mut answer).await;
        answer
    };
    let ((), answer) = tokio::join!(fuzzing::serve(server, socks, rules, options), client);
    assert!(
        !answer.starts_with(b"HTTP/1.1 2"),
        "a network that refuses everything was reached"
    );
    for name in network.resolved.lock().unwrap().iter() {
        assert!(
            name == "ok.com" || name.ends_with(".ok.com"),
            "`{name}` was looked up"
        );
    }
    for address in network.dialled.lock().unwrap().iter() {
        let known = ["8.8.8.8:443", "8.8.8.8:80", "9.9.9.9:443", "127.0.0.1:8080"];
        assert!(
            known.contains(&address.to_string().as_str()),
            "{address} was connected to"
        );
    }
    for verdict in verdicts.lock().unwrap().iter() {
        judged(verdict);
    }
}

fn judged(verdict: &Verdict) {
    let text = verdict.to_string();
    assert!(!text.chars().any(char::is_control), "{text:?}");
    let (host, port) = (verdict.host.as_str(), verdict.port);
    let ruled = match (host, port) {
        ("ok.com" | "9.9.9.9", 443) | ("127.0.0.1", 8080) => true,
        (name, 80) => name.ends_with(".ok.com") && !name.starts_with('.'),
        _ => false,
    };
    assert!(ruled || !verdict.allowed, "{text}");
    if let Some(remedy) = verdict.remedy() {
        assert!(!ruled || remedy.contains("addresses"), "{text}: {remedy}");
    }
}
