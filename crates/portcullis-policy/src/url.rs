//! URL patterns of argument rules: the host is compared whole, the path segment by segment.

/// Whether a pattern has a scheme, a host without `*`, and in its path `*` only as a whole segment, `**` only last.
pub(crate) fn is_pattern(pattern: &str) -> bool {
    let Some((host, path)) = split(pattern) else {
        return false;
    };
    let segments: Vec<_> = path.split('/').collect();
    let last = segments.len() - 1;
    let stars = segments.iter().enumerate().all(|(at, &part)| match part {
        "*" => true,
        "**" => at == last,
        _ => !part.contains('*'),
    });
    !host.is_empty() && !host.contains('*') && pattern.bytes().all(is_plain) && stars
}

/// Whether a URL is one that the pattern is about, for every reader of it: what parsers are known to disagree about
/// (userinfo, backslashes, characters no URL has, dot segments however they are written) never matches.
pub(crate) fn matches(pattern: &str, url: &str) -> bool {
    let (Some((wanted, _)), Some((host, path))) = (split(pattern), split(url)) else {
        return false;
    };
    if wanted != host
        || !url.bytes().all(is_plain)
        || path.contains(['[', ']'])
        || has_dot_segment(path)
    {
        return false;
    }
    let mut pattern = pattern.split('/');
    let mut url = url.split('/');
    loop {
        match (pattern.next(), url.next()) {
            (None, None) => return true,
            (Some("**"), _) => return pattern.next().is_none(),
            (Some("*"), Some(segment)) if !segment.is_empty() => {}
            (Some(expected), Some(segment)) if expected == segment => {}
            (None | Some(_), None | Some(_)) => return false,
        }
    }
}

/// Of the excluded characters RFC 3986 knows only `@`, whose meaning parsers disagree about; `{..}` is a dot segment to
/// curl, as are `[.]` and `.` together.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\\@\"<>^`{|}".contains(&byte)
}

/// The host (with its port), and what follows it.
fn split(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let named = !scheme.is_empty()
        && scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'+');
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    named.then(|| rest.split_at(end))
}

/// A dot segment would leave the path that was granted: plain, percent-encoded, between encoded separators, or with
/// a parameter (`..;x`). A server that decodes twice is beyond this check.
fn has_dot_segment(path: &str) -> bool {
    let path = path
        .to_ascii_lowercase()
        .replace("%2e", ".")
        .replace("%2f", "/")
        .replace("%5c", "/");
    let name = |part: &str| part.find(';').unwrap_or(part.len());
    path.split(['/', '?', '#'])
        .any(|part| matches!(&part[..name(part)], "." | ".."))
}
