//! What the commands of a cell trust, in place of what the system does.

use std::{
    fs::File,
    hash::{Hash, Hasher},
    io,
    sync::Arc,
};

/// Certificates that a cell shows wherever the system keeps those that programs trust.
///
/// They are bytes, not a file of the host's: what was looked at is what is shown, whatever becomes of the file that it
/// was read from. Two that were made apart are not equal.
#[derive(Clone, Debug)]
pub struct Certificates {
    bundle: Arc<File>,
    store: Arc<File>,
    subjects: Vec<u32>,
    ids: [(u64, u64); 2],
}

impl Certificates {
    /// Most bytes of the bundle, and of the key store.
    pub const MAX_BYTES: usize = 4 << 20;
    /// Most certificates that can be looked up by their subject.
    pub const MAX_SUBJECTS: usize = 2000;
    /// The directory in which every cell that has certificates shows them, besides the system's own places:
    /// `ca-certificates.crt` and, for Java, `java/cacerts`.
    pub const PLACE: &str = "/run/certificates";
    /// The bundle.
    pub const BUNDLE: &str = "/run/certificates/ca-certificates.crt";

    /// Keeps a bundle in PEM, the same as a key store for Java, and the hashes of the subjects by which OpenSSL looks
    /// certificates up.
    ///
    /// # Errors
    /// `InvalidInput` for more than fits, otherwise what the system says.
    #[cfg(target_os = "linux")]
    pub fn new(bundle: &[u8], store: &[u8], mut subjects: Vec<u32>) -> io::Result<Self> {
        subjects.sort_unstable();
        subjects.dedup();
        let files = [bundle, store].map(|bytes| in_memory(bytes).map(Arc::new));
        let [bundle, store] = files;
        Self::of(bundle?, store?, subjects)
    }

    /// From what came over a socket.
    #[cfg(target_os = "linux")]
    pub(crate) fn received(bundle: File, store: File, subjects: Vec<u32>) -> io::Result<Self> {
        Self::of(Arc::new(bundle), Arc::new(store), subjects)
    }

    #[cfg(target_os = "linux")]
    fn of(bundle: Arc<File>, store: Arc<File>, subjects: Vec<u32>) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt;

        let id = |file: &File| {
            let meta = file.metadata()?;
            let fits = meta.is_file() && meta.len() <= Self::MAX_BYTES as u64;
            fits.then(|| (meta.dev(), meta.ino()))
                .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))
        };
        if subjects.len() > Self::MAX_SUBJECTS {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(Self {
            ids: [id(&bundle)?, id(&store)?],
            bundle,
            store,
            subjects,
        })
    }

    pub(crate) fn bundle(&self) -> &File {
        &self.bundle
    }

    pub(crate) fn store(&self) -> &File {
        &self.store
    }

    pub(crate) fn subjects(&self) -> &[u32] {
        &self.subjects
    }
}

/// A file in memory that nobody can change any more.
#[cfg(target_os = "linux")]
fn in_memory(bytes: &[u8]) -> io::Result<File> {
    use std::io::Write;

    use rustix::fs::{MemfdFlags, SealFlags};

    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(rustix::fs::memfd_create("certificates", flags)?);
    file.write_all(bytes)?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&file, seals)?;
    Ok(file)
}

impl PartialEq for Certificates {
    fn eq(&self, other: &Self) -> bool {
        (self.ids, &self.subjects) == (other.ids, &other.subjects)
    }
}

impl Eq for Certificates {}

impl Hash for Certificates {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.ids.hash(state);
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn what_was_given_cannot_be_changed() {
        let made = Certificates::new(b"bundle", b"store", vec![2, 1, 2]).unwrap();
        assert_eq!(made.subjects(), [1, 2]);
        assert!(made.bundle().try_clone().unwrap().write_all(b"x").is_err());
        assert!(made.store().set_len(0).is_err());
        assert_eq!(made, made.clone());
        let again = Certificates::new(b"bundle", b"store", vec![1, 2]).unwrap();
        assert_ne!(made, again);
    }

    #[test]
    fn no_more_than_fits() {
        let large = vec![0; Certificates::MAX_BYTES + 1];
        assert!(Certificates::new(&large, b"", Vec::new()).is_err());
        assert!(Certificates::new(b"", &large, Vec::new()).is_err());
        let many = (0..2001).collect();
        assert!(Certificates::new(b"", b"", many).is_err());
        assert!(Certificates::new(&large[1..], b"", Vec::new()).is_ok());
    }
}
