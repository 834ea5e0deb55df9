//! Running code: programs off the list, and code brought along.

use crate::kit::case::{
    Case,
    Expect::{Absent, Open, Refused},
    Grant,
    Layer::{Caps, Landlock, Mounts, Namespaces, Seccomp},
    Prepare, Truth,
};

const RAN: Truth = Truth::Learned("RAN");
const LISTED: Case = Case {
    full: Refused("EACCES"),
    // Which programs a command may execute is Landlock's to say.
    namespaces: Open,
    leans: &[Landlock],
    ..Case::BASE
};
const DROPPED: Case = Case {
    full: Refused("EACCES"),
    grant: Grant::WriteExec("{rw}"),
    truth: RAN,
    leans: &[Mounts, Landlock],
    ..Case::BASE
};

pub(super) const CASES: &[Case] = &[
    Case {
        number: "20",
        title: "executes a program that is not on its list",
        act: &["exec", "/usr/bin/id"],
        grant: Grant::Exec(&["id"]),
        truth: Truth::Learned("uid="),
        ..LISTED
    },
    Case {
        number: "21",
        title: "has the dynamic loader run such a program",
        act: &["ld.so", "uid=", "/usr/bin/id"],
        grant: Grant::Exec(&["id"]),
        truth: Truth::Learned("uid="),
        ..LISTED
    },
    Case {
        number: "22",
        title: "writes a program and executes it",
        act: &["drop-exec", "{elf}", "{rw}/dropped"],
        ..DROPPED
    },
    Case {
        number: "23",
        title: "writes a program and has the dynamic loader run it",
        act: &["drop-ld.so", "{elf}", "{rw}/dropped"],
        full: Refused("EPERM"),
        landlock: Open,
        leans: &[Mounts],
        ..DROPPED
    },
    Case {
        number: "24",
        title: "writes a library and preloads it into itself",
        act: &["drop-preload", "{library}", "{rw}/dropped.so", "{probe}"],
        full: Refused("EPERM"),
        landlock: Open,
        truth: Truth::Learned("PRELOADED"),
        leans: &[Mounts],
        ..DROPPED
    },
    Case {
        number: "24b",
        title: "preloads a library out of a directory that it may only read",
        act: &["preload", "{library}", "{probe}"],
        full: Refused("EPERM"),
        landlock: Open,
        grant: Grant::Never,
        truth: Truth::Learned("PRELOADED"),
        leans: &[Mounts],
        ..DROPPED
    },
    Case {
        number: "25",
        title: "executes a program out of memory",
        act: &["memfd-execveat", "{elf}"],
        full: Refused("EPERM"),
        grant: Grant::Never,
        leans: &[Seccomp, Landlock],
        ..DROPPED
    },
    Case {
        number: "25b",
        title: "executes it by its name in `/proc`",
        act: &["memfd-proc", "{elf}"],
        full: Refused("EPERM"),
        grant: Grant::Never,
        leans: &[Seccomp, Landlock, Mounts],
        ..DROPPED
    },
    Case {
        number: "25c",
        title: "makes a file in memory that cannot be executed",
        act: &["memfd"],
        full: Refused("EPERM"),
        leans: &[Seccomp],
        // Linux 6.3 knows such files.
        missing: Some("EINVAL"),
        ..Case::BASE
    },
    Case {
        number: "26",
        title: "writes a script and executes it",
        act: &["script", "{rw}/script"],
        ..DROPPED
    },
    Case {
        number: "26b",
        title: "has a shell that is not on its list read that script",
        act: &["script-by-shell", "{rw}/script"],
        grant: Grant::Exec(&["sh"]),
        truth: RAN,
        ..LISTED
    },
    Case {
        number: "27",
        title: "gains from a set-user-id program",
        act: &["set-id", "{set_id}", "euid=61235"],
        prepare: Prepare::SetId,
        full: Refused("NO_PRIVILEGE"),
        truth: Truth::Learned("euid=61235"),
        leans: &[Caps, Mounts, Namespaces],
        ..Case::BASE
    },
    Case {
        number: "29",
        title: "rewrites its own program, which its user may write",
        act: &["rewrite-own"],
        prepare: Prepare::OwnProgram,
        full: Refused("EROFS"),
        landlock: Refused("EACCES"),
        truth: Truth::Changed("{program}"),
        leans: &[Mounts, Landlock],
        ..Case::BASE
    },
    Case {
        number: "64",
        title: "executes a file of a format that a handler of the kernel's would run",
        act: &["exec", "{foreign}", "RAN"],
        prepare: Prepare::ForeignFormat,
        full: Refused("ENOEXEC"),
        // The list of handlers belongs to a user namespace, of which such a cell has none: the machine's are in force.
        landlock: Absent,
        truth: RAN,
        leans: &[Namespaces],
        ..Case::BASE
    },
];
