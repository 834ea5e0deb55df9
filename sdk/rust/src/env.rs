//! The environment that the host was started with.
//!
//! ```
//! use portcullis::env;
//! use portcullis::testing::Host;
//!
//! let host = Host::new().var("LANG", "C.UTF-8");
//! host.run(|| {
//!     assert_eq!(env::var("LANG")?.as_deref(), Some("C.UTF-8"));
//!     assert_eq!(env::var("HOME")?, None);
//!     # Ok::<_, portcullis::Error>(())
//! })?;
//! # Ok::<_, portcullis::Error>(())
//! ```
//!
//! Grant: `env`.

use crate::{Error, Result, host};

/// The value of a variable. What was not granted and what is not set look alike: there is none.
///
/// # Errors
/// [`Limit`](crate::ErrorKind::Limit) for a plugin that asks too often within a minute; [`Io`](crate::ErrorKind::Io).
pub fn var(name: impl AsRef<str>) -> Result<Option<String>> {
    let name = name.as_ref();
    host::env_get(name)
        .map_err(|kind| Error::of(format_args!("cannot ask for the variable `{name}`"), kind))
}
