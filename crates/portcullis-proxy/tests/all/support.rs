//! A proxy with invented names and a network of one server on loopback.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis_policy::{HostName, HostRule};
use portcullis_proxy::{Dial, Dialling, Proxy, ProxyOptions, Resolve, Resolving, Serving, Verdict};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Longer than anything here takes: a test that waits so long fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// Answers of a resolver, one after the other; the last one stays.
#[derive(Debug, Default)]
pub(crate) struct Names {
    answers: Mutex<HashMap<String, VecDeque<Vec<IpAddr>>>>,
    pub(crate) asked: Mutex<Vec<String>>,
}

impl Names {
    pub(crate) fn add(&self, name: &str, answers: &[&[&str]]) {
        let answers = answers
            .iter()
            .map(|answer| answer.iter().map(|text| text.parse().unwrap()).collect());
        self.answers
            .lock()
            .unwrap()
            .insert(name.to_owned(), answers.collect());
    }
}

impl Resolve for Names {
    fn resolve<'a>(&'a self, name: &'a HostName) -> Resolving<'a> {
        self.asked.lock().unwrap().push(name.to_string());
        let mut answers = self.answers.lock().unwrap();
        let answer = answers.get_mut(name.as_str()).and_then(|left| {
            if left.len() > 1 {
                left.pop_front()
            } else {
                left.front().cloned()
            }
        });
        Box::pin(async move { answer.ok_or_else(|| io::ErrorKind::NotFound.into()) })
    }
}

/// A network in which every address but those of loopback is one server.
#[derive(Debug)]
pub(crate) struct Wires {
    server: SocketAddr,
    pub(crate) dialled: Mutex<Vec<SocketAddr>>,
}

impl Dial for Wires {
    fn dial(&self, address: SocketAddr) -> Dialling<'_> {
        self.dialled.lock().unwrap().push(address);
        let to = if address.ip().is_loopback() {
            address
        } else {
            self.server
        };
        Box::pin(TcpStream::connect(to))
    }
}

pub(crate) struct World {
    pub(crate) port: u16,
    pub(crate) names: Arc<Names>,
    pub(crate) wires: Arc<Wires>,
    pub(crate) serving: Option<Serving>,
    verdicts: mpsc::UnboundedReceiver<Verdict>,
}

impl World {
    /// A proxy in front of one server. `ok.com` and all below are public.
    pub(crate) fn new(rules: &[&str], server: SocketAddr) -> Self {
        let rules = rules.iter().map(|rule| HostRule::parse(rule).unwrap());
        Self::with(rules.collect(), server, |_| {})
    }

    pub(crate) fn with(
        rules: Vec<HostRule>,
        server: SocketAddr,
        change: impl FnOnce(&mut ProxyOptions),
    ) -> Self {
        let names = Arc::new(Names::default());
        for name in ["ok.com", "a.ok.com", "b.ok.com", "evil.com"] {
            names.add(name, &[&["1.2.3.4"]]);
        }
        let wires = Arc::new(Wires {
            server,
            dialled: Mutex::default(),
        });
        let (sender, verdicts) = mpsc::unbounded_channel();
        let mut options = ProxyOptions {
            resolver: names.clone(),
            dialer: wires.clone(),
            on_verdict: Arc::new(move |verdict| {
                // A test may end before its last verdict.
                let _ended: Result<(), _> = sender.send(verdict);
            }),
            ..ProxyOptions::default()
        };
        change(&mut options);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = Proxy::new(rules, options).serve(listener).unwrap();
        Self {
            port,
            names,
            wires,
            serving: Some(serving),
            verdicts,
        }
    }

