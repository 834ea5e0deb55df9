//! The rule language for arguments: lists of tokens against lists of tokens, never text against a joined line.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::{FsAccess, FsGrant};

/// Which arguments a rule is about. Without any part, all arguments match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArgumentRule {
    /// A pattern for the whole list; when it is there, the other parts are not used.
    pub args: Option<Vec<ArgToken>>,
    /// The sub-commands: the first argument that is not a global flag must be one of them.
    pub sub: Option<Vec<String>>,
    /// Flags allowed before the sub-command. Without them none is: `git -c …` and `git -C …` need to be listed.
    pub global_flags: Vec<FlagPattern>,
    /// The only flags allowed after the sub-command; `--` is one of them.
    pub flags: Option<Vec<FlagPattern>>,
    /// Flags refused although `flags` would let them pass. Weak: it has to know every spelling.
    pub deny_flags: Vec<FlagPattern>,
    /// If present, each argument that is a path must lie in a directory granted with this access.
    pub paths: Option<PathAccess>,
}

/// What the arguments of a command that are paths must be granted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PathAccess {
    /// Inside a directory granted for reading.
    Read,
    /// Inside a directory granted for writing.
    Write,
}

impl PathAccess {
    const fn needs(self) -> FsAccess {
        match self {
            Self::Read => FsAccess::Read,
            Self::Write => FsAccess::ReadWrite,
        }
    }
}

/// An argument, or the value of a `--flag=value`, that names a path; resolved by the host before the decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArgPath {
    /// Which argument.
    pub index: usize,
    /// The real path of what is there, or of its directory joined with the name when nothing is there yet.
    pub real: PathBuf,
    /// Whether something is there.
    pub exists: bool,
}

/// One flag of an allow list: exact (`--stat`), or with any value (`--format=*`, `-n*`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct FlagPattern(String);

/// A pattern that has no meaning.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidPattern(String);

impl FlagPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// When it does not start with `-`, is `-`, or has a `*` anywhere but at its end.
    pub fn parse(text: &str) -> Result<Self, InvalidPattern> {
        let body = text.strip_suffix('*').unwrap_or(text);
        if !text.starts_with('-') || matches!(text, "-" | "-*" | "--*") {
            Err(InvalidPattern(format!("`{text}` is not a flag: write `-x`, `--long` or `--long=*`")))
        } else if body.contains('*') {
            Err(InvalidPattern(format!("`{text}` has a `*` inside: only a trailing `*` stands for a value")))
        } else {
            Ok(Self(text.to_owned()))
        }
    }

    fn allows(&self, token: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(prefix) => token.len() >= prefix.len() && token.starts_with(prefix),
            None => token == self.0,
        }
    }

    /// Every spelling that could mean this flag: with a value, inside a cluster, abbreviated.
    fn could_mean(&self, token: &str) -> bool {
        let flag = self.0.trim_end_matches('*').trim_end_matches('=');
        let name = token.split('=').next().unwrap_or(token);
        if flag.starts_with("--") {
            name.len() > 2 && flag.starts_with(name)
        } else {
            let letter = flag.chars().nth(1);
            !token.starts_with("--") && letter.is_some_and(|letter| token.chars().skip(1).any(|c| c == letter))
        }
    }
}

