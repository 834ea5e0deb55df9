//! From the commands that a plugin ran to argument patterns: nothing that was not seen, but for numbers and paths of which there
//! were several.

use std::collections::BTreeSet;
use std::path::Path;

use portcullis_policy::ArgToken;

/// Texts of one argument that are enumerated: more of them are no enumeration any more.
const ENUMERATED: usize = 8;
/// From how many texts on of one kind the kind is meant.
const KIND: usize = 3;

/// One argument list, and how often it was seen.
#[derive(Clone, Debug)]
pub(super) struct Call<'a> {
    pub(super) args: &'a [String],
    pub(super) cwd: &'a Path,
}

/// A pattern for argument lists, and how often lists of it were seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    /// What each argument was.
    tokens: Vec<BTreeSet<String>>,
    /// Whether an argument is always the name of something that is there.
    are_paths: Vec<bool>,
    pub(super) count: u64,
}

impl Pattern {
    fn of(call: &Call<'_>) -> Self {
        let is_path =
            |arg: &String| !arg.is_empty() && !arg.starts_with('-') && call.cwd.join(arg).exists();
        Self {
            tokens: call
                .args
                .iter()
                .map(|arg| BTreeSet::from([arg.clone()]))
                .collect(),
            are_paths: call.args.iter().map(is_path).collect(),
            count: 1,
        }
    }

    /// The tokens as a policy has them. With `kinds`, several numbers are any number, and several paths any that may be read.
    pub(super) fn tokens(&self, kinds: bool) -> Vec<String> {
        let tokens = self.tokens.iter().zip(&self.are_paths);
        tokens
            .map(|(texts, &are_paths)| {
                let is_number =
                    |text: &String| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
                if kinds && texts.len() >= KIND && texts.iter().all(is_number) {
                    return "<int>".to_owned();
                }
                if kinds && texts.len() >= KIND && are_paths {
                    return "<read>".to_owned();
                }
                let texts: Vec<_> = texts.iter().map(|text| ArgToken::escape(text)).collect();
                texts.join("|")
            })
            .collect()
    }

    /// Takes another one in that differs in one argument at most; without a change where it differs in more, or where there
    /// would be too many texts for that argument.
    fn take(&mut self, other: &Self, at: usize) -> bool {
        let same = self.tokens.len() == other.tokens.len()
            && (0..self.tokens.len()).all(|i| i == at || self.tokens[i] == other.tokens[i]);
        if !same {
            return false;
        }
        let (Some(own), Some(others)) = (self.tokens.get(at), other.tokens.get(at)) else {
            self.count += other.count;
            return true;
        };
        let united: BTreeSet<_> = own.union(others).cloned().collect();
        let are_paths = self.are_paths[at] && other.are_paths[at];
        let is_kind = are_paths
            || united
                .iter()
                .all(|text| text.bytes().all(|b| b.is_ascii_digit()));
        // An alternative cannot be empty, and an option stays what it is.
        let is_word = |text: &String| !text.is_empty() && !text.starts_with('-');
        let enumerable = united.len() <= ENUMERATED && united.iter().all(is_word);
        if united.len() > 1 && !enumerable && !is_kind {
            return false;
        }
        self.tokens[at] = united;
        self.are_paths[at] = are_paths;
        self.count += other.count;
        true
    }
}

/// The patterns of these argument lists, all of one program.
pub(super) fn patterns<'a>(calls: impl IntoIterator<Item = Call<'a>>) -> Vec<Pattern> {
    let mut patterns: Vec<Pattern> = Vec::new();
    for call in calls {
        let new = Pattern::of(&call);
        match patterns.iter_mut().find(|known| known.tokens == new.tokens) {
            Some(known) => known.count += 1,
            None => patterns.push(new),
        }
    }
    // Later arguments vary more often than earlier ones.
    let longest = patterns.iter().map(|pattern| pattern.tokens.len()).max();
    for at in (0..longest.unwrap_or_default()).rev() {
        let mut merged: Vec<Pattern> = Vec::new();
        for pattern in patterns {
            let varies = pattern.tokens.len() > at;
            let taken = varies && merged.iter_mut().any(|known| known.take(&pattern, at));
            if !taken {
                merged.push(pattern);
            }
        }
        patterns = merged;
    }
    patterns
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(cwd: &Path, lists: &[&[&str]], kinds: bool) -> Vec<(Vec<String>, u64)> {
        let lists: Vec<Vec<String>> = lists
            .iter()
            .map(|list| list.iter().map(|&arg| arg.to_owned()).collect())
            .collect();
        let calls = lists.iter().map(|args| Call { args, cwd });
        let patterns = patterns(calls);
        let told = patterns
            .iter()
            .map(|pattern| (pattern.tokens(kinds), pattern.count));
        told.collect()
    }

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn what_was_seen_is_written_out() {
        let dir = tempfile::tempdir().unwrap();
        let told = of(
            dir.path(),
            &[
                &["log", "-n1"],
                &["log", "-n1"],
                &["log", "-n2"],
                &[],
                &["show", "a|b*", ""],
            ],
            true,
        );
        let expected = [
            (texts(&["log", "-n1"]), 2),
            (texts(&["log", "-n2"]), 1),
            (texts(&[]), 1),
            (texts(&["show", "a\\|b\\*", ""]), 1),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn one_argument_that_varies_is_a_list_and_several_of_a_kind_are_the_kind() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let two: &[&[&str]] = &[&["-h", "a"], &["-h", "b"]];
        let three: &[&[&str]] = &[&["-h", "a"], &["-h", "b"], &["-h", "c"]];
        assert_eq!(of(dir.path(), two, true), [(texts(&["-h", "a|b"]), 2)]);
        assert_eq!(of(dir.path(), three, true), [(texts(&["-h", "<read>"]), 3)]);
        assert_eq!(of(dir.path(), three, false), [(texts(&["-h", "a|b|c"]), 3)]);
        let numbers: &[&[&str]] = &[&["1"], &["22"], &["3"]];
        assert_eq!(of(dir.path(), numbers, true), [(texts(&["<int>"]), 3)]);
        let words: &[&[&str]] = &[&["x"], &["y"], &["z"]];
        assert_eq!(of(dir.path(), words, true), [(texts(&["x|y|z"]), 3)]);
    }

    #[test]
    fn too_many_words_are_several_lists_and_nothing_is_ever_any_argument() {
        let dir = tempfile::tempdir().unwrap();
        let words: Vec<String> = (0..20).map(|i| format!("w{i}")).collect();
        let lists: Vec<Vec<&str>> = words
            .iter()
            .map(|word| vec!["get", word.as_str()])
            .collect();
        let lists: Vec<&[&str]> = lists.iter().map(Vec::as_slice).collect();
        let told = of(dir.path(), &lists, true);
        assert_eq!(told.len(), 3);
        assert_eq!(told.iter().map(|(_, count)| count).sum::<u64>(), 20);
        let mut tokens = told.iter().flat_map(|(tokens, _)| tokens);
        assert!(tokens.all(|token| !token.contains(['*', '<'])));
    }

    #[test]
    fn lists_that_differ_twice_stay_apart_unless_each_was_seen() {
        let dir = tempfile::tempdir().unwrap();
        let crossed: &[&[&str]] = &[&["a", "x"], &["b", "y"]];
        assert_eq!(of(dir.path(), crossed, true).len(), 2);
        let all: &[&[&str]] = &[&["a", "x"], &["b", "x"], &["a", "y"], &["b", "y"]];
        assert_eq!(of(dir.path(), all, true), [(texts(&["a|b", "x|y"]), 4)]);
    }
}
