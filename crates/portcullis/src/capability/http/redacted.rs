//! URLs for messages and the trail: without user name, password and query, which hold secrets.

use portcullis_policy::shown;

/// What stands in place of a user name and a password.
const MASKED: &str = "[masked]@";

/// Bytes of a URL.
pub(crate) const MAX_URL: usize = 16 * 1024;

/// A text that may be a URL. What cannot be read is shown up to where a query could begin.
///
/// A longer one than any URL is not read: that would take the host longer than the guest, whose time is counted.
pub(super) fn url(text: &str) -> String {
    if text.len() > MAX_URL {
        return format!("a URL of {} bytes", text.len());
    }
    let text = text.trim();
    // Of a URL without a host nothing but the scheme is no content: `data:`, `javascript:`.
    if let Ok(url) = portcullis_policy::HttpUrl::parse(text) {
        return url.redacted();
    }
    let end = text.find(['?', '#']).unwrap_or(text.len());
    let text = &text[..end];
    let (scheme, rest) = match text.split_once(':') {
        Some((scheme, rest)) if scheme.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            (Some(scheme), rest)
        }
        Some(_) | None => (None, text),
    };
    let is_web = scheme.is_none_or(|scheme| {
        scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
    });
    let Some(scheme) = scheme else {
        return shown(&without_user(rest));
    };
    if is_web {
        shown(&format!("{scheme}:{}", without_user(rest)))
    } else {
        shown(&format!("{scheme}:…"))
    }
}

/// Nobody agrees about where a user name ends in what is no URL: everything before the last `@` could be one.
fn without_user(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((_, host)) => format!("{MASKED}{host}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_longer_than_any_url_is_not_read() {
        let of = |length: usize| {
            let path = "x".repeat(length - "http://me:t0p@a/".len());
            url(&format!("http://me:t0p@a/{path}"))
        };
        assert_eq!(of(MAX_URL + 1), "a URL of 16385 bytes");
        assert!(of(MAX_URL).starts_with("http:[masked]@a/"));
    }

    #[test]
    fn no_user_no_password_no_query_and_no_content_is_shown() {
        for (text, shown) in [
            ("https://a.example/x?token=t0p", "https://a.example/x"),
            ("https://a.example/x#t0p", "https://a.example/x"),
            ("https://me:t0p@a.example/x", "https:[masked]@a.example/x"),
            ("http:\\\\me:t0p@a.example", "http:[masked]@a.example"),
            ("http://t0p@a@a.example/", "http:[masked]@a.example/"),
            ("http://exa mple/?t0p", "http://exa mple/"),
            ("data:text/html,t0p", "data:…"),
            ("me:t0p@a.example", "me:…"),
            ("//me:t0p@a.example/", "[masked]@a.example/"),
            ("ftp://me:t0p@a.example/", "ftp:…"),
        ] {
            assert_eq!(url(text), shown, "{text}");
            assert!(!url(text).contains("t0p"), "{text}");
        }
    }
}
