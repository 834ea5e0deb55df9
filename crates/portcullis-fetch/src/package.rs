use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis_policy::Digest;
use sha2::{Digest as _, Sha256};

use crate::error::FetchError;
use crate::source::Source;
use crate::{https, local, oci};

/// The name of a plugin's manifest.
pub const MANIFEST: &str = "plugin.toml";

/// The name of the manifest of a plugin of clawft.
pub const CLAWFT_MANIFEST: &str = "clawft.plugin.json";

/// How much is read, and for how long.
///
/// # Defaults
/// - a component of 128 MiB, which is the most that is ever loaded
/// - a manifest, and each document of a registry, of 64 KiB
/// - signatures of 64 KiB together, and 64 of them
/// - 5 redirects, 5 minutes for everything
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the component.
    pub component: u64,
    /// Bytes of the manifest, and of each document of a registry.
    pub document: u64,
    /// Bytes of all signatures together.
    pub signatures: u64,
    /// How many signatures are looked at.
    pub signature_count: usize,
    /// How many redirects one file may have.
    pub redirects: u32,
    /// For everything that comes over the network.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            component: 128 << 20,
            document: 64 << 10,
            signatures: 64 << 10,
            signature_count: 64,
            redirects: 5,
            time: Duration::from_secs(5 * 60),
        }
    }
}

/// By which way the network is reached.
///
/// # Defaults
/// Directly, over TLS with the certificates of the system, and without credentials.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Certificates in PEM that are trusted instead of those of the system.
    pub ca_file: Option<PathBuf>,
    /// An HTTP proxy, `host:port`, through which everything goes.
    pub proxy: Option<String>,
    /// docker's `config.json`, for the credentials of registries. One that is not there has none.
    pub docker_config: Option<PathBuf>,
    /// Whether loopback addresses are spoken to without TLS. Others never are.
    pub plain_http: bool,
}

/// A manifest, as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestFile {
    /// [`MANIFEST`] or [`CLAWFT_MANIFEST`].
    pub name: &'static str,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A statement that was signed, and the signature. Nothing is known about it before it is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The bytes that were signed.
    pub payload: Vec<u8>,
    /// The signature, as its kind of key makes it.
    pub signature: Vec<u8>,
}

/// A plugin as it was read. Its component has every digest that was named for it.
#[derive(Clone, Debug)]
pub struct Package {
    pub(crate) source: Source,
    pub(crate) component: Vec<u8>,
    pub(crate) manifest: Option<ManifestFile>,
    pub(crate) version: Option<String>,
    pub(crate) signatures: Vec<Signature>,
    pub(crate) no_signatures: Option<String>,
    pub(crate) listing: Option<String>,
    /// The configuration beside the listing, of a packed file.
    pub(crate) config: Option<Vec<u8>>,
    pub(crate) file: Option<PathBuf>,
    digest: Digest,
    blake3: String,
}

impl Package {
    pub(crate) fn new(source: Source, component: Vec<u8>) -> Self {
        Self {
            source,
            digest: sha256(&component),
            blake3: blake3::hash(&component).to_hex().to_string(),
            component,
            manifest: None,
            version: None,
            signatures: Vec::new(),
            no_signatures: None,
            listing: None,
            config: None,
            file: None,
        }
    }

    /// Where it came from. Where that was a tag of a registry, the digest that it stood for is beside it.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The bytes of the component or module. They may be anything.
    pub fn component(&self) -> &[u8] {
        &self.component
    }

    /// The bytes of the component or module, for who keeps them.
    pub fn into_component(self) -> Vec<u8> {
        self.component
    }

    /// Its manifest, if it has one.
    pub fn manifest(&self) -> Option<&ManifestFile> {
        self.manifest.as_ref()
    }

    /// The same, described by a manifest that came by another way. What is signed of it has to be that manifest too, unless it
    /// comes from a registry.
    #[must_use]
    pub fn with_manifest(mut self, name: &str, bytes: Vec<u8>) -> Self {
        let name = if name == CLAWFT_MANIFEST {
            CLAWFT_MANIFEST
        } else {
            MANIFEST
        };
        self.manifest = Some(ManifestFile { name, bytes });
        self
    }

    /// The SHA-256 of the component, by which it is stored, pinned and revoked.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The BLAKE3 digest of the component as 64 hexadecimal digits, by which the audit trail names it.
    pub fn blake3(&self) -> &str {
        &self.blake3
    }

    /// The version that the source gives it; the manifest may say another.
    pub fn version_from_source(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// The file of the component, or the packed one, where it lies on this machine. Its signatures lie beside it, in one of that name and `.sig`.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The signatures that lay beside it.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// What a server has in the place of signatures, and why that is none, as a clause. The plugin then has none.
    pub fn no_signatures(&self) -> Option<&str> {
        self.no_signatures.as_deref()
    }

    /// The document of the registry, or of the packed file, that lists what it consists of: see [`listed`](crate::listed).
    pub fn listing(&self) -> Option<&str> {
        self.listing.as_deref()
    }

    /// The digest of that document: what a tag stands for, and what is signed. None of a plugin in files of its own.
    pub fn published(&self) -> Option<Digest> {
        self.listing
            .as_ref()
            .map(|listing| sha256(listing.as_bytes()))
    }
}

/// The SHA-256 of bytes.
pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    Digest::from(<[u8; 32]>::from(Sha256::digest(bytes)))
}

/// Reads a plugin. It blocks for as long as the file system and the network take, and [`Limits::time`] bounds the latter.
///
/// # Authority
/// Ambient: it reads files and reaches the network with the rights of the process, for the person who named the source.
///
/// # Errors
/// [`FetchError`]; there is never a part of a plugin.
pub fn read(source: &Source, limits: &Limits, options: &Options) -> Result<Package, FetchError> {
    match source {
        Source::Path(path) => local::read(path, limits),
        Source::Url { url, digest } => https::read(url, *digest, limits, options),
        Source::Registry(reference) => oci::pull(reference, limits, options),
    }
}
