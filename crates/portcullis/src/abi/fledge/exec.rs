//! Commands of a plugin of fledge: a line as for a shell, and an answer with code and output.

use std::path::{Component, Path};
use std::time::Duration;

use portcullis_exec::{Completed, ExecAsk, Status};
use portcullis_policy::{Code, ExecGrant, GuestError, ProgramRule};
use serde::Serialize;
use serde_json::Value;
use wasmtime::{Result, bail};

use super::line;
use crate::gate::{Refused, Wish};
use crate::state::State;

/// Seconds that a command may take, and may take at most. Policy may give it less.
const TIMEOUT: u64 = 30;
const MAX_TIMEOUT: u64 = 300;
/// Bytes of each stream that the guest is told.
const MAX_STREAM: usize = 10 * 1024 * 1024;

/// What a guest asks for.
#[derive(Debug, Default)]
pub(super) struct Ask {
    pub(super) command: String,
    pub(super) cwd: Option<String>,
    pub(super) timeout: Option<u64>,
}

/// What a guest is told. The names come in the order of the alphabet, as fledge has them.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) code: i32,
    stderr: String,
    stdout: String,
}

impl Answer {
    pub(super) fn failed(code: i32, stderr: impl Into<String>) -> Self {
        Self {
            code,
            stderr: stderr.into(),
            stdout: String::new(),
        }
    }
}

/// `exec`: the answer as JSON.
///
/// # Errors
/// The request is no JSON, which ends the plugin.
pub(super) async fn call(state: &mut State, request: &[u8]) -> Result<Vec<u8>> {
    let asked: Value = match serde_json::from_slice(request) {
        Ok(asked) => asked,
        Err(error) => bail!("exec: malformed JSON: {error}"),
    };
    let text = |key: &str| asked[key].as_str().map(str::to_owned);
    let ask = Ask {
        command: text("command").unwrap_or_default(),
        cwd: text("cwd"),
        timeout: asked["timeout"].as_u64(),
    };
    Ok(serde_json::to_vec(&run(state, ask).await)?)
}

/// Runs a command, or says in an answer why not.
pub(super) async fn run(state: &mut State, ask: Ask) -> Answer {
    let cwd = match ask.cwd {
        Some(cwd) => match inside(state.gate.project(), &cwd) {
            Some(inside) => Some((cwd, inside)),
            None => return Answer::failed(1, "exec cwd escapes project and plugin directory"),
        },
        None => None,
    };
    let grants = state.gate.grants();
    let has_shell = grants.exec.as_ref().is_some_and(grants_shell);
    let words = if has_shell {
        Ok(["sh", "-c", &ask.command].map(str::to_owned).to_vec())
    } else {
        line::argv(&ask.command)
    };
    let words = match words {
        // `sh -c ""` does nothing, and needs nobody's leave.
        _ if ask.command.trim().is_empty() => return Answer::failed(0, ""),
        Ok(words) => words,
        Err(why) => {
            let told = format!("`exec` was asked for a line that was not run: {why}");
            state.gate.activity.failure(told);
            return Answer::failed(126, why);
        }
    };
    let mut words = words.into_iter();
    let seconds = ask.timeout.unwrap_or(TIMEOUT).min(MAX_TIMEOUT);
    let wish = Wish {
        ask: ExecAsk {
            program: words.next().unwrap_or_default(),
            args: words.collect(),
            cwd: cwd.as_ref().map(|(_, inside)| inside.clone()),
            inherit_env: true,
            ..ExecAsk::default()
        },
        timeout: Some(Duration::from_secs(seconds)),
    };
    match state.gate.exec(wish).await {
        Ok(completed) => told(&completed, seconds),
        Err(refused) => refusal(refused, cwd.map(|(asked, _)| asked), seconds),
    }
}

/// Whether the policy is about a shell: what it may be given, its rule decides.
fn grants_shell(exec: &ExecGrant) -> bool {
    let is_shell = |rule: &&ProgramRule| rule.program.is_called("sh");
    let denied = |rule: &ProgramRule| rule.arguments.is_any();
    let allowed = exec.any_program || exec.allow.iter().any(|rule| is_shell(&rule));
    allowed && !exec.deny.iter().filter(is_shell).any(denied)
}

/// A directory of the project as a command is asked for it, without a look at what is there: whether anything is
/// outside nobody is told.
fn inside(project: &Path, cwd: &str) -> Option<String> {
    let path = Path::new(cwd);
    let below = if path.is_absolute() {
        path.strip_prefix(project).ok()?
    } else {
        path
    };
    let mut depth = 0_usize;
    for part in below.components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::ParentDir => depth = depth.checked_sub(1)?,
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(project.join(below).display().to_string())
}

fn told(completed: &Completed, seconds: u64) -> Answer {
    let code = match completed.status {
        Status::Exited(code) => i32::from(code),
        Status::Signalled(_) => 1,
        Status::TimedOut => return timed_out(seconds),
    };
    Answer {
        code,
        stderr: text(&completed.stderr),
        stdout: text(&completed.stdout),
    }
}

fn timed_out(seconds: u64) -> Answer {
    Answer::failed(124, format!("command timed out after {seconds}s"))
}

fn refusal(refused: Refused, cwd: Option<String>, seconds: u64) -> Answer {
    match (refused.code, refused.guest, cwd) {
        (Some(Code::ExecCwd), _, Some(cwd)) => {
            let why = format!("exec cwd '{cwd}' does not exist or is not accessible");
            Answer::failed(1, why)
        }
        (_, GuestError::TimedOut, _) => timed_out(seconds),
        (_, GuestError::NotFound, _) => Answer::failed(127, GuestError::NotFound.text()),
        (_, guest, _) => Answer::failed(126, guest.text()),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_STREAM)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_inside_the_project_as_it_is_written() {
        let of = |cwd: &str| inside(Path::new("/srv/p"), cwd);
        assert_eq!(of("sub/dir").as_deref(), Some("/srv/p/sub/dir"));
        assert_eq!(of("/srv/p/sub").as_deref(), Some("/srv/p/sub"));
        assert_eq!(of("a/../b").as_deref(), Some("/srv/p/a/../b"));
        for out in [
            "..",
            "/etc",
            "/srv/pp",
            "a/../../b",
            "/srv/p/..",
            "/srv/p/../q",
        ] {
            assert_eq!(of(out), None, "{out}");
        }
    }
}
