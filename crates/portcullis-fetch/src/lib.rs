//! Reads a plugin from where it is published, and says what is known about it.
//!
//! A [`Source`] is a file, which may be a packed one, a directory, an `https` address with the digest of what is there, or a place in a registry.
//! [`read`] brings the bytes of the plugin and of its manifest, within [`Limits`], and each checked against every digest
//! that was named. Nothing is stored, nobody is asked, nothing of the plugin runs, and its manifest is not interpreted
//! beyond the name of the file that it is about.
//!
//! ```
//! use portcullis_fetch::{Limits, Options, Source, read};
//!
//! let directory = tempfile::tempdir()?;
//! std::fs::write(directory.path().join("plugin.toml"), "component = 'notes.wasm'")?;
//! std::fs::write(directory.path().join("notes.wasm"), b"\0asm")?;
//!
//! let source = Source::parse(directory.path().to_str().expect("it is UTF-8"))?;
//! let package = read(&source, &Limits::default(), &Options::default())?;
//! assert_eq!(package.component(), b"\0asm");
//! assert_eq!(package.manifest().expect("it has one").name, "plugin.toml");
//!
//! // Without the digest of what is expected, nothing is asked for.
//! let source = Source::parse("https://example.com/notes.wasm")?;
//! let refused = read(&source, &Limits::default(), &Options::default()).expect_err("it has no digest");
//! assert_eq!(refused.code().as_str(), "P0854");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Read first: [`Source`], [`Package`], [`read`], [`FetchError`].

mod artifact;
mod bounded;
mod credentials;
mod detached;
mod error;
mod evidence;
mod https;
mod layout;
mod local;
mod net;
mod oci;
mod package;
mod push;
mod reference;
mod signature;
mod source;
mod version;

pub use artifact::{Artifact, Publication};
pub use detached::{detached, from_detached};
pub use error::{FetchCode, FetchError};
pub use evidence::{Evidence, evidence};
pub use layout::{is_packed, unpack};
pub use oci::{Listed, listed};
pub use package::{
    CLAWFT_MANIFEST, Limits, MANIFEST, ManifestFile, Options, Package, Signature, read,
};
pub use push::{push, push_signature};
pub use reference::Reference;
pub use signature::{SigningKey, Subject, fingerprint};
pub use source::Source;
pub use version::may_replace;
