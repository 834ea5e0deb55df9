//! From what was seen to the first proposal: everything that was used, as narrow as it was used.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::arguments::{Call, patterns};
use super::never::{has_secret, kind, runs_anything};
use super::places::{Cut, cover};
use super::proposal::{Key, Line, Proposal, list, quoted};
use super::seen::{Command, Request, Seen, Used};
use super::wide::{Bounds, empty, inline};
use crate::render::count;
use crate::settings::Environment;
use crate::target::Target;

/// Paths of requests of one kind that are enumerated.
const PATHS: usize = 8;
/// Rules at most: nobody reads more.
pub(super) const RULES: usize = 200;
/// Bytes of one argument, and of all: a rule with more is not read either.
const ARGUMENTS: usize = 4096;

/// What was seen, and where it may be granted.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    pub(super) target: &'a Target,
    pub(super) bounds: &'a Bounds,
    pub(super) seen: &'a Seen,
    pub(super) project: &'a Path,
    /// The variables that it was told.
    pub(super) variables: &'a [String],
    pub(super) env: &'a Environment,
}

impl Draft<'_> {
    /// Everything that the run had and used, with the directories as wide as they were.
    pub(super) fn whole(&self, kinds: bool) -> Proposal {
        let mut lines: Vec<_> = self
            .bounds
            .others
            .iter()
            .filter(|line| {
                let is_pattern = line.key == Key::Env && line.value.contains('*');
                let is_kept = matches!(
                    line.key,
                    Key::Log | Key::Kv | Key::Data | Key::Metadata | Key::Env
                );
                is_kept && !is_pattern
            })
            .cloned()
            .collect();
        lines.push(Line::switch(
            Key::Late,
            "it imports what it did not use, or was not given",
        ));
        lines.extend(self.variables());
        lines.extend(self.places(Key::Read, self.only_read(self.wide(Key::Read))));
        lines.extend(self.places(Key::Write, self.wide(Key::Write)));
        let named = self.bounds.named.iter();
        let named = named.filter(|(path, _)| !self.holds_secrets(path));
        lines.extend(named.map(|(_, line)| line.clone()));
        lines.extend(self.counted(Key::Net, &self.hosts()));
        lines.extend(self.requests());
        lines.extend(self.counted(Key::Connect, &self.seen.connections));
        lines.extend(self.counted(Key::Lookup, &self.seen.lookups));
        let relayed = |command: &Command| command.inherit_output;
        if self.seen.commands.iter().any(relayed) {
            lines.push(Line::switch(Key::InheritOutput, ""));
        }
        lines.extend(self.rules(kinds).into_iter().take(RULES));
        Proposal {
            lines,
            ..empty(self.target, self.bounds.has_commands)
        }
    }

    fn variables(&self) -> Vec<Line> {
        let times = |name: &String| {
            let variable = self.seen.variables.get(name);
            variable.map_or_else(String::new, |variable| count(variable.count, "time"))
        };
        let lines = self.variables.iter();
        lines
            .map(|name| Line::new(Key::Env, quoted(name), times(name)))
            .collect()
    }

    fn counted(&self, key: Key, counted: &BTreeMap<String, u64>) -> Vec<Line> {
        let lines = counted.iter();
        lines
            .map(|(what, times)| Line::new(key, quoted(what), count(*times, "time")))
            .collect()
    }

    fn hosts(&self) -> BTreeMap<String, u64> {
        let mut hosts = BTreeMap::new();
        for (host, times) in self.seen.commands.iter().flat_map(|command| &command.hosts) {
            *hosts.entry(host.clone()).or_default() += times;
        }
        hosts
    }

    /// One entry for what was asked of a server by one method, so that no path is allowed for another one.
    fn requests(&self) -> Vec<Line> {
        let mut kinds: BTreeMap<_, Vec<(&Request, u64)>> = BTreeMap::new();
        for (request, &times) in &self.seen.requests {
            let kind = (&request.scheme, &request.server, &request.method);
            kinds.entry(kind).or_default().push((request, times));
        }
        let lines = kinds
            .into_iter()
            .map(|((scheme, server, method), requests)| {
                let paths: BTreeSet<_> =
                    requests.iter().map(|(one, _)| one.path.as_str()).collect();
                let times: u64 = requests.iter().map(|(_, times)| times).sum();
                let is_plain = |path: &&str| !path.contains('*');
                let paths = match paths.len() <= PATHS && paths.iter().all(is_plain) {
                    true => inline("paths", paths),
                    false => inline("paths", [above(&paths)]),
                };
                let value = format!(
                    "{{ host = {}, {}, {}, {paths} }}",
                    quoted(server),
                    inline("schemes", [scheme]),
                    inline("methods", [method]),
                );
                Line::new(Key::Http, value, count(times, "request"))
            });
        lines.collect()
    }

    /// The rules for all commands that may be proposed.
    pub(super) fn rules(&self, kinds: bool) -> Vec<Line> {
        let mut rules = Vec::new();
        for (program, commands) in self.by_program() {
            let commands = commands
                .into_iter()
                .filter(|command| self.is_proposed(command) && self.kept_out(command).is_none());
            let calls = commands.map(|command| Call {
                args: &command.args,
                cwd: &command.cwd,
            });
            for pattern in patterns(calls) {
                let value = format!(
                    "program = {}, args = {}",
                    quoted(program),
                    list(pattern.tokens(kinds))
                );
                rules.push(Line::new(Key::Allow, value, count(pattern.count, "call")));
            }
        }
        rules
    }

    fn by_program(&self) -> BTreeMap<&str, Vec<&Command>> {
        let mut programs: BTreeMap<&str, Vec<&Command>> = BTreeMap::new();
        for command in &self.seen.commands {
            programs.entry(&command.program).or_default().push(command);
        }
        programs
    }

    /// Whether it is no shell or the like, under any of its names, or was asked for by name.
    pub(super) fn is_proposed(&self, command: &Command) -> bool {
        self.bounds.asked.contains(&command.program) || runs_anything(command).is_none()
    }

    /// Why a command of a program that may be proposed is not.
    pub(super) fn kept_out(&self, command: &Command) -> Option<&'static str> {
        if command.args.iter().map(String::len).sum::<usize>() > ARGUMENTS {
            return Some("its arguments are too long to be read");
        }
        if has_secret(command) {
            return Some("an argument looks like a secret");
        }
        let names_secret = |arg: &String| {
            let path = arg.split_once('=').map_or(arg.as_str(), |(_, value)| value);
            let path = command.cwd.join(path);
            let real = path.canonicalize();
            real.is_ok_and(|real| self.is_secret(&real) || self.is_secret(&path))
        };
        let mut args = command.args.iter();
        args.any(names_secret)
            .then_some("an argument names where secrets are kept")
    }

    /// The commands of the program that a rule is about.
    pub(super) fn commands_of(&self, rule: &Line) -> Vec<&Command> {
        let is_its = |command: &&Command| {
            let start = format!("program = {}, ", quoted(&command.program));
            rule.value.starts_with(&start)
        };
        self.seen.commands.iter().filter(is_its).collect()
    }

    /// Lists of the programs that commands started, the narrowest first. One with a shell is not proposed.
    pub(super) fn programs(&self, commands: &[&Command]) -> Vec<String> {
        let mut lists = vec!["exec = []".to_owned()];
        let started: BTreeSet<_> = commands
            .iter()
            .flat_map(|command| command.programs.keys())
            .filter_map(|path| path.canonicalize().ok())
            .collect();
        let is_asked = |path: &Path| {
            self.bounds
                .asked
                .iter()
                .any(|asked| Path::new(asked).file_name() == path.file_name())
        };
        let has_shell = started
            .iter()
            .any(|path| kind(path, &["shells"]).is_some() && !is_asked(path));
        let is_text = started.iter().all(|path| path.to_str().is_some());
        if !started.is_empty() && !has_shell && is_text {
            let paths = started.iter().filter_map(|path| path.to_str());
            lists.push(inline("exec", paths));
        }
        lists
    }

    /// What the commands of a rule need of the places that are granted: none of them, or fewer.
    pub(super) fn own(&self, proposal: &Proposal, key: Key, commands: &[&Command]) -> Vec<String> {
        let field = if key == Key::Write { "write" } else { "read" };
        let mut choices = vec![format!("{field} = []")];
        let granted = proposal.lines.iter().filter(|line| line.key == key);
        let granted: Vec<_> = granted.map(|line| line.value.clone()).collect();
        let places = self.cover(key, Some(commands), Cut::Files);
        let own: Vec<_> = places
            .iter()
            .filter_map(|place| self.place(place))
            .collect();
        if !own.is_empty() && own != granted {
            choices.push(format!("{field} = [{}]", own.join(", ")));
        }
        choices
    }

    /// The places that cover what was used, or what of it was written.
    pub(super) fn cover(&self, key: Key, commands: Option<&[&Command]>, cut: Cut) -> Vec<PathBuf> {
        let used: Vec<_> = match commands {
            Some(commands) => commands.iter().flat_map(|command| &command.files).collect(),
            None => self.seen.used().collect(),
        };
        let used = used.into_iter().filter(|(path, used)| match key {
            Key::Write => used.write > 0,
            _ => used.write == 0 && is_read(path, used),
        });
        let used = used.map(|(path, _)| path);
        let used = used.filter(|path| !self.is_secret(path));
        let mut places = cover(used, self.bounds(key), cut);
        places.retain(|place| !self.holds_secrets(place));
        places
    }

    /// Whether something was changed or made where that may be granted, though nothing may be left of it.
    pub(super) fn has_written(&self) -> bool {
        self.seen.used().any(|(path, used)| {
            let within = |dir: &PathBuf| path.starts_with(dir);
            used.write > 0 && self.bounds.write.iter().any(within)
        })
    }

    fn bounds(&self, key: Key) -> &[PathBuf] {
        match key {
            Key::Write => &self.bounds.write,
            _ => &self.bounds.read,
        }
    }

    /// Everything within the bounds; where secrets were used, only what else was.
    pub(super) fn wide(&self, key: Key) -> Vec<PathBuf> {
        let bounds = self.bounds(key).iter();
        let open: Vec<_> = bounds
            .filter(|dir| !self.holds_secrets(dir))
            .cloned()
            .collect();
        let mut places = self.cover(key, None, Cut::Files);
        places.retain(|place| !open.iter().any(|dir| place.starts_with(dir)));
        [open, places].concat()
    }

    /// Whether it is a place of secrets, or there is one in it that was used.
    fn holds_secrets(&self, place: &Path) -> bool {
        self.is_secret(place)
            || self
                .used_secrets()
                .any(|secret| secret.starts_with(place) && secret.exists())
    }

    pub(super) fn used_secrets(&self) -> impl Iterator<Item = &PathBuf> {
        let used = self.seen.used();
        // Listing a directory, or asking whether a file is there, tells nothing of what is in it.
        let used = used.filter(|(_, used)| used.read > 0 || used.write > 0);
        used.map(|(path, _)| path)
            .filter(|path| self.is_secret(path))
    }

    /// Whether people keep secrets under this path. Where the project lies does not count.
    pub(super) fn is_secret(&self, path: &Path) -> bool {
        portcullis::keeps_secrets(path.strip_prefix(self.project).unwrap_or(path))
    }

    fn only_read(&self, mut places: Vec<PathBuf>) -> Vec<PathBuf> {
        let written = self.wide(Key::Write);
        places.retain(|place| !written.iter().any(|dir| place.starts_with(dir)));
        places
    }

    /// A line for each place.
    pub(super) fn places(&self, key: Key, places: impl IntoIterator<Item = PathBuf>) -> Vec<Line> {
        let lines = places.into_iter().filter_map(|place| {
            let within = self.seen.used().filter(|(path, used)| {
                path.starts_with(&place)
                    && match key {
                        Key::Write => used.write > 0,
                        _ => is_read(path, used),
                    }
            });
            let files: BTreeSet<_> = within.map(|(path, _)| path).collect();
            let why = match files.len() as u64 {
                0 => String::new(),
                number => count(number, "path"),
            };
            Some(Line::new(key, self.place(&place)?, why))
        });
        lines.collect()
    }

    /// A place as a policy names it.
    pub(super) fn place(&self, place: &Path) -> Option<String> {
        let text = place.to_str()?;
        Some(match place.strip_prefix(self.project) {
            Ok(rest) if rest.as_os_str().is_empty() => quoted("${project}"),
            Ok(rest) => quoted(&format!("${{project}}/{}", rest.to_str()?)),
            // There it would stand for something else.
            Err(_) if text.contains("${") => return None,
            Err(_) => quoted(text),
        })
    }
}

/// The directory of all these paths, with everything in it.
fn above(paths: &BTreeSet<&str>) -> String {
    let first = paths.iter().next().copied().unwrap_or_default();
    let is_above = |dir: &&Path| {
        let is_plain = dir.to_str().is_some_and(|dir| !dir.contains('*'));
        is_plain && paths.iter().all(|path| Path::new(path).starts_with(dir))
    };
    let dir = Path::new(first).ancestors().skip(1).find(is_above);
    let dir = dir.and_then(Path::to_str).unwrap_or_default();
    format!("{}/**", dir.trim_end_matches('/'))
}

/// Whether something that is there was opened, or is a file that was asked about: what is above a granted file is there for
/// whoever asks.
fn is_read(path: &Path, used: &Used) -> bool {
    path.symlink_metadata()
        .is_ok_and(|found| used.read > 0 || !found.is_dir())
}
