//! Finds secrets in what a server says: as they are and in the forms in which servers say back what they were sent.
//!
//! Each is looked for as it is, in base64 wherever it begins in there, in hexadecimal and backwards; without regard to upper and
//! lower case, and to everything between that is no visible ASCII character, such as line breaks and the zeros of UTF-16. Escapes
//! of URLs, JSON and HTML are undone before, also one within the other. What a server hides in another way is not found.

use std::borrow::Cow;
use std::fmt;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD, PAD};

/// How often escapes are undone, one within the other.
const ROUNDS: usize = 4;
/// A piece of a secret that is shorter is not looked for.
const LEAST: usize = 8;
/// Bytes that one byte of a secret can become, as `\u0041`.
const LONGEST_ESCAPE: usize = 6;

/// Looks for secrets. The default finds nothing.
#[derive(Default)]
pub(super) struct Search {
    known: Option<AhoCorasick>,
    /// Which secret each pattern is of.
    owners: Vec<usize>,
    names: Vec<String>,
    longest: usize,
}

impl fmt::Debug for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Search")
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

impl Search {
    /// Looks for these: the name of each, what it stands behind in its header, and what it is.
    ///
    /// # Errors
    /// They are too many.
    pub(super) fn new<'a>(
        secrets: impl Iterator<Item = (&'a str, &'a str, &'a str)>,
    ) -> Result<Self, String> {
        let mut search = Self::default();
        let mut patterns: Vec<Vec<u8>> = Vec::new();
        for (name, prefix, value) in secrets {
            for form in forms(prefix, value.as_bytes()) {
                search.longest = search.longest.max(form.len());
                search.owners.push(search.names.len());
                patterns.push(form);
            }
            search.names.push(name.to_owned());
        }
        if !patterns.is_empty() {
            let known = AhoCorasick::builder()
                .ascii_case_insensitive(true)
                // A table with a row for each byte of each pattern would be large.
                .kind(Some(AhoCorasickKind::ContiguousNFA))
                .build(&patterns);
            search.known =
                Some(known.map_err(|error| format!("they cannot be looked for: {error}"))?);
        }
        Ok(search)
    }

    /// Whether it looks for nothing.
    pub(super) fn finds_nothing(&self) -> bool {
        self.known.is_none()
    }

    /// Bytes beyond a cut that have to be known, so that nothing before it is the beginning of a secret.
    pub(super) fn beyond(&self) -> u64 {
        (self.longest * LONGEST_ESCAPE) as u64
    }

    /// The name of a secret that is in there.
    pub(super) fn find(&self, bytes: &[u8]) -> Option<&str> {
        let known = self.known.as_ref()?;
        let mut text: Cow<'_, [u8]> = Cow::Borrowed(bytes);
        for _ in 0..=ROUNDS {
            let visible: Vec<u8> = text.iter().copied().filter(u8::is_ascii_graphic).collect();
            if let Some(found) = known.find(&visible) {
                let owner = self.owners.get(found.pattern().as_usize());
                return Some(
                    owner
                        .and_then(|&owner| self.names.get(owner))
                        .map_or("", String::as_str),
                );
            }
            text = Cow::Owned(unescaped(&text)?);
        }
        None
    }
}

/// What a secret is looked for as.
fn forms(prefix: &str, value: &[u8]) -> Vec<Vec<u8>> {
    let mut plain = vec![value.to_vec()];
    // Where it has escapes of its own, they are undone in what it is compared with.
    let mut undone = value.to_vec();
    for _ in 0..ROUNDS {
        let Some(once) = unescaped(&undone) else {
            break;
        };
        plain.push(once.clone());
        undone = once;
    }
    if prefix.trim_end().eq_ignore_ascii_case("basic")
        && let Ok(pair) = GeneralPurpose::new(&STANDARD, PAD).decode(value)
    {
        let colon = pair.iter().position(|&byte| byte == b':');
        plain.extend(colon.map(|at| pair[at + 1..].to_vec()));
        plain.push(pair);
    }
    let mut forms = Vec::new();
    for value in plain {
        forms.push(hex::encode(&value).into_bytes());
        forms.push(value.iter().rev().copied().collect());
        for start in 0..3 {
            forms.extend(in_base64(start, &value));
        }
        forms.push(value);
    }
    for form in &mut forms {
        form.retain(u8::is_ascii_graphic);
    }
    forms.retain(|form| form.len() >= LEAST);
    forms
}

