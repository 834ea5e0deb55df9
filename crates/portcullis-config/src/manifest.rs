//! The plugin's own file: what it is and what it asks for. Its text is never policy: it can only take away.

use std::path::Path;

use portcullis_policy::{
    Capability, DnsNames, ExecGrant, FsAccess, FsGrant, Grants, HttpHosts, Net, NetAsked, Places,
    PluginId, ProgramRef, ProgramRule, Programs, RuleId,
};
use schemars::JsonSchema;
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::clawft::ClawftManifest;
use crate::commands::{CommandTable, PluginCommand};
use crate::context::{Base, Context};
use crate::error::{ConfigCode, ConfigErrors, Report};
use crate::fledge::{self, FledgeManifest};
use crate::raw::{Text, Texts};
use crate::reader::{Names, Reader};
use crate::shape;
use crate::source::{At, Source};

/// What a plugin is and what it asks for. Asking grants nothing.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields, title = "plugin.toml")]
pub(crate) struct ManifestFile {
    /// The name the plugin goes by: 1 to 128 letters, digits, `.`, `_` or `-`.
    id: Text,
    /// Its version.
    version: Text,
    /// The WIT world it is built for, such as `portcullis:cli/plugin@0.1.0`.
    world: Text,
    /// What it does, in one line.
    description: Option<Text>,
    /// The file name of the component, beside this file. Default: the name of the directory and `.wasm`.
    component: Option<Text>,
    /// The oldest Portcullis that can run it, such as `0.1.0`. Default: any.
    minimum_host: Option<Text>,
    /// What it does, by the names under which it is called. Default: one thing, by its id.
    #[serde(default)]
    commands: Vec<At<CommandTable>>,
    /// What it asks for, and why.
    #[serde(default)]
    asks: Vec<At<AskTable>>,
}

/// One thing the plugin asks for.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct AskTable {
    /// The kind of authority.
    capability: At<CapabilityWord>,
    /// For `exec`: the program. Absent: any.
    program: Option<Text>,
    /// For `exec`: the sub-commands. Absent: any arguments.
    sub: Option<Texts>,
    /// For `fs`: the directory, under the name by which the plugin opens it; `${project}` is `.`.
    path: Option<Text>,
    /// For `fs`: what it does there. Default: `read`.
    access: Option<At<AccessWord>>,
    /// For `env`: the variable it reads; a trailing `*` matches any rest. Absent: any.
    name: Option<Text>,
    /// For `http`: the host it talks to. Absent: any.
    host: Option<Text>,
    /// For `net`: where it connects to, `host:port`. Absent, without `lookup`: anywhere.
    connect: Option<Text>,
    /// For `net`: a name that it looks up. Absent, without `connect`: any.
    lookup: Option<Text>,
    /// Why, for the person who decides: at most 140 characters.
    reason: Text,
}

/// A kind of authority.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CapabilityWord {
    /// Starting native commands.
    Exec,
    /// Files and directories.
    Fs,
    /// Outgoing HTTP requests.
    Http,
    /// Names that it looks up, and connections that it makes.
    Net,
    /// Environment variables.
    Env,
    /// A key-value store that outlives the call.
    Kv,
    /// Lines in the operator's log.
    Log,
    /// Questions to the person at the terminal.
    Prompt,
    /// The plugin's own name, version and project.
    Metadata,
}

/// What is done in a directory.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AccessWord {
    /// Open and list.
    Read,
    /// Also create, change and remove.
    Write,
}

/// A plugin's manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Manifest {
    /// The name the plugin goes by when the policy has no entry for it.
    pub id: PluginId,
    /// Its version, as written.
    pub version: String,
    /// The WIT world it is built for, as written.
    pub world: String,
    /// What it does, in one line; not filtered for terminals.
    pub description: Option<String>,
    /// The file name of the component, if it is not that of the directory.
    pub component: Option<String>,
    /// The oldest host that can run it; `None`: any.
    pub minimum_host: Option<Version>,
    /// What it does, by the names under which it is called; without any, one thing, by its id.
    pub commands: Vec<PluginCommand>,
    /// What it asks for.
    pub asks: Vec<Ask>,
    /// The same as clawft has it, of a plugin of clawft.
    #[serde(skip)]
    pub clawft: Option<Box<ClawftManifest>>,
    /// The same as fledge has it, of a plugin of fledge.
    #[serde(skip)]
    pub fledge: Option<Box<FledgeManifest>>,
}

