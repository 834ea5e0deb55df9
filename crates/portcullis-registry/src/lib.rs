//! The installed plugins of one data directory: their content, by its SHA-256, and for each name one row that says what
//! was agreed to.
//!
//! A row is written whole or not at all, and is what counts: content that no row names is not installed, and the next
//! writer throws it away. Whoever is interrupted at any point leaves the old rows or the new ones. Writers wait for one
//! another; readers never wait, and never see half.
//!
//! Nothing is decided here, nobody is asked, and no file of a plugin is understood.
//!
//! Read first: [`Registry`], [`Record`], [`Writer`].

mod content;
mod error;
mod record;
mod registry;
mod writer;

pub use error::RegistryError;
pub use record::{ManifestText, Record};
pub use registry::{Registry, component_path};
pub use writer::Writer;
