//! Changes to a policy file that keep its comments and layout, and are proved before they are handed back.

mod installed;
mod list;
mod store;
mod table;

use std::path::{Path, PathBuf};

use portcullis_policy::{
    DnsNames, FsAccess, Grants, HostRule, HttpHosts, HttpRule, InvalidHost, MetadataKey, Narrowing,
    Net, Places, PluginId, ProgramRef, ProgramRule, Programs, RuleId,
};

use crate::context::{Base, Context};
use crate::error::ConfigErrors;
use crate::network;
use crate::policy_set::{Layer, PolicySet, SelectError, Trust};
use crate::trial;

pub use installed::{grant_asked, of_content, rebind};
pub use store::{StoreError, update, write};

/// One change to one plugin's grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The plugin.
    pub plugin: PluginId,
    /// The component as `path` is to name it, for a plugin that has no entry yet.
    pub path: Option<String>,
    /// What is granted or revoked.
    pub right: Right,
}

/// What one edit grants or revokes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Right {
    /// A program.
    Exec {
        /// A bare name, an absolute path, or `/usr/bin/*` for the programs directly in a directory.
        program: String,
        /// With exactly these arguments; `None`: with any.
        args: Option<Vec<String>>,
    },
    /// A directory or file to read, as the file is to name it.
    Read(String),
    /// A directory or file to read and write, as the file is to name it.
    Write(String),
    /// What commands may reach of the network: `host:port`, `loopback`, or `open` for all.
    Net(String),
    /// A variable that the plugin may read.
    Env(String),
    /// Lines in the log.
    Log,
    /// A host that the plugin itself may send requests to, as an entry of `http.allow` names it.
    Http(String),
    /// Where the plugin itself may connect to, as an entry of `connect` names it.
    Connect(String),
    /// A name that the plugin itself may look up, as an entry of `lookup` names it.
    Lookup(String),
    /// State of its own, as much as is the default.
    Kv,
    /// A directory of its own, for a plugin of fledge.
    Data,
    /// A fact that a plugin of fledge may be told.
    Metadata(MetadataKey),
    /// A program with exactly these arguments, as somebody answered who was asked: with the variables, the input and the
    /// plugin's SHA-256 of the rule. Its name and place do not matter.
    Answer(Box<ProgramRule>),
    /// An allowing rule by its name; can only be revoked.
    Rule(RuleId),
}

/// A text that was changed, or need not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edited {
    /// The whole new text.
    pub text: String,
    /// Whether it differs from the old one.
    pub changed: bool,
}

