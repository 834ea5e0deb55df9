//! The cache: find, authenticate, compile when need be, store.

use std::fmt;
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, RenameFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
use wasmtime::component::Component;
use wasmtime::{Engine, Module};

use crate::entry::{HEADER, Keys, MAC, Mac, PREAMBLE, Subject};
use crate::evict::{self, Stats};
use crate::load::{Artifact, Authenticated};
use crate::order::Maker;
use portcullis_private::{PrivateDir, PrivateError, io_error, read_some, write_all};

const KEY_FILE: &str = "cache.key";

/// How a [`CodeCache`] keeps its entries.
///
/// # Defaults
/// - `max_bytes`: 1 GiB
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// All entries together may have this many bytes. Beyond it, those not used for longest are removed.
    pub max_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options { max_bytes: 1 << 30 }
    }
}

/// Why a cache cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The key would lie in the directory that it protects, and be copied and restored with it.
    #[error("the key directory `{key_dir}` lies inside the cache `{dir}`")]
    KeyInsideCache {
        /// The directory for the key.
        key_dir: PathBuf,
        /// The cache directory.
        dir: PathBuf,
    },
    /// A directory or the key file is not ours alone, or cannot be made or read.
    #[error(transparent)]
    Private(#[from] PrivateError),
}

/// Why an entry that is there was not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file is not ours alone, is a link, or cannot be opened.
    #[error("the cached code cannot be used")]
    Private(#[from] PrivateError),
    /// It was not written by this cache for this very subject, or was changed or cut since.
    #[error("the cached code in `{path}` is not authentic")]
    NotAuthentic {
        /// The entry.
        path: PathBuf,
    },
    /// It is authentic, but the engine does not take it.
    #[error("the engine refused the cached code in `{path}`")]
    Engine {
        /// The entry.
        path: PathBuf,
        /// What the engine says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Why compiled code was not stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The cache cannot be written to, or not listed when space is to be made.
    #[error("compiled code cannot be cached")]
    Private(#[from] PrivateError),
    /// The entry could not be written.
    #[error("failed to write compiled code to `{path}`")]
    Write {
        /// The entry.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The engine could not write the code out.
    #[error("failed to serialize compiled code")]
    Serialize(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Code, and where it came from.
#[derive(Debug)]
#[non_exhaustive]
pub struct Fetched<T> {
    /// The component or module.
    pub code: T,
    /// Where it came from.
    pub origin: Origin,
}

/// Where code came from.
#[derive(Debug)]
pub enum Origin {
    /// From the cache.
    Cache,
    /// It was compiled.
    Compiled {
        /// Why the entry that was there was not used; `None` if there was none.
        refused: Option<LoadError>,
        /// Why the code was not stored; `None` if it was. It can be used all the same.
        not_stored: Option<StoreError>,
    },
}

/// Compiled code in a directory, authenticated under a key in another.
///
/// An entry is found by what was compiled (component, module, or component made of a module, and how), the engine with
/// all its settings that shape code, and the BLAKE3 digest of the WebAssembly bytes. So another engine, another setting or
/// a changed file is a miss, never an error.
///
/// Any number of processes may use one cache at once.
pub struct CodeCache {
    dir: PrivateDir,
    keys: Keys,
    options: Options,
}

impl fmt::Debug for CodeCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = &self.options;
        f.debug_struct("CodeCache")
            .field("dir", &self.dir.path())
            .field("options", options)
            .finish()
    }
}

impl CodeCache {
    /// Opens the cache in `dir` with the key in `key_dir`, making both directories (0700) and the key
    /// if need be.
    ///
    /// # Errors
    /// [`OpenError::KeyInsideCache`] if `key_dir` is `dir` or lies inside it. [`OpenError::Private`] if a
    /// directory or the key belongs to somebody else, can be written by others, or is a link.
    pub fn open(dir: &Path, key_dir: &Path, options: Options) -> Result<Self, OpenError> {
        let cache = PrivateDir::open_or_create(dir)?;
        let keys = PrivateDir::open_or_create(key_dir)?;
        if canonical(key_dir)?.starts_with(canonical(dir)?) {
            let (key_dir, dir) = (key_dir.to_owned(), dir.to_owned());
            return Err(OpenError::KeyInsideCache { key_dir, dir });
        }
        let keys = Keys::new(&keys.key(KEY_FILE)?);
        Ok(CodeCache {
            dir: cache,
            keys,
            options,
        })
    }

    /// The component compiled from these bytes by this engine; `None` if it is not in the cache.
    ///
    /// # Errors
    /// [`LoadError`] if there is an entry that may not be used.
    pub fn get_component(
        &self,
        engine: &Engine,
        wasm: &[u8],
    ) -> Result<Option<Component>, LoadError> {
        self.get(engine, &Subject::new(Component::KIND, engine, wasm))
    }

    /// The core module compiled from these bytes by this engine; `None` if it is not in the cache.
    ///
    /// # Errors
    /// [`LoadError`] if there is an entry that may not be used.
    pub fn get_module(&self, engine: &Engine, wasm: &[u8]) -> Result<Option<Module>, LoadError> {
        self.get(engine, &Subject::new(Module::KIND, engine, wasm))
    }

    /// The component that was made of this core module and compiled by this engine; `None` if it is not in the cache.
    ///
    /// # Errors
    /// [`LoadError`] if there is an entry that may not be used.
    pub fn get_made(
        &self,
        engine: &Engine,
        maker: &Maker,
        wasm: &[u8],
    ) -> Result<Option<Component>, LoadError> {
        self.get(engine, &Subject::made(engine, &maker.recipe, wasm))
    }

    /// Stores a component that this process made of this core module and compiled.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be stored. Nothing of it is left then.
    pub fn put_made(
        &self,
        maker: &Maker,
        wasm: &[u8],
        component: &Component,
    ) -> Result<(), StoreError> {
        let subject = Subject::made(component.engine(), &maker.recipe, wasm);
        self.put(&subject, component)
    }

    /// Stores a component that this process compiled from these bytes.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be stored. Nothing of it is left then.
    pub fn put_component(&self, wasm: &[u8], component: &Component) -> Result<(), StoreError> {
        self.put(
            &Subject::new(Component::KIND, component.engine(), wasm),
            component,
        )
    }

    /// Stores a core module that this process compiled from these bytes.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be stored. Nothing of it is left then.
    pub fn put_module(&self, wasm: &[u8], module: &Module) -> Result<(), StoreError> {
        self.put(&Subject::new(Module::KIND, module.engine(), wasm), module)
    }

    /// The component from the cache, or else compiled by `compile` and stored.
    ///
    /// An entry that is refused is replaced. Trouble with the cache is told in [`Fetched::origin`] and never
    /// keeps the component from its caller.
    ///
    /// # Errors
    /// What `compile` fails with.
    pub fn component<E>(
        &self,
        engine: &Engine,
        wasm: &[u8],
        compile: impl FnOnce() -> Result<Component, E>,
    ) -> Result<Fetched<Component>, E> {
        self.fetch(engine, wasm, compile)
    }

    /// The core module from the cache, or else compiled by `compile` and stored; as
    /// [`component`](Self::component).
    ///
    /// # Errors
    /// What `compile` fails with.
    pub fn module<E>(
        &self,
        engine: &Engine,
        wasm: &[u8],
        compile: impl FnOnce() -> Result<Module, E>,
    ) -> Result<Fetched<Module>, E> {
        self.fetch(engine, wasm, compile)
    }

    /// How many entries there are, and their size.
    ///
    /// # Errors
    /// [`PrivateError`] if the directory cannot be listed.
    pub fn stats(&self) -> Result<Stats, PrivateError> {
        evict::stats(&self.dir)
    }

    /// Removes all entries and gives what there was. Code that is in use stays usable.
    ///
    /// # Errors
    /// [`PrivateError`] if the directory cannot be listed or an entry not removed.
    pub fn clear(&self) -> Result<Stats, PrivateError> {
        evict::make_room(&self.dir, 0)
    }

    fn fetch<T: Artifact, E>(
        &self,
        engine: &Engine,
        wasm: &[u8],
        compile: impl FnOnce() -> Result<T, E>,
    ) -> Result<Fetched<T>, E> {
        let subject = Subject::new(T::KIND, engine, wasm);
        let refused = match self.get(engine, &subject) {
            Ok(Some(code)) => {
                return Ok(Fetched {
                    code,
                    origin: Origin::Cache,
                });
            }
            Ok(None) => None,
            Err(error) => Some(error),
        };
        let code = compile()?;
        let not_stored = self.put(&subject, &code).err();
        Ok(Fetched {
            code,
            origin: Origin::Compiled {
                refused,
                not_stored,
            },
        })
    }

    fn get<T: Artifact>(&self, engine: &Engine, subject: &Subject) -> Result<Option<T>, LoadError> {
        let name = subject.name(&self.keys);
        let Some(file) = self.dir.open_file(&name, OFlags::RDONLY)? else {
            return Ok(None);
        };
        let path = || self.dir.path().join(&name);
        let failed = |e| io_error("read", &path(), e);
        let mut preamble = [0; PREAMBLE];
        let count = read_some(&file, &mut preamble, 0).map_err(failed)?;
        let size = rustix::fs::fstat(&file).map_err(failed)?.st_size;
        let length = usize::try_from(size)
            .ok()
            .and_then(|size| size.checked_sub(PREAMBLE));
        let (Some(length), PREAMBLE) = (length, count) else {
            return Err(LoadError::NotAuthentic { path: path() });
        };

        // The header is made from what is wanted, not believed: an authentic entry for something else
        // has another one. The MAC covers it, so a header alone cannot be exchanged either.
        let header = subject.header(length as u64);
        let (found, mac) = preamble.split_at(HEADER);
        let expected: &[u8; MAC] = mac
            .try_into()
            .unwrap_or_else(|_| unreachable!("split at its length"));
        let code = match found == header {
            true => {
                let mac = Mac::new(&self.keys, &header);
                Authenticated::read(&file, length, mac, expected).map_err(failed)?
            }
            false => None,
        };
        let Some(code) = code else {
            return Err(LoadError::NotAuthentic { path: path() });
        };
        let artifact = T::load(engine, code).map_err(|source| LoadError::Engine {
            path: path(),
            source: source.into(),
        })?;
        self.touch(&file);
        Ok(Some(artifact))
    }

    /// Notes the use, for eviction only: on a read-only disk there is none.
    fn touch(&self, file: &rustix::fd::OwnedFd) {
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_NOW,
        };
        let unchanged = Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        };
        let times = Timestamps {
            last_access: unchanged,
            last_modification: now,
        };
        let _ = rustix::fs::futimens(file, &times);
    }

    fn put<T: Artifact>(&self, subject: &Subject, artifact: &T) -> Result<(), StoreError> {
        let code = artifact
            .serialize()
            .map_err(|error| StoreError::Serialize(error.into()))?;
        self.put_code(subject, &code)
    }

    pub(crate) fn put_code(&self, subject: &Subject, code: &[u8]) -> Result<(), StoreError> {
        let name = subject.name(&self.keys);
        let header = subject.header(code.len() as u64);
        let mac = Mac::new(&self.keys, &header).of(code);
        // Not synced: what a power cut tears is not authentic, and is compiled again.
        let written = self.dir.write_as(&name, RenameFlags::empty(), |file| {
            write_all(file, &header)?;
            write_all(file, mac.as_bytes())?;
            write_all(file, code)
        })?;
        written.map_err(|errno| StoreError::Write {
            path: self.dir.path().join(&name),
            source: errno.into(),
        })?;
        evict::make_room(&self.dir, self.options.max_bytes)?;
        Ok(())
    }
}

fn canonical(path: &Path) -> Result<PathBuf, PrivateError> {
    path.canonicalize().map_err(|source| PrivateError::Io {
        action: "resolve",
        path: path.to_owned(),
        source,
    })
}
