//! Which values may come into a `.git/config` from a command: those on which git runs nothing.

use super::git_file::{Entry, ParseError};

/// Why a configuration, or one variable of it, is not carried over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unfit {
    /// The configuration that was there before.
    #[error("the repository's configuration cannot be read: {0}")]
    Base(#[source] ParseError),
    /// What the command left.
    #[error("what the command wrote cannot be read: {0}")]
    Staged(#[source] ParseError),
    /// Not one of the variables that a command may set.
    #[error("a command may set only upstreams and remotes")]
    NotOpen,
    /// The same for taking one away.
    #[error("a command may take away only upstreams and remotes")]
    Removed,
    /// The same variables in another order, in which others win.
    #[error("the order of variables changed")]
    Reordered,
    /// A name that is also an option, a path or a url.
    #[error("the name could be read as something else")]
    Name,
    /// Not a plain `https`, `ssh` or `user@host:path` address.
    #[error("a url must be `https://host/path`, `ssh://host/path` or `user@host:path`")]
    Url,
    /// A fetch that would write outside the remote's own references.
    #[error("a fetch may write only below `refs/remotes/` and the remote's name")]
    Refspec,
    /// Not a branch of a remote that has a name.
    #[error("an upstream is a remote's name and a reference below `refs/heads/`")]
    Upstream,
    /// Not one of `true`, `false`, `merges`.
    #[error("it is not one of `true`, `false` and `merges`")]
    Rebase,
    /// The old text is such that our edit would not read back as itself.
    #[error("it cannot be edited without changing more")]
    Unfaithful,
}

/// Whether an entry that may differ has a value that may be new.
pub(super) fn check(entry: &Entry) -> Result<(), Unfit> {
    let text = |bytes| std::str::from_utf8(bytes).ok();
    let (section, name, key) = entry.parts();
    let name = name.and_then(text).ok_or(Unfit::Name)?;
    let value = entry.value.as_deref().and_then(text);
    match (section, key) {
        (b"remote", _) if !is_remote(name) => Err(Unfit::Name),
        (b"branch", _) if !is_reference(name) => Err(Unfit::Name),
        (b"remote", b"fetch") => value
            .filter(|value| is_refspec(value, name))
            .map(drop)
            .ok_or(Unfit::Refspec),
        (b"remote", _) => value
            .filter(|value| is_url(value))
            .map(drop)
            .ok_or(Unfit::Url),
        (b"branch", b"remote") => {
            let fits = |value: &&str| *value == "." || is_remote(value);
            value.filter(fits).map(drop).ok_or(Unfit::Upstream)
        }
        (b"branch", b"merge") => {
            let branch = value.and_then(|value| value.strip_prefix("refs/heads/"));
            branch
                .filter(|branch| is_reference(branch))
                .map(drop)
                .ok_or(Unfit::Upstream)
        }
        (b"branch", b"rebase") => {
            let fits = |value: &&str| matches!(*value, "true" | "false" | "merges");
            value.filter(fits).map(drop).ok_or(Unfit::Rebase)
        }
        _ => Err(Unfit::NotOpen),
    }
}

/// A remote's name that can be nothing but one: git asks for a remote of that name before it takes
/// the same word as a path or a url, so a remote called `../backup` would take over that path.
fn is_remote(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
    name.bytes().all(plain) && is_reference(name)
}

/// A reference's name without the leading `refs/…/`, as `git-check-ref-format(1)` has it.
fn is_reference(name: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && !part.starts_with(['.', '-'])
            && !part.ends_with('.')
            && !part.ends_with(".lock")
    };
    let forbidden = |char: char| {
        char.is_control()
            || char.is_whitespace()
            || is_invisible(char)
            || r#" ~^:?*[\""#.contains(char)
    };
    name.len() <= 255
        && name != "@"
        && name.split('/').all(part)
        && !name.contains("..")
        && !name.contains("@{")
        && !name.contains(forbidden)
}

