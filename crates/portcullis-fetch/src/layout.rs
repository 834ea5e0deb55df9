//! A plugin in one file: an OCI image layout in a tar, with what a registry would have of it.
//!
//! What is read is held to one shape: the files of a layout with one plugin, each once, nothing else, no links. No name in
//! it ever becomes a path.
//!
//! Source: OCI Image Specification 1.1, "Image Layout Specification"; POSIX.1-2017, `pax`, "ustar Interchange Format".

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _};

use portcullis_policy::Digest;
use serde::Deserialize;
use serde_json::json;
use tar::{Archive, Builder, EntryType, Header};

use crate::artifact::Artifact;
use crate::error::FetchError;
use crate::oci::{self, Descriptor, Image};
use crate::package::{Limits, ManifestFile, Package, sha256};
use crate::reference::is_tag;
use crate::source::Source;

const LAYOUT: &str = "oci-layout";
const LAYOUT_VERSION: &str = "1.0.0";
const INDEX: &str = "index.json";
const BLOBS: &str = "blobs/sha256/";
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Bytes by which a tar is known.
pub(crate) const HEAD: u64 = 512;
/// Where its magic word stands.
const MAGIC: std::ops::Range<usize> = 257..262;
/// Entries that one plugin needs, and room for the directories that others write down.
const ENTRIES: usize = 16;

/// Whether a file that begins like this is a packed plugin: a tar. What is in it is not looked at.
pub fn is_packed(bytes: &[u8]) -> bool {
    bytes.get(MAGIC) == Some(b"ustar") && !bytes.starts_with(b"\0asm")
}

impl Artifact<'_> {
    /// The bytes of a file with everything that [`push`](crate::push) would send: an OCI image layout in a tar. The same plugin
    /// makes the same bytes, whoever packs it and when.
    ///
    /// # Errors
    /// [`FetchError::TooLarge`] for what nobody could read again.
    pub fn packed(&self, limits: &Limits) -> Result<Vec<u8>, FetchError> {
        let mut document = Descriptor::of(oci::IMAGE, &self.document);
        if let Some(version) = self.version.filter(|version| is_tag(version)) {
            let (name, version) = (REF_NAME.to_owned(), version.to_owned());
            document.annotations.insert(name, version);
        }
        let index = json!({ "schemaVersion": 2, "mediaType": oci::INDEX, "manifests": [document] });
        let layout = json!({ "imageLayoutVersion": LAYOUT_VERSION });
        let mut blobs: BTreeMap<String, &[u8]> = BTreeMap::new();
        blobs.insert(self.digest().hex(), &self.document);
        blobs.extend(
            self.blobs
                .iter()
                .map(|(digest, bytes)| (digest.hex(), &**bytes)),
        );
        let mut tar = Builder::new(Vec::new());
        let mut written = put(&mut tar, LAYOUT, layout.to_string().as_bytes())
            .and_then(|()| put(&mut tar, INDEX, index.to_string().as_bytes()));
        for (digest, bytes) in blobs {
            written = written.and_then(|()| put(&mut tar, &format!("{BLOBS}{digest}"), bytes));
        }
        let packed = written.and_then(|()| tar.into_inner());
        let packed = packed.map_err(|error| FetchError::Package {
            from: "the packed file".to_owned(),
            why: error.to_string(),
        })?;
        if packed.len() as u64 > limits.component {
            return Err(FetchError::TooLarge {
                what: "the packed file".to_owned(),
                limit: limits.component,
            });
        }
        Ok(packed)
    }
}

fn put(tar: &mut Builder<Vec<u8>>, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(bytes.len() as u64);
    tar.append_data(&mut header, name, bytes)
}

/// Reads a packed file, which is from this source.
///
/// # Errors
/// [`FetchError::Package`] when it is no layout with one plugin, [`FetchError::Digest`] when a blob of it is not what its name
/// says, [`FetchError::TooLarge`] for what is larger than the limits.
pub fn unpack(source: Source, bytes: &[u8], limits: &Limits) -> Result<Package, FetchError> {
    let from = source.to_string();
    let mut layout = Layout::of(&from, bytes, limits)?;
    let document = layout.document(limits)?;
    let wrong = |why: String| layout_error(&from, why);
    let image = Image::parse(&document).map_err(wrong)?;
    let (component, manifest) = oci::layers(&image).map_err(wrong)?;
    let component = layout.blob(component, limits.component)?;
    let manifest = match manifest {
        Some((layer, name)) => Some(ManifestFile {
            name,
            bytes: layout.blob(layer, limits.document)?,
        }),
        None => None,
    };
    let config = layout.blob(&image.config, limits.document)?;
    if let Some(left) = layout.blobs.keys().next() {
        return Err(layout.wrong(format!("it has a blob `{left}` that nothing lists")));
    }
    let listing = String::from_utf8(document);
    let listing = listing.map_err(|_| wrong("its manifest is no text".to_owned()))?;
    let mut package = Package::new(source, component);
    package.version = image.annotations.get(oci::VERSION).cloned();
    package.manifest = manifest;
    package.listing = Some(listing);
    package.config = Some(config);
    Ok(package)
}

fn layout_error(from: &str, why: String) -> FetchError {
    FetchError::Package {
        from: from.to_owned(),
        why,
    }
}

