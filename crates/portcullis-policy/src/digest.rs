use std::fmt;

use serde::Serialize;

/// A SHA-256, of a plugin's file, a manifest in a registry, or a public key.
///
/// It is written `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    const PREFIX: &'static str = "sha256:";

    /// Reads 64 hexadecimal digits, with or without `sha256:` before them; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(Self::PREFIX).unwrap_or(text).as_bytes();
        if digits.len() != 64 {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self(bytes))
    }

    /// The 32 bytes.
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 64 digits alone.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn digit(character: u8) -> Option<u8> {
    let value = char::from(character).to_digit(16)?;
    u8::try_from(value).ok()
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Self::PREFIX, self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_read_with_and_without_its_name_and_written_with_it() {
        let digits = "0123456789abcdef".repeat(4);
        let digest = Digest::parse(&digits).unwrap();
        assert_eq!(Digest::parse(&digest.to_string()), Some(digest));
        assert_eq!(Digest::parse(&digits.to_uppercase()), Some(digest));
        assert_eq!((digest.hex(), digest.bytes()[1]), (digits, 0x23));
    }

    #[test]
    fn what_is_no_digest_is_none() {
        let digits = "0123456789abcdef".repeat(4);
        for text in [
            "",
            "sha256:",
            &digits[1..],
            &format!("sha512:{digits}"),
            &format!("sha256:sha256:{digits}"),
            &format!("+{}", &digits[1..]),
            &digits.replace('0', "g"),
            &digits.replace("01", "é"),
        ] {
            assert_eq!(Digest::parse(text), None, "{text}");
        }
    }
}
