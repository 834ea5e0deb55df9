//! From what was seen to the first proposal: everything that was used, as narrow as it was used, and notes on what is never
//! proposed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use portcullis_audit::{Masked, is_secret_name};

use super::arguments::{Call, patterns};
use super::places::{Cut, cover};
use super::proposal::{Key, Line, Proposal, list, quoted};
use super::seen::{Command, Request, Seen, Used};
use super::trial::Denied;
use super::wide::{Bounds, empty, inline};
use crate::dual_use::DUAL_USE;
use crate::render::count;
use crate::target::Target;

/// Kinds of programs that are proposed only if they were asked for by name: they run any text, or any program.
const UNASKED: [&str; 4] = ["shells", "interpreters", "wrappers", "debuggers"];
/// Paths of requests to one host that are enumerated.
const PATHS: usize = 8;

/// What was seen, and where it may be granted.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    pub(super) target: &'a Target,
    pub(super) bounds: &'a Bounds,
    pub(super) seen: &'a Seen,
    pub(super) project: &'a Path,
    /// The variables that it was told.
    pub(super) variables: &'a [String],
}

impl Draft<'_> {
    /// Everything that the run had and used, with the directories as wide as they were.
    pub(super) fn whole(&self, kinds: bool) -> Proposal {
        let mut lines: Vec<_> = self
            .bounds
            .others
            .iter()
            .filter(|line| {
                matches!(
                    line.key,
                    Key::Log | Key::Kv | Key::Data | Key::Metadata | Key::Env
                )
            })
            .cloned()
            .collect();
        lines.push(Line::switch(
            Key::Late,
            "it imports what it did not use, or was not given",
        ));
        lines.extend(self.variables());
        lines.extend(self.places(Key::Read, self.only_read(&self.bounds.read)));
        lines.extend(self.places(Key::Write, self.bounds.write.clone()));
        lines.extend(self.bounds.named.iter().cloned());
        lines.extend(self.counted(Key::Net, &self.hosts()));
        lines.extend(self.requests());
        lines.extend(self.counted(Key::Connect, &self.seen.connections));
        lines.extend(self.counted(Key::Lookup, &self.seen.lookups));
        let relayed = |command: &Command| command.inherit_output;
        if self.seen.commands.iter().any(relayed) {
            lines.push(Line::switch(Key::InheritOutput, ""));
        }
        lines.extend(self.rules(kinds));
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

    /// One entry for each server, with what was asked of it.
    fn requests(&self) -> Vec<Line> {
        let mut servers: BTreeMap<(&str, String), Vec<(&Request, u64)>> = BTreeMap::new();
        for (request, times) in &self.seen.requests {
            let host = match request.host.contains(':') {
                true => format!("[{}]:{}", request.host, request.port),
                false => format!("{}:{}", request.host, request.port),
            };
            let server = servers.entry((&request.scheme, host)).or_default();
            server.push((request, *times));
        }
        let lines = servers.into_iter().map(|((scheme, host), requests)| {
            let methods: BTreeSet<_> = requests.iter().map(|(one, _)| &one.method).collect();
            let paths: BTreeSet<_> = requests.iter().map(|(one, _)| one.path.as_str()).collect();
            let times: u64 = requests.iter().map(|(_, times)| times).sum();
            let mut fields = vec![
                format!("host = {}", quoted(&host)),
                inline("schemes", [scheme]),
                inline("methods", methods),
            ];
            let is_plain = |path: &&str| !path.contains('*');
            if paths.len() <= PATHS && paths.iter().all(is_plain) {
                fields.push(inline("paths", paths));
            }
            let value = format!("{{ {} }}", fields.join(", "));
            Line::new(Key::Http, value, count(times, "request"))
        });
        lines.collect()
    }

    /// The rules for all commands that may be proposed.
    fn rules(&self, kinds: bool) -> Vec<Line> {
        let mut rules = Vec::new();
        for (program, commands) in self.by_program() {
            let commands = commands
                .into_iter()
                .filter(|command| self.is_proposed(command) && !has_secret(command));
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
    fn is_proposed(&self, command: &Command) -> bool {
        self.bounds.asked.contains(&command.program)
            || kind(Path::new(&command.program), &UNASKED)
                .or_else(|| kind(&command.file, &UNASKED))
                .is_none()
    }

    /// The commands of the program that a rule is about.
    pub(super) fn commands_of(&self, rule: &Line) -> Vec<&Command> {
        let programs = self.by_program();
        let of_rule = programs.into_iter().find(|(program, _)| {
            let start = format!("program = {}, ", quoted(program));
            rule.value.starts_with(&start)
        });
        of_rule.map(|(_, commands)| commands).unwrap_or_default()
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

    /// The places that cover what was used, or what of it was written.
    pub(super) fn cover(&self, key: Key, commands: Option<&[&Command]>, cut: Cut) -> Vec<PathBuf> {
        let own = commands.is_none().then_some(&self.seen.files);
        let of_commands: Vec<_> = match commands {
            Some(commands) => commands.to_vec(),
            None => self.seen.commands.iter().collect(),
        };
        let used = own
            .into_iter()
            .chain(of_commands.iter().map(|command| &command.files))
            .flatten()
            .filter(|(path, used)| match key {
                Key::Write => used.write > 0,
                _ => used.write == 0 && is_read(path, used),
            });
        let bounds = match key {
            Key::Write => &self.bounds.write,
            _ => &self.bounds.read,
        };
        let paths: Vec<_> = used
            .map(|(path, _)| path)
            .filter(|path| !is_secret(path))
            .collect();
        cover(paths.iter().copied(), bounds, cut)
    }

    /// Whether something was changed or made where that may be granted, though nothing may be left of it.
    pub(super) fn has_written(&self) -> bool {
        let commands = self.seen.commands.iter().map(|command| &command.files);
        let mut used = commands.chain([&self.seen.files]).flatten();
        used.any(|(path, used)| {
            let within = |dir: &PathBuf| path.starts_with(dir);
            used.write > 0 && self.bounds.write.iter().any(within)
        })
    }

    fn only_read(&self, places: &[PathBuf]) -> Vec<PathBuf> {
        let lies_in_written = |place: &PathBuf| {
            let mut written = self.bounds.write.iter();
            written.any(|dir| place.starts_with(dir))
        };
        let places = places.iter();
        places
            .filter(|place| !lies_in_written(place))
            .cloned()
            .collect()
    }

    /// A line for each place.
    pub(super) fn places(&self, key: Key, places: impl IntoIterator<Item = PathBuf>) -> Vec<Line> {
        let lines = places.into_iter().filter_map(|place| {
            let used = self
                .seen
                .commands
                .iter()
                .map(|command| &command.files)
                .chain([&self.seen.files])
                .flatten();
            let within = used.filter(|(path, used)| {
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
            Err(_) => quoted(text),
        })
    }

    /// What is not proposed although it was used or asked for, a line each.
    pub(super) fn notes(&self, denials: &[Denied]) -> Vec<String> {
        let mut notes: BTreeSet<String> = BTreeSet::new();
        for command in &self.seen.commands {
            let object = Masked::argv(std::iter::once(&command.program).chain(&command.args));
            if !self.is_proposed(command) {
                let what = kind(Path::new(&command.program), &UNASKED)
                    .or_else(|| kind(&command.file, &UNASKED))
                    .unwrap_or("runs other programs");
                notes.insert(format!(
                    "not proposed: {}: it {what}; `--learn --allow-exec={}` asks for it",
                    object.as_str(),
                    command.program
                ));
            } else if has_secret(command) {
                notes.insert(format!(
                    "not proposed: {}: an argument looks like a secret",
                    object.as_str()
                ));
            }
            for (program, what) in command
                .programs
                .keys()
                .filter_map(|program| Some((program, kind(program, &["shells"])?)))
            {
                notes.insert(format!(
                    "`{}` started `{}`, which {what}: such are never in a list `exec` unasked",
                    command.program,
                    program.display()
                ));
            }
            for host in command.refused_hosts.keys() {
                notes.insert(format!(
                    "`{}` asked for {host}: to learn further, `--learn --allow-net={host}`",
                    command.program
                ));
            }
        }
        let used = self.seen.commands.iter().flat_map(|command| &command.files);
        for (path, _) in used.chain(&self.seen.files) {
            if is_secret(path) && path.exists() {
                notes.insert(format!(
                    "not proposed by itself: `{}`, where secrets are kept",
                    path.display()
                ));
            }
        }
        for (name, variable) in &self.seen.variables {
            if variable.is_set && is_secret_name(name) {
                notes.insert(format!(
                    "not proposed: the variable `{name}`, which looks like a secret"
                ));
            }
        }
        for Denied {
            code,
            object,
            right,
        } in denials
        {
            let variable = self.seen.variables.get(object);
            if variable.is_some_and(|variable| !variable.is_set) {
                continue;
            }
            let right = right.as_ref().filter(|(_, of)| !is_secret(Path::new(of)));
            let further = right.map_or_else(String::new, |(right, of)| {
                format!(": to learn further, `--learn --allow-{right}={of}`")
            });
            notes.insert(format!(
                "denied while it was learnt: {object} ({code}){further}"
            ));
        }
        if self.seen.is_cut {
            notes.insert("there was more than was kept to learn from".to_owned());
        }
        notes.into_iter().collect()
    }
}

/// What a program of one of these kinds does, in words.
fn kind(program: &Path, kinds: &[&str]) -> Option<&'static str> {
    let name = program.file_name()?.to_str()?;
    // `python3.11` is `python3`.
    let plain = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let of_kind = DUAL_USE.iter().filter(|(kind, _, _)| kinds.contains(kind));
    of_kind
        .into_iter()
        .find(|(_, _, names)| names.contains(&name) || names.contains(&plain))
        .map(|(_, what, _)| *what)
}

fn has_secret(command: &Command) -> bool {
    let args = || command.args.iter().map(String::as_str);
    let masked = Masked::argv(args());
    let plain = serde_json::Value::from_iter(args()).to_string();
    masked.as_str() != plain
}

fn is_secret(path: &Path) -> bool {
    portcullis::keeps_secrets(path)
}

/// Whether something that is there was opened, or is a file that was asked about: what is above a granted file is there for
/// whoever asks.
fn is_read(path: &Path, used: &Used) -> bool {
    path.symlink_metadata()
        .is_ok_and(|found| used.read > 0 || !found.is_dir())
}