    pub(crate) async fn client(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).await.unwrap()
    }

    pub(crate) async fn verdict(&mut self) -> Verdict {
        timeout(PATIENCE, self.verdicts.recv())
            .await
            .unwrap()
            .unwrap()
    }

    /// Whether nothing was asked of resolver and network.
    pub(crate) fn untouched(&self) -> bool {
        self.names.asked.lock().unwrap().is_empty() && self.wires.dialled.lock().unwrap().is_empty()
    }

    /// The first line of the answer to bytes on a connection of their own, after which the client is done.
    pub(crate) async fn ask(&self, bytes: &[u8]) -> String {
        let mut client = self.client().await;
        client.write_all(bytes).await.unwrap();
        let answer = read_head(&mut client).await;
        answer.lines().next().unwrap_or_default().to_owned()
    }

    pub(crate) async fn connect(&self, authority: &str) -> (String, TcpStream) {
        let mut client = self.client().await;
        let head = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
        client.write_all(head.as_bytes()).await.unwrap();
        let answer = read_head(&mut client).await;
        (answer.lines().next().unwrap_or_default().to_owned(), client)
    }
}

/// Everything until the empty line, or until the end.
pub(crate) async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let read = async {
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => break,
            }
        }
    };
    timeout(PATIENCE, read).await.unwrap();
    String::from_utf8(head).unwrap()
}

/// Everything until the end; a reset is an end.
pub(crate) async fn read_all(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let _reset: io::Result<usize> = timeout(PATIENCE, stream.read_to_end(&mut all))
        .await
        .unwrap();
    all
}

/// A server that says `hello`, then sends back what it gets; and the bytes it got, connection by connection.
pub(crate) async fn echo() -> (SocketAddr, mpsc::UnboundedReceiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, received) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let sender = sender.clone();
            tokio::spawn(async move {
                let mut got = Vec::new();
                let mut buffer = [0; 4096];
                let _gone: io::Result<()> = client.write_all(b"hello").await;
                while let Ok(length @ 1..) = client.read(&mut buffer).await {
                    got.extend_from_slice(&buffer[..length]);
                    let _gone: io::Result<()> = client.write_all(&buffer[..length]).await;
                }
                let _ended: Result<(), _> = sender.send(got);
            });
        }
    });
    (address, received)
}

/// An HTTP server that answers each request with `answer`, and the requests as they came.
pub(crate) async fn http(answer: &'static str) -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, received) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let sender = sender.clone();
            tokio::spawn(async move {
                loop {
                    let mut request = read_head(&mut client).await;
                    if request.is_empty() {
                        break;
                    }
                    request.push_str(&read_body(&mut client, &request).await);
                    let _ended: Result<(), _> = sender.send(request);
                    if client.write_all(answer.as_bytes()).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    (address, received)
}

async fn read_body(client: &mut TcpStream, head: &str) -> String {
    let head = head.to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    client.read_exact(&mut body).await.unwrap();
    if head.contains("transfer-encoding: chunked") {
        while !body.ends_with(b"0\r\n\r\n") {
            body.push(client.read_u8().await.unwrap());
        }
    }
    String::from_utf8(body).unwrap()
}

pub(crate) async fn next<T>(received: &mut mpsc::UnboundedReceiver<T>) -> T {
    timeout(PATIENCE, received.recv()).await.unwrap().unwrap()
}

/// A ClientHello in one record that asks for these servers.
pub(crate) fn client_hello(servers: &[&str]) -> Vec<u8> {
    fn vector16(body: &[u8]) -> Vec<u8> {
        let mut out = u16::try_from(body.len()).unwrap().to_be_bytes().to_vec();
        out.extend_from_slice(body);
        out
    }
    let mut extensions = vec![0, 0x17, 0, 0];
    for server in servers {
        let name = [&[0][..], &vector16(server.as_bytes())].concat();
        extensions.extend([0, 0]);
        extensions.extend(vector16(&vector16(&name)));
    }
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x13, 1, 1, 0]);
    body.extend(vector16(&extensions));
    let mut hello = vec![1, 0];
    hello.extend(vector16(&body));
    [&[0x16, 3, 1][..], &vector16(&hello)].concat()
}
