//! Masking: secrets that are recognised by their form never reach the trail.
//!
//! A guard for the usual accidents (a token in an argument, a password in a URL), not a proof: a
//! secret without a recognisable form passes. So secrets do not belong in arguments at all.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A masked text longer than this many bytes is cut.
pub const MAX_TEXT: usize = 256;
/// Of a longer argument list, only this many are written.
pub const MAX_ARGS: usize = 64;

/// Text that went through [`mask`] and was cut to a length worth keeping.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Masked(String);

impl Masked {
    /// Masks a text and cuts it to [`MAX_TEXT`] bytes.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Masked(cut(mask(text)))
    }

    /// Masks an argument list and writes it as a JSON list of strings.
    ///
    /// Beside what [`mask`] knows, the value of an option whose name speaks of a secret is masked,
    /// as in `--password=x` and `--token x`. Each argument is cut to [`MAX_TEXT`] bytes, the list to
    /// [`MAX_ARGS`] arguments.
    ///
    /// ```
    /// use portcullis_audit::Masked;
    ///
    /// let argv = Masked::argv(["curl", "-sS", "--token", "hunter2", "https://me:pw@example.com"]);
    /// assert_eq!(argv.as_str(), r#"["curl","-sS","--token","[masked]","https://[masked]@example.com"]"#);
    /// ```
    #[must_use]
    pub fn argv<I>(args: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let mut list: Vec<serde_json::Value> = Vec::new();
        let mut beyond = 0_usize;
        let mut secret_follows = false;
        for arg in args {
            if list.len() == MAX_ARGS {
                beyond += 1;
                continue;
            }
            let arg = arg.as_ref();
            let is_option = arg.starts_with('-');
            let text = match arg.split_once('=') {
                _ if secret_follows && !is_option => "[masked]".to_owned(),
                Some((name, _)) if names_a_secret(name) => format!("{}=[masked]", cut(mask(name))),
                _ => cut(mask(arg)),
            };
            secret_follows = is_option && !arg.contains('=') && names_a_secret(arg);
            list.push(text.into());
        }
        if beyond > 0 {
            list.push(format!("(+{beyond} arguments)").into());
        }
        Masked(serde_json::Value::from(list).to_string())
    }

    /// The masked text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One form of token: a fixed beginning and what may follow it.
struct Token {
    prefix: &'static str,
    body: fn(u8) -> bool,
    /// Fewer body bytes than this are a word that happens to begin so.
    least: usize,
    /// The beginning is also part of ordinary words, so it counts at the start of one only.
    at_word_start: bool,
}

const fn token(prefix: &'static str, body: fn(u8) -> bool, least: usize) -> Token {
    Token {
        prefix,
        body,
        least,
        at_word_start: false,
    }
}

const fn word(prefix: &'static str, body: fn(u8) -> bool, least: usize) -> Token {
    Token {
        prefix,
        body,
        least,
        at_word_start: true,
    }
}

fn alnum(b: u8) -> bool {
    b.is_ascii_alphanumeric()
}

fn upper(b: u8) -> bool {
    b.is_ascii_uppercase() || b.is_ascii_digit()
}

fn snake(b: u8) -> bool {
    alnum(b) || b == b'_'
}

fn url_safe(b: u8) -> bool {
    alnum(b) || matches!(b, b'_' | b'-')
}

fn dotted(b: u8) -> bool {
    url_safe(b) || b == b'.'
}

/// Tokens known by their beginning: GitHub, AWS, the `sk-` family, Slack, GitLab, npm, PyPI, Google.
const TOKENS: &[Token] = &[
    token("ghp_", alnum, 16),
    token("gho_", alnum, 16),
    token("ghu_", alnum, 16),
    token("ghs_", alnum, 16),
    token("ghr_", alnum, 16),
    token("github_pat_", snake, 16),
    token("AKIA", upper, 12),
    token("ASIA", upper, 12),
    word("sk-", url_safe, 16),
    token("xoxa-", url_safe, 10),
    token("xoxb-", url_safe, 10),
    token("xoxp-", url_safe, 10),
    token("xoxr-", url_safe, 10),
    token("xoxs-", url_safe, 10),
    token("glpat-", dotted, 16),
    token("npm_", alnum, 16),
    word("pypi-", url_safe, 16),
    token("AIza", url_safe, 24),
    token("ya29.", dotted, 16),
];

