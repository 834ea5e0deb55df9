//! A child's environment: built from nothing, name by name. A deny list of names cannot win (more than fifty
//! variables make harmless programs run code), so what is passed is listed and what is dropped is reported.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;

use crate::env_names::{is_dangerous, is_plain_zone};
use crate::text::shown;
use crate::{ExecGrant, HostEnvironment};

/// A name or a value; most of what every command gets is the same for all.
type Text = Cow<'static, str>;

/// A child's whole environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// Names and values, each name once.
    pub vars: Vec<(Text, Text)>,
    /// What the host had, or a plugin of Reglet set, and the child does not get.
    pub dropped: Vec<Dropped>,
}

/// A variable that was left out: of the host's, or, for a plugin of Reglet, of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Dropped {
    /// Its name. The value is told to nobody.
    pub name: String,
    /// Why.
    pub reason: DropReason,
}

/// Why a variable was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DropReason {
    /// It makes programs run other code.
    Dangerous,
    /// Its name says that it holds a secret.
    SecretName,
    /// Its value looks like a credential.
    SecretValue,
    /// The policy's `strip_env_prefixes` has it.
    Stripped,
    /// The plugin set it, and is outside what it may set.
    NotAllowed,
    /// The plugin set it, and no command could have it.
    Malformed,
}

/// What the plugin set that it may not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Malformed(String),
    TooLarge,
    Dangerous(String),
    NotAllowed(String),
}

/// Bytes of names and values together that one command can be given.
const MAX_BYTES: usize = 64 * 1024;

/// Builds the environment: base, then what is inherited, then what is passed by name, then what the plugin set.
pub(crate) fn build(
    grant: &ExecGrant,
    host: &HostEnvironment,
    inherit: bool,
    set: &[(String, String)],
    only: &[&[String]],
) -> Result<Environment, Refused> {
    // Looked at before anything else: a guest may send millions of names.
    if bytes(set) > MAX_BYTES {
        return Err(Refused::TooLarge);
    }
    let mut environment = Environment {
        vars: base(grant, host),
        dropped: Vec::new(),
    };
    if inherit && grant.inherit_env {
        for var in host.iter().filter(|var| well_formed(var.name())) {
            match var.dropped(grant) {
                Some(reason) => environment.dropped.push(Dropped {
                    name: var.name().to_owned(),
                    reason,
                }),
                None => put(&mut environment.vars, var.name(), var.value()),
            }
        }
    }
    for name in &grant.pass_env {
        if let Some(value) = host.get(name) {
            put(&mut environment.vars, name, value);
        }
    }
    let mut last = BTreeMap::new();
    for (name, value) in set {
        check(grant, only, name, value)?;
        last.insert(name, value);
    }
    let (known, new): (Vec<_>, Vec<_>) = last
        .into_iter()
        .partition(|(name, _)| environment.vars.iter().any(|(key, _)| key == *name));
    for (name, value) in known {
        put(&mut environment.vars, name, value);
    }
    environment.vars.extend(
        new.into_iter()
            .map(|(name, value)| (Text::from(name.clone()), Text::from(value.clone()))),
    );
    // What the base or the policy has with the same value anyway is not missing.
    let vars = &environment.vars;
    environment.dropped.retain(|dropped| {
        let same = |(name, value): &(Text, Text)| {
            *name == dropped.name && host.get(name) == Some(&**value)
        };
        !vars.iter().any(same)
    });
    if bytes(vars) > MAX_BYTES {
        Err(Refused::TooLarge)
    } else {
        Ok(environment)
    }
}

/// What a plugin sets, without what it may not set, and what that is. What is too long in all is left as it is, to be
/// refused.
pub(crate) fn left<'a>(
    grant: &ExecGrant,
    set: &'a [(String, String)],
    only: &[&[String]],
) -> (Cow<'a, [(String, String)]>, Vec<Dropped>) {
    if bytes(set) > MAX_BYTES {
        return (Cow::Borrowed(set), Vec::new());
    }
    let mut kept = Vec::new();
    let mut dropped = Vec::new();
    for (name, value) in set {
        let reason = match check(grant, only, name, value) {
            Ok(()) => {
                kept.push((name.clone(), value.clone()));
                continue;
            }
            Err(Refused::Dangerous(_)) => DropReason::Dangerous,
            Err(Refused::NotAllowed(_)) => DropReason::NotAllowed,
            Err(Refused::Malformed(_) | Refused::TooLarge) => DropReason::Malformed,
        };
        dropped.push(Dropped {
            name: shown(name),
            reason,
        });
    }
    (Cow::Owned(kept), dropped)
}

