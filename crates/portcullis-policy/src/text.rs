//! Guest text in operators' messages: escaped, so that no terminal obeys it, and cut.

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
    use super::{json_list, shown};

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
    fn argument_lists_are_json() {
        let args = ["a\"b\\c", "\n\0\u{1b}", "\u{202e}\u{e0001}", "ü'", ""].map(str::to_owned);
        assert_eq!(
            json_list(&args),
            r#"["a\"b\\c", "\u000a\u0000\u001b", "\u202e\udb40\udc01", "ü'", ""]"#
        );
        assert_eq!(json_list(&[]), "[]");
    }
}
