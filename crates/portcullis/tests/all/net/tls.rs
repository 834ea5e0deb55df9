//! Servers that speak TLS.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};

/// A certificate, and the file of the authority that signed it.
pub(super) struct Certified {
    chain: Vec<CertificateDer<'static>>,
    key: Vec<u8>,
    pub(super) authority: PathBuf,
    _dir: tempfile::TempDir,
}

/// A certificate for these names that is valid until January of a year.
pub(super) fn certified(names: &[&str], until: i32) -> Certified {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority
        .distinguished_name
        .push(DnType::CommonName, "Test Authority");
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    let mut certificate = CertificateParams::new(names.clone()).unwrap();
    certificate.distinguished_name = rcgen::DistinguishedName::new();
    certificate
        .distinguished_name
        .push(DnType::OrganizationName, "Mail, Inc");
    certificate
        .distinguished_name
        .push(DnType::CommonName, &names[0]);
    certificate.not_before = date_time_ymd(2000, 1, 1);
    certificate.not_after = date_time_ymd(until, 1, 2);
    let certificate = certificate.signed_by(&key, &authority).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    std::fs::write(&file, authority.pem()).unwrap();
    Certified {
        chain: vec![certificate.der().clone()],
        key: key.serialize_der(),
        authority: file,
        _dir: dir,
    }
}

impl Certified {
    /// How a server with it speaks these versions.
    pub(super) fn config(
        &self,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.clone()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), key)
            .unwrap();
        Arc::new(config)
    }
}

/// The server's end of a connection, in TLS.
pub(super) fn serve(
    config: &Arc<ServerConfig>,
    socket: TcpStream,
) -> StreamOwned<ServerConnection, TcpStream> {
    StreamOwned::new(ServerConnection::new(Arc::clone(config)).unwrap(), socket)
}

/// Does the handshake, and waits for the other end to close.
pub(super) fn greet(config: &Arc<ServerConfig>, socket: TcpStream) {
    let mut stream = serve(config, socket);
    let _gone = stream.flush();
    let _gone = stream.read(&mut [0; 16]);
}
