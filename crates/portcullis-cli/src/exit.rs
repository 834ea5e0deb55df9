//! Exit codes.

/// How a verb ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exit(pub(crate) u8);

impl Exit {
    /// It did what was asked.
    pub(crate) const OK: Self = Self(0);
    /// The answer is no.
    pub(crate) const NEGATIVE: Self = Self(1);
    /// Wrong usage, a wrong file, a wrong environment.
    pub(crate) const USAGE: Self = Self(2);
    /// This machine cannot do it.
    pub(crate) const UNAVAILABLE: Self = Self(3);
    /// `exec`: the command's time was over, as `timeout` reports it.
    pub(crate) const TIMED_OUT: Self = Self(124);
    /// `run` and `exec`: our own failure, as other programs that run programs report it.
    pub(crate) const OURS: Self = Self(125);
    /// `run`: the plugin gave up and something had been denied. `exec`: the command was denied.
    pub(crate) const DENIED: Self = Self(126);
    /// `exec`: there is no such program, as other programs that run programs report it.
    pub(crate) const NOT_FOUND: Self = Self(127);
    /// Whoever read our output went away: what a shell reports for a program that died of SIGPIPE, as `git` does.
    pub(crate) const BROKEN_PIPE: Self = Self(128 + 13);

    /// Stopped by a signal, as a shell reports it.
    pub(crate) const fn signal(number: u8) -> Self {
        Self(128 + number)
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.0)
    }
}
