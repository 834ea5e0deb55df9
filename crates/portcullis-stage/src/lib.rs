//! What a staged run changed: found, compared with what is there, and committed whole or not at all.
//!
//! Whoever runs something in a staging namespace has an overlay over each root, whose changes lie in a directory of ours.
//! When every process is gone, that directory is frozen: nobody is left who could change it.
//!
//! ```text
//! Stages::begin ──> Stage ──(the run)──> difference ──> shown, agreed to ──> commit
//!   stamp of each root        walks the upper, beneath it      copies what was shown, journal, renames
//! ```
//!
//! - **What was shown is what is committed.** Each file's digest is taken when it is found, and what is copied later has
//!   to have it.
//! - **Nothing is followed.** Every path is opened beneath its root without a link on the way (`openat2`), and without
//!   another file system.
//! - **What was changed meanwhile is not overwritten.** What is to be replaced or removed must not have changed since the
//!   stage began, and what comes out of a rename must be what was looked at; else all of it is taken back.
//! - **Whole or nothing.** New files are written into a directory of ours at the top of the root, the old ones are moved
//!   there, and a journal says how to take it all back until it is complete. Nothing is deleted before that.
//!
//! What of all that may be committed by its name, this crate does not know: its caller has a [`Judge`].
//!
//! Read first: [`Stages`], [`Stage`], [`Difference`].

mod commit;
mod content;
mod difference;
mod error;
mod journal;
mod kept;
mod link;
mod place;
mod special;
mod stages;
mod stamp;
mod survey;

pub use commit::{Committed, Point};
pub use content::Content;
pub use difference::{
    After, Before, Change, Conflict, Difference, Judge, Object, Refusal, Verdict, Why,
};
pub use error::{CommitError, StageError, Unrecovered};
pub use kept::{KeptStage, Progress};
pub use stages::{Root, Stage, Stages};

/// How the directory begins that a commit has at the top of a root while it works.
pub const TEMPORARY: &str = ".portcullis-stage-";
