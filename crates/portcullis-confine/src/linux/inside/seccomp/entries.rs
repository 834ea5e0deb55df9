//! What the filter refuses, and why, as data.

use std::ffi::{c_int, c_long};

/// One refusal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// The system call.
    pub(super) number: c_long,
    /// What the caller gets.
    pub(super) errno: c_int,
    /// All must hold; empty is always.
    pub(super) when: &'static [Test],
    /// Why.
    #[cfg_attr(not(test), expect(dead_code, reason = "for whoever reads the list"))]
    pub(super) reason: &'static str,
}

/// A test of one argument, by its place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Test {
    /// Any of these bits is set.
    AnyOf(u32, u32),
    /// None of these bits is set.
    NoneOf(u32, u32),
    /// It has this value.
    Is(u32, u32),
    /// It has another value.
    IsNot(u32, u32),
}

use Test::{AnyOf, Is, IsNot, NoneOf};

const fn deny(number: c_long, reason: &'static str) -> Entry {
    deny_if(number, &[], reason)
}

const fn deny_if(number: c_long, when: &'static [Test], reason: &'static str) -> Entry {
    refuse(number, libc::EPERM, when, reason)
}

/// For calls that programs try and can do without.
const fn missing(number: c_long, reason: &'static str) -> Entry {
    refuse(number, libc::ENOSYS, &[], reason)
}

const fn refuse(
    number: c_long,
    errno: c_int,
    when: &'static [Test],
    reason: &'static str,
) -> Entry {
    Entry {
        number,
        errno,
        when,
        reason,
    }
}

const fn bits(value: c_int) -> u32 {
    value.cast_unsigned()
}

const MEMORY: &str = "memory and descriptors of other processes";
const KEYS: &str = "the kernel's key store belongs to the user, not to the cell";
const KERNEL: &str = "a large surface of the kernel that no command of a plugin needs";
const MOUNTS: &str = "mounts are what the cell's walls are made of";
const NAMESPACES: &str =
    "a new user namespace gives capabilities back, and with them the kernel's whole surface";
const MACHINE: &str = "the machine itself";
const HANDLES: &str = "a handle opens a file without walking to it, past every mount";
const RING: &str = "its operations pass this filter by";
const TERMINAL: &str = "types into a terminal, for whoever reads it next";
const SET_ID: &str =
    "a set-id file in a granted directory would be run with its owner's rights by others";
const UNSEEN: &str = "its flags lie behind a pointer, where a filter cannot look";
const OTHERS: &str = "limits and priorities of other processes, the cell's init among them";

const FILES_IN_MEMORY: &str = "can be executed where no mount forbids it, and counts as nobody's memory while it is not mapped";

/// Set-user-id and set-group-id.
const SET_ID_BITS: u32 = 0o6000;
const CREATES: u32 = bits(libc::O_CREAT) | (bits(libc::O_TMPFILE) & !bits(libc::O_DIRECTORY));
/// Every `CLONE_NEW*` but the one for time, which `clone` does not take.
const NEW_NAMESPACE: u32 = bits(
    libc::CLONE_NEWNS
        | libc::CLONE_NEWCGROUP
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUSER
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET,
);
/// With these the 0 that otherwise stands for oneself is every process of the user: `PRIO_USER`, `IOPRIO_WHO_USER`.
const EVERYBODY_PRIORITY: u32 = 2;
const EVERYBODY_IO_PRIORITY: u32 = 3;
/// `personality(2)` that only asks.
const ASK_PERSONALITY: u32 = u32::MAX;

// Calls that are newer than the C library's list, by the number that all architectures share.
const SYS_FCHMODAT2: c_long = 452;
const SYS_OPEN_TREE_ATTR: c_long = 467;

