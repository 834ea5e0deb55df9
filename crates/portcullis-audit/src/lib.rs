//! The audit trail: typed events in hash-chained JSON lines.
//!
//! Each [`Event`] becomes one line whose hash covers the line before it, so that [`verify`] finds a record
//! that was changed, removed or added. A head that is kept elsewhere also shows a cut tail and a trail that
//! was rewritten as a whole. Secrets of a known form are masked before they are written ([`Masked`]), and
//! outputs appear only as digests under a key of the installation ([`DigestKey`]).
//!
//! This crate decides nothing, reads no clock, and does not protect the trail from programs of the same
//! user: guests and their children are kept from it by policy and confinement.
//!
//! Read first: [`Event`], [`Sink`], [`Trail`], [`verify`].

mod chain;
mod digest;
mod event;
mod files;
mod fold;
mod forward;
mod mask;
mod read;
mod recover;
mod sink;
mod trail;
mod verify;

pub use chain::{Head, InvalidHead, RecordHash, SCHEMA_VERSION};
pub use digest::{DigestKey, Digester, KeyedDigest};
pub use event::{
    Answer, Asked, Connection, Decision, DenialsFolded, Done, Effect, Ended, Event, Exhausted,
    Opened, Outcome, PluginChanged, Rule, RunEnded, RunStarted, TrustChanged, Verdict,
};
pub use fold::{FoldOptions, Folding};
pub use forward::{Destination, Forward, Forwarding, Lost, Select};
pub use mask::{MAX_ARGS, MAX_TEXT, Masked, is_secret_name, mask, secrets};
pub use portcullis_private::PrivateError;
pub use read::{Entry, entries, find, tail};
pub use sink::{Memory, Sink};
pub use trail::{AppendError, Options, Trail};
pub use verify::{Evidence, Finding, HeadSource, Verification, verify};