/// Words in the name of an option or variable that say its value is a secret.
const SECRET_WORDS: &[&str] = &[
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "apikey",
    "api-key",
    "api_key",
    "access-key",
    "access_key",
    "private-key",
    "private_key",
    "credential",
    "cookie",
    "bearer",
    "authorization",
];

fn names_a_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

/// Replaces what has the form of a secret, keeping the beginning that tells its kind.
///
/// Known forms: tokens of GitHub, GitLab, AWS, Google, Slack, npm, PyPI and the `sk-` family; JSON web
/// tokens; private key blocks; user and password of a URL; credentials after `Bearer` and `Basic`.
///
/// ```
/// # use portcullis_audit::mask;
/// assert_eq!(mask("git log --oneline"), "git log --oneline");
/// assert_eq!(mask("https://me:pw@example.com/x"), "https://[masked]@example.com/x");
/// ```
#[must_use]
pub fn mask(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut masked = String::new();
    let mut kept = 0; // `text[..kept]` is in `masked` already
    let mut at = 0;
    while at < bytes.len() {
        match find_secret(text, at) {
            Some(secret) => {
                masked.push_str(&text[kept..secret.start]);
                masked.push_str("[masked]");
                kept = secret.end;
                at = secret.end.max(at + 1);
            }
            None => at += 1,
        }
    }
    if kept == 0 && masked.is_empty() {
        return Cow::Borrowed(text);
    }
    masked.push_str(&text[kept..]);
    Cow::Owned(masked)
}

/// The bytes to replace, if a secret's marker begins at `at`.
fn find_secret(text: &str, at: usize) -> Option<std::ops::Range<usize>> {
    let rest = &text.as_bytes()[at..];
    let in_word = at > 0 && alnum(text.as_bytes()[at - 1]);
    match rest[0] {
        b'-' => private_key(text, at),
        b':' => userinfo(text, at),
        b'e' => json_web_token(rest, at),
        b'B' | b'b' if !in_word => credentials(rest, at),
        _ => None,
    }
    .or_else(|| {
        TOKENS.iter().find_map(|token| {
            let body = rest.strip_prefix(token.prefix.as_bytes())?;
            let length = body.iter().take_while(|b| (token.body)(**b)).count();
            let start = at + token.prefix.len();
            let whole = length >= token.least && !(token.at_word_start && in_word);
            whole.then_some(start..start + length)
        })
    })
}

/// `-----BEGIN … PRIVATE KEY-----` up to the end of its end line, or of the text.
fn private_key(text: &str, at: usize) -> Option<std::ops::Range<usize>> {
    let rest = text.get(at..)?.strip_prefix("-----BEGIN ")?;
    let label = &rest[..rest.find("-----")?];
    if !label.contains("PRIVATE KEY") || label.len() > 64 {
        return None;
    }
    let start = at + "-----BEGIN ".len() + label.len() + "-----".len();
    let end = text[start..]
        .find("-----END ")
        .map_or(text.len(), |offset| start + offset);
    Some(start..end)
}

/// The part before `@` in `scheme://…@host`. A lone user name of ssh is no secret.
fn userinfo(text: &str, at: usize) -> Option<std::ops::Range<usize>> {
    let authority = text.get(at..)?.strip_prefix("://")?;
    let ends = |c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'');
    let authority = &authority[..authority.find(ends).unwrap_or(authority.len())];
    let user = &authority[..authority.rfind('@')?];
    let lone_ssh_user = text[..at].ends_with("ssh") && !user.contains(':');
    let start = at + "://".len();
    (!user.is_empty() && !lone_ssh_user).then_some(start..start + user.len())
}

/// `eyJ….eyJ….…`: two base64url parts that begin with `{"`, and a signature.
fn json_web_token(rest: &[u8], at: usize) -> Option<std::ops::Range<usize>> {
    let header = rest.strip_prefix(b"eyJ")?;
    let length = header.iter().take_while(|b| url_safe(**b)).count();
    header[length..].strip_prefix(b".eyJ")?;
    let whole = rest.iter().take_while(|b| dotted(**b)).count();
    Some(at + "eyJ".len()..at + whole)
}

