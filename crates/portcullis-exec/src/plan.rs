//! From the rights of a command to the plan of its cell.
//!
//! A plan is made once and used again as long as everything in it is still what it was: looking that up is on the way
//! of every command. A plan that lets write is looked over again after each use, because what a command has written may
//! have names in it that others execute.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use portcullis_confine::{Access, Certificates, Net, Plan, Root, RootError, Tier, is_system};
use portcullis_policy::{
    Authorized, ChildRights, Confinement, ExecRequest, FileId, Found, Net as PolicyNet, Program,
};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::ExecFailure;
use crate::cache::Cache;
use crate::care::{self, Copied, Keep, Tree, TreeNote};
use crate::resolve::find_file;
use crate::run::PROCESSES;
use crate::trust::Trust;

/// Plans that are kept: more than any plugin has rules.
const MAX_KEPT: usize = 64;

/// Configurations in one directory that git gets copies of; those of more repositories are only read.
const MAX_COPIES: usize = 16;

/// How long a look through a writable directory counts: others may make names in it that are to be protected.
const FRESH: Duration = Duration::from_secs(2);

/// Makes plans, and keeps them.
#[derive(Debug)]
pub(crate) struct Planner {
    /// What every command trusts, if it is not what the system does.
    trust: Option<Trust>,
    /// Whether limits are part of a plan, because each cell has a cgroup that keeps them.
    cgroups: bool,
    kept: Mutex<Vec<(Wanted, Arc<Planned>)>>,
}

/// Everything that a plan depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    tier: Tier,
    rights: ChildRights,
    home: Option<PathBuf>,
    /// The working directory, if no right covers it.
    empty: Option<PathBuf>,
    /// Program, script and interpreter, as far as they lie outside the system.
    programs: Vec<(PathBuf, FileId)>,
    /// Listed programs, found.
    listed: Vec<(PathBuf, FileId)>,
    /// What is kept for it.
    cache: Option<Cache>,
    /// Whether it gets copies of the configurations of repositories: it is git, to which they are more than a file.
    copies: bool,
}

/// A plan, and what is known about it.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) plan: Plan,
    /// What its commands trust in place of what the system does.
    certificates: Option<Certificates>,
    /// What is kept for them.
    cache: Option<Cache>,
    /// The directories that it lets write.
    trees: Vec<Tree>,
    /// Names that are protected in them.
    protected: Vec<String>,
    made: Instant,
    stale: AtomicBool,
}

impl Planned {
    /// A plan by which nothing can be written.
    pub(crate) fn bare(plan: Plan) -> Self {
        Self {
            plan,
            certificates: None,
            cache: None,
            trees: Vec::new(),
            protected: Vec::new(),
            made: Instant::now(),
            stale: AtomicBool::new(false),
        }
    }

    /// Fills the copies that a cell of this plan has for its command.
    ///
    /// # Errors
    /// [`ExecFailure::Changed`] for a configuration that is not what it was when the plan was made.
    pub(crate) fn fill(&self, copies: Option<OwnedFd>) -> Result<Vec<Copied>, ExecFailure> {
        let Some(copies) = copies else {
            return Ok(Vec::new());
        };
        let copied = self
            .plan
            .roots()
            .iter()
            .filter(|root| root.access() == Access::Copied);
        let fill = |(number, root): (usize, &Root)| {
            let changed = || ExecFailure::Changed(root.path().to_owned());
            let mut trees = self.trees.iter().rev();
            let tree = trees
                .find(|tree| root.path().starts_with(&tree.path))
                .ok_or_else(changed)?;
            tree.fill(root.path(), &copies, number)
                .map_err(|_| changed())
        };
        copied.enumerate().map(fill).collect()
    }

    /// Puts in order what a command of this plan left, when all its processes are dead.
    pub(crate) fn settle(&self, copied: Vec<Copied>) -> Vec<TreeNote> {
        let mut notes: Vec<_> = copied.into_iter().filter_map(Copied::settle).collect();
        for tree in &self.trees {
            let (of_tree, same) = tree.settle(&self.protected);
            notes.extend(of_tree);
            self.stale.fetch_or(!same, Ordering::Relaxed);
        }
        notes
    }

