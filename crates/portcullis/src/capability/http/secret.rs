//! Secrets of the operator: read for a request, added to it, and looked for in what comes back.
//!
//! Where each belongs is decided by policy ([`HttpSecret`]). Here it is read each time, so that one that was renewed counts, and
//! kept no longer than the request takes. Every response to the plugin is searched for every secret in its grants, also that of
//! a request without any: a server may keep what it was sent and show it somewhere else.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use portcullis_policy::{Grants, HostEnvironment, HttpRequest, HttpSecret, SecretSource};
use rustix::fs::OFlags;

use super::failure::HttpFailure;
use super::search::Search;

/// Bytes of a secret. A shorter one would be found where it is not, and guessed.
const LENGTH: std::ops::RangeInclusive<usize> = 8..=4096;
/// Headers by which a server is asked for a piece of its answer: a secret could come in two.
const IN_PIECES: [&str; 2] = ["range", "if-range"];

/// The secrets of a request.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    /// The headers to add.
    headers: Vec<(HeaderName, HeaderValue)>,
    /// What they are called in the policy, each with its header.
    names: Vec<String>,
    search: Search,
}

/// What is never shown, also not by accident.
struct Hidden(String);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

impl Secrets {
    /// Reads what goes with a request, and what else its response is searched for.
    ///
    /// # Errors
    /// One that goes with it cannot be read or is none. Others are left out then: they were not sent either.
    pub(super) fn read(
        added: &[HttpSecret],
        grants: &Grants,
        host_env: &HostEnvironment,
    ) -> Result<Self, HttpFailure> {
        let mut secrets = Self::default();
        let mut known = Vec::new();
        for secret in &grants.http.secrets {
            let value = match value(secret, grants, host_env) {
                Ok(value) => value,
                Err(_) if !added.contains(secret) => continue,
                Err(why) => return Err(HttpFailure::NoSecret(format!("`{}`: {why}", secret.id))),
            };
            if added.contains(secret) {
                secrets.add(secret, &value)?;
            }
            known.push((secret.id.to_string(), secret.prefix.clone(), value));
        }
        let known = known
            .iter()
            .map(|(name, prefix, value)| (name.as_str(), prefix.as_str(), value.0.as_str()));
        secrets.search = Search::new(known).map_err(HttpFailure::NoSecret)?;
        Ok(secrets)
    }

    fn add(&mut self, secret: &HttpSecret, value: &Hidden) -> Result<(), HttpFailure> {
        let none = || {
            HttpFailure::NoSecret(format!(
                "`{}`: `{}` is no header that can have it",
                secret.id, secret.header
            ))
        };
        if !HttpSecret::is_header(&secret.header) || !HttpSecret::is_prefix(&secret.prefix) {
            return Err(none());
        }
        let name: HeaderName = secret.header.parse().map_err(|_| none())?;
        let mut whole =
            HeaderValue::from_str(&format!("{}{}", secret.prefix, value.0)).map_err(|_| none())?;
        whole.set_sensitive(true);
        self.names
            .push(format!("{} ({})", secret.header, secret.id));
        self.headers.push((name, whole));
        Ok(())
    }

    /// Puts them into the head of a request, and says which they were. What comes back is to be searched.
    pub(super) fn put(self, headers: &mut HeaderMap, names: &mut Vec<String>) -> Search {
        for (name, value) in self.headers {
            headers.insert(name, value);
        }
        *names = self.names;
        self.search
    }
}

/// Refuses what a guest may not say where the host adds a header: that header, in any spelling that a server could take for
/// it, and what would have an answer come in pieces.
pub(super) fn leaves_room(
    headers: &HeaderMap,
    added: &[HttpSecret],
    grants: &Grants,
    request: &HttpRequest,
) -> Result<(), HttpFailure> {
    let plain = |name: &str| name.replace('_', "-");
    let guarded = grants.http.has_secret_for_host(&request.url);
    let taken = headers.keys().find(|name| {
        let name = name.as_str();
        let is_added = added
            .iter()
            .any(|secret| plain(&secret.header) == plain(name));
        is_added || (guarded && IN_PIECES.contains(&name))
    });
    taken.map_or(Ok(()), |name| Err(HttpFailure::Header(name.to_string())))
}

