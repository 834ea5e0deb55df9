//! A plugin in a registry, laid out as the CNCF's format for WebAssembly has it.
//!
//! The clients that exist send credentials wherever a registry points and read its documents whole; here both are bounded,
//! so the few requests are made by our own hands.
//!
//! Source: OCI Distribution Specification 1.1; OCI Image Specification 1.1, "Image Manifest"; CNCF TAG Runtime, "Wasm OCI
//! Artifact Layout".

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_policy::Digest;
use serde::{Deserialize, Serialize};
use serde_json::json;
use ureq::http::{Response, header};
use ureq::{Body, http::header::HeaderName};
use url::Url;

use crate::credentials::{self, Credentials};
use crate::error::FetchError;
use crate::net::{self, Client, Headers};
use crate::package::{
    CLAWFT_MANIFEST, Limits, MANIFEST, ManifestFile, Options, Package, Signature, sha256,
};
use crate::reference::Reference;
use crate::source::Source;

pub(crate) const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const CONFIG: &str = "application/vnd.wasm.config.v0+json";
pub(crate) const COMPONENT: &str = "application/wasm";
/// Manifests of plugins, by the name of their file.
pub(crate) const MANIFESTS: [(&str, &str); 2] = [
    ("application/vnd.portcullis.plugin.v1+toml", MANIFEST),
    ("application/vnd.clawft.plugin.v1+json", CLAWFT_MANIFEST),
];
pub(crate) const SIGNED: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
pub(crate) const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
pub(crate) const VERSION: &str = "org.opencontainers.image.version";

/// An image manifest.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Image {
    pub(crate) schema_version: u32,
    pub(crate) media_type: Option<String>,
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
    #[serde(default)]
    pub(crate) annotations: BTreeMap<String, String>,
}

impl Image {
    pub(crate) fn new(
        config: Descriptor,
        layers: Vec<Descriptor>,
        annotations: BTreeMap<String, String>,
    ) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(IMAGE.to_owned()),
            config,
            layers,
            annotations,
        }
    }

    /// Its bytes, of which a registry has the digest.
    pub(crate) fn document(&self) -> Vec<u8> {
        json!(self).to_string().into_bytes()
    }

    /// # Errors
    /// Why the bytes are none, as a clause.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Kind {
            media_type: Option<String>,
            manifests: Option<serde::de::IgnoredAny>,
        }
        let kind: Kind = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if kind.manifests.is_some() {
            return Err(
                "it is a list of manifests: name the digest of the one that is meant".to_owned(),
            );
        }
        if let Some(other) = kind.media_type.filter(|found| found != IMAGE) {
            return Err(format!(
                "its manifest is of the unknown media type `{other}`"
            ));
        }
        serde_json::from_slice(bytes).map_err(|error| error.to_string())
    }
}

/// What a registry says of a blob.
#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: String,
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
}

impl Descriptor {
    pub(crate) fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: sha256(bytes).to_string(),
            size: bytes.len() as u64,
            annotations: BTreeMap::new(),
        }
    }
}

/// One repository, and who we are to it.
pub(crate) struct Repository<'a> {
    client: &'a Client<'a>,
    base: Url,
    name: String,
    shown: String,
    credentials: Option<Credentials>,
    actions: &'static str,
    token: std::cell::RefCell<Option<String>>,
}

impl<'a> Repository<'a> {
    pub(crate) fn new(
        client: &'a Client<'a>,
        reference: &Reference,
        options: &Options,
        actions: &'static str,
    ) -> Result<Self, FetchError> {
        let Reference {
            host, repository, ..
        } = reference;
        let of = |scheme: &str| Url::parse(&format!("{scheme}://{host}/v2/{repository}/"));
        let wrong = |error: url::ParseError| FetchError::Source {
            text: host.clone(),
            why: error.to_string(),
        };
        let (secure, plain) = (of("https").map_err(wrong)?, of("http").map_err(wrong)?);
        let base = if client.is_plain(&plain) {
            plain
        } else {
            secure
        };
        let config = options.docker_config.as_deref();
        Ok(Self {
            client,
            credentials: Credentials::of(config.filter(|_| base.scheme() == "https"), host)?,
            base,
            name: repository.clone(),
            shown: format!("oci://{reference}"),
            actions,
            token: None.into(),
        })
    }

