use std::io;

use portcullis_confine::{SendError, ServerError, StartError, Step};
use portcullis_policy::{Code, Confinement, GuestError};

/// Why an authorized command did not run to an end.
///
/// Never a status: a command that could not be started has none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecFailure {
    /// A limit on the plugin's commands: [`Code::LimitChildren`], [`Code::LimitRate`] or
    /// [`Code::LimitTotalOutput`].
    #[error("{}", limit_text(*.0))]
    Limit(Code),
    /// The program was never executed.
    #[error("cannot start the command: {step} failed: {}", io::Error::from_raw_os_error(*errno))]
    CannotStart {
        /// Where it failed.
        step: Step,
        /// The error number of that step.
        errno: i32,
    },
    /// The command cannot be handed to a cell.
    #[error("cannot start the command")]
    Command(#[source] SendError),
    /// The pipes to the command failed.
    #[error("cannot talk to the command")]
    Pipe(#[source] io::Error),
    /// The opened files are not those that were decided on; nothing was started.
    #[error("the opened files are not those that the decision was about")]
    NotDecided,
    /// The decision asks for a confinement that cannot be enforced; nothing was started.
    #[error("`confinement = \"{}\"` cannot be enforced", .0.name())]
    Confinement(Confinement),
    /// Its time was over before there was a cell for it; nothing was started.
    #[error("its time was over before it could be started")]
    TimeUp,
    /// No spawn server could be started.
    #[error("cannot start the spawn server")]
    Start(#[source] StartError),
    /// The spawn server or the cell failed, and the command with it, if it ran. The next command
    /// starts another server.
    #[error("the command was lost")]
    Server(#[source] ServerError),
    /// The command was killed, but the cell did not confirm within a second that it is gone.
    #[error("the command was killed, but its cell does not say that it is gone")]
    NotReaped,
}

impl ExecFailure {
    /// All that the guest learns.
    pub fn guest(&self) -> GuestError {
        match self {
            Self::Limit(Code::LimitOutput | Code::LimitTotalOutput) => GuestError::OutputLimit,
            Self::Limit(_) => GuestError::Limit,
            Self::CannotStart { .. }
            | Self::Command(_)
            | Self::Pipe(_)
            | Self::NotDecided
            | Self::Confinement(_)
            | Self::TimeUp
            | Self::Start(_)
            | Self::Server(_)
            | Self::NotReaped => GuestError::CannotStart,
        }
    }
}

fn limit_text(code: Code) -> String {
    // The first line of a code's page is its sentence; an error has no full stop.
    let sentence = code
        .page()
        .lines()
        .next()
        .unwrap_or_default()
        .trim()
        .trim_end_matches('.');
    let mut chars = sentence.chars();
    match chars.next() {
        Some(first) => format!("{}{} [{code}]", first.to_lowercase(), chars.as_str()),
        None => code.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_name_their_code() {
        assert_eq!(
            ExecFailure::Limit(Code::LimitChildren).to_string(),
            "too many commands of this plugin are running at once [P0221]"
        );
    }

    #[test]
    fn a_guest_learns_only_the_kind() {
        assert_eq!(
            ExecFailure::Limit(Code::LimitRate).guest(),
            GuestError::Limit
        );
        assert_eq!(
            ExecFailure::Limit(Code::LimitTotalOutput).guest(),
            GuestError::OutputLimit
        );
        let failed = ExecFailure::CannotStart {
            step: Step::Exec,
            errno: 8,
        };
        assert_eq!(failed.guest(), GuestError::CannotStart);
    }
}
