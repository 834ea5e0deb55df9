//! Metadata of files: modes, times, attributes, links, handles.

use crate::kit::case::{
    Case,
    Expect::{Open, Refused},
    Grant,
    Layer::{Caps, Landlock, Mounts, Namespaces, Seccomp},
    Truth,
};

const OUTSIDE: Case = Case {
    full: Refused("ENOENT"),
    landlock: Open,
    grant: Grant::Write("{outside}"),
    truth: Truth::Changed("{outside}/file"),
    leans: &[Mounts],
    ..Case::BASE
};
const READ_ONLY: Case = Case {
    full: Refused("EROFS"),
    landlock: Refused("EACCES"),
    grant: Grant::Write("{ro}"),
    truth: Truth::Changed("{ro}/file"),
    leans: &[Mounts, Landlock],
    ..Case::BASE
};

pub(super) const CASES: &[Case] = &[
    Case {
        number: "6",
        title: "changes the mode of its user's file outside",
        act: &["chmod", "{outside}/file", "600"],
        ..OUTSIDE
    },
    Case {
        number: "6b",
        title: "changes the mode of a file in a read-only root",
        act: &["chmod", "{ro}/file", "600"],
        landlock: Open,
        leans: &[Mounts],
        ..READ_ONLY
    },
    Case {
        number: "6c",
        title: "gives a file in a writable root a set-user-id bit",
        act: &["chmod", "{rw}/file", "4755"],
        full: Refused("EPERM"),
        truth: Truth::Changed("{rw}/file"),
        leans: &[Seccomp],
        ..Case::BASE
    },
    Case {
        number: "6d",
        title: "gives a file in a writable root a set-group-id bit",
        act: &["make-with-mode", "{rw}/new", "2755"],
        full: Refused("EPERM"),
        leans: &[Seccomp],
        ..Case::BASE
    },
    Case {
        number: "7",
        title: "changes the times of a file outside",
        act: &["utimensat", "{outside}/file"],
        ..OUTSIDE
    },
    Case {
        number: "7b",
        title: "sets an attribute of a file outside",
        act: &["setxattr", "{outside}/file"],
        ..OUTSIDE
    },
    Case {
        number: "7c",
        title: "sets a flag of a file in a read-only root",
        act: &["set-flags", "{ro}/file"],
        landlock: Open,
        truth: Truth::Answer,
        leans: &[Mounts],
        // Not every file system has flags.
        missing: Some("ENOTTY"),
        ..READ_ONLY
    },
    Case {
        number: "8",
        title: "writes a file in a read-only root",
        act: &["write", "{ro}/file", "x"],
        ..READ_ONLY
    },
    Case {
        number: "8b",
        title: "creates a file in a read-only root",
        act: &["create", "{ro}/new", "x"],
        truth: Truth::Changed("{ro}/new"),
        ..READ_ONLY
    },
    Case {
        number: "8c",
        title: "opens a read-only file again, for writing, by the name of its descriptor",
        act: &["reopen-for-writing", "{ro}/file", "x"],
        ..READ_ONLY
    },
    Case {
        number: "10",
        title: "links a read-only file into a writable root and writes it there",
        act: &["link-and-write", "{ro}/file", "{rw}/linked", "x"],
        full: Refused("EXDEV"),
        landlock: Refused("EXDEV"),
        grant: Grant::Never,
        ..READ_ONLY
    },
    Case {
        number: "11",
        title: "moves a read-only file into a writable root",
        act: &["rename", "{ro}/file", "{rw}/moved"],
        full: Refused("EXDEV"),
        grant: Grant::Never,
        ..READ_ONLY
    },
    Case {
        number: "16",
        title: "opens a file by its handle",
        act: &["open-by-handle", "{secret}", "{rw}"],
        full: Refused("EPERM"),
        truth: Truth::Learned("{nonce}"),
        leans: &[Seccomp, Caps, Mounts, Landlock, Namespaces],
        needs_root: true,
        ..Case::BASE
    },
];
