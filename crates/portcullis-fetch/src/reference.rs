use std::fmt;

use portcullis_policy::Digest;

/// A plugin in a registry: `host/repository:tag`, `host/repository@sha256:…`, or both.
///
/// # Source
/// Names of repositories and tags: OCI Distribution Specification 1.1, "Pulling manifests".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The registry, and its port if it is none of its own.
    pub host: String,
    /// The repository.
    pub repository: String,
    /// The tag, if one was named. With a digest beside it, it says nothing.
    pub tag: Option<String>,
    /// The digest of the manifest.
    pub digest: Option<Digest>,
}

const LONGEST_REPOSITORY: usize = 255;
const LONGEST_TAG: usize = 128;

impl Reference {
    /// Reads a reference without `oci://` before it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (host, rest) = text
            .split_once('/')
            .ok_or("a place in a registry is `oci://host/repository:tag`")?;
        let (rest, digest) = match rest.split_once('@') {
            None => (rest, None),
            Some((rest, digest)) => {
                let digest = digest.starts_with("sha256:").then(|| Digest::parse(digest));
                let digest = digest.flatten();
                let digest =
                    digest.ok_or("after `@` stands `sha256:` and 64 hexadecimal digits")?;
                (rest, Some(digest))
            }
        };
        let (repository, tag) = match rest.split_once(':') {
            None => (rest, None),
            Some((repository, tag)) => (repository, Some(tag.to_owned())),
        };
        if tag.is_none() && digest.is_none() {
            return Err(format!("`{text}` names neither a tag nor a digest"));
        }
        if let Some(tag) = tag.as_deref().filter(|tag| !is_tag(tag)) {
            return Err(format!("`{tag}` is no tag"));
        }
        if !is_repository(repository) {
            return Err(format!(
                "`{repository}` is no repository: its parts are lower-case letters and digits, with `.`, `_` or `-` between them"
            ));
        }
        Ok(Self {
            host: host_of(host)?,
            repository: repository.to_owned(),
            tag,
            digest,
        })
    }

    /// How the registry is asked for it: by the digest if there is one, else by the tag.
    pub(crate) fn wanted(&self) -> String {
        match &self.digest {
            Some(digest) => digest.to_string(),
            None => self.tag.clone().unwrap_or_default(),
        }
    }
}

/// A host with or without a port, as a URL has it, and nothing else.
fn host_of(text: &str) -> Result<String, String> {
    let wrong = || format!("`{text}` is no host");
    let url = url::Url::parse(&format!("https://{text}/")).map_err(|_| wrong())?;
    let host = url.host_str().unwrap_or_default();
    let host = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    // A user name, a password or anything that a URL would read in another way than it is written.
    let same =
        text.eq_ignore_ascii_case(&host) || text.eq_ignore_ascii_case(&format!("{host}:443"));
    same.then_some(host).ok_or_else(wrong)
}

fn is_repository(text: &str) -> bool {
    let part = |part: &str| {
        let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let separators = part.split(ends).filter(|between| !between.is_empty());
        part.starts_with(ends) && part.ends_with(ends) && separators.into_iter().all(is_separator)
    };
    text.len() <= LONGEST_REPOSITORY && text.split('/').all(part)
}

fn is_separator(text: &str) -> bool {
    matches!(text, "." | "_" | "__") || text.bytes().all(|byte| byte == b'-')
}

/// Whether the text can be a tag.
pub(crate) fn is_tag(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = text.as_bytes();
    bytes.first().is_some_and(|first| word(*first))
        && bytes.len() <= LONGEST_TAG
        && bytes
            .iter()
            .all(|byte| word(*byte) || matches!(byte, b'.' | b'-'))
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}
