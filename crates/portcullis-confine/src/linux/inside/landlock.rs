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
    Access, Net, Plan,
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

/// Restricts this process and all it will start to the plan; says which version of Landlock does it.
pub(super) fn restrict(plan: &Plan, scratch: &[PathBuf]) -> io::Result<u8> {
    let rules =
        Rules::new(plan).and_then(|rules| rules.system(plan)?.plan(plan)?.scratch(plan, scratch));
    let status = rules
        .and_then(|rules| rules.0.restrict_self())
        .map_err(to_io)?;
    let LandlockStatus::Available { effective_abi, .. } = status.landlock else {
        return Err(io::Error::from_raw_os_error(libc::ENOSYS));
    };
    if status.ruleset == RulesetStatus::NotEnforced {
        return Err(io::Error::from_raw_os_error(libc::ENOSYS));
    }
    Ok(u8::try_from(effective_abi as i32).unwrap_or_default())
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

struct Rules(RulesetCreated);

impl Rules {
    fn new(plan: &Plan) -> Result<Self, RulesetError> {
        let mut rules = Ruleset::default()
            .handle_access(AccessFs::from_all(NEWEST))?
            .scope(Scope::from_all(NEWEST))?;
        if plan.net == Net::None {
            rules = rules.handle_access(AccessNet::from_all(ABI::V4))?;
        }
        let rules = rules.create()?.no_new_privs(!is_left_out(Layer::Caps));
        Ok(Self(rules))
    }

    /// What every command may do with the system.
    fn system(mut self, plan: &Plan) -> Result<Self, RulesetError> {
        if plan.tier.has_own_root() {
            // Directories can be listed everywhere: what must not be seen is not there.
            self = self.path("/", AccessFs::ReadDir.into())?;
            self = self.path("/etc", READ)?;
        } else {
            for file in &layout::ETC {
                self = self.path(Path::new("/etc").join(file.name), READ)?;
            }
        }
        for path in system::DIRECTORIES.iter().filter(|_| !plan.listed) {
            self = self.path(path, PROGRAM)?;
        }
        if plan.listed {
            for name in layout::LIBRARIES {
                self = self.path(Path::new("/").join(name), READ)?;
            }
            for name in layout::LOADERS {
                self = self.path(Path::new("/").join(name), PROGRAM)?;
            }
        }
        for name in layout::DEVICES {
            let device = READ | AccessFs::WriteFile | AccessFs::Truncate | AccessFs::IoctlDev;
            self = self.path(Path::new("/dev").join(name), device)?;
        }
        self.path("/proc", READ)
    }

    /// What was granted.
    fn plan(mut self, plan: &Plan) -> Result<Self, RulesetError> {
        for root in &plan.roots {
            // A link is there to be followed; nothing is done with it.
            let link = root.is_link();
            if let Some(rights) = rights(plan.access_to(root)).filter(|_| !link) {
                self = self.add(root.file(), rights)?;
            }
        }
        Ok(self)
    }

    /// The cell's own directories; where it has none, nothing.
    fn scratch(mut self, plan: &Plan, scratch: &[PathBuf]) -> Result<Self, RulesetError> {
        for path in scratch.iter().filter(|_| plan.tier.has_own_root()) {
            self = self.path(path, write())?;
        }
        Ok(self)
    }

    /// A rule for what lies at a path of the system, if anything does.
    fn path(
        self,
        path: impl AsRef<Path>,
        rights: BitFlags<AccessFs>,
    ) -> Result<Self, RulesetError> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        match rustix::fs::open(path.as_ref(), flags, Mode::empty()) {
            Ok(opened) => self.add(&opened, rights),
            // Not there, so there is nothing to allow.
            Err(_) => Ok(self),
        }
    }

    fn add(self, opened: impl AsFd, rights: BitFlags<AccessFs>) -> Result<Self, RulesetError> {
        let rights = if is_directory(&opened) {
            rights
        } else {
            rights & AccessFs::from_file(NEWEST)
        };
        self.0.add_rule(PathBeneath::new(opened, rights)).map(Self)
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
