use semver::Version;

use crate::error::FetchError;

/// Whether a plugin may take the place of the one that is installed: going back to a lower version reopens what the higher
/// one has closed, so that is said expressly (`--downgrade`).
///
/// # Errors
/// [`FetchError::Downgrade`] for a lower version, and for one that cannot be compared.
pub fn may_replace(name: &str, installed: &str, new: &str) -> Result<(), FetchError> {
    let parse = |version: &str| Version::parse(version).ok();
    match (parse(installed), parse(new)) {
        (Some(old), Some(version)) if version >= old => Ok(()),
        _ if installed == new => Ok(()),
        _ => Err(FetchError::Downgrade {
            name: name.to_owned(),
            installed: installed.to_owned(),
            new: new.to_owned(),
        }),
    }
}