/// One token of a pattern for a whole argument list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArgToken {
    /// One of these texts, exactly.
    Literal(Vec<String>),
    /// `*`: any one argument that does not start with `-`.
    Any,
    /// `**`: all that follow, whatever they are. Only at the end.
    Rest,
    /// `<read>`: something that exists in a directory granted for reading.
    ReadPath,
    /// `<write>`: a path in a directory granted for writing.
    WritePath,
    /// `<new>`: a path in a directory granted for writing where nothing is yet.
    NewPath,
    /// `<int>`: a decimal integer.
    Int,
    /// `<word>`: `A-Z a-z 0-9 . _ / -`, not starting with `-`.
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
    /// For an unknown `<…>`, an empty alternative, or a URL with a wildcard in its host.
    pub fn parse(text: &str) -> Result<Self, InvalidPattern> {
        if let Some(inner) = text.strip_suffix('?').filter(|inner| !ends_escaped(inner)) {
            if inner.is_empty() || inner == "**" {
                return Err(InvalidPattern(format!("`{text}` makes nothing optional")));
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
                Some(url) if url_host(url).is_some_and(|host| !host.is_empty() && !host.contains('*')) => {
                    Ok(Self::Url(url.to_owned()))
                }
                Some(_) => Err(InvalidPattern(format!("`{text}` needs a scheme and a host without `*`"))),
                None => Err(InvalidPattern(format!(
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

    fn matches(&self, index: usize, token: &str, context: &ArgumentContext<'_>) -> bool {
        match self {
            Self::Literal(texts) => texts.iter().any(|text| text == token),
            Self::Any => !token.starts_with('-'),
            Self::Rest => true,
            Self::ReadPath => !token.starts_with('-') && context.inside(index, FsAccess::Read, Some(true)),
            Self::WritePath => !token.starts_with('-') && context.inside(index, FsAccess::ReadWrite, None),
            Self::NewPath => !token.starts_with('-') && context.inside(index, FsAccess::ReadWrite, Some(false)),
            Self::Int => {
                let digits = token.strip_prefix('-').unwrap_or(token);
                !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
            }
            Self::Word => {
                let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '/' | '-');
                !token.is_empty() && !token.starts_with('-') && token.chars().all(plain)
            }
            Self::Url(pattern) => url_matches(pattern, token),
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
                None => return Err(InvalidPattern(format!("`{text}` ends in a `\\` that escapes nothing"))),
            },
            '|' => out.push(String::new()),
            '*' => {
                return Err(InvalidPattern(format!("`{text}`: `*` stands for a whole argument; escape it as `\\*`")));
            }
            _ => out[last].push(c),
        }
    }
    if out.len() > 1 && out.iter().any(String::is_empty) {
        return Err(InvalidPattern(format!("`{text}` has an empty alternative")));
    }
    Ok(out)
}

fn url_host(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let named = !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+');
    named.then(|| rest.split(['/', '?', '#']).next().unwrap_or(rest))
}

fn url_matches(pattern: &str, token: &str) -> bool {
    let plain = token.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'\\' | b'@' | b'"'));
    // A dot segment, plain or percent-encoded, would leave the path that was granted.
    let dots = |part: &str| {
        let part = part.to_ascii_lowercase().replace("%2e", ".");
        part == "." || part == ".."
    };
    if !plain || token.split(['/', '?', '#']).any(dots) || url_host(pattern) != url_host(token) {
        return false;
    }
    let mut pattern = pattern.split('/');
    let mut token = token.split('/');
    loop {
        match (pattern.next(), token.next()) {
            (None, None) => return true,
            (Some("**"), _) => return pattern.next().is_none(),
            (Some("*"), Some(segment)) if !segment.is_empty() => {}
            (Some(expected), Some(segment)) if expected == segment => {}
            (None | Some(_), None | Some(_)) => return false,
        }
    }
}

/// What an argument rule needs to know besides the arguments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ArgumentContext<'a> {
    pub(crate) paths: &'a [ArgPath],
    pub(crate) grants: &'a [FsGrant],
}

impl ArgumentContext<'_> {
    fn inside(&self, index: usize, access: FsAccess, exists: Option<bool>) -> bool {
        let mut resolved = self.paths.iter().filter(|path| path.index == index).peekable();
        resolved.peek().is_some()
            && resolved.all(|path| {
                exists.is_none_or(|wanted| wanted == path.exists) && granted(self.grants, &path.real, access)
            })
    }
}

fn granted(grants: &[FsGrant], real: &Path, access: FsAccess) -> bool {
    grants.iter().any(|grant| grant.access >= access && real.starts_with(&grant.host))
}

/// Why the arguments are not what a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Which argument, counted from 1; one more than there are when one is missing.
    pub position: usize,
    /// What is wrong with it, for the operator.
    pub reason: String,
}

impl ArgumentRule {
    /// Whether the rule says anything about arguments at all.
    pub fn is_any(&self) -> bool {
        *self == Self::default()
    }

    /// Whether deciding by this rule needs the arguments that are paths resolved first.
    pub fn needs_paths(&self) -> bool {
        fn wants(token: &ArgToken) -> bool {
            match token {
                ArgToken::ReadPath | ArgToken::WritePath | ArgToken::NewPath => true,
                ArgToken::Optional(inner) => wants(inner),
                ArgToken::Literal(_)
                | ArgToken::Any
                | ArgToken::Rest
                | ArgToken::Int
                | ArgToken::Word
                | ArgToken::Url(_) => false,
            }
        }
        self.paths.is_some() || self.args.iter().flatten().any(wants)
    }

