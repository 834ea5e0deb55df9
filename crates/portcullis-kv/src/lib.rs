//! A small durable store of keys and values, a file for each owner.
//!
//! What was acknowledged is on disk: each change is a transaction of its own that is synced before it returns, and it
//! is there whole or not at all, whoever is killed meanwhile. Any number of processes may use a store at once.
//!
//! Only numbers are decided here. Whose store it is and what may be done with it, the caller knows.

mod change;
mod directory;
mod error;
mod limits;
mod open;
mod store;

pub use change::Expected;
pub use directory::Stores;
pub use error::KvError;
pub use limits::{Limits, MAX_PAGE, MAX_VALUE};
pub use store::{Page, Store, Usage};
