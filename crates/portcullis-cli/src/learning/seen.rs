//! What a plugin did in one run: written down by the process that ran it, read by the one that learns from it.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use portcullis::{EndedCommand, Need, NeededCommand, Needs};
use portcullis_policy::{FsAccess, HttpRequest};
use serde::{Deserialize, Serialize};

/// Methods of requests that may be repeated: they change nothing (RFC 9110, section 9.2.1).
const SAFE: [&str; 4] = ["GET", "HEAD", "OPTIONS", "TRACE"];
/// Different things of one kind that are kept: a plugin decides how many there are.
const MOST: usize = 20_000;
/// Commands that are kept.
const MOST_COMMANDS: usize = 1000;

/// Everything that one run did and was allowed.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Seen {
    /// The commands, in order.
    pub(super) commands: Vec<Command>,
    /// What the plugin itself used.
    pub(super) files: BTreeMap<PathBuf, Used>,
    /// The variables that it asked for by name.
    pub(super) variables: BTreeMap<String, Variable>,
    #[serde(with = "pairs")]
    pub(super) requests: BTreeMap<Request, u64>,
    pub(super) connections: BTreeMap<String, u64>,
    pub(super) lookups: BTreeMap<String, u64>,
    /// Whether there was more than is kept, or something whose name is no text.
    pub(super) is_cut: bool,
}

/// How often a file or directory was used; never, if it was only asked about.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Used {
    /// Opened.
    pub(super) read: u64,
    /// Changed, or made.
    pub(super) write: u64,
}

/// A variable that was asked for.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Variable {
    pub(super) count: u64,
    pub(super) is_set: bool,
}

/// A request, without its body and query.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) scheme: String,
    /// `host:port`.
    pub(super) server: String,
    pub(super) method: String,
    pub(super) path: String,
}

/// One command.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Command {
    pub(super) call: u64,
    /// As the plugin spelled it.
    pub(super) program: String,
    /// Its real path.
    pub(super) file: PathBuf,
    pub(super) args: Vec<String>,
    pub(super) cwd: PathBuf,
    pub(super) inherit_output: bool,
    /// What it and everything it started used.
    pub(super) files: BTreeMap<PathBuf, Used>,
    /// The programs that it started.
    pub(super) programs: BTreeMap<PathBuf, u64>,
    /// The hosts that it reached: `host:port`.
    pub(super) hosts: BTreeMap<String, u64>,
    /// The hosts that it asked for and was not allowed.
    pub(super) refused_hosts: BTreeMap<String, u64>,
}

/// Writes down what a plugin does.
#[derive(Debug, Default)]
pub(crate) struct Notes(Mutex<Seen>);

impl Notes {
    /// Puts what was seen into a new file that only its owner can read.
    ///
    /// # Errors
    /// It is there already, or cannot be written.
    pub(crate) fn write(&self, file: &Path) -> std::io::Result<()> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(file)?;
        file.write_all(&serde_json::to_vec(&*seen)?)
    }
}

impl Needs for Notes {
    fn needed(&self, what: Need) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match what {
            Need::Command(command) => seen.command(command),
            Need::Ended(ended) => seen.ended(ended),
            Need::File { path, access } => {
                let used = match access {
                    FsAccess::Read => Used { read: 1, write: 0 },
                    FsAccess::ReadWrite => Used { read: 0, write: 1 },
                };
                let seen = &mut *seen;
                seen.is_cut |= !add(&mut seen.files, path, used);
            }
            Need::Variable { name, is_set } => {
                let variable = Variable { count: 1, is_set };
                let seen = &mut *seen;
                seen.is_cut |= !count(&mut seen.variables, name, variable, |known| {
                    known.count += 1;
                });
            }
            Need::Request(request) => {
                let seen = &mut *seen;
                seen.is_cut |= !one_more(&mut seen.requests, Request::of(&request));
            }
            Need::Connection(place) => {
                let seen = &mut *seen;
                seen.is_cut |= !one_more(&mut seen.connections, place);
            }
            Need::Lookup(name) => {
                let seen = &mut *seen;
                seen.is_cut |= !one_more(&mut seen.lookups, name);
            }
            _ => seen.is_cut = true,
        }
    }
}

