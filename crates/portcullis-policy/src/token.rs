//! The tokens of argument patterns.

use crate::argv::ArgumentContext;
use crate::{FsAccess, InvalidPattern, url};

/// One token of a pattern for a whole argument list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArgToken {
    /// One of these texts, exactly.
    Literal(Vec<String>),
    /// `*`: any one argument that does not start with `-`, the empty one included.
    Any,
    /// `**`: any arguments, as many as there are. Policy files accept it only at the end.
    Rest,
    /// `<read>`: something that exists in a directory granted for reading.
    ReadPath,
    /// `<write>`: a path in a directory granted for writing.
    WritePath,
    /// `<new>`: a path in a directory granted for writing where nothing is yet.
    NewPath,
    /// `<int>`: decimal digits. No sign: `-9` is a flag to most programs.
    Int,
    /// `<word>`: `A-Z a-z 0-9 . _ / -`, not starting with `-`. A path is one too, `..` included.
    Word,
    /// `<url:…>`: an absolute URL; in the path `*` stands for one segment and a final `**` for any rest.
    Url(String),
    /// `x?`: the token, or nothing.
    Optional(Box<ArgToken>),
}

impl ArgToken {
    /// Reads one token of a pattern. A backslash takes the meaning from the character after it.
    ///
    /// # Errors
    /// For an unknown `<…>`, an empty alternative, or a URL with a wildcard in its host or inside a segment.
    pub fn parse(text: &str) -> Result<Self, InvalidPattern> {
        if let Some(inner) = text.strip_suffix('?').filter(|inner| !ends_escaped(inner)) {
            let twice = inner.ends_with('?') && !ends_escaped(&inner[..inner.len() - 1]);
            if inner.is_empty() || inner == "**" || twice {
                return Err(InvalidPattern::new(format!(
                    "`{text}` makes nothing optional"
                )));
            }
            return Ok(Self::Optional(Box::new(Self::parse(inner)?)));
        }
        if text.starts_with('<') && text.ends_with('>') {
            return Self::parse_class(text);
        }
        match text {
            "*" => Ok(Self::Any),
            "**" => Ok(Self::Rest),
            _ => Ok(Self::Literal(alternatives(text)?)),
        }
    }

    fn parse_class(text: &str) -> Result<Self, InvalidPattern> {
        match &text[1..text.len() - 1] {
            "read" => Ok(Self::ReadPath),
            "write" => Ok(Self::WritePath),
            "new" => Ok(Self::NewPath),
            "int" => Ok(Self::Int),
            "word" => Ok(Self::Word),
            class => match class.strip_prefix("url:") {
                Some(pattern) if url::is_pattern(pattern) => Ok(Self::Url(pattern.to_owned())),
                Some(_) => Err(InvalidPattern::new(format!(
                    "`{text}` needs a scheme and a host without `*`, and in its path `*` for a segment or a final `**`"
                ))),
                None => Err(InvalidPattern::new(format!(
                    "`{text}` is unknown: expected `<read>`, `<write>`, `<new>`, `<int>`, `<word>` or `<url:…>`"
                ))),
            },
        }
    }

    /// Writes a literal so that [`ArgToken::parse`] reads back exactly this text.
    pub fn escape(literal: &str) -> String {
        let mut out = String::with_capacity(literal.len());
        for (at, c) in literal.char_indices() {
            if matches!(c, '\\' | '|' | '?' | '*') || (c == '<' && at == 0) {
                out.push('\\');
            }
            out.push(c);
        }
        out
    }

    pub(crate) fn matches(&self, index: usize, token: &str, context: &ArgumentContext<'_>) -> bool {
        match self {
            Self::Literal(texts) => texts.iter().any(|text| text == token),
            Self::Any => !token.starts_with('-'),
            Self::Rest => true,
            Self::ReadPath => {
                !token.starts_with('-') && context.inside(index, FsAccess::Read, Some(true))
            }
            Self::WritePath => {
                !token.starts_with('-') && context.inside(index, FsAccess::ReadWrite, None)
            }
            Self::NewPath => {
                !token.starts_with('-') && context.inside(index, FsAccess::ReadWrite, Some(false))
            }
            Self::Int => !token.is_empty() && token.bytes().all(|b| b.is_ascii_digit()),
            Self::Word => {
                let plain =
                    |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '/' | '-');
                !token.is_empty() && !token.starts_with('-') && token.chars().all(plain)
            }
            Self::Url(pattern) => url::matches(pattern, token),
            Self::Optional(inner) => inner.matches(index, token, context),
        }
    }
}

fn ends_escaped(text: &str) -> bool {
    text.chars().rev().take_while(|&c| c == '\\').count() % 2 == 1
}

fn alternatives(text: &str) -> Result<Vec<String>, InvalidPattern> {
    let mut out = vec![String::new()];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let last = out.len() - 1;
        match c {
            '\\' => match chars.next() {
                Some(escaped) => out[last].push(escaped),
                None => {
                    return Err(InvalidPattern::new(format!(
                        "`{text}` ends in a `\\` that escapes nothing"
                    )));
                }
            },
            '|' => out.push(String::new()),
            '*' => {
                return Err(InvalidPattern::new(format!(
                    "`{text}`: `*` stands for a whole argument; escape it as `\\*`"
                )));
            }
            _ => out[last].push(c),
        }
    }
    if out.len() > 1 && out.iter().any(String::is_empty) {
        return Err(InvalidPattern::new(format!(
            "`{text}` has an empty alternative"
        )));
    }
    Ok(out)
}