/// Characters that hide or turn round what stands beside them.
fn is_invisible(char: char) -> bool {
    matches!(char, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// `+refs/heads/X:refs/remotes/NAME/X`, with one `*` on both sides or none, or without the `+`.
fn is_refspec(value: &str, remote: &str) -> bool {
    let value = value.strip_prefix('+').unwrap_or(value);
    let Some((from, to)) = value.split_once(':') else {
        return false;
    };
    let to = to
        .strip_prefix("refs/remotes/")
        .and_then(|to| to.strip_prefix(remote));
    let (Some(from), Some(to)) = (
        from.strip_prefix("refs/heads/"),
        to.and_then(|to| to.strip_prefix('/')),
    ) else {
        return false;
    };
    let stars = |part: &str| part.matches('*').count();
    let plain = |part: &str| is_reference(&part.replace('*', "x"));
    stars(from) == stars(to) && stars(from) <= 1 && plain(from) && plain(to)
}

/// An address of another machine that git reaches by its own `https` or by `ssh`.
fn is_url(value: &str) -> bool {
    let clean = |byte: u8| byte.is_ascii_graphic() && !br#""'`\<>^{|}"#.contains(&byte);
    if value.len() > 2048 || !value.bytes().all(clean) {
        return false;
    }
    if let Some(rest) = value.strip_prefix("https://") {
        return is_authority_and_path(rest);
    }
    if let Some(rest) = value.strip_prefix("ssh://") {
        return is_authority_and_path(rest);
    }
    // `user@host:path`. Whatever has `://` or `::` names a transport, which may be a program.
    let Some((user, rest)) = value.split_once('@') else {
        return false;
    };
    let Some((host, path)) = rest.split_once(':') else {
        return false;
    };
    is_user(user)
        && is_host(host)
        && is_path(path)
        && !path.starts_with(':')
        && !path.contains("://")
}

fn is_authority_and_path(rest: &str) -> bool {
    let Some((authority, path)) = rest.split_once('/') else {
        return false;
    };
    let (user, host) = match authority.split_once('@') {
        // `user:password@` is a secret, which is not kept in a file.
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    let (host, port) = match host.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (host, None),
    };
    user.is_none_or(is_user) && is_host(host) && port.is_none_or(is_port) && is_path(path)
}

/// Not an option to `ssh`, which gets user and host as arguments.
fn is_user(user: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !user.is_empty() && !user.starts_with('-') && user.bytes().all(plain)
}

fn is_host(host: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    !host.is_empty() && !host.starts_with(['-', '.']) && host.bytes().all(plain)
}

fn is_port(port: &str) -> bool {
    port.parse::<u16>().is_ok_and(|port| port > 0) && !port.starts_with('+')
}

/// The remote's shell gets it, quoted; an option to a program there it must not be.
fn is_path(path: &str) -> bool {
    !path.is_empty() && !path.starts_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_another_machine_by_https_or_ssh() {
        for url in [
            "https://example.org/a/b.git",
            "https://user@example.org:8443/a",
            "ssh://git@example.org/a.git",
            "ssh://example.org:22/~me/a",
            "git@example.org:a/b.git",
            "git@example.org:/srv/a.git",
        ] {
            assert!(is_url(url), "{url}");
        }
        for url in [
            "",
            "ext::sh -c x",
            "ext::sh",
            "fd::3",
            "https::x",
            "-u",
            "--upload-pack=x",
            "/srv/a",
            "./a",
            "../a",
            "a",
            "file:///srv/a",
            "git://example.org/a",
            "http://example.org/a",
            "ftp://example.org/a",
            "ssh://-oProxyCommand=x/a",
            "ssh://-x@example.org/a",
            "git@-oProxyCommand=x:a",
            "-git@example.org:a",
            "git@example.org:-a",
            "git@example.org::a",
            "git@example.org:",
            "https://user:secret@example.org/a",
            "https://example.org",
            "https:///a",
            "https://example.org:0/a",
            "https://example.org:+1/a",
            "https://a b/c",
            "https://example.org/\u{202e}a",
            "ssh://example.org/-a",
            "HTTPS://example.org/a",
            "example.org:a",
            "https://example.org/a\nb",
            "x@y:z://w",
            "git@ho/st:a",
        ] {
            assert!(!is_url(url), "{url}");
        }
    }

    #[test]
    fn a_fetch_stays_with_its_remote() {
        for (refspec, fits) in [
            ("+refs/heads/*:refs/remotes/o/*", true),
            ("refs/heads/main:refs/remotes/o/main", true),
            ("+refs/heads/*:refs/heads/*", false),
            ("+refs/*:refs/*", false),
            ("+refs/heads/*:refs/remotes/other/*", false),
            ("+refs/heads/*:refs/remotes/o/../../heads/*", false),
            ("refs/heads/main", false),
            ("refs/heads/*:refs/remotes/o/main", false),
            ("^refs/heads/x", false),
            ("", false),
        ] {
            assert_eq!(is_refspec(refspec, "o"), fits, "{refspec}");
        }
    }

    #[test]
    fn names_are_names() {
        for name in ["origin", "team/fork", "a.b", "a-b_c"] {
            assert!(is_remote(name), "{name}");
        }
        for name in [
            "",
            ".",
            "..",
            "../x",
            "/x",
            "x/",
            "-x",
            "a:b",
            "https://x/y",
            "a..b",
            "a\u{301}",
            "x.lock",
        ] {
            assert!(!is_remote(name), "{name}");
        }
        for name in ["main", "feature/ü", "fix#1", "a;b"] {
            assert!(is_reference(name), "{name}");
        }
        for name in [
            "a b",
            "a\\b",
            "a\"b",
            "@",
            "a@{1}",
            "a\u{202e}b",
            "-a",
            "a\tb",
            "a~1",
        ] {
            assert!(!is_reference(name), "{name}");
        }
    }
}
