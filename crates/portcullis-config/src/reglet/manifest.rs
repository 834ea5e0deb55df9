//! What a plugin of Reglet says of itself: the manifest of its later generation, or the description of its first.

use serde::Deserialize;

use super::{Mapped, command, entry, hosts, path, variable};
use portcullis_policy::FsAccess;

/// What a plugin says of itself. All of it is hostile text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegletManifest {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it does.
    pub description: String,
    /// What it asks for.
    pub asks: Vec<RegletAsk>,
}

/// One thing that a plugin asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegletAsk {
    /// As the first generation writes it, such as `exec:/bin/echo`.
    pub asked: String,
    /// The lines of a policy that grant it, or why none does.
    pub granted_by: Result<Vec<String>, String>,
}

/// `null` is as good as nothing.
#[derive(Debug, Deserialize)]
struct Said {
    name: Option<String>,
    version: Option<String>,
    description: Option<String>,
    capabilities: Option<Capabilities>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Capabilities {
    List(Vec<Capability>),
    Set(Box<Set>),
}

#[derive(Debug, Deserialize)]
struct Capability {
    kind: String,
    pattern: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Set {
    network: Option<Rules<NetworkRule>>,
    fs: Option<Rules<FsRule>>,
    env: Option<Env>,
    exec: Option<Exec>,
    kv: Option<serde::de::IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct Rules<T> {
    rules: Option<Vec<T>>,
}

#[derive(Debug, Deserialize)]
struct NetworkRule {
    hosts: Option<Vec<String>>,
    ports: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
struct FsRule {
    read: Option<Vec<String>>,
    write: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
struct Env {
    vars: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
struct Exec {
    commands: Option<Vec<String>>,
}

/// Entries that are read. No plugin asks for more that anybody would read.
const MAX_ASKS: usize = 256;
/// Hosts, and ports, of one rule.
const MAX_HOSTS: usize = 16;

impl RegletManifest {
    /// Reads what a plugin says of itself.
    ///
    /// # Errors
    /// It is none: why, as a clause, which may quote it.
    pub fn parse(json: &str) -> Result<Self, String> {
        let said: Said = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let mut asks = match said.capabilities {
            None => Vec::new(),
            Some(Capabilities::List(list)) => {
                let list = list.into_iter().take(MAX_ASKS);
                list.map(Capability::ask).collect()
            }
            Some(Capabilities::Set(set)) => set.asks(),
        };
        asks.truncate(MAX_ASKS);
        Ok(Self {
            name: said.name.ok_or("it has no name")?,
            version: said.version.unwrap_or_default(),
            description: said.description.unwrap_or_default(),
            asks,
        })
    }
}

fn ask(asked: String, mapped: Mapped) -> RegletAsk {
    let lines = mapped.map(|rights| rights.iter().map(super::Right::line).collect());
    RegletAsk {
        asked,
        granted_by: lines,
    }
}

impl Capability {
    fn ask(self) -> RegletAsk {
        let asked = match self.pattern {
            Some(pattern) if !pattern.is_empty() => format!("{}:{pattern}", self.kind),
            _ => self.kind,
        };
        let mapped = entry(&asked);
        ask(asked, mapped)
    }
}

impl Set {
    fn asks(self) -> Vec<RegletAsk> {
        let mut asks = Vec::new();
        for name in self
            .exec
            .into_iter()
            .flat_map(|exec| exec.commands)
            .flatten()
            .take(MAX_ASKS)
        {
            let mapped = command(&name);
            asks.push(ask(format!("exec:{name}"), mapped));
        }
        for rule in self
            .fs
            .into_iter()
            .flat_map(|fs| fs.rules)
            .flatten()
            .take(MAX_ASKS)
        {
            for (list, word, access) in [
                (rule.read, "read", FsAccess::Read),
                (rule.write, "write", FsAccess::ReadWrite),
            ] {
                for glob in list.into_iter().flatten().take(MAX_ASKS) {
                    let mapped = path(&glob, access);
                    asks.push(ask(format!("fs:{word}:{glob}"), mapped));
                }
            }
        }
        for rule in self
            .network
            .into_iter()
            .flat_map(|network| network.rules)
            .flatten()
            .take(MAX_ASKS)
        {
            let few = |list: Option<Vec<String>>| {
                let list = list.into_iter().flatten();
                list.take(MAX_HOSTS).collect::<Vec<_>>()
            };
            let (names, ports) = (few(rule.hosts), few(rule.ports));
            let refer = |list: &[String]| {
                list.iter()
                    .map(String::as_str)
                    .collect::<Vec<_>>()
                    .join(",")
            };
            let asked = format!("network:{}:{}", refer(&names), refer(&ports));
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            let ports: Vec<_> = ports.iter().map(String::as_str).collect();
            asks.push(ask(asked, hosts(&names, &ports)));
        }
        for name in self
            .env
            .into_iter()
            .flat_map(|env| env.vars)
            .flatten()
            .take(MAX_ASKS)
        {
            let mapped = variable(&name);
            asks.push(ask(format!("env:{name}"), mapped));
        }
        if self.kv.is_some() {
            asks.push(ask("kv".to_owned(), entry("kv:")));
        }
        asks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_generations_ask_for_the_same_in_their_ways() {
        let first = r#"{"name":"p","version":"1","description":"d","capabilities":[
            {"kind":"exec","pattern":"/bin/echo"},{"kind":"exec"},{"kind":"env","pattern":"LANG"}]}"#;
        let second = r#"{"name":"p","capabilities":{"exec":{"commands":["/bin/echo","**","/usr/bin/*","git*"]},
            "env":{"vars":["LANG"]},"fs":{"rules":[{"read":["/data/**"],"write":null}]},
            "network":{"rules":[{"hosts":["a.example"],"ports":["443"]}]},"kv":null},"services":null}"#;
        let asked = |json: &str| {
            let manifest = RegletManifest::parse(json).unwrap();
            let asks = manifest.asks.into_iter();
            asks.map(|ask| {
                format!(
                    "{} -> {}",
                    ask.asked,
                    ask.granted_by
                        .map_or_else(|why| why, |lines| lines.join(" "))
                )
            })
            .collect::<Vec<_>>()
        };
        assert_eq!(
            asked(first),
            [
                "exec:/bin/echo -> exec.allow = [\"/bin/echo\"]",
                "exec -> reglet = [\"exec:**\"]",
                "env:LANG -> env = [\"LANG\"]",
            ]
        );
        assert_eq!(
            asked(second),
            [
                "exec:/bin/echo -> exec.allow = [\"/bin/echo\"]",
                "exec:** -> reglet = [\"exec:**\"]",
                "exec:/usr/bin/* -> exec.allow = [\"/usr/bin/*\"]",
                "exec:git* -> a rule is about one program, or about those directly in a directory, `/usr/bin/*`: name each that `git*` stands for",
                "fs:read:/data/** -> fs.read = [\"/data\"]",
                "network:a.example:443 -> http.allow = [\"a.example:443\"] connect = [\"a.example:443\"]",
                "env:LANG -> env = [\"LANG\"]",
            ]
        );
    }

    #[test]
    fn null_is_as_good_as_nothing_and_what_is_no_manifest_says_why() {
        let quiet = r#"{"name":"p","capabilities":{"exec":{"commands":null},"fs":null}}"#;
        assert_eq!(RegletManifest::parse(quiet).unwrap().asks, []);
        assert_eq!(RegletManifest::parse(r#"{"name":"p"}"#).unwrap().asks, []);
        for json in [
            "",
            "[]",
            "{}",
            r#"{"name":1}"#,
            r#"{"name":"p","capabilities":7}"#,
        ] {
            assert!(RegletManifest::parse(json).is_err(), "{json}");
        }
    }
}
