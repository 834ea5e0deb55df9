//! Processes of the same user outside: signals, tracing, memory, descriptors, limits.

use crate::kit::case::{
    Case,
    Expect::{Open, Refused},
    Layer::{Landlock, Mounts, Namespaces, Seccomp},
    Prepare, Truth,
};

const HURT: Case = Case {
    prepare: Prepare::Victim,
    full: Refused("ESRCH"),
    landlock: Refused("EPERM"),
    truth: Truth::VictimChanged,
    leans: &[Namespaces, Landlock],
    ..Case::BASE
};
const READ: Case = Case {
    full: Refused("EPERM"),
    truth: Truth::Learned("{nonce}"),
    // The user namespace, which refuses it by itself, goes with the mounts.
    leans: &[Seccomp, Namespaces, Landlock, Mounts],
    ..HURT
};
const LIMITED: Case = Case {
    full: Refused("EPERM"),
    leans: &[Seccomp, Namespaces],
    ..HURT
};

pub(super) const CASES: &[Case] = &[
    Case {
        number: "48",
        title: "kills a process of its user outside",
        act: &["kill", "{victim}", "9"],
        ..HURT
    },
    Case {
        number: "48b",
        title: "stops such a process",
        act: &["kill", "{victim}", "19"],
        ..HURT
    },
    Case {
        number: "48c",
        title: "kills it by a descriptor",
        act: &["pidfd-kill", "{victim}", "9"],
        ..HURT
    },
    Case {
        number: "49",
        title: "traces a process of its user outside",
        act: &["ptrace", "{victim}"],
        truth: Truth::Answer,
        ..READ
    },
    Case {
        number: "49b",
        title: "reads its memory",
        act: &["process_vm_readv", "{victim}", "{address}"],
        ..READ
    },
    Case {
        number: "49c",
        title: "writes its memory",
        act: &["process_vm_writev", "{victim}", "{address}", "changed"],
        truth: Truth::VictimChanged,
        ..READ
    },
    Case {
        number: "49d",
        title: "takes a descriptor of it",
        act: &["pidfd_getfd", "{victim}", "0"],
        full: Refused("ESRCH"),
        landlock: Refused("EPERM"),
        truth: Truth::Answer,
        ..READ
    },
    Case {
        number: "49e",
        title: "takes a descriptor of itself that way",
        act: &["pidfd_getfd-own"],
        prepare: Prepare::Nothing,
        truth: Truth::Answer,
        leans: &[Seccomp],
        ..READ
    },
    Case {
        number: "49f",
        title: "reads its memory through `/proc`",
        act: &["read-mem", "{victim}", "{address}"],
        full: Refused("ENOENT"),
        landlock: Refused("EACCES"),
        leans: &[Namespaces, Landlock, Mounts],
        ..READ
    },
    Case {
        number: "49g",
        title: "compares kernel objects with it",
        act: &["kcmp", "{victim}"],
        truth: Truth::Answer,
        ..READ
    },
    Case {
        number: "50",
        title: "reads the environment of a process outside",
        act: &["read-proc", "{victim}", "environ"],
        full: Refused("ENOENT"),
        landlock: Refused("EACCES"),
        leans: &[Namespaces, Landlock, Mounts],
        ..READ
    },
    Case {
        number: "51",
        title: "reads the arguments of a process outside",
        act: &["read-proc", "{victim}", "cmdline"],
        full: Refused("ENOENT"),
        landlock: Open,
        leans: &[Namespaces],
        ..READ
    },
    Case {
        number: "51b",
        title: "looks through all process numbers for a secret in arguments or environment",
        act: &["hunt", "{nonce}"],
        full: Refused("NOT_FOUND"),
        landlock: Open,
        truth: Truth::Answer,
        leans: &[Namespaces],
        ..READ
    },
    Case {
        number: "52",
        title: "changes the limits of a process outside",
        act: &["prlimit", "{victim}"],
        ..LIMITED
    },
    Case {
        number: "52b",
        title: "changes its priority",
        act: &["setpriority", "{victim}"],
        ..LIMITED
    },
    Case {
        number: "52c",
        title: "changes its processors",
        act: &["sched_setaffinity", "{victim}"],
        ..LIMITED
    },
    Case {
        number: "52d",
        title: "changes its scheduling",
        act: &["sched_setscheduler", "{victim}"],
        ..LIMITED
    },
    Case {
        number: "52e",
        title: "changes its priority for disks",
        act: &["ioprio_set", "{victim}"],
        truth: Truth::Answer,
        ..LIMITED
    },
];