/// One thing a plugin asks for, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ask {
    /// What.
    #[serde(flatten)]
    pub kind: AskKind,
    /// Why, in the author's words; not filtered for terminals.
    pub reason: String,
}

/// What a plugin asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "capability")]
pub enum AskKind {
    /// To start commands.
    Exec {
        /// This program; `None`: any.
        program: Option<ProgramRef>,
        /// With these sub-commands; `None`: any arguments.
        sub: Option<Vec<String>>,
    },
    /// To open a directory.
    Fs {
        /// The name by which it opens it; `None`: any.
        path: Option<String>,
        /// What it does there.
        access: FsAccess,
    },
    /// To read a variable; `None`: any.
    Env {
        /// Its name, or the beginning of names and `*`.
        name: Option<String>,
    },
    /// To send HTTP requests.
    Http {
        /// To this host; `None`: any.
        host: Option<String>,
    },
    /// To connect or to look up, one of both; with neither anywhere and anything.
    Net {
        /// To connect to this place.
        connect: Option<String>,
        /// To look up this name.
        lookup: Option<String>,
    },
    /// A key-value store.
    Kv,
    /// The operator's log.
    Log,
    /// Questions at the terminal.
    Prompt,
    /// Its own name, version and project.
    Metadata,
}

impl AskKind {
    /// The kind of authority it takes.
    pub const fn capability(&self) -> Capability {
        match self {
            Self::Exec { .. } => Capability::Exec,
            Self::Fs { .. } => Capability::Fs,
            Self::Env { .. } => Capability::Env,
            Self::Http { .. } => Capability::Http,
            Self::Net { .. } => Capability::Net,
            Self::Kv => Capability::Kv,
            Self::Log => Capability::Log,
            Self::Prompt => Capability::Prompt,
            Self::Metadata => Capability::Metadata,
        }
    }
}

