use crate::KvError;

const KIB: u64 = 1024;

/// Bytes of a value that no limit goes beyond: what is longer is taken for damage.
pub const MAX_VALUE: u64 = 16 * KIB * KIB;

/// Keys that are listed at once, at most.
pub const MAX_PAGE: usize = 1000;

/// How much a store holds. What is there already stays readable when a limit becomes lower, and can be made smaller.
///
/// # Defaults
/// 256 keys of at most 256 bytes, values of at most 64 KiB, 1 MiB in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a key.
    pub key: u64,
    /// Bytes of a value.
    pub value: u64,
    /// Bytes of all keys and values together.
    pub bytes: u64,
    /// How many keys.
    pub keys: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            key: 256,
            value: 64 * KIB,
            bytes: KIB * KIB,
            keys: 256,
        }
    }
}

impl Limits {
    /// Whether a key and a value are short enough, whatever else the store holds.
    pub(crate) fn admit(&self, key: &str, value: &[u8]) -> Result<(), KvError> {
        let (bytes, max) = (key.len() as u64, self.key);
        if bytes > max {
            return Err(KvError::KeyTooLong { bytes, max });
        }
        let (bytes, max) = (value.len() as u64, self.value.min(MAX_VALUE));
        if bytes > max {
            return Err(KvError::ValueTooLong { bytes, max });
        }
        Ok(())
    }
}
