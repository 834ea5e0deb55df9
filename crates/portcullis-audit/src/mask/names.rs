//! Secrets that are told by the name that they are given under: options, variables, headers, keys.

use std::ops::Range;

use super::MASKED;
use super::tokens::alnum;

/// What the name of an option, a variable or a header has in it when its value is a secret.
const SECRET_PARTS: &[&str] = &[
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "sshpass",
    "apikey",
    "api-key",
    "api_key",
    "accesskey",
    "access-key",
    "access_key",
    "accountkey",
    "private-key",
    "private_key",
    "credential",
    "cookie",
    "bearer",
    "authorization",
    "signature",
];

/// The same for parts of other words, such as `bypass`: whole words of the name.
const SECRET_WORDS: &[&str] = &["pass", "pwd", "pw", "sas", "sig"];

/// Programs with options that take a secret and do not say so, and those options. With `-p` also `-pSECRET` is meant.
const QUIET: &[(&[&str], &[&str])] = &[
    (
        &["sshpass", "mongo", "mongosh", "mongodump", "mongorestore"],
        &["-p"],
    ),
    (
        &[
            "mysql",
            "mysqldump",
            "mysqladmin",
            "mariadb",
            "mariadb-dump",
            "7z",
            "7za",
        ],
        &["-p"],
    ),
    (&["docker", "podman", "helm", "az", "cf", "oc"], &["-p"]),
    (&["zip", "unzip", "zipcloak"], &["-P"]),
    (&["redis-cli"], &["-a"]),
    (
        &["ldapsearch", "ldapmodify", "ldapadd", "ldapdelete"],
        &["-w"],
    ),
    (&["sqlcmd"], &["-P"]),
];

/// Options that take a user with a password behind a colon or a percent sign.
const USERS: &[&str] = &["-u", "-U", "--user", "--proxy-user", "--auth", "-a"];

/// Whether a value under this name is a secret, as [`mask`](super::mask) has it.
#[must_use]
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let mut words = name.split(|c: char| !c.is_ascii_alphanumeric());
    SECRET_PARTS.iter().any(|part| name.contains(part))
        || words.any(|word| SECRET_WORDS.contains(&word))
}

/// Walks over an argument list.
#[derive(Debug, Default)]
pub(super) struct Options {
    /// The next argument is a secret, unless it is an option.
    follows: bool,
    /// The next argument may have a password behind a user.
    user_follows: bool,
    quiet: Vec<&'static str>,
}

impl Options {
    /// Where in the next argument of the list a secret begins that goes on to its end.
    pub(super) fn secret(&mut self, arg: &str) -> Option<usize> {
        let (follows, user_follows) = (self.follows, self.user_follows);
        (self.follows, self.user_follows) = (false, false);
        if !arg.starts_with('-') {
            let name = arg.rsplit('/').next().unwrap_or_default();
            let quiet = QUIET
                .iter()
                .filter(|(programs, _)| programs.contains(&name));
            self.quiet.extend(quiet.flat_map(|(_, options)| *options));
            return match () {
                () if follows => Some(0),
                () if user_follows => after_user(arg),
                () => value(arg),
            };
        }
        if let Some(option) = self.quiet.iter().find(|option| arg.starts_with(**option)) {
            self.follows = arg == *option;
            return (arg != *option).then_some(option.len());
        }
        if let Some((name, value)) = arg.split_once('=') {
            let user = USERS.contains(&name).then(|| after_user(value)).flatten();
            let start = name.len() + 1;
            return match user {
                Some(user) => Some(start + user),
                None => is_secret(name).then_some(start),
            };
        }
        self.follows = is_secret(arg);
        self.user_follows = USERS.contains(&arg);
        None
    }
}

/// Where the password begins in `user:password` or `user%password`. Two numbers are a user and a group.
fn after_user(text: &str) -> Option<usize> {
    let end = text.find([':', '%'])?;
    let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let numbers = is_number(&text[..end]) && is_number(&text[end + 1..]);
    (end + 1 < text.len() && !numbers).then_some(end + 1)
}

