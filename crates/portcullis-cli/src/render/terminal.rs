//! What a guest may send to a terminal: text, colours and cursor movement.
//!
//! A terminal is a program that takes orders. Some write the clipboard (OSC 52), some rename the window, and some make
//! it answer, and the answer is read as if it had been typed. Only what cannot do that passes.

/// A filter for one stream; sequences may be cut anywhere between two calls.
#[derive(Debug, Default)]
pub(crate) struct TerminalFilter {
    state: State,
    /// The sequence or character that is not complete yet.
    pending: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    /// After ESC.
    Escape,
    /// After ESC and an intermediate byte: one more byte ends it.
    Designation,
    /// After `ESC [`, or after its one-character form, which is never kept.
    Csi { keep: bool },
    /// Inside OSC, DCS, APC, PM or SOS: dropped to its end.
    Text,
    /// After ESC inside those: `\` ends it.
    TextEscape,
    /// Inside a UTF-8 character of this many bytes.
    Utf8(usize),
}

/// Bytes after which an unfinished control sequence is given up.
const MAX_SEQUENCE: usize = 64;
const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;
/// CAN and SUB end every sequence.
const CANCEL: [u8; 2] = [0x18, 0x1a];

impl TerminalFilter {
    /// The part of these bytes that may be shown.
    pub(crate) fn filter(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            self.step(byte, &mut out);
        }
        out
    }

    fn step(&mut self, byte: u8, out: &mut Vec<u8>) {
        match self.state {
            State::Ground => self.ground(byte, out),
            State::Utf8(length) => self.utf8(byte, length, out),
            State::Escape => self.escape(byte, out),
            State::Designation => self.state = State::Ground,
            State::Csi { keep } => self.csi(byte, keep, out),
            State::Text => match byte {
                BEL => self.state = State::Ground,
                ESC => self.state = State::TextEscape,
                _ if CANCEL.contains(&byte) => self.state = State::Ground,
                // ST in its one-character form: U+009C, C2 9C.
                0x9c if self.pending == [0xc2] => self.end(),
                _ => self.pending = vec![byte],
            },
            State::TextEscape if byte == b'\\' => self.end(),
            State::TextEscape => {
                self.end();
                self.escape(byte, out);
            }
        }
    }

    fn end(&mut self) {
        self.state = State::Ground;
        self.pending.clear();
    }

    fn ground(&mut self, byte: u8, out: &mut Vec<u8>) {
        self.pending.clear();
        let length = match byte {
            b'\n' | b'\r' | b'\t' | 0x08 | 0x20..=0x7e => return out.push(byte),
            ESC => {
                self.state = State::Escape;
                return;
            }
            0..=0x1f | 0x7f => return,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            // In a terminal that does not read UTF-8 these would be controls.
            0x80..=0xc1 | 0xf5..=0xff => return out.extend_from_slice("\u{fffd}".as_bytes()),
        };
        self.pending.push(byte);
        self.state = State::Utf8(length);
    }

    fn utf8(&mut self, byte: u8, length: usize, out: &mut Vec<u8>) {
        if !(0x80..=0xbf).contains(&byte) {
            out.extend_from_slice("\u{fffd}".as_bytes());
            self.end();
            return self.ground(byte, out);
        }
        self.pending.push(byte);
        if self.pending.len() < length {
            return;
        }
        let bytes = std::mem::take(&mut self.pending);
        self.state = State::Ground;
        match std::str::from_utf8(&bytes)
            .ok()
            .and_then(|text| text.chars().next())
        {
            Some('\u{9b}') => self.state = State::Csi { keep: false },
            Some('\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}') => self.state = State::Text,
            Some('\u{80}'..='\u{9f}') => {}
            Some(_) => out.extend_from_slice(&bytes),
            None => out.extend_from_slice("\u{fffd}".as_bytes()),
        }
    }

    fn escape(&mut self, byte: u8, out: &mut Vec<u8>) {
        self.pending.clear();
        self.state = match byte {
            b'[' => State::Csi { keep: true },
            b']' | b'P' | b'X' | b'^' | b'_' => State::Text,
            ESC => State::Escape,
            0x20..=0x2f => State::Designation,
            b'7' | b'8' => {
                out.extend_from_slice(&[ESC, byte]);
                State::Ground
            }
            0x30..=0x7e => State::Ground,
            _ => {
                self.state = State::Ground;
                return self.ground(byte, out);
            }
        };
    }

    fn csi(&mut self, byte: u8, keep: bool, out: &mut Vec<u8>) {
        match byte {
            0x20..=0x3f if self.pending.len() < MAX_SEQUENCE => self.pending.push(byte),
            0x20..=0x3f => self.end(),
            0x40..=0x7e => {
                if keep && is_harmless(&self.pending, byte) {
                    out.extend_from_slice(&[ESC, b'[']);
                    out.extend_from_slice(&self.pending);
                    out.push(byte);
                }
                self.end();
            }
            _ => {
                self.end();
                self.step(byte, out);
            }
        }
    }
}

