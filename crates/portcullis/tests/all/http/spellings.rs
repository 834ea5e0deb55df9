//! Spellings of URLs, and what each leads to: generators that make of every trick also a twin that is legal, and lists of what
//! no generator makes. From the URL standard's host parser, RFC 4291, RFC 6052, RFC 3056, RFC 4380 and RFC 6874.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A URL, and the only place that may be connected to for it; `None`: none at all.
pub(crate) type Case = (String, Option<String>);

/// Granted beside `*`, which is every public address at port 80 or 443.
pub(crate) const GRANTED: [&str; 4] = [
    "*",
    "good.example:8080",
    "127.0.0.1:9000",
    "[2606:4700:4700::1111]:8443",
];

/// Names with what they resolve to.
pub(crate) const NAMES: [(&str, &[&str]); 31] = [
    ("good.example", &["93.184.216.34"]),
    ("xn--bcher-kva.example", &["93.184.216.34"]),
    ("good6.example", &["2606:4700:4700::1111"]),
    ("mixed.example", &["10.0.0.1", "93.184.216.34", "127.0.0.1"]),
    (
        "mixed6.example",
        &["::1", "fe80::1", "2606:4700:4700::1111"],
    ),
    ("mapped-good.example", &["::ffff:93.184.216.34"]),
    ("localhost", &["127.0.0.1", "::1"]),
    ("a.localhost", &["127.0.0.1"]),
    ("localhost.localdomain", &["127.0.0.1"]),
    ("ip6-localhost", &["::1"]),
    ("metadata.google.internal", &["169.254.169.254"]),
    ("inside.example", &["10.0.0.5"]),
    ("xn--innen-kva.example", &["10.0.0.5"]),
    ("loop.example", &["127.0.0.1"]),
    ("127.0.0.1.nip.example", &["127.0.0.1"]),
    ("loop6.example", &["::1"]),
    ("mapped.example", &["::ffff:127.0.0.1"]),
    ("mapped-metadata.example", &["::ffff:169.254.169.254"]),
    ("compatible.example", &["::127.0.0.1"]),
    ("translated.example", &["::ffff:0:127.0.0.1"]),
    ("nat64.example", &["64:ff9b::7f00:1"]),
    ("nat64-local.example", &["64:ff9b:1::7f00:1"]),
    ("sixtofour.example", &["2002:7f00:1::"]),
    ("teredo.example", &["2001:0:4136:e378:8000:63bf:80ff:fffe"]),
    ("any.example", &["0.0.0.0"]),
    ("any6.example", &["::"]),
    ("unique.example", &["fd00::1"]),
    ("link.example", &["169.254.10.1", "fe80::1"]),
    (
        "all-inside.example",
        &["10.0.0.1", "192.168.0.1", "172.16.0.1", "::1"],
    ),
    ("empty.example", &[]),
    ("cast.example", &["224.0.0.1", "ff02::1", "255.255.255.255"]),
];

/// Addresses of the public network, next to others that are not where there are neighbours.
const PUBLIC_V4: [&str; 7] = [
    "93.184.216.34",
    "8.8.8.8",
    "11.0.0.1",
    "172.32.0.1",
    "169.253.169.254",
    "192.169.1.1",
    "128.0.0.1",
];
const INSIDE_V4: [&str; 8] = [
    "127.0.0.1",
    "10.0.0.1",
    "172.31.255.254",
    "169.254.169.254",
    "192.168.0.1",
    "100.64.0.1",
    "0.0.0.1",
    "240.0.0.1",
];
const PUBLIC_V6: [&str; 5] = [
    "2606:4700:4700::1111",
    "2001:4860:4860::8888",
    "2a00:1450:4001:81b::200e",
    "2620:fe::fe",
    "2001:200::1",
];
const INSIDE_V6: [&str; 8] = [
    "::1",
    "fe80::1",
    "febf::1",
    "fec0::1",
    "fd00:ec2::254",
    "2002:7f00:1::1",
    "64:ff9b::a9fe:a9fe",
    "ff02::1",
];
const PUBLIC_NAMES: [&str; 2] = ["good.example", "xn--bcher-kva.example"];
const INSIDE_NAMES: [&str; 2] = ["inside.example", "localhost.localdomain"];