/// Where the value begins in `NAME=value` or `Name: value` under a secret's name.
fn value(arg: &str) -> Option<usize> {
    let end = arg.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-' | '.'))?;
    let value = match &arg[end..] {
        rest if rest.starts_with('=') => end + 1,
        rest if rest.starts_with(':') => end + 1 + rest[1..].len() - rest[1..].trim_start().len(),
        _ => return None,
    };
    (is_secret(&arg[..end]) && value < arg.len()).then_some(value)
}

/// What follows an option in a text: `--token x`, and `"--token", "x"` in a list.
pub(super) fn option(text: &str, at: usize) -> Option<Range<usize>> {
    let before = text[..at].bytes().next_back();
    if before.is_some_and(|b| alnum(b) || matches!(b, b'-' | b'_')) {
        return None;
    }
    let rest = &text[at..];
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_'))?;
    let name = &rest[..end];
    let is_user = USERS.contains(&name);
    if !is_secret(name) && !is_user && !is_quiet(&text[..at], name) {
        return None;
    }
    let (separator, quote) = ["\", \"", "\",\"", "', '", "' '", " '", " \"", " "]
        .into_iter()
        .find(|separator| rest[end..].starts_with(separator))
        .map(|separator| (separator, separator.chars().next_back()))?;
    let start = at + end + separator.len();
    let range = quoted(text, start, quote.filter(|quote| *quote != ' '))?;
    let value = &text[range.clone()];
    if is_user && !is_quiet(&text[..at], name) {
        return span(
            text,
            range.start + after_user(value)?,
            Some(value.len() - after_user(value)?),
        );
    }
    (!value.starts_with('-')).then_some(range)
}

/// Whether a program that was named before takes a secret with this option.
fn is_quiet(before: &str, option: &str) -> bool {
    let mut words = before.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_'));
    words.any(|word| {
        let mut quiet = QUIET.iter();
        quiet.any(|(programs, options)| programs.contains(&word) && options.contains(&option))
    })
}

/// What follows the `=` or `:` at `at`, if a secret's name stands before it. A colon stands in prose too, so before it
/// only the name of a header or of a key in quotes counts.
pub(super) fn named(text: &str, at: usize) -> Option<Range<usize>> {
    let before = text[..at].trim_end_matches('"');
    let is_key = before.len() < at;
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let name = before.rfind(|c| !part(c)).map_or(before, |last| {
        let next = last + before[last..].chars().next().map_or(1, char::len_utf8);
        &before[next..]
    });
    let is_header = name.starts_with(|c: char| c.is_ascii_uppercase());
    if !is_secret(name) || (text[at..].starts_with(':') && !is_key && !is_header) {
        return None;
    }
    let rest = &text[at + 1..];
    let start = at + 1 + rest.len() - rest.trim_start_matches(' ').len();
    let quote = text[start..]
        .chars()
        .next()
        .filter(|c| matches!(c, '"' | '\''));
    let start = start + quote.map_or(0, char::len_utf8);
    // A header may have several words: `Authorization: Token x`, `Cookie: a=b; c=d`.
    match quote {
        None if is_header && text[at..].starts_with(':') => {
            let value = &text[start..];
            let value = &value[..value.find(['"', '\'', '\n']).unwrap_or(value.len())];
            // The scheme of an authorization is no secret, and worth knowing.
            let scheme = value
                .split_once(' ')
                .map_or(0, |(scheme, _)| scheme.len() + 1);
            let is_authorization = name.to_ascii_lowercase().ends_with("authorization");
            let kept = if is_authorization { scheme } else { 0 };
            span(text, start + kept, Some(value.len() - kept))
        }
        quote => quoted(text, start, quote),
    }
}

/// From `start` to the quote, or to the end of the word.
fn quoted(text: &str, start: usize, quote: Option<char>) -> Option<Range<usize>> {
    let end = match quote {
        Some(quote) => closing(&text[start..], quote),
        None => text[start..].find(|c: char| c.is_whitespace() || "\"'`,;&)]}".contains(c)),
    };
    span(text, start, end)
}

/// The first such quote that has no backslash before it.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Some(at),
            _ => {}
        }
    }
    None
}

fn span(text: &str, start: usize, end: Option<usize>) -> Option<Range<usize>> {
    let end = end.map_or(text.len(), |end| start + end);
    (start < end && !text[start..].starts_with(MASKED)).then_some(start..end)
}
