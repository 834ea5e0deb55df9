//! Why a command failed, where that was its confinement, and the smallest grant that would let it.

use std::path::{Path, PathBuf};

use portcullis_audit::{self as audit, Masked};
use portcullis_exec::{Complaint, Connections, Hint, Verdict, Why};
use portcullis_policy::{ChildRights, ExecTerms, Grants, Net, PluginId, Protect, Remedy, RuleId};

use crate::Diagnostic;

/// Something of a file.
const FILES: &str = "P0805";
/// Something of the network.
const NETWORK: &str = "P0806";

/// Names under which people keep what lends their rights to whoever reads it.
const SECRETS: [&str; 19] = [
    ".aws",
    ".azure",
    ".docker",
    ".env",
    ".git-credentials",
    ".gnupg",
    ".kube",
    ".netrc",
    ".npmrc",
    ".password-store",
    ".pypirc",
    ".ssh",
    "credentials",
    "credentials.toml",
    "gcloud",
    "gh",
    "gshadow",
    "keyrings",
    "shadow",
];

/// Whether a path goes by a name under which people keep secrets: no grant of it is ever proposed.
pub fn keeps_secrets(path: &Path) -> bool {
    let is_secret = |part: &std::ffi::OsStr| SECRETS.iter().any(|secret| part == *secret);
    path.iter().any(is_secret)
}

/// Whose command it was.
#[derive(Clone, Debug)]
pub(crate) struct Whose {
    plugin: PluginId,
    /// Everything that its commands may have, and the network of the plugin.
    all: ChildRights,
    /// The rules that allowed it.
    rules: Vec<RuleId>,
    program: String,
    /// The user's home directory.
    home: Option<PathBuf>,
}

/// Looks for what confinement kept from commands. Blocks.
pub(crate) fn look(unexplained: Vec<(Whose, Complaint)>) -> Vec<Diagnostic> {
    let told = unexplained.into_iter().flat_map(|(whose, complaint)| {
        let hints = complaint.hints();
        hints
            .iter()
            .filter_map(|hint| whose.hint(hint))
            .collect::<Vec<_>>()
    });
    told.collect()
}

impl Whose {
    pub(crate) fn of(grants: &Grants, terms: &ExecTerms, program: &str) -> Self {
        let vars = &terms.environment.vars;
        let home = vars.iter().find(|(name, _)| name == "HOME");
        Self {
            plugin: grants.plugin.clone(),
            all: ChildRights::of(grants),
            rules: terms.rules.clone(),
            program: program.to_owned(),
            home: home.map(|(_, home)| PathBuf::from(&**home)),
        }
    }

    /// What a hint says to a person.
    pub(crate) fn hint(&self, hint: &Hint) -> Option<Diagnostic> {
        Some(match hint {
            Hint::Read(path) => self.path("read", path, |all| all.reads(path)),
            Hint::Write(path) => self.path("write", path, |all| all.writes(path)),
            Hint::Execute(path) => {
                let place = path.parent().unwrap_or(path).display();
                self.says(FILES, &format!("could not execute `{}`: what was written there is not executed", path.display()))
                    .help(format!("to let its commands execute what they write in `{place}`, add that directory to `exec.write_exec`"))
            }
            Hint::Program(path) => self
                .says(FILES, &format!("could not start `{}`: it is not on the list of its rule", path.display()))
                .note(self.by_rule())
                .help("to allow it, add it to `exec` of that rule"),
            Hint::Protected { path, name } => self.protected(path, name),
            Hint::NoNetwork(Some(target)) => self.host(target, "it has no network"),
            Hint::NoNetwork(None) => self
                .says(NETWORK, "could not reach a host: it has no network")
                .help("grant the host that it needs, with its port: `portcullis grant <plugin> net HOST:PORT`"),
            Hint::NotThroughProxy => self
                .says(NETWORK, "could not reach a host: it did not ask its proxy")
                .note("granted hosts are reached through the proxy that `https_proxy` and `all_proxy` name, and in no other way"),
            _ => return None,
        })
    }

    /// What a refused connection says to a person; nothing for one that was allowed.
    pub(crate) fn connection(&self, asked: &Connections) -> Option<Diagnostic> {
        let verdict = &asked.verdict;
        if verdict.allowed {
            return None;
        }
        let told = match &verdict.why {
            Why::NoRule => self.host(&target(verdict), "no rule is about it"),
            _ => {
                let told = self.says(NETWORK, &format!("may not {verdict}"));
                match verdict.remedy() {
                    Some(entry) => {
                        told.help(format!("to allow exactly this, write {entry} into `net`"))
                    }
                    None => told,
                }
            }
        };
        Some(match asked.count {
            1 => told,
            count => told.note(format!("{count} times")),
        })
    }

