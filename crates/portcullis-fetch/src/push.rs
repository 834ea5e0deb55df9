//! Publishing: a plugin and its signatures, into a registry.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_policy::Digest;

use crate::artifact::Artifact;
use crate::error::FetchError;
use crate::net::{self, Client};
use crate::oci::{self, Descriptor, Image, Repository};
use crate::package::{Limits, Options, Signature, sha256};
use crate::reference::Reference;

/// Pushes a plugin under the tag of a reference. Answers the digest of its document, by which it can be pulled and signed.
///
/// # Errors
/// [`FetchError`]; what was sent until then stays in the registry without a name.
pub fn push(
    to: &Reference,
    what: &Artifact<'_>,
    limits: &Limits,
    options: &Options,
) -> Result<Digest, FetchError> {
    let client = Client::new(limits, options)?;
    let repository = Repository::new(&client, to, options, "pull,push")?;
    let tag = to
        .tag
        .as_deref()
        .ok_or_else(|| repository.wrong("it is pushed under a tag"))?;
    for (digest, bytes) in &what.blobs {
        repository.put_blob(*digest, bytes)?;
    }
    repository.put_document(tag, &what.document)
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
    let mut layer = Descriptor::of(oci::SIGNED, &signature.payload);
    repository.put_blob(sha256(&signature.payload), &signature.payload)?;
    let encoded = STANDARD.encode(&signature.signature);
    layer.annotations.insert(oci::SIGNATURE.to_owned(), encoded);
    layers.push(layer);
    repository.put_blob(sha256(b"{}"), b"{}")?;
    let config = Descriptor::of("application/vnd.oci.image.config.v1+json", b"{}");
    let image = Image::new(config, layers, BTreeMap::new());
    repository.put_document(&tag, &image.document()).map(|_| ())
}

impl Repository<'_> {
    fn put_blob(&self, digest: Digest, bytes: &[u8]) -> Result<(), FetchError> {
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
        net::expect_ok(&upload, response).map(|_| ())
    }

    fn put_document(&self, tag: &str, bytes: &[u8]) -> Result<Digest, FetchError> {
        let url = self.url(&format!("manifests/{tag}"))?;
        let response = self.send("PUT", &url, oci::IMAGE, bytes)?;
        net::expect_ok(&url, response)?;
        Ok(sha256(bytes))
    }
}