    pub(crate) fn wrong(&self, why: impl Into<String>) -> FetchError {
        FetchError::Registry {
            reference: self.shown.clone(),
            why: why.into(),
        }
    }

    pub(crate) fn url(&self, path: &str) -> Result<Url, FetchError> {
        self.base
            .join(path)
            .map_err(|error| self.wrong(error.to_string()))
    }

    /// Sends a request; where the registry asks who we are, once more with the answer.
    fn with_token(
        &self,
        send: impl Fn(Option<&str>) -> Result<Response<Body>, FetchError>,
    ) -> Result<Response<Body>, FetchError> {
        let response = send(self.token.borrow().as_deref())?;
        if response.status() != 401 {
            return Ok(response);
        }
        let challenge = response.headers().get(header::WWW_AUTHENTICATE);
        let challenge = challenge.and_then(|challenge| challenge.to_str().ok());
        let Some(challenge) = challenge.map(str::to_owned) else {
            return Ok(response);
        };
        let scope = format!("repository:{}:{}", self.name, self.actions);
        let known = self.credentials.as_ref();
        let token = credentials::answer(self.client, &self.base, &challenge, &scope, known)?;
        *self.token.borrow_mut() = token;
        send(self.token.borrow().as_deref())
    }

    fn get(&self, url: &Url, accept: Option<&str>) -> Result<Response<Body>, FetchError> {
        self.with_token(|authorization| {
            let headers = Headers {
                accept,
                authorization,
            };
            self.client.get(url, headers)
        })
    }

    /// Sends a body to the registry itself.
    pub(crate) fn send(
        &self,
        method: &str,
        url: &Url,
        media_type: &str,
        body: &[u8],
    ) -> Result<Response<Body>, FetchError> {
        self.with_token(|authorization| {
            let mut headers: Vec<(HeaderName, &str)> = vec![(header::CONTENT_TYPE, media_type)];
            headers.extend(authorization.map(|known| (header::AUTHORIZATION, known)));
            self.client.send(method, url, &headers, body)
        })
    }

    /// The bytes of a manifest, and their digest; `None` if there is none.
    pub(crate) fn manifest(&self, wanted: &str) -> Result<Option<(Vec<u8>, Digest)>, FetchError> {
        let url = self.url(&format!("manifests/{wanted}"))?;
        let response = self.get(&url, Some(&format!("{IMAGE}, {INDEX}")))?;
        if response.status() == 404 {
            return Ok(None);
        }
        let response = net::expect_ok(&url, response)?;
        let bytes = net::body(&url, response, self.client.limits.document)?;
        let found = sha256(&bytes);
        match Digest::parse(wanted).filter(|_| wanted.starts_with("sha256:")) {
            Some(expected) if expected != found => Err(FetchError::Digest {
                what: self.shown.clone(),
                expected,
                found,
            }),
            _ => Ok(Some((bytes, found))),
        }
    }

    pub(crate) fn image(&self, bytes: &[u8]) -> Result<Image, FetchError> {
        Image::parse(bytes).map_err(|why| self.wrong(why))
    }

    /// The bytes of a blob: as many as were announced, and with that digest.
    pub(crate) fn blob(&self, blob: &Descriptor, most: u64) -> Result<Vec<u8>, FetchError> {
        let expected = sha256_of(&blob.digest).map_err(|why| self.wrong(why))?;
        let url = self.url(&format!("blobs/{expected}"))?;
        if blob.size > most {
            return Err(FetchError::TooLarge {
                what: url.to_string(),
                limit: most,
            });
        }
        let response = net::expect_ok(&url, self.get(&url, None)?)?;
        let bytes = net::body(&url, response, blob.size)?;
        let found = sha256(&bytes);
        if (bytes.len() as u64) < blob.size {
            let (came, size) = (bytes.len(), blob.size);
            return Err(self.wrong(format!("only {came} of {size} bytes of {expected} came")));
        }
        if found != expected {
            return Err(FetchError::Digest {
                what: url.to_string(),
                expected,
                found,
            });
        }
        Ok(bytes)
    }

