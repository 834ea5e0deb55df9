//! The number by which OpenSSL looks a certificate up in a directory: a hash of its subject, in a form in which
//! spelling does not count.
//!
//! Source: `X509_NAME_hash_ex(3)`; `x509_name_canon` and `asn1_string_canon` in OpenSSL's `crypto/x509/x_name.c`.

use der::asn1::AnyRef;
use der::{Decode, Encode, Reader, SliceReader, Tag, Tagged};
use sha1::{Digest, Sha1};

/// The hash of a certificate's subject; `None` for what is no certificate, or has text in a form that nobody uses.
pub(super) fn hash(certificate: &[u8]) -> Option<u32> {
    let canonical = canonical(subject(certificate).ok()?).ok()?;
    let digest: [u8; 20] = Sha1::digest(canonical).into();
    let [a, b, c, d, ..] = digest;
    Some(u32::from_le_bytes([a, b, c, d]))
}

/// The subject of a certificate.
fn subject(certificate: &[u8]) -> der::Result<AnyRef<'_>> {
    let signed = parts(AnyRef::from_der(certificate)?)?;
    let signed = signed.first().ok_or(Tag::Sequence.value_error())?;
    let mut parts = parts(*signed)?.into_iter().peekable();
    // The version, which the first one does not have.
    parts.next_if(|part| part.tag().is_context_specific());
    // After number, signature, issuer and validity.
    parts.nth(4).ok_or(Tag::Sequence.value_error())
}

/// What a value is made of.
fn parts<'a>(value: AnyRef<'a>) -> der::Result<Vec<AnyRef<'a>>> {
    let mut reader = SliceReader::new(value.value())?;
    let mut parts = Vec::new();
    while !reader.is_finished() {
        parts.push(AnyRef::decode(&mut reader)?);
    }
    Ok(parts)
}

/// A name as OpenSSL compares it: its sets one after the other, without what encloses them.
fn canonical(name: AnyRef<'_>) -> der::Result<Vec<u8>> {
    let mut canonical = Vec::new();
    for set in parts(name)? {
        let attributes = parts(set)?.into_iter().map(attribute);
        let mut attributes = attributes.collect::<der::Result<Vec<_>>>()?;
        attributes.sort_unstable();
        canonical.extend(AnyRef::new(Tag::Set, &attributes.concat())?.to_der()?);
    }
    Ok(canonical)
}

/// A type with its value; text in lower case, with one space where there are several.
fn attribute(attribute: AnyRef<'_>) -> der::Result<Vec<u8>> {
    let [kind, value] = parts(attribute)?[..] else {
        return Err(Tag::Sequence.value_error());
    };
    let mut bytes = kind.to_der()?;
    match text(value)? {
        Some(text) => {
            let text = folded(&text);
            bytes.extend(AnyRef::new(Tag::Utf8String, text.as_bytes())?.to_der()?);
        }
        None => bytes.extend(value.to_der()?),
    }
    AnyRef::new(Tag::Sequence, &bytes)?.to_der()
}

/// The text of a value that is text.
fn text(value: AnyRef<'_>) -> der::Result<Option<String>> {
    let wrong = || value.tag().value_error();
    let bytes = value.value();
    let text = match value.tag() {
        Tag::Utf8String => String::from_utf8(bytes.to_vec()).map_err(|_| wrong())?,
        Tag::PrintableString | Tag::Ia5String | Tag::VisibleString | Tag::TeletexString => {
            bytes.iter().copied().map(char::from).collect()
        }
        Tag::BmpString => {
            let pairs = bytes.chunks(2).map(|pair| match *pair {
                [high, low] => Ok(u16::from_be_bytes([high, low])),
                _ => Err(wrong()),
            });
            let units = pairs.collect::<der::Result<Vec<_>>>()?;
            String::from_utf16(&units).map_err(|_| wrong())?
        }
        _ => return Ok(None),
    };
    Ok(Some(text))
}

/// White space is what C calls so.
fn folded(text: &str) -> String {
    let space = |c: char| c.is_ascii_whitespace() || c == '\x0b';
    let words = text.split(space).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ").to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(tag: Tag, bytes: &[u8]) -> Vec<u8> {
        AnyRef::new(tag, bytes).unwrap().to_der().unwrap()
    }

    /// The canonical name with one attribute of type 2.5.4.10 (organization).
    fn name(tag: Tag, text: &[u8]) -> Vec<u8> {
        let kind = value(Tag::ObjectIdentifier, &[0x55, 4, 10]);
        let pair = value(Tag::Sequence, &[kind, value(tag, text)].concat());
        let name = value(Tag::Sequence, &value(Tag::Set, &pair));
        canonical(AnyRef::from_der(&name).unwrap()).unwrap()
    }

    #[test]
    fn spelling_does_not_count() {
        let plain = name(Tag::Utf8String, b"acme gmbh");
        for (tag, text) in [
            (Tag::PrintableString, &b"ACME  GmbH"[..]),
            (Tag::Ia5String, b" Acme\tgmbh\n"),
            (Tag::TeletexString, b"acme gmbh"),
            (Tag::BmpString, b"\0A\0c\0m\0e\0 \0G\0m\0b\0H"),
        ] {
            assert_eq!(name(tag, text), plain, "{tag}");
        }
        assert_ne!(name(Tag::Utf8String, b"acmegmbh"), plain);
        // What is no text counts as it is.
        let bits = |text| name(Tag::OctetString, text);
        assert_ne!(bits(b"A"), bits(b"a"));
    }

    #[test]
    fn what_is_no_certificate_has_no_hash() {
        for bytes in [
            &b""[..],
            b"x",
            &[0x30, 0],
            &[0x30, 0x80],
            &[0x30, 2, 0x30, 0],
        ] {
            assert_eq!(hash(bytes), None, "{bytes:?}");
        }
        let odd = value(
            Tag::Sequence,
            &value(Tag::Sequence, &value(Tag::Null, b"").repeat(5)),
        );
        assert_eq!(
            hash(&odd),
            Some(u32::from_le_bytes([0xda, 0x39, 0xa3, 0xee]))
        );
    }
}
