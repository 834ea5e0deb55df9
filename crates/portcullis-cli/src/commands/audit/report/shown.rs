//! Text of the trail, on its way into the page.

use maud::Render;
use portcullis_audit::mask;
use portcullis_policy::escape_within;

use crate::render::shell;

/// Bytes of one piece of text in the page.
const MAX: usize = 600;

/// Bytes of a command that is to be pasted.
const MAX_COMMAND: usize = 4_096;

/// A text that others chose: without secrets of a known form, its control, bidi and invisible characters written out, and
/// cut. It can be rendered as text and in no other way, and the page has no other text of the trail than this.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Shown(String);

impl Shown {
    pub(super) fn of(text: &str) -> Self {
        Self(escape_within(&mask(text), MAX, "…"))
    }

    /// A list of words as the trail has it, as it would be typed.
    pub(super) fn command(list: &str) -> Self {
        match serde_json::from_str::<Vec<String>>(list) {
            Ok(words) => Self::of(&shell(&words)),
            // It was cut.
            Err(_) => Self::of(list),
        }
    }

    /// A command to be pasted, which is whole or nothing.
    pub(super) fn to_paste(words: &[String]) -> Option<Self> {
        let command = shell(words);
        let text = escape_within(&mask(&command), MAX_COMMAND, "…");
        (text == command).then_some(Self(text))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Render for Shown {
    fn render_to(&self, buffer: &mut String) {
        self.0.render_to(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stays_text() {
        let rendered = |text: &str| Shown::of(text).render().into_string();
        assert_eq!(
            rendered("</td><script>a&b</script>\"'`"),
            "&lt;/td&gt;&lt;script&gt;a&amp;b&lt;/script&gt;&quot;'`"
        );
        assert_eq!(rendered("&lt;b&gt;"), "&amp;lt;b&amp;gt;");
        assert_eq!(
            rendered("a\u{202e}b\0c\x1b[2J\u{200b}\nd"),
            r"a\u{202e}b\u{0}c\u{1b}[2J\u{200b}\nd"
        );
        assert_eq!(rendered("--password=hunter2"), "--password=[masked]");
        assert!(rendered(&"é".repeat(65_536)).len() <= MAX);
    }

    #[test]
    fn a_command_is_as_it_would_be_typed() {
        let rendered = |text: &str| Shown::command(text).render().into_string();
        assert_eq!(rendered(r#"["git","log","a b"]"#), "git log 'a b'");
        assert_eq!(rendered(r#"["git","lo"#), r#"[&quot;git&quot;,&quot;lo"#);
    }

    #[test]
    fn a_command_to_be_pasted_is_whole_or_nothing() {
        let pasted = |word: &str| Shown::to_paste(&["x".to_owned(), word.to_owned()]);
        assert_eq!(pasted("\x1b'"), Some(Shown(r"x $'\x1b\''".to_owned())));
        assert_eq!(pasted("--password=hunter2"), None);
        assert_eq!(pasted(&"a".repeat(MAX_COMMAND)), None);
    }
}
