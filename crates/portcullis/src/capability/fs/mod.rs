//! `fs`: files and directories of the host.
//!
//! Plain calls ([`calls`]) and WASI ([`guard`]) find a place in the same way ([`spot`]) and are decided by the same
//! requests.

mod at_hand;
pub(crate) mod calls;
mod failure;
pub(crate) mod guard;
mod named;
mod open;
mod place;
mod roots;
mod spot;
mod total;
mod write;

pub(crate) use calls::{Entry, Kind, Stat};
pub(crate) use failure::FsFailure;
pub(crate) use named::NamedByGit;
pub(crate) use roots::{Roots, real_directory};
pub(crate) use total::Total;