/// What is certain of a value in base64 when it stands behind so many bytes, in both alphabets.
fn in_base64(before: usize, value: &[u8]) -> [Vec<u8>; 2] {
    let whole = [&[0; 2][..before], value].concat();
    // A character has six bits; the first and the last can be of something else too.
    let (first, end) = ((before * 8).div_ceil(6), whole.len() * 8 / 6);
    [STANDARD, URL_SAFE].map(|alphabet| {
        let text = GeneralPurpose::new(&alphabet, NO_PAD).encode(&whole);
        text.as_bytes().get(first..end).unwrap_or_default().to_vec()
    })
}

/// The text with the escapes of URLs, JSON, JavaScript and HTML undone once; `None` where it has none.
fn unescaped(text: &[u8]) -> Option<Vec<u8>> {
    if !text.iter().any(|byte| matches!(byte, b'%' | b'\\' | b'&')) {
        return None;
    }
    let mut out = Vec::with_capacity(text.len());
    let (mut rest, mut undone) = (text, false);
    while let Some((&byte, after)) = rest.split_first() {
        let escape = match byte {
            b'%' => digits(after, 2..=2, 16),
            b'\\' => backslash(after),
            b'&' => entity(after),
            _ => None,
        };
        let (byte, length) = escape.unwrap_or((byte, 0));
        undone |= escape.is_some();
        out.push(byte);
        rest = after.get(length..).unwrap_or_default();
    }
    undone.then_some(out)
}

/// The character that a number at the beginning stands for, and how long that is.
fn digits(text: &[u8], length: std::ops::RangeInclusive<usize>, radix: u32) -> Option<(u8, usize)> {
    let is_digit = |byte: &&u8| char::from(**byte).is_digit(radix);
    let found = text.iter().take(*length.end()).take_while(is_digit).count();
    let number = text.get(..found).filter(|_| length.contains(&found))?;
    let number = u32::from_str_radix(std::str::from_utf8(number).ok()?, radix).ok()?;
    Some((u8::try_from(number).ok()?, found))
}

fn backslash(text: &[u8]) -> Option<(u8, usize)> {
    let (kind, rest) = text.split_first()?;
    let numbered = |number: Option<(u8, usize)>| number.map(|(byte, length)| (byte, length + 1));
    match kind {
        b'u' => numbered(digits(rest, 4..=4, 16)),
        b'x' => numbered(digits(rest, 2..=2, 16)),
        b'n' | b'r' | b't' => Some((b'\n', 1)),
        b'/' | b'\\' | b'"' | b'\'' => Some((*kind, 1)),
        _ => None,
    }
}

