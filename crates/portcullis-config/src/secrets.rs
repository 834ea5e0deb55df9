//! Secrets that the host adds to requests of a plugin: the key `http.secrets`. Here is where they are, not what.

use std::path::Path;

use portcullis_policy::{Grants, HttpPlace, HttpSecret, RuleId, SecretSource};

use crate::context::{reaches, real};
use crate::error::{ConfigCode, ConfigError, Report};
use crate::raw::{SecretPlace, SecretTable, Text};
use crate::reader::{Names, Reader};
use crate::source::At;

impl Reader<'_> {
    /// The secrets of a list.
    pub(crate) fn secrets(&mut self, list: Option<&At<Vec<At<SecretTable>>>>) -> Vec<HttpSecret> {
        let mut secrets: Vec<HttpSecret> = Vec::new();
        for (index, table) in list.iter().flat_map(|list| list.iter().enumerate()) {
            let Some(secret) = self.secret(index, table) else {
                continue;
            };
            if secrets.iter().any(|other| other.id == secret.id) {
                let message = format!("secret `{}` stands here a second time", secret.id);
                self.wrong(ConfigCode::Duplicate, table, message);
            } else if secrets.iter().any(|other| is_in_place_of(&secret, other)) {
                let (header, to) = (&secret.header, &secret.to);
                let message = format!("`{header}` for `{to}` stands here a second time");
                self.wrong(ConfigCode::Duplicate, table, message);
            }
            secrets.push(secret);
        }
        secrets
    }

    fn secret(&mut self, index: usize, table: &At<SecretTable>) -> Option<HttpSecret> {
        let header = table.header.to_ascii_lowercase();
        let checked = HttpSecret::is_header(&header).then_some(header);
        let checked = checked.ok_or_else(|| "this is no header that can have a secret".to_owned());
        let header = self.take(ConfigCode::Value, &table.header, checked);
        let prefix = table.prefix.as_ref().map_or(Some(String::new()), |text| {
            let checked = HttpSecret::is_prefix(text).then(|| (**text).clone());
            let wrong = "a prefix has at most 128 visible ASCII characters and spaces, not first";
            self.take(
                ConfigCode::Value,
                text,
                checked.ok_or_else(|| wrong.to_owned()),
            )
        });
        let source = self.secret_source(&table.value);
        let to = self.secret_place(&table.to);
        let id = table.id.as_ref().map(|text| (**text).clone());
        Some(HttpSecret {
            id: RuleId(id.unwrap_or_else(|| format!("http.secrets[{index}]"))),
            origin: self.origin(table),
            header: header?,
            prefix: prefix?,
            source: source?,
            to: to?,
        })
    }

    fn secret_source(&mut self, value: &At<SecretPlace>) -> Option<SecretSource> {
        match (&value.env, &value.file) {
            (Some(name), None) => self.name(name, Names::Exact).map(SecretSource::Env),
            (None, Some(text)) => {
                let expanded = self.base.expand(text);
                let path = self.take(ConfigCode::Path, text, expanded)?.path;
                Some(SecretSource::File(path))
            }
            (None, None) | (Some(_), Some(_)) => {
                let message =
                    "a secret is in one place: `{ env = \"NAME\" }` or `{ file = \"PATH\" }`";
                self.wrong(ConfigCode::Value, value, message);
                None
            }
        }
    }

    /// Where a secret is sent to.
    pub(crate) fn secret_place(&mut self, text: &Text) -> Option<HttpPlace> {
        let read = HttpPlace::parse(text).map_err(|why| format!("`{}`: {why}", text.as_str()));
        self.take(ConfigCode::Pattern, text, read)
    }
}

fn is_in_place_of(one: &HttpSecret, other: &HttpSecret) -> bool {
    one.header == other.header && one.to == other.to
}

/// Puts secrets of a later layer on top: one for the same header and place wins.
pub(crate) fn put(secrets: &mut Vec<HttpSecret>, later: Vec<HttpSecret>) {
    secrets.retain(|secret| !later.iter().any(|other| is_in_place_of(secret, other)));
    secrets.extend(later);
}

/// Puts down what is granted to a plugin besides and would show it a secret.
pub(crate) fn kept(grants: &Grants, report: &mut Report) {
    for secret in &grants.http.secrets {
        match &secret.source {
            SecretSource::Env(name) => {
                let passed = grants.exec.iter().flat_map(|exec| &exec.pass_env);
                if grants.env.contains(name) || passed.into_iter().any(|passed| passed == name) {
                    let what =
                        format!("the variable `{name}`, which is also granted to it by name");
                    report.push(shown(grants, secret, &what));
                }
            }
            SecretSource::File(path) => {
                let open = grants.fs.iter().find(|grant| is_in(path, &grant.host));
                if let Some(open) = open {
                    let (path, host) = (path.display(), open.host.display());
                    let what = format!(
                        "the file `{path}`, which is in `{host}`, granted at {}",
                        open.origin
                    );
                    report.push(shown(grants, secret, &what));
                }
            }
        }
    }
}

/// Whether a file, or the link that leads to it, is in a directory.
fn is_in(path: &Path, host: &Path) -> bool {
    let link = path.parent().zip(path.file_name());
    let link = link.map(|(parent, name)| real(parent).join(name));
    reaches(host, path) || link.is_some_and(|link| link.starts_with(host))
}

fn shown(grants: &Grants, secret: &HttpSecret, what: &str) -> ConfigError {
    ConfigError {
        code: ConfigCode::Secret,
        origin: secret.origin.clone(),
        span: 0..0,
        message: format!(
            "secret `{}` of plugin `{}` is {what}",
            secret.id, grants.plugin
        ),
        label: String::new(),
        notes: Vec::new(),
        helps: vec!["a secret is where neither the plugin nor its commands can read it".to_owned()],
    }
}
