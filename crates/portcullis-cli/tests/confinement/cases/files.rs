//! Reading, listing and changing files that no grant names.

use crate::kit::case::{
    Case,
    Expect::{Open, Refused},
    Grant,
    Layer::{Hidden, Landlock, Mounts, Namespaces, Seccomp},
    Prepare, Truth,
};

const SECRET: Truth = Truth::Learned("{nonce}");
const GONE: Case = Case {
    full: Refused("ENOENT"),
    landlock: Refused("EACCES"),
    leans: &[Mounts, Landlock],
    ..Case::BASE
};
const READING: Case = Case {
    truth: SECRET,
    grant: Grant::Read("{outside}"),
    ..GONE
};

pub(super) const CASES: &[Case] = &[
    Case {
        number: "1",
        title: "opens a secret outside its roots",
        act: &["read", "{secret}"],
        ..READING
    },
    Case {
        number: "1b",
        title: "opens it by `openat2`",
        act: &["openat2", "{secret}"],
        // Its flags lie behind a pointer, where a filter cannot look; programs do without it.
        full: Refused("ENOSYS"),
        landlock: Refused("ENOSYS"),
        grant: Grant::Never,
        leans: &[Mounts, Landlock, Seccomp],
        ..READING
    },
    Case {
        number: "2",
        title: "lists a directory outside",
        act: &["list", "{outside}"],
        grant: Grant::Read("{outside}"),
        truth: Truth::Learned("secret"),
        ..GONE
    },
    Case {
        number: "3",
        title: "asks whether a file outside exists",
        act: &["stat", "{secret}"],
        grant: Grant::Read("{outside}"),
        landlock: Open,
        leans: &[Mounts],
        ..GONE
    },
    Case {
        number: "3b",
        title: "watches which names come to be in a directory outside",
        act: &["watch", "{outside}"],
        grant: Grant::Read("{outside}"),
        landlock: Open,
        leans: &[Mounts],
        ..GONE
    },
    Case {
        number: "4",
        title: "creates a file outside",
        act: &["create", "{outside}/new", "x"],
        grant: Grant::Write("{outside}"),
        truth: Truth::Changed("{outside}/new"),
        ..GONE
    },
    Case {
        number: "4b",
        title: "makes a directory outside",
        act: &["mkdir", "{outside}/new"],
        grant: Grant::Write("{outside}"),
        truth: Truth::Changed("{outside}/new"),
        ..GONE
    },
    Case {
        number: "5",
        title: "truncates a file outside",
        act: &["truncate", "{outside}/file"],
        grant: Grant::Write("{outside}"),
        truth: Truth::Changed("{outside}/file"),
        ..GONE
    },
    Case {
        number: "5b",
        title: "removes a file outside",
        act: &["unlink", "{outside}/file"],
        grant: Grant::Write("{outside}"),
        truth: Truth::Changed("{outside}/file"),
        ..GONE
    },
    Case {
        number: "5c",
        title: "renames a file outside",
        act: &["rename", "{outside}/file", "{outside}/moved"],
        grant: Grant::Write("{outside}"),
        truth: Truth::Changed("{outside}/file"),
        ..GONE
    },
    Case {
        number: "9",
        title: "reads a secret through a link in a writable root",
        act: &["read-through-symlink", "{secret}", "{rw}/link"],
        ..READING
    },
    Case {
        number: "12",
        title: "climbs out of its working directory",
        act: &["read-climbing", "{secret}"],
        ..READING
    },
    Case {
        number: "12b",
        title: "climbs out of a directory it has opened",
        act: &["read-at", "{rw}", "../../outside/secret"],
        ..READING
    },
    Case {
        number: "13",
        title: "looks below `/proc/self/root`",
        act: &["read", "/proc/self/root{secret}"],
        ..READING
    },
    Case {
        number: "13b",
        title: "looks below `/proc/1/root`",
        act: &["read", "/proc/1/root{secret}"],
        free_act: Some(&["read", "/proc/{victim}/root{secret}"]),
        prepare: Prepare::Victim,
        full: Refused("EACCES"),
        truth: SECRET,
        // Nothing that could be left out: the init cannot be dumped.
        leans: &[],
        ..GONE
    },
    Case {
        number: "13d",
        title: "reads where the memory of its cell's init lies",
        act: &["read", "/proc/1/maps"],
        free_act: Some(&["read", "/proc/{victim}/maps"]),
        prepare: Prepare::Victim,
        full: Refused("EACCES"),
        truth: Truth::Learned("r--p"),
        leans: &[Hidden],
        ..GONE
    },
    Case {
        number: "13c",
        title: "looks through the working directory of another process",
        act: &["read", "/proc/{victim}/cwd/secret"],
        prepare: Prepare::Victim,
        truth: SECRET,
        leans: &[Mounts, Landlock, Namespaces],
        ..GONE
    },
];
