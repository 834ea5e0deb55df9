//! The environment the host was started with, and who gets what of it.

use std::sync::Arc;

use crate::env_names::{is_dangerous, is_secret_name, mentions_secret};
use crate::{DropReason, ExecGrant};

/// The environment the host was started with. Cloning it is free.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostEnvironment(Arc<Vec<HostVariable>>);

/// A variable, and what the tables of names say of it: every command asks, and the answer never changes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HostVariable {
    name: String,
    value: String,
    dangerous: bool,
    secret: Option<DropReason>,
}

impl HostVariable {
    fn new(name: String, value: String) -> Self {
        let secret = if is_secret_name(&name) {
            Some(DropReason::SecretName)
        } else {
            mentions_secret(&value).then_some(DropReason::SecretValue)
        };
        Self {
            dangerous: is_dangerous(&name, &value),
            secret,
            name,
            value,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn value(&self) -> &str {
        &self.value
    }

    /// Why a command does not inherit it, if it does not.
    pub(crate) fn dropped(&self, grant: &ExecGrant) -> Option<DropReason> {
        let is_stripped = |prefix: &String| self.name.starts_with(prefix.as_str());
        if grant.strip_env_prefixes.iter().any(is_stripped) {
            Some(DropReason::Stripped)
        } else if self.dangerous && !grant.allow_dangerous_env.contains(&self.name) {
            Some(DropReason::Dangerous)
        } else {
            self.secret
        }
    }

    /// Whether a guest granted these names may read it.
    fn is_granted(&self, names: &[String]) -> bool {
        is_granted(names, &self.name, || self.secret.is_some())
    }
}

impl HostEnvironment {
    /// Takes a snapshot. Variables that are not UTF-8 cannot be passed and should be left out.
    pub fn new(vars: Vec<(String, String)>) -> Self {
        let vars = vars.into_iter();
        let vars = vars.map(|(name, value)| HostVariable::new(name, value));
        Self(Arc::new(vars.collect()))
    }

    /// The same without the variables of these names.
    #[must_use]
    pub fn without(&self, names: &[&str]) -> Self {
        let kept = self.0.iter().filter(|var| !names.contains(&var.name()));
        Self::new(
            kept.map(|var| (var.name.clone(), var.value.clone()))
                .collect(),
        )
    }

    /// The same with these variables, which take the place of others of their names.
    #[must_use]
    pub fn with(&self, more: &[(String, String)]) -> Self {
        if more.is_empty() {
            return self.clone();
        }
        let is_new = |name: &str| more.iter().all(|(new, _)| new != name);
        let kept = self.0.iter().filter(|var| is_new(&var.name));
        let kept = kept.map(|var| (var.name.clone(), var.value.clone()));
        Self::new(kept.chain(more.iter().cloned()).collect())
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.find(name).map(|var| var.value.as_str())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &HostVariable> {
        self.0.iter()
    }

    fn find(&self, name: &str) -> Option<&HostVariable> {
        self.0.iter().find(|var| var.name == name)
    }

    /// The variables that a guest granted these names may read. A name with a trailing `*` stands for all that begin
    /// so, but never for one that holds a secret: that has to be named exactly.
    pub fn readable(&self, names: &[String]) -> impl Iterator<Item = (&str, &str)> {
        let granted = self.0.iter().filter(|var| var.is_granted(names));
        granted.map(|var| (var.name.as_str(), var.value.as_str()))
    }

    /// Whether a guest granted these names may read this variable, or learn that it is not set.
    pub(crate) fn may_read(&self, names: &[String], name: &str) -> bool {
        match self.find(name) {
            Some(var) => var.is_granted(names),
            None => is_granted(names, name, || is_secret_name(name)),
        }
    }
}

fn is_granted(names: &[String], name: &str, is_secret: impl Fn() -> bool) -> bool {
    names.iter().any(|granted| match granted.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix) && !is_secret(),
        None => name == granted,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The plain definition: every table is looked at for every command.
    fn dropped_plainly(grant: &ExecGrant, name: &str, value: &str) -> Option<DropReason> {
        let starts = |prefix: &String| name.starts_with(prefix.as_str());
        let allowed = grant
            .allow_dangerous_env
            .iter()
            .any(|allowed| allowed == name);
        if grant.strip_env_prefixes.iter().any(starts) {
            Some(DropReason::Stripped)
        } else if is_dangerous(name, value) && !allowed {
            Some(DropReason::Dangerous)
        } else if is_secret_name(name) {
            Some(DropReason::SecretName)
        } else {
            mentions_secret(value).then_some(DropReason::SecretValue)
        }
    }

    proptest! {
        #[test]
        fn what_is_known_of_a_variable_is_what_its_tables_say(
            name in "(LD_|ld_|GIT_|MY_|PAGER|TZ|X)?(TOKEN|AUTHOR|PRELOAD|a)?_?",
            value in prop::sample::select(vec!["", "1", "() { :; }", ":/tmp/x", "ghp_1", "https://a:b@c/", "/x"]),
            stripped in any::<bool>(),
            allowed in any::<bool>(),
        ) {
            let grant = ExecGrant {
                strip_env_prefixes: stripped.then(|| "MY_".to_owned()).into_iter().collect(),
                allow_dangerous_env: allowed.then(|| name.clone()).into_iter().collect(),
                ..ExecGrant::default()
            };
            let var = HostVariable::new(name.clone(), value.to_owned());
            prop_assert_eq!(var.dropped(&grant), dropped_plainly(&grant, &name, value));
            let names = [format!("{}*", name.chars().take(2).collect::<String>())];
            let secret = is_secret_name(&name) || mentions_secret(value);
            prop_assert_eq!(var.is_granted(&names), !secret);
        }
    }
}