/// All cases.
pub(crate) fn all() -> Vec<Case> {
    let mut cases = addresses_v4();
    cases.extend(addresses_v6());
    cases.extend(names());
    cases.extend(places());
    let refused = REFUSED.iter().map(|url| ((*url).to_owned(), None));
    cases.extend(refused);
    let legal = LEGAL.iter();
    cases.extend(legal.map(|(url, place)| ((*url).to_owned(), Some((*place).to_owned()))));
    cases
}

/// Every notation of an IPv4 address that the URL standard reads as one.
fn notations(address: Ipv4Addr) -> Vec<String> {
    let [a, b, c, d] = address.octets();
    let (low16, low24) = (u16::from_be_bytes([c, d]), u32::from_be_bytes([0, b, c, d]));
    let whole = u32::from(address);
    let full_width: String = address.to_string().chars().map(wide).collect();
    vec![
        address.to_string(),
        format!("{address}."),
        format!("{a}.{b}.{low16}"),
        format!("{a}.{low24}"),
        format!("{whole}"),
        format!("{whole}."),
        format!("0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}"),
        format!("0X{a:X}.{b}.{c}.{d}"),
        format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
        format!("000{a:o}.{b}.{c}.0x{d:x}"),
        format!("0x{a:x}.0{low24:o}"),
        format!("0x{whole:x}"),
        format!("0x{whole:016X}"),
        format!("0{whole:o}"),
        format!("0x{a:x}.{b}.0x{low16:x}"),
        full_width,
        format!("{a}\u{3002}{b}\u{ff0e}{c}\u{ff61}{d}"),
        format!("{a}%2E{b}%2e{c}.{d}"),
        address
            .to_string()
            .bytes()
            .map(|b| format!("%{b:02x}"))
            .collect(),
        format!("{a}.{b}\t.{c}\n.{d}"),
        format!("{a}.{b}.{c}\u{ad}.{d}"),
    ]
}

fn wide(c: char) -> char {
    match c {
        '0'..='9' => char::from_u32(c as u32 - '0' as u32 + 0xff10).unwrap(),
        other => other,
    }
}

fn addresses_v4() -> Vec<Case> {
    let spelled = |text: &str, legal: bool| {
        let address: Ipv4Addr = text.parse().unwrap();
        let place = legal.then(|| format!("{address}:80"));
        let urls = notations(address).into_iter();
        urls.map(|host| (format!("http://{host}/"), place.clone()))
            .collect::<Vec<_>>()
    };
    let inside = INSIDE_V4.iter().flat_map(|text| spelled(text, false));
    let public = PUBLIC_V4.iter().flat_map(|text| spelled(text, true));
    inside.chain(public).collect()
}

