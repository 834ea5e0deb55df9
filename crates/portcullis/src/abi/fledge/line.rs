//! A line that was written for a shell, where no shell was granted: an argument vector, or the reason why it takes a shell.

/// Splits a line as a POSIX shell would that has nothing to do but that.
///
/// # Errors
/// What of the line only a shell can do, or that it is no line.
pub(crate) fn argv(line: &str) -> Result<Vec<String>, String> {
    if let Some(special) = special(line) {
        return Err(format!("`{special}` needs a shell, and none was granted"));
    }
    let words = shlex::split(line).ok_or("a quote of the line is not closed")?;
    match words.first() {
        None => Err("the line is empty".to_owned()),
        Some(first) if is_assignment(first) => Err(format!(
            "`{}` sets a variable, which needs a shell, and none was granted",
            first.escape_debug()
        )),
        Some(first) if matches!(first.as_str(), "!" | "{" | "}") => {
            Err(format!("`{first}` needs a shell, and none was granted"))
        }
        Some(_) => Ok(words),
    }
}

/// The first character that means something to a shell and nothing to us.
fn special(line: &str) -> Option<char> {
    #[derive(PartialEq)]
    enum In {
        Plain,
        Single,
        Double,
    }
    let mut state = In::Plain;
    let mut at_start = true;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        let was_at_start = std::mem::take(&mut at_start);
        match (&state, c) {
            // An escaped end of line is a line that goes on, which nobody writes here. No word has a NUL in it.
            (In::Plain | In::Double, '\\') => {
                if let Some(c @ ('\n' | '\0')) = chars.next() {
                    return Some(c);
                }
            }
            (In::Single, '\'') | (In::Double, '"') => state = In::Plain,
            (In::Plain, '\'') => state = In::Single,
            (In::Plain, '"') => state = In::Double,
            (In::Double, '$' | '`') => return Some(c),
            (In::Plain, '|' | '&' | ';' | '<' | '>' | '(' | ')' | '$' | '`' | '*' | '?' | '[')
            | (_, '\0') => return Some(c),
            (In::Plain, '\n') => return Some(c),
            (In::Plain, '~' | '#') if was_at_start => return Some(c),
            (In::Plain, ' ' | '\t') => at_start = true,
            (In::Plain | In::Single | In::Double, _) => {}
        }
    }
    None
}

/// `NAME=value` before a command.
fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        let mut bytes = name.bytes();
        bytes
            .next()
            .is_some_and(|byte| byte == b'_' || byte.is_ascii_alphabetic())
            && bytes.all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_lines_are_words() {
        for (line, words) in [
            ("git status", &["git", "status"][..]),
            ("  git\t log  --oneline ", &["git", "log", "--oneline"]),
            ("echo 'a b' \"c d\" e\\ f", &["echo", "a b", "c d", "e f"]),
            (
                "echo '$HOME' '*' '|' ';'",
                &["echo", "$HOME", "*", "|", ";"],
            ),
            ("echo \\$HOME \"\\$x\" \\*", &["echo", "$HOME", "$x", "*"]),
            (
                "git show HEAD~1 HEAD^ a#b HEAD@{1}",
                &["git", "show", "HEAD~1", "HEAD^", "a#b", "HEAD@{1}"],
            ),
            ("dd if=a of=b", &["dd", "if=a", "of=b"]),
            ("echo ''", &["echo", ""]),
        ] {
            assert_eq!(argv(line).unwrap(), words, "{line}");
        }
    }

    #[test]
    fn what_only_a_shell_can_do_is_said_and_not_guessed() {
        for (line, why) in [
            ("a | b", "`|`"),
            ("a; b", "`;`"),
            ("a && b", "`&`"),
            ("a > f", "`>`"),
            ("a < f", "`<`"),
            ("(a)", "`(`"),
            ("echo $HOME", "`$`"),
            ("echo \"$HOME\"", "`$`"),
            ("echo `id`", "```"),
            ("echo \"`id`\"", "```"),
            ("ls *.rs", "`*`"),
            ("ls a?", "`?`"),
            ("ls [ab]", "`[`"),
            ("ls ~", "`~`"),
            ("~/x", "`~`"),
            ("a # b", "`#`"),
            ("a\nb", "needs a shell"),
            ("a\\\nb", "needs a shell"),
            ("A=1 b", "sets a variable"),
            ("! a", "`!`"),
            ("{ a", "`{`"),
            ("a\0b", "needs a shell"),
            ("a \\\0b", "needs a shell"),
            ("", "empty"),
            ("   ", "empty"),
            ("echo 'a", "not closed"),
            ("echo \"a", "not closed"),
            ("echo a\\", "not closed"),
        ] {
            let said = argv(line).unwrap_err();
            assert!(said.contains(why), "{line:?}: {said}");
        }
    }
}
