//! A server of a test: it answers on loopback, over TLS or not, and remembers what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

use portcullis_fetch::{Limits, Options};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// A request, as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
}

/// A response: status, headers, body. `Content-Length` is that of the body, unless the headers have one.
#[derive(Clone)]
pub(crate) struct Reply(
    pub(crate) u16,
    pub(crate) Vec<(&'static str, String)>,
    pub(crate) Vec<u8>,
);

impl Reply {
    pub(crate) fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self(200, Vec::new(), body.into())
    }

    pub(crate) fn status(status: u16) -> Self {
        Self(status, Vec::new(), Vec::new())
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.1.push((name, value.into()));
        self
    }
}

type Answer = dyn Fn(&Asked) -> Reply + Send + Sync;

pub(crate) struct Server {
    pub(crate) host: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    directory: tempfile::TempDir,
    secure: bool,
}

impl Server {
    pub(crate) fn plain(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::start(None, Arc::new(answer), tempfile::tempdir().unwrap())
    }

    pub(crate) fn secure(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(directory.path().join("ca.pem"), made.cert.pem()).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        Self::start(Some(Arc::new(config)), Arc::new(answer), directory)
    }

    fn start(
        tls: Option<Arc<rustls::ServerConfig>>,
        answer: Arc<Answer>,
        directory: tempfile::TempDir,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, secure) = (Arc::clone(&asked), tls.is_some());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (tls, answer, log) = (tls.clone(), Arc::clone(&answer), Arc::clone(&log));
                // A client that goes away in the middle is none of the server's business.
                thread::spawn(move || match tls {
                    None => serve(stream?, &*answer, &log),
                    Some(tls) => {
                        let tls =
                            rustls::ServerConnection::new(tls).map_err(std::io::Error::other)?;
                        serve(rustls::StreamOwned::new(tls, stream?), &*answer, &log)
                    }
                });
            }
        });
        Self {
            host,
            asked,
            directory,
            secure,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.host)
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Trusts this server's certificate, or speaks to it without TLS.
    pub(crate) fn options(&self) -> Options {
        let ca_file = self.directory.path().join("ca.pem");
        Options {
            ca_file: self.secure.then_some(ca_file),
            plain_http: !self.secure,
            ..Options::default()
        }
    }

    /// The same with credentials of `me` for a host.
    pub(crate) fn options_with_credentials(&self, host: &str) -> Options {
        let config: PathBuf = self.directory.path().join("config.json");
        // `me:secret`
        let text = format!(r#"{{"auths":{{"{host}":{{"auth":"bWU6c2VjcmV0"}}}}}}"#);
        std::fs::write(&config, text).unwrap();
        Options {
            docker_config: Some(config),
            ..self.options()
        }
    }
}

pub(crate) fn quick() -> Limits {
    Limits {
        time: std::time::Duration::from_secs(20),
        ..Limits::default()
    }
}

fn serve(
    stream: impl Read + Write,
    answer: &Answer,
    log: &Mutex<Vec<Asked>>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut authorization = None;
    loop {
        let mut header = String::new();
        stream.read_line(&mut header)?;
        let Some((name, value)) = header.split_once(':') else {
            break;
        };
        if name.eq_ignore_ascii_case("authorization") {
            authorization = Some(value.trim().to_owned());
        }
    }
    let asked = Asked {
        path,
        authorization,
    };
    let Reply(status, headers, body) = answer(&asked);
    log.lock().unwrap().push(asked);
    let mut head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "Content-Length") {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    let stream = stream.get_mut();
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    stream.write_all(&body)?;
    stream.flush()
}
