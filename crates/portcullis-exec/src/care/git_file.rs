//! git's configuration format, read as git reads it.
//!
//! Total: any bytes give entries or an error, never a panic. Stricter than git in one point, NUL,
//! on which git and everybody who reads the file after it may disagree; otherwise what git would
//! refuse is refused, and what it takes is seen under the very key that git sees.
//!
//! Includes are not followed: `include.path` is an entry like any other.
//!
//! Source: `git-config(1)`, "Syntax"; the details from what git 2.39 does, held to it by a test.

use std::ops::Range;

/// Larger files are refused unread: git's own are some hundred bytes.
pub(crate) const MAX_SIZE: usize = 1 << 20;

/// One variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `section.key` or `section.subsection.key`. Section and key are in lower case; the subsection
    /// is as written and may hold any byte but newline and NUL, dots included.
    pub key: Vec<u8>,
    /// `None` for a key without `=`, which git reads as true.
    pub value: Option<Vec<u8>>,
    /// Where it stands, from the first byte of its key up to the end of its line, without that.
    pub(super) span: Range<usize>,
}

impl Entry {
    /// Section, subsection if there is one, key.
    pub fn parts(&self) -> (&[u8], Option<&[u8]>, &[u8]) {
        split(&self.key)
    }
}

/// Takes a full key apart: the section ends at the first dot, the key begins at the last.
pub(super) fn split(key: &[u8]) -> (&[u8], Option<&[u8]>, &[u8]) {
    let first = key.iter().position(|byte| *byte == b'.');
    let last = key.iter().rposition(|byte| *byte == b'.');
    match (first, last) {
        (Some(first), Some(last)) if first < last => {
            (&key[..first], Some(&key[first + 1..last]), &key[last + 1..])
        }
        (Some(dot), _) => (&key[..dot], None, &key[dot + 1..]),
        (None, _) => (b"", None, key),
    }
}

/// A `[section "subsection"]` and where its part of the file lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Section {
    /// `section.` or `section.subsection.`, what its entries' keys begin with.
    pub(super) prefix: Vec<u8>,
    /// From `[` to behind `]`.
    pub(super) header: Range<usize>,
    /// From there to the next section or the end.
    pub(super) end: usize,
}

/// A file taken apart, in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ConfigFile {
    pub(super) entries: Vec<Entry>,
    pub(super) sections: Vec<Section>,
}

/// Why a file is not one of git's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Larger than a mebibyte.
    #[error("it is larger than {MAX_SIZE} bytes")]
    TooLarge,
    /// A NUL byte: git would end a value there, other readers would not.
    #[error("it has a NUL byte")]
    Nul,
    /// Not what git would read.
    #[error("line {line} is not what git reads as configuration")]
    Syntax {
        /// From 1.
        line: usize,
    },
}

/// Reads all variables of a file, in order.
///
/// # Errors
/// [`ParseError`] for what git would refuse, for NUL bytes, and for more than a mebibyte.
pub fn entries(bytes: &[u8]) -> Result<Vec<Entry>, ParseError> {
    Ok(parse(bytes)?.entries)
}

