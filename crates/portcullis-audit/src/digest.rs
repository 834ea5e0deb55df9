//! Digests of outputs, keyed per installation.
//!
//! A plain digest of a short secret is guessed in no time. With a key that stays on the machine the
//! digest still says whether two outputs were the same, and nothing to whoever gets hold of the trail.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use portcullis_private::{PrivateDir, PrivateError};

const KEY_FILE: &str = "audit-digest.key";

/// A keyed BLAKE3 digest, 64 hex digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyedDigest(String);

impl fmt::Display for KeyedDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The key of this installation.
#[derive(Clone)]
pub struct DigestKey([u8; 32]);

impl fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestKey(..)")
    }
}

impl DigestKey {
    /// Reads the key from the data directory, making both when they do not exist.
    ///
    /// Of several processes that do so at once, one makes the key and all use it.
    ///
    /// # Errors
    /// [`PrivateError`] if the directory or the key file is not ours alone to write, or cannot be
    /// read or made.
    pub fn open_or_create(data_dir: &Path) -> Result<Self, PrivateError> {
        PrivateDir::open_or_create(data_dir)?
            .key(KEY_FILE)
            .map(DigestKey)
    }

    /// The digest of these bytes.
    #[must_use]
    pub fn digest(&self, bytes: &[u8]) -> KeyedDigest {
        KeyedDigest(blake3::keyed_hash(&self.0, bytes).to_string())
    }

    /// Begins the digest of bytes that arrive in parts.
    #[must_use]
    pub fn digester(&self) -> Digester {
        Digester(Box::new(blake3::Hasher::new_keyed(&self.0)))
    }
}

/// The digest of bytes that arrive in parts.
#[derive(Clone, Debug)]
pub struct Digester(Box<blake3::Hasher>);

impl Digester {
    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of everything added so far.
    #[must_use]
    pub fn finish(&self) -> KeyedDigest {
        KeyedDigest(self.0.finalize().to_string())
    }
}
