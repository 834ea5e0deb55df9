//! Addresses outside the public network, against a table written down a second time and what the standard library
//! knows.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use portcullis_policy::{AddressClass, HostRule, HostRules, Net, Target};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};

/// First and last address of what no name reaches by itself, from the registries of IANA.
const V4: &[(&str, &str)] = &[
    ("0.0.0.0", "0.255.255.255"),
    ("10.0.0.0", "10.255.255.255"),
    ("100.64.0.0", "100.127.255.255"),
    ("127.0.0.0", "127.255.255.255"),
    ("168.63.129.16", "168.63.129.16"),
    ("169.254.0.0", "169.254.255.255"),
    ("172.16.0.0", "172.31.255.255"),
    ("192.0.0.0", "192.0.0.255"),
    ("192.0.2.0", "192.0.2.255"),
    ("192.88.99.0", "192.88.99.255"),
    ("192.168.0.0", "192.168.255.255"),
    ("198.18.0.0", "198.19.255.255"),
    ("198.51.100.0", "198.51.100.255"),
    ("203.0.113.0", "203.0.113.255"),
    ("224.0.0.0", "255.255.255.255"),
];

const V6: &[(&str, &str)] = &[
    // Everything below the global unicast space; IPv4-mapped addresses are judged before this.
    ("::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff"),
    // Everything above it: unique local, link-local, site-local, multicast and what nobody has.
    ("4000::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
];

fn v4(text: &str) -> u32 {
    text.parse::<Ipv4Addr>().unwrap().to_bits()
}

fn v6(text: &str) -> u128 {
    text.parse::<Ipv6Addr>().unwrap().to_bits()
}

fn oracle(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let std = address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_broadcast()
                || address.is_documentation()
                || address.is_multicast()
                || address.is_unspecified();
            let table = V4
                .iter()
                .any(|(first, last)| (v4(first)..=v4(last)).contains(&address.to_bits()));
            assert!(table || !std, "{address} is missing in the table");
            !table
        }
        IpAddr::V6(address) => {
            if let Some(inside) = address.to_ipv4_mapped() {
                return oracle(inside.into());
            }
            let std = address.is_loopback()
                || address.is_unspecified()
                || address.is_multicast()
                || address.is_unique_local()
                || address.is_unicast_link_local();
            let table = V6
                .iter()
                .any(|(first, last)| (v6(first)..=v6(last)).contains(&address.to_bits()));
            assert!(table || !std, "{address} is missing in the table");
            !table
        }
    }
}

/// Any address, those of the global space, and those around the edges of each range.
fn address() -> impl Strategy<Value = IpAddr> {
    let near_v4 =
        (select(V4), -2_i64..=2, any::<bool>()).prop_map(|((first, last), by, at_first)| {
            let edge = v4(if at_first { first } else { last });
            Ipv4Addr::from_bits(edge.wrapping_add_signed(i32::try_from(by).unwrap()))
        });
    let near_v6 =
        (select(V6), -2_i128..=2, any::<bool>()).prop_map(|((first, last), by, at_first)| {
            Ipv6Addr::from_bits(v6(if at_first { first } else { last }).wrapping_add_signed(by))
        });
    let global = any::<u128>().prop_map(|bits| Ipv6Addr::from_bits((bits >> 3) | (1 << 125)));
    let any_v4 = any::<u32>().prop_map(Ipv4Addr::from_bits);
    prop_oneof![
        4 => any_v4.clone().prop_map(IpAddr::V4),
        2 => near_v4.prop_map(IpAddr::V4),
        2 => any_v4.prop_map(|address| IpAddr::V6(address.to_ipv6_mapped())),
        4 => global.prop_map(IpAddr::V6),
        2 => near_v6.prop_map(IpAddr::V6),
        1 => any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))),
    ]
}

fn runner() -> TestRunner {
    TestRunner::new(Config {
        cases: 8192,
        failure_persistence: None,
        ..Config::default()
    })
}

#[test]
fn a_name_reaches_public_addresses_and_no_others() {
    let rule = HostRule::parse("example.com:443").unwrap();
    let (public, all) = (Cell::new(0_u32), Cell::new(0_u32));
    let property = |address| {
        let expected = oracle(address);
        prop_assert_eq!(AddressClass::of(address).is_none(), expected, "{}", address);
        prop_assert_eq!(
            rule.decide_address(address).is_ok(),
            expected,
            "{}",
            address
        );
        all.set(all.get() + 1);
        public.set(public.get() + u32::from(expected));
        Ok(())
    };
    runner().run(&address(), property).unwrap();
    let (public, all) = (public.get(), all.get());
    assert!(
        public * 10 >= all * 4 && public < all,
        "{public} of {all} are legal"
    );
}