    /// What is kept between commands of this plan.
    pub(crate) fn cache(&self) -> Option<&Cache> {
        self.cache.as_ref()
    }

    /// Whether a command of this plan can write anything outside of its cell, but for its cache.
    pub(crate) fn writes(&self) -> bool {
        !self.trees.is_empty()
    }

    pub(crate) fn is_current(&self) -> bool {
        let fresh = !self.writes() || self.made.elapsed() < FRESH;
        fresh
            && !self.stale.load(Ordering::Relaxed)
            && self.plan.roots().iter().all(Root::is_current)
    }
}

/// The tier that enforces a confinement.
pub(crate) fn tier(confinement: Confinement) -> Tier {
    match confinement {
        Confinement::Full => Tier::Full,
        Confinement::Namespaces => Tier::Namespaces,
        Confinement::Landlock => Tier::Landlock,
        Confinement::Limits => Tier::Limits,
    }
}

impl Wanted {
    /// What an authorized command needs of its cell.
    pub(crate) fn of(
        authorized: &Authorized<ExecRequest>,
        search_path: &[PathBuf],
        cache: Option<Cache>,
    ) -> Result<Self, ExecFailure> {
        let (request, terms) = (authorized.request(), authorized.terms());
        let tier = tier(terms.confinement);
        let Program::Found(found) = &request.found else {
            return Err(ExecFailure::NotDecided);
        };
        let mut rights = terms.rights.clone();
        if tier == Tier::Limits {
            // Nothing of it would be in force.
            rights = ChildRights::default();
        }
        let home = terms
            .environment
            .vars
            .iter()
            .find(|(name, _)| name == "HOME");
        let home = home
            .map(|(_, home)| PathBuf::from(&**home))
            .filter(|home| home.is_absolute());
        let empty = request.cwd.path().filter(|cwd| !rights.reads(cwd));
        let listed = rights.exec.iter().flatten();
        let listed = listed.filter_map(|program| find_file(search_path, program));
        Ok(Self {
            tier,
            home: home.filter(|_| tier != Tier::Limits),
            empty: empty.map(Path::to_owned).filter(|_| tier != Tier::Limits),
            programs: own_programs(found, rights.exec.is_some(), tier),
            listed: listed.collect(),
            // In a cell that shares its scratch directories, another command could have changed the copy.
            cache: cache.filter(|_| tier != Tier::Limits),
            copies: tier.has_own_root() && !rights.share && found.path.ends_with("git"),
            rights,
        })
    }
}

impl Wanted {
    /// What is kept for it.
    pub(crate) fn cache(&self) -> Option<&Cache> {
        self.cache.as_ref()
    }
}

/// The files of the program itself, as far as a plan has to name them.
fn own_programs(found: &Found, listed: bool, tier: Tier) -> Vec<(PathBuf, FileId)> {
    let interpreter = found.interpreter.as_ref();
    let interpreter = interpreter.map(|interpreter| (&interpreter.path, interpreter.file));
    let files = std::iter::once((&found.path, found.file)).chain(interpreter);
    files
        .filter(|(path, _)| tier != Tier::Limits && (listed || !is_system(path)))
        .map(|(path, file)| (path.clone(), file))
        .collect()
}

impl Planner {
    pub(crate) fn new(ca_file: Option<PathBuf>, cgroups: bool) -> Self {
        Self {
            trust: ca_file.map(Trust::new),
            cgroups,
            kept: Mutex::default(),
        }
    }

    /// Where a command of this plan finds the certificates that it is to trust.
    pub(crate) fn ca_file(&self, plan: &Plan) -> Option<&Path> {
        let file = self.trust.as_ref().map(Trust::file);
        file.map(|file| {
            if plan.has_certificates() {
                Path::new(Certificates::BUNDLE)
            } else {
                file
            }
        })
    }