fn bytes<T: AsRef<str>>(vars: &[(T, T)]) -> usize {
    vars.iter()
        .map(|(name, value)| name.as_ref().len() + value.as_ref().len() + 2)
        .sum()
}

fn put(vars: &mut Vec<(Text, Text)>, name: &str, value: &str) {
    let value = Text::from(value.to_owned());
    match vars.iter_mut().find(|(key, _)| key == name) {
        Some((_, old)) => *old = value,
        None => vars.push((name.to_owned().into(), value)),
    }
}

/// What every command gets: enough for programs to behave, nothing that carries authority.
fn base(grant: &ExecGrant, host: &HostEnvironment) -> Vec<(Text, Text)> {
    let mut path = String::new();
    for (index, dir) in grant.search_path.iter().enumerate() {
        let colon = if index > 0 { ":" } else { "" };
        path.extend([colon, &dir.to_string_lossy()]);
    }
    let lang = host.get("LANG").filter(|lang| plain_locale(lang));
    let owned = |value: &str| Text::from(value.to_owned());
    let mut vars = Vec::<(Text, Text)>::with_capacity(16);
    let mut add = |name: &'static str, value| vars.push((name.into(), value));
    add("PATH", path.into());
    add("TMPDIR", "/tmp".into());
    add("LANG", lang.map_or("C.UTF-8".into(), owned));
    add("TERM", "dumb".into());
    for name in ["HOME", "USER", "LOGNAME"] {
        if let Some(value) = host.get(name) {
            add(name, owned(value));
        }
    }
    let plain = |zone: &&str| !zone.is_empty() && is_plain_zone(zone);
    if let Some(zone) = host.get("TZ").filter(plain) {
        add("TZ", owned(zone));
    }
    add("GIT_TERMINAL_PROMPT", "0".into());
    add("GIT_OPTIONAL_LOCKS", "0".into());
    add("GIT_CONFIG_NOSYSTEM", "1".into());
    add("GIT_PAGER", "cat".into());
    add("PAGER", "cat".into());
    add("NO_COLOR", "1".into());
    vars
}

/// A locale name that cannot be taken for a path.
fn plain_locale(lang: &str) -> bool {
    !lang.is_empty()
        && lang
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '@'))
}

fn check(grant: &ExecGrant, only: &[&[String]], name: &str, value: &str) -> Result<(), Refused> {
    if !well_formed(name) || value.contains('\0') {
        return Err(Refused::Malformed(name.to_owned()));
    }
    if is_dangerous(name, value)
        && !grant
            .allow_dangerous_env
            .iter()
            .any(|allowed| allowed == name)
    {
        return Err(Refused::Dangerous(name.to_owned()));
    }
    let prefixes = grant.env_allow_prefixes.as_ref();
    let in_prefixes =
        prefixes.is_none_or(|list| list.iter().any(|prefix| name.starts_with(prefix.as_str())));
    let in_rules = only
        .iter()
        .all(|list| list.iter().any(|pattern| allows_name(pattern, name)));
    if in_prefixes && in_rules {
        Ok(())
    } else {
        Err(Refused::NotAllowed(name.to_owned()))
    }
}

/// A pattern of a rule's `env`: with case, as the kernel has it.
fn allows_name(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == pattern,
    }
}

