//! From the text git prints to the text a person reads.

use std::fmt;

/// Contributors and files listed by name; the rest is counted.
const LISTED: usize = 5;

/// What is reported.
#[derive(Debug, PartialEq)]
pub struct Report {
    hash: String,
    author: String,
    date: String,
    subject: String,
    /// Name and number of commits, most commits first.
    contributors: Vec<(String, u64)>,
    /// Two letters of state, a space and the path, as git prints them.
    changed: Vec<String>,
}

impl Report {
    /// Reads the outputs of `git log`, `git shortlog` and `git status`.
    ///
    /// # Errors
    /// An output that does not have the form its command was asked for.
    pub fn parse(log: &str, shortlog: &str, status: &str) -> Result<Self, String> {
        let [hash, author, date, subject] = log.lines().collect::<Vec<_>>()[..] else {
            return Err(format!(
                "`git log` printed {} lines instead of 4",
                log.lines().count()
            ));
        };
        let contributors = shortlog
            .lines()
            .map(|line| {
                let (commits, name) = line.trim_start().split_once('\t')?;
                Some((name.to_owned(), commits.parse().ok()?))
            })
            .collect::<Option<_>>()
            .ok_or("`git shortlog` printed a line without a number of commits")?;
        Ok(Self {
            hash: hash.to_owned(),
            author: author.to_owned(),
            date: date.to_owned(),
            subject: subject.to_owned(),
            contributors,
            changed: status.lines().map(str::to_owned).collect(),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let commits: u64 = self.contributors.iter().map(|(_, commits)| commits).sum();
        writeln!(f, "newest commit   {}", self.hash)?;
        writeln!(f, "                {}", self.subject)?;
        writeln!(f, "                {}, {}", self.author, self.date)?;
        writeln!(f, "commits         {commits}")?;
        writeln!(f, "contributors    {}", self.contributors.len())?;
        for (name, commits) in self.contributors.iter().take(LISTED) {
            writeln!(f, "{commits:>20}  {name}")?;
        }
        rest(f, self.contributors.len())?;
        match self.changed.len() {
            0 => return write!(f, "working tree    clean"),
            n => write!(f, "working tree    {n} changed")?,
        }
        for line in self.changed.iter().take(LISTED) {
            write!(f, "\n                {line}")?;
        }
        if self.changed.len() > LISTED {
            write!(
                f,
                "\n                and {} more",
                self.changed.len() - LISTED
            )?;
        }
        Ok(())
    }
}

fn rest(f: &mut fmt::Formatter<'_>, total: usize) -> fmt::Result {
    if total > LISTED {
        writeln!(f, "                      and {} more", total - LISTED)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "5f3c\nAda Lovelace\n2026-01-02T03:04:05+00:00\nAdd the gate\n";

    #[test]
    fn a_clean_tree_is_said_so() {
        let report =
            Report::parse(LOG, "     2\tAda Lovelace\n     1\tCharles Babbage\n", "").unwrap();
        assert_eq!(
            report.to_string(),
            "newest commit   5f3c\n                Add the gate\n                Ada Lovelace, \
             2026-01-02T03:04:05+00:00\ncommits         3\ncontributors    2\n                   2  Ada Lovelace\n\
             \x20                  1  Charles Babbage\nworking tree    clean"
        );
    }

    #[test]
    fn long_lists_are_cut_and_counted() {
        let status: String = (0..7).map(|n| format!(" M file{n}\n")).collect();
        let shortlog: String = (0..6).map(|n| format!("  1\tperson {n}\n")).collect();
        let text = Report::parse(LOG, &shortlog, &status).unwrap().to_string();
        assert!(
            text.contains("and 1 more\n") && text.ends_with("and 2 more"),
            "{text}"
        );
        assert!(
            text.contains("working tree    7 changed\n                 M file0"),
            "{text}"
        );
    }

    #[test]
    fn an_empty_subject_is_no_error_and_a_missing_line_is() {
        assert!(Report::parse("5f3c\nAda\n2026\n\n", "", "").is_ok());
        assert!(
            Report::parse("5f3c\nAda\n2026\n", "", "")
                .unwrap_err()
                .contains("3 lines")
        );
        assert!(Report::parse(LOG, "Ada\n", "").is_err());
    }
}
