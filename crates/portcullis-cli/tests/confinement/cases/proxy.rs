//! What a list of hosts lets through, and what it does not. The proxy's own parser is tested where it is.

use crate::kit::case::{
    Case,
    Expect::{Absent, Own, Refused},
    Grant,
    Layer::{Namespaces, Seccomp},
    Prepare, Truth,
};

const PROXY: Case = Case {
    // Landlock knows ports, not hosts: such a policy is refused in that tier.
    landlock: Absent,
    prepare: Prepare::TcpService,
    truth: Truth::Delivered,
    free_act: Some(&["tcp", "{port}", "x"]),
    // Not a layer of the cell: the host's own proxy answers.
    leans: &[],
    full: Refused("EACCES"),
    ..Case::BASE
};

pub(super) const CASES: &[Case] = &[
    Case {
        number: "39",
        title: "asks the proxy for a port that is not on the list",
        act: &["proxy", "127.0.0.1:{port}", "x"],
        given: Grant::Net("[\"127.0.0.1:1\"]"),
        grant: Grant::Net("[\"127.0.0.1:{port}\"]"),
        ..PROXY
    },
    Case {
        number: "39b",
        title: "looks for a proxy where the list is empty",
        act: &["proxy", "127.0.0.1:{port}", "x"],
        full: Refused("NOT_FOUND"),
        given: Grant::Net("[]"),
        grant: Grant::Net("[\"127.0.0.1:{port}\"]"),
        ..PROXY
    },
    Case {
        number: "40",
        title: "names a host with a zero byte in it",
        act: &["proxy", "127.0.0.1\\0.example.com:{port}", "x"],
        given: Grant::Net("[\"*.example.com:{port}\"]"),
        ..PROXY
    },
    Case {
        number: "40b",
        title: "names an address in octal digits",
        act: &["proxy", "0177.0.0.1:{port}", "x"],
        given: Grant::Net("[\"127.0.0.1:{port}\"]"),
        ..PROXY
    },
    Case {
        number: "40c",
        title: "names an IPv4 address in IPv6",
        act: &["proxy", "[::ffff:127.0.0.1]:{port}", "x"],
        given: Grant::Net("[\"127.0.0.2:{port}\"]"),
        ..PROXY
    },
    Case {
        number: "42",
        title: "connects past the proxy that it is given",
        act: &["tcp", "{port}", "x"],
        free_act: None,
        given: Grant::Net("[\"127.0.0.1:{port}\"]"),
        grant: Grant::Net("\"open\""),
        full: Refused("ECONNREFUSED"),
        leans: &[Namespaces],
        ..PROXY
    },
    Case {
        number: "43",
        title: "asks a name server directly",
        act: &["udp", "{port}", "x"],
        free_act: None,
        prepare: Prepare::UdpService,
        given: Grant::Net("[\"127.0.0.1:1\"]"),
        grant: Grant::Net("\"open\""),
        full: Own,
        leans: &[Namespaces, Seccomp],
        ..PROXY
    },
];
