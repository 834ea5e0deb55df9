//! What is written down: one type per kind of event, with plain fields.

use serde::{Deserialize, Serialize};

use crate::chain::Head;
use crate::digest::KeyedDigest;
use crate::mask::Masked;

/// One thing that happened.
///
/// A call that changes something outside leaves two: a [`Decision`] before it, then an [`Outcome`] or a [`Done`]. A call that
/// only tells the guest something leaves one, a [`Decision`] with its [`Effect`], before the guest is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A file of the trail begins. Written by the trail itself.
    Opened(Opened),
    /// A plugin begins to run.
    RunStarted(RunStarted),
    /// The run is over.
    RunEnded(RunEnded),
    /// A person was asked for what no rule says.
    Asked(Asked),
    /// A policy of a working tree is trusted, or no longer.
    TrustChanged(TrustChanged),
    /// A plugin is installed, updated or removed.
    PluginChanged(PluginChanged),
    /// What a run left is committed to the directories that it was granted. It is written before that is done.
    Committing(Committing),
    /// The policy decided on a request.
    Decision(Decision),
    /// What came of a request that was allowed.
    Outcome(Outcome),
    /// What came of a request of the guest itself that was allowed.
    Done(Done),
    /// Denials that repeated one another, counted instead of written one by one.
    DenialsFolded(DenialsFolded),
    /// A call into a plugin used up what it may, and was ended.
    Exhausted(Exhausted),
}

/// Why a file of the trail begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "because", rename_all = "snake_case")]
pub enum Opened {
    /// The trail begins here.
    Started,
    /// The file before it reached its size.
    Rotated {
        /// The name of the file before this one.
        after: String,
    },
    /// The file before it ends with bytes that are no record: a write was interrupted.
    Torn {
        /// The name of the file that ends with them.
        after: String,
        /// Where they begin, in bytes.
        offset: u64,
        /// How many there are.
        bytes: u64,
        /// The BLAKE3 hash of them, 64 hex digits.
        digest: String,
    },
    /// The files do not hold the record that a kept head names: records were cut off or rewritten.
    Lost {
        /// The head that was kept.
        expected: Head,
    },
    /// There are files, but no readable head beside them: a cut tail could not be told.
    Headless,
}

/// A plugin begins to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunStarted {
    /// The id of the run; the events of its calls carry it too.
    pub run: String,
    /// The id of the plugin.
    pub plugin: String,
    /// The BLAKE3 digest of the plugin's bytes, hex.
    pub plugin_digest: String,
    /// The policy files in force, in the order in which they were read.
    pub policy_files: Vec<String>,
    /// What was passed to the plugin.
    pub args: Masked,
}

/// The run of a plugin is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEnded {
    /// The id of the run.
    pub run: String,
    /// The exit code that the run was reported with.
    pub exit_code: i32,
    /// How long it took, in microseconds.
    pub duration_us: u64,
}

/// A person was asked for what no rule says. The [`Decision`] that follows from the answer has the same run and call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The id of the run.
    pub run: String,
    /// The number of the call within the run.
    pub call: u64,
    /// The id of the plugin.
    pub plugin: String,
    /// The capability, such as `exec`.
    pub capability: String,
    /// What it was asked for: a program with its arguments.
    pub object: Masked,
    /// What the person answered.
    pub answer: Answer,
}

/// A policy of a working tree is trusted, or no longer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustChanged {
    /// The policy file.
    pub file: String,
    /// The SHA-256 of its text as it is trusted, hex; `None` when it is trusted no longer.
    pub sha256: Option<String>,
    /// The plugins that it names, each with the SHA-256 of its file; empty where nothing is there.
    pub plugins: Vec<(String, String)>,
}

/// A plugin is installed, updated or removed. It is written before that is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginChanged {
    /// The id of the plugin.
    pub plugin: String,
    /// The SHA-256 of the content that it had, hex; `None` when it is installed.
    pub from: Option<String>,
    /// The SHA-256 of the content that it gets, hex; `None` when it is removed.
    pub to: Option<String>,
    /// Where it came from.
    pub source: String,
    /// How its origin is vouched for, such as `signed`.
    pub tier: String,
    /// Whether a person agreed at a terminal.
    pub agreed: bool,
}

/// What a run left is committed to the directories that it was granted. It is written before that is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committing {
    /// The id of the plugin.
    pub plugin: String,
    /// The directories.
    pub roots: Vec<String>,
    /// How many files, directories and links are different.
    pub changes: u64,
    /// The BLAKE3 digest of their names, modes and contents, hex.
    pub digest: String,
    /// Whether a person agreed at a terminal.
    pub agreed: bool,
}

/// What a person answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Answer {
    /// This one command.
    Once,
    /// This command, for the rest of the run.
    Run,
    /// This command, now and in later runs.
    Always,
    /// No.
    No,
}

