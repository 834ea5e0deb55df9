//! What confinement kept from a command that failed, as far as the command's own messages say.
//!
//! Nobody is told by the kernel what a Landlock domain or a mount refused, so this reads what programs write when they
//! fail: the well-known texts of a few errors, with a path or a host beside them. What a command writes is anybody's
//! text. It decides only what is looked at: each path is looked up on the host, and named only if it is there, the
//! host's user could have used it, and the rights of the command leave it out. Nothing of this is told to a guest.

mod lookup;
mod network;
mod reach;
#[cfg(test)]
mod tests;
mod text;

use std::path::PathBuf;

use portcullis_policy::ChildRights;

use crate::Status;
use lookup::Lookup;
use reach::Reach;

/// Hints that one command can give.
const MAX_HINTS: usize = 16;
/// Bytes of standard error that are looked at, from its end.
const MAX_BYTES: usize = 64 * 1024;

/// Something that a command wanted and that its rights leave out. Paths are real.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hint {
    /// It could not read this.
    Read(PathBuf),
    /// It could not write this: a file that is there, or the directory in which it wanted to make one.
    Write(PathBuf),
    /// It could not execute this, which lies where what was written is not executed.
    Execute(PathBuf),
    /// It could not start this program, which is not on its list.
    Program(PathBuf),
    /// It could not change this, because somebody else executes what lies there.
    Protected {
        /// What it wanted to change.
        path: PathBuf,
        /// The name of the list by which it is protected.
        name: String,
    },
    /// It has no network. The host and port, `host:port`, if it said which it wanted.
    NoNetwork(Option<String>),
    /// It reaches hosts through its proxy only, and did not ask it.
    NotThroughProxy,
}

/// What a command said when it failed, and what it was allowed.
///
/// It is kept until the guest has returned: looking paths up takes longer for what is there, and a guest could take the
/// time of it.
#[derive(Clone, Debug)]
pub struct Complaint {
    pub(crate) rights: ChildRights,
    pub(crate) cwd: PathBuf,
    pub(crate) args: Vec<String>,
    /// The end of its standard error.
    pub(crate) stderr: String,
    /// Whether its proxy was asked for anything.
    pub(crate) asked_proxy: bool,
}

/// Whether there is anything to explain: what was killed says nothing about why.
pub(crate) fn is_failure(status: Status) -> bool {
    matches!(status, Status::Exited(1..))
}

/// The part of standard error that is looked at.
pub(crate) fn end_of(stderr: &[u8]) -> String {
    let from = stderr.len().saturating_sub(MAX_BYTES);
    String::from_utf8_lossy(&stderr[from..]).into_owned()
}

impl Complaint {
    /// Looks for what confinement kept from the command. Blocks: it looks up on the host what the command named.
    ///
    /// # Authority
    /// Ambient: whether files are there, and what this process's user could do with them. Not for a guest.
    pub fn hints(&self) -> Vec<Hint> {
        let reach = Reach {
            lookup: Lookup::new(),
            rights: &self.rights,
            cwd: &self.cwd,
        };
        let mut hints = Vec::new();
        for line in text::complaints(&self.stderr) {
            let mut candidates = line.candidates.iter();
            hints.extend(candidates.find_map(|candidate| reach.judge(line.error, candidate)));
        }
        hints.extend(network::hint(self));
        let mut kept: Vec<Hint> = Vec::new();
        for hint in hints {
            if kept.len() < MAX_HINTS && !kept.contains(&hint) {
                kept.push(hint);
            }
        }
        kept
    }
}
