//! The Landlock domain of a cell: a second wall behind the mounts, and the only one where there are no namespaces.
//!
//! Rules are about inodes, so they hold for what was opened when a plan was made, whatever takes its name later.
//!
//! Source: <https://docs.kernel.org/userspace-api/landlock.html>

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use rustix::fs::{Mode, OFlags};

use super::layout;
use crate::{
    Access, Certificates, Net, Plan,
    ablation::{Layer, is_left_out},
    plan::system,
};

/// The newest version that is known here. On an older kernel the rights that it does not know are left out, and the
/// report says which version is in force.
const NEWEST: ABI = ABI::V9;

const READ: BitFlags<AccessFs> = landlock::make_bitflags!(AccessFs::{ReadFile | ReadDir});
const PROGRAM: BitFlags<AccessFs> =
    landlock::make_bitflags!(AccessFs::{ReadFile | ReadDir | Execute});

fn write() -> BitFlags<AccessFs> {
    let never = AccessFs::Execute | AccessFs::MakeChar | AccessFs::MakeBlock;
    AccessFs::from_all(NEWEST) & !never
}

fn rights(access: Access) -> Option<BitFlags<AccessFs>> {
    match access {
        Access::Read => Some(READ),
        Access::Program => Some(PROGRAM),
        Access::Write => Some(write()),
        Access::WriteExec => Some(write() | AccessFs::Execute),
        // What is copied lies in a scratch directory.
        Access::Masked | Access::Copied => None,
    }
}

/// What a command restricts itself to besides, where its init is no first process of a namespace that the kernel would
/// shield: without it a command could kill the one that is to kill it.
pub(super) fn apart_from_init() -> io::Result<OwnedFd> {
    let rules = Ruleset::default().scope(Scope::Signal);
    let created: Option<OwnedFd> = rules.and_then(Ruleset::create).map_err(to_io)?.into();
    created.ok_or_else(|| io::Error::from_raw_os_error(libc::ENOSYS))
}

/// The operating system's error behind one of the library's.
fn to_io(error: RulesetError) -> io::Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(error) = cause {
        if let Some(code) = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::raw_os_error)
        {
            return io::Error::from_raw_os_error(code);
        }
        cause = error.source();
    }
    io::Error::from_raw_os_error(libc::EINVAL)
}

/// The rules that are the same for every cell of a plan, opened once.
pub(super) struct Lasting(Vec<(OwnedFd, BitFlags<AccessFs>)>);

impl Lasting {
    /// Opens what does not change as long as the template's own root is there; nothing where there is no such root.
    pub(super) fn open(plan: &Plan) -> Self {
        let mut rules = Self(Vec::new());
        if plan.tier.has_own_root() {
            // Directories can be listed everywhere: what must not be seen is not there.
            rules.path("/", AccessFs::ReadDir.into());
            rules.path("/etc", READ);
            rules.directories_and_devices(plan);
            if plan.certificates.is_some() {
                rules.path(Certificates::PLACE, READ);
            }
        }
        rules
    }

    /// What is asked for again for each cell, because something else may lie there by then.
    fn open_again(plan: &Plan, scratch: &[PathBuf]) -> Self {
        let mut rules = Self(Vec::new());
        if !plan.tier.has_own_root() {
            for file in &layout::ETC {
                rules.path(Path::new("/etc").join(file.name), READ);
            }
            rules.directories_and_devices(plan);
        }
        if plan.listed {
            for name in layout::LIBRARIES {
                rules.path(Path::new("/").join(name), READ);
            }
            for name in layout::LOADERS {
                rules.path(Path::new("/").join(name), PROGRAM);
            }
        }
        // The cell's own directories; where it has none, nothing.
        for path in scratch.iter().filter(|_| plan.tier.has_own_root()) {
            rules.path(path, write());
        }
        rules
    }

    fn directories_and_devices(&mut self, plan: &Plan) {
        for path in system::DIRECTORIES.iter().filter(|_| !plan.listed) {
            self.path(path, PROGRAM);
        }
        for name in layout::DEVICES {
            let device = READ | AccessFs::WriteFile | AccessFs::Truncate | AccessFs::IoctlDev;
            self.path(Path::new("/dev").join(name), device);
        }
    }