    /// Whether a plan has the certificates that are there now.
    fn is_trusted(&self, planned: &Planned) -> bool {
        let (Some(trust), Some(shown)) = (&self.trust, &planned.certificates) else {
            return true;
        };
        trust.certificates().is_ok_and(|now| now == *shown)
    }

    /// A plan that was made before and still holds.
    pub(crate) fn kept(&self, wanted: &Wanted) -> Option<Arc<Planned>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let planned = kept.iter().find(|(made_for, _)| made_for == wanted);
        planned
            .map(|(_, planned)| planned.clone())
            .filter(|planned| planned.is_current() && self.is_trusted(planned))
    }

    /// Makes a plan and keeps it. Blocks for as long as it takes to look for protected names.
    ///
    /// # Errors
    /// [`ExecFailure::Root`], [`ExecFailure::Protect`], [`ExecFailure::Certificates`] or
    /// [`ExecFailure::Cache`].
    pub(crate) fn make(&self, wanted: Wanted) -> Result<Arc<Planned>, ExecFailure> {
        let mut planned = make(&wanted, self.trust.as_ref())?;
        if self.cgroups && wanted.tier != Tier::Limits {
            planned.plan = limited(planned.plan, &wanted.rights);
        }
        let planned = Arc::new(planned);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(made_for, _)| *made_for != wanted);
        if kept.len() >= MAX_KEPT {
            kept.remove(0);
        }
        kept.push((wanted, planned.clone()));
        Ok(planned)
    }
}

/// The plan with what a cgroup keeps.
fn limited(plan: Plan, rights: &ChildRights) -> Plan {
    let plan = match rights.memory {
        Some(memory) => plan.limit_memory(memory),
        None => plan,
    };
    plan.limit_processes(rights.processes.unwrap_or(PROCESSES).into())
}

fn make(wanted: &Wanted, trust: Option<&Trust>) -> Result<Planned, ExecFailure> {
    let rights = &wanted.rights;
    let mut roots = Roots::default();
    let trust = trust.filter(|_| wanted.tier != Tier::Limits);
    let certificates = match trust {
        Some(trust) if wanted.tier.has_own_root() => Some(trust.certificates()?),
        Some(trust) => {
            roots.open(trust.file(), Access::Read)?;
            None
        }
        None => None,
    };
    for path in rights.read_only() {
        roots.open(path, Access::Read)?;
    }
    let mut trees = Vec::new();
    for path in &rights.write {
        roots.open(path, Access::Write)?;
        trees.extend(protect(&mut roots, path, wanted)?);
    }
    for path in &rights.write_exec {
        roots.open_made(path, &rights.write)?;
    }
    for path in &rights.system {
        roots.open(path, Access::Program)?;
    }
    if let Some(cache) = &wanted.cache {
        roots.add(cache.open()?, None)?;
    }
    for (path, file) in wanted.programs.iter().chain(&wanted.listed) {
        roots.open_found(path, *file)?;
    }
    let mut plan = Plan::new(wanted.tier)
        .roots_of(roots.0)
        .network(network(&rights.net));
    if let Some(certificates) = &certificates {
        plan = plan.certificates(certificates.clone());
    }
    if let Some(home) = &wanted.home {
        plan = plan.home(home);
    }
    if let Some(empty) = &wanted.empty {
        plan = plan.empty_directory(empty);
    }
    if rights.exec.is_some() {
        plan = plan.only_listed_programs();
    }
    if rights.share {
        plan = plan.share_scratch();
    }
    Ok(Planned {
        plan,
        certificates,
        cache: wanted.cache.clone(),
        trees,
        protected: rights.protect.names().to_vec(),
        made: Instant::now(),
        stale: AtomicBool::new(false),
    })
}

fn network(net: &PolicyNet) -> Net {
    match net {
        PolicyNet::None => Net::None,
        PolicyNet::Loopback => Net::Loopback,
        PolicyNet::Hosts(_) => Net::Proxy,
        PolicyNet::Open => Net::Open,
    }
}