/// Why a change is not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The file has mistakes; they come first.
    #[error("the policy has mistakes")]
    Before(#[source] ConfigErrors),
    /// The file would have mistakes: what was to be written is not valid.
    #[error("the policy would have mistakes")]
    After(#[source] ConfigErrors),
    /// The plugin has no entry and no path was given for one.
    #[error("plugin `{0}` has no entry in the policy, and no path was given for one")]
    NoEntry(PluginId),
    /// The plugin has no such rule.
    #[error("plugin `{plugin}` has no rule `{rule}`")]
    NoRule {
        /// The plugin.
        plugin: PluginId,
        /// The rule.
        rule: RuleId,
    },
    /// What is to be reached is no host.
    #[error("{0}")]
    NoHost(String),
    /// A rule cannot be granted by name.
    #[error("a rule cannot be granted by its name")]
    RuleByName,
    /// It would still be denied.
    #[error("it would still be denied: {0}")]
    StillDenied(String),
    /// It would still be allowed.
    #[error("it would still be allowed: {0}")]
    StillAllowed(String),
    /// The entry is written in a form that is not edited by program.
    #[error("`{0}` is written in a form that cannot be edited by a command; edit the file by hand")]
    Layout(String),
    /// The plugin cannot be found.
    #[error(transparent)]
    Select(#[from] SelectError),
}

/// Adds a right to the text of a policy file. What is allowed already stays as it is.
///
/// `file` is where the text is or will be; paths in it are relative to its directory.
///
/// # Errors
/// [`EditError`] when the text has mistakes, or the result would not load or would not allow what was asked for.
pub fn grant(text: &str, edit: &Edit, file: &Path, context: &Context) -> Result<Edited, EditError> {
    let before = load(text, file, context).map_err(EditError::Before)?;
    match &edit.right {
        Right::Net(text) => drop(net(text).map_err(EditError::NoHost)?),
        Right::Http(text) => drop(no_host(HttpHosts::parse(text))?),
        Right::Connect(text) => drop(no_host(Places::parse(text))?),
        Right::Lookup(text) => drop(no_host(DnsNames::parse(text))?),
        Right::Exec { .. }
        | Right::Read(_)
        | Right::Write(_)
        | Right::Env(_)
        | Right::Log
        | Right::Kv
        | Right::Data
        | Right::Metadata(_)
        | Right::Answer(_)
        | Right::Rule(_) => {}
    }
    if let Ok(entry) = before.plugin(edit.plugin.as_str())
        && (Place {
            file,
            context,
            plugin: Some(&entry.path),
        })
        .granted(&entry.grants, &edit.right)
        .is_ok()
    {
        return Ok(Edited {
            text: text.to_owned(),
            changed: false,
        });
    }
    let mut document = table::Document::parse(text)?;
    document.grant(edit)?;
    let text = document.to_string();
    let after = load(&text, file, context).map_err(EditError::After)?;
    let entry = after.plugin(edit.plugin.as_str())?;
    let place = Place {
        file,
        context,
        plugin: Some(&entry.path),
    };
    place
        .granted(&entry.grants, &edit.right)
        .map_err(EditError::StillDenied)?;
    Ok(Edited {
        text,
        changed: true,
    })
}

/// Takes a right out of the text of a policy file. What is not there stays so.
///
/// A program without arguments takes out all its allowing rules; with arguments, the rule for exactly these.
///
/// # Errors
/// [`EditError`] when the text has mistakes, or the result would not load or would still allow it.
pub fn revoke(
    text: &str,
    edit: &Edit,
    file: &Path,
    context: &Context,
) -> Result<Edited, EditError> {
    let before = load(text, file, context).map_err(EditError::Before)?;
    let mut document = table::Document::parse(text)?;
    let plugin = before
        .plugin(edit.plugin.as_str())
        .ok()
        .map(|entry| entry.path);
    let place = Place {
        file,
        context,
        plugin: plugin.as_deref(),
    };
    let same = |one: &str, other: &str| {
        one == other
            || place
                .real(one)
                .is_some_and(|real| place.real(other) == Some(real))
    };
    let changed = document.revoke(edit, &same)?;
    let text = if changed {
        document.to_string()
    } else {
        text.to_owned()
    };
    let after = load(&text, file, context).map_err(EditError::After)?;
    if let Ok(entry) = after.plugin(edit.plugin.as_str())
        && let Some(why) = place.still_allowed(&entry.grants, &edit.right)
    {
        return Err(EditError::StillAllowed(why));
    }
    Ok(Edited { text, changed })
}

fn no_host<T>(read: Result<T, InvalidHost>) -> Result<T, EditError> {
    read.map_err(|error| EditError::NoHost(error.to_string()))
}

fn load(text: &str, file: &Path, context: &Context) -> Result<PolicySet, ConfigErrors> {
    let layer = Layer::File {
        path: file.to_owned(),
        text: text.to_owned(),
        trust: Trust::Trusted,
    };
    PolicySet::load(&[layer], context)
}

/// What the paths of a right are relative to.
struct Place<'a> {
    file: &'a Path,
    context: &'a Context,
    plugin: Option<&'a Path>,
}

impl Place<'_> {
    fn place(&self, path: &str) -> Result<PathBuf, String> {
        let file = self.context.cwd.join(self.file);
        let dir = file.parent().unwrap_or(&self.context.cwd);
        let base = Base {
            context: self.context,
            dir,
            plugin: self.plugin.and_then(Path::parent),
        };
        base.place(path).map(|place| place.path)
    }

    fn real(&self, path: &str) -> Option<PathBuf> {
        self.place(path).ok()
    }

    /// Whether the grants have a right; otherwise why not.
    fn granted(&self, grants: &Grants, right: &Right) -> Result<(), String> {
        match right {
            Right::Exec { program, args } => {
                let unknown =
                    |why| format!("`{}` stands for no program: {why}", program.escape_debug());
                let programs = Programs::parse(program).map_err(unknown)?;
                match (&programs, args) {
                    (Programs::Named(program), Some(args)) => {
                        trial::allows(grants, program, args).map_err(|notes| notes.join(", "))
                    }
                    // Whoever means one command means one program.
                    (Programs::In(_), Some(_)) => {
                        Err("exact arguments are those of one program".to_owned())
                    }
                    (_, None) => with_any_arguments(grants, &programs),
                }
            }
            Right::Answer(rule) => {
                let grants = Grants {
                    plugin_sha256: rule.plugin_sha256,
                    ..grants.clone()
                };
                let args = table::literal(rule).ok_or("it is no list of arguments")?;
                let program = rule.program.named().ok_or("it is no one program")?;
                trial::allows(&grants, program, &args).map_err(|notes| notes.join(", "))
            }
            Right::Read(path) | Right::Write(path) => {
                let real = self.place(path)?;
                let found = grants
                    .fs
                    .iter()
                    .any(|grant| grant.host == real && grant.access >= access(right));
                if found {
                    Ok(())
                } else {
                    Err(format!("no `fs` entry grants `{}`", real.display()))
                }
            }
            Right::Net(text) => {
                let wanted = net(text)?;
                if network::is_within(&wanted, &grants.net) {
                    Ok(())
                } else {
                    Err(format!("`net` has no `{text}`"))
                }
            }
            Right::Env(name) if grants.env.contains(name) => Ok(()),
            Right::Env(name) => Err(format!("`env` has no `{name}`")),
            Right::Log if grants.log => Ok(()),
            Right::Log => Err("`log` is not `true`".to_owned()),
            Right::Http(host) => {
                let wanted = HttpHosts::parse(host).map_err(|error| error.to_string())?;
                let all = |rule: &&HttpRule| {
                    let lists = [&rule.schemes, &rule.methods, &rule.paths];
                    rule.hosts.covers(&wanted) && lists.iter().all(|list| list.is_empty())
                };
                let found = grants.http.allow.iter().find(all);
                found
                    .map(drop)
                    .ok_or_else(|| format!("`http` has no `{host}`"))
            }
            Right::Connect(text) => {
                let wanted = Places::parse(text).map_err(|error| error.to_string())?;
                let mut rules = grants.own_net.connect.iter();
                match rules.any(|rule| rule.places.covers(&wanted)) {
                    true => Ok(()),
                    false => Err(format!("`connect` has no `{text}`")),
                }
            }
            Right::Lookup(text) => {
                let wanted = DnsNames::parse(text).map_err(|error| error.to_string())?;
                let mut rules = grants.own_net.lookup.iter();
                match rules.any(|rule| rule.names.covers(&wanted)) {
                    true => Ok(()),
                    false => Err(format!("`lookup` has no `{text}`")),
                }
            }
            Right::Kv if grants.kv.is_some() => Ok(()),
            Right::Kv => Err("there is no `kv`".to_owned()),
            Right::Data if grants.data.is_some() => Ok(()),
            Right::Data => Err("`data` is not `true`".to_owned()),
            Right::Metadata(key) if grants.metadata.contains(key) => Ok(()),
            Right::Metadata(key) => Err(format!("`metadata` has no `{key}`")),
            Right::Rule(_) => Err("a rule is not a right".to_owned()),
        }
    }

    /// What still gives a right, if anything does.
    fn still_allowed(&self, grants: &Grants, right: &Right) -> Option<String> {
        match right {
            Right::Exec { program, args } => {
                let exec = grants.exec.as_ref()?;
                let programs = Programs::parse(program).ok()?;
                if let (Programs::Named(program), Some(args)) = (&programs, args)
                    && trial::allows(grants, program, args).is_err()
                {
                    return None;
                }
                if exec.any_program {
                    return Some(format!("any program is, by {}", exec.origin));
                }
                let about = |rule: &&ProgramRule| is_of(&programs, &rule.program);
                exec.allow
                    .iter()
                    .find(about)
                    .map(|rule| format!("rule `{}` at {}", rule.id, rule.origin))
            }
            Right::Read(path) | Right::Write(path) => {
                let grant = grants.fs_grant(&self.real(path)?, access(right))?;
                Some(format!(
                    "`{}` is granted at {}",
                    grant.host.display(),
                    grant.origin
                ))
            }
            Right::Net(text) => {
                let wanted = net(text).ok()?;
                network::is_within(&wanted, &grants.net)
                    .then(|| format!("`net` has {}", net_words(&grants.net)))
            }
            Right::Env(name) => {
                let covers = |pattern: &&String| {
                    *pattern == name
                        || pattern
                            .strip_suffix('*')
                            .is_some_and(|start| name.starts_with(start))
                };
                grants
                    .env
                    .iter()
                    .find(covers)
                    .map(|pattern| format!("`env` has `{pattern}`"))
            }
            Right::Log => grants.log.then(|| "`log` is `true`".to_owned()),
            Right::Http(host) => {
                let wanted = HttpHosts::parse(host).ok()?;
                let mut rules = grants.http.allow.iter();
                let rule = rules.find(|rule| rule.hosts.covers(&wanted))?;
                Some(format!("`http` has `{}` at {}", rule.hosts, rule.origin))
            }
            Right::Connect(text) => {
                let wanted = Places::parse(text).ok()?;
                let mut rules = grants.own_net.connect.iter();
                let rule = rules.find(|rule| rule.places.covers(&wanted))?;
                Some(format!(
                    "`connect` has `{}` at {}",
                    rule.places, rule.origin
                ))
            }
            Right::Lookup(text) => {
                let wanted = DnsNames::parse(text).ok()?;
                let mut rules = grants.own_net.lookup.iter();
                let rule = rules.find(|rule| rule.names.covers(&wanted))?;
                Some(format!("`lookup` has `{}` at {}", rule.names, rule.origin))
            }
            Right::Kv => {
                let kv = grants.kv.as_ref()?;
                Some(format!("`kv` is granted at {}", kv.origin))
            }
            Right::Data => {
                let data = grants.data.as_ref()?;
                Some(format!("`data` is granted at {}", data.origin))
            }
            Right::Metadata(key) => grants
                .metadata
                .contains(key)
                .then(|| format!("`metadata` has `{key}`")),
            Right::Answer(_) | Right::Rule(_) => None,
        }
    }
}

