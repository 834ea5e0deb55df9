use std::sync::Arc;

use serde::Serialize;

/// A name inside directories a command may write, and who would execute what is written there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Protected {
    /// A path without a leading `/`; a component `*` stands for any one name.
    pub name: &'static str,
    /// Who executes it, as a clause.
    pub why: &'static str,
}

/// What no command and no guest may change although it may write the directory, because somebody outside executes it later.
///
/// A name is relative to every directory that may be written, and to every repository found inside one. What is there
/// is read only, what is not there is not created, and no directory above it is renamed. The guest is held to the same
/// names as its commands, at any depth ([`Protect::binds`]).
///
/// # Defaults
/// Everything in [`Protect::BUILT_IN`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protect {
    /// Shared: each decision has the list among its terms.
    names: Arc<Vec<String>>,
}

impl Serialize for Protect {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.names.as_slice().serialize(serializer)
    }
}

const fn protected(name: &'static str, why: &'static str) -> Protected {
    Protected { name, why }
}

const GIT_CONFIG: &str = "git runs the commands that its configuration names";
const GIT_HOOKS: &str = "git runs what lies there";
const GIT_REDIRECT: &str = "git reads configuration and hooks where it points";
const EDITOR: &str = "an editor runs its tasks when the directory is opened";
const AGENT: &str = "an agent runs the commands and servers that it names";
const SHELL: &str = "a shell runs it when it starts";
const TOOL: &str = "a tool runs the programs that it names";
const LOGIN: &str = "it is started at login";

impl Protect {
    /// The built-in list, sorted, each name with its reason.
    pub const BUILT_IN: &'static [Protected] = &[
        protected(".bash_login", SHELL),
        protected(".bash_logout", SHELL),
        protected(".bash_profile", SHELL),
        protected(".bashrc", SHELL),
        protected(".cargo/config", TOOL),
        protected(".cargo/config.toml", TOOL),
        protected(".claude", AGENT),
        protected(".config/autostart", LOGIN),
        protected(".config/environment.d", LOGIN),
        protected(".config/fish", SHELL),
        protected(".config/git", GIT_CONFIG),
        protected(".config/systemd", LOGIN),
        protected(".cursor", AGENT),
        protected(".devcontainer", EDITOR),
        protected(".envrc", "direnv runs it when the directory is entered"),
        protected(".git/commondir", GIT_REDIRECT),
        protected(".git/config", GIT_CONFIG),
        protected(".git/config.worktree", GIT_CONFIG),
        protected(".git/hooks", GIT_HOOKS),
        protected(".git/modules/*/commondir", GIT_REDIRECT),
        protected(".git/modules/*/config", GIT_CONFIG),
        protected(".git/modules/*/config.worktree", GIT_CONFIG),
        protected(".git/modules/*/hooks", GIT_HOOKS),
        protected(".git/worktrees/*/commondir", GIT_REDIRECT),
        protected(".git/worktrees/*/config.worktree", GIT_CONFIG),
        protected(".git/worktrees/*/gitdir", GIT_REDIRECT),
        protected(".gitconfig", GIT_CONFIG),
        protected(".husky", "git runs it where `core.hooksPath` names it"),
        protected(".idea", EDITOR),
        protected(".local/bin", "programs are looked up there"),
        protected(".login", SHELL),
        protected(".mcp.json", AGENT),
        protected(".profile", SHELL),
        protected(".ssh", "ssh runs the commands that its configuration names"),
        protected(".vscode", EDITOR),
        protected(".yarnrc.yml", TOOL),
        protected(".zed", EDITOR),
        protected(".zlogin", SHELL),
        protected(".zlogout", SHELL),
        protected(".zprofile", SHELL),
        protected(".zshenv", SHELL),
        protected(".zshrc", SHELL),
    ];

    /// Protects nothing.
    pub fn nothing() -> Self {
        Self {
            names: Arc::default(),
        }
    }

    /// The names that are protected, sorted.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The names of the built-in list that are not protected, sorted.
    pub fn lifted(&self) -> Vec<&'static str> {
        let names = Self::BUILT_IN.iter().map(|protected| protected.name);
        names
            .filter(|name| !self.names.iter().any(|kept| kept == name))
            .collect()
    }

    /// No longer protects this very name. False when it is not protected.
    pub fn lift(&mut self, name: &str) -> bool {
        let before = self.names.len();
        Arc::make_mut(&mut self.names).retain(|kept| kept != name);
        self.names.len() < before
    }
}

impl Default for Protect {
    fn default() -> Self {
        let names = Self::BUILT_IN
            .iter()
            .map(|protected| protected.name.to_owned());
        Self {
            names: Arc::new(names.collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_relative() {
        assert!(Protect::BUILT_IN.is_sorted_by(|one, other| one.name < other.name));
        for Protected { name, why } in Protect::BUILT_IN {
            let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
            assert!(name.split('/').all(plain), "{name}");
            assert!(!why.is_empty() && !why.ends_with('.'), "{name}: {why}");
        }
    }

    #[test]
    fn only_the_exact_name_is_lifted() {
        let mut protect = Protect::default();
        assert!(!protect.lift(".git"));
        assert!(!protect.lift(".git/hooks/pre-commit"));
        assert!(protect.lifted().is_empty());
        assert!(protect.lift(".git/hooks"));
        assert_eq!(protect.lifted(), [".git/hooks"]);
        assert_eq!(protect.names().len() + 1, Protect::BUILT_IN.len());
        assert!(!protect.lift(".git/hooks"), "it is lifted already");
    }
}
