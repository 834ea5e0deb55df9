//! Which addresses are no part of the public network, and which of those a rule can unlock.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::Serialize;

/// Why an address is not reached by name alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AddressClass {
    /// `0.0.0.0/8` and `::`: this host, to Linux.
    Unspecified,
    /// `127.0.0.0/8` and `::1`.
    Loopback,
    /// `169.254.0.0/16` and `fe80::/10`.
    LinkLocal,
    /// An address at which a cloud gives its machines their credentials.
    Metadata,
    /// `10.0.0.0/8`, `172.16.0.0/12`, `192.168.0.0/16`.
    Private,
    /// `100.64.0.0/10`: between a provider and its customers.
    Shared,
    /// `fc00::/7`.
    UniqueLocal,
    /// `fec0::/10`: the private addresses of early IPv6.
    SiteLocal,
    /// `224.0.0.0/4` and `ff00::/8`.
    Multicast,
    /// `255.255.255.255`.
    Broadcast,
    /// `192.0.2.0/24`, `198.51.100.0/24`, `203.0.113.0/24`, `2001:db8::/32`, `3fff::/20`.
    Documentation,
    /// `198.18.0.0/15` and `2001:2::/48`.
    Benchmarking,
    /// `64:ff9b::/96`: an IPv4 address behind a translator. It is unlocked only where the IPv4 address may be reached.
    Nat64,
    /// An IPv4 address in another dress: IPv4-compatible, IPv4-translated, 6to4, Teredo, a translator's local prefix.
    Embedded,
    /// Set aside for protocols or for later; all of IPv6 outside `2000::/3` that has no other name here.
    Reserved,
}

impl AddressClass {
    /// The class of an address; `None` when it belongs to the public network. An IPv4-mapped IPv6 address is
    /// judged as the IPv4 address.
    ///
    /// A network's own NAT64 prefix cannot be told from public addresses.
    ///
    /// # Source
    /// The special-purpose address registries of IANA (RFC 6890 and its updates).
    pub fn of(address: IpAddr) -> Option<Self> {
        let address = address.to_canonical();
        let block = match address {
            IpAddr::V4(v4) => V4
                .iter()
                .find(|(net, _)| net.contains(&v4))
                .map(|found| found.1),
            IpAddr::V6(v6) => V6
                .iter()
                .find(|(net, _)| net.contains(&v6))
                .map(|found| found.1),
        };
        match (block, address) {
            (None, IpAddr::V6(v6)) if !GLOBAL_UNICAST.contains(&v6) => Some(Self::Reserved),
            (block, _) => block,
        }
    }

    /// Whether `addresses` of a rule can unlock it. The others are reached as a literal address or not at all.
    pub fn is_unlockable(self) -> bool {
        match self {
            Self::Private
            | Self::Shared
            | Self::UniqueLocal
            | Self::SiteLocal
            | Self::Documentation
            | Self::Benchmarking
            | Self::Nat64
            | Self::Reserved => true,
            Self::Unspecified
            | Self::Loopback
            | Self::LinkLocal
            | Self::Metadata
            | Self::Multicast
            | Self::Broadcast
            | Self::Embedded => false,
        }
    }

    /// Whether a rule can be about such an address written out. What names many hosts, none, or another address
    /// cannot.
    pub(crate) fn is_one_host(self) -> bool {
        !matches!(
            self,
            Self::Unspecified | Self::Multicast | Self::Broadcast | Self::Embedded | Self::Nat64
        )
    }
}

impl fmt::Display for AddressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unspecified => "an unspecified address",
            Self::Loopback => "a loopback address",
            Self::LinkLocal => "a link-local address",
            Self::Metadata => "a metadata service of a cloud",
            Self::Private => "a private address",
            Self::Shared => "a shared address of a provider",
            Self::UniqueLocal => "a unique local address",
            Self::SiteLocal => "a site-local address",
            Self::Multicast => "a multicast address",
            Self::Broadcast => "the broadcast address",
            Self::Documentation => "an address for documentation",
            Self::Benchmarking => "an address for benchmarks",
            Self::Nat64 => "an IPv4 address behind NAT64",
            Self::Embedded => "an IPv4 address inside an IPv6 address",
            Self::Reserved => "a reserved address",
        })
    }
}