const fn access(right: &Right) -> FsAccess {
    match right {
        Right::Write(_) => FsAccess::ReadWrite,
        Right::Read(_)
        | Right::Exec { .. }
        | Right::Net(_)
        | Right::Env(_)
        | Right::Log
        | Right::Http(_)
        | Right::Connect(_)
        | Right::Lookup(_)
        | Right::Kv
        | Right::Data
        | Right::Metadata(_)
        | Right::Answer(_)
        | Right::Rule(_) => FsAccess::Read,
    }
}

/// The network that the text of a right means.
fn net(text: &str) -> Result<Net, String> {
    match text {
        "loopback" => Ok(Net::Loopback),
        "open" => Ok(Net::Open),
        _ => match HostRule::parse(text) {
            Ok(rule) => Ok(Net::Hosts(vec![rule])),
            Err(error) => Err(error.to_string()),
        },
    }
}

/// A network as the policy file has it, for messages.
fn net_words(net: &Net) -> String {
    let word = match net {
        Net::None => "none",
        Net::Loopback => "loopback",
        Net::Open => "open",
        Net::Hosts(hosts) => {
            let hosts: Vec<_> = hosts.iter().map(|host| format!("`{host}`")).collect();
            return hosts.join(", ");
        }
    };
    format!("`{word}`")
}

