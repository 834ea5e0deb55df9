//! Answers with long text, or with text meant for the terminal rather than the reader.

wit_bindgen::generate!({ path: "../../wit/cli-0.1.0", world: "plugin" });

struct Plugin;

/// Colour, a clipboard write (OSC 52), a window title (OSC 0), a device string (DCS), a C1 control, cursor
/// movement, a right-to-left override and a carriage return that would hide what stands before it.
const HOSTILE: &str = "begin \x1b[31mred\x1b[0m \x1b]52;c;aGVsbG8=\x07 \x1b]0;title\x1b\\ \x1bP1$r\x1b\\ \u{9b}31m \
                       \x1b[2A \u{202e}desrever\u{202c} hidden\rshown end";

impl Guest for Plugin {
    /// `long BYTES`, `control` or `control-err`.
    fn run(args: Vec<String>) -> Result<String, String> {
        match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["long", bytes] => Ok("x".repeat(bytes.parse().map_err(|_| "usage: long BYTES")?)),
            ["control"] => Ok(HOSTILE.to_owned()),
            ["control-err"] => Err(HOSTILE.to_owned()),
            _ => Err("usage: long BYTES | control | control-err".to_owned()),
        }
    }
}

export!(Plugin);