#[test]
fn a_range_unlocks_itself_and_never_loopback() {
    let unlockable = [
        "10.2.0.0/16",
        "100.64.0.0/10",
        "192.168.7.9",
        "fd00::/8",
        "64:ff9b::/96",
        "240.0.0.0/4",
    ];
    let rules: Vec<_> = unlockable
        .iter()
        .map(|range| {
            let mut rule = HostRule::parse("db.corp:5432").unwrap();
            rule.unlock(range).unwrap();
            rule
        })
        .collect();
    let property = |address: IpAddr| {
        for rule in &rules {
            let inside = rule.addresses[0].contains(&address.to_canonical());
            let allowed = rule.decide_address(address).is_ok();
            let class = AddressClass::of(address);
            prop_assert!(
                !allowed || class.is_none() || inside,
                "{} by {:?}",
                address,
                rule
            );
            prop_assert!(allowed || class.is_some(), "{} by {:?}", address, rule);
            prop_assert!(!allowed || class.is_none_or(AddressClass::is_unlockable));
        }
        Ok(())
    };
    runner().run(&address(), property).unwrap();
}

#[test]
fn classes_are_told_apart() {
    use AddressClass::*;
    let classes = [
        ("0.0.0.0", Unspecified),
        ("0.1.2.3", Unspecified),
        ("::", Unspecified),
        ("127.0.0.1", Loopback),
        ("127.255.0.1", Loopback),
        ("::1", Loopback),
        ("::ffff:127.0.0.1", Loopback),
        ("169.254.1.1", LinkLocal),
        ("fe80::1", LinkLocal),
        ("febf::1", LinkLocal),
        ("169.254.169.254", Metadata),
        ("::ffff:169.254.169.254", Metadata),
        ("100.100.100.200", Metadata),
        ("168.63.129.16", Metadata),
        ("fd00:ec2::254", Metadata),
        ("fd20:ce::254", Metadata),
        ("10.0.0.1", Private),
        ("172.31.0.1", Private),
        ("::ffff:192.168.0.1", Private),
        ("100.64.0.1", Shared),
        ("fc00::1", UniqueLocal),
        ("fdff::1", UniqueLocal),
        ("fec0::1", SiteLocal),
        ("224.0.0.1", Multicast),
        ("ff02::1", Multicast),
        ("255.255.255.255", Broadcast),
        ("192.0.2.1", Documentation),
        ("203.0.113.1", Documentation),
        ("2001:db8::1", Documentation),
        ("198.19.0.1", Benchmarking),
        ("2001:2::1", Benchmarking),
        ("64:ff9b::7f00:1", Nat64),
        ("64:ff9b:1::7f00:1", Embedded),
        ("::127.0.0.1", Embedded),
        ("::ffff:0:127.0.0.1", Embedded),
        ("2002:7f00:1::", Embedded),
        ("2001::1", Embedded),
        ("192.88.99.1", Embedded),
        ("192.0.0.1", Reserved),
        ("240.0.0.1", Reserved),
        ("2001:20::1", Reserved),
        ("100::1", Reserved),
        ("5f00::1", Reserved),
    ];
    for (text, class) in classes {
        assert_eq!(
            AddressClass::of(text.parse().unwrap()),
            Some(class),
            "{text}"
        );
    }
    for text in [
        "1.1.1.1",
        "::ffff:1.1.1.1",
        "100.63.255.255",
        "172.32.0.1",
        "192.0.1.1",
        "2606:4700::1111",
        "2a00::1",
    ] {
        assert_eq!(AddressClass::of(text.parse().unwrap()), None, "{text}");
    }
}

#[test]
fn behind_nat64_the_ipv4_address_counts() {
    let mut rule = HostRule::parse("example.com:443").unwrap();
    let decide = |rule: &HostRule, text: &str| rule.decide_address(text.parse().unwrap());
    assert_eq!(decide(&rule, "64:ff9b::1.1.1.1"), Err(AddressClass::Nat64));
    rule.unlock("64:ff9b::/96").unwrap();
    assert_eq!(decide(&rule, "64:ff9b::1.1.1.1"), Ok(()));
    assert_eq!(
        decide(&rule, "64:ff9b::127.0.0.1"),
        Err(AddressClass::Loopback)
    );
    assert_eq!(
        decide(&rule, "64:ff9b::169.254.169.254"),
        Err(AddressClass::Metadata)
    );
    assert_eq!(
        decide(&rule, "64:ff9b::10.0.0.1"),
        Err(AddressClass::Private)
    );
    rule.unlock("10.0.0.0/24").unwrap();
    assert_eq!(decide(&rule, "64:ff9b::10.0.0.1"), Ok(()));
}

