use std::fmt;
use std::path::PathBuf;

use portcullis_policy::Digest;
use url::Url;

use crate::error::FetchError;
use crate::reference::Reference;

/// Where a plugin is.
///
/// It is printed as it is parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file, or the directory of a plugin.
    Path(PathBuf),
    /// A file behind a URL without user name and password, and its digest: `https://host/notes.wasm#sha256=…`.
    Url {
        /// The URL, without the part after `#`.
        url: Url,
        /// The digest of the file. Nothing is read without one.
        digest: Option<Digest>,
    },
    /// In a registry: `oci://host/repository:tag` or `oci://host/repository@sha256:…`.
    Registry(Reference),
}

impl Source {
    /// Reads a source as it is written on a command line. What has no scheme is a path.
    ///
    /// `http` is a scheme too: [`read`](crate::read) refuses it unless [`Options`](crate::Options) allow it.
    ///
    /// # Errors
    /// [`FetchError::Source`] for a URL of another scheme, with a user name or password, or that is none.
    pub fn parse(text: &str) -> Result<Self, FetchError> {
        let wrong = |why: &str| FetchError::Source {
            text: text.to_owned(),
            why: why.to_owned(),
        };
        match scheme(text) {
            None if text.is_empty() => Err(wrong("it is empty")),
            None => Ok(Self::Path(PathBuf::from(text))),
            Some("oci") => Reference::parse(&text["oci://".len()..])
                .map(Self::Registry)
                .map_err(|why| wrong(&why)),
            Some("https" | "http") => of_url(text).map_err(|why| wrong(&why)),
            Some(scheme) => Err(wrong(&format!(
                "there is no `{scheme}://`: plugins come from a path, `https://` or `oci://`"
            ))),
        }
    }

    /// The same with the digest of what is expected there, which a command line may name apart from it.
    ///
    /// # Errors
    /// [`FetchError::Source`] for a path, and where another digest was named already.
    pub fn with_digest(mut self, expected: Digest) -> Result<Self, FetchError> {
        let wrong = |source: &Self, why: &str| FetchError::Source {
            text: source.to_string(),
            why: why.to_owned(),
        };
        let digest = match &mut self {
            Self::Path(_) => return Err(wrong(&self, "a path is read without a digest")),
            Self::Url { digest, .. } => digest,
            Self::Registry(reference) => &mut reference.digest,
        };
        match digest.replace(expected) {
            Some(other) if other != expected => {
                Err(wrong(&self, &format!("it names another digest, {other}")))
            }
            _ => Ok(self),
        }
    }
}

/// The scheme of what begins like a URL.
fn scheme(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once("://")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    (scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(plain))
        .then_some(scheme)
}

fn of_url(text: &str) -> Result<Source, String> {
    let mut url = Url::parse(text).map_err(|error| error.to_string())?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a URL of a plugin has no user name and no password".to_owned());
    }
    let digest = match url.fragment() {
        None => None,
        Some(fragment) => {
            let digits = fragment.strip_prefix("sha256=").unwrap_or_default();
            Some(
                Digest::parse(digits)
                    .ok_or("after `#` stands `sha256=` and 64 hexadecimal digits")?,
            )
        }
    };
    url.set_fragment(None);
    Ok(Source::Url { url, digest })
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Url { url, digest: None } => url.fmt(f),
            Self::Url {
                url,
                digest: Some(digest),
            } => write!(f, "{url}#sha256={}", digest.hex()),
            Self::Registry(reference) => write!(f, "oci://{reference}"),
        }
    }
}
