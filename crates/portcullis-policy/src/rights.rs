use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::paths::{both, covers, outermost};
use crate::{ExecGrant, FsAccess, Grants, Narrowing, Net, ProgramRef, ProgramRule, Protect};

/// What the kernel lets a command, and everything it starts, reach: the plugin's grants, less what each rule that
/// allows the command takes away.
///
/// Each list of paths is sorted, and no path of it lies inside another of the same list. Paths are real, and stand for
/// everything below them. Besides these a command reads the system (`/usr` and what belongs to it) and has a `/tmp`, a
/// `/dev` and a `/proc` of its own.
///
/// # Defaults
/// Nothing to read, to write or to reach; any program of the system; everything built in is protected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ChildRights {
    /// Directories and files it may read, those it may write among them.
    pub read: Vec<PathBuf>,
    /// Directories and files it may change; in directories it may also create and remove. All inside `read`.
    pub write: Vec<PathBuf>,
    /// Directories inside `write` where what was written may also be executed. They need not exist.
    pub write_exec: Vec<PathBuf>,
    /// Toolchains outside `/usr`: read and executed as `/usr` is, and never written.
    pub system: Vec<PathBuf>,
    /// The network it may reach.
    pub net: Net,
    /// The only other programs it may start, sorted; `None`: any program of the system.
    pub exec: Option<Vec<ProgramRef>>,
    /// Bytes of memory of the command and everything it starts; `None`: no limit of its own.
    pub memory: Option<u64>,
    /// Processes and threads at once; `None`: the host's default.
    pub processes: Option<u32>,
    /// What it may not change although it may write the directory.
    pub protect: Protect,
    /// Whether commands of the same instance with equal rights share their scratch space. Never where it or the plugin
    /// may reach hosts.
    pub share: bool,
    /// Bytes of the cache that is kept for commands with equal rights; `None`: nothing is kept.
    pub cache: Option<u64>,
}

impl ChildRights {
    /// Everything a plugin's commands may have when no rule takes anything away.
    pub fn of(grants: &Grants) -> Self {
        let Some(exec) = &grants.exec else {
            return Self::default();
        };
        let granted = |access| {
            let granted = grants.fs.iter().filter(move |grant| grant.access >= access);
            outermost(granted.map(|grant| grant.host.clone()))
        };
        let write = granted(FsAccess::ReadWrite);
        let directories = grants
            .fs
            .iter()
            .filter(|grant| grant.access == FsAccess::ReadWrite && grant.kind.is_directory());
        let directories = outermost(directories.map(|grant| grant.host.clone()));
        let net = Net::narrowest([&grants.net]);
        Self {
            read: granted(FsAccess::Read),
            write_exec: expand(&exec.write_exec, &directories),
            write,
            system: outermost(exec.system.iter().cloned()),
            share: exec.share && !matches!(net, Net::Hosts(_)),
            cache: exec.cache.filter(|&bytes| bytes > 0),
            net,
            exec: None,
            memory: None,
            processes: None,
            protect: grants.protect.clone(),
        }
    }

    /// What all these rules leave. Rules only take away, and their order never matters.
    #[must_use]
    pub fn narrowed<'a>(&self, rules: impl IntoIterator<Item = &'a Narrowing>) -> Self {
        let rules: Vec<_> = rules.into_iter().collect();
        let mut rights = self.clone();
        for rule in &rules {
            if let Some(read) = &rule.read {
                rights.read = both(&rights.read, read);
            }
            if let Some(write) = &rule.write {
                rights.write = both(&rights.write, write);
            }
            if let Some(patterns) = &rule.write_exec {
                // Relative to what the plugin may write, as the grant is; a rule's own `write` only cuts it off.
                rights.write_exec = both(&rights.write_exec, &expand(patterns, &self.write));
            }
            rights.memory = smaller(rights.memory, rule.memory);
            rights.processes = smaller(rights.processes, rule.processes);
            rights.cache = rights.cache.filter(|_| rule.cache != Some(false));
            rights.exec = fewer(rights.exec, rule.exec.as_deref());
        }
        rights.write_exec = both(&rights.write_exec, &rights.write);
        // What may be written may be read, so `read` takes away only what is not written.
        let write = rights.write.iter().cloned();
        rights.read = outermost(rights.read.into_iter().chain(write));
        let nets = rules.iter().filter_map(|rule| rule.net.as_ref());
        rights.net = Net::narrowest(nets.chain([&self.net]));
        rights.share = self.share && !matches!(rights.net, Net::Hosts(_));
        rights
    }

    /// Whether a real path may be read.
    pub fn reads(&self, path: &Path) -> bool {
        covers(&self.read, path)
    }

    /// Whether a real path may be changed. Names that [`Protect`] keeps are not looked at.
    pub fn writes(&self, path: &Path) -> bool {
        covers(&self.write, path)
    }

    /// The paths of `read` that may not be written as a whole.
    pub fn read_only(&self) -> impl Iterator<Item = &Path> {
        let read = self.read.iter().map(PathBuf::as_path);
        read.filter(|path| !self.writes(path))
    }

    /// The paths of a rule that lie outside everything the plugin was granted, each with its key: they grant nothing.
    pub fn outside<'a>(&self, rule: &'a Narrowing) -> Vec<(&'static str, &'a Path)> {
        let keys = [
            ("read", &rule.read, &self.read),
            ("write", &rule.write, &self.write),
        ];
        let mut outside = Vec::new();
        for (key, paths, granted) in keys {
            let paths = paths.iter().flatten();
            let paths = paths.filter(|path| both(std::slice::from_ref(*path), granted).is_empty());
            outside.extend(paths.map(|path| (key, path.as_path())));
        }
        let patterns = rule.write_exec.iter().flatten();
        let patterns = patterns.filter(|pattern| {
            let expanded = expand(std::slice::from_ref(*pattern), &self.write);
            both(&expanded, &self.write_exec).is_empty()
        });
        outside.extend(patterns.map(|pattern| ("write_exec", pattern.as_path())));
        outside
    }
}

/// What rules leave of a grant's confinement: each rule that allows a command asks for one tier, and the strongest
/// holds, so that no rule weakens another.
pub(crate) fn tier(grant: &ExecGrant, rules: &[&ProgramRule]) -> crate::Confinement {
    let asked = rules
        .iter()
        .map(|rule| rule.narrowing.confinement.unwrap_or(grant.confinement));
    // The tiers are in order, the strongest first.
    asked.min().unwrap_or(grant.confinement)
}

/// The directories that patterns stand for: a relative one in each of the roots, an absolute one where it is.
fn expand(patterns: &[PathBuf], roots: &[PathBuf]) -> Vec<PathBuf> {
    let joined = patterns
        .iter()
        .flat_map(|pattern| roots.iter().map(move |root| root.join(pattern)));
    both(&outermost(joined), roots)
}

fn smaller<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// The programs in both lists, by their spelling.
fn fewer(one: Option<Vec<ProgramRef>>, other: Option<&[ProgramRef]>) -> Option<Vec<ProgramRef>> {
    let Some(other) = other else {
        return one;
    };
    let mut programs = other.to_vec();
    if let Some(one) = one {
        programs.retain(|program| one.contains(program));
    }
    programs.sort_unstable();
    programs.dedup();
    Some(programs)
}
