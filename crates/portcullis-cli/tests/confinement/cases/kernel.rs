//! The kernel itself: namespaces, mounts, system calls that undo a confinement, and what root may write in `/proc`.

use crate::kit::case::{
    Case,
    Expect::{Open, Refused},
    Layer::{Caps, Landlock, Mounts, Namespaces, Seccomp},
};

const CALL: Case = Case {
    full: Refused("EPERM"),
    leans: &[Seccomp, Caps],
    ..Case::BASE
};
const ROOTS_CALL: Case = Case {
    needs_root: true,
    ..CALL
};
const ROOTS_FILE: Case = Case {
    full: Refused("EROFS"),
    landlock: Refused("EACCES"),
    needs_root: true,
    leans: &[Mounts, Landlock, Namespaces],
    ..Case::BASE
};

pub(super) const CASES: &[Case] = &[
    Case {
        number: "56",
        title: "makes a user namespace and mounts in it",
        act: &["own-root", "{rw}"],
        leans: &[Seccomp, Namespaces, Landlock],
        ..CALL
    },
    Case {
        number: "56b",
        title: "makes a user namespace by `clone`",
        act: &["clone", "0x10000000"],
        leans: &[Seccomp, Namespaces],
        ..CALL
    },
    Case {
        number: "56c",
        title: "calls `clone3`, whose flags no filter sees",
        act: &["clone3", "0"],
        full: Refused("ENOSYS"),
        leans: &[Seccomp],
        ..CALL
    },
    Case {
        number: "56d",
        title: "finds that user namespaces may be made",
        act: &["user-namespaces-left"],
        full: Refused("NOT_FOUND"),
        landlock: Open,
        leans: &[Namespaces],
        ..CALL
    },
    Case {
        number: "56e",
        title: "joins another namespace",
        act: &["setns", "/proc/self/ns/net"],
        ..ROOTS_CALL
    },
    Case {
        number: "56f",
        title: "mounts a file system",
        act: &["mount", "{rw}"],
        leans: &[Seccomp, Caps, Landlock],
        ..ROOTS_CALL
    },
    Case {
        number: "56g",
        title: "changes its root",
        act: &["chroot", "{rw}"],
        ..ROOTS_CALL
    },
    Case {
        number: "56h",
        title: "copies a tree of mounts",
        act: &["open_tree", "/"],
        ..ROOTS_CALL
    },
    Case {
        number: "56i",
        title: "prepares a new file system",
        act: &["fsopen", "tmpfs"],
        ..ROOTS_CALL
    },
    Case {
        number: "56j",
        title: "loads a program into the kernel",
        act: &["bpf"],
        leans: &[Seccomp, Caps, Namespaces, Mounts],
        ..ROOTS_CALL
    },
    Case {
        number: "56k",
        title: "handles page faults in user space",
        act: &["userfaultfd"],
        leans: &[Seccomp],
        ..CALL
    },
    Case {
        number: "56l",
        title: "counts events of the processor",
        act: &["perf_event_open"],
        leans: &[Seccomp, Caps, Namespaces, Mounts],
        ..ROOTS_CALL
    },
    Case {
        number: "56m",
        title: "makes all it may read executable",
        act: &["personality"],
        leans: &[Seccomp],
        ..CALL
    },
    Case {
        number: "61",
        title: "opens for writing what the kernel runs at the next crash",
        act: &["open-for-writing", "/proc/sys/kernel/core_pattern"],
        ..ROOTS_FILE
    },
    Case {
        number: "61b",
        title: "opens `/proc/sysrq-trigger` for writing",
        act: &["open-for-writing", "/proc/sysrq-trigger"],
        missing: Some("ENOENT"),
        ..ROOTS_FILE
    },
    Case {
        number: "61c",
        title: "opens a file of `/proc/irq` for writing",
        act: &["open-for-writing", "/proc/irq/default_smp_affinity"],
        missing: Some("ENOENT"),
        ..ROOTS_FILE
    },
    Case {
        number: "61d",
        title: "opens a file of `/proc/sys/vm` for writing",
        act: &["open-for-writing", "/proc/sys/vm/drop_caches"],
        ..ROOTS_FILE
    },
    Case {
        number: "62",
        title: "keeps a capability, or lacks the filter or `no_new_privs`",
        act: &["status"],
        full: Refused("NO_PRIVILEGE"),
        leans: &[Seccomp, Caps],
        ..Case::BASE
    },
];
