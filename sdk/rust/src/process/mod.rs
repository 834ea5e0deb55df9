//! Native commands of the host, in the shape of [`std::process`].
//!
//! Code written for `std` works with another `use` line, but for this:
//!
//! - Everything is UTF-8; what is not is passed on with U+FFFD in it.
//! - A program is a bare name, looked up where the operator's policy says, or an absolute path.
//! - A command gets no variables but those that are set for it, unless [`inherit_env`](Command::inherit_env) is asked for and
//!   granted.
//! - Nothing is inherited unless it is asked for: without [`stdout`](Command::stdout) and its like, the streams of a child lead
//!   nowhere.
//! - A child that is dropped is killed, with everything that it started, and so is one that is left when the plugin ends.
//! - Errors are this crate's own, with a [`kind`](crate::Error::kind). A command that ran is no error, whatever its status, but for
//!   [`read`](Command::read) and [`exit_ok`](Output::exit_ok).
//!
//! Grant: `exec`.

mod child;
mod command;
mod output;

pub use child::{Child, ChildStderr, ChildStdin, ChildStdout};
pub use command::{Command, Stdio};
pub(crate) use output::Exit;
pub use output::{ExitStatus, KillReason, Output};
