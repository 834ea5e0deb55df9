//! From a file of certificates to what commands trust: by the variables that programs read, and in the places where
//! the system keeps its own.

mod java;
mod subject;

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use portcullis_confine::Certificates;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::ExecFailure;

/// The file that the operator configured, and what it came to when it was last read.
#[derive(Debug)]
pub(crate) struct Trust {
    file: PathBuf,
    read: Mutex<Option<(Stamp, Certificates)>>,
}

/// What changes with a file's content: device, inode, size, and the time of its last change.
type Stamp = (u64, u64, u64, i64, i64);

impl Trust {
    pub(crate) fn new(file: PathBuf) -> Self {
        Self {
            file,
            read: Mutex::default(),
        }
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// The certificates, read again only if the file has changed: plans that have them are kept.
    ///
    /// # Errors
    /// [`ExecFailure::Certificates`] for a file that cannot be read or has none.
    pub(crate) fn certificates(&self) -> Result<Certificates, ExecFailure> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = |source| ExecFailure::Certificates {
            path: self.file.clone(),
            source,
        };
        let now = stamp(&self.file.metadata().map_err(failed)?);
        if let Some((then, certificates)) = &*read
            && *then == now
        {
            return Ok(certificates.clone());
        }
        let (stamp, certificates) = self.read().map_err(failed)?;
        *read = Some((stamp, certificates.clone()));
        Ok(certificates)
    }

    fn read(&self) -> io::Result<(Stamp, Certificates)> {
        let file = File::open(&self.file)?;
        let stamp = stamp(&file.metadata()?);
        let mut bytes = Vec::new();
        let most = Certificates::MAX_BYTES as u64 + 1;
        file.take(most).read_to_end(&mut bytes)?;
        Ok((stamp, certificates(&bytes)?))
    }
}

fn stamp(meta: &std::fs::Metadata) -> Stamp {
    let (dev, ino, size) = (meta.dev(), meta.ino(), meta.size());
    (dev, ino, size, meta.ctime(), meta.ctime_nsec())
}

/// Counts the certificates of a file that commands are to trust.
///
/// # Errors
/// Why no command could be started with it: it cannot be read, is larger than 4 MiB, or has none in PEM.
pub fn count(file: &Path) -> io::Result<usize> {
    let mut bytes = Vec::new();
    let most = Certificates::MAX_BYTES as u64 + 1;
    File::open(file)?.take(most).read_to_end(&mut bytes)?;
    parsed(&bytes).map(|list| list.len())
}

fn parsed(pem: &[u8]) -> io::Result<Vec<CertificateDer<'static>>> {
    let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    if pem.len() > Certificates::MAX_BYTES {
        let most = Certificates::MAX_BYTES >> 20;
        return Err(invalid(format!("it has more than {most} MiB")));
    }
    let list = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let list = list.map_err(|error| invalid(error.to_string()))?;
    if list.is_empty() {
        return Err(invalid("it has no certificate in PEM".to_owned()));
    }
    Ok(list)
}

/// What is shown of a file in PEM.
fn certificates(pem: &[u8]) -> io::Result<Certificates> {
    let list = parsed(pem)?;
    let store = java::key_store(&list);
    let subjects = list
        .iter()
        .filter_map(|certificate| subject::hash(certificate));
    Certificates::new(pem, &store, subjects.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUTHORITY: &str = include_str!("authority.pem");

    fn hashes(pem: &[u8]) -> Vec<Option<u32>> {
        let list = CertificateDer::pem_slice_iter(pem);
        list.map(|certificate| subject::hash(&certificate.unwrap()))
            .collect()
    }

    #[test]
    fn openssl_finds_it_under_this_number() {
        // What `openssl x509 -noout -hash` says.
        assert_eq!(hashes(AUTHORITY.as_bytes()), [Some(0xba8b_e8c0)]);
        // What it said when this system made its directory, where it has one.
        let links = std::fs::read_dir("/etc/ssl/certs").into_iter().flatten();
        for link in links.flatten() {
            let name = link.file_name().into_string().unwrap();
            let Some((hash, "0")) = name.split_once('.') else {
                continue;
            };
            let pem = std::fs::read(link.path()).unwrap();
            let expected = u32::from_str_radix(hash, 16).unwrap();
            assert_eq!(hashes(&pem), [Some(expected)], "{name}");
        }
    }

    #[test]
    fn a_file_is_read_again_when_it_has_changed() {
        let dir = tempfile::tempdir().unwrap();
        let trust = Trust::new(dir.path().join("ca.pem"));
        let write = |text: &str| std::fs::write(trust.file(), text).unwrap();
        write(AUTHORITY);
        let first = trust.certificates().unwrap();
        assert_eq!(trust.certificates().unwrap(), first);
        write(&format!("a comment\n{AUTHORITY}{AUTHORITY}"));
        assert_ne!(trust.certificates().unwrap(), first);
    }

    #[test]
    fn what_has_no_certificate_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let trust = Trust::new(dir.path().join("ca.pem"));
        let why = || {
            let failure = trust.certificates().unwrap_err();
            std::error::Error::source(&failure).unwrap().to_string()
        };
        assert!(why().contains("No such file"), "{}", why());
        let cut = AUTHORITY.replace("-----END CERTIFICATE-----", "");
        let large = AUTHORITY.repeat(Certificates::MAX_BYTES / AUTHORITY.len() + 1);
        for (text, expected) in [
            ("", "no certificate"),
            ("text\n", "no certificate"),
            (&cut, "end"),
            (&large, "more than 4 MiB"),
        ] {
            std::fs::write(trust.file(), text).unwrap();
            assert!(why().contains(expected), "{}", why());
        }
    }
}
