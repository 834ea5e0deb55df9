//! What a guest writes to a terminal: only text, colours and cursor movement come out, however the bytes are cut.

#[path = "../../portcullis-cli/src/render/terminal.rs"]
mod filter;

use filter::TerminalFilter;

use crate::Run;

/// Ends of the sequences that may come out, besides showing and hiding the cursor.
const HARMLESS: &[u8] = b"@ABCDEFGHJKLMPSTXdfmsu";

pub(crate) fn target() -> Run {
    Box::new(|data| {
        let whole = filtered(std::iter::once(data));
        let text = std::str::from_utf8(&whole).expect("what is shown is UTF-8");
        obeys_nothing(text);
        let size = data.first().map_or(1, |&byte| usize::from(byte % 7) + 1);
        assert_eq!(whole, filtered(data.chunks(1)), "cut after each byte");
        assert_eq!(whole, filtered(data.chunks(size)), "cut every {size} bytes");
        assert_eq!(
            whole,
            filtered(std::iter::once(&whole[..])),
            "what is harmless is left as it is"
        );
        keeps_text(data, text);
    })
}

fn filtered<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut filter = TerminalFilter::default();
    let mut out = Vec::new();
    for part in parts {
        out.extend(pass(&mut filter, part));
    }
    out
}

#[cfg(not(feature = "planted"))]
fn pass(filter: &mut TerminalFilter, part: &[u8]) -> Vec<u8> {
    filter.filter(part)
}

/// The bug: a report of the cursor's position is let through when it is asked for in the old way.
#[cfg(feature = "planted")]
fn pass(filter: &mut TerminalFilter, part: &[u8]) -> Vec<u8> {
    let mut out = filter.filter(part);
    if part.windows(4).any(|bytes| bytes == b"\x1b[6n") {
        out.extend_from_slice(b"\x1b[6n");
    }
    out
}

/// Reads the text as a terminal does, and finds nothing in it that makes one act, answer, or change its mode.
fn obeys_nothing(text: &str) {
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\n' | '\r' | '\t' | '\u{8}' => {}
            '\u{1b}' => rest = sequence(rest),
            _ => assert!(!c.is_control(), "the control character {c:?} came out"),
        }
    }
}

/// What follows a sequence whose escape character has been read.
fn sequence(rest: &str) -> &str {
    if rest.starts_with(['7', '8']) {
        return &rest[1..];
    }
    let body = rest
        .strip_prefix('[')
        .expect("only control sequences come out");
    let length = body.find(|c: char| !matches!(c, '0'..='9' | ';' | ':' | '?'));
    let (parameters, end) = body.split_at(length.expect("a sequence has an end"));
    let last = end.as_bytes()[0];
    let plain = !parameters.contains('?') && HARMLESS.contains(&last);
    let cursor = parameters == "?25" && matches!(last, b'h' | b'l');
    assert!(
        plain || cursor,
        "ESC [ {parameters} {} came out",
        char::from(last)
    );
    &end[1..]
}

/// What a parser of terminals that is not ours takes for text is still there. More may be: what it takes for a part of a
/// sequence that is dropped anyway.
fn keeps_text(data: &[u8], out: &str) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    // Of sequences that parser reads bytes, and terminals of today read characters; and it takes those of any length.
    let sequences = text.contains('\u{1b}') && (!text.is_ascii() || text.len() > 60);
    if sequences || text.chars().any(|c| ('\u{80}'..='\u{9f}').contains(&c)) {
        return;
    }
    let shown = printed(out);
    let mut shown = shown.chars();
    let kept = printed(text).chars().all(|c| shown.any(|other| other == c));
    assert!(kept, "text was lost: {text:?} became {out:?}");
}

/// What a terminal would print, without where.
fn printed(text: &str) -> String {
    #[derive(Default)]
    struct Printed(String);
    impl vte::Perform for Printed {
        fn print(&mut self, c: char) {
            // It prints DEL, and no terminal does.
            self.0.extend(Some(c).filter(|c| !c.is_control()));
        }
    }
    let mut printed = Printed::default();
    vte::Parser::new().advance(&mut printed, text.as_bytes());
    printed.0
}
