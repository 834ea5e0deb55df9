//! Masking: secrets that are recognised by their form never reach the trail.
//!
//! A guard for the usual accidents (a token in an argument, a password in a URL), not a proof: a
//! secret without a recognisable form passes. So secrets do not belong in arguments at all.

mod names;
mod tokens;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use names::Options;
pub use names::is_secret as is_secret_name;
use serde::{Deserialize, Serialize};
use tokens::{alnum, beginning_with, dotted, url_safe};

/// A masked text longer than this many bytes is cut.
pub const MAX_TEXT: usize = 256;
/// Of a longer text only so many bytes are looked at: a guest decides how long it is.
const LOOKED_AT: usize = 4096;
/// Bytes before the end of what is looked at that are never kept.
const SEAM: usize = 512;
/// Of a longer argument list, only this many are written.
pub const MAX_ARGS: usize = 64;
/// What stands in place of a secret.
const MASKED: &str = "[masked]";

/// Text that went through [`mask`] and was cut to a length worth keeping.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Masked(String);

impl Masked {
    /// Masks a text and cuts it to [`MAX_TEXT`] bytes.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Masked(kept(text))
    }

    /// Masks an argument list and writes it as a JSON list of strings.
    ///
    /// Beside what [`mask`] knows, the value of an option whose name speaks of a secret is masked,
    /// as in `--password=x` and `--token x`, and of the options of common programs that do so without saying it, as in
    /// `sshpass -p x` and `curl -u me:x`. Each argument is cut to [`MAX_TEXT`] bytes, the list to
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
        let mut options = Options::default();
        for arg in args {
            if list.len() == MAX_ARGS {
                beyond += 1;
                continue;
            }
            let arg = arg.as_ref();
            list.push(match options.secret(arg) {
                Some(secret) => {
                    let kept = kept(&arg[..secret]);
                    format!("{kept}{MASKED}").into()
                }
                None => kept(arg).into(),
            });
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

/// Replaces what has the form of a secret, keeping the beginning that tells its kind.
///
/// Known forms: tokens of GitHub, GitLab, AWS, Google, Slack, Stripe, npm, PyPI, the `sk-` family and some more; JSON
/// web tokens; private key blocks; user and password of a URL; credentials after `Bearer` and `Basic`; what is given to an
/// option, a variable, a header or a key whose name speaks of a secret (`--token x`, `API_KEY=x`, `Cookie: x`,
/// `"password": "x"`).
///
/// ```
/// # use portcullis_audit::mask;
/// assert_eq!(mask("git log --oneline"), "git log --oneline");
/// assert_eq!(mask("https://me:pw@example.com/x"), "https://[masked]@example.com/x");
/// ```
#[must_use]
pub fn mask(text: &str) -> Cow<'_, str> {
    let secrets = secrets(text);
    if secrets.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut masked = String::new();
    let mut kept = 0; // `text[..kept]` is in `masked` already
    for secret in secrets {
        masked.push_str(&text[kept..secret.start]);
        masked.push_str(MASKED);
        kept = secret.end;
    }
    masked.push_str(&text[kept..]);
    Cow::Owned(masked)
}

/// Where in a text there is what has the form of a secret, as [`mask`] knows it, in its order.
#[must_use]
pub fn secrets(text: &str) -> Vec<Range<usize>> {
    let mut secrets = Vec::new();
    let mut at = 0;
    while at < text.len() {
        match find_secret(text, at) {
            Some(secret) => {
                at = secret.end.max(at + 1);
                secrets.push(secret);
            }
            None => at += 1,
        }
    }
    secrets
}

/// The bytes to replace, if a secret's marker begins at `at`.
fn find_secret(text: &str, at: usize) -> Option<Range<usize>> {
    let rest = &text.as_bytes()[at..];
    let in_word = at > 0 && alnum(text.as_bytes()[at - 1]);
    match rest[0] {
        b'-' => private_key(text, at).or_else(|| names::option(text, at)),
        b':' => userinfo(text, at).or_else(|| names::named(text, at)),
        b'=' => names::named(text, at),
        b'e' => json_web_token(rest, at),
        b'B' | b'b' if !in_word => credentials(rest, at),
        _ => None,
    }
    .or_else(|| {
        beginning_with(rest[0]).find_map(|token| {
            let body = rest.strip_prefix(token.prefix.as_bytes())?;
            let length = body.iter().take_while(|b| (token.body)(**b)).count();
            let start = at + token.prefix.len();
            let whole = length >= token.least && !(token.at_word_start && in_word);
            whole.then_some(start..start + length)
        })
    })
}

