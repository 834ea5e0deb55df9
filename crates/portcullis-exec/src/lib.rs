//! The native-command capability: resolve, decide, confine, spawn, stream, reap.
//!
//! A command goes through this crate in two steps with the policy's decision between them.
//! [`resolve`] turns what the guest asked for into an [`ExecRequest`](portcullis_policy::ExecRequest)
//! and keeps open what it found ([`Opened`]): the very file that will run and the directory it will
//! run in. Whoever holds the plugin's grants decides. [`Executor::run`] takes the authorized request
//! and those opened files, hands them to a parked one-use cell, feeds and drains its pipes, and
//! returns when nothing of the command's process tree is left. [`Executor::spawn`] returns when it has begun; its pipes
//! are then read and written by whoever started it.
//!
//! ```text
//! ExecAsk ──resolve──> (ExecRequest, Opened) ──decide──> Authorized ──Executor::run──> Completed
//! ```
//!
//! What this crate does not do: decide, audit, or translate for a guest ABI.
//!
//! Read first: [`ExecAsk`], [`resolve`], [`Executor`], [`Completed`], [`ExecFailure`].

mod aftermath;
mod ask;
mod cache;
mod capture;
pub mod care;
mod completed;
mod connections;
mod environment;
mod executor;
mod failure;
mod hint;
mod job;
mod pauses;
mod piped;
mod plan;
mod plumbing;
mod pool;
mod quota;
mod relay;
mod resolve;
mod run;
mod sharer;
mod stdio;
mod supervise;
mod trust;
mod watch;

pub use ask::{ExecAsk, Place};
pub use cache::{CACHE_VARIABLES, CacheOwner, Cleared, KeptCache, caches, clear_caches};
pub use care::GitIdentity;
pub use completed::{Completed, Status};
pub use connections::Connections;
pub use executor::{Executor, ExecutorOptions};
pub use failure::ExecFailure;
pub use hint::{Complaint, Hint};
pub use job::{Job, JobError};
pub use pauses::{Paused, Pauses};
pub use piped::{CHUNK, NobodyReads, Observer, Piped, ROOM, ReadError, Which};
pub use quota::{Permit, Quota};
pub use resolve::{Opened, resolve};
pub use run::Running;
pub use sharer::Sharer;
pub use stdio::{Input, Output, Stdio, Stream, Streams};
pub use trust::count as certificates;

pub use portcullis_confine::{
    Container, Executable, Helper, HelperError, Hinders, Observed, Obstacle, Outside, Overlay,
    Protection, Report, ServerError, Staged, Staging, StagingError, StagingStep, StartError, Step,
    Tier, Touch, Usage, cgroup_obstacle, enter, enter_leaf_cgroup, enter_staging, obstacles,
    stay_alone,
};
pub use portcullis_proxy::{Upstream, Verdict, Why};
