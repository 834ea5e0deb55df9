//! What the trail has of a call that used up what it may.

use portcullis_audit::{self as audit, Event};

use super::records::Unwritten;
use super::{Gate, Lines};
use crate::exhausted::Exhausted;

impl Gate {
    /// Writes down that a call was ended. The guest is gone already, so that nothing is left to be refused where this
    /// cannot be written: the operator is told.
    pub(crate) fn exhausted(&mut self, export: &str, exhausted: Exhausted) {
        self.calls += 1;
        let written = self.lines(self.calls).exhausted(export, exhausted);
        if let Err(Unwritten(why)) = written {
            self.activity.failure(why);
        }
    }
}

impl Lines {
    fn exhausted(&self, export: &str, exhausted: Exhausted) -> Result<(), Unwritten> {
        self.append(&Event::Exhausted(audit::Exhausted {
            run: self.run.to_string(),
            call: self.call,
            plugin: self.parts.grants.plugin.to_string(),
            export: export.to_owned(),
            resource: exhausted.resource.name().to_owned(),
            used: exhausted.used,
            limit: exhausted.limit,
        }))
    }
}