/// `-----BEGIN … PRIVATE KEY-----` up to the end of its end line, or of the text.
fn private_key(text: &str, at: usize) -> Option<Range<usize>> {
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
fn userinfo(text: &str, at: usize) -> Option<Range<usize>> {
    let authority = text.get(at..)?.strip_prefix("://")?;
    let ends = |c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'');
    let whole = &authority[..authority.find(ends).unwrap_or(authority.len())];
    let user = match whole.rfind('@') {
        Some(end) => &whole[..end],
        None => {
            // A password with a `/` in it, which should have been written `%2F`: what follows a colon is no port.
            let (_, port) = whole.rsplit_once(':')?;
            let word = |c: char| c.is_whitespace() || matches!(c, '"' | '\'');
            let word = &authority[..authority.find(word).unwrap_or(authority.len())];
            let is_port = port.is_empty() || port.bytes().all(|b| b.is_ascii_digit());
            &word[..word
                .rfind('@')
                .filter(|_| !is_port && !port.ends_with(']'))?]
        }
    };
    let lone_ssh_user = text[..at].ends_with("ssh") && !user.contains(':');
    let start = at + "://".len();
    (!user.is_empty() && !lone_ssh_user).then_some(start..start + user.len())
}

/// `eyJ….eyJ….…`: two base64url parts that begin with `{"`, and a signature.
fn json_web_token(rest: &[u8], at: usize) -> Option<Range<usize>> {
    let header = rest.strip_prefix(b"eyJ")?;
    let length = header.iter().take_while(|b| url_safe(**b)).count();
    header[length..].strip_prefix(b".eyJ")?;
    let whole = rest.iter().take_while(|b| dotted(**b)).count();
    Some(at + "eyJ".len()..at + whole)
}

