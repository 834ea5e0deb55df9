//! Flags in argument rules.

use serde::Serialize;

use crate::InvalidPattern;

/// One flag of an allow list: exact (`--stat`), or with any value (`--format=*`, `-n*`).
///
/// `-n*` is for a flag that takes a value: where `-n` takes none, `-nX` is two flags, and `-n*` allows both. Of single
/// letters any cluster is allowed, so `-x -e -c` also allow `-exec` of a program that spells long flags with one dash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct FlagPattern(String);

impl FlagPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// When it does not start with `-`, is `-`, has a `*` anywhere but at its end, or is a long flag whose `*` does not
    /// follow a `=` (`--ex*` would allow every flag that starts so).
    pub fn parse(text: &str) -> Result<Self, InvalidPattern> {
        let body = text.strip_suffix('*').unwrap_or(text);
        if !text.starts_with('-') || matches!(text, "-" | "-*" | "--*") {
            Err(InvalidPattern::new(format!(
                "`{text}` is not a flag: write `-x`, `--long` or `--long=*`"
            )))
        } else if body.contains('*') {
            Err(InvalidPattern::new(format!(
                "`{text}` has a `*` inside: only a trailing `*` stands for a value"
            )))
        } else if text.starts_with("--") && body != text && !body.ends_with('=') {
            Err(InvalidPattern::new(format!(
                "`{text}` would allow every flag that starts so: write `{body}=*`"
            )))
        } else {
            Ok(Self(text.to_owned()))
        }
    }

    fn allows(&self, token: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(prefix) => token.starts_with(prefix),
            None => token == self.0,
        }
    }

    /// Every spelling that could mean this flag: with a value, inside a cluster, abbreviated, with one dash or two.
    pub(crate) fn could_mean(&self, token: &str) -> bool {
        let flag = bare(self.0.trim_end_matches('*'));
        let name = bare(token);
        if !token.starts_with('-') || flag.is_empty() || name.is_empty() {
            return self.0 == token;
        }
        let one_dash = !token.starts_with("--");
        if flag.chars().count() == 1 {
            name == flag || one_dash && token[1..].contains(flag)
        } else {
            // `-f` is a flag of its own, `--f` and `-fo` can be short for `--force`; `-fr` is `-rf`.
            let abbreviated = flag.starts_with(name) && (!one_dash || name.chars().count() > 1);
            let clustered =
                one_dash && !self.0.starts_with("--") && flag.chars().all(|c| name.contains(c));
            abbreviated || clustered
        }
    }
}

/// A flag's name: without its dashes and its value.
fn bare(flag: &str) -> &str {
    let name = flag.trim_start_matches('-');
    name.split('=').next().unwrap_or(name)
}

/// A flag is allowed as written; a cluster of short flags when each letter is.
pub(crate) fn is_allowed(flags: &[FlagPattern], token: &str) -> bool {
    let exact = |token: &str| flags.iter().any(|flag| flag.allows(token));
    let cluster = !token.starts_with("--")
        && token.len() > 2
        && token[1..].bytes().all(|b| b.is_ascii_alphabetic());
    exact(token)
        || (cluster
            && token[1..]
                .chars()
                .all(|letter| exact(&format!("-{letter}"))))
}

/// Whether an argument is a flag, as long as flags have not ended. `-` alone is standard input.
pub(crate) fn is_flag(token: &str) -> bool {
    token.len() > 1 && token.starts_with('-')
}

/// Whether a flag could take the argument after it for its value; `--long=value` has one, and `--` takes none.
pub(crate) fn could_take_value(token: &str) -> bool {
    is_flag(token) && token != "--" && !(token.starts_with("--") && token.contains('='))
}
