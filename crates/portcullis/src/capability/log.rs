//! `log`: lines for the operator.

use std::sync::Arc;
use std::time::Instant;

use portcullis_audit::{Effect, Masked};
use portcullis_policy::{Capability, LogLevel, LogRequest, escape_within};

use crate::gate::{Gate, Use};
use crate::guest_log::LogLine;

/// Bytes of a line, what says that it was cut included.
const MAX_LINE: usize = 4096;
/// At the end of a line that was cut.
const CUT: &str = "... [truncated]";
/// Bytes of a line that are written into the trail.
const IN_THE_TRAIL: usize = 80;
/// Bytes of a line that are searched for secrets first: one that begins among the first 80 may end behind them.
const SEARCHED: usize = 512;

const WRITE: &str = "write";

impl Gate {
    /// Writes a line into the operator's log. A guest is not told what became of it: a line that was not granted, that
    /// is one too many, or that cannot be written into the trail goes nowhere.
    pub(crate) fn log(&mut self, level: LogLevel, message: &str) {
        let used = self.begin_unless_full(Capability::Log, WRITE, Masked::default());
        let mut used = match used {
            Ok(used) => used,
            Err(used) => return self.drop_line(used, level, message),
        };
        let line = escape_within(message, MAX_LINE, CUT);
        used.is_about(in_the_trail(level, &line));
        let now = used.began();
        if let Some(lines) = self.rates().dropped.after_a_minute(now) {
            self.tell_of_dropped(&used, lines);
        }
        let Ok(_authorized) = self.authorize(&used, LogRequest { level }) else {
            return;
        };
        let effect = Effect {
            bytes_out: line.len() as u64,
            ..Effect::default()
        };
        if self.told(&used, None, effect).is_ok()
            && let Some(log) = self.guest_log()
        {
            log.line(&LogLine {
                run: self.run_id(),
                plugin: &self.grants().plugin,
                level,
                message: &line,
            });
        }
    }

    /// Counts a line that is one too many. Of those until the operator is told the first stands in the trail.
    fn drop_line(&mut self, mut used: Use, level: LogLevel, message: &str) {
        self.activity.log_dropped += 1;
        let now = used.began();
        let rates = self.rates();
        if let Some(lines) = rates.dropped.after_a_minute(now) {
            self.tell_of_dropped(&used, lines);
        }
        if rates.dropped.add(now) {
            let line = escape_within(message, MAX_LINE, CUT);
            used.is_about(in_the_trail(level, &line));
            // Nothing depends on it: the line goes nowhere either way, and a failure is told with the next one.
            let _ = self.full(&used, "this line and those after it are dropped".to_owned());
        }
    }

    /// Tells of lines that were dropped and not told yet. To be called when the guest has returned.
    pub(crate) fn end_log(&mut self) {
        if let Some(lines) = self.rates().dropped.at_the_end(Instant::now()) {
            let used = self.uncounted(Capability::Log, WRITE, Masked::default());
            self.tell_of_dropped(&used, lines);
        }
    }

    fn tell_of_dropped(&mut self, used: &Use, lines: u64) {
        let _ = self.full(used, format!("{lines} lines were dropped"));
        if let Some(log) = self.guest_log() {
            log.dropped(&self.grants().plugin, lines);
        }
    }

    fn guest_log(&self) -> Option<Arc<dyn crate::GuestLog>> {
        self.parts().guest_log.clone()
    }
}

/// The level and the beginning of a line: enough to find it by, without what looks like a secret.
fn in_the_trail(level: LogLevel, line: &str) -> Masked {
    let searched = &line[..line.floor_char_boundary(SEARCHED)];
    let masked = portcullis_audit::mask(searched);
    let kept = &masked[..masked.floor_char_boundary(IN_THE_TRAIL)];
    Masked::new(&format!("{level}: {kept}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trail_has_the_beginning_of_a_line_without_secrets_and_cuts_no_character() {
        let level = LogLevel::Warn;
        assert_eq!(in_the_trail(level, "hello").as_str(), "warn: hello");
        for before in 77..=80 {
            let line = format!("{}\u{1f600}{}", "a".repeat(before), "b".repeat(900));
            let kept = in_the_trail(level, &line);
            assert!(kept.as_str().len() <= "warn: ".len() + 80, "{kept}");
            assert!(
                kept.as_str()
                    .starts_with(&format!("warn: {}", "a".repeat(77)))
            );
        }
        let secret = format!("{} ghp_{}", "a".repeat(60), "s3cr3t0".repeat(6));
        let kept = in_the_trail(level, &secret);
        assert!(!kept.as_str().contains("s3cr3t"), "{kept}");
    }
}