/// Adds the mounts that keep the names in a directory that somebody else executes. `None` for a file.
fn protect(roots: &mut Roots, path: &Path, wanted: &Wanted) -> Result<Option<Tree>, ExecFailure> {
    let root = roots.0.iter().find(|root| root.path() == path);
    let dir = root
        .map(|root| root.file().try_clone())
        .transpose()
        .map_err(ExecFailure::Pipe)?;
    let is_directory = |dir: &File| dir.metadata().is_ok_and(|meta| meta.is_dir());
    let Some(dir) = dir.filter(is_directory) else {
        return Ok(None);
    };
    let names = wanted.rights.protect.names();
    let protected = care::protect(dir.as_fd(), path, names).map_err(ExecFailure::Protect)?;
    let tree = Tree {
        path: path.to_owned(),
        dir,
        protected,
    };
    let mut copies = MAX_COPIES;
    for mount in &tree.protected.mounts {
        let opened = match mount.keep {
            Keep::Pinned => Root::open(&mount.path, Access::Write),
            Keep::ReadOnly if wanted.copies && copies > 0 && tree.has_config(&mount.path) => {
                copies -= 1;
                Root::open(&mount.path, Access::Copied)
            }
            Keep::ReadOnly => Root::open(&mount.path, Access::Read),
            Keep::Link => Root::open_link(&mount.path),
        };
        roots.add(opened.map_err(ExecFailure::Root)?, Some(mount.id))?;
    }
    Ok(Some(tree))
}

/// Makes one directory beneath a directory that may be written, through no link.
fn make_directory(path: &Path, write: &[PathBuf]) -> rustix::io::Result<()> {
    let outer = write.iter().find(|outer| path.starts_with(outer));
    let (Some(outer), Some(above), Some(name)) = (outer, path.parent(), path.file_name()) else {
        return Err(Errno::INVAL);
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let outer_dir = rustix::fs::open(outer, flags | OFlags::NOFOLLOW, Mode::empty())?;
    let above = above.strip_prefix(outer).map_err(|_| Errno::INVAL)?;
    let above = if above.as_os_str().is_empty() {
        Path::new(".")
    } else {
        above
    };
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let above = rustix::fs::openat2(outer_dir, above, flags, Mode::empty(), beneath)?;
    rustix::fs::mkdirat(above, name, Mode::from_raw_mode(0o777))
}

/// The roots of a plan; of two at one path the later counts.
#[derive(Debug, Default)]
struct Roots(Vec<Root>);

impl Roots {
    fn open(&mut self, path: &Path, access: Access) -> Result<(), ExecFailure> {
        let root = Root::open(path, access).map_err(ExecFailure::Root)?;
        self.add(root, None)
    }

    /// A program that was found: the very file, or none.
    fn open_found(&mut self, path: &Path, file: FileId) -> Result<(), ExecFailure> {
        let root = Root::open(path, Access::Program).map_err(ExecFailure::Root)?;
        self.add(root, Some(file))
    }

    /// A directory in which what is written may be executed; made if it is not there, so that a first build works.
    fn open_made(&mut self, path: &Path, write: &[PathBuf]) -> Result<(), ExecFailure> {
        match Root::open(path, Access::WriteExec) {
            Err(RootError::Open { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                // Where its parent is not there either, whoever makes that one knows what it wants.
                if make_directory(path, write).is_ok() {
                    self.open(path, Access::WriteExec)?;
                }
                Ok(())
            }
            root => self.add(root.map_err(ExecFailure::Root)?, None),
        }
    }

    fn add(&mut self, root: Root, expected: Option<FileId>) -> Result<(), ExecFailure> {
        let (dev, ino) = root.id();
        if expected.is_some_and(|file| file != FileId { dev, ino }) {
            return Err(ExecFailure::Changed(root.path().to_owned()));
        }
        self.0.retain(|other| other.path() != root.path());
        self.0.push(root);
        Ok(())
    }
}