/// The files of a layout, as they came.
struct Layout<'a> {
    from: &'a str,
    index: Vec<u8>,
    /// By their digests. Each is what its name says.
    blobs: BTreeMap<Digest, Vec<u8>>,
}

impl<'a> Layout<'a> {
    fn of(from: &'a str, bytes: &[u8], limits: &Limits) -> Result<Self, FetchError> {
        let wrong = |why: String| layout_error(from, why);
        let broken = |error: io::Error| wrong(format!("its tar is broken: {error}"));
        let (mut layout, mut index, mut blobs) = (None, None, BTreeMap::new());
        let mut directories = BTreeSet::new();
        let mut archive = Archive::new(bytes);
        // Raw: what speaks for the next entry is an entry of its own, and refused like every other kind.
        for (count, entry) in archive.entries().map_err(broken)?.raw(true).enumerate() {
            if count == ENTRIES {
                return Err(wrong(format!("it has more than {ENTRIES} entries")));
            }
            let mut entry = entry.map_err(broken)?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let name = name.strip_prefix("./").unwrap_or(&name).to_owned();
            let twice = || wrong(format!("it has `{name}` twice"));
            match entry.header().entry_type() {
                EntryType::Directory if matches!(&*name, "" | "blobs/" | "blobs/sha256/") => {
                    if !directories.insert(name.clone()) {
                        return Err(twice());
                    }
                    continue;
                }
                EntryType::Regular => {}
                _ => {
                    return Err(wrong(format!(
                        "`{name}` is no regular file, and a layout has nothing else"
                    )));
                }
            }
            let digest = name.strip_prefix(BLOBS).and_then(digest_of);
            let most = if digest.is_some() {
                limits.component
            } else {
                limits.document
            };
            let announced = entry.header().size().map_err(broken)?;
            if announced > most {
                return Err(FetchError::TooLarge {
                    what: format!("{from}, {name}"),
                    limit: most,
                });
            }
            let mut content = Vec::new();
            entry.read_to_end(&mut content).map_err(broken)?;
            if content.len() as u64 != announced {
                return Err(wrong(format!("`{name}` ends before it should")));
            }
            let before = match (&*name, digest) {
                (LAYOUT, _) => layout.replace(content).is_some(),
                (INDEX, _) => index.replace(content).is_some(),
                (_, Some(expected)) => {
                    let found = sha256(&content);
                    if found != expected {
                        return Err(FetchError::Digest {
                            what: format!("{from}, {name}"),
                            expected,
                            found,
                        });
                    }
                    blobs.insert(expected, content).is_some()
                }
                _ => return Err(wrong(format!("`{name}` is no part of a layout"))),
            };
            if before {
                return Err(twice());
            }
        }
        let missing = |name: &str| wrong(format!("it has no `{name}`"));
        let layout = layout.ok_or_else(|| missing(LAYOUT))?;
        is_of_our_version(&layout).map_err(wrong)?;
        Ok(Self {
            from,
            index: index.ok_or_else(|| missing(INDEX))?,
            blobs,
        })
    }

    fn wrong(&self, why: impl Into<String>) -> FetchError {
        layout_error(self.from, why.into())
    }

    /// The one document that the index lists.
    fn document(&mut self, limits: &Limits) -> Result<Vec<u8>, FetchError> {
        #[derive(Deserialize)]
        struct Index {
            manifests: Vec<Descriptor>,
        }
        let index: Result<Index, _> = serde_json::from_slice(&self.index);
        let index = index.map_err(|error| self.wrong(format!("`{INDEX}`: {error}")))?;
        let [document] = index.manifests.as_slice() else {
            let count = index.manifests.len();
            return Err(self.wrong(format!("it has {count} plugins, and not one")));
        };
        if document.media_type != oci::IMAGE {
            let other = &document.media_type;
            return Err(self.wrong(format!(
                "its manifest is of the unknown media type `{other}`"
            )));
        }
        self.blob(document, limits.document)
    }

    /// Takes a blob out: each is listed once.
    fn blob(&mut self, listed: &Descriptor, most: u64) -> Result<Vec<u8>, FetchError> {
        let digest = oci::sha256_of(&listed.digest).map_err(|why| self.wrong(why))?;
        let bytes = self.blobs.remove(&digest);
        let bytes = bytes
            .ok_or_else(|| self.wrong(format!("it lists `{digest}`, and does not have it")))?;
        let (found, size) = (bytes.len() as u64, listed.size);
        if found != size {
            let why = format!("`{digest}` is listed with {size} bytes, and has {found}");
            return Err(self.wrong(why));
        }
        if size > most {
            return Err(FetchError::TooLarge {
                what: format!("{}, {digest}", self.from),
                limit: most,
            });
        }
        Ok(bytes)
    }
}

/// The digest that the name of a blob says.
fn digest_of(digits: &str) -> Option<Digest> {
    Digest::parse(digits).filter(|digest| digest.hex() == digits)
}

/// # Errors
/// Why not, as a clause.
fn is_of_our_version(bytes: &[u8]) -> Result<(), String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Version {
        image_layout_version: String,
    }
    let wrong = |error: serde_json::Error| format!("`{LAYOUT}`: {error}");
    let version: Version = serde_json::from_slice(bytes).map_err(wrong)?;
    match version.image_layout_version {
        version if version == LAYOUT_VERSION => Ok(()),
        other => Err(format!("it is a layout of the unknown version `{other}`")),
    }
}