/// In every cell.
pub(super) const ALWAYS: &[Entry] = &[
    deny_if(
        libc::SYS_openat,
        &[AnyOf(2, CREATES), AnyOf(3, SET_ID_BITS)],
        SET_ID,
    ),
    #[cfg(target_arch = "x86_64")]
    deny_if(
        libc::SYS_open,
        &[AnyOf(1, CREATES), AnyOf(2, SET_ID_BITS)],
        SET_ID,
    ),
    missing(libc::SYS_openat2, UNSEEN),
    deny_if(libc::SYS_clone, &[AnyOf(0, NEW_NAMESPACE)], NAMESPACES),
    missing(libc::SYS_clone3, UNSEEN),
    deny_if(libc::SYS_ioctl, &[Is(1, 0x5412)], TERMINAL), // TIOCSTI
    deny_if(libc::SYS_ioctl, &[Is(1, 0x541c)], TERMINAL), // TIOCLINUX
    deny_if(libc::SYS_prlimit64, &[IsNot(0, 0)], OTHERS),
    deny_if(libc::SYS_setpriority, &[IsNot(1, 0)], OTHERS),
    deny_if(libc::SYS_setpriority, &[Is(0, EVERYBODY_PRIORITY)], OTHERS),
    deny_if(libc::SYS_sched_setaffinity, &[IsNot(0, 0)], OTHERS),
    deny_if(libc::SYS_sched_setattr, &[IsNot(0, 0)], OTHERS),
    deny_if(libc::SYS_sched_setparam, &[IsNot(0, 0)], OTHERS),
    deny_if(libc::SYS_sched_setscheduler, &[IsNot(0, 0)], OTHERS),
    deny_if(libc::SYS_ioprio_set, &[IsNot(1, 0)], OTHERS),
    deny_if(
        libc::SYS_ioprio_set,
        &[Is(0, EVERYBODY_IO_PRIORITY)],
        OTHERS,
    ),
    deny_if(
        libc::SYS_personality,
        &[IsNot(0, 0), IsNot(0, ASK_PERSONALITY)],
        "switches protections of the kernel off",
    ),
    deny_if(libc::SYS_fchmod, &[AnyOf(1, SET_ID_BITS)], SET_ID),
    deny_if(libc::SYS_fchmodat, &[AnyOf(2, SET_ID_BITS)], SET_ID),
    deny_if(SYS_FCHMODAT2, &[AnyOf(2, SET_ID_BITS)], SET_ID),
    deny_if(libc::SYS_mknodat, &[AnyOf(2, SET_ID_BITS)], SET_ID),
    deny_if(libc::SYS_mkdirat, &[AnyOf(2, SET_ID_BITS)], SET_ID),
    #[cfg(target_arch = "x86_64")]
    deny_if(libc::SYS_chmod, &[AnyOf(1, SET_ID_BITS)], SET_ID),
    #[cfg(target_arch = "x86_64")]
    deny_if(libc::SYS_creat, &[AnyOf(1, SET_ID_BITS)], SET_ID),
    #[cfg(target_arch = "x86_64")]
    deny_if(libc::SYS_mknod, &[AnyOf(1, SET_ID_BITS)], SET_ID),
    #[cfg(target_arch = "x86_64")]
    deny_if(libc::SYS_mkdir, &[AnyOf(1, SET_ID_BITS)], SET_ID),
    missing(libc::SYS_io_uring_setup, RING),
    missing(libc::SYS_io_uring_enter, RING),
    missing(libc::SYS_io_uring_register, RING),
    deny(libc::SYS_ptrace, MEMORY),
    deny(libc::SYS_process_vm_readv, MEMORY),
    deny(libc::SYS_process_vm_writev, MEMORY),
    deny(libc::SYS_pidfd_getfd, MEMORY),
    deny(libc::SYS_process_madvise, MEMORY),
    deny(libc::SYS_kcmp, MEMORY),
    deny(libc::SYS_keyctl, KEYS),
    deny(libc::SYS_add_key, KEYS),
    deny(libc::SYS_request_key, KEYS),
    deny(libc::SYS_memfd_create, FILES_IN_MEMORY),
    deny(libc::SYS_memfd_secret, FILES_IN_MEMORY),
    deny(libc::SYS_bpf, KERNEL),
    deny(libc::SYS_perf_event_open, KERNEL),
    deny(libc::SYS_userfaultfd, KERNEL),
    #[cfg(target_arch = "x86_64")]
    deny(libc::SYS_modify_ldt, KERNEL),
    deny(
        libc::SYS_syslog,
        "the kernel's log tells about other processes",
    ),
    deny(libc::SYS_unshare, NAMESPACES),
    deny(libc::SYS_setns, NAMESPACES),
    deny(libc::SYS_mount, MOUNTS),
    deny(libc::SYS_umount2, MOUNTS),
    deny(libc::SYS_pivot_root, MOUNTS),
    deny(libc::SYS_chroot, MOUNTS),
    deny(libc::SYS_open_tree, MOUNTS),
    deny(SYS_OPEN_TREE_ATTR, MOUNTS),
    deny(libc::SYS_move_mount, MOUNTS),
    deny(libc::SYS_fsopen, MOUNTS),
    deny(libc::SYS_fsconfig, MOUNTS),
    deny(libc::SYS_fsmount, MOUNTS),
    deny(libc::SYS_fspick, MOUNTS),
    deny(libc::SYS_mount_setattr, MOUNTS),
    deny(libc::SYS_name_to_handle_at, HANDLES),
    deny(libc::SYS_open_by_handle_at, HANDLES),
    deny(libc::SYS_init_module, MACHINE),
    deny(libc::SYS_finit_module, MACHINE),
    deny(libc::SYS_delete_module, MACHINE),
    deny(libc::SYS_kexec_load, MACHINE),
    deny(libc::SYS_kexec_file_load, MACHINE),
    deny(libc::SYS_reboot, MACHINE),
    deny(libc::SYS_swapon, MACHINE),
    deny(libc::SYS_swapoff, MACHINE),
    deny(libc::SYS_acct, MACHINE),
    deny(libc::SYS_quotactl, MACHINE),
    deny(libc::SYS_quotactl_fd, MACHINE),
    #[cfg(target_arch = "x86_64")]
    deny(libc::SYS_iopl, MACHINE),
    #[cfg(target_arch = "x86_64")]
    deny(libc::SYS_ioperm, MACHINE),
];

