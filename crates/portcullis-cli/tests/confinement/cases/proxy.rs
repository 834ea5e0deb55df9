//! What a list of hosts lets through, and what it does not. The proxy's own parser is tested where it is.

use crate::kit::case::{
    Case,
    Expect::{Absent, Refused},
    Grant,
    Layer::Namespaces,
    Prepare, Truth,
};

const PROXY: Case = Case {
    landlock: Absent,
    prepare: Prepare::TcpService,
    truth: Truth::Delivered,
    leans: &[Namespaces],
    ..Case::BASE
};

pub(super) const CASES: &[Case] = &[Case {
    number: "42",
    title: "connects past the proxy that it is given",
    act: &["tcp", "{port}", "x"],
    full: Refused("EAFNOSUPPORT"),
    grant: Grant::Net("\"open\""),
    ..PROXY
}];
