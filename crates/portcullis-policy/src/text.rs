//! Guest text in operators' messages: escaped, so that no terminal obeys it, and cut.

use std::fmt::Write as _;

/// Bytes of one piece of guest text in a message.
const MAX_SHOWN: usize = 256;

/// The text for a message, between backticks: control, invisible and direction-changing characters are escaped, and
/// what is beyond 256 bytes is cut off.
pub fn shown(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        let printed = if is_plain(c) {
            c.to_string()
        } else {
            c.escape_debug().to_string()
        };
        if out.len() + printed.len() > MAX_SHOWN {
            out.push('…');
            break;
        }
        out.push_str(&printed);
    }
    out
}

/// Writes control, bidi and invisible characters out as escapes, a line break as `\\n`: what is returned is one line, and
/// nothing in it moves a cursor or turns the writing around.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|c| push(&mut out, c));
    out
}

/// As [`escape`], at most `most` bytes; of a longer text as much as there is room for before `suffix`. No character
/// and no escape is cut in two, and no more of the text is looked at than is shown.
pub fn escape_within(text: &str, most: usize, suffix: &str) -> String {
    let mut out = String::with_capacity(text.len().min(most));
    let room = most.saturating_sub(suffix.len());
    let mut cut = 0;
    for c in text.chars() {
        push(&mut out, c);
        if out.len() <= room {
            cut = out.len();
        }
        if out.len() > most {
            out.truncate(cut);
            out.push_str(suffix);
            break;
        }
    }
    out
}

fn push(out: &mut String, c: char) {
    match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        c if c.is_control() || is_unseen(c) => {
            // Writing to a string cannot fail.
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        }
        c => out.push(c),
    }
}

/// Whether a character changes how the text around it is shown, without being seen.
pub fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The arguments as a JSON list in ASCII escapes where a terminal could misread them: what `--args` reads back.
pub(crate) fn json_list(args: &[String]) -> String {
    let mut out = String::from("[");
    for (index, arg) in args.iter().enumerate() {
        out.push_str(if index == 0 { "\"" } else { ", \"" });
        for c in arg.chars() {
            match c {
                '"' | '\\' => out.extend(['\\', c]),
                _ if is_plain(c) => out.push(c),
                _ => out.extend(
                    c.encode_utf16(&mut [0; 2])
                        .iter()
                        .map(|unit| format!("\\u{unit:04x}")),
                ),
            }
        }
        out.push('"');
    }
    out.push(']');
    out
}

fn is_plain(c: char) -> bool {
    matches!(c, '"' | '\'' | '\\') || c.escape_debug().len() == 1
}

#[cfg(test)]
mod tests {
    use super::{escape, escape_within, is_unseen, json_list, shown};

    #[test]
    fn nothing_that_a_terminal_obeys_is_shown() {
        assert_eq!(shown("it's \"plain\" ü"), "it's \"plain\" ü");
        assert_eq!(
            shown("\u{1b}[2J\r\u{202e}x\u{9b}"),
            "\\u{1b}[2J\\r\\u{202e}x\\u{9b}"
        );
        assert_eq!(shown(&"x".repeat(257)), format!("{}…", "x".repeat(256)));
    }

    #[test]
    fn nothing_unseen_is_left() {
        assert_eq!(
            escape("a\x1b[2J\u{202e}b\u{9b}\n\u{7f}é"),
            "a\\u{1b}[2J\\u{202e}b\\u{9b}\\n\\u{7f}é"
        );
        for c in '\0'..=char::MAX {
            let escaped = escape(&c.to_string());
            assert!(
                !escaped.contains(|c: char| c.is_control() || is_unseen(c)),
                "{:x}",
                u32::from(c)
            );
        }
    }

    #[test]
    fn what_is_too_long_is_cut_between_characters_and_escapes() {
        assert_eq!(escape_within("123456789", 9, ".."), "123456789");
        assert_eq!(escape_within("1234567890", 9, ".."), "1234567..");
        assert_eq!(escape_within("12345678\n", 9, ".."), "1234567..");
        assert_eq!(escape_within("ééééé", 9, ".."), "ééé..");
        assert_eq!(escape_within("éééé", 9, ".."), "éééé");
        assert_eq!(escape_within("123456\u{1b}", 9, ".."), "123456..");
        assert_eq!(
            escape_within(&"\u{1b}".repeat(9), 14, ".."),
            "\\u{1b}\\u{1b}.."
        );
    }

    #[test]
    fn argument_lists_are_json() {
        let args = ["a\"b\\c", "\n\0\u{1b}", "\u{202e}\u{e0001}", "ü'", ""].map(str::to_owned);
        assert_eq!(
            json_list(&args),
            r#"["a\"b\\c", "\u000a\u0000\u001b", "\u202e\udb40\udc01", "ü'", ""]"#
        );
        assert_eq!(json_list(&[]), "[]");
    }
}