/// Colours, cursor movement, erasing and scrolling. Everything that makes the terminal answer, changes a mode or
/// talks to its window is left out; of the modes only the visibility of the cursor may be changed.
fn is_harmless(parameters: &[u8], end: u8) -> bool {
    let numbers = parameters
        .iter()
        .all(|byte| matches!(byte, b'0'..=b'9' | b';' | b':'));
    (numbers && b"@ABCDEFGHJKLMPSTXdfmsu".contains(&end))
        || (parameters == b"?25" && b"hl".contains(&end))
}

#[cfg(test)]
mod tests {
    use super::TerminalFilter;

    fn shown(text: &[u8]) -> String {
        let whole = TerminalFilter::default().filter(text);
        let mut filter = TerminalFilter::default();
        let split: Vec<u8> = text
            .iter()
            .flat_map(|&byte| filter.filter(&[byte]))
            .collect();
        assert_eq!(whole, split, "where the bytes are cut changes nothing");
        String::from_utf8(whole).expect("what is shown is UTF-8")
    }

    #[test]
    fn colours_and_cursor_stay() {
        for kept in [
            "\x1b[31mred\x1b[0m",
            "\x1b[38:2::1:2:3mx",
            "\x1b[2A\x1b[10;3H\x1b[K\x1b[?25l",
            "\x1b7\x1b8",
            "a\tb\r\nä€😀",
        ] {
            assert_eq!(shown(kept.as_bytes()), kept);
        }
    }

    #[test]
    fn orders_to_the_terminal_are_dropped() {
        for (text, kept) in [
            ("a\x1b]52;c;aGk=\x07b", "ab"),
            ("a\x1b]0;title\x1b\\b", "ab"),
            ("a\x1bP1$r\x1b\\b", "ab"),
            ("a\x1b_G\x1b\\b\x1b^x\x1b\\c\x1bXy\x1b\\d", "abcd"),
            ("a\u{9d}52;c;x\u{9c}b", "ab"),
            ("a\u{9b}31mb\u{85}c", "abc"),
            (
                "a\x1b[6nb\x1b[cc\x1b[21td\x1b[?1049he\x1b[>qf\x1b[?2004hg",
                "abcdefg",
            ),
            ("a\x1bcb\x1bZc\x1b(0d\x05\x0e\x0fe\x7f\x07", "abcde"),
            ("a\x1b]0;x\x1b[31mb", "a\x1b[31mb"),
            ("a\x1b]0;x\x18b", "ab"),
            ("a\x1b\x1b[31mb", "a\x1b[31mb"),
        ] {
            assert_eq!(shown(text.as_bytes()), kept, "{text:?}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_no_controls() {
        assert_eq!(shown(b"a\x9b31mb"), "a\u{fffd}31mb");
        assert_eq!(shown(b"a\xe2\x82\x1b[31mb"), "a\u{fffd}\x1b[31mb");
        assert_eq!(shown(b"\xed\xa0\x80"), "\u{fffd}");
    }

    #[test]
    fn an_endless_sequence_is_given_up() {
        let text = format!("\x1b[{}mend", "1;".repeat(1000));
        assert!(shown(text.as_bytes()).ends_with("mend"));
    }
}
