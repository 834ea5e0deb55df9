//! TLS with a server whose certificate is trusted, and what is told of it.

use std::io;
use std::sync::Arc;

use portcullis_policy::Host;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, ClientConnection, Error, ProtocolVersion,
};
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::attempt::Given;
use super::failure::Failed;
use crate::capability::Client;
use crate::capability::dial::server_name;

/// What a server says of itself. Its certificate was checked: the names are those of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TlsFacts {
    /// `TLS 1.3` or `TLS 1.2`.
    pub(crate) version: String,
    /// As IANA has it: `TLS_AES_128_GCM_SHA256`.
    pub(crate) cipher_suite: String,
    /// The name that the certificate had to be for.
    pub(crate) server_name: String,
    /// Whose certificate it is, RFC 4514; control characters are escaped.
    pub(crate) subject: String,
    /// Who signed it, likewise.
    pub(crate) issuer: String,
    /// When it expires, RFC 3339.
    pub(crate) not_after: String,
}

impl Given for TlsFacts {
    fn bytes(&self) -> usize {
        let Self {
            version,
            cipher_suite,
            server_name,
            subject,
            issuer,
            not_after,
        } = self;
        let texts = [
            version,
            cipher_suite,
            server_name,
            subject,
            issuer,
            not_after,
        ];
        texts.iter().map(|text| text.len()).sum()
    }
}

/// Speaks TLS on a connection.
pub(super) async fn handshake(
    client: &Client,
    host: &Host,
    stream: TcpStream,
) -> Result<(TlsStream<TcpStream>, TlsFacts), Failed> {
    let name = server_name(host).map_err(Failed::io)?;
    let config = client.tls().await.map_err(Failed::unready)?;
    let mut config = ClientConfig::clone(&config);
    // That of requests over HTTP.
    config.alpn_protocols.clear();
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector.connect(name, stream).await;
    let stream =
        stream.map_err(|error| Failed::io(format!("no TLS with `{host}`: {}", why(&error))))?;
    let facts = facts(stream.get_ref().1, host);
    Ok((stream, facts))
}

fn facts(connection: &ClientConnection, host: &Host) -> TlsFacts {
    let version = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
        Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
        Some(_) | None => "",
    };
    let suite = connection.negotiated_cipher_suite();
    let suite = suite
        .and_then(|suite| suite.suite().as_str())
        .unwrap_or_default();
    let certificate = connection
        .peer_certificates()
        .and_then(|chain| chain.first());
    let facts = TlsFacts {
        version: version.to_owned(),
        // The names of IANA for TLS 1.3 do not say so.
        cipher_suite: suite.replacen("TLS13_", "TLS_", 1),
        server_name: match host {
            Host::Name(name) => name.to_string(),
            Host::Address(address) => address.to_string(),
        },
        ..TlsFacts::default()
    };
    // It was read before, to be checked. What only this reader cannot read is left out.
    match certificate.and_then(|der| Certificate::from_der(der).ok()) {
        Some(Certificate {
            tbs_certificate, ..
        }) => TlsFacts {
            subject: tbs_certificate.subject.to_string(),
            issuer: tbs_certificate.issuer.to_string(),
            not_after: tbs_certificate
                .validity
                .not_after
                .to_date_time()
                .to_string(),
            ..facts
        },
        None => facts,
    }
}

/// Why there is none. Of what the server sent nothing is in it.
fn why(error: &io::Error) -> &'static str {
    let cause = error
        .get_ref()
        .and_then(|error| error.downcast_ref::<Error>());
    match cause {
        Some(Error::InvalidCertificate(error)) => match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its certificate has expired"
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid yet"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "its certificate is for another name"
            }
            // The latter where a trusted authority has the name of the one that signed it.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "its certificate is signed by no authority that is trusted"
            }
            CertificateError::Revoked => "its certificate was revoked",
            _ => "its certificate is not valid",
        },
        Some(_) => "it speaks none that this host speaks",
        None => "the connection was closed",
    }
}
