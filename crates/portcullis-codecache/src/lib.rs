//! Compiled code on disk: authenticate, then deserialize, and nothing else.
//!
//! Deserializing compiled code is running it, so a file that somebody planted in the cache would run with the
//! host's rights. Each entry therefore carries a MAC under a key that lies outside the cache directory, over
//! the code and over everything the code was compiled for. An entry is read once into memory that
//! nobody can change, authenticated there, and deserialized from those very bytes.
//!
//! Compiling is for a process of its own: an [`Order`] goes to it, [`serve`] compiles there, and the answer is
//! authenticated in the same way.
//!
//! What this does not do: it does not confine that process, and it does not defend against programs of the same
//! user that can read the key. The promise is that neither a guest nor another user can plant code.
//!
//! ```
//! use portcullis_codecache::{CodeCache, Options, Origin};
//! use wasmtime::Engine;
//! use wasmtime::component::Component;
//!
//! # let parent = tempfile::tempdir()?;
//! # let (dir, key_dir) = (parent.path().join("cache"), parent.path().join("data"));
//! let cache = CodeCache::open(&dir, &key_dir, Options::default())?;
//! let engine = Engine::default();
//! let wasm = wat::parse_str("(component)")?;
//! let compile = || Component::new(&engine, &wasm);
//! assert!(matches!(cache.component(&engine, &wasm, compile)?.origin, Origin::Compiled { .. }));
//! assert!(matches!(cache.component(&engine, &wasm, compile)?.origin, Origin::Cache));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Read first: [`CodeCache`], [`Order`].

mod cache;
mod entry;
mod evict;
mod load;
mod order;

pub use cache::{CodeCache, Fetched, LoadError, OpenError, Options, Origin, StoreError};
pub use evict::Stats;
pub use order::{AnswerError, Compiled, Maker, Order, serve};
pub use portcullis_private::PrivateError;
