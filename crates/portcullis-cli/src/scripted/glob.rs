//! Patterns of tests: `*` stands for any text, also for none, and `\` takes the meaning from what follows.

/// Whether all of the text is as the pattern says.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = parts(pattern).into_iter();
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(&*first)) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(&*part);
        }
        // The first place will do: what follows may begin anywhere behind it.
        match rest.split_once(&*part) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    unreachable!("the last part returns")
}

/// What stands between the stars.
fn parts(pattern: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = pattern.chars();
    while let Some(char) = chars.next() {
        match char {
            '*' => parts.push(String::new()),
            '\\' => push(&mut parts, chars.next().unwrap_or('\\')),
            char => push(&mut parts, char),
        }
    }
    parts
}

fn push(parts: &mut [String], char: char) {
    if let Some(last) = parts.last_mut() {
        last.push(char);
    }
}

/// Whether the arguments are as the patterns say; a last `**` stands for any number of them.
pub(crate) fn matches_all(patterns: &[String], args: &[String]) -> bool {
    let (patterns, args) = match patterns.split_last() {
        Some((last, patterns)) if last == "**" => match args.get(..patterns.len()) {
            Some(args) => (patterns, args),
            None => return false,
        },
        _ => (patterns, args),
    };
    let mut pairs = patterns.iter().zip(args);
    patterns.len() == args.len() && pairs.all(|(pattern, arg)| matches(pattern, arg))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_text() {
        for (pattern, text) in [
            ("", ""),
            ("git", "git"),
            ("*", ""),
            ("*", "a b"),
            ("--max-count=*", "--max-count=1"),
            ("a*b*c", "a-b-b-c"),
            ("*.txt", "x.txt.txt"),
            (r"\*", "*"),
            (r"a\\b", r"a\b"),
            ("é*", "éa"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("", "a"),
            ("git", "gitk"),
            ("git", "agit"),
            ("a*b", "a"),
            ("ab*ba", "aba"),
            (r"\*", "a"),
            ("a*b*c", "a-c-b"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn two_stars_are_any_arguments_at_the_end() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert!(matches_all(&words("log **"), &words("log -1 --format=%H")));
        assert!(matches_all(&words("log **"), &words("log")));
        assert!(matches_all(&words("**"), &[]));
        assert!(!matches_all(&words("log"), &words("log -1")));
        assert!(!matches_all(&words("log -1 **"), &words("log")));
        assert!(
            !matches_all(&words("** log"), &words("a b log")),
            "only at the end"
        );
    }
}