fn well_formed(name: &str) -> bool {
    !name.is_empty() && !name.contains('=') && !name.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(vars: &[(&str, &str)]) -> HostEnvironment {
        HostEnvironment::new(
            vars.iter()
                .map(|&(k, v)| (k.to_owned(), v.to_owned()))
                .collect(),
        )
    }

    fn set(vars: &[(&str, &str)]) -> Vec<(String, String)> {
        vars.iter()
            .map(|&(k, v)| (k.to_owned(), v.to_owned()))
            .collect()
    }

    fn get<'a>(environment: &'a Environment, name: &str) -> Option<&'a str> {
        environment
            .vars
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| &**value)
    }

    #[test]
    fn inheriting_needs_both_the_policy_and_the_request() {
        let host = host(&[("COLUMNS", "80")]);
        for (policy, request, inherited) in [
            (false, false, false),
            (false, true, false),
            (true, false, false),
            (true, true, true),
        ] {
            let grant = ExecGrant {
                inherit_env: policy,
                ..ExecGrant::default()
            };
            let built = build(&grant, &host, request, &[], &[]).unwrap();
            assert_eq!(
                get(&built, "COLUMNS").is_some(),
                inherited,
                "policy {policy}, request {request}"
            );
        }
    }

    #[test]
    fn what_is_inherited_loses_secrets_and_dangers_and_says_so() {
        let host = host(&[
            ("GITHUB_TOKEN", "x"),
            ("AWS_SECRET_ACCESS_KEY", "x"),
            ("LD_PRELOAD", "/tmp/x.so"),
            ("INDEX", "https://me:pw@pypi.example/simple"),
            ("MY_STUFF", "1"),
            ("AUTHOR", "me"),
            ("PATH", "/tmp/evil"),
        ]);
        let grant = ExecGrant {
            inherit_env: true,
            strip_env_prefixes: vec!["MY_".to_owned()],
            ..ExecGrant::default()
        };
        let built = build(&grant, &host, true, &[], &[]).unwrap();
        let dropped: Vec<_> = built
            .dropped
            .iter()
            .map(|d| (d.name.as_str(), d.reason))
            .collect();
        assert_eq!(
            dropped,
            [
                ("GITHUB_TOKEN", DropReason::SecretName),
                ("AWS_SECRET_ACCESS_KEY", DropReason::SecretName),
                ("LD_PRELOAD", DropReason::Dangerous),
                ("INDEX", DropReason::SecretValue),
                ("MY_STUFF", DropReason::Stripped),
                ("PATH", DropReason::Dangerous),
            ]
        );
        assert_eq!(get(&built, "AUTHOR"), Some("me"));
        assert_eq!(get(&built, "PATH"), Some("/usr/local/bin:/usr/bin:/bin"));
    }

    #[test]
    fn the_last_of_two_wins_and_each_name_stands_once() {
        let built = build(
            &ExecGrant::default(),
            &host(&[]),
            false,
            &set(&[("A", "1"), ("A", "2"), ("NO_COLOR", "")]),
            &[],
        )
        .unwrap();
        assert_eq!(get(&built, "A"), Some("2"));
        let mut names: Vec<_> = built.vars.iter().map(|(name, _)| name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), built.vars.len());
    }

    #[test]
    fn prefixes_and_rules_restrict_what_a_plugin_sets() {
        let grant = ExecGrant {
            env_allow_prefixes: Some(vec!["AWS_".to_owned()]),
            ..ExecGrant::default()
        };
        assert!(build(&grant, &host(&[]), false, &set(&[("AWS_REGION", "x")]), &[]).is_ok());
        assert_eq!(
            build(&grant, &host(&[]), false, &set(&[("DEBUG", "x")]), &[]),
            Err(Refused::NotAllowed("DEBUG".to_owned()))
        );
        let only = ["AWS_PROFILE".to_owned()];
        assert_eq!(
            build(
                &grant,
                &host(&[]),
                false,
                &set(&[("AWS_REGION", "x")]),
                &[&only]
            ),
            Err(Refused::NotAllowed("AWS_REGION".to_owned()))
        );
        let dangerous = build(
            &grant,
            &host(&[]),
            false,
            &set(&[("AWS_CONFIG_FILE", "x")]),
            &[],
        );
        assert_eq!(
            dangerous,
            Err(Refused::Dangerous("AWS_CONFIG_FILE".to_owned())),
            "a prefix lifts no veto"
        );
    }

    #[test]
    fn malformed_names_and_floods_are_refused() {
        for (name, value) in [
            ("", "x"),
            ("A=B", "x"),
            ("A\0", "x"),
            ("A\n", "x"),
            ("A", "x\0y"),
        ] {
            let refused = build(
                &ExecGrant::default(),
                &host(&[]),
                false,
                &set(&[(name, value)]),
                &[],
            );
            assert_eq!(refused, Err(Refused::Malformed(name.to_owned())));
        }
        let flood = "x".repeat(MAX_BYTES);
        let refused = build(
            &ExecGrant::default(),
            &host(&[]),
            false,
            &set(&[("A", &flood)]),
            &[],
        );
        assert_eq!(refused, Err(Refused::TooLarge));
    }

    #[test]
    fn locale_and_zone_cannot_be_paths() {
        let bad = host(&[("LANG", "../../tmp"), ("TZ", ":/tmp/x")]);
        let built = build(&ExecGrant::default(), &bad, false, &[], &[]).unwrap();
        assert_eq!(
            (get(&built, "LANG"), get(&built, "TZ")),
            (Some("C.UTF-8"), None)
        );
        let good = host(&[("LANG", "de_DE.UTF-8"), ("TZ", "Europe/Berlin")]);
        let built = build(&ExecGrant::default(), &good, false, &[], &[]).unwrap();
        assert_eq!(
            (get(&built, "LANG"), get(&built, "TZ")),
            (Some("de_DE.UTF-8"), Some("Europe/Berlin"))
        );
    }
}
