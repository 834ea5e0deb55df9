//! Sockets of the host that are names: in the file system, and outside it.

use crate::kit::case::{
    Case,
    Expect::{Open, Refused},
    Grant,
    Layer::{Landlock, Mounts, Namespaces, Seccomp},
    Prepare, Truth,
};

const NAMED: Case = Case {
    full: Refused("ENOENT"),
    landlock: Refused("EAFNOSUPPORT"),
    truth: Truth::Delivered,
    leans: &[Mounts, Seccomp],
    grant: Grant::Never,
    ..Case::BASE
};

pub(super) const CASES: &[Case] = &[
    Case {
        number: "44",
        title: "connects to a socket of the host by its path",
        act: &["unix", "{socket}", "x"],
        prepare: Prepare::UnixService,
        ..NAMED
    },
    Case {
        number: "44b",
        title: "connects to a socket of the host inside a directory that it may read",
        act: &["unix", "{socket}", "x"],
        prepare: Prepare::GrantedUnixService,
        full: Open,
        leans: &[],
        ..NAMED
    },
    Case {
        number: "45",
        title: "sends a datagram to such a socket",
        act: &["unix-datagram", "{socket}", "x"],
        prepare: Prepare::UnixDatagramService,
        ..NAMED
    },
    Case {
        number: "46",
        title: "connects to a socket of the host by an abstract name",
        act: &["unix", "{abstract}", "x"],
        prepare: Prepare::AbstractService,
        full: Refused("ECONNREFUSED"),
        leans: &[Namespaces, Landlock, Seccomp],
        ..NAMED
    },
    Case {
        number: "46b",
        title: "does so with the network of the host",
        act: &["unix", "{abstract}", "x"],
        prepare: Prepare::AbstractService,
        given: Grant::Net("\"open\""),
        full: Refused("EPERM"),
        namespaces: Open,
        leans: &[Landlock],
        ..NAMED
    },
];
