//! The first message of TLS, read only as far as the server's name.

use portcullis_policy::HostName;

/// Bytes of the whole message, over all its records. Real ones have 300 to 2000; RFC 8446 would allow 16 MiB.
const MAX_HELLO: usize = 16 * 1024;
/// The first bytes of a record: change_cipher_spec, alert, handshake, application_data, heartbeat.
const RECORD_TYPES: std::ops::RangeInclusive<u8> = 0x14..=0x18;
const HANDSHAKE: u8 = 0x16;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const HOST_NAME: u8 = 0;

/// What the first bytes of a client are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Peek {
    /// Not to be told yet.
    More,
    /// Not TLS.
    Other,
    /// TLS, with the one name of a server that it asks for.
    Named(HostName),
    /// TLS without a name.
    Unnamed,
    /// Something that begins as TLS and is no message a server should see.
    Broken,
}

/// Judges the first bytes of a client. Total: it has an answer for any bytes, and `More` only while they are few.
pub(crate) fn peek(bytes: &[u8]) -> Peek {
    match bytes.first() {
        None => return Peek::More,
        Some(kind) if !RECORD_TYPES.contains(kind) => return Peek::Other,
        Some(_) => {}
    }
    let mut hello = Vec::new();
    let mut rest = bytes;
    // A message may be cut into records anywhere, also inside its length.
    loop {
        let expected = match hello.get(..4) {
            Some(&[kind, a, b, c]) => {
                let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
                if kind != CLIENT_HELLO || length > MAX_HELLO {
                    return Peek::Broken;
                }
                Some(4 + length)
            }
            _ => None,
        };
        if let Some(expected) = expected
            && let Some(whole) = hello.get(4..expected)
        {
            return match server_name(whole) {
                Some(Some(name)) => Peek::Named(name),
                Some(None) => Peek::Unnamed,
                None => Peek::Broken,
            };
        }
        let Some((&[kind, major, _, high, low], after)) = rest.split_first_chunk::<5>() else {
            let plausible = rest.first().is_none_or(|kind| *kind == HANDSHAKE)
                && rest.get(1).is_none_or(|major| *major == 3);
            return if plausible { Peek::More } else { Peek::Broken };
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        // An empty record moves nothing forward: no client sends one.
        if kind != HANDSHAKE || major != 3 || length == 0 || length > MAX_HELLO {
            return Peek::Broken;
        }
        let Some((fragment, after)) = after.split_at_checked(length) else {
            return Peek::More;
        };
        hello.extend_from_slice(fragment);
        rest = after;
    }
}

/// The server's name in a ClientHello without its header: `None` when it is no ClientHello.
///
/// # Source
/// RFC 8446 section 4.1.2, RFC 6066 section 3.
fn server_name(hello: &[u8]) -> Option<Option<HostName>> {
    let mut hello = Reader(hello);
    hello.take(2 + 32)?;
    hello.vector8()?;
    hello.vector16()?;
    hello.vector8()?;
    if hello.0.is_empty() {
        // TLS before extensions.
        return Some(None);
    }
    let mut extensions = Reader(hello.vector16()?);
    if !hello.0.is_empty() {
        return None;
    }
    let mut found = None;
    while !extensions.0.is_empty() {
        let kind = extensions.number16()?;
        let body = extensions.vector16()?;
        if kind != SERVER_NAME {
            continue;
        }
        let mut body = Reader(body);
        let mut names = Reader(body.vector16()?);
        let kind = names.number8()?;
        let name = names.vector16()?;
        // Of two names, or two lists of them, a server could take the other one.
        if found.is_some() || kind != HOST_NAME || !names.0.is_empty() || !body.0.is_empty() {
            return None;
        }
        found = Some(HostName::parse(std::str::from_utf8(name).ok()?).ok()?);
    }
    Some(found)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn number16(&mut self) -> Option<u16> {
        let bytes = self.take(2)?.first_chunk::<2>()?;
        Some(u16::from_be_bytes(*bytes))
    }

    fn vector8(&mut self) -> Option<&'a [u8]> {
        let length = self.number8()?;
        self.take(length.into())
    }

    fn vector16(&mut self) -> Option<&'a [u8]> {
        let length = self.number16()?;
        self.take(length.into())
    }
}

#[cfg(test)]
mod tests {
    use super::{HostName, MAX_HELLO, Peek, peek};
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn vector16(body: &[u8]) -> Vec<u8> {
        let mut out = u16::try_from(body.len()).unwrap().to_be_bytes().to_vec();
        out.extend_from_slice(body);
        out
    }

    /// A ClientHello with these extensions besides the names, before any record.
    fn message(names: &[&str], others: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let mut extensions = Vec::new();
        for (kind, body) in others {
            extensions.extend(kind.to_be_bytes());
            extensions.extend(vector16(body));
        }
        for name in names {
            let entry = [&[0][..], &vector16(name.as_bytes())].concat();
            extensions.extend([0, 0]);
            extensions.extend(vector16(&vector16(&entry)));
        }
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend([0, 0, 2, 0x13, 1, 1, 0]);
        body.extend(vector16(&extensions));
        [&[1, 0][..], &vector16(&body)].concat()
    }