fn entity(text: &[u8]) -> Option<(u8, usize)> {
    let named = [
        ("amp;", b'&'),
        ("lt;", b'<'),
        ("gt;", b'>'),
        ("quot;", b'"'),
        ("apos;", b'\''),
    ];
    if let Some((name, byte)) = named
        .iter()
        .find(|(name, _)| text.starts_with(name.as_bytes()))
    {
        return Some((*byte, name.len()));
    }
    let number = text.strip_prefix(b"#")?;
    let hexadecimal = number
        .strip_prefix(b"x")
        .or_else(|| number.strip_prefix(b"X"));
    let (byte, length) = match hexadecimal {
        Some(number) => digits(number, 1..=7, 16).map(|(byte, length)| (byte, length + 2))?,
        None => digits(number, 1..=7, 10).map(|(byte, length)| (byte, length + 1))?,
    };
    let semicolon = usize::from(text.get(length) == Some(&b';'));
    Some((byte, length + semicolon))
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD as PADDED, URL_SAFE_NO_PAD};

    use super::*;

    const TOKEN: &str = "ghs_16C7e42F292c6912E7+/x~?>";

    fn search(prefix: &str, value: &str) -> Search {
        Search::new([("t", prefix, value)].into_iter()).unwrap()
    }

    fn finds(text: impl AsRef<[u8]>) -> bool {
        search("Bearer ", TOKEN).find(text.as_ref()).is_some()
    }

    fn percent(every: usize) -> String {
        let escaped = |(at, byte): (usize, u8)| {
            if at % every == 0 {
                format!("%{byte:02x}")
            } else {
                char::from(byte).to_string()
            }
        };
        TOKEN.bytes().enumerate().map(escaped).collect()
    }

    #[test]
    fn it_is_found_in_every_form_and_its_neighbours_are_not() {
        let utf16: Vec<u8> = TOKEN.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let backwards: String = TOKEN.chars().rev().collect();
        let json: String = TOKEN.bytes().map(|byte| format!("\\u{byte:04X}")).collect();
        let html: String = TOKEN.bytes().map(|byte| format!("&#{byte};")).collect();
        let wrapped: Vec<_> = TOKEN.as_bytes().chunks(5).collect();
        for text in [
            TOKEN.as_bytes().to_vec(),
            format!("{{\"authorization\":\"Bearer {TOKEN}\"}}").into_bytes(),
            TOKEN.to_ascii_uppercase().into_bytes(),
            hex::encode(TOKEN).into_bytes(),
            hex::encode_upper(TOKEN).into_bytes(),
            backwards.into_bytes(),
            utf16,
            percent(1).into_bytes(),
            percent(2).into_bytes(),
            percent(3).to_uppercase().into_bytes(),
            percent(1).replace('%', "%25").into_bytes(),
            percent(2).replace('%', "\\u0025").into_bytes(),
            json.clone().into_bytes(),
            json.replace('\\', "\\\\").into_bytes(),
            html.into_bytes(),
            TOKEN.replace('/', "\\/").into_bytes(),
            TOKEN.replace('>', "&gt;").into_bytes(),
            TOKEN.replace('>', "&#x3e").into_bytes(),
            TOKEN.replace('>', "\\x3E").into_bytes(),
            wrapped.join(&b"\r\n"[..]),
            wrapped.join(&b"\\n"[..]),
            wrapped.join("\u{200b}".as_bytes()),
        ] {
            assert!(finds(&text), "{}", String::from_utf8_lossy(&text));
            let mut other = text.clone();
            // What is nearly it passes.
            other.retain(|byte| !b"7e5".contains(byte));
            assert!(!finds(&other), "{}", String::from_utf8_lossy(&other));
        }
        for text in [
            "",
            "hello",
            &TOKEN[1..],
            &TOKEN[..TOKEN.len() - 1],
            "Bearer ",
            "%",
            "\\u",
            "&#x;",
            "%zz\\u12",
        ] {
            assert!(!finds(text), "{text}");
        }
    }

    #[test]
    fn it_is_found_in_base64_wherever_it_begins_and_ends() {
        for before in 0..7 {
            for after in 0..4 {
                let text = format!(
                    "{}{TOKEN}{}",
                    &"user:pw"[..before],
                    &"\u{1}~\n"[..after.min(3)]
                );
                for encoded in [PADDED.encode(&text), URL_SAFE_NO_PAD.encode(&text)] {
                    assert!(finds(&encoded), "{before} {after} {encoded}");
                    assert!(
                        finds(encoded.replace('+', "%2B").replace('/', "%2f")),
                        "{encoded}"
                    );
                    let lines: Vec<_> = encoded.as_bytes().chunks(7).collect();
                    assert!(finds(lines.join(&b'\n')), "{encoded}");
                    let other = PADDED.encode(text.replace("7e", "8e"));
                    assert!(!finds(&other), "{other}");
                }
            }
        }
    }

    #[test]
    fn what_a_basic_credential_is_made_of_is_found_too() {
        let value = PADDED.encode("me:pass-word-9");
        let basic = search("Basic ", &value);
        for text in [value.as_str(), "me:pass-word-9", "{\"pw\":\"pass-word-9\"}"] {
            assert!(basic.find(text.as_bytes()).is_some(), "{text}");
        }
        assert!(basic.find(b"me:pass-word-8").is_none());
        assert!(search("Bearer ", &value).find(b"me:pass-word-9").is_none());
    }

    #[test]
    fn one_that_has_escapes_itself_is_found_escaped_and_not() {
        for value in ["ab%41cd%%42ef", "back\\u0041slash\\n", "a&amp;b&#65;cdef"] {
            let search = search("", value);
            let twice = value
                .replace('%', "%25")
                .replace('\\', "\\\\")
                .replace('&', "&amp;");
            let once: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
            for text in [value, &twice, &once] {
                assert!(search.find(text.as_bytes()).is_some(), "{value} {text}");
            }
            assert!(search.find(b"ab41cd42ef").is_none());
        }
    }

    #[test]
    fn which_one_it_is_is_told_and_none_is_shown() {
        let search =
            Search::new([("a", "", "first-secret"), ("b", "", TOKEN)].into_iter()).unwrap();
        assert_eq!(search.find(b"x first-secret"), Some("a"));
        assert_eq!(search.find(TOKEN.as_bytes()), Some("b"));
        assert!(search.beyond() >= 6 * 2 * TOKEN.len() as u64);
        assert!(!format!("{search:?}").contains("first-secret"));
        assert_eq!(Search::default().find(TOKEN.as_bytes()), None);
        assert_eq!(Search::default().beyond(), 0);
    }
}
