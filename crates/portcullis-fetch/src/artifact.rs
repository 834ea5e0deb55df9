//! What a plugin is in a registry, or in a packed file: its blobs, and the document that lists them.

use std::borrow::Cow;

use portcullis_policy::Digest;
use serde_json::json;

use crate::oci::{self, Descriptor, Image};
use crate::package::{ManifestFile, Package, sha256};

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

/// A plugin laid out as the CNCF's format for WebAssembly has it. The same plugin makes the same bytes.
#[derive(Clone, Debug)]
pub struct Artifact<'a> {
    /// All that the document lists, in its order.
    pub(crate) blobs: Vec<(Digest, Cow<'a, [u8]>)>,
    pub(crate) document: Cow<'a, [u8]>,
    /// Its version, if it is known.
    pub(crate) version: Option<&'a str>,
}

impl<'a> Artifact<'a> {
    /// Lays out what is published.
    pub fn new(what: Publication<'a>) -> Self {
        let component = Descriptor::of(oci::COMPONENT, what.component);
        let config = json!({
            "architecture": "wasm",
            "os": "wasip2",
            "layerDigests": [component.digest],
        });
        let config = config.to_string().into_bytes();
        let mut layers = vec![component];
        if let Some(manifest) = what.manifest {
            let mut known = oci::MANIFESTS.iter();
            let known = known.find(|(_, name)| *name == manifest.name);
            let media_type = known.map_or(oci::MANIFESTS[0].0, |(media_type, _)| media_type);
            layers.push(Descriptor::of(media_type, &manifest.bytes));
        }
        let version = what.version.iter();
        let annotations = version
            .map(|version| (oci::VERSION.to_owned(), (*version).to_owned()))
            .collect();
        let image = Image::new(Descriptor::of(oci::CONFIG, &config), layers, annotations);
        Self::of_parts(
            Cow::Owned(image.document()),
            Cow::Owned(config),
            what.component,
            what.manifest,
            what.version,
        )
    }

    /// A plugin as it is laid out already, if it is, and else laid out with this version.
    pub fn of(package: &'a Package, version: &'a str) -> Self {
        match (package.listing(), &package.config) {
            (Some(listing), Some(config)) => Self::of_parts(
                Cow::Borrowed(listing.as_bytes()),
                Cow::Borrowed(config),
                package.component(),
                package.manifest(),
                Some(version),
            ),
            _ => Self::new(Publication {
                component: package.component(),
                manifest: package.manifest(),
                version: Some(version),
            }),
        }
    }

    fn of_parts(
        document: Cow<'a, [u8]>,
        config: Cow<'a, [u8]>,
        component: &'a [u8],
        manifest: Option<&'a ManifestFile>,
        version: Option<&'a str>,
    ) -> Self {
        let manifest = manifest.map(|manifest| Cow::Borrowed(&*manifest.bytes));
        let blobs = [Some(config), Some(Cow::Borrowed(component)), manifest];
        Self {
            blobs: blobs
                .into_iter()
                .flatten()
                .map(|bytes| (sha256(&bytes), bytes))
                .collect(),
            document,
            version,
        }
    }

    /// The digest of its document: what a tag stands for, and what is signed.
    pub fn digest(&self) -> Digest {
        sha256(&self.document)
    }
}
