//! What an operator holds of plugins by where they come from: whose signatures count, and what is refused for ever.

use serde::Serialize;

use crate::Digest;

/// What is known about where a plugin comes from. It is decided by evidence, never by the text of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// A key that the policy names for plugins of this name has signed its name, its version and its content.
    Signed,
    /// The policy names its very content.
    Pinned,
    /// It was read from a path of this machine.
    Local,
    /// Nothing is known.
    Unverified,
}

impl Tier {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Signed => "signed",
            Self::Pinned => "pinned",
            Self::Local => "local",
            Self::Unverified => "unverified",
        }
    }
}

/// A key by which signatures are verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PublicKey {
    /// Of Ed25519 (RFC 8032).
    Ed25519([u8; 32]),
    /// A point on P-256, uncompressed (SEC 1). That it lies on the curve is seen when it is used.
    P256([u8; 65]),
}

/// What stands before a key of either kind in a `SubjectPublicKeyInfo` (RFC 5280, 8410, 5480).
const ED25519: [u8; 12] = [48, 42, 48, 5, 6, 3, 43, 101, 112, 3, 33, 0];
const P256: [u8; 26] = [
    48, 89, 48, 19, 6, 7, 42, 134, 72, 206, 61, 2, 1, 6, 8, 42, 134, 72, 206, 61, 3, 1, 7, 3, 66, 0,
];

impl PublicKey {
    /// Reads the bytes that PEM has between `BEGIN PUBLIC KEY` and `END PUBLIC KEY`; `None` for a key of another kind.
    pub fn from_der(der: &[u8]) -> Option<Self> {
        if let Some(key) = der.strip_prefix(&ED25519) {
            return key.try_into().ok().map(Self::Ed25519);
        }
        let point: [u8; 65] = der.strip_prefix(&P256)?.try_into().ok()?;
        (point[0] == 4).then_some(Self::P256(point))
    }

    /// The same bytes. Their SHA-256 is the key's fingerprint.
    pub fn to_der(&self) -> Vec<u8> {
        match self {
            Self::Ed25519(key) => [&ED25519[..], key].concat(),
            Self::P256(point) => [&P256[..], point].concat(),
        }
    }
}

/// A key, and the plugins for which its signatures count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The name of the plugins; with a `*` at its end, the beginning of their names.
    pub name: String,
    /// Their key.
    pub key: PublicKey,
}

impl Signer {
    /// Whether its signatures count for plugins of a name.
    pub fn is_for(&self, name: &str) -> bool {
        match self.name.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == self.name,
        }
    }
}

/// What the policy holds of plugins by where they come from.
///
/// # Defaults
/// No signature counts, and nothing is pinned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// Whose signatures count. A plugin whose name one of them is for has to be signed.
    pub signers: Vec<Signer>,
    /// Contents that are known: of a plugin's file, or of its manifest in a registry.
    pub pinned: Vec<Digest>,
    /// Contents that are refused, also when they are loaded, and fingerprints of keys whose signatures count no more.
    pub revoked: Vec<Digest>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_both_kinds_are_read_and_others_are_not() {
        let ed25519 = PublicKey::Ed25519([7; 32]);
        let mut point = [9; 65];
        point[0] = 4;
        let p256 = PublicKey::P256(point);
        for key in [ed25519, p256] {
            assert_eq!(PublicKey::from_der(&key.to_der()), Some(key));
        }
        let der = p256.to_der();
        assert_eq!(PublicKey::from_der(&der[..90]), None);
        assert_eq!(PublicKey::from_der(&[&der[..], &[0]].concat()), None);
        // Another curve, of points of the same size.
        let mut other = der.clone();
        other[22] = 8;
        assert_eq!(PublicKey::from_der(&other), None);
        // A point that is written in a form that has no such size.
        let mut compressed = der;
        compressed[26] = 2;
        assert_eq!(PublicKey::from_der(&compressed), None);
    }

    #[test]
    fn a_signer_is_for_the_names_it_says() {
        let signer = |name: &str| Signer {
            name: name.to_owned(),
            key: PublicKey::Ed25519([0; 32]),
        };
        assert!(signer("notes").is_for("notes"));
        assert!(!signer("notes").is_for("notes-too"));
        assert!(!signer("notes").is_for("note"));
        assert!(signer("acme.*").is_for("acme.notes"));
        assert!(!signer("acme.*").is_for("acme-notes"));
        assert!(signer("*").is_for("notes"));
    }
}
