//! A plugin behind a URL: one file, with a digest that its reader knew before.

use portcullis_policy::Digest;
use url::Url;

use crate::error::FetchError;
use crate::net::{self, Client, Headers};
use crate::package::{Limits, Options, Package, Signature};
use crate::source::Source;

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
    let mut package = Package::new(source, net::body(url, response, limits.component)?);
    if package.digest() != expected {
        return Err(FetchError::Digest {
            what: url.to_string(),
            expected,
            found: package.digest(),
        });
    }
    package.signatures = signatures(&client, url)?;
    Ok(package)
}

/// The signatures beside the file, if it has any.
fn signatures(client: &Client<'_>, url: &Url) -> Result<Vec<Signature>, FetchError> {
    let mut beside = url.clone();
    beside.set_path(&format!("{}.sig", url.path()));
    let response = client.get(&beside, Headers::default())?;
    if matches!(response.status().as_u16(), 403 | 404 | 410) {
        return Ok(Vec::new());
    }
    let response = net::expect_ok(&beside, response)?;
    let bytes = net::body(&beside, response, client.limits.signatures)?;
    crate::detached::parse(beside.as_str(), &bytes, client.limits)
}
