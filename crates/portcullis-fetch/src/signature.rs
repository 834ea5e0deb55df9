//! Signatures by keys, as cosign makes them: over a statement in JSON that names what is signed.
//!
//! Ours says the plugin's name and its version as well, since a content alone can be served under another name, or for
//! ever.
//!
//! Source: "Simple signing" of containers/image; cosign, `specs/SIGNATURE_SPEC.md`.

use ed25519_dalek::Signer as _;
use p256::pkcs8::{DecodePrivateKey as _, EncodePublicKey as _};
use portcullis_policy::{Digest, PublicKey};
use serde::{Deserialize, Serialize};

use crate::error::FetchError;
use crate::package::{ManifestFile, Package, Signature, sha256};

const TYPE: &str = "cosign container image signature";

/// What a signature says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Statement {
    critical: Critical,
    /// Other tools write `null` where they have nothing to say.
    optional: Option<Optional>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
struct Critical {
    identity: Identity,
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
struct Identity {
    #[serde(rename = "docker-reference")]
    reference: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
struct Optional {
    name: Option<String>,
    version: Option<String>,
    /// Of the manifest beside a plugin in files of its own. Elsewhere one digest is of everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest: Option<String>,
}

/// What is signed of a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its version.
    pub version: &'a str,
    /// The digest of its document in a registry or a packed file, else that of its component.
    pub digest: Digest,
    /// The digest of the manifest file beside it; where there is a document, the first digest is of everything.
    pub manifest: Option<Digest>,
}

impl<'a> Subject<'a> {
    /// What is to be signed of a plugin in files.
    pub fn of_files(
        name: &'a str,
        version: &'a str,
        component: &[u8],
        manifest: Option<&ManifestFile>,
    ) -> Self {
        Self {
            name,
            version,
            digest: sha256(component),
            manifest: manifest.map(|manifest| sha256(&manifest.bytes)),
        }
    }

    /// What has to be signed of a package.
    pub fn of(package: &Package, name: &'a str, version: &'a str) -> Self {
        match package.published() {
            Some(digest) => Self {
                name,
                version,
                digest,
                manifest: None,
            },
            None => Self::of_files(name, version, package.component(), package.manifest()),
        }
    }

    /// Whether this is a signature of a key over this plugin.
    ///
    /// # Errors
    /// Why not, as a clause.
    pub fn is_signed(&self, key: &PublicKey, signature: &Signature) -> Result<(), String> {
        if !is_by(key, signature) {
            return Err("it is not by that key".to_owned());
        }
        self.differs(&signature.payload).map_or(Ok(()), Err)
    }

    /// How a statement is about something else, if it is.
    pub(crate) fn differs(&self, payload: &[u8]) -> Option<String> {
        let Ok(statement) = serde_json::from_slice::<Statement>(payload) else {
            return Some("it signs something else than a plugin".to_owned());
        };
        let Statement { critical, optional } = statement;
        let optional = optional.unwrap_or_default();
        let digest = |text: &str| Digest::parse(text).filter(|_| text.starts_with("sha256:"));
        if critical.kind != TYPE {
            return Some("it signs something else than a plugin".to_owned());
        }
        if digest(&critical.image.digest) != Some(self.digest) {
            return Some("it signs another content".to_owned());
        }
        if optional.manifest.as_deref().and_then(digest) != self.manifest {
            return Some("it does not sign this manifest".to_owned());
        }
        match (optional.name, optional.version) {
            (Some(name), Some(version)) if name == self.name && version == self.version => None,
            (Some(name), Some(version)) => Some(format!("it signs version {version} of `{name}`")),
            _ => Some("it signs neither name nor version".to_owned()),
        }
    }
}

/// Whether a key has made a signature over its payload.
pub(crate) fn is_by(key: &PublicKey, signature: &Signature) -> bool {
    let Signature { payload, signature } = signature;
    match key {
        PublicKey::Ed25519(key) => {
            let key = ed25519_dalek::VerifyingKey::from_bytes(key);
            let signature = ed25519_dalek::Signature::from_slice(signature);
            matches!((key, signature), (Ok(key), Ok(signature)) if key.verify_strict(payload, &signature).is_ok())
        }
        PublicKey::P256(point) => {
            use p256::ecdsa::signature::Verifier as _;
            let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(point);
            let signature = p256::ecdsa::Signature::from_der(signature);
            matches!((key, signature), (Ok(key), Ok(signature)) if key.verify(payload, &signature).is_ok())
        }
    }
}

/// A key that signs plugins.
pub enum SigningKey {
    /// Of Ed25519.
    Ed25519(ed25519_dalek::SigningKey),
    /// On P-256.
    P256(p256::ecdsa::SigningKey),
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

impl SigningKey {
    /// Reads a key in PKCS #8 and PEM that has no password: `BEGIN PRIVATE KEY`.
    ///
    /// # Errors
    /// [`FetchError::Key`] for anything else.
    pub fn from_pem(pem: &str) -> Result<Self, FetchError> {
        if let Ok(key) = ed25519_dalek::SigningKey::from_pkcs8_pem(pem) {
            return Ok(Self::Ed25519(key));
        }
        match p256::ecdsa::SigningKey::from_pkcs8_pem(pem) {
            Ok(key) => Ok(Self::P256(key)),
            Err(_) => Err(FetchError::Key),
        }
    }

    /// The key by which its signatures are verified.
    pub fn public(&self) -> Option<PublicKey> {
        match self {
            Self::Ed25519(key) => Some(PublicKey::Ed25519(key.verifying_key().to_bytes())),
            Self::P256(key) => {
                let der = key.verifying_key().to_public_key_der().ok()?;
                PublicKey::from_der(der.as_bytes())
            }
        }
    }

    /// Signs a plugin. `reference` says where it is published, for other tools; nothing here depends on it.
    pub fn sign(&self, subject: &Subject<'_>, reference: &str) -> Signature {
        let statement = Statement {
            critical: Critical {
                identity: Identity {
                    reference: reference.to_owned(),
                },
                image: Image {
                    digest: subject.digest.to_string(),
                },
                kind: TYPE.to_owned(),
            },
            optional: Some(Optional {
                name: Some(subject.name.to_owned()),
                version: Some(subject.version.to_owned()),
                manifest: subject.manifest.map(|digest| digest.to_string()),
            }),
        };
        let payload = serde_json::json!(statement).to_string().into_bytes();
        let signature = match self {
            Self::Ed25519(key) => key.sign(&payload).to_bytes().to_vec(),
            Self::P256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(&payload);
                signature.to_der().as_bytes().to_vec()
            }
        };
        Signature { payload, signature }
    }
}

/// The fingerprint of a key: the SHA-256 of its `SubjectPublicKeyInfo`, by which it is revoked.
pub fn fingerprint(key: &PublicKey) -> Digest {
    sha256(&key.to_der())
}
