//! The policy that a plugin is run under to learn from it, and the bounds of what is learnt.

use std::path::{Path, PathBuf};

use portcullis::{Kind, inspect};
use portcullis_config::FlagSet;
use portcullis_policy::{Capability, Grants, MetadataKey};

use super::proposal::{Key, Line, Proposal, list, quoted};
use crate::target::Target;

/// No host has this name (RFC 6761). With it, commands have a proxy that hears what they ask for and allows none of it.
const NO_HOST: &str = "nothing.invalid:443";

/// How far a plugin may go while it is learnt from.
#[derive(Debug)]
pub(super) struct Bounds {
    /// The directories and files that it may read: real paths.
    pub(super) read: Vec<PathBuf>,
    /// Those among them that it may write, into an overlay.
    pub(super) write: Vec<PathBuf>,
    /// Directories that it sees under a name of their own, with their real paths.
    pub(super) named: Vec<(PathBuf, Line)>,
    /// What it may do besides.
    pub(super) others: Vec<Line>,
    /// Programs that the operator asked for by name.
    pub(super) asked: Vec<String>,
    pub(super) has_commands: bool,
    /// The capabilities that its imports tell of.
    needs: Vec<Capability>,
}

impl Bounds {
    /// By the flags, which are relative to the second directory, and what the plugin imports. The first is the project, which
    /// may be written where writes can be staged.
    pub(super) fn of(
        target: &Target,
        flags: &FlagSet,
        (project, cwd): (&Path, &Path),
        stages: bool,
    ) -> Self {
        let real = |text: &String| cwd.join(text).canonicalize().ok();
        let mut read: Vec<_> = flags.allow_read.iter().filter_map(real).collect();
        let mut write: Vec<_> = flags.allow_write.iter().filter_map(real).collect();
        if stages {
            write.push(project.to_owned());
        } else {
            read.push(project.to_owned());
        }
        read.extend(write.iter().cloned());
        let named = flags.dirs.iter().filter_map(|dir| {
            let (host, guest) = dir.split_once("::").unwrap_or((dir, dir));
            let real = real(&host.to_owned())?;
            let path = quoted(real.to_str()?);
            let value = format!("{{ path = {path}, as = {} }}", quoted(guest));
            Some((real, Line::new(Key::Write, value, "asked for")))
        });
        let asked = match &flags.allow_exec {
            Some(portcullis_config::AllowExec::Programs(programs)) => programs.clone(),
            Some(portcullis_config::AllowExec::All) | None => Vec::new(),
        };
        let needs = needs(target);
        Self {
            read,
            write,
            named: named.collect(),
            others: others(target, flags),
            asked,
            has_commands: needs.contains(&Capability::Exec),
            needs,
        }
    }

    /// Whether its imports tell of what a switch is for.
    pub(super) fn may_need(&self, key: Key) -> bool {
        let imports = |capability| self.needs.contains(&capability);
        match key {
            Key::Log => imports(Capability::Log),
            Key::Kv => imports(Capability::Kv),
            _ => true,
        }
    }

    /// The policy for a run to learn from, with these variables.
    pub(super) fn policy(&self, target: &Target, variables: &[String]) -> Proposal {
        let places = |key, paths: &[PathBuf]| -> Vec<_> {
            let paths = paths.iter().filter_map(|path| path.to_str());
            paths.map(|path| Line::new(key, quoted(path), "")).collect()
        };
        let mut lines = self.others.clone();
        lines.extend(
            variables
                .iter()
                .map(|name| Line::new(Key::Env, quoted(name), "")),
        );
        lines.extend(places(Key::Read, &self.read_only()));
        lines.extend(places(Key::Write, &self.write));
        lines.extend(self.named.iter().map(|(_, line)| line.clone()));
        lines.push(Line::switch(Key::Late, ""));
        lines.push(Line::switch(Key::InheritOutput, ""));
        if !lines.iter().any(|line| line.key == Key::Net) {
            lines.push(Line::new(Key::Net, quoted(NO_HOST), ""));
        }
        Proposal {
            lines,
            ..empty(target, true)
        }
    }

    fn read_only(&self) -> Vec<PathBuf> {
        let read = self.read.iter();
        read.filter(|path| !self.write.contains(path))
            .cloned()
            .collect()
    }
}

/// A policy that grants nothing.
pub(super) fn empty(target: &Target, has_commands: bool) -> Proposal {
    Proposal {
        id: target.entry.id.to_string(),
        path: target.entry.path.display().to_string(),
        has_commands,
        lines: Vec::new(),
    }
}

fn needs(target: &Target) -> Vec<Capability> {
    let none = Grants::none(target.entry.id.clone());
    let inspection = inspect(&target.bytes, &none);
    let imports = inspection.imports.iter();
    imports.filter_map(|import| import.needs).collect()
}

/// What can do no harm that outlives the run, and what the operator allowed by a flag.
fn others(target: &Target, flags: &FlagSet) -> Vec<Line> {
    let is_fledge = Kind::of(&target.bytes) == Kind::FledgeModule;
    // Not every kind of plugin says by its imports whether it uses them.
    let mut lines = vec![Line::switch(Key::Log, ""), Line::switch(Key::Kv, "")];
    if is_fledge {
        lines.push(Line::switch(Key::Data, ""));
        let keys = MetadataKey::ALL.iter();
        lines.extend(keys.map(|key| Line::new(Key::Metadata, quoted(key.name()), "")));
    }
    let asked = |key, texts: &[String]| -> Vec<_> {
        let line = |text: &String| Line::new(key, quoted(text), "asked for");
        texts.iter().map(line).collect()
    };
    let env = flags.allow_env.iter().chain(&flags.env);
    let names: Vec<_> = env.filter(|name| !name.contains('=')).cloned().collect();
    lines.extend(asked(Key::Env, &names));
    lines.extend(asked(Key::Net, &flags.allow_net));
    lines.extend(asked(Key::Http, &flags.allow_http));
    lines.extend(asked(Key::Connect, &flags.allow_connect));
    lines.extend(asked(Key::Lookup, &flags.allow_lookup));
    lines
}

/// A list on one line, for what is no list of its own lines.
pub(super) fn inline<T: AsRef<str>>(key: &str, texts: impl IntoIterator<Item = T>) -> String {
    format!("{key} = {}", list(texts))
}
