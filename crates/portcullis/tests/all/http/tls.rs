//! Servers are known by their certificates.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, Stream};

use super::peer::{Peer, serve};
use super::{World, hosts};

portcullis_testkit::tests![
    a_server_is_known_by_a_certificate_of_the_operators_authority,
    an_authority_that_the_operator_did_not_name_is_not_trusted,
    a_certificate_for_another_name_is_refused,
    a_server_without_tls_is_no_server_of_https,
    an_authority_that_cannot_be_read_lets_nothing_through,
];

const API: &str = "https://api.example.com/hello";

/// A server with a certificate for these names, and the file of the authority that signed it.
pub(super) struct Secure {
    pub(super) peer: Peer,
    pub(super) authority: PathBuf,
    _dir: tempfile::TempDir,
}

pub(super) fn secure(names: &[&str]) -> Secure {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    let certificate = CertificateParams::new(names).unwrap();
    let certificate = certificate.signed_by(&key, &authority).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    std::fs::write(&file, authority.pem()).unwrap();
    let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let config = Arc::new(config);
    let peer = Peer::serving(move |mut socket, heads| {
        let mut tls = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = Stream::new(&mut tls, &mut socket);
        serve(&mut stream, heads);
        stream.conn.send_close_notify();
        // The guest may be gone by now.
        let _gone: std::io::Result<()> = stream.flush();
        let _gone: std::io::Result<usize> = stream.read(&mut [0; 64]);
    });
    Secure {
        peer,
        authority: file,
        _dir: dir,
    }
}

fn a_server_is_known_by_a_certificate_of_the_operators_authority() {
    let server = secure(&["api.example.com", "93.184.216.34"]);
    let world = World::with(server.peer, |builder| builder.ca_file(&server.authority));
    let grants = hosts(&["api.example.com", "93.184.216.34"]);
    let said = world.says(grants, &[API, "https://93.184.216.34/"]);
    assert_eq!(said, "200 hello\n200 hello");
    assert_eq!(world.network.take_dialled(), ["93.184.216.34:443"; 2]);
    assert!(world.peer.heads()[0].contains("\r\nhost: api.example.com\r\n"));
}

fn an_authority_that_the_operator_did_not_name_is_not_trusted() {
    let server = secure(&["api.example.com"]);
    let other = secure(&["api.example.com"]);
    let world = World::with(server.peer, |builder| builder.ca_file(&other.authority));
    assert_eq!(world.says(hosts(&["*"]), &[API]), "failed: io");
    assert!(world.peer.heads().is_empty());
    let lines = world.lines();
    assert!(
        lines[1].contains("no TLS with `api.example.com`"),
        "{lines:?}"
    );
}

fn a_certificate_for_another_name_is_refused() {
    let server = secure(&["other.example.com"]);
    let world = World::with(server.peer, |builder| builder.ca_file(&server.authority));
    assert_eq!(world.says(hosts(&["*"]), &[API]), "failed: io");
    assert!(world.peer.heads().is_empty());
}

fn a_server_without_tls_is_no_server_of_https() {
    let server = secure(&["api.example.com"]);
    let world = World::with(Peer::start(), |builder| builder.ca_file(&server.authority));
    assert_eq!(world.says(hosts(&["*"]), &[API]), "failed: io");
}

fn an_authority_that_cannot_be_read_lets_nothing_through() {
    let server = secure(&["api.example.com"]);
    let missing = server.authority.with_extension("missing");
    let world = World::with(server.peer, |builder| builder.ca_file(missing));
    assert_eq!(world.says(hosts(&["*"]), &[API]), "failed: io");
    let lines = world.lines();
    assert!(
        lines[1].contains("cannot read the certificates"),
        "{lines:?}"
    );
    assert!(world.peer.heads().is_empty());
}