    /// What cosign has signed of a manifest.
    fn signatures(&self, of: Digest) -> Result<Vec<Signature>, FetchError> {
        let limits = self.client.limits;
        let Some((bytes, _)) = self.manifest(&signature_tag(of))? else {
            return Ok(Vec::new());
        };
        let mut left = limits.signatures;
        let mut found = Vec::new();
        let layers = self.image(&bytes)?.layers;
        if layers.len() > limits.signature_count {
            return Err(self.wrong("it has too many signatures"));
        }
        for layer in layers.iter().filter(|layer| layer.media_type == SIGNED) {
            let signature = layer.annotations.get(SIGNATURE);
            let Some(signature) = signature.and_then(|text| STANDARD.decode(text).ok()) else {
                continue;
            };
            let payload = self.blob(layer, left)?;
            left = left.saturating_sub(payload.len() as u64);
            found.push(Signature { payload, signature });
        }
        Ok(found)
    }
}

/// Under which tag cosign keeps the signatures of a manifest.
pub(crate) fn signature_tag(of: Digest) -> String {
    format!("sha256-{}.sig", of.hex())
}

pub(crate) fn pull(
    reference: &Reference,
    limits: &Limits,
    options: &Options,
) -> Result<Package, FetchError> {
    let client = Client::new(limits, options)?;
    let repository = Repository::new(&client, reference, options, "pull")?;
    let (bytes, digest) = repository
        .manifest(&reference.wanted())?
        .ok_or_else(|| repository.wrong("there is no such tag or digest in the registry"))?;
    let image = repository.image(&bytes)?;
    let (component, manifest) = layers(&image).map_err(|why| repository.wrong(why))?;
    let source = Source::Registry(Reference {
        digest: Some(digest),
        ..reference.clone()
    });
    let mut package = Package::new(source, repository.blob(component, limits.component)?);
    if let Some((layer, name)) = manifest {
        let bytes = repository.blob(layer, limits.document)?;
        package.manifest = Some(ManifestFile { name, bytes });
    }
    package.version = image.annotations.get(VERSION).cloned();
    let listing = String::from_utf8(bytes);
    package.listing = Some(listing.map_err(|_| repository.wrong("its manifest is no text"))?);
    package.signatures = repository.signatures(digest)?;
    Ok(package)
}

pub(crate) type Layers<'a> = (&'a Descriptor, Option<(&'a Descriptor, &'static str)>);

/// The component of an image, and the manifest if it has one. What is not known is not passed over.
///
/// # Errors
/// Why it is none of one plugin, as a clause.
pub(crate) fn layers(image: &Image) -> Result<Layers<'_>, String> {
    if image.config.media_type != CONFIG {
        let other = &image.config.media_type;
        return Err(format!(
            "it is no WebAssembly: its configuration is `{other}`"
        ));
    }
    let (mut component, mut manifest) = (None, None);
    for layer in &image.layers {
        let known = MANIFESTS
            .iter()
            .find(|(media_type, _)| *media_type == layer.media_type);
        let before = match known {
            Some((_, name)) => manifest.replace((layer, *name)).is_some(),
            None if layer.media_type == COMPONENT => component.replace(layer).is_some(),
            None => {
                let other = &layer.media_type;
                return Err(format!(
                    "it has a layer of the unknown media type `{other}`"
                ));
            }
        };
        if before {
            return Err(format!("it has two layers of `{}`", layer.media_type));
        }
    }
    let component = component.ok_or("it has no component")?;
    Ok((component, manifest))
}

/// What a registry's document says that a plugin consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The digest of the document: what a tag stands for, and what is signed.
    pub digest: Digest,
    /// That of the component.
    pub component: Digest,
    /// That of its manifest, if the registry has it.
    pub manifest: Option<Digest>,
}

/// Reads a document that was [kept](Package::listing) of a registry.
///
/// # Errors
/// Why it is none of one plugin, as a clause.
pub fn listed(document: &str) -> Result<Listed, String> {
    let image: Image = serde_json::from_str(document).map_err(|error| error.to_string())?;
    let (component, manifest) = layers(&image)?;
    let digest = |layer: &Descriptor| sha256_of(&layer.digest);
    Ok(Listed {
        digest: sha256(document.as_bytes()),
        component: digest(component)?,
        manifest: manifest.map(|(layer, _)| digest(layer)).transpose()?,
    })
}

/// A digest as a registry writes it.
///
/// # Errors
/// It is of another kind.
pub(crate) fn sha256_of(text: &str) -> Result<Digest, String> {
    let digest = text.starts_with("sha256:").then(|| Digest::parse(text));
    digest
        .flatten()
        .ok_or_else(|| format!("`{text}` is no SHA-256"))
}
