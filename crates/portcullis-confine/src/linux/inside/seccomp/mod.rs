//! The system call filter of a cell: everything is allowed but what [`entries`] lists, each with its reason.
//!
//! A list of denials, because commands are any programs: the kernel's file and network walls stand without it. It
//! takes away what they do not cover, and what most bugs of the kernel were found in.
//!
//! Source: `seccomp(2)`, `Documentation/userspace-api/seccomp_filter.rst`.
#![expect(unsafe_code, reason = "rustix cannot install a filter")]

mod assemble;
mod entries;
pub(super) mod notify;

use std::io;

use crate::{Net, Plan};

/// A filter, assembled once in a template and installed in each cell.
pub(super) struct Filter(Vec<libc::sock_filter>);

impl Filter {
    /// The filter for a plan.
    pub(super) fn new(plan: &Plan) -> Self {
        let mut list = entries::ALWAYS.to_vec();
        list.extend_from_slice(match plan.net {
            Net::None => entries::WITHOUT_INTERNET,
            Net::Loopback | Net::Proxy | Net::Open => entries::WITH_INTERNET,
        });
        if !plan.tier.has_own_root() {
            list.extend_from_slice(entries::WITHOUT_NAMESPACES);
        }
        Self(assemble::assemble(&list))
    }

    /// Installs it for this process and all it will start. `no_new_privs` must be set.
    pub(super) fn install(&self) -> io::Result<()> {
        let program = libc::sock_fprog {
            len: u16::try_from(self.0.len()).map_err(io::Error::other)?,
            filter: self.0.as_ptr().cast_mut(),
        };
        // SAFETY: the kernel copies `len` instructions from `filter`, which are there, before it returns.
        let result = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                0,
                &raw const program,
            )
        };
        match result {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// Makes this process one that starts no other and opens no socket, whatever it does from now on: threads of it, only.
///
/// # Errors
/// The kernel installs no filter.
pub fn stay_alone() -> io::Result<()> {
    rustix::thread::set_no_new_privs(true)?;
    Filter(assemble::assemble(entries::OF_ONE)).install()
}

/// Whether the filter refuses what it refuses in every cell: making a user namespace.
pub(super) fn refuses() -> bool {
    // SAFETY: no memory is involved. Should the call succeed, the cell is not handed out.
    let result = unsafe { libc::syscall(libc::SYS_unshare, libc::CLONE_NEWUSER) };
    result == -1 && io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
}
