//! Which text is a host, and which hosts a rule is about.

use portcullis_policy::{Host, HostName, HostRule, Net, Target};
use proptest::prelude::*;

#[test]
fn hosts_are_read_strictly() {
    for good in [
        "a",
        "api.github.com",
        "xn--bcher-kva.example",
        "my_bucket.s3.example",
        "3com.com",
        "0x.com",
        "1.2.3.4.example",
        "127.0.0.1",
        "[::1]",
    ] {
        assert_eq!(Host::parse(good).unwrap().to_string(), good);
    }
    assert_eq!(Host::parse("OK.Com").unwrap().to_string(), "ok.com");
    assert_eq!(
        Host::parse("[::FFFF:127.0.0.1]").unwrap().to_string(),
        "127.0.0.1"
    );
    let bad = [
        "",
        ".",
        "ok.com.",
        ".ok.com",
        "ok..com",
        "OK.COM.",
        "-a.com",
        "a-.com",
        "a b.com",
        "ok.com ",
        "ok.com\n",
        "evil\0.ok.com",
        "ok.com@evil",
        "user@ok.com",
        "ok.com/x",
        "ok.com\\x",
        "ok.com:80",
        "ok.com#",
        "ok.com?",
        "ok%2ecom",
        "ök.com",
        "ok。com",
        "ok.com\u{200b}",
        "１27.0.0.1",
        "0177.0.0.1",
        "0x7f.0.0.1",
        "0x7f000001",
        "2130706433",
        "127.1",
        "127.0.1",
        "1.2.3.4.5",
        "256.0.0.1",
        "127.0.0.01",
        "127.0.0.1.",
        "a.0x7f",
        "a.1",
        "::1",
        "[::1",
        "::1]",
        "[127.0.0.1]",
        "[::1%lo]",
        "[fe80::1%25eth0]",
        "[]",
        "[[::1]]",
        "*.ok.com",
        "+1.2.3.4",
    ];
    for bad in bad {
        assert!(Host::parse(bad).is_err(), "{bad:?}");
        assert!(HostName::parse(bad).is_err(), "{bad:?}");
    }
    assert!(HostName::parse(&format!("{}.com", "a".repeat(63))).is_ok());
    assert!(HostName::parse(&format!("{}.com", "a".repeat(64))).is_err());
    assert!(HostName::parse(&["abc"; 63].join(".")).is_ok());
    assert!(HostName::parse(&["abc"; 64].join(".")).is_err());
}

