//! Facts about the project that a plugin of fledge may be told.

use std::fmt;

use serde::Serialize;

use crate::denial::EXACTLY_THIS;
use crate::request::sealed::Sealed;
use crate::{Authorized, Capability, Code, Decision, Denial, Grants, Request};

/// A fact about the project, or about where the host runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MetadataKey {
    /// What `fledge.toml` in the project says.
    FledgeConfig,
    /// Tags of the repository, and the branch and remote in what a plugin is told first.
    GitTags,
    /// What is changed in the working tree, and the branch and remote in what a plugin is told first.
    GitStatus,
    /// The last commits.
    GitLog,
    /// The variables that the grant `env` names, and no others.
    Env,
}

impl MetadataKey {
    /// Every key.
    pub const ALL: [Self; 5] = [
        Self::FledgeConfig,
        Self::GitTags,
        Self::GitStatus,
        Self::GitLog,
        Self::Env,
    ];

    /// As plugins and policies name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FledgeConfig => "fledge_config",
            Self::GitTags => "git_tags",
            Self::GitStatus => "git_status",
            Self::GitLog => "git_log",
            Self::Env => "env",
        }
    }

    /// The key of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.name() == name)
    }

    /// Whether it is told by `git`, which the host runs for it.
    pub const fn is_of_git(self) -> bool {
        match self {
            Self::GitTags | Self::GitStatus | Self::GitLog => true,
            Self::FledgeConfig | Self::Env => false,
        }
    }
}

impl fmt::Display for MetadataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A fact that a guest asks for, by the name it gives.
#[derive(Clone, Debug)]
pub struct MetadataRequest {
    /// The name.
    pub key: MetadataKey,
}

impl Request for MetadataRequest {
    type Terms = ();
}

impl Sealed for MetadataRequest {
    fn decide(self, grants: &Grants) -> Decision<Self> {
        if grants.metadata.contains(&self.key) {
            return Decision::Allow(Authorized::new(self, ()));
        }
        let (code, key) = (Code::MetadataNotGranted, self.key.name());
        let action = format!("be told `{key}`");
        let denial = Denial::new(code, grants, Capability::Metadata, action, key)
            .note("no entry of `metadata` names it; the default is deny")
            .allowed_by(EXACTLY_THIS, &["metadata", key]);
        Decision::Deny(Box::new(denial))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PluginId, decide};

    #[test]
    fn each_fact_is_told_only_where_it_is_named() {
        let mut grants = Grants::none(PluginId::new("p").unwrap());
        grants.metadata = vec![MetadataKey::GitLog];
        for key in MetadataKey::ALL {
            assert_eq!(MetadataKey::parse(key.name()), Some(key));
            match decide(&grants, MetadataRequest { key }) {
                Decision::Allow(_) => assert_eq!(key, MetadataKey::GitLog),
                Decision::Ask { denial, .. } | Decision::Deny(denial) => {
                    assert_ne!(key, MetadataKey::GitLog);
                    let command = denial.remedies[0].command.as_ref().unwrap();
                    let wanted = format!("portcullis grant p metadata {key}");
                    assert_eq!(command.join(" "), wanted);
                }
            }
        }
        assert_eq!(MetadataKey::parse("secrets"), None);
    }
}
