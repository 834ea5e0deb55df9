//! State of a plugin's own: how much, and whose it is.

use std::path::PathBuf;

use serde::Serialize;

use crate::request::sealed::Sealed;
use crate::text::shown;
use crate::{
    Authorized, Capability, Code, Decision, Denial, Grants, GuestError, Origin, PluginId, Request,
};

const KIB: u64 = 1024;

/// The longest key, in bytes.
pub const KV_KEY: u64 = 256;
/// The longest value that any policy can allow, in bytes.
pub const KV_VALUE: u64 = 16 * KIB * KIB;

/// The right to keep keys and values of its own, and how much of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KvGrant {
    /// How much.
    pub size: KvSize,
    /// Whose state it is, besides the plugin's: see [`KvOwner`].
    #[serde(skip)]
    pub owner: KvOwner,
    /// The line that granted it.
    #[serde(skip)]
    pub origin: Origin,
}

/// How much state a plugin may keep.
///
/// # Defaults
/// 256 keys, values of at most 64 KiB, 1 MiB of keys and values in all. A key has at most 256 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct KvSize {
    /// Bytes of all keys and values together.
    pub bytes: u64,
    /// How many keys.
    pub keys: u64,
    /// Bytes of one value.
    pub value: u64,
}

impl Default for KvSize {
    fn default() -> Self {
        Self {
            bytes: KIB * KIB,
            keys: 256,
            value: 64 * KIB,
        }
    }
}

impl KvSize {
    /// The smaller of each pair: what holds when both apply.
    #[must_use]
    pub fn min(&self, other: &Self) -> Self {
        Self {
            bytes: self.bytes.min(other.bytes),
            keys: self.keys.min(other.keys),
            value: self.value.min(other.value),
        }
    }
}

/// Who vouches for the plugin's name. Anyone can call a plugin anything, so the name alone opens no state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KvOwner {
    /// A policy that an operator trusts, and the file that it names.
    Policy {
        /// The policy file, by its absolute path.
        policy: PathBuf,
        /// The plugin's file, by its real path.
        file: PathBuf,
    },
    /// An installation, which has one plugin of each name: what it keeps outlives an update.
    Installed {
        /// Made at random when the plugin is installed, and gone when it is removed.
        record: String,
    },
    /// An application that embeds the library, and vouches for the names it gives.
    Application {
        /// What it calls itself; its own plugins share nothing but this.
        name: String,
    },
}

impl KvOwner {
    /// Names the state of a plugin: no two different owners, and no two plugins of one, have the same.
    pub fn state_of(&self, plugin: &PluginId) -> String {
        // A quote that is part of a text is escaped, so that each ends where it seems to. State is found by this name for
        // ever: the escapes are those of ASCII, which do not change with a version of Unicode.
        let path = |path: &PathBuf| {
            path.as_os_str()
                .as_encoded_bytes()
                .escape_ascii()
                .to_string()
        };
        match self {
            Self::Policy { policy, file } => {
                let (file, policy) = (path(file), path(policy));
                format!("plugin {plugin} at \"{file}\" by policy \"{policy}\"")
            }
            Self::Installed { record } => {
                let record = record.as_bytes().escape_ascii();
                format!("plugin {plugin} installed as \"{record}\"")
            }
            Self::Application { name } => {
                let name = name.as_bytes().escape_ascii();
                format!("plugin {plugin} of application \"{name}\"")
            }
        }
    }
}

/// What a guest wants of its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KvAction {
    /// The value of a key.
    Get,
    /// The keys with a prefix.
    List,
    /// To give a key a value of so many bytes.
    Set {
        /// Its bytes.
        bytes: u64,
    },
    /// To take a key away.
    Delete,
}

/// A use of the plugin's own state.
#[derive(Clone, Debug)]
pub struct KvRequest {
    /// What is wanted.
    pub action: KvAction,
    /// The key, or the prefix.
    pub key: String,
}

impl Request for KvRequest {
    type Terms = KvGrant;
}