/// Whether a rule is about these programs, as far as the text tells.
fn is_of(programs: &Programs, rule: &Programs) -> bool {
    match (rule, programs) {
        (Programs::Named(one), Programs::Named(other)) => one.base_name() == other.base_name(),
        (Programs::In(directory), Programs::Named(ProgramRef::Path(path))) => directory.holds(path),
        (rule, programs) => rule == programs,
    }
}

/// Whether a rule allows a program, or those of a directory, whatever the arguments, and none denies it so.
fn with_any_arguments(grants: &Grants, programs: &Programs) -> Result<(), String> {
    let exec = grants
        .exec
        .as_ref()
        .ok_or("the policy grants it no `exec`")?;
    let denied = exec
        .deny
        .iter()
        .find(|rule| is_of(programs, &rule.program) && rule.arguments.is_any());
    if let Some(rule) = denied {
        return Err(format!(
            "denied by rule `{}` at {}; deny rules win over allow rules",
            rule.id, rule.origin
        ));
    }
    let plain =
        |rule: &ProgramRule| rule.arguments.is_any() && rule.narrowing == Narrowing::default();
    let allowed = exec.any_program
        || exec
            .allow
            .iter()
            .any(|rule| rule.program == *programs && rule.sha256.is_none() && plain(rule));
    if allowed {
        Ok(())
    } else {
        Err("no rule allows it with any arguments".to_owned())
    }
}
