//! A plugin that reports on a git repository.
//!
//! It runs three read-only git commands, each with arguments that never vary, so that a policy can list them
//! word for word.

mod report;

wit_bindgen::generate!({ path: "../../wit/cli-0.1.0", world: "plugin" });

use portcullis::cli::process::{ExecRequest, exec};
use report::Report;

/// The newest commit: hash, author, date and subject, a line each.
const LOG: [&str; 3] = ["log", "--max-count=1", "--format=%H%n%an%n%aI%n%s"];
/// Commits per contributor. Without `HEAD` git would read a log from standard input.
const SHORTLOG: [&str; 4] = ["shortlog", "--summary", "--numbered", "HEAD"];
/// A line per file that differs from the newest commit.
const STATUS: [&str; 2] = ["status", "--porcelain"];

struct Plugin;

impl Guest for Plugin {
    /// Reports on the repository of the project directory, or of the directory in the only argument.
    fn run(args: Vec<String>) -> Result<String, String> {
        let directory = match &args[..] {
            [] => None,
            [directory] => Some(directory.as_str()),
            _ => return Err("usage: repo-report [DIRECTORY]".to_owned()),
        };
        let report = Report::parse(
            &git(&LOG, directory)?,
            &git(&SHORTLOG, directory)?,
            &git(&STATUS, directory)?,
        )?;
        Ok(report.to_string())
    }
}

/// Runs git and returns what it printed.
///
/// # Errors
/// The host did not run it, or git itself says no; both name the command.
fn git(args: &[&str], directory: Option<&str>) -> Result<String, String> {
    let command = format!("git {}", args[0]);
    let result = exec(&ExecRequest {
        program: "git".to_owned(),
        args: args.iter().map(|&arg| arg.to_owned()).collect(),
        cwd: directory.map(str::to_owned),
        env: Vec::new(),
        inherit_env: false,
        stdin: None,
    })
    .map_err(|error| format!("cannot run `{command}`: {error}"))?;
    if result.status != 0 {
        let complaint = String::from_utf8_lossy(&result.stderr);
        return Err(format!(
            "`{command}` failed with status {}: {}",
            result.status,
            complaint.trim()
        ));
    }
    Ok(String::from_utf8_lossy(&result.stdout).into_owned())
}

export!(Plugin);
