//! A key store of trusted certificates, the only form in which Java takes them: in the format JKS, which every release
//! of it reads, with or without the password that it gives its own.
//!
//! Source: `sun.security.provider.JavaKeyStore` of OpenJDK, methods `engineStore` and `engineLoad`.

use sha1::{Digest, Sha1};

const MAGIC: u32 = 0xfeed_feed;
const VERSION: u32 = 2;
/// An entry that is a certificate, not a key.
const TRUSTED: u32 = 2;
/// Java's own store has this password; it keeps nothing secret.
const PASSWORD: &str = "changeit";
/// What the digest at the end begins with besides the password.
const WHITENER: &[u8] = b"Mighty Aphrodite";

/// A key store with these certificates.
pub(super) fn key_store(certificates: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut store = Vec::new();
    store.extend(MAGIC.to_be_bytes());
    store.extend(VERSION.to_be_bytes());
    store.extend(length(certificates.len()));
    for (number, certificate) in certificates.iter().enumerate() {
        let certificate = certificate.as_ref();
        store.extend(TRUSTED.to_be_bytes());
        text(&mut store, &number.to_string());
        // When it was added, which nobody looks at: the same file is the same store.
        store.extend(0_u64.to_be_bytes());
        text(&mut store, "X.509");
        store.extend(length(certificate.len()));
        store.extend(certificate);
    }
    let password = PASSWORD.encode_utf16().flat_map(u16::to_be_bytes);
    let digest = Sha1::new()
        .chain_update(password.collect::<Vec<_>>())
        .chain_update(WHITENER)
        .chain_update(&store)
        .finalize();
    store.extend(digest);
    store
}

/// A file of certificates is far smaller than four gigabytes.
fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

/// Java's `writeUTF`, of what is ASCII and short.
fn text(store: &mut Vec<u8>, text: &str) {
    store.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
    store.extend(text.bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format() {
        let store = key_store(&[b"der"]);
        let (body, digest) = store.split_at(store.len() - 20);
        let expected = "feedfeed 00000002 00000001 00000002 0001 30 0000000000000000 0005 582e353039 00000003 646572";
        assert_eq!(hex(body), expected.replace(' ', ""));
        let mut whole = b"\0c\0h\0a\0n\0g\0e\0i\0tMighty Aphrodite".to_vec();
        whole.extend(body);
        assert_eq!(digest, Sha1::digest(&whole).as_slice());
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