#[test]
fn a_port_is_required() {
    for good in [
        "ok.com:1",
        "ok.com:443",
        "ok.com:65535",
        "[::1]:8080",
        "127.0.0.1:8080",
        "*.ok.com:443",
    ] {
        assert_eq!(HostRule::parse(good).unwrap().to_string(), good);
    }
    for bad in [
        "ok.com",
        "ok.com:",
        ":443",
        "ok.com:0",
        "ok.com:0443",
        "ok.com:+443",
        "ok.com:65536",
        "ok.com: 443",
        "ok.com:443 ",
        "ok.com:https",
        "[::1]",
        "[::1]:",
        "::1",
        "https://ok.com:443",
        "ok.com:443/",
    ] {
        assert!(HostRule::parse(bad).is_err(), "{bad:?}");
        assert!(Target::parse(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn rules_that_could_allow_nothing_or_everything_are_mistakes() {
    for bad in [
        "*:443",
        "*.com:443",
        "a.*.com:443",
        "*a.com:443",
        "**.a.com:443",
        "*.*.com:443",
        "*.127.0.0.1:80",
        "localhost:80",
        "a.localhost:80",
        "*.localhost:80",
        "0.0.0.0:80",
        "[::]:80",
        "224.0.0.1:80",
        "255.255.255.255:80",
        "[::ffff:127.0.0.1]:80",
        "[::127.0.0.1]:80",
        "[2002:7f00:1::]:80",
        "[64:ff9b::7f00:1]:80",
    ] {
        assert!(HostRule::parse(bad).is_err(), "{bad:?}");
    }
    let mut rule = HostRule::parse("db.corp:5432").unwrap();
    for bad in [
        "0.0.0.0/0",
        "::/0",
        "127.0.0.0/8",
        "127.0.0.1",
        "169.254.0.0/16",
        "169.254.169.254",
        "100.100.100.200",
        "fe80::/10",
        "::1",
        "1.1.1.1",
        "8.0.0.0/8",
        "10.2.0.1/16",
        "10.0.0.0/7",
        "10.0.0.0/08",
        "10.0.0.0/+8",
        "10.0.0.0/33",
        "10.0.0.0/",
        "10/8",
        "010.0.0.0/8",
        "224.0.0.0/4",
        "2001::/32",
        "::ffff:10.0.0.0/104",
        "db.corp",
        "",
    ] {
        assert!(rule.unlock(bad).is_err(), "{bad:?}");
    }
    for good in [
        "10.0.0.0/8",
        "10.2.0.0/16",
        "172.16.0.0/12",
        "192.168.1.7",
        "100.64.0.0/10",
        "fc00::/7",
        "fd12::1",
    ] {
        rule.unlock(good).unwrap();
    }
    assert!(
        HostRule::parse("10.0.0.1:80")
            .unwrap()
            .unlock("10.0.0.0/8")
            .is_err()
    );
}

#[test]
fn labels_are_compared_whole() {
    let cases = [
        ("ok.com:443", "ok.com:443", true),
        ("ok.com:443", "OK.com:443", true),
        ("ok.com:443", "ok.com:80", false),
        ("ok.com:443", "a.ok.com:443", false),
        ("ok.com:443", "ok.com.evil:443", false),
        ("ok.com:443", "evilok.com:443", false),
        ("*.ok.com:443", "a.ok.com:443", true),
        ("*.ok.com:443", "a.b.ok.com:443", true),
        ("*.ok.com:443", "ok.com:443", false),
        ("*.ok.com:443", "evilok.com:443", false),
        ("*.ok.com:443", "a.ok.com.evil:443", false),
        ("127.0.0.1:80", "127.0.0.1:80", true),
        ("127.0.0.1:80", "[::ffff:127.0.0.1]:80", true),
        ("127.0.0.1:80", "127.0.0.2:80", false),
        ("[::1]:80", "[0:0::1]:80", true),
        ("[::1]:80", "127.0.0.1:80", false),
    ];
    for (rule, target, matches) in cases {
        let (rule, target) = (
            HostRule::parse(rule).unwrap(),
            Target::parse(target).unwrap(),
        );
        assert_eq!(rule.matches(&target), matches, "{rule} {target}");
    }
}

#[test]
fn rules_are_shown_as_they_are_written() {
    let mut table = HostRule::parse("db.corp:5432").unwrap();
    table.unlock("10.2.0.0/16").unwrap();
    let net = Net::Hosts(vec![HostRule::parse("*.Ok.com:443").unwrap(), table]);
    // The debug form of what a serializer sees stands for all of them.
    assert_eq!(format!("{net:?}").matches("10.2.0.0/16").count(), 1);
    let error = HostRule::parse("a\u{1b}[2J:443").unwrap_err().to_string();
    assert!(
        error.starts_with("`a\\u{1b}[2J` is no host name"),
        "{error}"
    );
}

proptest! {
    #[test]
    fn reading_is_total_and_what_is_read_reads_back(text in "\\PC{0,24}|[a-z0-9.*:\\[\\]x-]{0,20}") {
        if let Ok(target) = Target::parse(&text) {
            prop_assert!(text.is_ascii());
            prop_assert_eq!(Target::parse(&target.to_string()).unwrap(), target);
        }
        if let Ok(rule) = HostRule::parse(&text) {
            prop_assert_eq!(HostRule::parse(&rule.to_string()).unwrap(), rule);
        }
    }

    #[test]
    fn what_a_resolver_takes_for_an_address_is_no_name(text in "(0x[0-9a-f]{1,8}|0?[0-9]{1,10})(\\.(0x[0-9a-f]{1,2}|0?[0-9]{1,3})){0,3}") {
        match Host::parse(&text) {
            Ok(Host::Address(address)) => prop_assert_eq!(address.to_string(), text),
            Ok(Host::Name(name)) => prop_assert!(false, "{} is a name", name),
            Err(_) => {}
        }
    }
}
