//! Text that others chose, made harmless to read: nothing in it moves the cursor or turns the writing around.

use std::fmt::Write;

use portcullis_audit::mask;
pub(crate) use portcullis_policy::escape;
use portcullis_policy::is_unseen;

/// Bytes of one line of a report: 256 of a guest's text, and our words around it.
const MAX_LINE: usize = 400;

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
    if !word.chars().any(|c| c.is_control() || is_unseen(c)) {
        return format!("'{}'", word.replace('\'', r"'\''"));
    }
    let mut out = String::from("$'");
    for c in word.chars() {
        match c {
            '\'' | '\\' => out.extend(['\\', c]),
            c if c.is_control() || is_unseen(c) => {
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
