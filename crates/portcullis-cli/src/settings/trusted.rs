//! Which policies of working trees the user has trusted: each as it was then, with every plugin that it named.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use portcullis_config::PolicySet;
use portcullis_policy::PluginId;
use portcullis_private::{PrivateDir, PrivateError, write_all};
use rustix::fs::{OFlags, RenameFlags};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::code;
use crate::failure::{Failure, Result, Say, chain, diagnostic, system};

/// The store, in our own data directory: no grant reaches it.
const STORE: &str = "trust.json";
const LOCK: &str = "trust.lock";
const SCHEMA_VERSION: u32 = 1;
/// Bytes the store may have.
const MAX_STORE: u64 = 64 * 1024 * 1024;

/// All that was trusted.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Store {
    schema_version: u32,
    pub(crate) files: BTreeMap<PathBuf, Record>,
}

/// A policy as it was trusted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Of its text, in hexadecimal.
    pub(crate) sha256: String,
    /// To show what is different later.
    pub(crate) text: String,
    /// Every plugin that it names.
    pub(crate) plugins: BTreeMap<String, Named>,
}

/// A plugin that a policy names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Named {
    /// The real path of its file.
    pub(crate) path: PathBuf,
    /// Of its content, in hexadecimal; none where nothing was there.
    pub(crate) sha256: Option<String>,
}

impl Record {
    /// A policy as it is now: this very text, and the files of its plugins.
    ///
    /// # Errors
    /// When one of them is there and cannot be read.
    pub(crate) fn of(path: &Path, text: &str, policy: &PolicySet) -> Result<Self> {
        let named = policy.named_in(path).into_iter();
        let plugins = named.map(|(id, path): (PluginId, PathBuf)| {
            let sha256 = match digest(&path) {
                Ok(digest) => Some(digest),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
                Err(error) => return Err(Failure::unusable("read the plugin", &path, &error)),
            };
            Ok((id.to_string(), Named { path, sha256 }))
        });
        Ok(Self {
            sha256: hex::encode(Sha256::digest(text)),
            text: text.to_owned(),
            plugins: plugins.collect::<Result<_>>()?,
        })
    }

    /// What each plugin's file has to be, if it was there.
    pub(crate) fn pins(&self) -> BTreeMap<PathBuf, Option<[u8; 32]>> {
        let pin = |named: &Named| {
            let mut digest = [0; 32];
            let read = named.sha256.as_ref()?;
            hex::decode_to_slice(read, &mut digest).ok()?;
            Some(digest)
        };
        let named = self.plugins.values();
        named
            .map(|named| (named.path.clone(), pin(named)))
            .collect()
    }
}

impl Store {
    /// Reads the store; nothing was trusted where there is none.
    ///
    /// # Errors
    /// When it is not ours alone, or damaged.
    pub(crate) fn read(data: &Path) -> Result<Self> {
        if !data.exists() {
            return Ok(Self::default());
        }
        let dir = PrivateDir::open(data).map_err(|error| unusable(&error))?;
        Self::read_in(&dir)
    }

    fn read_in(dir: &PrivateDir) -> Result<Self> {
        let Some(fd) = dir
            .open_file(STORE, OFlags::RDONLY)
            .map_err(|error| unusable(&error))?
        else {
            return Ok(Self::default());
        };
        let damaged = |why: String| {
            Failure::usage(
                diagnostic(code::TRUST_STORE, "the list of trusted policies is damaged")
                    .note(why)
                    .help(format!(
                        "remove `{}` and trust again",
                        dir.path().join(STORE).display()
                    )),
            )
        };
        let mut text = String::new();
        let read = File::from(fd).take(MAX_STORE).read_to_string(&mut text);
        read.map_err(|error| damaged(system(&error)))?;
        let store: Self =
            serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
        if store.schema_version != SCHEMA_VERSION {
            return Err(damaged("another release wrote it".to_owned()));
        }
        Ok(store)
    }

    /// Changes the store under a lock, whole or not at all.
    ///
    /// # Errors
    /// As [`Self::read`], and when it cannot be written.
    pub(crate) fn update<T>(data: &Path, change: impl FnOnce(&mut Self) -> T) -> Result<T> {
        let dir = PrivateDir::open_or_create(data).map_err(|error| unusable(&error))?;
        let lock = dir
            .open_or_create_file(LOCK)
            .map_err(|error| unusable(&error))?;
        let lock = File::from(lock);
        lock.lock()
            .map_err(|error| Failure::unusable("lock", &data.join(LOCK), &error))?;
        let mut store = Self::read_in(&dir)?;
        let changed = change(&mut store);
        store.schema_version = SCHEMA_VERSION;
        let text = serde_json::to_vec_pretty(&store)
            .map_err(|error| Failure::unusable("write", &data.join(STORE), &error.into()))?;
        let written = dir.write_as(STORE, RenameFlags::empty(), |fd| {
            write_all(fd, &text)?;
            rustix::fs::fsync(fd)
        });
        written
            .map_err(|error| unusable(&error))?
            .map_err(|errno| Failure::unusable("write", &data.join(STORE), &errno.into()))?;
        Ok(changed)
    }
}

fn unusable(error: &PrivateError) -> Failure {
    Failure::usage(chain(code::TRUST_STORE, error))
}

fn digest(path: &Path) -> std::io::Result<String> {
    let mut hasher = Sha256::new();
    let mut file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    std::io::copy(&mut file, &mut hasher)?;
    Ok(hex::encode(hasher.finalize()))
}
