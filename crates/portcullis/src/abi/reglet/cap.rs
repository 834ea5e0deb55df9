//! Answers as JSON text that no guest breaks on: UTF-8, and no longer than they may be when they are encoded.

use std::borrow::Cow;

use serde::Serialize;

/// Bytes of one encoded answer. Reglet's guests end themselves when they are to make room for 100 MiB, and have their
/// memory's limit long before that.
pub(super) const MAX_ANSWER: usize = 24 * 1024 * 1024;

/// Bytes of an answer besides its output.
const BESIDES: usize = 16 * 1024;

/// Writes an answer out.
pub(super) fn encode(answer: &impl Serialize) -> Vec<u8> {
    match serde_json::to_vec(answer) {
        Ok(bytes) => bytes,
        Err(error) => unreachable!("texts and numbers are JSON: {error}"),
    }
}

/// Two texts that fit into one answer together, and whether each was cut.
pub(super) fn both<'a>(first: &'a [u8], second: &'a [u8]) -> [(Cow<'a, str>, bool); 2] {
    let room = MAX_ANSWER - BESIDES;
    // Each has half, and what the other leaves of its own.
    let of_second = encoded(second, room / 2);
    let first = text(first, room - of_second.min(room / 2));
    let second = text(second, room - first.encoded);
    [(first.text, first.cut), (second.text, second.cut)]
}

struct Text<'a> {
    text: Cow<'a, str>,
    encoded: usize,
    cut: bool,
}

/// As many whole characters as fit into `room` bytes of JSON. Each byte that is none of UTF-8 is one U+FFFD.
fn text(bytes: &[u8], room: usize) -> Text<'_> {
    let mut text = String::new();
    let mut used = 0;
    let mut is_whole = true;
    let mut end = 0;
    'chunks: for chunk in bytes.utf8_chunks() {
        let invalid = std::iter::repeat_n(char::REPLACEMENT_CHARACTER, chunk.invalid().len());
        let chars = chunk.valid().chars().map(|c| (c, c.len_utf8()));
        for (c, length) in chars.chain(invalid.map(|c| (c, 1))) {
            let next = used + of_char(c);
            if next > room {
                break 'chunks;
            }
            used = next;
            end += length;
            if is_whole && length == 1 && c == char::REPLACEMENT_CHARACTER {
                is_whole = false;
                text.push_str(&String::from_utf8_lossy(&bytes[..end - 1]));
            }
            if !is_whole {
                text.push(c);
            }
        }
    }
    let text = match std::str::from_utf8(&bytes[..end]) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(text),
    };
    Text {
        text,
        encoded: used,
        cut: end < bytes.len(),
    }
}

/// Bytes of JSON that a text takes, as far as `most`.
fn encoded(bytes: &[u8], most: usize) -> usize {
    let mut used = 0;
    for chunk in bytes.utf8_chunks() {
        used += chunk.invalid().len() * of_char(char::REPLACEMENT_CHARACTER);
        for c in chunk.valid().chars() {
            used += of_char(c);
            if used >= most {
                return most;
            }
        }
    }
    used.min(most)
}

/// Bytes of JSON that a character takes.
const fn of_char(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\u{1f}' => 6,
        _ => c.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_what_serde_writes() {
        let all: String = ('\0'..='\u{ffff}').chain(['\u{10ffff}']).collect();
        let counted: usize = all.chars().map(of_char).sum();
        assert_eq!(counted + 2, serde_json::to_string(&all).unwrap().len());
        assert_eq!(encoded(all.as_bytes(), usize::MAX), counted);
    }

    #[test]
    fn each_byte_that_is_no_text_is_one_replacement() {
        for (bytes, shown) in [
            (&b"a\xffb"[..], "a\u{fffd}b"),
            (b"\xe2\x82", "\u{fffd}\u{fffd}"),
            (b"\xe2\x82\xac", "\u{20ac}"),
            (
                b"\xf0\x9f\x98\x80\xf0\x9f\x98",
                "\u{1f600}\u{fffd}\u{fffd}\u{fffd}",
            ),
            ("a\u{fffd}b".as_bytes(), "a\u{fffd}b"),
            ("\u{fffd}\u{fffd}".as_bytes(), "\u{fffd}\u{fffd}"),
            (b"", ""),
        ] {
            let text = text(bytes, 1000);
            assert_eq!((&*text.text, text.cut), (shown, false), "{bytes:?}");
        }
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        let of = |bytes: &[u8], room| {
            let text = text(bytes, room);
            (text.text.into_owned(), text.encoded, text.cut)
        };
        assert_eq!(of("aé".as_bytes(), 2), ("a".to_owned(), 1, true));
        assert_eq!(of(b"\0\0", 11), ("\0".to_owned(), 6, true));
        assert_eq!(of(b"a\xff\xff", 4), ("a\u{fffd}".to_owned(), 4, true));
        assert_eq!(
            of(b"a\xff\xff", 7),
            ("a\u{fffd}\u{fffd}".to_owned(), 7, false)
        );
    }

    #[test]
    fn both_fit_together_and_one_has_what_the_other_leaves() {
        let controls = vec![1_u8; 10 << 20];
        let plain = vec![b'x'; 10 << 20];
        let invalid = vec![0xff_u8; 10 << 20];
        for (first, second) in [
            (&controls, &controls),
            (&controls, &plain),
            (&plain, &controls),
            (&plain, &plain),
            (&invalid, &plain),
            (&Vec::new(), &controls),
            (&controls, &Vec::new()),
        ] {
            let [(first_text, first_cut), (second_text, second_cut)] = both(first, second);
            let length = |text: &str| serde_json::to_string(text).unwrap().len();
            let together = length(&first_text) + length(&second_text);
            assert!(together <= MAX_ANSWER - BESIDES + 4, "{together}");
            if first_cut || second_cut {
                assert!(
                    together > MAX_ANSWER - BESIDES - 16,
                    "no room is left unused: {together}"
                );
            }
        }
        let [(first, first_cut), (second, second_cut)] = both(&plain, &plain);
        assert_eq!((first.len(), first_cut), (plain.len(), false));
        assert_eq!((second.len(), second_cut), (plain.len(), false));
    }
}
