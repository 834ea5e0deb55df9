//! What guests' own requests are sent with: how names are resolved, who connects, and whose certificates are trusted.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use portcullis_proxy::{Dial, Resolve, SystemDialer, SystemResolver, Upstream};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::sync::OnceCell;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Shared by all plugins of a host. No connection is used twice, so nothing of one plugin's meets another's.
#[derive(Debug)]
pub(crate) struct Client {
    pub(super) resolver: Arc<dyn Resolve>,
    pub(super) dialer: Arc<dyn Dial>,
    pub(super) upstream: Option<Upstream>,
    /// Whom lookups ask; `None`: the name servers of the system.
    pub(super) name_servers: Option<Vec<SocketAddr>>,
    ca_file: Option<PathBuf>,
    tls: OnceCell<Arc<ClientConfig>>,
}

impl Client {
    pub(crate) fn new(upstream: Option<Upstream>, ca_file: Option<PathBuf>) -> Self {
        Self {
            resolver: Arc::new(SystemResolver),
            dialer: Arc::new(SystemDialer),
            upstream,
            name_servers: None,
            ca_file,
            tls: OnceCell::new(),
        }
    }

    /// The same with another way to find and reach hosts.
    pub(crate) fn with_network(self, resolver: Arc<dyn Resolve>, dialer: Arc<dyn Dial>) -> Self {
        Self {
            resolver,
            dialer,
            ..self
        }
    }

    /// The same with other name servers.
    pub(crate) fn with_name_servers(self, name_servers: Option<Vec<SocketAddr>>) -> Self {
        Self {
            name_servers,
            ..self
        }
    }

    /// How servers are known by their certificates: read when it is first needed, and again where that failed.
    pub(super) async fn tls(&self) -> Result<Arc<ClientConfig>, String> {
        let read = || async {
            let ca_file = self.ca_file.clone();
            let read = tokio::task::spawn_blocking(move || config(ca_file));
            read.await.unwrap_or_else(|error| Err(error.to_string()))
        };
        self.tls.get_or_try_init(read).await.cloned()
    }
}

fn config(ca_file: Option<PathBuf>) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let mut config = builder
        .with_root_certificates(roots(ca_file)?)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // By a session that is resumed a server could tell that two plugins are of one host.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// The certificates of a file, or without one those of the system.
fn roots(ca_file: Option<PathBuf>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let (from, certificates) = match ca_file {
        Some(file) => {
            let from = format!("`{}`", file.display());
            let unreadable = |error| format!("cannot read the certificates of {from}: {error}");
            let read = CertificateDer::pem_file_iter(&file).map_err(unreadable)?;
            let read: Result<Vec<_>, _> = read.collect();
            let certificates = read.map_err(unreadable)?;
            (from, certificates)
        }
        None => {
            let read = rustls_native_certs::load_native_certs();
            ("this system".to_owned(), read.certs)
        }
    };
    let (added, _) = roots.add_parsable_certificates(certificates);
    if added == 0 {
        return Err(format!("{from} has no certificates to trust"));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_an_error_and_not_the_systems() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        let missing = roots(Some(file.clone())).unwrap_err();
        assert!(missing.contains("cannot read") && missing.contains("ca.pem"));
        std::fs::write(&file, "no certificates").unwrap();
        let empty = roots(Some(file)).unwrap_err();
        assert!(empty.contains("has no certificates to trust"), "{empty}");
    }
}