#[test]
fn any_of_the_rules_may_allow_an_address() {
    let mut wide = HostRule::parse("*.corp.example:443").unwrap();
    wide.unlock("10.0.0.0/8").unwrap();
    let narrow = HostRule::parse("db.corp.example:443").unwrap();
    let target = Target::parse("db.corp.example:443").unwrap();
    for rules in [
        vec![wide.clone(), narrow.clone()],
        vec![narrow.clone(), wide.clone()],
    ] {
        let rules = HostRules::from(rules);
        let inside = rules.decide_address(&target, "10.1.2.3".parse().unwrap());
        assert_eq!(inside, Ok(&wide));
        let other = rules.decide_address(&target, "192.168.0.1".parse().unwrap());
        assert_eq!(other, Err(Some(AddressClass::Private)));
    }
    let none = HostRules::default();
    assert_eq!(none.decide_name(&target), None);
    assert_eq!(
        none.decide_address(&target, "1.1.1.1".parse().unwrap()),
        Err(None)
    );
}

fn network() -> impl Strategy<Value = Net> {
    let hosts = select(
        &[
            "a.example.com",
            "b.example.com",
            "*.example.com",
            "*.b.example.com",
            "10.0.0.1",
            "[::1]",
        ][..],
    );
    let ranges = proptest::sample::subsequence(
        &["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "192.168.0.0/16"][..],
        0..=2,
    );
    let rule = (hosts, select(&[80_u16, 443][..]), ranges).prop_map(|(host, port, ranges)| {
        let mut rule = HostRule::parse(&format!("{host}:{port}")).unwrap();
        if !host.starts_with(['1', '[']) {
            ranges.iter().for_each(|range| rule.unlock(range).unwrap());
        }
        rule
    });
    prop_oneof![
        1 => Just(Net::None),
        1 => Just(Net::Loopback),
        1 => Just(Net::Open),
        8 => proptest::collection::vec(rule, 0..4).prop_map(Net::Hosts),
    ]
}

/// What a network allows, as a list of answers.
fn allowed(net: &Net) -> Vec<bool> {
    let mut answers = vec![*net != Net::None, *net == Net::Open];
    for host in [
        "a.example.com",
        "b.example.com",
        "x.b.example.com",
        "example.com",
        "10.0.0.1",
        "[::1]",
    ] {
        for port in [80, 443, 22] {
            let target = Target::parse(&format!("{host}:{port}")).unwrap();
            for address in [
                "1.1.1.1",
                "10.0.0.1",
                "10.1.9.9",
                "10.1.2.3",
                "192.168.1.1",
                "::1",
            ] {
                let address = address.parse().unwrap();
                answers.push(match net {
                    Net::None | Net::Loopback => false,
                    Net::Open => true,
                    Net::Hosts(rules) => HostRules::from(rules.clone())
                        .decide_address(&target, address)
                        .is_ok(),
                });
            }
        }
    }
    answers
}

#[test]
fn an_intersection_allows_what_both_allow() {
    let shared = Cell::new(0_u32);
    let property = |(one, two): (Net, Net)| {
        let both: Vec<_> = allowed(&one)
            .into_iter()
            .zip(allowed(&two))
            .map(|(a, b)| a && b)
            .collect();
        shared.set(shared.get() + u32::from(both[2..].contains(&true)));
        prop_assert_eq!(allowed(&one.intersect(&two)), both);
        prop_assert_eq!(allowed(&two.intersect(&one)), allowed(&one.intersect(&two)));
        prop_assert_eq!(allowed(&one.intersect(&one)), allowed(&one));
        Ok(())
    };
    let mut runner = TestRunner::new(Config {
        cases: 2048,
        failure_persistence: None,
        ..Config::default()
    });
    runner.run(&(network(), network()), property).unwrap();
    assert!(
        shared.get() * 10 > 2048,
        "{} pairs have something in common",
        shared.get()
    );
}