/// The values of all secrets that are added to a plugin's requests, as far as they can be read.
pub(crate) fn secrets_of(grants: &Grants, host_env: &HostEnvironment) -> Vec<String> {
    let secrets = grants.http.secrets.iter();
    secrets
        .filter_map(|secret| value(secret, grants, host_env).ok())
        .map(|Hidden(text)| text)
        .collect()
}

/// Reads a secret. What is said of one that cannot be used does not tell what it is.
fn value(
    secret: &HttpSecret,
    grants: &Grants,
    host_env: &HostEnvironment,
) -> Result<Hidden, String> {
    let source = &secret.source;
    let text = match source {
        SecretSource::Env(name) => host_env
            .get(name)
            .ok_or_else(|| format!("{source} is not set"))?
            .to_owned(),
        SecretSource::File(path) => {
            let text = read(path, grants).map_err(|why| format!("{source} {why}"))?;
            let line = text.strip_suffix('\n').unwrap_or(&text);
            line.strip_suffix('\r').unwrap_or(line).to_owned()
        }
    };
    if text.is_empty() {
        return Err(format!("{source} is empty"));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!(
            "{source} has something else than visible ASCII characters"
        ));
    }
    if !LENGTH.contains(&text.len()) {
        let (least, most) = (LENGTH.start(), LENGTH.end());
        return Err(format!(
            "{source} has less than {least} or more than {most} characters"
        ));
    }
    Ok(Hidden(text))
}

fn read(path: &Path, grants: &Grants) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {}", error.kind());
    let real = path.canonicalize().map_err(unreadable)?;
    // Where the plugin can put a link it would choose what is sent, and what it can read is no secret from it.
    let directory = path.parent().and_then(|parent| parent.canonicalize().ok());
    let written = directory
        .into_iter()
        .filter_map(|parent| Some(parent.join(path.file_name()?)));
    let places: Vec<_> = written.chain([real.clone()]).collect();
    if let Some(grant) = grants
        .fs
        .iter()
        .find(|grant| places.iter().any(|place| place.starts_with(&grant.host)))
    {
        return Err(format!(
            "is in `{}`, which the plugin may open",
            grant.host.display()
        ));
    }
    // Nobody is waited for where it is a pipe.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = File::options()
        .read(true)
        .custom_flags(flags)
        .open(&real)
        .map_err(unreadable)?;
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err("is no regular file".to_owned());
    }
    let mut bytes = Vec::new();
    // One more than a line break more: what is longer is refused, not cut.
    let most = *LENGTH.end() as u64 + 3;
    file.take(most)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    String::from_utf8(bytes)
        .map_err(|_| "has something else than visible ASCII characters".to_owned())
}

#[cfg(test)]
mod tests {
    use portcullis_policy::{FsAccess, FsGrant, FsKind, HttpPlace, Origin, PluginId, RuleId};

    use super::*;

    const TOKEN: &str = "s3cr3t-T0ken/value";

    fn secret(source: SecretSource) -> HttpSecret {
        HttpSecret {
            id: RuleId("http.secrets[0]".to_owned()),
            origin: Origin::Code,
            header: "authorization".to_owned(),
            prefix: "Bearer ".to_owned(),
            source,
            to: HttpPlace::parse("https://api.example.com/v1").unwrap(),
        }
    }

    fn granted(secret: &HttpSecret) -> Grants {
        let mut grants = Grants::none(PluginId::new("p").unwrap());
        grants.http.secrets = vec![secret.clone()];
        grants
    }

    fn env(value: &str) -> HostEnvironment {
        HostEnvironment::new(vec![("TOKEN".to_owned(), value.to_owned())])
    }

    fn of_env(value: &str) -> Result<Secrets, HttpFailure> {
        let secret = secret(SecretSource::Env("TOKEN".to_owned()));
        Secrets::read(
            std::slice::from_ref(&secret),
            &granted(&secret),
            &env(value),
        )
    }

