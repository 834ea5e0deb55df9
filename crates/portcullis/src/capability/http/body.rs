//! The body of a response, counted as what it unpacks to and no further than may be kept.

use std::io::{self, Write};

use flate2::write::{MultiGzDecoder, ZlibDecoder};
use hyper::header::{CONTENT_ENCODING, HeaderMap};

/// Keeps so many bytes, and fails at the first one more.
#[derive(Debug)]
struct Capped {
    content: Vec<u8>,
    max: usize,
    over: bool,
}

/// Takes a body as it comes.
#[derive(Debug)]
pub(super) struct Body {
    packed: Packed,
    /// Whether anything came. A response without a body can say how it would be packed.
    came: bool,
}

#[derive(Debug)]
enum Packed {
    Plain(Capped),
    Gzip(MultiGzDecoder<Capped>),
    Zlib(ZlibDecoder<Capped>),
}

/// What was kept of a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) content: Vec<u8>,
    pub(super) truncated: bool,
}

impl Kept {
    /// Keeps no more than so many bytes.
    pub(super) fn cut(&mut self, max: u64) {
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        self.truncated |= self.content.len() > max;
        self.content.truncate(max);
    }
}

impl Body {
    /// A body with these headers, of which `max` bytes are kept.
    ///
    /// # Errors
    /// It is packed in a way that was not asked for.
    pub(super) fn new(headers: &HeaderMap, max: u64) -> Result<Self, String> {
        let capped = Capped {
            content: Vec::new(),
            max: usize::try_from(max).unwrap_or(usize::MAX),
            over: false,
        };
        let mut ways = Vec::new();
        for value in headers.get_all(CONTENT_ENCODING) {
            let value = value.to_str().unwrap_or("?").to_ascii_lowercase();
            let named = value.split(',').map(|way| way.trim().to_owned());
            ways.extend(named.filter(|way| !matches!(way.as_str(), "" | "identity")));
        }
        let ways: Vec<_> = ways.iter().map(String::as_str).collect();
        let packed = match ways[..] {
            [] => Packed::Plain(capped),
            ["gzip" | "x-gzip"] => Packed::Gzip(MultiGzDecoder::new(capped)),
            ["deflate"] => Packed::Zlib(ZlibDecoder::new(capped)),
            _ => {
                let ways = portcullis_policy::shown(&ways.join(", "));
                return Err(format!(
                    "the response is packed as `{ways}`, which was not asked for"
                ));
            }
        };
        Ok(Self {
            packed,
            came: false,
        })
    }

    /// Takes the next bytes. Returns whether more are wanted.
    ///
    /// # Errors
    /// They do not unpack.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<bool, String> {
        self.came |= !bytes.is_empty();
        let written = self.packed.writer().write_all(bytes);
        self.went(written)
    }

    /// What was kept.
    ///
    /// # Errors
    /// The end is missing.
    pub(super) fn end(mut self) -> Result<Kept, String> {
        if self.came && !self.packed.kept().over {
            let ended = match &mut self.packed {
                Packed::Plain(_) => Ok(()),
                Packed::Gzip(gzip) => gzip.try_finish(),
                Packed::Zlib(zlib) => zlib.try_finish(),
            };
            self.went(ended)?;
        }
        let kept = self.packed.kept();
        Ok(Kept {
            content: std::mem::take(&mut kept.content),
            truncated: kept.over,
        })
    }

    fn went(&mut self, result: io::Result<()>) -> Result<bool, String> {
        match result {
            Ok(()) => Ok(true),
            Err(_) if self.packed.kept().over => Ok(false),
            Err(error) => Err(format!("the response does not unpack: {error}")),
        }
    }
}

impl Packed {
    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Plain(capped) => capped,
            Self::Gzip(gzip) => gzip,
            Self::Zlib(zlib) => zlib,
        }
    }

    fn kept(&mut self) -> &mut Capped {
        match self {
            Self::Plain(capped) => capped,
            Self::Gzip(gzip) => gzip.get_mut(),
            Self::Zlib(zlib) => zlib.get_mut(),
        }
    }
}

impl Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.max - self.content.len();
        let fits = &bytes[..bytes.len().min(room)];
        self.content.extend_from_slice(fits);
        if fits.len() < bytes.len() {
            self.over = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};

    use super::*;

    fn packed_as(encoding: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if !encoding.is_empty() {
            headers.insert(CONTENT_ENCODING, encoding.parse().unwrap());
        }
        headers
    }

    fn kept(encoding: &str, bytes: &[u8], max: u64) -> Result<(Vec<u8>, bool), String> {
        let mut body = Body::new(&packed_as(encoding), max)?;
        for chunk in bytes.chunks(7) {
            if !body.take(chunk)? {
                break;
            }
        }
        let kept = body.end()?;
        Ok((kept.content, kept.truncated))
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_it_unpacks_to_is_counted() {
        let text = b"hello ".repeat(100);
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
        zlib.write_all(&text).unwrap();
        let zlib = zlib.finish().unwrap();
        for (encoding, bytes) in [
            ("", text.clone()),
            ("identity", text.clone()),
            ("gzip", gzip(&text)),
            ("X-GZIP", gzip(&text)),
            ("gzip", [gzip(&text[..300]), gzip(&text[300..])].concat()),
            ("deflate", zlib),
        ] {
            let whole = kept(encoding, &bytes, 600).unwrap();
            assert_eq!(whole, (text.clone(), false), "{encoding}");
            let cut = kept(encoding, &bytes, 599).unwrap();
            assert_eq!(cut, (text[..599].to_vec(), true), "{encoding}");
        }
    }

    #[test]
    fn a_bomb_is_unpacked_no_further_than_is_kept() {
        let bomb = gzip(&vec![0; 64 << 20]);
        let (content, truncated) = kept("gzip", &bomb, 1 << 20).unwrap();
        assert_eq!((content.len(), truncated), (1 << 20, true));
        assert!(content.capacity() <= 4 << 20);
    }

    #[test]
    fn what_is_damaged_or_packed_in_another_way_is_an_error() {
        let whole = gzip(b"hello");
        assert!(kept("gzip", &whole[..whole.len() - 1], 99).is_err());
        assert!(kept("gzip", b"hello", 99).is_err());
        assert!(kept("deflate", b"hello", 99).is_err());
        for encoding in ["br", "gzip, gzip", "zstd"] {
            assert!(kept(encoding, &whole, 99).is_err(), "{encoding}");
        }
        for encoding in ["gzip", "deflate"] {
            assert_eq!(kept(encoding, b"", 99), Ok((Vec::new(), false)));
        }
        assert_eq!(kept("gzip", &whole, 99), Ok((b"hello".to_vec(), false)));
        assert_eq!(kept("gzip", &whole, 4), Ok((b"hell".to_vec(), true)));
        assert_eq!(kept("gzip", &gzip(b""), 99), Ok((Vec::new(), false)));
    }
}