    /// The message in records that end at these places.
    fn records(message: &[u8], sizes: &[usize]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut rest = message;
        let mut sizes = sizes.iter().copied().chain(std::iter::repeat(rest.len()));
        while !rest.is_empty() {
            let size = sizes.next().unwrap().clamp(1, rest.len());
            let (part, after) = rest.split_at(size);
            out.extend([0x16, 3, 1]);
            out.extend(vector16(part));
            rest = after;
        }
        out
    }

    fn named(name: &str) -> Peek {
        Peek::Named(HostName::parse(name).unwrap())
    }

    #[test]
    fn the_first_byte_tells_tls_from_the_rest() {
        assert_eq!(peek(b""), Peek::More);
        assert_eq!(peek(b"\x16"), Peek::More);
        assert_eq!(peek(b"\x16\x03\x01"), Peek::More);
        for other in [
            &b"SSH-2.0"[..],
            b"GET / HTTP/1.1",
            b"\0",
            b"\x80\x2e\x01",
            b"\x19",
            b"\x13",
        ] {
            assert_eq!(peek(other), Peek::Other, "{other:?}");
        }
        for broken in [
            &b"\x15"[..],
            b"\x14\x03",
            b"\x17\x03\x03",
            b"\x18",
            b"\x16\x02",
            b"\x16\x03\x01\0\0",
        ] {
            assert_eq!(peek(broken), Peek::Broken, "{broken:?}");
        }
    }

    #[test]
    fn one_name_is_a_name() {
        assert_eq!(
            peek(&records(&message(&["ok.com"], &[]), &[])),
            named("ok.com")
        );
        assert_eq!(
            peek(&records(&message(&["OK.com"], &[]), &[])),
            named("ok.com")
        );
        assert_eq!(
            peek(&records(&message(&[], &[(23, vec![])]), &[])),
            Peek::Unnamed
        );
        for names in [
            &["ok.com", "ok.com"][..],
            &["ok.com", "evil.com"],
            &[""],
            &["ok.com."],
            &["1.2.3.4"],
            &["a\0b"],
        ] {
            assert_eq!(
                peek(&records(&message(names, &[]), &[])),
                Peek::Broken,
                "{names:?}"
            );
        }
        // A list of two names, a name of another kind, bytes after the list.
        for body in [
            &b"\0\x0c\0\0\x03a.b\0\0\x03c.d"[..],
            b"\0\x06\x01\0\x03a.b",
            b"\0\x06\0\0\x03a.b!",
            b"",
        ] {
            let hello = message(&[], &[(0, body.to_vec())]);
            assert_eq!(peek(&records(&hello, &[])), Peek::Broken, "{body:?}");
        }
        // Without extensions there is no name; with bytes after them it is no ClientHello.
        let mut old = vec![1, 0, 0, 41, 3, 3];
        old.extend([7; 32]);
        old.extend([0, 0, 2, 0, 47, 1, 0]);
        assert_eq!(peek(&records(&old, &[])), Peek::Unnamed);
        let mut longer = message(&["ok.com"], &[]);
        longer.push(0);
        longer[3] += 1;
        assert_eq!(peek(&records(&longer, &[])), Peek::Broken);
    }

    #[test]
    fn a_message_has_a_size() {
        let padding = |bytes| records(&message(&["ok.com"], &[(21, vec![0; bytes])]), &[4000; 5]);
        assert_eq!(peek(&padding(MAX_HELLO - 200)), named("ok.com"));
        assert_eq!(peek(&padding(MAX_HELLO)), Peek::Broken);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_have_an_answer(mut bytes in vec(any::<u8>(), 0..300), tls in any::<bool>()) {
            if tls && bytes.len() > 5 {
                bytes[..5].copy_from_slice(&[0x16, 3, 1, 0, 200]);
            }
            let answer = peek(&bytes);
            prop_assert!(answer != Peek::More || bytes.len() < 2 * MAX_HELLO);
            let starts_as_tls = bytes.first().is_some_and(|kind| (0x14..=0x18).contains(kind));
            prop_assert_eq!(answer == Peek::Other, !bytes.is_empty() && !starts_as_tls);
        }

        #[test]
        fn records_do_not_matter_and_a_part_is_not_judged(
            others in vec((1..100_u16, vec(any::<u8>(), 0..40)), 0..6),
            sizes in vec(1..60_usize, 0..20),
            after in vec(any::<u8>(), 0..20),
        ) {
            let whole = records(&message(&["a.ok.com"], &others), &sizes);
            for end in 0..whole.len() {
                prop_assert_eq!(peek(&whole[..end]), Peek::More);
            }
            prop_assert_eq!(peek(&[&whole[..], &after].concat()), named("a.ok.com"));
        }

        #[test]
        fn a_changed_byte_never_makes_it_another_protocol(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut bytes = records(&message(&["ok.com"], &[(10, vec![0, 2, 0, 29])]), &[17, 3]);
            let at = 1 + at.index(bytes.len() - 1);
            bytes[at] = byte;
            prop_assert_ne!(peek(&bytes), Peek::Other);
        }
    }
}
