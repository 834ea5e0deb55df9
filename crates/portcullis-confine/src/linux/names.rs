//! The system calls that name a file: by which arguments, and what they do with it.
//!
//! `inside` makes a filter of the numbers; `host` reads the names. Calls that are given a descriptor instead are not
//! here: how it was opened was seen. Nor are sockets, whose paths are no files.

use std::ffi::c_long;

/// One system call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) number: c_long,
    pub(super) names: &'static [Name],
    pub(super) act: Act,
}

/// The arguments, by their places, that name one file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    /// The directory from which a relative path is meant; without one it is the working directory.
    pub(super) directory: Option<usize>,
    pub(super) path: usize,
}

/// What is done with it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    /// Opened, with the flags in this argument.
    Open(usize),
    /// Opened, with the flags in the first word behind this address.
    OpenHow(usize),
    Write,
    Look,
    Execute,
}

const fn call(number: c_long, names: &'static [Name], act: Act) -> Call {
    Call { number, names, act }
}

/// A path in this argument.
const fn at(path: usize) -> Name {
    Name {
        directory: None,
        path,
    }
}

/// A directory in this argument, and a path in the next.
const fn below(directory: usize) -> Name {
    Name {
        directory: Some(directory),
        path: directory + 1,
    }
}

const FIRST: &[Name] = &[at(0)];
const BELOW_FIRST: &[Name] = &[below(0)];

// Calls that are newer than the C library's list, by the number that all architectures share.
const SYS_FCHMODAT2: c_long = 452;
const SYS_SETXATTRAT: c_long = 463;
const SYS_REMOVEXATTRAT: c_long = 466;

pub(super) const CALLS: &[Call] = &[
    call(libc::SYS_openat, BELOW_FIRST, Act::Open(2)),
    call(libc::SYS_openat2, BELOW_FIRST, Act::OpenHow(2)),
    call(libc::SYS_newfstatat, BELOW_FIRST, Act::Look),
    call(libc::SYS_statx, BELOW_FIRST, Act::Look),
    call(libc::SYS_faccessat, BELOW_FIRST, Act::Look),
    call(libc::SYS_faccessat2, BELOW_FIRST, Act::Look),
    call(libc::SYS_readlinkat, BELOW_FIRST, Act::Look),
    call(libc::SYS_chdir, FIRST, Act::Look),
    call(libc::SYS_statfs, FIRST, Act::Look),
    call(libc::SYS_execve, FIRST, Act::Execute),
    call(libc::SYS_execveat, BELOW_FIRST, Act::Execute),
    call(libc::SYS_mkdirat, BELOW_FIRST, Act::Write),
    call(libc::SYS_mknodat, BELOW_FIRST, Act::Write),
    call(libc::SYS_unlinkat, BELOW_FIRST, Act::Write),
    call(libc::SYS_renameat, &[below(0), below(2)], Act::Write),
    call(libc::SYS_renameat2, &[below(0), below(2)], Act::Write),
    call(libc::SYS_linkat, &[below(0), below(2)], Act::Write),
    call(libc::SYS_symlinkat, &[below(1)], Act::Write),
    call(libc::SYS_truncate, FIRST, Act::Write),
    call(libc::SYS_fchmodat, BELOW_FIRST, Act::Write),
    call(SYS_FCHMODAT2, BELOW_FIRST, Act::Write),
    call(libc::SYS_fchownat, BELOW_FIRST, Act::Write),
    call(libc::SYS_utimensat, BELOW_FIRST, Act::Write),
    call(libc::SYS_setxattr, FIRST, Act::Write),
    call(libc::SYS_lsetxattr, FIRST, Act::Write),
    call(SYS_SETXATTRAT, BELOW_FIRST, Act::Write),
    call(libc::SYS_removexattr, FIRST, Act::Write),
    call(libc::SYS_lremovexattr, FIRST, Act::Write),
    call(SYS_REMOVEXATTRAT, BELOW_FIRST, Act::Write),
    // What newer architectures left out.
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_open, FIRST, Act::Open(1)),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_creat, FIRST, Act::Write),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_stat, FIRST, Act::Look),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_lstat, FIRST, Act::Look),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_access, FIRST, Act::Look),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_readlink, FIRST, Act::Look),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_mkdir, FIRST, Act::Write),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_mknod, FIRST, Act::Write),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_rmdir, FIRST, Act::Write),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_unlink, FIRST, Act::Write),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_rename, &[at(0), at(1)], Act::Write),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_link, &[at(0), at(1)], Act::Write),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_symlink, &[at(1)], Act::Write),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_chmod, FIRST, Act::Write),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_chown, FIRST, Act::Write),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_lchown, FIRST, Act::Write),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_utime, FIRST, Act::Write),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_utimes, FIRST, Act::Write),
    #[cfg(target_arch = "x86_64")]
    call(libc::SYS_futimesat, BELOW_FIRST, Act::Write),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_is_there_once() {
        let mut numbers: Vec<c_long> = CALLS.iter().map(|call| call.number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), CALLS.len());
    }
}
