//! What hosts of fledge have besides: facts of the project.
//!
//! With the feature `fledge` a plugin is one for fledge, whose hosts run core modules on WASI preview 1; its source is the same.
//!
//! ```console
//! $ cargo build --release --target wasm32-wasip1 --features portcullis-sdk/fledge
//! ```
//!
//! fledge has fewer words. These are [`Unsupported`](crate::ErrorKind::Unsupported) there:
//!
//! - of commands [`spawn`](crate::process::Command::spawn) and everything that takes it, variables, and input; a time is in whole
//!   seconds, a signal is code 1, the host's environment is always there as far as policy lets it through, and output is text;
//! - [`http`](crate::http);
//! - of [`kv`](crate::kv) everything but `get` and `set`, whose values are text. One that cannot be kept ends the plugin.
//!
//! Files are those of the project, to read, and of `/plugin`. Questions need `responses = true` among the `capabilities` of its
//! `plugin.toml`; an error of the plugin is a line of its log, and exit code 1.

use serde_json::{Map, Value};

use crate::{Error, Result, host};

/// Facts of the project: an entry for each key, `null` where it stands for nothing or was not granted.
///
/// ```
/// use portcullis::testing::Host;
///
/// let host = Host::new().fact("git_tags", ["v1.0"]);
/// let facts = host.run(|| portcullis::fledge::metadata(&["git_tags", "git_log"]))?;
/// assert_eq!(facts["git_tags"][0], "v1.0");
/// assert!(facts["git_log"].is_null());
/// # Ok::<_, portcullis::Error>(())
/// ```
///
/// Grant: `metadata`.
///
/// # Errors
/// [`Io`](crate::ErrorKind::Io): the host did not answer.
pub fn metadata(keys: &[&str]) -> Result<Map<String, Value>> {
    host::metadata(keys).map_err(|kind| Error::of("cannot ask for facts of the project", kind))
}