/// The IPv4 address that a NAT64 address stands for, RFC 6052.
pub(crate) fn nat64(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V6(v6) if NAT64.contains(&v6) => {
            let [.., a, b, c, d] = v6.octets();
            Some(Ipv4Addr::new(a, b, c, d).into())
        }
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    }
}

/// Whether all of a range lies in one block that a rule can unlock.
pub(crate) fn is_unlockable(range: &IpNet) -> bool {
    let first = match range {
        IpNet::V4(range) => V4
            .iter()
            .find(|(block, _)| block.contains(range))
            .map(|found| found.1),
        IpNet::V6(range) => V6
            .iter()
            .find(|(block, _)| block.contains(range))
            .map(|found| found.1),
    };
    first.is_some_and(AddressClass::is_unlockable)
}

const GLOBAL_UNICAST: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);
const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96);

/// The first block that holds an address is its class.
const V4: [(Ipv4Net, AddressClass); 20] = [
    // Alibaba, Oracle, Azure. Those of the others are link-local.
    (v4(100, 100, 100, 200, 32), AddressClass::Metadata),
    (v4(192, 0, 0, 192, 32), AddressClass::Metadata),
    (v4(168, 63, 129, 16, 32), AddressClass::Metadata),
    (v4(169, 254, 169, 254, 32), AddressClass::Metadata),
    (v4(0, 0, 0, 0, 8), AddressClass::Unspecified),
    (v4(10, 0, 0, 0, 8), AddressClass::Private),
    (v4(100, 64, 0, 0, 10), AddressClass::Shared),
    (v4(127, 0, 0, 0, 8), AddressClass::Loopback),
    (v4(169, 254, 0, 0, 16), AddressClass::LinkLocal),
    (v4(172, 16, 0, 0, 12), AddressClass::Private),
    (v4(192, 0, 0, 0, 24), AddressClass::Reserved),
    (v4(192, 0, 2, 0, 24), AddressClass::Documentation),
    // The relays of 6to4.
    (v4(192, 88, 99, 0, 24), AddressClass::Embedded),
    (v4(192, 168, 0, 0, 16), AddressClass::Private),
    (v4(198, 18, 0, 0, 15), AddressClass::Benchmarking),
    (v4(198, 51, 100, 0, 24), AddressClass::Documentation),
    (v4(203, 0, 113, 0, 24), AddressClass::Documentation),
    (v4(224, 0, 0, 0, 4), AddressClass::Multicast),
    (v4(255, 255, 255, 255, 32), AddressClass::Broadcast),
    (v4(240, 0, 0, 0, 4), AddressClass::Reserved),
];

/// The first block that holds an address is its class.
const V6: [(Ipv6Net, AddressClass); 18] = [
    // Amazon and Google.
    (
        v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128),
        AddressClass::Metadata,
    ),
    (
        v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128),
        AddressClass::Metadata,
    ),
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 128), AddressClass::Unspecified),
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), AddressClass::Loopback),
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 96), AddressClass::Embedded),
    (
        v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96),
        AddressClass::Embedded,
    ),
    (NAT64, AddressClass::Nat64),
    // The IPv4 address stands at a place that only the translator knows.
    (
        v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48),
        AddressClass::Embedded,
    ),
    (
        v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32),
        AddressClass::Embedded,
    ),
    (
        v6([0x2001, 2, 0, 0, 0, 0, 0, 0], 48),
        AddressClass::Benchmarking,
    ),
    (
        v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),
        AddressClass::Reserved,
    ),
    (
        v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32),
        AddressClass::Documentation,
    ),
    (
        v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16),
        AddressClass::Embedded,
    ),
    (
        v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),
        AddressClass::Documentation,
    ),
    (
        v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7),
        AddressClass::UniqueLocal,
    ),
    (
        v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),
        AddressClass::LinkLocal,
    ),
    (
        v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10),
        AddressClass::SiteLocal,
    ),
    (
        v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8),
        AddressClass::Multicast,
    ),
];

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(groups: [u16; 8], prefix: u8) -> Ipv6Net {
    let [a, b, c, d, e, f, g, h] = groups;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix)
}
