//! What a plugin imports, against what exists and what was granted.

pub(crate) mod clawft;
pub(crate) mod fledge;
pub(crate) mod module;
pub(crate) mod reglet;

use portcullis_policy::{Capability, Grants};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::abi::command::COMMAND;
use crate::abi::component::{CONTEXT, PROCESS};
use crate::abi::env::ENV;
use crate::abi::fs::FS;
use crate::abi::http::HTTP;
use crate::abi::keyvalue::{ATOMICS, BATCH, STORE};
use crate::abi::kv::KV;
use crate::abi::log::LOG;
use crate::abi::preview1::MODULE as PREVIEW1;
use crate::abi::prompt::PROMPT;
use crate::abi::wasi_http::{HANDLER, TYPES};
use crate::error::MissingImport;
use crate::shape::ModuleImport;

/// Every import of a component, by name.
pub(crate) fn names(engine: &Engine, component: &Component) -> Vec<String> {
    component
        .component_type()
        .imports(engine)
        .map(|(name, _)| name.to_owned())
        .collect()
}

/// What stands behind an import.
#[derive(Debug, PartialEq, Eq)]
enum Source {
    /// Linked, and of no effect without grants.
    Linked,
    /// Needs something of this capability to be granted.
    Needs(Capability),
    /// A known interface that this release does not supply.
    NotYet(&'static str),
    Unknown,
}

fn source(name: &str) -> Source {
    let ours = name.starts_with("portcullis:cli/") || name.starts_with("my:cli/");
    let matches = |known: &[&str]| known.contains(&name) || (ours && version_of(known[0], name));
    let is_ours = |interface| name.starts_with("portcullis:cli/") && matches(&[interface]);
    if matches(&PROCESS) || matches(&CONTEXT) || is_ours(COMMAND) {
        Source::Needs(Capability::Exec)
    } else if is_ours(ENV) {
        Source::Needs(Capability::Env)
    } else if is_ours(FS) {
        Source::Needs(Capability::Fs)
    } else if is_ours(LOG) {
        Source::Needs(Capability::Log)
    } else if is_ours(HTTP) || is_outgoing(name) {
        Source::Needs(Capability::Http)
    } else if is_ours(KV) || [STORE, ATOMICS, BATCH].contains(&name) {
        Source::Needs(Capability::Kv)
    } else if name.starts_with(INCOMING) {
        Source::NotYet("a plugin answers no HTTP requests; it sends some by `outgoing-handler`")
    } else if name.starts_with("wasi:http/") {
        Source::NotYet("of `wasi:http` the host has `outgoing-handler` and `types` in version 0.2")
    } else if name.starts_with("wasi:keyvalue/") {
        Source::NotYet(
            "of `wasi:keyvalue` the host has `store`, `atomics` and `batch` in version 0.2.0-draft2",
        )
    } else if name.starts_with("wasi:") && name.contains("@0.3.") {
        Source::NotYet("WASI 0.3 is not supported; build for WASI 0.2")
    } else if is_wasi(name) || is_ours(PROMPT) {
        Source::Linked
    } else {
        Source::Unknown
    }
}

/// What of `wasi:http` is for servers.
pub(crate) const INCOMING: &str = "wasi:http/incoming-handler";

/// Whether it is what of `wasi:http` requests are sent by, in a released version 0.2.
fn is_outgoing(name: &str) -> bool {
    let Some((interface, version)) = name.split_once('@') else {
        return false;
    };
    [HANDLER, TYPES].contains(&interface) && is_released(version)
}

/// Whether it is a version of WASI 0.2 that was released.
pub(crate) fn is_released(version: &str) -> bool {
    let patch = version.strip_prefix("0.2.").unwrap_or_default();
    !patch.is_empty() && patch.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether it is an interface of WASI 0.2 that every component has, and that is of no effect without grants.
fn is_wasi(name: &str) -> bool {
    WASI.iter().any(|package| name.starts_with(package)) && !name.contains("@0.3.")
}

const WASI: [&str; 6] = [
    "wasi:io/",
    "wasi:clocks/",
    "wasi:random/",
    "wasi:filesystem/",
    "wasi:cli/",
    "wasi:sockets/",
];

/// Whether `name` is the interface `known` in another version that a linker takes for the same.
fn version_of(known: &str, name: &str) -> bool {
    let interface = |name: &str| {
        name.split('@')
            .next()
            .and_then(|path| path.split('/').nth(1))
            .map(str::to_owned)
    };
    let compatible = name
        .split_once('@')
        .is_none_or(|(_, version)| version.starts_with("0.1."));
    compatible && interface(known) == interface(name)
}

/// Imports that keep the plugin from being loaded: all of them, so that one look tells everything. With `late`, what
/// is known but not granted is left to the call.
pub(crate) fn missing(names: &[String], grants: &Grants) -> Vec<MissingImport> {
    names
        .iter()
        .filter_map(|name| {
            let why = match source(name) {
                Source::Linked => return None,
                Source::Needs(capability) if grants.has(capability) || grants.late => return None,
                Source::Needs(capability) => grant_of(capability, grants),
                Source::NotYet(_) if grants.late => return None,
                Source::NotYet(why) => why.to_owned(),
                Source::Unknown => "no such interface on this host".to_owned(),
            };
            Some(MissingImport {
                name: name.clone(),
                why,
            })
        })
        .collect()
}

/// What stands behind an import of a core module.
enum ModuleSource {
    /// Linked, and of no effect without grants.
    Linked,
    /// Needs something of this capability to be granted.
    Needs(Capability),
    /// Not there, for this reason.
    Missing(String),
}

impl ModuleSource {
    fn needs(self) -> Option<Capability> {
        match self {
            Self::Needs(capability) => Some(capability),
            Self::Linked | Self::Missing(_) => None,
        }
    }
}

/// What stands behind an import of a core module, whichever world it is of; `other` says it of all but WASI preview 1.
fn source_in_module(
    import: &ModuleImport,
    other: impl FnOnce(&str, &str) -> ModuleSource,
) -> ModuleSource {
    let name = import.name.as_str();
    let missing = |why: &str| ModuleSource::Missing(why.to_owned());
    match import.module.as_str() {
        _ if !import.is_function => {
            missing("only functions can be imported; a plugin has its memory and tables itself")
        }
        PREVIEW1 if module::PREVIEW1_FUNCTIONS.contains(&name) => ModuleSource::Linked,
        PREVIEW1 => missing("WASI preview 1 has no such function"),
        module => other(module, name),
    }
}

/// What stands behind a function of a world that has these, with what each needs.
fn source_of_function<const N: usize>(
    name: &str,
    functions: [(&str, Option<Capability>); N],
) -> ModuleSource {
    match functions.iter().find(|(known, _)| *known == name) {
        Some((_, needs)) => needs.map_or(ModuleSource::Linked, ModuleSource::Needs),
        None => {
            let known = functions.map(|(known, _)| format!("`{known}`"));
            let known = known.join(", ");
            ModuleSource::Missing(format!("there is no such function; there are {known}"))
        }
    }
}

/// Whether any import of a core module needs the `exec` grant.
pub(crate) fn module_wants_exec(
    imports: &[ModuleImport],
    needs: fn(&ModuleImport) -> Option<Capability>,
) -> bool {
    imports
        .iter()
        .any(|import| needs(import) == Some(Capability::Exec))
}

/// As [`missing`], of a core module, whose imports may be repeated: each once.
fn missing_of_module(
    imports: &[ModuleImport],
    grants: &Grants,
    source: fn(&ModuleImport) -> ModuleSource,
) -> Vec<MissingImport> {
    let mut missing: Vec<MissingImport> = Vec::new();
    for import in imports {
        let why = match source(import) {
            ModuleSource::Linked => continue,
            ModuleSource::Needs(capability) if grants.has(capability) || grants.late => continue,
            ModuleSource::Needs(capability) => grant_of(capability, grants),
            ModuleSource::Missing(why) => why,
        };
        let name = import.shown();
        if missing.iter().all(|other| other.name != name) {
            missing.push(MissingImport { name, why });
        }
    }
    missing
}

/// What would supply an import that needs a grant.
fn grant_of(capability: Capability, grants: &Grants) -> String {
    let (what, example) = match capability {
        Capability::Exec => ("a program", "exec <program>"),
        Capability::Env => ("a variable", "env <name>"),
        Capability::Log => ("lines in the log", "log"),
        Capability::Fs => ("a directory", "read <directory>"),
        Capability::Http => ("a host", "http <host>"),
        Capability::Net => ("a connection", "connect <host>:<port>"),
        Capability::Kv => ("state of its own", "kv"),
        Capability::Metadata => ("a fact of the project", "metadata <key>"),
        Capability::Prompt => return format!("needs the `{capability}` grant"),
    };
    let plugin = &grants.plugin;
    format!("needs the `{capability}` grant; to allow {what}: portcullis grant {plugin} {example}")
}

/// The capability that an import needs, if it needs one.
pub(crate) fn needs(name: &str) -> Option<Capability> {
    match source(name) {
        Source::Needs(capability) => Some(capability),
        Source::NotYet(_) if name.starts_with("wasi:keyvalue/") => Some(Capability::Kv),
        Source::NotYet(_) | Source::Linked | Source::Unknown => None,
    }
}

/// Whether any import is of an interface that is known and not there.
pub(crate) fn any_not_supplied(names: &[String]) -> bool {
    names
        .iter()
        .any(|name| matches!(source(name), Source::NotYet(_)))
}

/// Whether any import needs the `exec` grant.
pub(crate) fn wants_exec(names: &[String]) -> bool {
    names
        .iter()
        .any(|name| source(name) == Source::Needs(Capability::Exec))
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_policy::PluginId;

    #[test]
    fn of_a_draft_one_version_is_there() {
        let kv = Source::Needs(Capability::Kv);
        assert_eq!(source("wasi:keyvalue/batch@0.2.0-draft2"), kv);
        for other in ["store@0.2.0-draft", "store@0.2.0", "watcher@0.2.0-draft2"] {
            let name = format!("wasi:keyvalue/{other}");
            assert!(matches!(source(&name), Source::NotYet(_)), "{name}");
        }
    }

    #[test]
    fn of_wasi_http_there_is_what_sends_requests_in_released_versions() {
        let http = Source::Needs(Capability::Http);
        for there in ["outgoing-handler@0.2.0", "types@0.2.12"] {
            assert_eq!(source(&format!("wasi:http/{there}")), http, "{there}");
        }
        for other in [
            "incoming-handler@0.2.0",
            "types@0.3.0",
            "handler@0.3.0",
            "types@0.2.0-rc-2023-11-10",
            "types@0.2.",
            "types@0.2.1a",
            "types",
            "types-more@0.2.0",
        ] {
            let name = format!("wasi:http/{other}");
            assert!(matches!(source(&name), Source::NotYet(_)), "{name}");
        }
    }

    #[test]
    fn all_missing_imports_are_named_at_once() {
        let grants = Grants::none(PluginId::new("p").unwrap());
        let names = [
            "my:cli/process",
            "portcullis:cli/process@0.1.3",
            "portcullis:cli/command@0.1.0",
            "my:cli/command",
            "wasi:http/outgoing-handler@0.2.3",
            "wasi:cli/environment@0.2.6",
            "acme:thing/api",
            "wasi:clocks/monotonic-clock@0.3.0",
        ]
        .map(str::to_owned);
        let missing_names: Vec<_> = missing(&names, &grants)
            .into_iter()
            .map(|import| import.name)
            .collect();
        assert_eq!(
            missing_names,
            [0, 1, 2, 3, 4, 6, 7].map(|missing| names[missing].clone())
        );
        let late = Grants {
            late: true,
            ..grants
        };
        let missing_names: Vec<_> = missing(&names, &late)
            .into_iter()
            .map(|import| import.name)
            .collect();
        assert_eq!(
            missing_names,
            ["my:cli/command", "acme:thing/api"],
            "what does not exist stays missing"
        );
    }
}
