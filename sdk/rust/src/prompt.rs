//! Questions to the person who runs the plugin. An answer is text, and grants nothing.
//!
//! `id` names a question, so that it can be answered beforehand (`portcullis run --answer ID=VALUE`). Where nobody can be asked, or
//! nobody answers, the default is the answer. No time of the plugin's own passes while a question is open.
//!
//! ```
//! use portcullis::prompt;
//! use portcullis::testing::Host;
//!
//! let host = Host::new().answer("name", "Ada").answer("colour", "green");
//! host.run(|| {
//!     assert_eq!(prompt::text("name", "Who are you?", None)?, "Ada");
//!     assert_eq!(prompt::choose("colour", "Which colour?", &["red", "green"], None)?, 1);
//!     assert!(!prompt::confirm("sure", "Are you sure?", false)?);
//!     # Ok::<_, portcullis::Error>(())
//! })?;
//! # Ok::<_, portcullis::Error>(())
//! ```
//!
//! Grant: none. Errors of every function: [`Nobody`](ErrorKind::Nobody) without an answer and a default,
//! [`Invalid`](ErrorKind::Invalid) for a question without a meaning, [`Limit`](ErrorKind::Limit), [`Io`](ErrorKind::Io).

use crate::{Error, ErrorKind, Result, host};

/// A line of text.
///
/// # Errors
/// See [the module](self).
pub fn text(id: &str, message: &str, default: Option<&str>) -> Result<String> {
    host::prompt_text(id, message, default).map_err(|kind| unanswered(id, kind))
}

/// Yes or no.
///
/// # Errors
/// See [the module](self).
pub fn confirm(id: &str, message: &str, default: bool) -> Result<bool> {
    host::prompt_confirm(id, message, default).map_err(|kind| unanswered(id, kind))
}

/// One of the options, by its place.
///
/// # Errors
/// See [the module](self).
pub fn choose<S: AsRef<str>>(
    id: &str,
    message: &str,
    options: &[S],
    default: Option<usize>,
) -> Result<usize> {
    let default = default
        .map(place)
        .transpose()
        .map_err(|kind| unanswered(id, kind))?;
    let chosen = host::prompt_choose(id, message, &owned(options), default);
    chosen
        .map(|place| place as usize)
        .map_err(|kind| unanswered(id, kind))
}

/// Some of the options, by their places, in the order in which they were chosen.
///
/// # Errors
/// See [the module](self).
pub fn choose_some<S: AsRef<str>>(
    id: &str,
    message: &str,
    options: &[S],
    defaults: &[usize],
) -> Result<Vec<usize>> {
    let defaults = defaults
        .iter()
        .copied()
        .map(place)
        .collect::<Result<Vec<_>, _>>();
    let defaults = defaults.map_err(|kind| unanswered(id, kind))?;
    let chosen = host::prompt_choose_some(id, message, &owned(options), &defaults);
    let chosen = chosen.map_err(|kind| unanswered(id, kind))?;
    Ok(chosen.into_iter().map(|place| place as usize).collect())
}

fn owned<S: AsRef<str>>(options: &[S]) -> Vec<String> {
    options
        .iter()
        .map(|option| option.as_ref().to_owned())
        .collect()
}

fn place(place: usize) -> Result<u32, ErrorKind> {
    u32::try_from(place).map_err(|_| ErrorKind::Invalid)
}

fn unanswered(id: &str, kind: ErrorKind) -> Error {
    Error::of(format_args!("no answer to `{id}`"), kind)
}
