//! From the rights of a command to the plan of its cell.
//!
//! A plan is made once and used again as long as everything in it is still what it was: looking that up is on the way
//! of every command. What a command has written may have names in it that must be protected, so a plan that lets
//! write is looked over again after each use.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use portcullis_confine::{Access, Net, Plan, Root, RootError, Tier, is_system};
use portcullis_policy::{
    Authorized, ChildRights, Confinement, ExecRequest, FileId, Found, Net as PolicyNet, Program,
};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::ExecFailure;
use crate::care::{self, Keep, Uncovered};
use crate::resolve::find_file;

/// Plans that are kept: more than any plugin has rules.
const MAX_KEPT: usize = 64;

/// Makes plans, and keeps them.
#[derive(Debug)]
pub(crate) struct Planner {
    /// Certificates that every command may read.
    ca_file: Option<PathBuf>,
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
}

/// A plan, and what is known about it.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) plan: Plan,
    /// Protected names that no mount keeps.
    pub(crate) not_covered: Vec<Uncovered>,
    stale: AtomicBool,
}

impl Planned {
    /// To be called when a command of this plan has ended.
    pub(crate) fn used(&self) {
        let writes = self
            .plan
            .roots()
            .iter()
            .any(|root| matches!(root.access(), Access::Write | Access::WriteExec));
        self.stale.store(writes, Ordering::Relaxed);
    }

    fn is_current(&self) -> bool {
        !self.stale.load(Ordering::Relaxed) && self.plan.roots().iter().all(Root::is_current)
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
            .map(|(_, home)| PathBuf::from(home))
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
            rights,
        })
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
    pub(crate) fn new(ca_file: Option<PathBuf>) -> Self {
        Self {
            ca_file,
            kept: Mutex::default(),
        }
    }

    /// The certificates that commands are pointed at.
    pub(crate) fn ca_file(&self) -> Option<&Path> {
        self.ca_file.as_deref()
    }

    /// A plan that was made before and still holds.
    pub(crate) fn kept(&self, wanted: &Wanted) -> Option<Arc<Planned>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let planned = kept.iter().find(|(made_for, _)| made_for == wanted);
        planned
            .map(|(_, planned)| planned.clone())
            .filter(|planned| planned.is_current())
    }

    /// Makes a plan and keeps it. Blocks for as long as it takes to look for protected names.
    ///
    /// # Errors
    /// [`ExecFailure::Root`] or [`ExecFailure::Protect`].
    pub(crate) fn make(&self, wanted: Wanted) -> Result<Arc<Planned>, ExecFailure> {
        let planned = Arc::new(make(&wanted, self.ca_file())?);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(made_for, _)| *made_for != wanted);
        if kept.len() >= MAX_KEPT {
            kept.remove(0);
        }
        kept.push((wanted, planned.clone()));
        Ok(planned)
    }
}

fn make(wanted: &Wanted, ca_file: Option<&Path>) -> Result<Planned, ExecFailure> {
    let rights = &wanted.rights;
    let mut roots = Roots::default();
    let ca_file = ca_file.filter(|_| wanted.tier != Tier::Limits);
    if let Some(file) = ca_file {
        roots.open(file, Access::Read)?;
    }
    for path in rights.read_only() {
        roots.open(path, Access::Read)?;
    }
    let mut not_covered = Vec::new();
    for path in &rights.write {
        roots.open(path, Access::Write)?;
        not_covered.extend(protect(&mut roots, path, rights)?);
    }
    for path in &rights.write_exec {
        roots.open_made(path, &rights.write)?;
    }
    for path in &rights.system {
        roots.open(path, Access::Program)?;
    }
    for (path, file) in wanted.programs.iter().chain(&wanted.listed) {
        roots.open_found(path, *file)?;
    }
    let mut plan = Plan::new(wanted.tier)
        .roots_of(roots.0)
        .network(network(&rights.net));
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
        not_covered,
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

/// Mounts that keep the names in a directory that somebody else executes.
fn protect(
    roots: &mut Roots,
    path: &Path,
    rights: &ChildRights,
) -> Result<Vec<Uncovered>, ExecFailure> {
    let Some(root) = roots.0.iter().find(|root| root.path() == path) else {
        return Ok(Vec::new());
    };
    if !root.file().metadata().is_ok_and(|meta| meta.is_dir()) {
        return Ok(Vec::new());
    }
    let file = root.file().try_clone().map_err(ExecFailure::Pipe)?;
    let protected = care::protect(
        std::os::fd::AsFd::as_fd(&file),
        path,
        rights.protect.names(),
    )
    .map_err(ExecFailure::Protect)?;
    for mount in &protected.mounts {
        let opened = match mount.keep {
            Keep::Pinned => Root::open(&mount.path, Access::Write),
            Keep::ReadOnly => Root::open(&mount.path, Access::Read),
            Keep::Link => Root::open_link(&mount.path),
        };
        roots.add(opened.map_err(ExecFailure::Root)?, Some(mount.id))?;
    }
    Ok(protected.not_covered)
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
