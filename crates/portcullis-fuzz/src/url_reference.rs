//! Where a URL leads, from the URL standard, and where it may, from what the documentation of `http` says. Nothing is shared
//! with the real ones.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use portcullis_policy::{Host, Target};

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) host: Result<IpAddr, String>,
    pub(crate) port: u16,
}

/// What a text is.
#[derive(Debug)]
pub(crate) enum Reading {
    /// No URL that a request may have.
    None,
    /// One whose host has letters beyond ASCII, or nothing before an `@`: what it is, is not said here.
    Unknown,
    To {
        place: Place,
    },
}

impl Place {
    pub(crate) fn of(target: &Target) -> Self {
        Self {
            host: match &target.host {
                Host::Name(name) => Err(name.to_string()),
                Host::Address(address) => Ok(*address),
            },
            port: target.port,
        }
    }
}

/// <https://url.spec.whatwg.org/#url-parsing>, as far as it is about `http` and `https` without a base.
pub(crate) fn read(text: &str) -> Reading {
    let text: String = text
        .trim_matches(|letter: char| letter <= ' ')
        .chars()
        .filter(|letter| !matches!(letter, '\t' | '\n' | '\r'))
        .collect();
    let Some((scheme, rest)) = text.split_once(':') else {
        return Reading::None;
    };
    let usual = match scheme.to_ascii_lowercase().as_str() {
        "http" => 80,
        "https" => 443,
        _ => return Reading::None,
    };
    let rest = rest.trim_start_matches(['/', '\\']);
    let end = rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len());
    let authority = match rest[..end].rsplit_once('@') {
        Some(("" | ":", _)) => return Reading::Unknown,
        Some(_) => return Reading::None,
        None => &rest[..end],
    };
    let (host, port) = match authority.strip_prefix('[') {
        Some(inside) => match inside.split_once(']') {
            Some((inside, after)) => (Err(inside), after),
            None => return Reading::None,
        },
        None => {
            let colon = authority.find(':').unwrap_or(authority.len());
            (Ok(&authority[..colon]), &authority[colon..])
        }
    };
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => usual,
        Some("") => usual,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            let digits = digits.trim_start_matches('0');
            match digits.parse() {
                Ok(port) => port,
                Err(_) => return Reading::None,
            }
        }
        None | Some(_) => return Reading::None,
    };
    let host = match host {
        Err(inside) => match inside.parse::<Ipv6Addr>() {
            Ok(address) => Ok(IpAddr::V6(address).to_canonical()),
            Err(_) => return Reading::None,
        },
        Ok(written) => match domain(written) {
            Named::Not => return Reading::None,
            Named::Unknown => return Reading::Unknown,
            Named::Is(host) => host,
        },
    };
    Reading::To {
        place: Place { host, port },
    }
}

enum Named {
    Not,
    Unknown,
    Is(Result<IpAddr, String>),
}

fn domain(written: &str) -> Named {
    let decoded = decoded(written.as_bytes());
    if !decoded.is_ascii() {
        return Named::Unknown;
    }
    let name: String = decoded
        .iter()
        .map(|&byte| byte.to_ascii_lowercase() as char)
        .collect();
    let forbidden = |byte: u8| byte <= b' ' || b"#/:<>?@[\\]^|%\x7f".contains(&byte);
    if name.is_empty() || name.bytes().any(forbidden) {
        return Named::Not;
    }
    if name.split('.').any(|label| label.starts_with("xn--")) {
        return Named::Unknown;
    }
    let name = name.strip_suffix('.').unwrap_or(&name);
    let last = name.rsplit('.').next().unwrap_or_default();
    let digits = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    if digits || number(last).is_some() {
        return numbers(name).map_or(Named::Not, |address| Named::Is(Ok(address.into())));
    }
    match is_name(name) {
        true => Named::Is(Err(name.to_owned())),
        false => Named::Not,
    }
}