    fn says(&self, code: &'static str, what: &str) -> Diagnostic {
        let (plugin, program) = (&self.plugin, &self.program);
        Diagnostic::new(code, format!("plugin `{plugin}`: `{program}` {what}"))
    }

    /// A path that it could not use, and was or was not granted to the plugin.
    fn path(&self, verb: &str, path: &Path, granted: impl Fn(&ChildRights) -> bool) -> Diagnostic {
        let shown = path.display();
        if granted(&self.all) {
            return self
                .says(
                    FILES,
                    &format!("could not {verb} `{shown}`: its rule leaves it out"),
                )
                .note(self.by_rule())
                .help(format!("to allow it, widen `{verb}` of that rule"));
        }
        let told = self
            .says(
                FILES,
                &format!("could not {verb} `{shown}`: it is not granted"),
            )
            .note("that it wanted this is what its own output says");
        if let Some(why) = self.is_delicate(verb, path) {
            return told.note(format!("{why}: grant no more of it than it must have"));
        }
        match path.to_str() {
            Some(text) => self.grant(told, verb, text),
            None => told,
        }
    }

    fn protected(&self, path: &Path, name: &str) -> Diagnostic {
        let built_in = Protect::BUILT_IN.iter().find(|known| known.name == name);
        let because = built_in
            .map(|known| format!(": {}", known.why))
            .unwrap_or_default();
        self.says(
            FILES,
            &format!("could not change `{}`: it is protected", path.display()),
        )
        .note(format!("by the name `{name}`{because}"))
        .help(format!(
            "to let its commands change it all the same, add `\"{name}\"` to `exec.unprotect`"
        ))
    }

    /// A host that it could not reach.
    fn host(&self, target: &str, why: &str) -> Diagnostic {
        let granted = match &self.all.net {
            Net::Open => true,
            Net::Hosts(hosts) => hosts.iter().any(|host| host.to_string() == target),
            Net::None | Net::Loopback => false,
        };
        if granted {
            return self
                .says(
                    NETWORK,
                    &format!("could not reach `{target}`: its rule leaves it out"),
                )
                .note(self.by_rule())
                .help("to allow it, widen `net` of that rule");
        }
        let told = self.says(NETWORK, &format!("could not reach `{target}`: {why}"));
        self.grant(told, "net", target)
    }

    /// The command that grants exactly this.
    fn grant(&self, mut told: Diagnostic, right: &str, object: &str) -> Diagnostic {
        let words = ["portcullis", "grant", self.plugin.as_str(), right, object];
        told.helps.push(Remedy {
            text: "to allow exactly this".to_owned(),
            command: Some(words.map(str::to_owned).to_vec()),
        });
        told
    }

    fn by_rule(&self) -> String {
        let rules: Vec<_> = self.rules.iter().map(|rule| format!("`{rule}`")).collect();
        format!("it ran by rule {}", rules.join(", "))
    }

    /// Why nobody should be handed a command that grants this: a hostile program can complain about anything.
    fn is_delicate(&self, verb: &str, path: &Path) -> Option<&'static str> {
        if keeps_secrets(path) {
            return Some("secrets are kept there");
        }
        if verb == "write" && (executes(path) || path.starts_with("/etc")) {
            return Some("others execute or obey what lies there");
        }
        let wide = path.components().count() <= 2
            || self
                .home
                .as_ref()
                .is_some_and(|home| home.starts_with(path));
        wide.then_some("that is much")
    }
}

/// Whether a path has a name in it that is protected in every directory.
fn executes(path: &Path) -> bool {
    let parts: Vec<_> = path.iter().collect();
    Protect::BUILT_IN.iter().any(|known| {
        let name: Vec<_> = known.name.split('/').collect();
        let same = |part: &std::ffi::OsStr, name: &str| name == "*" || part == name;
        parts
            .windows(name.len())
            .any(|parts| parts.iter().zip(&name).all(|(part, name)| same(part, name)))
    })
}

/// What the audit trail has of it.
pub(crate) fn record(asked: &Connections) -> audit::Connection {
    let verdict = &asked.verdict;
    audit::Connection {
        host: Masked::new(&verdict.host),
        port: verdict.port,
        address: verdict.address.map(|address| address.to_string()),
        rule: verdict.rule.as_ref().map(ToString::to_string),
        allowed: verdict.allowed,
        why: Masked::new(&verdict.to_string()),
        count: asked.count,
        bytes_up: verdict.bytes_up,
        bytes_down: verdict.bytes_down,
    }
}

fn target(verdict: &Verdict) -> String {
    format!("{}:{}", verdict.host, verdict.port)
}