    /// Checks the arguments of an `allow` rule: everything that is not listed is a mismatch.
    pub(crate) fn allows(&self, args: &[String], context: &ArgumentContext<'_>) -> Result<(), Mismatch> {
        match &self.args {
            Some(pattern) => match_all(pattern, args, 0, context),
            None => self.allows_options(args, context),
        }
    }

    fn allows_options(&self, args: &[String], context: &ArgumentContext<'_>) -> Result<(), Mismatch> {
        let mut rest = 0;
        if let Some(sub) = &self.sub {
            rest = self.sub_command(sub, args)? + 1;
        }
        let mut flags_end = false;
        for (index, token) in args.iter().enumerate().skip(rest) {
            let flag = !flags_end && token.len() > 1 && token.starts_with('-');
            if flag && self.flags.as_ref().is_some_and(|flags| !flag_allowed(flags, token)) {
                return Err(mismatch(index, format!("`{token}` is not one of its flags")));
            }
            if flag && self.deny_flags.iter().any(|denied| denied.could_mean(token)) {
                return Err(mismatch(index, format!("`{token}` could mean a flag it denies")));
            }
            flags_end |= token == "--";
        }
        if let Some(access) = self.paths {
            let outside = context.paths.iter().find(|path| !granted(context.grants, &path.real, access.needs()));
            if let Some(path) = outside {
                return Err(mismatch(path.index, "the path is in no directory granted for it".to_owned()));
            }
        }
        Ok(())
    }

    fn sub_command(&self, sub: &[String], args: &[String]) -> Result<usize, Mismatch> {
        for (index, token) in args.iter().enumerate() {
            if token.starts_with('-') {
                if !flag_allowed(&self.global_flags, token) {
                    return Err(mismatch(index, format!("`{token}` stands before the sub-command")));
                }
            } else if sub.contains(token) {
                return Ok(index);
            } else {
                return Err(mismatch(index, format!("`{token}` is not one of its sub-commands")));
            }
        }
        Err(mismatch(args.len(), "the sub-command is missing".to_owned()))
    }

    /// Checks the arguments of a `deny` rule: whatever could mean what it names matches.
    pub(crate) fn denies(&self, args: &[String], context: &ArgumentContext<'_>) -> bool {
        if let Some(pattern) = &self.args {
            return match_all(pattern, args, 0, context).is_ok();
        }
        let sub = self.sub.as_ref().is_none_or(|sub| args.iter().any(|token| sub.contains(token)));
        let flags = self.flags.as_deref().unwrap_or_default();
        let flag = flags.is_empty()
            || args
                .iter()
                .take_while(|token| *token != "--")
                .any(|token| token.starts_with('-') && flags.iter().any(|flag| flag.could_mean(token)));
        sub && flag
    }
}

fn mismatch(index: usize, reason: String) -> Mismatch {
    Mismatch { position: index + 1, reason }
}

/// A flag is allowed as written; a cluster of short flags when each letter is.
fn flag_allowed(flags: &[FlagPattern], token: &str) -> bool {
    let exact = |token: &str| flags.iter().any(|flag| flag.allows(token));
    let cluster = !token.starts_with("--") && token.len() > 2 && token[1..].bytes().all(|b| b.is_ascii_alphabetic());
    exact(token) || (cluster && token[1..].chars().all(|letter| exact(&format!("-{letter}"))))
}

fn match_all(
    pattern: &[ArgToken],
    args: &[String],
    index: usize,
    context: &ArgumentContext<'_>,
) -> Result<(), Mismatch> {
    let Some((token, pattern_rest)) = pattern.split_first() else {
        return match args.get(index) {
            None => Ok(()),
            Some(extra) => Err(mismatch(index, format!("`{extra}` is one too many"))),
        };
    };
    if matches!(token, ArgToken::Rest) {
        return Ok(());
    }
    let taken = match args.get(index) {
        Some(text) if token.matches(index, text, context) => match_all(pattern_rest, args, index + 1, context),
        Some(text) => Err(mismatch(index, format!("`{text}` is not what its pattern has there"))),
        None => Err(mismatch(index, "an argument is missing".to_owned())),
    };
    match (token, taken) {
        (ArgToken::Optional(_), Err(taken)) => match_all(pattern_rest, args, index, context).map_err(|skipped| {
            if skipped.position > taken.position { skipped } else { taken }
        }),
        (_, taken) => taken,
    }
}
