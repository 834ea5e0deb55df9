use std::fmt;

use serde::Serialize;

use crate::denial::EXACTLY_THIS;
use crate::request::sealed::Sealed;
use crate::{Authorized, Capability, Code, Decision, Denial, Grants, Request};

/// How serious a line of a guest's log is, the most serious first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Something failed.
    Error,
    /// Something is not as it should be.
    Warn,
    /// What it does.
    Info,
    /// How it does it.
    Debug,
    /// Each step of it.
    Trace,
}

impl LogLevel {
    /// The word used in messages and the audit trail.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A line that a guest wants in the operator's log. The text does not matter to the decision.
#[derive(Clone, Copy, Debug)]
pub struct LogRequest {
    /// How serious it is.
    pub level: LogLevel,
}

impl Request for LogRequest {
    type Terms = ();
}

impl Sealed for LogRequest {
    fn decide(self, grants: &Grants) -> Decision<Self> {
        if grants.log {
            return Decision::Allow(Authorized::new(self, ()));
        }
        let (code, action) = (Code::LogNotGranted, "write lines into your log");
        let denial = Denial::new(code, grants, Capability::Log, action, self.level.name())
            .note("`log` is not granted; the default is deny")
            .allowed_by(EXACTLY_THIS, &["log"]);
        Decision::Deny(Box::new(denial))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PluginId, decide};

    #[test]
    fn a_log_is_written_to_only_where_it_is_granted() {
        let none = Grants::none(PluginId::new("p").unwrap());
        let level = LogLevel::Error;
        let Decision::Deny(denial) = decide(&none, LogRequest { level }) else {
            panic!("nothing is granted");
        };
        let command = denial.remedies[0].command.as_ref().unwrap();
        assert_eq!(command.join(" "), "portcullis grant p log");
        let granted = Grants { log: true, ..none };
        assert!(matches!(
            decide(&granted, LogRequest { level }),
            Decision::Allow(_)
        ));
    }
}