const FAMILY: &str = "a family of sockets that leads out of the cell, or deep into the kernel";
const UNIX: Test = IsNot(0, bits(libc::AF_UNIX));

/// Where the plan gives no network.
pub(super) const WITHOUT_INTERNET: &[Entry] = &[refuse(
    libc::SYS_socket,
    libc::EAFNOSUPPORT,
    &[UNIX],
    FAMILY,
)];

/// Where the plan gives a network of any kind.
pub(super) const WITH_INTERNET: &[Entry] = &[refuse(
    libc::SYS_socket,
    libc::EAFNOSUPPORT,
    &[
        UNIX,
        IsNot(0, bits(libc::AF_INET)),
        IsNot(0, bits(libc::AF_INET6)),
    ],
    FAMILY,
)];

const IPC: &str = "shared memory and queues that are the host's, for want of a namespace";

/// Where the cell shares the host's namespaces.
pub(super) const WITHOUT_NAMESPACES: &[Entry] = &[
    refuse(
        libc::SYS_socket,
        libc::EAFNOSUPPORT,
        &[Is(0, bits(libc::AF_UNIX))],
        "a socket by path leads to any service of the user (Landlock before ABI 9 does not look)",
    ),
    deny(libc::SYS_shmget, IPC),
    deny(libc::SYS_shmat, IPC),
    deny(libc::SYS_shmctl, IPC),
    deny(libc::SYS_semget, IPC),
    deny(libc::SYS_semctl, IPC),
    deny(libc::SYS_semop, IPC),
    deny(libc::SYS_semtimedop, IPC),
    deny(libc::SYS_msgget, IPC),
    deny(libc::SYS_msgctl, IPC),
    deny(libc::SYS_msgsnd, IPC),
    deny(libc::SYS_msgrcv, IPC),
    deny(libc::SYS_mq_open, IPC),
    deny(libc::SYS_mq_unlink, IPC),
];

const ALONE: &str = "what plays a record starts nothing";
const SILENT: &str = "what plays a record reaches nobody";

/// For a process that is to stay the only one, and to reach none.
pub(super) const OF_ONE: &[Entry] = &[
    deny(libc::SYS_execve, ALONE),
    deny(libc::SYS_execveat, ALONE),
    #[cfg(target_arch = "x86_64")]
    deny(libc::SYS_fork, ALONE),
    #[cfg(target_arch = "x86_64")]
    deny(libc::SYS_vfork, ALONE),
    deny_if(
        libc::SYS_clone,
        &[NoneOf(0, bits(libc::CLONE_THREAD))],
        ALONE,
    ),
    missing(libc::SYS_clone3, UNSEEN),
    deny(libc::SYS_socket, SILENT),
    deny(libc::SYS_socketpair, SILENT),
    deny(libc::SYS_io_uring_setup, RING),
];