impl Sealed for KvRequest {
    fn decide(self, grants: &Grants) -> Decision<Self> {
        let Some(kv) = &grants.kv else {
            let denial = self
                .denial(grants, Code::KvNotGranted)
                .note("the policy grants it no `kv`; the default is deny")
                .allowed_by("to allow it 1 MiB of state", &["kv"]);
            return Decision::Deny(Box::new(denial));
        };
        let bytes = self.key.len() as u64;
        let too_large = match self.action {
            _ if bytes > KV_KEY => Some(format!("the key has {bytes} bytes, more than {KV_KEY}")),
            KvAction::Set { bytes } if bytes > kv.size.value => Some(format!(
                "the value has {bytes} bytes, more than {} (`kv.value`, {})",
                kv.size.value, kv.origin
            )),
            KvAction::Get | KvAction::List | KvAction::Set { .. } | KvAction::Delete => None,
        };
        match too_large {
            None => {
                let terms = kv.clone();
                Decision::Allow(Authorized::new(self, terms))
            }
            Some(note) => {
                let denial = self.over(grants, Code::KvTooLarge, note);
                Decision::Deny(Box::new(denial))
            }
        }
    }
}

impl KvRequest {
    /// The state has no room for it, which only the state itself tells: `P0443`. `note` says what there is room for.
    pub fn full(&self, grants: &Grants, note: String) -> Denial {
        self.over(grants, Code::KvFull, note)
    }

    /// It is more than was granted.
    fn over(&self, grants: &Grants, code: Code, note: String) -> Denial {
        Denial {
            guest: GuestError::Limit,
            ..self.denial(grants, code).note(note)
        }
    }

    fn denial(&self, grants: &Grants, code: Code) -> Denial {
        let key = shown(&self.key);
        let action = match self.action {
            KvAction::Get => format!("read `{key}` of its state"),
            KvAction::List => format!("list the keys of its state that begin with `{key}`"),
            KvAction::Set { .. } => format!("write `{key}` into its state"),
            KvAction::Delete => format!("delete `{key}` from its state"),
        };
        Denial::new(code, grants, Capability::Kv, action, &self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide;

    fn plugin() -> PluginId {
        PluginId::new("p").unwrap()
    }

    fn code(kv: Option<KvSize>, action: KvAction, key: &str) -> Option<Code> {
        let mut grants = Grants::none(plugin());
        grants.kv = kv.map(|size| KvGrant {
            size,
            owner: KvOwner::Application {
                name: String::new(),
            },
            origin: Origin::Code,
        });
        let key = key.to_owned();
        match decide(&grants, KvRequest { action, key }) {
            Decision::Allow(authorized) => {
                assert_eq!(Some(authorized.terms()), grants.kv.as_ref());
                None
            }
            Decision::Ask { denial, .. } | Decision::Deny(denial) => Some(denial.code),
        }
    }

    #[test]
    fn without_the_grant_nothing_and_with_it_what_is_short_enough() {
        let size = KvSize {
            value: 10,
            ..KvSize::default()
        };
        let (long, longer) = ("k".repeat(256), "k".repeat(257));
        let set = |bytes| KvAction::Set { bytes };
        for action in [KvAction::Get, KvAction::List, set(1), KvAction::Delete] {
            assert_eq!(code(None, action, "k"), Some(Code::KvNotGranted));
            assert_eq!(code(Some(size), action, &long), None);
            assert_eq!(code(Some(size), action, &longer), Some(Code::KvTooLarge));
        }
        assert_eq!(code(Some(size), set(10), "k"), None);
        assert_eq!(code(Some(size), set(11), "k"), Some(Code::KvTooLarge));
    }

    #[test]
    fn no_two_owners_and_no_two_plugins_have_the_same_state() {
        let policy = |policy: &str, file: &str| KvOwner::Policy {
            policy: policy.into(),
            file: file.into(),
        };
        let application = |name: &str| KvOwner::Application { name: name.into() };
        let owners = [
            policy("/a", "/b"),
            policy("/a", "/c"),
            policy("/b", "/a"),
            policy("/a\" by policy \"/b", ""),
            policy("/b", "/a\" by policy \""),
            application(""),
            application("/a"),
            application("x\" of application \"y"),
            application("\u{e9}"),
            application("\\xc3\\xa9"),
        ];
        let plugins = ["p", "q"].map(|id| PluginId::new(id).unwrap());
        let mut names: Vec<_> = owners
            .iter()
            .flat_map(|owner| plugins.iter().map(|plugin| owner.state_of(plugin)))
            .collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), owners.len() * plugins.len());
        assert_eq!(
            policy("/caf\u{e9}", "/a \"b\"").state_of(&plugin()),
            r#"plugin p at "/a \"b\"" by policy "/caf\xc3\xa9""#,
            "what was kept under a name is found by it for ever"
        );
    }
}