fn addresses_v6() -> Vec<Case> {
    let spelled = |text: &str, legal: bool| {
        let address: Ipv6Addr = text.parse().unwrap();
        let place = legal.then(|| format!("[{address}]:80"));
        let groups = address.segments();
        let all =
            |write: fn(&u16) -> String| groups.iter().map(write).collect::<Vec<_>>().join(":");
        let [.., a, b, c, d] = address.octets();
        let head: Vec<_> = groups[..6]
            .iter()
            .map(|group| format!("{group:x}"))
            .collect();
        let hosts = [
            address.to_string(),
            address.to_string().to_uppercase(),
            all(|group| format!("{group:x}")),
            all(|group| format!("{group:04X}")),
            format!("{}:{a}.{b}.{c}.{d}", head.join(":")),
        ];
        let urls = hosts.map(|host| (format!("http://[{host}]/"), place.clone()));
        urls.to_vec()
    };
    let inside = INSIDE_V6.iter().flat_map(|text| spelled(text, false));
    let public = PUBLIC_V6.iter().flat_map(|text| spelled(text, true));
    // An IPv4 address inside an IPv6 address that is mapped is the IPv4 address.
    let mapped = |text: &str, legal: bool| {
        let [a, b, c, d] = text.parse::<Ipv4Addr>().unwrap().octets();
        let place = legal.then(|| format!("{text}:80"));
        let hosts = [
            format!("::ffff:{text}"),
            format!("::FFFF:{a:x}{b:02x}:{c:x}{d:02x}"),
            format!("0:0:0:0:0:ffff:{text}"),
        ];
        hosts.map(|host| (format!("http://[{host}]/"), place.clone()))
    };
    let inside = inside.chain(INSIDE_V4.iter().flat_map(|text| mapped(text, false)));
    let public = public.chain(PUBLIC_V4.iter().flat_map(|text| mapped(text, true)));
    // In any other dress nobody can tell where it ends up.
    let dressed = ["127.0.0.1", "169.254.169.254", "8.8.8.8"]
        .iter()
        .flat_map(|text| {
            let [a, b, c, d] = text.parse::<Ipv4Addr>().unwrap().octets();
            [
                format!("::{text}"),
                format!("::ffff:0:{text}"),
                format!("64:ff9b::{text}"),
                format!("64:ff9b:1::{text}"),
                format!("2002:{a:02x}{b:02x}:{c:02x}{d:02x}::"),
                format!("2001:0:{a:02x}{b:02x}:{c:02x}{d:02x}::1"),
            ]
            .map(|host| (format!("http://[{host}]/"), None))
        });
    inside.chain(public).chain(dressed).collect()
}

fn names() -> Vec<Case> {
    let spelled = |name: &str, place: Option<&str>| {
        let (first, rest) = name.split_at(1);
        let (head, tail) = name.split_at(3);
        let urls = [
            format!("http://{name}/"),
            format!("http://{}/", name.to_uppercase()),
            format!("http://{name}./"),
            format!("http://{head}\t{tail}/"),
            format!("ht\ntp://{name}/"),
            format!(" http://{name}/ "),
            format!("http:\\\\{name}\\x"),
            format!("http:/{name}/"),
            format!("http:{name}"),
            format!("http:////{name}/"),
            format!("http://%{:02x}{rest}/", first.as_bytes()[0]),
            format!("http://{head}\u{ad}{tail}/"),
            format!("http://{}/", name.replace('.', "\u{3002}")),
            format!("http://{name}:/"),
            format!("http://{name}:00080/"),
            format!("http://{name}:443/"),
            format!("http://@{name}/"),
            format!("http://{name}#@other.example/"),
            format!("http://{name}?@other.example/"),
            format!("http://{name}/@other.example/"),
            format!("http://{name}\\@other.example/"),
            format!("http://{name}/http://other.example/"),
        ];
        let place = place.map(str::to_owned);
        urls.map(|url| {
            let port = if url.contains(":443") { 443 } else { 80 };
            (url, place.as_ref().map(|ip| format!("{ip}:{port}")))
        })
    };
    let inside = INSIDE_NAMES.iter().flat_map(|name| spelled(name, None));
    let public = PUBLIC_NAMES
        .iter()
        .flat_map(|name| spelled(name, Some("93.184.216.34")));
    let resolved = NAMES
        .iter()
        .filter(|(name, _)| !PUBLIC_NAMES.contains(name));
    let resolved = resolved.map(|(name, _)| {
        let place = match *name {
            "mixed.example" | "mapped-good.example" => Some("93.184.216.34:80"),
            "good6.example" | "mixed6.example" => Some("[2606:4700:4700::1111]:80"),
            _ => None,
        };
        (format!("http://{name}/"), place.map(str::to_owned))
    });
    inside.chain(public).chain(resolved).collect()
}

