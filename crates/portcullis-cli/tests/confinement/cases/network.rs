//! Services of the host over the network, and the families of sockets.

use crate::kit::case::{
    Case,
    Expect::Refused,
    Grant,
    Layer::{Caps, Landlock, Namespaces, Seccomp},
    Prepare, Truth,
};

const NET: Case = Case {
    full: Refused("EAFNOSUPPORT"),
    grant: Grant::Net("\"open\""),
    prepare: Prepare::TcpService,
    truth: Truth::Delivered,
    leans: &[Seccomp, Namespaces, Landlock],
    ..Case::BASE
};
const FAMILY: Case = Case {
    full: Refused("EAFNOSUPPORT"),
    leans: &[Seccomp],
    ..Case::BASE
};

pub(super) const CASES: &[Case] = &[
    Case {
        number: "31",
        title: "connects to a service of the host",
        act: &["tcp", "{port}", "x"],
        ..NET
    },
    Case {
        number: "31b",
        title: "connects to it by an IPv4 address in IPv6",
        act: &["tcp6", "{port}", "x"],
        ..NET
    },
    Case {
        number: "32",
        title: "sends a datagram to a service of the host",
        act: &["udp", "{port}", "x"],
        prepare: Prepare::UdpService,
        leans: &[Seccomp, Namespaces],
        ..NET
    },
    Case {
        number: "33",
        title: "connects by multipath TCP",
        act: &["mptcp", "{port}", "x"],
        grant: Grant::Never,
        leans: &[Seccomp, Namespaces],
        ..NET
    },
    Case {
        number: "34",
        title: "connects by TCP fast open, which needs no `connect`",
        act: &["fast-open", "{port}", "x"],
        leans: &[Seccomp, Namespaces],
        ..NET
    },
    Case {
        number: "35",
        title: "makes an ICMP socket",
        act: &["icmp"],
        missing: Some("EACCES"),
        ..FAMILY
    },
    Case {
        number: "35b",
        title: "makes a raw socket",
        act: &["raw"],
        needs_root: true,
        leans: &[Seccomp, Caps],
        ..FAMILY
    },
    Case {
        number: "35c",
        title: "makes a packet socket",
        act: &["packet"],
        needs_root: true,
        leans: &[Seccomp, Caps],
        ..FAMILY
    },
    Case {
        number: "35d",
        title: "makes a socket to the hypervisor",
        act: &["vsock"],
        missing: Some("EAFNOSUPPORT"),
        ..FAMILY
    },
    Case {
        number: "35e",
        title: "makes a socket to the kernel's ciphers",
        act: &["alg"],
        missing: Some("EAFNOSUPPORT"),
        ..FAMILY
    },
    Case {
        number: "35f",
        title: "makes a netlink socket",
        act: &["netlink"],
        ..FAMILY
    },
    Case {
        number: "36",
        title: "listens without binding first",
        act: &["listen"],
        grant: Grant::Net("\"loopback\""),
        landlock: Refused("EAFNOSUPPORT"),
        ..FAMILY
    },
    Case {
        number: "37",
        title: "makes and connects a socket by `io_uring`",
        act: &["io_uring", "{port}", "x"],
        full: Refused("ENOSYS"),
        grant: Grant::Never,
        leans: &[Seccomp, Namespaces, Landlock],
        ..NET
    },
    Case {
        number: "38",
        title: "makes a socket by the system calls of 32-bit programs",
        act: &["int80"],
        full: Refused("KILLED_SIGSYS"),
        missing: Some("ENOSYS"),
        ..FAMILY
    },
    Case {
        number: "38b",
        title: "makes a system call of the x32 table",
        act: &["x32"],
        full: Refused("ENOSYS"),
        missing: Some("ENOSYS"),
        ..FAMILY
    },
];