/// What follows `Bearer ` or `Basic `, as in an HTTP header.
fn credentials(rest: &[u8], at: usize) -> Option<std::ops::Range<usize>> {
    let scheme = ["bearer ", "basic "].iter().find(|scheme| {
        rest.get(..scheme.len())
            .is_some_and(|b| b.eq_ignore_ascii_case(scheme.as_bytes()))
    })?;
    let value = &rest[scheme.len()..];
    let length = value
        .iter()
        .take_while(|b| dotted(**b) || matches!(b, b'+' | b'/' | b'=' | b'~'))
        .count();
    let start = at + scheme.len();
    (length >= 8).then_some(start..start + length)
}

fn cut(text: Cow<'_, str>) -> String {
    if text.len() <= MAX_TEXT {
        return text.into_owned();
    }
    let end = text.floor_char_boundary(MAX_TEXT);
    format!("{}…(+{} bytes)", &text[..end], text.len() - end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_text_is_not_touched() {
        for text in [
            "",
            "git log --oneline -n 20",
            "npm_config_registry",
            "risk-assessment-of-the-whole-system",
            "task-force-alpha-2026-report",
            "https://example.com:8443/a@b?c=d@e",
            "ssh://git@github.com/owner/name.git",
            "git@github.com:owner/name.git",
            "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
            "the bearer of this",
            "basic setup",
            "übergrößenträger — “quoted” ☂",
        ] {
            assert!(
                matches!(mask(text), Cow::Borrowed(same) if same == text),
                "{text}"
            );
        }
    }

    #[test]
    fn each_form_is_masked_and_its_kind_stays_readable() {
        for (text, expected) in [
            ("ghp_0123456789abcdefghijABCDEFGHIJ012345", "ghp_[masked]"),
            ("x=AKIAIOSFODNN7EXAMPLE;", "x=AKIA[masked];"),
            ("key sk-proj-abcdefghijklmnop", "key sk-[masked]"),
            ("eyJhbGciOiJI.eyJzdWIiOiIx.c2ln end", "eyJ[masked] end"),
            (
                "https://ghp_0123456789abcdef0123@h/x",
                "https://[masked]@h/x",
            ),
            ("ssh://me:pw@host", "ssh://[masked]@host"),
            (
                "Authorization: Bearer abcdefgh.ijkl",
                "Authorization: Bearer [masked]",
            ),
            (
                "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY----- x",
                "-----BEGIN RSA PRIVATE KEY-----[masked]-----END RSA PRIVATE KEY----- x",
            ),
            (
                "-----BEGIN PRIVATE KEY-----\nMIIE",
                "-----BEGIN PRIVATE KEY-----[masked]",
            ),
        ] {
            assert_eq!(mask(text), expected);
        }
    }

    #[test]
    fn options_named_after_secrets_lose_their_values() {
        let argv = Masked::argv([
            "p",
            "--password=x y",
            "--api-key",
            "k",
            "--token",
            "--verbose",
            "GH_TOKEN=z",
            "-n",
        ]);
        assert_eq!(
            argv.as_str(),
            r#"["p","--password=[masked]","--api-key","[masked]","--token","--verbose","GH_TOKEN=[masked]","-n"]"#
        );
    }

    #[test]
    fn long_texts_and_lists_are_cut_after_masking() {
        let text = format!("{}é", "a".repeat(MAX_TEXT - 1));
        assert_eq!(
            Masked::new(&text).as_str(),
            format!("{}…(+2 bytes)", "a".repeat(MAX_TEXT - 1))
        );
        let argv = Masked::argv(std::iter::repeat_n("a", MAX_ARGS + 3));
        assert!(
            argv.as_str().ends_with(r#""a","(+3 arguments)"]"#),
            "{argv}"
        );
        assert!(
            Masked::argv(std::iter::repeat_n("a", MAX_ARGS))
                .as_str()
                .ends_with(r#""a"]"#)
        );
    }
}
