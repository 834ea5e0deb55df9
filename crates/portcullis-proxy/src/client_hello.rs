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
