//! Where plugins may come from: the keys `signer`, `pinned` and `revoked`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_policy::{Digest, Provenance, PublicKey, Signer};

use crate::error::ConfigCode;
use crate::raw::{PolicyFile, SignerTable, Text, Texts};
use crate::reader::Reader;

impl Reader<'_> {
    /// Adds what a trusted file holds of plugins by where they come from.
    pub(crate) fn provenance(&mut self, file: &PolicyFile, provenance: &mut Provenance) {
        for table in &file.signer {
            provenance.signers.extend(self.signer(table));
        }
        let pinned = self.digests(file.pinned.as_ref());
        provenance.pinned.extend(pinned);
        self.revoked(file.revoked.as_ref(), provenance);
    }

    /// Adds what is refused, which any file may say.
    pub(crate) fn revoked(&mut self, texts: Option<&Texts>, provenance: &mut Provenance) {
        let revoked = self.digests(texts);
        provenance.revoked.extend(revoked);
    }

    fn digests(&mut self, texts: Option<&Texts>) -> Vec<Digest> {
        let texts = texts.map(|texts| texts.as_slice()).unwrap_or_default();
        let read = |text: &Text| {
            let digest = Digest::parse(text);
            let digest = digest.ok_or_else(|| "a SHA-256 is 64 hexadecimal digits".to_owned());
            self.take(ConfigCode::Value, text, digest)
        };
        texts.iter().filter_map(read).collect()
    }

    fn signer(&mut self, table: &SignerTable) -> Option<Signer> {
        let start = table.name.strip_suffix('*').unwrap_or(&table.name);
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let name = if start.chars().all(plain) && !table.name.is_empty() {
            Ok((*table.name).clone())
        } else {
            Err(format!(
                "`{}` is neither the name of a plugin nor the beginning of one and `*`",
                table.name.escape_debug()
            ))
        };
        let name = self.take(ConfigCode::Value, &table.name, name);
        let key = public_key(&table.key)
            .ok_or_else(|| "this is no public key of Ed25519 or P-256 in PEM".to_owned());
        let key = self.take(ConfigCode::Value, &table.key, key);
        Some(Signer {
            name: name?,
            key: key?,
        })
    }
}

/// A key in PEM, or what PEM has between its first line and its last.
fn public_key(text: &str) -> Option<PublicKey> {
    const FIRST: &str = "-----BEGIN PUBLIC KEY-----";
    const LAST: &str = "-----END PUBLIC KEY-----";
    let text = text.trim();
    let body = match text.strip_prefix(FIRST) {
        Some(body) => body.strip_suffix(LAST)?,
        None => text,
    };
    let digits: String = body.split_whitespace().collect();
    PublicKey::from_der(&STANDARD.decode(digits).ok()?)
}
