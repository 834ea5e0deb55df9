//! What a template has ready for its next cell: namespaces in which nobody has been, the cell's own mounts in them,
//! and the rules of its Landlock domain.
//!
//! Making namespaces, the one for the network above all, takes longer than everything else that makes a cell. A
//! template does it ahead, when it has handed over a cell, in its own process: the copy that becomes the next cell
//! inherits them, and the template goes on to others. No ground is used twice.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Mode, OFlags},
    thread::LinkNameSpaceType,
};

use super::{
    failure::Failure,
    landlock::{Lasting, Rules},
    network,
    read_back::{self, Inherited},
    root::Built,
    scratch, template,
};
use crate::{
    Net, Plan, Step,
    ablation::{Layer, is_left_out},
    linux::process,
};

/// The ground of one cell.
pub(super) struct Ground {
    /// The rules of its Landlock domain, for tiers that have one.
    pub(super) rules: Option<Rules>,
    /// What the kernel says of it, where the template has namespaces of its own.
    pub(super) inherited: Option<Inherited>,
}

/// What all grounds of a template are made from.
pub(super) struct Source {
    /// The mount namespace in which the template's root was built, and nothing that is a cell's.
    mounts: Option<OwnedFd>,
    lasting: Lasting,
}

impl Source {
    /// To be opened in the mount namespace that grounds are made from.
    pub(super) fn open(plan: &Plan, built: Option<&Built>) -> Result<Self, Failure> {
        let own = namespaces(plan) & libc::CLONE_NEWNS != 0;
        let mounts = own.then(|| own_mounts(&host_proc(built))).transpose();
        Ok(Self {
            mounts: mounts.map_err(Failure::at(Step::Namespaces))?,
            lasting: Lasting::open(plan),
        })
    }

    /// Moves this process into new namespaces and makes them ready for a cell.
    ///
    /// If it fails the process may be anywhere among its own namespaces; the next attempt starts from the first again.
    pub(super) fn prepare(
        &self,
        plan: &Plan,
        host: read_back::Namespaces,
        built: Option<&Built>,
    ) -> Result<Ground, Failure> {
        let inherited = match &self.mounts {
            Some(mounts) => {
                enter_new(mounts, plan).map_err(Failure::at(Step::Namespaces))?;
                if let Some(built) = built.filter(|_| !plan.shared) {
                    scratch::mount(built)?;
                }
                if !plan.shared {
                    loopback(plan)?;
                }
                let inherited = Inherited::read(host, host_proc(built));
                Some(inherited.map_err(Failure::at(Step::ReadBack))?)
            }
            None => None,
        };
        let scratch = built.map_or(&[][..], |built| &built.scratch);
        let rules = (plan.tier.has_landlock() && !is_left_out(Layer::Landlock))
            .then(|| Rules::new(plan, &self.lasting, scratch))
            .transpose()
            .map_err(Failure::at(Step::Landlock))?;
        Ok(Ground { rules, inherited })
    }
}

/// Where the host's `/proc` is in the namespaces of a template.
fn host_proc(built: Option<&Built>) -> PathBuf {
    // Without a root of its own, which only tests leave out, it is where it always is.
    built.map_or_else(|| PathBuf::from("/proc"), |_| scratch::host_proc())
}

fn own_mounts(proc: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(
        proc.join("self/ns/mnt"),
        flags,
        Mode::empty(),
    )?)
}

/// The `CLONE_NEW*` flags of a ground.
fn namespaces(plan: &Plan) -> i32 {
    let template = template::namespaces(plan);
    if is_left_out(Layer::Namespaces) || plan.shared {
        return template & libc::CLONE_NEWNS;
    }
    match template {
        0 => 0,
        _ => libc::CLONE_NEWNS | template::shareable(plan),
    }
}

fn enter_new(mounts: &OwnedFd, plan: &Plan) -> io::Result<()> {
    // Back from where the last cell is: nothing that was mounted for one is seen by another.
    let kind = Some(LinkNameSpaceType::Mount);
    rustix::thread::move_into_link_name_space(mounts.as_fd(), kind)?;
    process::unshare(namespaces(plan))
}

/// Switches the loopback interface on where there is to be one.
pub(super) fn loopback(plan: &Plan) -> Result<(), Failure> {
    match plan.net {
        // Then it is the host's, which only tests come to.
        _ if is_left_out(Layer::Namespaces) => Ok(()),
        Net::Loopback | Net::Proxy => network::loopback_up().map_err(Failure::at(Step::Network)),
        Net::None | Net::Open => Ok(()),
    }
}
