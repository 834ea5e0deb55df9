//! How large a plugin of clawft may be: by its world's rules small, by the operator's word larger.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use portcullis_policy::Grants;

use crate::error::LoadError;

/// Whether a component is of a size that plugins of clawft may have. The limits themselves may be reached.
///
/// # Errors
/// [`LoadError::TooLargeForWorld`]
pub fn fits(grants: &Grants, bytes: &[u8]) -> Result<(), LoadError> {
    let limits = &grants.limits;
    let within = |packed, bytes, limit| {
        if bytes <= limit {
            return Ok(());
        }
        Err(LoadError::TooLargeForWorld {
            plugin: grants.plugin.clone(),
            packed,
            bytes,
            limit,
        })
    };
    within(false, bytes.len() as u64, limits.clawft_module)?;
    within(true, packed(bytes), limits.clawft_gzip)
}

/// Bytes that gzip leaves of a file.
fn packed(bytes: &[u8]) -> u64 {
    let mut encoder = GzEncoder::new(Counter(0), Compression::best());
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    // Counting cannot fail; if it did, the file would be too large.
    written.map_or(u64::MAX, |counter| counter.0)
}

struct Counter(u64);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