/// What follows `Bearer ` or `Basic `, as in an HTTP header.
fn credentials(rest: &[u8], at: usize) -> Option<Range<usize>> {
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

/// A text without secrets, cut. How long it takes does not depend on how long the text is.
fn kept(text: &str) -> String {
    let looked_at = &text[..text.floor_char_boundary(LOOKED_AT)];
    let unseen = text.len() - looked_at.len();
    let masked = mask(looked_at);
    let whole = match unseen {
        0 => &masked[..],
        // A secret that was cut in two might not have been known.
        _ => &masked[..masked.floor_char_boundary(masked.len().saturating_sub(SEAM))],
    };
    let shown = &whole[..whole.floor_char_boundary(MAX_TEXT)];
    match masked.len() - shown.len() + unseen {
        0 => shown.to_owned(),
        more => format!("{shown}…(+{more} bytes)"),
    }
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
    fn what_stands_under_a_secrets_name_is_masked() {
        for (text, expected) in [
            ("tool --token hunter2 x", "tool --token [masked] x"),
            ("tool --password=hunter2 x", "tool --password=[masked] x"),
            (
                r#"requested as `t` with arguments ["--token", "hun\"ter2", "x"]"#,
                r#"requested as `t` with arguments ["--token", "[masked]", "x"]"#,
            ),
            (r#"["--api-key","hunter2"]"#, r#"["--api-key","[masked]"]"#),
            (
                r#"requested as `sshpass` with arguments ["-p", "hunter2", "ssh"]"#,
                r#"requested as `sshpass` with arguments ["-p", "[masked]", "ssh"]"#,
            ),
            (
                r#"["-u", "me:hunter2", "h"]"#,
                r#"["-u", "me:[masked]", "h"]"#,
            ),
            ("MYSQL_PWD=hunter2 mysql", "MYSQL_PWD=[masked] mysql"),
            ("DB_PASS='hunter 2' x", "DB_PASS='[masked]' x"),
            (
                "https://h/x?access_token=hunter2&a=b",
                "https://h/x?access_token=[masked]&a=b",
            ),
            (
                "https://h/x?sv=1&sig=hunter2",
                "https://h/x?sv=1&sig=[masked]",
            ),
            (
                r#"{"password": "hunter2", "a": 1}"#,
                r#"{"password": "[masked]", "a": 1}"#,
            ),
            (
                "Authorization: Token hunter2",
                "Authorization: Token [masked]",
            ),
            ("Cookie: a=hunter2; b=c", "Cookie: [masked]"),
            ("https://me:hun/ter2@host/x", "https://[masked]@host/x"),
            ("sk_live_0123456789abcdefgh", "sk_live_[masked]"),
            ("hvs.0123456789abcdefgh", "hvs.[masked]"),
        ] {
            assert_eq!(mask(text), expected);
            assert_eq!(mask(expected), expected, "again");
        }
        for text in [
            "the token: it has expired",
            "--token --verbose",
            "give it with --password",
            "mkdir -p out/target",
            "docker run -u 1000:1000 x",
            "ls -u here",
            "--passive=yes, a bypass=1",
            "http://host:8080/a@b",
            "http://[::1]:80/a@b",
            "`limits.compile_memory` = 3",
        ] {
            assert!(matches!(mask(text), Cow::Borrowed(_)), "{}", mask(text));
        }
    }

    #[test]
    fn options_that_do_not_say_that_they_take_a_secret_are_known() {
        for (args, expected) in [
            (
                &["sshpass", "-p", "x", "ssh"][..],
                r#"["sshpass","-p","[masked]","ssh"]"#,
            ),
            (
                &["/usr/bin/mysql", "-px", "-u", "me"],
                r#"["/usr/bin/mysql","-p[masked]","-u","me"]"#,
            ),
            (
                &["docker", "login", "-p", "x"],
                r#"["docker","login","-p","[masked]"]"#,
            ),
            (
                &["redis-cli", "-a", "x", "get"],
                r#"["redis-cli","-a","[masked]","get"]"#,
            ),
            (
                &["curl", "-u", "me:x", "h"],
                r#"["curl","-u","me:[masked]","h"]"#,
            ),
            (&["curl", "--user=me:x"], r#"["curl","--user=me:[masked]"]"#),
            (
                &["curl", "-H", "X-Api-Key: x y"],
                r#"["curl","-H","X-Api-Key: [masked]"]"#,
            ),
            (
                &["env", "SSHPASS=x y", "a"],
                r#"["env","SSHPASS=[masked]","a"]"#,
            ),
            (&["mkdir", "-p", "x"], r#"["mkdir","-p","x"]"#),
            (&["ls", "-u", "x"], r#"["ls","-u","x"]"#),
        ] {
            assert_eq!(Masked::argv(args.iter()).as_str(), expected);
        }
    }

    #[test]
    fn a_secret_that_is_cut_in_two_is_not_kept() {
        // Masking makes the beginning so short that the end of what is looked at would be kept.
        let token = format!("ghp_{}", "a".repeat(LOOKED_AT - 4 - 20));
        for before in 0..40 {
            let text = format!("{token} {}ghp_0123456789abcdef0123", " ".repeat(before));
            let kept = Masked::new(&text);
            assert!(!kept.as_str().contains("ghp_0"), "{kept}");
        }
    }

    #[test]
    fn what_takes_long_to_look_at_is_not_looked_at() {
        for part in ["://a:b", " -u ", "-----BEGIN ", "Cookie: ", "x\"="] {
            let long = part.repeat((16 << 20) / part.len());
            assert!(Masked::new(&long).as_str().len() < 300);
            assert!(Masked::argv([&long]).as_str().len() < 900);
        }
    }

    #[test]
    fn long_texts_and_lists_are_cut_after_masking() {
        let text = format!("{}é", "a".repeat(MAX_TEXT - 1));
        assert_eq!(
            Masked::new(&text).as_str(),
            format!("{}…(+2 bytes)", "a".repeat(MAX_TEXT - 1))
        );
        let long = format!("{} --token hunter2", "é".repeat(1 << 20));
        let kept = Masked::new(&long);
        assert_eq!(
            kept.as_str(),
            format!("{}…(+{} bytes)", "é".repeat(128), long.len() - 256)
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
