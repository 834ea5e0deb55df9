//! What a template has ready for its next cell: namespaces in which nobody has been, the cell's own mounts in them,
//! and the rules of its Landlock domain.
//!
//! Making namespaces, the one for the network above all, takes longer than everything else that makes a cell. A
//! template does it ahead, when it has handed over a cell, in its own process: the copy that becomes the next cell
//! inherits them, and the template goes on to others. No ground is used twice.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
};

use rustix::{
    fs::{Mode, OFlags},
    thread::{LinkNameSpaceType, UnshareFlags},
};

use super::{
    failure::Failure,
    landlock::{Lasting, Rules},
    network,
    read_back::{self, Inherited},
    root::Built,
    scratch,
};
use crate::{Net, Plan, Step, linux::process};

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
    pub(super) fn open(plan: &Plan) -> Result<Self, Failure> {
        let mounts = plan.tier.has_own_root().then(own_mounts).transpose();
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
        let inherited = match (&self.mounts, built) {
            (Some(mounts), Some(built)) => {
                enter_new(mounts, plan).map_err(Failure::at(Step::Namespaces))?;
                if !plan.shared {
                    scratch::mount(built)?;
                    loopback(plan)?;
                }
                let inherited = Inherited::read(host).map_err(Failure::at(Step::ReadBack))?;
                Some(inherited)
            }
            _ => None,
        };
        let scratch = built.map_or(&[][..], |built| &built.scratch);
        let rules = plan
            .tier
            .has_landlock()
            .then(|| Rules::new(plan, &self.lasting, scratch))
            .transpose()
            .map_err(Failure::at(Step::Landlock))?;
        Ok(Ground { rules, inherited })
    }
}

fn own_mounts() -> io::Result<OwnedFd> {
    let path = scratch::host_proc().join("self/ns/mnt");
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// The namespaces that a ground has for itself.
fn own(plan: &Plan) -> UnshareFlags {
    let network = match plan.net {
        Net::Open => UnshareFlags::empty(),
        Net::None | Net::Loopback | Net::Proxy => UnshareFlags::NEWNET,
    };
    match plan.shared {
        true => UnshareFlags::NEWNS,
        false => UnshareFlags::NEWNS | UnshareFlags::NEWIPC | network,
    }
}

fn enter_new(mounts: &OwnedFd, plan: &Plan) -> io::Result<()> {
    // Back from where the last cell is: nothing that was mounted for one is seen by another.
    let kind = Some(LinkNameSpaceType::Mount);
    rustix::thread::move_into_link_name_space(mounts.as_fd(), kind)?;
    process::unshare(own(plan))
}

/// Switches the loopback interface on where there is to be one.
pub(super) fn loopback(plan: &Plan) -> Result<(), Failure> {
    match plan.net {
        Net::Loopback | Net::Proxy => network::loopback_up().map_err(Failure::at(Step::Network)),
        Net::None | Net::Open => Ok(()),
    }
}