impl Manifest {
    /// Reads a manifest, ours or that of fledge: the latter has a table `plugin`. `path` is for messages only.
    ///
    /// # Errors
    /// All mistakes of the text.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigErrors> {
        if fledge::is_of_fledge(text) {
            return FledgeManifest::parse(path, text).map(FledgeManifest::into_manifest);
        }
        let mut report = Report::default();
        let source = Source { path, text };
        // A manifest has no paths of the host.
        let context = Context::new("/");
        let base = Base {
            context: &context,
            dir: Path::new("/"),
            plugin: None,
        };
        let manifest = shape::read::<ManifestFile>(&source, &mut report).and_then(|file| {
            let mut reader = Reader {
                source,
                base,
                report: &mut report,
            };
            reader.manifest(&file)
        });
        // Without a manifest there is a mistake in the report, so the second error is never the answer.
        report
            .finish(manifest)?
            .ok_or_else(|| ConfigErrors(Vec::new()))
    }

    /// The same with `~/` replaced, which only paths of a plugin of clawft have.
    pub(crate) fn at_home(mut self, home: Option<&Path>) -> Self {
        if let Some(clawft) = &mut self.clawft {
            clawft.at_home(home);
            self.asks = clawft.asks();
        }
        self
    }

    /// What the plugin asks for and the policy does not grant.
    pub fn asks_not_granted(&self, grants: &Grants) -> Vec<&Ask> {
        self.asks
            .iter()
            .filter(|ask| match &self.fledge {
                Some(_) => !FledgeManifest::is_granted(&ask.kind, grants),
                None => !granted(&ask.kind, grants),
            })
            .collect()
    }

    /// Takes away what the plugin did not ask for: two keys to one door. It never adds anything.
    ///
    /// A capability that was not asked for is gone. Of the programs those remain that an ask names, of those of a directory
    /// too. Where any program is allowed, the asked ones remain; but beside a `deny` list it stays with any program, and
    /// a rule by directory stays with none, because a denial then also finds a file under its other names, and would not
    /// with a list.
    #[must_use]
    pub fn restrict(&self, mut grants: Grants) -> Grants {
        if let Some(clawft) = &self.clawft {
            return clawft.restrict(grants);
        }
        if let Some(fledge) = &self.fledge {
            return fledge.restrict(grants);
        }
        let asked = |capability| {
            self.asks
                .iter()
                .any(|ask| ask.kind.capability() == capability)
        };
        if !asked(Capability::Fs) {
            grants.fs.clear();
        }
        if !asked(Capability::Env) {
            grants.env.clear();
        }
        grants.log &= asked(Capability::Log);
        self.restrict_http(&mut grants);
        self.restrict_net(&mut grants);
        if !asked(Capability::Kv) {
            grants.kv = None;
        }
        if !asked(Capability::Metadata) {
            grants.metadata.clear();
        }
        if !asked(Capability::Exec) {
            grants.exec = None;
            // What a network is granted to are its commands.
            grants.net = Net::None;
        }
        if let Some(exec) = &mut grants.exec {
            self.restrict_programs(exec);
        }
        grants
    }

    fn restrict_http(&self, grants: &mut Grants) {
        let hosts: Option<Vec<_>> = self
            .asks
            .iter()
            .filter_map(|ask| match &ask.kind {
                AskKind::Http { host } => Some(host.as_deref()),
                AskKind::Exec { .. }
                | AskKind::Fs { .. }
                | AskKind::Env { .. }
                | AskKind::Net { .. }
                | AskKind::Kv
                | AskKind::Log
                | AskKind::Prompt
                | AskKind::Metadata => None,
            })
            .collect();
        restrict_hosts(grants, hosts.as_deref());
    }

    fn restrict_net(&self, grants: &mut Grants) {
        let mut asked = NetAsked::default();
        for ask in &self.asks {
            let AskKind::Net { connect, lookup } = &ask.kind else {
                continue;
            };
            if connect.is_none() && lookup.is_none() {
                return;
            }
            // What was read of a manifest can be read again.
            let places = connect.iter().filter_map(|text| Places::parse(text).ok());
            asked.connect.extend(places);
            let names = lookup.iter().filter_map(|text| DnsNames::parse(text).ok());
            asked.lookup.extend(names);
        }
        if asked == NetAsked::default() {
            grants.own_net.clear();
        } else {
            grants.own_net.asked = Some(asked);
        }
    }

    /// The programs that the plugin asks for; `None`: any.
    fn programs(&self) -> Option<Vec<&ProgramRef>> {
        let programs = self.asks.iter().filter_map(|ask| match &ask.kind {
            AskKind::Exec { program, .. } => Some(program.as_ref()),
            AskKind::Fs { .. }
            | AskKind::Env { .. }
            | AskKind::Http { .. }
            | AskKind::Net { .. }
            | AskKind::Kv
            | AskKind::Log
            | AskKind::Prompt
            | AskKind::Metadata => None,
        });
        programs.collect()
    }

    fn restrict_programs(&self, exec: &mut ExecGrant) {
        let Some(programs) = self.programs() else {
            return;
        };
        let denies = !exec.deny.is_empty();
        exec.allow.retain_mut(|rule| match &mut rule.program {
            Programs::Named(named) => programs.iter().any(|program| same(program, named)),
            Programs::In(directory) => {
                *directory = directory.only(&programs);
                denies || !directory.is_empty()
            }
        });
        if exec.any_program && exec.deny.is_empty() {
            exec.any_program = false;
            for program in programs {
                let origin = exec.origin.clone();
                let id = RuleId(format!("asked {program}"));
                let rule = ProgramRule::any_arguments(&program.to_string());
                exec.allow.push(ProgramRule { id, origin, ..rule });
            }
        }
    }
}

/// Leaves the hosts that are asked for; `None`: any.
pub(crate) fn restrict_hosts(grants: &mut Grants, hosts: Option<&[&str]>) {
    let Some(hosts) = hosts else { return };
    let asked = hosts.iter().filter_map(|host| HttpHosts::asked(host).ok());
    let asked: Vec<_> = asked.collect();
    if asked.is_empty() {
        grants.http.allow.clear();
        grants.http.secrets.clear();
    } else {
        grants.http.asked = Some(asked);
    }
}

/// Whether an ask is about a program: by base name, and where both give a path by the path.
fn same(asked: &ProgramRef, program: &ProgramRef) -> bool {
    match (asked, program) {
        (ProgramRef::Path(asked), ProgramRef::Path(program)) => asked == program,
        (ProgramRef::Name(_), _) | (_, ProgramRef::Name(_)) => {
            asked.base_name() == program.base_name()
        }
    }
}

/// Whether a rule is about a program that is asked for. A directory has no bare names.
fn covers(programs: &Programs, asked: &ProgramRef) -> bool {
    match (programs, asked) {
        (Programs::Named(program), asked) => same(asked, program),
        (Programs::In(directory), ProgramRef::Path(path)) => directory.holds(path),
        (Programs::In(_), ProgramRef::Name(_)) => false,
    }
}