/// One address and one name that were granted with their port, in many spellings, and their neighbours.
fn places() -> Vec<Case> {
    let spelled = |port: u16, place: Option<&str>| {
        let mut hosts = notations(Ipv4Addr::LOCALHOST);
        hosts.push("[::ffff:127.0.0.1]".to_owned());
        let urls = hosts.into_iter();
        let place = place.map(str::to_owned);
        urls.map(|host| (format!("http://{host}:{port}/"), place.clone()))
            .collect::<Vec<_>>()
    };
    let mut cases = spelled(9000, Some("127.0.0.1:9000"));
    cases.extend(spelled(9001, None));
    cases
}

/// What leads nowhere, whatever it seems to say.
const REFUSED: [&str; 98] = [
    // Neighbours of what was granted.
    "http://127.0.0.2:9000/",
    "http://127.0.0.1:80/",
    "http://localhost:9000/",
    "http://loop.example:9000/",
    "http://[::1]:9000/",
    "http://[::127.0.0.1]:9000/",
    "http://good.example:8081/",
    "http://good.example:22/",
    "http://good.example:6379/",
    "http://good.example:0/",
    "http://good.example:65536/",
    "http://good.example:80x/",
    "http://good.example:-80/",
    "http://good.example:+80/",
    "http://good.example: 80/",
    "http://good.example:80:80/",
    "http://sub.good.example:8080/",
    "http://[2606:4700:4700::1112]:8443/",
    // Too many numbers, or too large ones.
    "http://256.0.0.1/",
    "http://127.0.0.256/",
    "http://127.0.65536/",
    "http://127.16777216/",
    "http://4294967296/",
    "http://0x100000000/",
    "http://0400000000000/",
    "http://127.0.0.0.1/",
    "http://1.2.3.4.5/",
    "http://8.8.8.8.8/",
    "http://127.0.0.08/",
    "http://0x7g.0.0.1/",
    "http://127.0.0.0xg/",
    "http://127..0.1/",
    "http://127.0.0.1../",
    "http://.127.0.0.1/",
    "http://1.1.1.1.example.1/",
    "http://0x/",
    "http://0/",
    "http://00/",
    "http://0.0/",
    "http://4294967295/",
    "http://255.255.255.255/",
    "http://168.63.129.16/",
    "http://100.100.100.200/",
    "http://192.0.0.192/",
    "http://192.0.2.1/",
    "http://192.88.99.1/",
    "http://198.18.0.1/",
    "http://198.51.100.1/",
    "http://203.0.113.1/",
    "http://239.255.255.255/",
    // Circled digits.
    "http://\u{2460}\u{2461}\u{2466}.\u{24ea}.\u{24ea}.\u{2460}/",
    "http://\u{2460}\u{2465}\u{2468}.\u{2461}\u{2464}\u{2463}.\u{2460}\u{2465}\u{2468}.\u{2461}\u{2464}\u{2463}/",
    // IPv6 with zones, without brackets, or that is none.
    "http://[fe80::1%25eth0]/",
    "http://[fe80::1%eth0]/",
    "http://[::1%25lo]/",
    "http://[::1]suffix/",
    "http://[::1/",
    "http://::1]/",
    "http://::1/",
    "http://[127.0.0.1]/",
    "http://[::ffff:0x7f.1]/",
    "http://[::ffff:127.0.0.1.]/",
    "http://[1::2::3]/",
    "http://[0:0:0:0:0:0:0:0:1]/",
    "http://[v1.x]/",
    "http://[]/",
    "http://[5f00::1]/",
    "http://[100::1]/",
    "http://[2001:db8::1]/",
    "http://[3fff::1]/",
    "http://[4000::1]/",
    // User names, wherever they seem to end.
    "http://good.example@127.0.0.1/",
    "http://good.example:80@127.0.0.1/",
    "http://127.0.0.1@good.example/",
    "http://good.example%40127.0.0.1/",
    "http://a:b@good.example/",
    "http://:b@good.example/",
    "http://good.example\t@127.0.0.1/",
    "http://good.example@good.example@127.0.0.1/",
    // Characters that no host has.
    "http://good.example%00.evil.example/",
    "http://good.example%2f.evil.example/",
    "http://good%5c.example/",
    "http://good<.example/",
    "http://good .example/",
    "http://good..example/",
    "http://-good.example/",
    "http://g\u{200d}ood.example\u{202e}/",
    "http://xn--/",
    // Other schemes, and none.
    "file:///etc/passwd",
    "ftp://good.example/",
    "gopher://127.0.0.1:6379/_x",
    "ws://good.example/",
    "data:text/plain,x",
    "javascript:alert(1)",
    "blob:http://good.example/x",
    "view-source:http://127.0.0.1/",
    "good.example/x",
    "//127.0.0.1/",
];

