//! What processes share without a file: keys, memory, queues, the terminal.

use crate::kit::case::{
    Case,
    Expect::{Open, Own, Refused},
    Layer::{Landlock, Mounts, Namespaces, Seccomp},
    Prepare, Truth,
};

const SHARED: Case = Case {
    full: Refused("EPERM"),
    truth: Truth::Learned("{nonce}"),
    leans: &[Seccomp, Namespaces],
    ..Case::BASE
};

pub(super) const CASES: &[Case] = &[
    Case {
        number: "53",
        title: "reads a key of its user",
        act: &["read-key", "{key}"],
        prepare: Prepare::Key,
        // A user namespace has keys of its own, and goes with the mounts.
        leans: &[Seccomp, Namespaces, Mounts],
        ..SHARED
    },
    Case {
        number: "53b",
        title: "adds a key to its user's ring",
        act: &["add-key", "probe-added", "x"],
        truth: Truth::Answer,
        leans: &[Seccomp],
        ..SHARED
    },
    Case {
        number: "53c",
        title: "reads the names of its user's keys",
        act: &["read", "/proc/keys"],
        prepare: Prepare::Key,
        full: Own,
        landlock: Open,
        truth: Truth::Learned("{key}"),
        leans: &[Mounts],
        ..SHARED
    },
    Case {
        number: "54",
        title: "reads System V shared memory of its user",
        act: &["read-shm", "{key}"],
        prepare: Prepare::SharedMemory,
        full: Refused("ENOENT"),
        landlock: Refused("EPERM"),
        leans: &[Namespaces],
        ..SHARED
    },
    Case {
        number: "54b",
        title: "reads a message queue of its user",
        act: &["read-mq", "{key}"],
        prepare: Prepare::Queue,
        full: Refused("ENOENT"),
        landlock: Refused("EPERM"),
        leans: &[Namespaces, Landlock],
        ..SHARED
    },
    Case {
        number: "54c",
        title: "reads a file of its user's shared memory",
        act: &["read", "{shm}"],
        prepare: Prepare::ShmFile,
        full: Refused("ENOENT"),
        landlock: Refused("EACCES"),
        leans: &[Mounts, Landlock],
        ..SHARED
    },
    Case {
        number: "55",
        title: "types into its standard input",
        act: &["tiocsti", "0"],
        prepare: Prepare::Terminal,
        truth: Truth::Typed,
        // Were the call let through, the command would have no terminal there.
        leans: &[],
        ..SHARED
    },
    Case {
        number: "55b",
        title: "types into the terminal of whoever started it",
        act: &["tiocsti", "/dev/tty"],
        prepare: Prepare::Terminal,
        full: Refused("ENOENT"),
        landlock: Refused("EACCES"),
        truth: Truth::Typed,
        // Its session has none, whatever lies there.
        leans: &[],
        ..SHARED
    },
];