fn granted(ask: &AskKind, grants: &Grants) -> bool {
    match ask {
        AskKind::Exec { program, sub } => grants.exec.as_ref().is_some_and(|exec| match program {
            _ if exec.any_program => true,
            None => false,
            Some(program) => {
                let rules: Vec<_> = exec
                    .allow
                    .iter()
                    .filter(|rule| covers(&rule.program, program))
                    .collect();
                match sub {
                    None => rules.iter().any(|rule| rule.arguments.is_any()),
                    Some(subs) => subs
                        .iter()
                        .all(|sub| rules.iter().any(|rule| has_sub(rule, sub))),
                }
            }
        }),
        AskKind::Fs { path, access } => grants.fs.iter().any(|grant| {
            grant.access >= *access && path.as_ref().is_none_or(|path| is_path_of(path, grant))
        }),
        AskKind::Env { name } => grants.env.iter().any(|pattern| match name {
            Some(name) => {
                pattern == name
                    || pattern
                        .strip_suffix('*')
                        .is_some_and(|start| name.starts_with(start))
            }
            None => pattern == "*",
        }),
        AskKind::Log => grants.log,
        AskKind::Http { host } => {
            let asked = host
                .as_ref()
                .map_or(Ok(HttpHosts::Any), |host| HttpHosts::asked(host));
            let mut rules = grants.http.allow.iter();
            asked.is_ok_and(|asked| rules.any(|rule| rule.hosts.covers_hosts(&asked)))
        }
        AskKind::Net { connect, lookup } => {
            let net = &grants.own_net;
            let reaches = |text: &String| {
                let asked = Places::parse(text);
                let mut rules = net.connect.iter();
                asked.is_ok_and(|asked| rules.any(|rule| rule.places.covers(&asked)))
            };
            let finds = |text: &String| {
                let asked = DnsNames::parse(text);
                let mut rules = net.lookup.iter();
                asked.is_ok_and(|asked| rules.any(|rule| rule.names.covers(&asked)))
            };
            match (connect, lookup) {
                (None, None) => reaches(&"*:*".to_owned()) && finds(&"*".to_owned()),
                (connect, lookup) => {
                    connect.as_ref().is_none_or(reaches) && lookup.as_ref().is_none_or(finds)
                }
            }
        }
        AskKind::Kv => grants.kv.is_some(),
        // The host gives these to every plugin.
        AskKind::Prompt | AskKind::Metadata => true,
    }
}

/// Whether a path that is asked for is the name of a granted directory or lies in it: a plugin of clawft names paths of the host.
fn is_path_of(path: &str, grant: &FsGrant) -> bool {
    path == grant.guest || Path::new(path).starts_with(&grant.host)
}

fn has_sub(rule: &ProgramRule, sub: &str) -> bool {
    use portcullis_policy::ArgToken;
    let arguments = &rule.arguments;
    match (&arguments.args, &arguments.sub) {
        (Some(args), _) => match args.first() {
            Some(ArgToken::Literal(texts)) => texts.iter().any(|text| text == sub),
            Some(ArgToken::Any | ArgToken::Rest | ArgToken::Word) => true,
            _ => false,
        },
        (None, Some(subs)) => subs.iter().any(|known| known == sub),
        (None, None) => true,
    }
}

