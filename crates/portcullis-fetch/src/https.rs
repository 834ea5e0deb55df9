//! A plugin behind a URL: one file, with a digest that its reader knew before.

use portcullis_policy::Digest;
use url::Url;

use crate::error::FetchError;
use crate::net::{self, Client, Headers};
use crate::package::{Limits, Options, Package, sha256};
use crate::source::Source;
use crate::{detached, layout};

pub(crate) fn read(
    url: &Url,
    expected: Option<Digest>,
    limits: &Limits,
    options: &Options,
) -> Result<Package, FetchError> {
    let expected = expected.ok_or_else(|| FetchError::NoDigest {
        url: url.to_string(),
    })?;
    let client = Client::new(limits, options)?;
    let response = net::expect_ok(url, client.get(url, Headers::default())?)?;
    let source = Source::Url {
        url: url.clone(),
        digest: Some(expected),
    };
    let bytes = net::body(url, response, limits.component)?;
    let found = sha256(&bytes);
    if found != expected {
        return Err(FetchError::Digest {
            what: url.to_string(),
            expected,
            found,
        });
    }
    let mut package = if layout::is_packed(&bytes) {
        layout::unpack(source, &bytes, limits)?
    } else {
        Package::new(source, bytes)
    };
    read_signatures(&client, url, &mut package)?;
    Ok(package)
}

/// Reads the signatures beside the file, if it has any.
///
/// Many servers answer with a page where there is no file. Whoever could put a page there could as well say that there is
/// nothing, so both mean the same: the plugin has no signature, and is refused where it has to have one. A list of which only a
/// part can be read is a mistake of its author.
fn read_signatures(
    client: &Client<'_>,
    url: &Url,
    package: &mut Package,
) -> Result<(), FetchError> {
    let mut beside = url.clone();
    beside.set_path(&format!("{}.sig", url.path()));
    let response = client.get(&beside, Headers::default())?;
    if matches!(response.status().as_u16(), 403 | 404 | 410) {
        return Ok(());
    }
    let response = net::expect_ok(&beside, response)?;
    let found = net::body(&beside, response, client.limits.signatures).map(|bytes| {
        let signatures = detached::parse(beside.as_str(), &bytes, client.limits);
        (signatures, detached::is_about_something_else(&bytes))
    });
    match found {
        Ok((Ok(signatures), _)) => package.signatures = signatures,
        Ok((Err(error), true)) | Err(error @ FetchError::TooLarge { .. }) => {
            package.no_signatures = Some(error.to_string());
        }
        Ok((Err(error), false)) | Err(error) => return Err(error),
    }
    Ok(())
}