/// The policy's answer to one request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The id of the run.
    pub run: String,
    /// The number of the call within the run; its [`Outcome`] has the same.
    pub call: u64,
    /// The id of the plugin.
    pub plugin: String,
    /// The capability, such as `exec`.
    pub capability: String,
    /// What of the capability, such as `read`, where it is more than one function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// What it was asked for: a program with its arguments, a path, an address.
    pub object: Masked,
    /// What the plugin calls the work that the request belongs to, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<Masked>,
    /// The answer.
    pub verdict: Verdict,
    /// The rule that decided; `None` if none matched and the default did.
    pub rule: Option<Rule>,
    /// The code of a denial, such as `P0201`.
    pub code: Option<String>,
    /// The reason in words.
    pub reason: Option<Masked>,
    /// What came of it, where it is over already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,
}

/// What came of a request of the guest itself: a file that it read, an address that it asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// Why it failed, in words; `None` when it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<Masked>,
    /// Bytes that the guest was given.
    pub bytes_in: u64,
    /// Bytes that went out: to a file, a host, a store.
    pub bytes_out: u64,
    /// The status of an HTTP response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// The address and port that were connected to, if any were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Secrets of the operator that were added to a request: each by its header and its name in the policy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// How long it took, in microseconds.
    pub duration_us: u64,
}

/// What came of a request of the guest itself that was allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// The id of the run.
    pub run: String,
    /// The number of the call within the run, as in its [`Decision`].
    pub call: u64,
    /// What came of it.
    pub effect: Effect,
}

/// Allow or deny.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The request may take effect.
    Allow,
    /// The request had no effect.
    Deny,
}

/// A rule of the policy and where it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// The id of the rule.
    pub id: String,
    /// Where it is written, such as `portcullis.toml:14`.
    pub origin: String,
}

/// What came of a request that was allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The id of the run.
    pub run: String,
    /// The number of the call within the run, as in its [`Decision`].
    pub call: u64,
    /// How it ended.
    pub ended: Ended,
    /// How long it took, in microseconds.
    pub duration_us: u64,
    /// Bytes of standard output that were read from the child.
    pub stdout_bytes: u64,
    /// Bytes of standard error that were read from the child.
    pub stderr_bytes: u64,
    /// A digest of standard output, keyed so that a short secret cannot be guessed from it.
    pub stdout_digest: Option<KeyedDigest>,
    /// A digest of standard error, keyed likewise.
    pub stderr_digest: Option<KeyedDigest>,
    /// Names of the environment variables that were dropped; never their values.
    pub env_dropped: Vec<String>,
    /// How many processes of the call were still alive at its end and were killed.
    pub stragglers_killed: u32,
    /// The tier of confinement that was in force, such as `full`.
    pub confinement: String,
    /// What it asked its proxy for, if it may reach hosts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub connections: Vec<Connection>,
    /// What became of the working trees that it could write, in words: configurations that changed, names that were
    /// set aside.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trees: Vec<Masked>,
}

/// A host that a command asked its proxy for; equal ones once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// The host as it was asked for.
    pub host: Masked,
    /// The port; 0 where none could be read.
    pub port: u16,
    /// The address that was connected to, if one was and it was chosen here.
    pub address: Option<String>,
    /// The entry of the policy that is about the host.
    pub rule: Option<String>,
    /// Whether the policy allowed it.
    pub allowed: bool,
    /// Why, or how it ended, in words.
    pub why: Masked,
    /// How often it was asked for.
    pub count: u64,
    /// Bytes sent to the host.
    pub bytes_up: u64,
    /// Bytes received from the host.
    pub bytes_down: u64,
}

/// How a child process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Ended {
    /// It exited with this code.
    Exited(i32),
    /// This signal killed it.
    Signaled(i32),
    /// Its time was up and the whole tree was killed.
    TimedOut,
    /// It reached the limit of this name and was stopped.
    LimitReached(String),
    /// It could not be started, for this reason.
    FailedToStart(Masked),
    /// The caller gave up on it and the whole tree was killed.
    Cancelled,
}

/// Repeats of one denial within a window of time, beyond the first few.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DenialsFolded {
    /// The id of the run.
    pub run: String,
    /// The id of the plugin.
    pub plugin: String,
    /// The capability that was asked for.
    pub capability: String,
    /// What of the capability, where it is more than one function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// What it was asked for.
    pub object: Masked,
    /// The code of the denial.
    pub code: Option<String>,
    /// How many repeats this record stands for.
    pub count: u64,
    /// The number of the first call that was folded.
    pub first_call: u64,
    /// The number of the last call that was folded.
    pub last_call: u64,
}

/// A call into a plugin used up what it may, and was ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exhausted {
    /// The id of the run.
    pub run: String,
    /// The number within the run, in one row with those of requests.
    pub call: u64,
    /// The id of the plugin.
    pub plugin: String,
    /// What was called in the plugin: its export, or `instantiate`.
    pub export: String,
    /// `fuel`, `memory`, `tables` or `time`.
    pub resource: String,
    /// What it had used: instructions, bytes, elements or milliseconds.
    pub used: u64,
    /// What it may use, likewise.
    pub limit: u64,
}