impl Seen {
    /// Whether another run would do outside again what this one did.
    pub(super) fn has_effects(&self) -> bool {
        let mut commands = self.commands.iter();
        let mut requests = self.requests.keys();
        commands.any(|command| !command.hosts.is_empty())
            || requests.any(|request| !SAFE.contains(&request.method.as_str()))
            || !self.connections.is_empty()
    }

    /// What the plugin itself and its commands used: a path once for each of them.
    pub(super) fn used(&self) -> impl Iterator<Item = (&PathBuf, &Used)> {
        let of_commands = self.commands.iter().map(|command| &command.files);
        of_commands.chain([&self.files]).flatten()
    }

    fn command(&mut self, command: NeededCommand) {
        if self.commands.len() == MOST_COMMANDS {
            self.is_cut = true;
            return;
        }
        let (Some(_), Some(_)) = (command.file.to_str(), command.cwd.to_str()) else {
            self.is_cut = true;
            return;
        };
        self.commands.push(Command {
            call: command.call,
            program: command.program.to_string(),
            file: command.file,
            args: command.args,
            cwd: command.cwd,
            inherit_output: command.inherit_output,
            ..Command::default()
        });
    }

    fn ended(&mut self, ended: EndedCommand) {
        let mut commands = self.commands.iter_mut().rev();
        let Some(command) = commands.find(|command| command.call == ended.call) else {
            return;
        };
        let observed = ended.observed;
        let mut is_cut = observed.truncated || observed.unseen > 0;
        for (path, touch) in observed.paths {
            let used = Used {
                read: touch.read + touch.list,
                write: touch.write,
            };
            is_cut |= !add(&mut command.files, path, used);
        }
        for (path, times) in observed.programs {
            if path.to_str().is_some() {
                command.programs.insert(path, times);
            }
        }
        for asked in ended.connections {
            let verdict = &asked.verdict;
            let hosts = if verdict.allowed {
                &mut command.hosts
            } else {
                &mut command.refused_hosts
            };
            let host = match verdict.host.contains(':') {
                true => format!("[{}]:{}", verdict.host, verdict.port),
                false => format!("{}:{}", verdict.host, verdict.port),
            };
            *hosts.entry(host).or_default() += asked.count;
        }
        self.is_cut |= is_cut;
    }
}

impl Request {
    fn of(request: &HttpRequest) -> Self {
        let url = request.url.as_url();
        Self {
            scheme: url.scheme().to_owned(),
            server: request.url.target().to_string(),
            method: request.method.clone(),
            path: url.path().to_owned(),
        }
    }
}

fn add(files: &mut BTreeMap<PathBuf, Used>, path: PathBuf, used: Used) -> bool {
    path.to_str().is_some()
        && count(files, path, used, |known| {
            known.read += used.read;
            known.write += used.write;
        })
}

fn one_more<K: Ord>(map: &mut BTreeMap<K, u64>, key: K) -> bool {
    count(map, key, 1, |known| *known += 1)
}

/// Counts one more of something; false where there is no room for another.
fn count<K: Ord, V>(
    map: &mut BTreeMap<K, V>,
    key: K,
    first: V,
    again: impl FnOnce(&mut V),
) -> bool {
    let is_full = map.len() >= MOST;
    match map.get_mut(&key) {
        Some(known) => again(known),
        None if is_full => return false,
        None => {
            map.insert(key, first);
        }
    }
    true
}

/// A map whose keys are no texts, as JSON has it.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    use super::Request;

    pub(super) fn serialize<S: Serializer>(
        map: &BTreeMap<Request, u64>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(map)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<BTreeMap<Request, u64>, D::Error> {
        let pairs = Vec::<(Request, u64)>::deserialize(from)?;
        Ok(pairs.into_iter().collect())
    }
}