/// What is granted, however odd it looks.
const LEGAL: [(&str, &str); 40] = [
    ("http://good.example:8080/", "93.184.216.34:8080"),
    ("http://GOOD.example.:08080/", "93.184.216.34:8080"),
    ("http://g%6fod.example:8080", "93.184.216.34:8080"),
    (
        "http://[2606:4700:4700::1111]:8443/",
        "[2606:4700:4700::1111]:8443",
    ),
    (
        "http://[2606:4700:4700:0:0:0:0:1111]:8443/",
        "[2606:4700:4700::1111]:8443",
    ),
    ("http://good6.example:443/", "[2606:4700:4700::1111]:443"),
    ("http://b\u{fc}cher.example/", "93.184.216.34:80"),
    ("http://B\u{dc}CHER.example/", "93.184.216.34:80"),
    ("http://bu\u{308}cher.example/", "93.184.216.34:80"),
    ("http://b%C3%BCcher.example/", "93.184.216.34:80"),
    (
        "http://\u{ff47}\u{ff4f}\u{ff4f}\u{ff44}.example/",
        "93.184.216.34:80",
    ),
    ("http://good\u{ff0e}example/", "93.184.216.34:80"),
    ("http://good.example/http://127.0.0.1/", "93.184.216.34:80"),
    (
        "http://good.example/?url=http://127.0.0.1/",
        "93.184.216.34:80",
    ),
    ("http://good.example/#http://127.0.0.1/", "93.184.216.34:80"),
    ("http://good.example/@127.0.0.1/", "93.184.216.34:80"),
    ("http://good.example\\@127.0.0.1/", "93.184.216.34:80"),
    ("http://good.example?@127.0.0.1/", "93.184.216.34:80"),
    ("http://good.example#@127.0.0.1/", "93.184.216.34:80"),
    ("http://good.example/..//127.0.0.1", "93.184.216.34:80"),
    ("http://good.example/%2f%2f127.0.0.1", "93.184.216.34:80"),
    ("HTTP://good.example/", "93.184.216.34:80"),
    ("hTtP:good.example", "93.184.216.34:80"),
    ("http:///good.example/", "93.184.216.34:80"),
    ("http:\\good.example/", "93.184.216.34:80"),
    ("\u{1}http://good.example/\u{1f}", "93.184.216.34:80"),
    ("http://8.8.2056/", "8.8.8.8:80"),
    ("http://8.526344/", "8.8.8.8:80"),
    ("http://134744072/", "8.8.8.8:80"),
    ("http://0x08080808/", "8.8.8.8:80"),
    ("http://010.010.010.010/", "8.8.8.8:80"),
    ("http://1.1/", "1.0.0.1:80"),
    ("http://\u{2460}.\u{2460}.\u{2460}.\u{2460}/", "1.1.1.1:80"),
    ("http://9.255.255.255/", "9.255.255.255:80"),
    ("http://100.63.255.255/", "100.63.255.255:80"),
    ("http://100.128.0.1/", "100.128.0.1:80"),
    ("http://126.255.255.255/", "126.255.255.255:80"),
    ("http://172.15.255.255/", "172.15.255.255:80"),
    ("http://223.255.255.255/", "223.255.255.255:80"),
    (
        "http://[2001:4860:4860::8888]:80/",
        "[2001:4860:4860::8888]:80",
    ),
];
