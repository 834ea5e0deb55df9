//! Text that others chose, made harmless to read: nothing in it moves the cursor or turns the writing around.

use std::fmt::Write;

use portcullis_audit::mask;

/// Bytes of one line of a report: 256 of a guest's text, and our words around it.
const MAX_LINE: usize = 400;

/// Characters that change how the text around them is shown, without being seen.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Writes control, bidi and invisible characters out as escapes.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || is_invisible(c) => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// As [`escape`], without secrets of a known form, and cut to the length of a line.
pub(crate) fn line(text: &str) -> String {
    let escaped = escape(&mask(text));
    if escaped.len() <= MAX_LINE {
        return escaped;
    }
    let end = escaped.floor_char_boundary(MAX_LINE);
    format!("{}… ({} bytes more)", &escaped[..end], escaped.len() - end)
}

/// A command as it can be pasted into a shell.
pub(crate) fn shell(words: &[String]) -> String {
    words
        .iter()
        .map(|word| shell_word(word))
        .collect::<Vec<_>>()
        .join(" ")
}

fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    if !word.chars().any(|c| c.is_control() || is_invisible(c)) {
        return format!("'{}'", word.replace('\'', r"'\''"));
    }
    let mut out = String::from("$'");
    for c in word.chars() {
        match c {
            '\'' | '\\' => out.extend(['\\', c]),
            c if c.is_control() || is_invisible(c) => {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    let _ = write!(out, "\\x{byte:02x}");
                }
            }
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_invisible_is_left() {
        assert_eq!(
            escape("a\x1b[2J\u{202e}b\u{9b}\n\u{7f}é"),
            "a\\u{1b}[2J\\u{202e}b\\u{9b}\\n\\u{7f}é"
        );
        for c in '\0'..=char::MAX {
            let escaped = escape(&c.to_string());
            assert!(
                !escaped.contains(|c: char| c.is_control() || is_invisible(c)),
                "{:x}",
                u32::from(c)
            );
        }
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let cut = line(&"é".repeat(1000));
        assert!(cut.len() < MAX_LINE + 40, "{cut}");
        assert!(cut.ends_with("bytes more)"));
        assert_eq!(line("short"), "short");
        let secret = line(&format!("{} --token hunter2", "é".repeat(150)));
        assert!(
            !secret.contains("hunter2"),
            "masked before it is cut: {secret}"
        );
    }

    #[test]
    fn commands_can_be_pasted() {
        let words = ["portcullis", "--args", r#"["it's"]"#, "", "a\x1b'"].map(str::to_owned);
        assert_eq!(
            shell(&words),
            r#"portcullis --args '["it'\''s"]' '' $'a\x1b\''"#
        );
    }
}
