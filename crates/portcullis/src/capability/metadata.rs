//! `metadata`: facts of the project. Those of a repository are told by `git`, in a cell that can read the project and nothing
//! else.

use std::io::Read;
use std::path::Path;

use portcullis_audit::{Effect, Masked};
use portcullis_exec::{ExecAsk, Status};
use portcullis_policy::{Capability, MetadataKey, MetadataRequest};
use rustix::fs::{Mode, OFlags};
use serde_json::{Map, Value, json};

use super::fs::real_directory;
use crate::gate::{Gate, Refused};

/// Bytes of `fledge.toml`, and entries of a list.
const MAX_CONFIG: u64 = 256 * 1024;
const MAX_TAGS: usize = 100;
const MAX_LINES: usize = 10_000;

impl Gate {
    /// A fact; `null` where there is none.
    ///
    /// # Errors
    /// It was not granted, it is asked for too often, or the trail cannot be written.
    pub(crate) async fn metadata(&mut self, key: MetadataKey) -> Result<Value, Refused> {
        let used = self.begin(Capability::Metadata, "get", Masked::new(key.name()))?;
        let _authorized = self.authorize(&used, MetadataRequest { key })?;
        let fact = match key {
            MetadataKey::FledgeConfig => self.fledge_config().await,
            MetadataKey::GitTags => {
                self.git_lines(&["tag", "--sort=-v:refname"], MAX_TAGS)
                    .await
            }
            MetadataKey::GitStatus => self.git_lines(&["status", "--porcelain"], MAX_LINES).await,
            MetadataKey::GitLog => {
                self.git_lines(&["log", "--oneline", "-20"], MAX_LINES)
                    .await
            }
            MetadataKey::Env => self.variables(),
        };
        let effect = Effect {
            bytes_in: fact.to_string().len() as u64,
            failed: fact.is_null().then(|| Masked::new("there is none")),
            ..Effect::default()
        };
        self.told(&used, None, effect)?;
        Ok(fact)
    }

    /// Branch, remote and whether anything is changed, for a plugin that was granted the state of the working tree.
    pub(crate) async fn repository(&mut self) -> Value {
        let Some(branch) = self.git(&["rev-parse", "--abbrev-ref", "HEAD"]).await else {
            return Value::Null;
        };
        let dirty = self.git(&["status", "--porcelain"]).await;
        let remote = self.git(&["remote"]).await.unwrap_or_default();
        let remote = remote.lines().next().map(str::to_owned);
        let url = match &remote {
            Some(remote) => self.git(&["remote", "get-url", "--", remote]).await,
            None => None,
        };
        json!({
            "branch": branch.trim(),
            "dirty": dirty.is_some_and(|changes| !changes.trim().is_empty()),
            "remote": remote,
            "remote_url": url.map(|url| without_user(url.trim())),
        })
    }

    fn variables(&self) -> Value {
        let (grants, host) = (self.grants(), self.host_env());
        let variables = host.readable(&grants.env);
        let variables = variables.map(|(name, value)| (name.to_owned(), Value::from(value)));
        Value::Object(variables.collect::<Map<_, _>>())
    }

    async fn fledge_config(&mut self) -> Value {
        let project = self.project().to_owned();
        let read = tokio::task::spawn_blocking(move || config(&project)).await;
        read.ok().flatten().unwrap_or_default()
    }

    async fn git_lines(&mut self, args: &[&str], most: usize) -> Value {
        let Some(text) = self.git(args).await else {
            return Value::Null;
        };
        text.lines().take(most).map(Value::from).collect()
    }

    /// What `git` says of the project, if it says anything.
    async fn git(&mut self, args: &[&str]) -> Option<String> {
        // Nothing of the repository is run or changed for a look at it.
        let first = ["--no-optional-locks", "-c", "core.fsmonitor=false"];
        let args = first.iter().chain(args).map(|&arg| arg.to_owned());
        let ask = ExecAsk {
            program: "git".to_owned(),
            args: args.collect(),
            ..ExecAsk::default()
        };
        let completed = self.aside(ask).await?;
        let succeeded = completed.status == Status::Exited(0);
        succeeded.then(|| String::from_utf8_lossy(&completed.stdout).into_owned())
    }
}

/// `fledge.toml` of the project as JSON: a file there, and no link to one elsewhere.
fn config(project: &Path) -> Option<Value> {
    let project = real_directory(project).ok()?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&project, "fledge.toml", flags, Mode::empty()).ok()?;
    let file = std::fs::File::from(file);
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    file.take(MAX_CONFIG + 1).read_to_string(&mut text).ok()?;
    if text.len() as u64 > MAX_CONFIG {
        return None;
    }
    let table: toml::Table = text.parse().ok()?;
    Some(as_json(toml::Value::Table(table)))
}

fn as_json(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(truth) => truth.into(),
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(list) => list.into_iter().map(as_json).collect(),
        toml::Value::Table(table) => {
            let entries = table.into_iter().map(|(key, value)| (key, as_json(value)));
            Value::Object(entries.collect())
        }
    }
}

/// A URL without the user name and password in it. Other forms of addresses are kept.
fn without_user(url: &str) -> String {
    let Some((scheme, rest)) = url
        .split_once("://")
        .filter(|(scheme, _)| ["http", "https"].contains(scheme))
    else {
        return url.to_owned();
    };
    let end = rest.find('/').unwrap_or(rest.len());
    let host = rest[..end].rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{}", &rest[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_told_the_password_of_a_remote() {
        for (url, told) in [
            (
                "https://user:tok@github.com/x/y.git",
                "https://github.com/x/y.git",
            ),
            ("https://tok@github.com/x@y", "https://github.com/x@y"),
            ("http://a@b@c", "http://c"),
            ("https://github.com/x", "https://github.com/x"),
            ("git@github.com:x/y.git", "git@github.com:x/y.git"),
            ("ssh://git@github.com/x", "ssh://git@github.com/x"),
        ] {
            assert_eq!(without_user(url), told);
        }
    }

    #[test]
    fn a_configuration_is_a_file_of_the_project_and_no_link() {
        let dir = tempfile::tempdir().unwrap();
        let project = dir.path().canonicalize().unwrap();
        assert_eq!(config(&project), None);
        std::fs::write(project.join("other.toml"), "secret = 1").unwrap();
        std::os::unix::fs::symlink("other.toml", project.join("fledge.toml")).unwrap();
        assert_eq!(config(&project), None);
        std::fs::remove_file(project.join("fledge.toml")).unwrap();
        std::fs::write(
            project.join("fledge.toml"),
            "[a]\nb = [1, 2.5]\nc = 1979-05-27",
        )
        .unwrap();
        assert_eq!(
            config(&project),
            Some(json!({"a": {"b": [1, 2.5], "c": "1979-05-27"}}))
        );
        std::fs::write(project.join("fledge.toml"), "not toml").unwrap();
        assert_eq!(config(&project), None);
    }
}
