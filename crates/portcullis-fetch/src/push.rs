//! Publishing: a plugin and its signatures, into a registry.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_policy::Digest;
use serde_json::json;

use crate::error::FetchError;
use crate::net::{self, Client};
use crate::oci::{self, Descriptor, Image, Repository};
use crate::package::{Limits, ManifestFile, Options, Signature, sha256};
use crate::reference::Reference;

/// What is published.
#[derive(Clone, Copy, Debug)]
pub struct Publication<'a> {
    /// The bytes of the component.
    pub component: &'a [u8],
    /// Its manifest, if it has one.
    pub manifest: Option<&'a ManifestFile>,
    /// Its version, if it is known.
    pub version: Option<&'a str>,
}

/// Pushes a plugin under the tag of a reference. Answers the digest of its manifest, by which it can be pulled and signed.
///
/// # Errors
/// [`FetchError`]; what was sent until then stays in the registry without a name.
pub fn push(
    to: &Reference,
    what: Publication<'_>,
    limits: &Limits,
    options: &Options,
) -> Result<Digest, FetchError> {
    let client = Client::new(limits, options)?;
    let repository = Repository::new(&client, to, options, "pull,push")?;
    let component = repository.put_blob(oci::COMPONENT, what.component)?;
    let config = json!({
        "architecture": "wasm",
        "os": "wasip2",
        "layerDigests": [component.digest],
    });
    let config = repository.put_blob(oci::CONFIG, config.to_string().as_bytes())?;
    let mut layers = vec![component];
    if let Some(manifest) = what.manifest {
        let known = oci::MANIFESTS
            .iter()
            .find(|(_, name)| *name == manifest.name);
        let media_type = known.map_or(oci::MANIFESTS[0].0, |(media_type, _)| media_type);
        layers.push(repository.put_blob(media_type, &manifest.bytes)?);
    }
    let version = what
        .version
        .map(|version| (oci::VERSION.to_owned(), version.to_owned()));
    let image = image(config, layers, version.into_iter().collect());
    let tag = to
        .tag
        .as_deref()
        .ok_or_else(|| repository.wrong("it is pushed under a tag"))?;
    repository.put_manifest(tag, &image)
}

/// Adds a signature of the manifest with a digest to those that are there, where cosign keeps them.
///
/// # Errors
/// [`FetchError`]; the signatures that were there stay.
pub fn push_signature(
    to: &Reference,
    of: Digest,
    signature: &Signature,
    limits: &Limits,
    options: &Options,
) -> Result<(), FetchError> {
    let client = Client::new(limits, options)?;
    let repository = Repository::new(&client, to, options, "pull,push")?;
    let tag = oci::signature_tag(of);
    let mut layers = match repository.manifest(&tag)? {
        Some((bytes, _)) => repository.image(&bytes)?.layers,
        None => Vec::new(),
    };
    let mut layer = repository.put_blob(oci::SIGNED, &signature.payload)?;
    let encoded = STANDARD.encode(&signature.signature);
    layer.annotations.insert(oci::SIGNATURE.to_owned(), encoded);
    layers.push(layer);
    let config = repository.put_blob("application/vnd.oci.image.config.v1+json", b"{}")?;
    let image = image(config, layers, BTreeMap::new());
    repository.put_manifest(&tag, &image).map(|_| ())
}

fn image(
    config: Descriptor,
    layers: Vec<Descriptor>,
    annotations: BTreeMap<String, String>,
) -> Image {
    Image {
        schema_version: 2,
        media_type: Some(oci::IMAGE.to_owned()),
        config,
        layers,
        annotations,
    }
}

impl Repository<'_> {
    fn put_blob(&self, media_type: &str, bytes: &[u8]) -> Result<Descriptor, FetchError> {
        let digest = sha256(bytes);
        let start = self.url("blobs/uploads/")?;
        let response = self.send("POST", &start, "application/octet-stream", b"")?;
        let response = net::expect_ok(&start, response)?;
        let mut upload = net::location(&start, &response)?;
        if upload.origin() != start.origin() {
            // The token is for the registry alone.
            return Err(self.wrong("it wants the plugin sent to another host"));
        }
        upload
            .query_pairs_mut()
            .append_pair("digest", &digest.to_string());
        let response = self.send("PUT", &upload, "application/octet-stream", bytes)?;
        net::expect_ok(&upload, response)?;
        Ok(Descriptor {
            media_type: media_type.to_owned(),
            digest: digest.to_string(),
            size: bytes.len() as u64,
            annotations: BTreeMap::new(),
        })
    }

    fn put_manifest(&self, tag: &str, image: &Image) -> Result<Digest, FetchError> {
        let bytes = json!(image).to_string().into_bytes();
        let url = self.url(&format!("manifests/{tag}"))?;
        let response = self.send("PUT", &url, oci::IMAGE, &bytes)?;
        net::expect_ok(&url, response)?;
        Ok(sha256(&bytes))
    }
}