    /// A rule for what lies at a path of the system, if anything does.
    fn path(&mut self, path: impl AsRef<Path>, rights: BitFlags<AccessFs>) {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        // Not there, so there is nothing to allow.
        if let Ok(opened) = rustix::fs::open(path.as_ref(), flags, Mode::empty()) {
            let rights = fitting(&opened, rights);
            self.0.push((opened, rights));
        }
    }
}

/// The rules of one cell, all but that for its `/proc`, which is not there before the cell is.
pub(super) struct Rules(RulesetCreated);

impl Rules {
    /// Makes the rules of one cell, whose scratch directories must be mounted.
    pub(super) fn new(plan: &Plan, lasting: &Lasting, scratch: &[PathBuf]) -> io::Result<Self> {
        let again = Lasting::open_again(plan, scratch);
        let rules = Self::create(plan).and_then(|rules| {
            let rules = rules.all(&lasting.0)?.all(&again.0)?;
            rules.granted(plan)
        });
        rules.map_err(to_io)
    }

    fn create(plan: &Plan) -> Result<Self, RulesetError> {
        let mut rules = Ruleset::default()
            .handle_access(AccessFs::from_all(NEWEST))?
            .scope(Scope::from_all(NEWEST))?;
        if plan.net == Net::None {
            rules = rules.handle_access(AccessNet::from_all(ABI::V4))?;
        }
        let rules = rules.create()?.no_new_privs(!is_left_out(Layer::Caps));
        Ok(Self(rules))
    }

    fn all(self, rules: &[(OwnedFd, BitFlags<AccessFs>)]) -> Result<Self, RulesetError> {
        let mut rules = rules.iter();
        rules.try_fold(self, |so_far, (opened, rights)| so_far.add(opened, *rights))
    }

    /// What was granted.
    fn granted(mut self, plan: &Plan) -> Result<Self, RulesetError> {
        for root in &plan.roots {
            // A link is there to be followed; nothing is done with it.
            let link = root.is_link();
            if let Some(rights) = rights(plan.access_to(root)).filter(|_| !link) {
                self = self.add(root.file(), fitting(root.file(), rights))?;
            }
        }
        Ok(self)
    }

    fn add(self, opened: impl AsFd, rights: BitFlags<AccessFs>) -> Result<Self, RulesetError> {
        self.0.add_rule(PathBeneath::new(opened, rights)).map(Self)
    }

    /// Restricts this process and all it will start; says which version of Landlock does it.
    pub(super) fn restrict(self) -> io::Result<u8> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let proc = rustix::fs::open("/proc", flags, Mode::empty())?;
        let restricted = self
            .add(proc, READ)
            .and_then(|rules| rules.0.restrict_self());
        let status = restricted.map_err(to_io)?;
        let LandlockStatus::Available { effective_abi, .. } = status.landlock else {
            return Err(io::Error::from_raw_os_error(libc::ENOSYS));
        };
        if status.ruleset == RulesetStatus::NotEnforced {
            return Err(io::Error::from_raw_os_error(libc::ENOSYS));
        }
        Ok(u8::try_from(effective_abi as i32).unwrap_or_default())
    }
}

/// What of some rights is one for this directory or file.
fn fitting(opened: impl AsFd, rights: BitFlags<AccessFs>) -> BitFlags<AccessFs> {
    if is_directory(opened) {
        rights
    } else {
        rights & AccessFs::from_file(NEWEST)
    }
}

fn is_directory(opened: impl AsFd) -> bool {
    super::directory::is_directory(opened).unwrap_or(false)
}

/// Whether Landlock refuses what no rule of any plan grants; without namespaces also to signal somebody outside, on
/// which rests that killing everybody kills nobody else.
pub(super) fn refuses(plan: &Plan) -> bool {
    let refused =
        |opened: rustix::io::Result<OwnedFd>| matches!(opened, Err(rustix::io::Errno::ACCESS));
    if plan.tier.has_own_root() {
        let canary = Path::new("/").join(layout::STAGE).join(layout::CANARY);
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        refused(rustix::fs::open(canary, flags, Mode::empty()))
    } else {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let maker = rustix::process::getppid();
        refused(rustix::fs::open("/", flags, Mode::empty()))
            && maker.is_some_and(|maker| {
                rustix::process::test_kill_process(maker) == Err(rustix::io::Errno::PERM)
            })
    }
}
