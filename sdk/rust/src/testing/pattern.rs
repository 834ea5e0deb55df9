//! Patterns of arguments, as in files for `portcullis test`: `*` is any text, also none, and `\` takes the meaning from what follows.

/// Whether the arguments are as the patterns say; a last `**` stands for any number of them.
pub(super) fn matches_all<'a>(
    patterns: &[String],
    args: impl ExactSizeIterator<Item = &'a str>,
) -> bool {
    let (patterns, long_enough) = match patterns.split_last() {
        Some((last, start)) if last == "**" => (start, args.len() >= start.len()),
        _ => (patterns, args.len() == patterns.len()),
    };
    long_enough
        && patterns
            .iter()
            .zip(args)
            .all(|(pattern, arg)| matches(pattern, arg))
}

fn matches(pattern: &str, text: &str) -> bool {
    let mut chars = pattern.chars();
    match chars.next() {
        None => text.is_empty(),
        Some('*') => {
            let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            ends.into_iter()
                .any(|at| matches(chars.as_str(), &text[at..]))
        }
        Some(first) => {
            let wanted = if first == '\\' {
                chars.next().unwrap_or(first)
            } else {
                first
            };
            text.strip_prefix(wanted)
                .is_some_and(|rest| matches(chars.as_str(), rest))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_is_any_text() {
        for (pattern, text) in [
            ("", ""),
            ("*", ""),
            ("*", "a b"),
            ("--n=*", "--n=1"),
            ("a*b*c", "a-b-b-c"),
            (r"\*", "*"),
            ("é*", "éa"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("", "a"),
            ("a*", "b"),
            ("*a", "ab"),
            (r"\*", "a"),
            ("a*a", "a"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }
}
