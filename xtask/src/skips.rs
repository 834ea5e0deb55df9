//! What did not run, by name: skips are counted, printed and, in continuous integration, only allowed if the
//! committed list expects them.

use crate::shell;
use anyhow::{Context, Result, bail};
use std::fs;

/// The names that continuous integration may skip, one a line; `#` begins a comment.
const EXPECTED: &str = "xtask/expected-skips.txt";

/// What was skipped, and why.
#[derive(Debug, Default)]
pub(crate) struct Skips {
    entries: Vec<(String, String)>,
}

impl Skips {
    /// Notes a skip.
    pub(crate) fn add(&mut self, name: impl Into<String>, reason: impl Into<String>) {
        self.entries.push((name.into(), reason.into()));
    }

    /// Notes skips collected elsewhere.
    pub(crate) fn extend(&mut self, entries: Vec<(String, String)>) {
        self.entries.extend(entries);
    }

    /// Returns how many there are.
    pub(crate) fn count(&self) -> usize {
        self.entries.len()
    }

    /// Prints each, a line.
    pub(crate) fn print(&self) {
        for (name, reason) in &self.entries {
            println!("skipped: {name}: {reason}");
        }
    }

    /// Holds the skips against the committed list.
    ///
    /// # Errors
    /// In continuous integration, a skip that is not on the list.
    pub(crate) fn settle(&self, ci: bool) -> Result<()> {
        let list = fs::read_to_string(shell::root().join(EXPECTED))
            .with_context(|| format!("cannot read {EXPECTED}"))?;
        let unexpected = self.unexpected(&list);
        if ci && !unexpected.is_empty() {
            bail!(
                "skipped, but not expected in {EXPECTED}: {}",
                unexpected.join(", ")
            );
        }
        Ok(())
    }

    fn unexpected(&self, list: &str) -> Vec<&str> {
        let expected = entries(list);
        self.entries
            .iter()
            .map(|(name, _)| name.as_str())
            .filter(|name| !expected.contains(name))
            .collect()
    }
}

/// Returns the entries of a committed list: lines without comments and blanks.
pub(crate) fn entries(list: &str) -> Vec<&str> {
    list.lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim())
        .filter(|line| !line.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_skips_are_expected() {
        let mut skips = Skips::default();
        skips.add("a::b", "no kernel support");
        skips.add("c", "no tool");
        assert_eq!(skips.unexpected("# a list\na::b # since 2026\n"), ["c"]);
        assert_eq!(skips.count(), 2);
    }
}