pub(super) fn parse(bytes: &[u8]) -> Result<ConfigFile, ParseError> {
    if bytes.len() > MAX_SIZE {
        return Err(ParseError::TooLarge);
    }
    if bytes.contains(&0) {
        return Err(ParseError::Nul);
    }
    let at = if bytes.starts_with(b"\xef\xbb\xbf") {
        3
    } else {
        0
    };
    let mut reader = Reader { bytes, at };
    let mut file = ConfigFile::default();
    reader.file(&mut file).ok_or_else(|| ParseError::Syntax {
        line: reader.line(),
    })?;
    if let Some(section) = file.sections.last_mut() {
        section.end = bytes.len();
    }
    Ok(file)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    /// The next character. `\r\n` counts as one newline, and the file ends with endless ones.
    fn next(&mut self) -> u8 {
        let Some(byte) = self.bytes.get(self.at).copied() else {
            return b'\n';
        };
        self.at += 1;
        if byte == b'\r' && self.bytes.get(self.at) == Some(&b'\n') {
            self.at += 1;
            return b'\n';
        }
        byte
    }

    fn at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    fn line(&self) -> usize {
        let read = &self.bytes[..self.at.saturating_sub(1)];
        1 + read.iter().filter(|byte| **byte == b'\n').count()
    }

    /// `None` where git says "bad config".
    fn file(&mut self, file: &mut ConfigFile) -> Option<()> {
        // What stands before the first section has keys without one.
        let mut prefix = Vec::new();
        while !self.at_end() {
            let start = self.at;
            match self.next() {
                byte if is_space(byte) => {}
                b'#' | b';' => while self.next() != b'\n' {},
                b'[' => {
                    prefix = self.header()?;
                    if let Some(section) = file.sections.last_mut() {
                        section.end = start;
                    }
                    let header = start..self.at;
                    file.sections.push(Section {
                        prefix: prefix.clone(),
                        header,
                        end: start,
                    });
                }
                byte if byte.is_ascii_alphabetic() => {
                    let mut key = prefix.clone();
                    key.push(byte.to_ascii_lowercase());
                    let value = self.variable(&mut key)?;
                    let span = start..self.line_end();
                    file.entries.push(Entry { key, value, span });
                }
                _ => return None,
            }
        }
        Some(())
    }

    /// Where the line ended whose newline was the last thing read.
    fn line_end(&self) -> usize {
        let read = &self.bytes[..self.at];
        let read = read.strip_suffix(b"\n").unwrap_or(read);
        read.strip_suffix(b"\r").unwrap_or(read).len()
    }

    /// What stands between `[` and `]`, as the beginning of a full key.
    fn header(&mut self) -> Option<Vec<u8>> {
        let mut name = Vec::new();
        loop {
            if self.at_end() {
                return None;
            }
            match self.next() {
                b']' => break,
                byte if is_space(byte) => {
                    self.subsection(byte, &mut name)?;
                    break;
                }
                byte if is_key(byte) || byte == b'.' => name.push(byte.to_ascii_lowercase()),
                _ => return None,
            }
        }
        let is_named = !name.is_empty();
        name.push(b'.');
        is_named.then_some(name)
    }

    fn subsection(&mut self, mut byte: u8, name: &mut Vec<u8>) -> Option<()> {
        while is_space(byte) {
            if byte == b'\n' {
                return None;
            }
            byte = self.next();
        }
        if byte != b'"' {
            return None;
        }
        name.push(b'.');
        loop {
            let byte = match self.next() {
                b'"' => break,
                b'\\' => self.next(),
                byte => byte,
            };
            if byte == b'\n' {
                return None;
            }
            name.push(byte);
        }
        (self.next() == b']').then_some(())
    }

    /// The rest of a key, and its value.
    fn variable(&mut self, key: &mut Vec<u8>) -> Option<Option<Vec<u8>>> {
        let mut byte = self.next();
        while is_key(byte) {
            key.push(byte.to_ascii_lowercase());
            byte = self.next();
        }
        while byte == b' ' || byte == b'\t' {
            byte = self.next();
        }
        match byte {
            b'\n' => Some(None),
            b'=' => self.value().map(Some),
            _ => None,
        }
    }

    fn value(&mut self) -> Option<Vec<u8>> {
        let (mut value, mut quoted, mut spaces) = (Vec::new(), false, 0);
        loop {
            let byte = self.next();
            match byte {
                b'\n' if quoted => return None,
                b'\n' => return Some(value),
                _ if is_space(byte) && !quoted => spaces += usize::from(!value.is_empty()),
                b'#' | b';' if !quoted => {
                    while self.next() != b'\n' {}
                    return Some(value);
                }
                _ => {
                    value.extend(std::iter::repeat_n(b' ', std::mem::take(&mut spaces)));
                    match byte {
                        b'\\' => value.extend(self.escaped()?),
                        b'"' => quoted = !quoted,
                        _ => value.push(byte),
                    }
                }
            }
        }
    }

    /// What a backslash and the next character stand for: nothing where it continues a line.
    fn escaped(&mut self) -> Option<Option<u8>> {
        match self.next() {
            b'\n' => Some(None),
            b't' => Some(Some(b'\t')),
            b'b' => Some(Some(8)),
            b'n' => Some(Some(b'\n')),
            byte @ (b'\\' | b'"') => Some(Some(byte)),
            _ => None,
        }
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

fn is_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

/// A value that git reads back as these bytes.
pub(super) fn quoted(value: &[u8]) -> Vec<u8> {
    let mut text = vec![b'"'];
    for byte in value {
        match byte {
            b'\n' => text.extend(b"\\n"),
            b'\\' | b'"' => text.extend([b'\\', *byte]),
            _ => text.push(*byte),
        }
    }
    text.push(b'"');
    text
}