#[cfg(test)]
mod tests {
    use portcullis_policy::HostRule;

    use super::*;

    fn whose(net: Net) -> Whose {
        Whose {
            plugin: PluginId::new("p").unwrap(),
            all: ChildRights {
                net,
                ..ChildRights::default()
            },
            rules: vec![RuleId("git-read".to_owned())],
            program: "/usr/bin/git".to_owned(),
            home: Some("/home/ann".into()),
        }
    }

    fn told(net: Net, hint: &Hint) -> (String, Vec<String>) {
        let told = whose(net).hint(hint).unwrap();
        let commands = told.helps.iter().filter_map(|help| help.command.as_ref());
        (
            told.message,
            commands.map(|command| command.join(" ")).collect(),
        )
    }

    #[test]
    fn what_is_missing_comes_with_the_command_that_grants_it() {
        let read = told(Net::None, &Hint::Read("/home/ann/x".into()));
        assert_eq!(
            read.0,
            "plugin `p`: `/usr/bin/git` could not read `/home/ann/x`: it is not granted"
        );
        assert_eq!(read.1, ["portcullis grant p read /home/ann/x"]);
        let write = told(Net::None, &Hint::Write("/home/ann/x".into()));
        assert_eq!(write.1, ["portcullis grant p write /home/ann/x"]);
        let host = told(
            Net::None,
            &Hint::NoNetwork(Some("example.org:443".to_owned())),
        );
        assert_eq!(
            host.0,
            "plugin `p`: `/usr/bin/git` could not reach `example.org:443`: it has no network"
        );
        assert_eq!(host.1, ["portcullis grant p net example.org:443"]);
    }

    #[test]
    fn no_command_grants_secrets_or_a_whole_home() {
        for delicate in [
            "/home/ann/.ssh/id_ed25519",
            "/home/ann",
            "/home",
            "/etc/shadow",
            "/srv",
        ] {
            let (message, commands) = told(Net::None, &Hint::Read(delicate.into()));
            assert!(message.contains(delicate), "{message}");
            assert_eq!(commands, [""; 0], "{delicate}");
        }
    }

    #[test]
    fn no_command_lets_a_plugin_write_what_others_execute() {
        for delicate in [
            "/home/ann/.bashrc",
            "/home/ann/x/.git/hooks",
            "/etc/cron.d/x",
        ] {
            assert_eq!(
                told(Net::None, &Hint::Write(delicate.into())).1,
                [""; 0],
                "{delicate}"
            );
        }
        assert_eq!(
            told(Net::None, &Hint::Read("/home/ann/.bashrc".into()))
                .1
                .len(),
            1
        );
    }

    #[test]
    fn what_a_rule_takes_away_is_no_missing_grant() {
        let net = Net::Hosts(vec![HostRule::parse("example.org:443").unwrap()]);
        let (message, commands) = told(net, &Hint::NoNetwork(Some("example.org:443".to_owned())));
        assert!(message.ends_with("its rule leaves it out"), "{message}");
        assert_eq!(commands, [""; 0]);
    }

    #[test]
    fn a_protected_name_says_why_and_what_lifts_it() {
        let hint = Hint::Protected {
            path: "/w/.git/hooks".into(),
            name: ".git/hooks".to_owned(),
        };
        let told = whose(Net::None).hint(&hint).unwrap();
        assert_eq!(
            told.notes,
            ["by the name `.git/hooks`: git runs what lies there"]
        );
        assert!(
            told.helps[0]
                .text
                .contains("`\".git/hooks\"` to `exec.unprotect`"),
            "{told:?}"
        );
    }

    #[test]
    fn only_refused_connections_are_told() {
        let whose = whose(Net::None);
        let asked = |why: Why, allowed| Connections {
            count: 2,
            verdict: Verdict {
                host: "example.org".to_owned(),
                port: 443,
                address: None,
                rule: None,
                allowed,
                why,
                bytes_up: 0,
                bytes_down: 0,
            },
        };
        assert_eq!(whose.connection(&asked(Why::Allowed, true)), None);
        let told = whose.connection(&asked(Why::NoRule, false)).unwrap();
        assert_eq!(
            told.message,
            "plugin `p`: `/usr/bin/git` could not reach `example.org:443`: no rule is about it"
        );
        assert_eq!(told.notes, ["2 times"]);
        let fronted = Why::ServerName(Some("other.example".to_owned()));
        let told = whose.connection(&asked(fronted, false)).unwrap();
        assert!(
            told.message
                .ends_with("was refused: its TLS asked for `other.example`"),
            "{told:?}"
        );
        assert!(told.helps.is_empty());
    }
}
