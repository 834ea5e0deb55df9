//! A server on the loopback, and a network of names and addresses that leads to it.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use flate2::Compression;
use flate2::write::GzEncoder;
use portcullis::policy::HostName;
use portcullis::{Dial, Dialling, Resolve, Resolving};

/// A server that notes what it was asked.
pub(crate) struct Peer {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Peer {
    /// Answers by the path that is asked for, over plain TCP.
    pub(crate) fn start() -> Self {
        Self::serving(serve)
    }

    /// Serves each connection in this way, on a thread of its own.
    pub(crate) fn serving(
        serve: impl Fn(TcpStream, &Mutex<Vec<String>>) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::default());
        let (noted, serve) = (Arc::clone(&heads), Arc::new(serve));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (heads, serve) = (Arc::clone(&noted), Arc::clone(&serve));
                std::thread::spawn(move || serve(stream, &heads));
            }
        });
        Self { address, heads }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The line and the headers of each request so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

/// Reads one request and answers it.
pub(crate) fn serve(stream: impl Read + Write, heads: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream);
    let Ok((head, _body)) = request(&mut reader) else {
        return;
    };
    let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
    heads.lock().unwrap().push(head.clone());
    // The guest may be gone by now.
    let _gone: io::Result<()> = answer(reader.get_mut(), &target, &head);
}

/// The head of a request, and its body of `Content-Length` bytes.
fn request(reader: &mut impl BufRead) -> io::Result<(String, Vec<u8>)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.parse().ok())?
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    Ok((head, body))
}

fn answer(stream: &mut impl Write, target: &str, head: &str) -> io::Result<()> {
    let parts: Vec<_> = target.trim_start_matches('/').splitn(2, '/').collect();
    let number = || parts.get(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    let words: Vec<_> = target.trim_start_matches('/').split('/').collect();
    match parts[0] {
        "v1" | "shown" => super::secret::reflected(stream, &words, head),
        "echo" => whole(stream, "200 OK", "", head.as_bytes()),
        "redirect" => {
            let to = parts.get(1).copied().unwrap_or_default();
            let location = format!("Location: {to}\r\n");
            whole(stream, "302 Found", &location, b"elsewhere")
        }
        "status" => whole(stream, &format!("{} X", number()), "", b"a body"),
        "bytes" => whole(stream, "200 OK", "", &vec![b'y'; number()]),
        "letters" => {
            let text = format!("a{}", "\u{e9}".repeat(number()));
            whole(stream, "200 OK", "", text.as_bytes())
        }
        "no-text" => whole(stream, "200 OK", "", b"a\xffb"),
        "chunked" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            for _ in 0..number() {
                stream.write_all(b"400\r\n")?;
                stream.write_all(&[b'z'; 1024])?;
                stream.write_all(b"\r\n")?;
            }
            stream.write_all(b"0\r\n\r\n")
        }
        "gzip" => packed(stream, &vec![b'g'; number()]),
        "brotli" => whole(stream, "200 OK", "Content-Encoding: br\r\n", b"?"),
        "headers" => {
            let many: String = (0..number()).map(|n| format!("X-{n}: y\r\n")).collect();
            whole(stream, "200 OK", &many, b"many")
        }
        "long-header" => {
            let long = format!("X-Long: {}\r\n", "y".repeat(number()));
            whole(stream, "200 OK", &long, b"long")
        }
        "short" => stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive!"),
        "nonsense" => stream.write_all(b"220 mail.example ESMTP\r\n"),
        // Until the other end is closed, which is what ends this read.
        "hang" => hang(),
        _ => whole(stream, "200 OK", "X-Peer: yes\r\n", b"hello"),
    }
}

/// Never comes back: the connection stays open.
fn hang() -> io::Result<()> {
    loop {
        std::thread::park();
    }
}

pub(super) fn packed(stream: &mut impl Write, body: &[u8]) -> io::Result<()> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(body)?;
    let packed = packed.finish()?;
    whole(stream, "200 OK", "Content-Encoding: gzip\r\n", &packed)
}

/// In chunks of one byte, each sent by itself.
pub(super) fn chunked(stream: &mut impl Write, body: &[u8]) -> io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    for byte in body {
        stream.write_all(&[b'1', b'\r', b'\n', *byte, b'\r', b'\n'])?;
        stream.flush()?;
    }
    stream.write_all(b"0\r\n\r\n")
}

pub(super) fn whole(
    stream: &mut impl Write,
    status: &str,
    headers: &str,
    body: &[u8],
) -> io::Result<()> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    stream.flush()
}

/// Names with their answers, one after the other; every connection goes to one server, and is noted as it was asked for.
#[derive(Debug)]
pub(crate) struct Network {
    server: SocketAddr,
    names: Mutex<HashMap<String, Vec<Vec<IpAddr>>>>,
    asked: Mutex<Vec<String>>,
    dialled: Mutex<Vec<SocketAddr>>,
}

impl Network {
    pub(crate) fn leading_to(server: SocketAddr) -> Self {
        Self {
            server,
            names: Mutex::default(),
            asked: Mutex::default(),
            dialled: Mutex::default(),
        }
    }

    /// One more answer for a name. The last one is given again and again.
    pub(crate) fn name(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        let mut names = self.names.lock().unwrap();
        names.entry(name.to_owned()).or_default().push(addresses);
    }

    /// What was connected to since this was asked last.
    pub(crate) fn take_dialled(&self) -> Vec<String> {
        let dialled = std::mem::take(&mut *self.dialled.lock().unwrap());
        dialled.iter().map(SocketAddr::to_string).collect()
    }

    /// Names that were resolved.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Resolve for Network {
    fn resolve<'a>(&'a self, name: &'a HostName) -> Resolving<'a> {
        self.asked.lock().unwrap().push(name.as_str().to_owned());
        let mut names = self.names.lock().unwrap();
        let answer = names.get_mut(name.as_str()).map(|answers| {
            if answers.len() > 1 {
                answers.remove(0)
            } else {
                answers[0].clone()
            }
        });
        let answer = answer.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound));
        Box::pin(std::future::ready(answer))
    }
}

impl Dial for Network {
    fn dial(&self, address: SocketAddr) -> Dialling<'_> {
        self.dialled.lock().unwrap().push(address);
        Box::pin(tokio::net::TcpStream::connect(self.server))
    }
}
