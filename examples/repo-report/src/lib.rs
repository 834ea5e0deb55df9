//! A plugin that reports on a git repository.
//!
//! It runs three read-only git commands, each with arguments that never vary, so that a policy can list them
//! word for word.

mod report;

use portcullis::Error;
use portcullis::process::Command;
use report::Report;

/// The newest commit: hash, author, date and subject, a line each.
const LOG: [&str; 3] = ["log", "--max-count=1", "--format=%H%n%an%n%aI%n%s"];
/// Commits per contributor. Without `HEAD` git would read a log from standard input.
const SHORTLOG: [&str; 4] = ["shortlog", "--summary", "--numbered", "HEAD"];
/// A line per file that differs from the newest commit.
const STATUS: [&str; 2] = ["status", "--porcelain"];

/// Reports on the repository of the project directory, or of the directory in the only argument.
#[portcullis::plugin]
fn repo_report(args: Vec<String>) -> Result<Report, Error> {
    let directory = match &args[..] {
        [] => None,
        [directory] => Some(directory.as_str()),
        _ => return Err("usage: repo-report [DIRECTORY]".into()),
    };
    let report = Report::parse(
        &git(&LOG, directory)?,
        &git(&SHORTLOG, directory)?,
        &git(&STATUS, directory)?,
    )?;
    Ok(report)
}

/// Runs git and returns what it printed.
fn git(args: &[&str], directory: Option<&str>) -> Result<String, Error> {
    let mut git = Command::new("git");
    git.args(args);
    if let Some(directory) = directory {
        git.current_dir(directory);
    }
    git.read()
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis::ErrorKind;
    use portcullis::testing::{Host, Reply};

    /// A repository with two contributors and one changed file.
    fn repository() -> Host {
        let log = "5f3c1b\nAda Lovelace\n2026-01-02T03:04:05+00:00\nAdd the gate\n";
        let shortlog = "    40\tAda Lovelace\n     2\tCharles Babbage\n";
        let answers: [(&[&str], _); 3] = [
            (&LOG, log),
            (&SHORTLOG, shortlog),
            (&STATUS, " M src/lib.rs\n"),
        ];
        answers.into_iter().fold(Host::new(), |host, (args, said)| {
            host.command([&["git"], args].concat(), Reply::new().stdout(said))
        })
    }

    #[test]
    fn the_report_names_the_newest_commit_and_counts_the_rest() {
        let report = repository().run(|| repo_report(Vec::new())).unwrap();
        let text = report.to_string();
        for part in [
            "5f3c1b",
            "Add the gate",
            "Ada Lovelace, 2026-01-02T03:04:05+00:00",
            "commits         42",
            "contributors    2",
            " M src/lib.rs",
        ] {
            assert!(text.contains(part), "{part:?} is missing in\n{text}");
        }
    }

    #[test]
    fn the_commands_are_the_ones_the_policy_lists() {
        let policy = include_str!("../../portcullis.toml");
        for args in [&LOG[..], &SHORTLOG, &STATUS] {
            let words: Vec<_> = ["git"].iter().chain(args).collect();
            let tried = format!("{words:?},");
            assert!(
                policy.contains(&tried),
                "{tried} is not in examples/portcullis.toml"
            );
        }
    }

    #[test]
    fn a_directory_is_handed_to_every_command() {
        let host = repository();
        host.run(|| repo_report(vec!["/repo".to_owned()])).unwrap();
        let calls = host.calls();
        assert_eq!(calls.len(), 3);
        for call in calls {
            assert_eq!(call.current_dir.as_deref(), Some("/repo".as_ref()));
        }
        let error = host
            .run(|| repo_report(vec![String::new(); 2]))
            .unwrap_err();
        assert_eq!(error.to_string(), "usage: repo-report [DIRECTORY]");
    }

    #[test]
    fn refusal_and_failure_name_the_command() {
        let refused = Host::new().run(|| repo_report(Vec::new())).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Denied);
        let text = refused.to_string();
        assert!(text.starts_with("cannot run `git`: denied: "), "{text}");
        let failing =
            Host::new().command(["git", "**"], Reply::new().code(128).stderr("complaint"));
        let failed = failing.run(|| repo_report(Vec::new())).unwrap_err();
        assert_eq!(
            failed.to_string(),
            "`git` failed: exit status 128: complaint"
        );
    }
}