    #[test]
    fn it_is_put_into_its_header_and_shown_nowhere() {
        let secrets = of_env(TOKEN).unwrap();
        assert_eq!(secrets.names, ["authorization (http.secrets[0])"]);
        let shown = format!("{secrets:?}");
        assert!(!shown.contains(TOKEN), "{shown}");
        let mut headers = HeaderMap::new();
        let mut names = Vec::new();
        let search = secrets.put(&mut headers, &mut names);
        assert_eq!(headers["authorization"], format!("Bearer {TOKEN}"));
        let shown = format!("{headers:?} {search:?} {:?}", Hidden(TOKEN.to_owned()));
        assert!(!shown.contains(TOKEN), "{shown}");
    }

    #[test]
    fn what_is_no_secret_is_not_sent_and_not_shown_either() {
        for value in [
            "",
            "short-7",
            "with space",
            "line\r\nX-A: b",
            "line-break\n",
            "b\u{e9}yond-ascii",
            &"x".repeat(4097),
        ] {
            let why = of_env(value).unwrap_err().why();
            assert!(
                why.contains("`http.secrets[0]`: the variable `TOKEN`"),
                "{why}"
            );
            assert!(value.is_empty() || !why.contains(value), "{why}");
        }
        assert!(of_env("just-8-c").is_ok() && of_env(&"x".repeat(4096)).is_ok());
        let unset = secret(SecretSource::Env("OTHER".to_owned()));
        let grants = granted(&unset);
        assert!(Secrets::read(std::slice::from_ref(&unset), &grants, &env(TOKEN)).is_err());
        // Of a request that it does not go with it is not missed.
        assert!(
            Secrets::read(&[], &grants, &env(TOKEN))
                .unwrap()
                .names
                .is_empty()
        );
    }

    #[test]
    fn a_file_is_read_each_time_and_only_where_the_plugin_cannot() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let (outside, inside) = (root.join("outside"), root.join("inside"));
        std::fs::create_dir_all(&outside).unwrap();
        std::fs::create_dir_all(&inside).unwrap();
        let file = outside.join("token");
        let secret_in = |path: &Path| secret(SecretSource::File(path.to_owned()));
        let read = |path: &Path, open: Option<&Path>| {
            let secret = secret_in(path);
            let mut grants = granted(&secret);
            grants.fs.extend(open.map(|host| FsGrant {
                host: host.to_owned(),
                kind: FsKind::Directory,
                guest: ".".to_owned(),
                access: FsAccess::Read,
                origin: Origin::Code,
            }));
            let secrets = Secrets::read(
                std::slice::from_ref(&secret),
                &grants,
                &HostEnvironment::default(),
            )?;
            let mut headers = HeaderMap::new();
            secrets.put(&mut headers, &mut Vec::new());
            Ok::<_, HttpFailure>(headers["authorization"].to_str().unwrap().to_owned())
        };
        assert!(
            read(&file, None)
                .unwrap_err()
                .why()
                .contains("cannot be read")
        );
        for end in ["", "\n", "\r\n"] {
            std::fs::write(&file, format!("{TOKEN}{end}")).unwrap();
            assert_eq!(read(&file, None).unwrap(), format!("Bearer {TOKEN}"));
        }
        for text in [
            format!("{TOKEN}\n\n"),
            format!("{TOKEN}\n{TOKEN}"),
            "x".repeat(5000),
        ] {
            std::fs::write(&file, text).unwrap();
            assert!(read(&file, None).is_err());
        }
        std::fs::write(&file, "renewed-token").unwrap();
        assert_eq!(read(&file, Some(&inside)).unwrap(), "Bearer renewed-token");
        let why = read(&file, Some(&outside)).unwrap_err().why();
        assert!(why.contains("which the plugin may open"), "{why}");
        // By a link, in either direction.
        std::os::unix::fs::symlink(&file, inside.join("link")).unwrap();
        assert!(read(&inside.join("link"), Some(&inside)).is_err());
        assert!(read(&inside.join("link"), Some(&outside)).is_err());
        assert!(read(&inside.join("link"), None).is_ok());
        assert!(read(&outside, None).is_err(), "a directory");
        let pipe = outside.join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RWXU,
            0,
        )
        .unwrap();
        assert!(
            read(&pipe, None)
                .unwrap_err()
                .why()
                .contains("no regular file")
        );
    }
}
