//! What a plugin did and what it was refused, for the operator.

use std::time::Duration;

use portcullis_exec::{Report, Status};
use portcullis_policy::{Denial, Dropped, RuleId};

use crate::Diagnostic;

/// One command that ran, for the operator's report.
#[derive(Clone, Debug)]
pub struct Command {
    /// The number of the call in the audit trail.
    pub call: u64,
    /// The program's real path.
    pub program: String,
    /// The rules that allowed it.
    pub rules: Vec<RuleId>,
    /// How it ended.
    pub status: Status,
    /// Wall-clock time.
    pub duration: Duration,
    /// Variables of the host that were left out of its environment.
    pub dropped: Vec<Dropped>,
    /// Processes that outlived it and were killed.
    pub stragglers: u32,
    /// What the kernel enforced on it, in words.
    pub confinement: String,
    /// The same as data: the tier, and each protection that was in force, read back by its cell.
    pub report: Report,
    /// Keys of its rules that only the kernel could enforce and that were not in force.
    pub not_in_force: Vec<&'static str>,
}

/// What the plugin did and what it was refused, since the instance was made.
#[derive(Clone, Debug, Default)]
pub struct Activity {
    /// Commands that ran, in order.
    pub commands: Vec<Command>,
    /// Requests that were refused, in order.
    pub denials: Vec<Denial>,
    /// Failures of the host that the guest saw as an error, in words.
    pub failures: Vec<String>,
    /// What commands left that needs a look, in order.
    pub notices: Vec<Diagnostic>,
    /// How many commands, denials, failures and notices came after the first [`Activity::KEPT`] of each, or the first
    /// [`Activity::KEPT_BYTES`] of denials, and are not in the lists. The audit trail has them.
    pub not_kept: u64,
    /// Lines for the log that were dropped because there were more than `limits.log_per_minute`.
    pub log_dropped: u64,
    denial_bytes: usize,
}

impl Activity {
    /// How many of each are kept: a plugin decides how many there are.
    pub const KEPT: usize = 1000;
    /// Bytes of text of all denials that are kept: a plugin also decides how long each is.
    pub const KEPT_BYTES: usize = 4 * 1024 * 1024;

    fn keep<T>(list: &mut Vec<T>, not_kept: &mut u64, item: T) {
        if list.len() < Self::KEPT {
            list.push(item);
        } else {
            *not_kept += 1;
        }
    }

    pub(crate) fn command(&mut self, command: Command) {
        Self::keep(&mut self.commands, &mut self.not_kept, command);
    }

    pub(crate) fn denial(&mut self, mut denial: Denial) {
        shorten(&mut denial);
        let bytes = length(&denial);
        if self.denial_bytes + bytes > Self::KEPT_BYTES {
            self.not_kept += 1;
            return;
        }
        let before = self.denials.len();
        Self::keep(&mut self.denials, &mut self.not_kept, denial);
        if self.denials.len() > before {
            self.denial_bytes += bytes;
        }
    }

    pub(crate) fn notice(&mut self, notice: Diagnostic) {
        Self::keep(&mut self.notices, &mut self.not_kept, notice);
    }

    /// One that is there already is not told again: the same command may fail a thousand times.
    pub(crate) fn notice_once(&mut self, notice: Diagnostic) {
        if !self.notices.contains(&notice) {
            self.notice(notice);
        }
    }

    pub(crate) fn failure(&mut self, why: String) {
        Self::keep(&mut self.failures, &mut self.not_kept, why);
    }
}

/// Bytes of text of one denial. A command that is longer is more than a shell takes.
const LONGEST: usize = 64 * 1024;
/// Bytes of an object that is cut.
const OBJECT: usize = 1024;

/// Leaves out of a denial that is too long what would allow it, and most of what it was about.
fn shorten(denial: &mut Denial) {
    // A text that was cut may still have the room of the whole.
    if denial.object.capacity() > denial.object.len() {
        denial.object = denial.object.as_str().to_owned();
    }
    if length(denial) <= LONGEST {
        return;
    }
    denial.remedies.clear();
    let object = &mut denial.object;
    let texts = [object, &mut denial.action];
    texts.into_iter().chain(&mut denial.notes).for_each(cut);
}

fn cut(text: &mut String) {
    if text.len() > OBJECT {
        // A copy: shrunk where it lies, it would keep the hole behind it from being used for another text as long.
        *text = format!("{}…", &text[..text.floor_char_boundary(OBJECT)]);
    }
}

fn length(denial: &Denial) -> usize {
    let remedies = denial.remedies.iter().flat_map(|remedy| {
        let command = remedy.command.iter().flatten();
        std::iter::once(&remedy.text).chain(command)
    });
    let texts = [&denial.action, &denial.object].into_iter();
    texts
        .chain(&denial.notes)
        .chain(remedies)
        .map(String::len)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_policy::{Capability, Code, GuestError, PluginId, Remedy};

    fn denial(bytes: usize) -> Denial {
        Denial {
            code: Code::EnvNotGranted,
            plugin: PluginId::new("p").unwrap(),
            capability: Capability::Env,
            action: "read it".to_owned(),
            object: "é".repeat(bytes / 2),
            notes: Vec::new(),
            remedies: vec![Remedy {
                text: "allow".to_owned(),
                command: Some(vec!["x".repeat(bytes)]),
            }],
            rule: None,
            guest: GuestError::Denied,
        }
    }

    #[test]
    fn denials_are_kept_as_they_are_until_they_are_long_or_many() {
        let mut activity = Activity::default();
        activity.denial(denial(100));
        assert_eq!(activity.denials, [denial(100)]);
        let mut roomy = denial(100);
        roomy.object.reserve(1 << 20);
        activity.denial(roomy);
        assert!(activity.denials.pop().unwrap().object.capacity() < 1000);
        activity.denial(denial(1 << 20));
        let long = &activity.denials[1];
        assert!(long.object.len() < 1030 && long.remedies.is_empty());
        for _ in 0..999 {
            activity.denial(denial(30_000));
        }
        let kept = activity.denials.len() as u64;
        assert!((50..100).contains(&kept), "{kept}");
        assert_eq!(kept + activity.not_kept, 1001);
    }
}
