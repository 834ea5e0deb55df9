//! Grants in Reglet's words, in both of their forms.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Text, Texts};
use crate::source::At;

/// Grants in Reglet's words: a list of `kind:pattern`, or a set by sections.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub(crate) enum Reglet {
    /// `"exec:/bin/df"`, `"exec"` (any program, but no shell and no code), `"inline:python3"` (code in its arguments),
    /// `"fs:read:/data/**"`, `"env:LANG"`, `"network:outbound:*"`.
    List(Vec<Text>),
    /// The same by sections.
    Set(Box<GrantSet>),
}

/// Grants as the manifest of a plugin of Reglet has them.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct GrantSet {
    /// Programs.
    pub(crate) exec: Option<At<GrantSetExec>>,
    /// Paths.
    pub(crate) fs: Option<GrantSetFs>,
    /// Variables.
    pub(crate) env: Option<GrantSetEnv>,
    /// Hosts and ports.
    pub(crate) network: Option<GrantSetNetwork>,
}

/// Programs.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct GrantSetExec {
    /// Names, absolute paths, or `"**"` for any.
    pub(crate) commands: Option<Texts>,
    /// Those of them that may be given code in their arguments.
    pub(crate) inline: Option<Texts>,
}

/// Paths.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct GrantSetFs {
    /// Each with what it allows.
    pub(crate) rules: Option<Vec<GrantSetFsRule>>,
}

/// Paths that may be read, and paths that may be written.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct GrantSetFsRule {
    /// One file, or with `/**` behind it a directory with all below it.
    pub(crate) read: Option<Texts>,
    /// The same, to write.
    pub(crate) write: Option<Texts>,
}

/// Variables.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct GrantSetEnv {
    /// Names; a trailing `*` matches any rest.
    pub(crate) vars: Texts,
}

/// Hosts and ports.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct GrantSetNetwork {
    /// Each with its hosts and ports.
    pub(crate) rules: Option<Vec<GrantSetNetworkRule>>,
}

/// Each of these hosts at each of these ports.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct GrantSetNetworkRule {
    /// Hosts, such as `"api.example.com"` or `"*.example.com"`.
    pub(crate) hosts: Texts,
    /// `"443"`, `"8000-8010"`, or `"*"` for 80 and 443.
    pub(crate) ports: Texts,
}