impl Reader<'_> {
    fn manifest(&mut self, file: &ManifestFile) -> Option<Manifest> {
        let id = PluginId::new(file.id.as_str()).map_err(|error| error.to_string());
        let id = self.take(ConfigCode::Value, &file.id, id);
        for (key, text) in [("version", &file.version), ("world", &file.world)] {
            if text.is_empty()
                || text.len() > 256
                || text.contains(|c: char| c.is_whitespace() || c.is_control())
            {
                self.wrong(
                    ConfigCode::Value,
                    text,
                    format!("`{key}` is one word of at most 256 bytes"),
                );
            }
        }
        if let Some(component) = &file.component {
            let plain =
                !component.contains(['/', '\0']) && !matches!(component.as_str(), "" | "." | "..");
            if !plain {
                self.wrong(
                    ConfigCode::Value,
                    component,
                    "`component` is the name of a file beside this one",
                );
            }
        }
        let minimum_host = file.minimum_host.as_ref();
        let minimum_host = minimum_host.and_then(|version| self.minimum_host(version));
        let commands = self.commands(&file.commands);
        let asks = file.asks.iter().filter_map(|ask| self.ask(ask)).collect();
        let owned = |text: &Text| (**text).clone();
        Some(Manifest {
            id: id?,
            version: owned(&file.version),
            world: owned(&file.world),
            description: file.description.as_ref().map(owned),
            component: file.component.as_ref().map(owned),
            minimum_host,
            commands,
            asks,
            clawft: None,
            fledge: None,
        })
    }

    fn ask(&mut self, ask: &At<AskTable>) -> Option<Ask> {
        self.foreign_keys(ask);
        let owned = |text: &Text| (**text).clone();
        let kind = match *ask.capability {
            CapabilityWord::Exec => {
                let program = ask.program.as_ref().map(|text| self.program(text, text));
                let sub = ask.sub.as_ref().map(|sub| sub.iter().map(owned).collect());
                AskKind::Exec {
                    program: program.map_or(Some(None), |read| read.map(Some))?,
                    sub,
                }
            }
            CapabilityWord::Fs => AskKind::Fs {
                path: ask.path.as_ref().map(|path| guest_name(path)),
                access: match ask.access.as_ref().map(|word| **word) {
                    Some(AccessWord::Write) => FsAccess::ReadWrite,
                    Some(AccessWord::Read) | None => FsAccess::Read,
                },
            },
            CapabilityWord::Env => {
                if let Some(name) = &ask.name {
                    self.name(name, Names::Patterns)?;
                }
                AskKind::Env {
                    name: ask.name.as_ref().map(owned),
                }
            }
            CapabilityWord::Http => {
                if let Some(host) = &ask.host {
                    let read = HttpHosts::asked(host).map_err(|error| error.to_string());
                    self.take(ConfigCode::Pattern, host, read)?;
                }
                AskKind::Http {
                    host: ask.host.as_ref().map(owned),
                }
            }
            CapabilityWord::Net => self.net_ask(ask)?,
            CapabilityWord::Kv => AskKind::Kv,
            CapabilityWord::Log => AskKind::Log,
            CapabilityWord::Prompt => AskKind::Prompt,
            CapabilityWord::Metadata => AskKind::Metadata,
        };
        self.reason(&ask.reason);
        Some(Ask {
            kind,
            reason: owned(&ask.reason),
        })
    }

    fn net_ask(&mut self, ask: &AskTable) -> Option<AskKind> {
        if let Some(place) = &ask.connect {
            let read = Places::parse(place).map_err(|error| error.to_string());
            self.take(ConfigCode::Pattern, place, read)?;
        }
        if let Some(name) = &ask.lookup {
            let read = DnsNames::parse(name).map_err(|error| error.to_string());
            self.take(ConfigCode::Pattern, name, read)?;
            if ask.connect.is_some() {
                let message = "`lookup` stands beside `connect`: write an ask for each";
                self.wrong(ConfigCode::Value, name, message);
                return None;
            }
        }
        let owned = |text: &Text| (**text).clone();
        Some(AskKind::Net {
            connect: ask.connect.as_ref().map(owned),
            lookup: ask.lookup.as_ref().map(owned),
        })
    }

    /// Keys that belong to another capability.
    fn foreign_keys(&mut self, ask: &AskTable) {
        let name = match *ask.capability {
            CapabilityWord::Exec => "exec",
            CapabilityWord::Fs => "fs",
            CapabilityWord::Env => "env",
            CapabilityWord::Http => "http",
            CapabilityWord::Net => "net",
            CapabilityWord::Kv => "kv",
            CapabilityWord::Log => "log",
            CapabilityWord::Prompt => "prompt",
            CapabilityWord::Metadata => "metadata",
        };
        let keys = [
            ("program", "exec", ask.program.as_ref().map(At::span)),
            ("sub", "exec", ask.sub.as_ref().map(At::span)),
            ("path", "fs", ask.path.as_ref().map(At::span)),
            ("access", "fs", ask.access.as_ref().map(At::span)),
            ("name", "env", ask.name.as_ref().map(At::span)),
            ("host", "http", ask.host.as_ref().map(At::span)),
            ("connect", "net", ask.connect.as_ref().map(At::span)),
            ("lookup", "net", ask.lookup.as_ref().map(At::span)),
        ];
        for (key, of, span) in keys {
            if let Some(span) = span.filter(|_| of != name) {
                let message = format!("`{key}` belongs to the capability `{of}`, not to `{name}`");
                let error = self.source.error(ConfigCode::Value, span, message);
                self.report.push(error);
            }
        }
    }
}

/// The name by which a guest opens a directory: as in the `fs` table of a policy.
fn guest_name(path: &str) -> String {
    match path.strip_prefix("${project}") {
        Some(rest) if rest.trim_matches('/').is_empty() => ".".to_owned(),
        Some(rest) => rest.trim_matches('/').to_owned(),
        None => path.to_owned(),
    }
}