/// Labels of 1 to 63 letters, digits, `-` and `_`, with `-` only inside, in all at most 253.
fn is_name(name: &str) -> bool {
    name.len() <= 253
        && name.split('.').all(|label| {
            let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            !label.is_empty()
                && label.len() < 64
                && label.bytes().all(known)
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

fn decoded(bytes: &[u8]) -> Vec<u8> {
    let hex = |byte: Option<&u8>| byte.and_then(|&byte| (byte as char).to_digit(16));
    let (mut decoded, mut at) = (Vec::new(), 0);
    while let Some(&byte) = bytes.get(at) {
        let pair = (hex(bytes.get(at + 1)), hex(bytes.get(at + 2)));
        let (byte, length) = match (byte, pair) {
            (b'%', (Some(high), Some(low))) => (u8::try_from(high * 16 + low).unwrap(), 3),
            (byte, _) => (byte, 1),
        };
        decoded.push(byte);
        at += length;
    }
    decoded
}

/// A part of an IPv4 address: decimal, octal after `0`, hexadecimal after `0x`.
fn number(text: &str) -> Option<u128> {
    let (digits, radix) = match text.as_bytes() {
        [] => return None,
        [b'0', b'x', ..] => (&text[2..], 16),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (text, 10),
    };
    if digits.contains('+') {
        return None;
    }
    if digits.is_empty() {
        return Some(0);
    }
    let known = digits.bytes().all(|byte| (byte as char).is_digit(radix));
    // What does not fit is larger than any address.
    known.then(|| u128::from_str_radix(digits, radix).unwrap_or(u128::MAX))
}

fn numbers(name: &str) -> Option<Ipv4Addr> {
    let parts: Option<Vec<_>> = name.split('.').map(number).collect();
    let parts = parts.filter(|parts| parts.len() <= 4)?;
    let (last, first) = parts.split_last()?;
    let room = 1 << (8 * (4 - first.len()));
    if *last >= room || first.iter().any(|&part| part > 255) {
        return None;
    }
    let mut address = *last;
    for (at, part) in first.iter().enumerate() {
        address += part << (8 * (3 - at));
    }
    Some(Ipv4Addr::from_bits(u32::try_from(address).ok()?))
}

/// Blocks outside the public network, from IANA's registries, and whether a range of a rule may reach into them. The first
/// that holds an address counts.
const BLOCKS: [(&str, bool); 38] = [
    ("100.100.100.200/32", false),
    ("192.0.0.192/32", false),
    ("168.63.129.16/32", false),
    ("0.0.0.0/8", false),
    ("127.0.0.0/8", false),
    ("169.254.0.0/16", false),
    ("192.88.99.0/24", false),
    ("224.0.0.0/4", false),
    ("255.255.255.255/32", false),
    ("10.0.0.0/8", true),
    ("100.64.0.0/10", true),
    ("172.16.0.0/12", true),
    ("192.0.0.0/24", true),
    ("192.0.2.0/24", true),
    ("192.168.0.0/16", true),
    ("198.18.0.0/15", true),
    ("198.51.100.0/24", true),
    ("203.0.113.0/24", true),
    ("240.0.0.0/4", true),
    ("fd00:ec2::254/128", false),
    ("fd20:ce::254/128", false),
    ("::/96", false),
    ("::ffff:0:0:0/96", false),
    ("64:ff9b:1::/48", false),
    ("2001::/32", false),
    ("2002::/16", false),
    ("fe80::/10", false),
    ("ff00::/8", false),
    (NAT64, true),
    ("2001:2::/48", true),
    ("2001::/23", true),
    ("2001:db8::/32", true),
    ("3fff::/20", true),
    ("fc00::/7", true),
    ("fec0::/10", true),
    // All of IPv6 that is not given out yet.
    ("::/3", false),
    ("4000::/2", false),
    ("8000::/1", false),
];
const NAT64: &str = "64:ff9b::/96";

/// Whether a range holds an address.
fn holds(range: &str, address: IpAddr) -> bool {
    let (first, length) = range.split_once('/').unwrap_or((range, "128"));
    let bits = |address: IpAddr| match address {
        IpAddr::V4(v4) => (32, u128::from(v4.to_bits())),
        IpAddr::V6(v6) => (128, v6.to_bits()),
    };
    let ((width, first), (other, address)) = (bits(first.parse().unwrap()), bits(address));
    let length: u32 = length.parse::<u32>().unwrap().min(width);
    width == other && (first ^ address).checked_shr(width - length).unwrap_or(0) == 0
}

/// Whether an address is outside the public network, and if so, whether a range may reach it.
fn inside(address: IpAddr) -> Option<bool> {
    let found = BLOCKS.iter().find(|(block, _)| holds(block, address));
    found.map(|&(_, reachable)| reachable)
}

/// An entry of `allow`.
#[derive(Clone, Debug)]
pub(crate) struct Wide {
    hosts: Hosts,
    /// `None`: both of the web.
    port: Option<u16>,
    pub(crate) ranges: Vec<String>,
    pub(crate) paths: Vec<String>,
    pub(crate) methods: Vec<String>,
    pub(crate) schemes: Vec<String>,
}

#[derive(Clone, Debug)]
enum Hosts {
    All,
    Below(String),
    One(Result<IpAddr, String>),
}

impl Wide {
    /// Reads an entry. None for letters beyond ASCII.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let of = |hosts, port| {
            Some(Self {
                hosts,
                port,
                ranges: Vec::new(),
                paths: Vec::new(),
                methods: Vec::new(),
                schemes: Vec::new(),
            })
        };
        if text == "*" {
            return of(Hosts::All, None);
        }
        if !text.is_ascii() {
            return None;
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().ok()?)),
            _ => (text, None),
        };
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let hosts = match (host.strip_prefix("*."), bare.parse::<IpAddr>()) {
            (Some(parent), _) => Hosts::Below(parent.to_owned()),
            (None, Ok(address)) => Hosts::One(Ok(address.to_canonical())),
            (None, Err(_)) => Hosts::One(Err(host)),
        };
        of(hosts, port)
    }

    /// What may be written into a policy.
    pub(crate) fn is_sound(&self) {
        let name = match &self.hosts {
            Hosts::All => return,
            Hosts::One(Ok(address)) => {
                assert!(
                    self.port.is_some() || inside(*address).is_none(),
                    "{self:?}"
                );
                return;
            }
            Hosts::Below(parent) => {
                assert!(parent.contains('.'), "{self:?}");
                parent
            }
            Hosts::One(Err(name)) => name,
        };
        assert!(is_name(name) && self.port != Some(0), "{self:?}");
        let top = name.rsplit('.').next().unwrap_or_default();
        assert!(top != "localhost" && number(top).is_none(), "{self:?}");
    }

    pub(crate) fn is_about(&self, place: &Place) -> bool {
        let port = match self.port {
            Some(port) => port == place.port,
            None => matches!(place.port, 80 | 443),
        };
        port && match (&self.hosts, &place.host) {
            (Hosts::All, _) => true,
            (Hosts::One(one), asked) => one == asked,
            (Hosts::Below(parent), Err(name)) => {
                let labels: Vec<_> = name.split('.').collect();
                let parents: Vec<_> = parent.split('.').collect();
                labels.len() > parents.len() && labels.ends_with(&parents)
            }
            (Hosts::Below(_), Ok(_)) => false,
        }
    }

    /// What the planted bug takes for a name below another.
    pub(crate) fn ends_like(&self, place: &Place) -> bool {
        match (&self.hosts, &place.host) {
            (Hosts::Below(parent), Err(name)) => name.ends_with(parent),
            _ => false,
        }
    }

    pub(crate) fn fits(&self, method: &str, scheme: &str, path: &str) -> bool {
        let any =
            |list: &[String], asked: &str| list.is_empty() || list.iter().any(|one| one == asked);
        any(&self.methods, method)
            && any(&self.schemes, scheme)
            && (self.paths.is_empty() || self.paths.iter().any(|pattern| leads(pattern, path)))
    }

    pub(crate) fn may_dial(&self, place: &Place, address: IpAddr) -> bool {
        let address = address.to_canonical();
        if let (Hosts::One(Ok(one)), Ok(asked)) = (&self.hosts, &place.host) {
            return one == asked && *asked == address;
        }
        let Some(reachable) = inside(address) else {
            return true;
        };
        let unlocked = self.ranges.iter().any(|range| holds(range, address));
        let behind = match address {
            IpAddr::V6(v6) if holds(NAT64, address) => {
                let bits = u32::try_from(v6.to_bits() & 0xffff_ffff).unwrap();
                self.may_dial(place, Ipv4Addr::from_bits(bits).into())
            }
            IpAddr::V4(_) | IpAddr::V6(_) => true,
        };
        reachable && unlocked && behind
    }
}

/// Whether a path is one that a pattern is about, however a server decodes it.
fn leads(pattern: &str, path: &str) -> bool {
    let odd = |byte: u8| !byte.is_ascii_graphic() || b"\\@\"<>^`{|}[]".contains(&byte);
    if path.bytes().any(odd) {
        return false;
    }
    let plain = path.to_ascii_lowercase().replace("%2e", ".");
    let plain = plain.replace("%2f", "/").replace("%5c", "/");
    let climbs = |part: &str| matches!(part.split(';').next(), Some("." | ".."));
    if plain.split(['/', '?', '#']).any(climbs) {
        return false;
    }
    let (wanted, parts): (Vec<_>, Vec<_>) =
        (pattern.split('/').collect(), path.split('/').collect());
    let (wanted, open) = match wanted.split_last() {
        Some((&"**", first)) => (first, true),
        _ => (&wanted[..], false),
    };
    let long_enough = match open {
        true => parts.len() >= wanted.len(),
        false => parts.len() == wanted.len(),
    };
    let same = |(wanted, part): (&&str, &&str)| match *wanted {
        "*" => !part.is_empty(),
        wanted => wanted == *part,
    };
    long_enough && wanted.iter().zip(&parts).all(same)
}
