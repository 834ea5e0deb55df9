//! Lines in which programs say that they could not reach a host.

use portcullis_policy::{HostRule, Net};

use super::{Complaint, Hint, text};

/// Texts of the C library and of common programs: codes in upper case, all else in lower case.
const TEXTS: [&str; 15] = [
    "could not resolve",
    "couldn't resolve",
    "unable to resolve",
    "name resolution",
    "name or service not known",
    "getaddrinfo",
    "ENOTFOUND",
    "EAI_AGAIN",
    "unknownhostexception",
    "network is unreachable",
    "ENETUNREACH",
    "address family not supported",
    "EAFNOSUPPORT",
    "connection refused",
    "failed to connect",
];
/// What is meant where no port is written.
const PORTS: [(&str, u16); 5] = [
    ("https://", 443),
    ("http://", 80),
    ("ssh://", 22),
    ("git://", 9418),
    ("ftp://", 21),
];
const ELSE: u16 = 443;

/// The hint that explains it, if confinement does.
pub(super) fn hint(failed: &Complaint) -> Option<Hint> {
    let complains = |line: &&str| TEXTS.iter().any(|said| text::says(line, said));
    let complaint = text::last_lines(&failed.stderr).find(complains)?;
    match failed.rights.net {
        // Its proxy has said what it refused.
        Net::Hosts(_) if failed.asked_proxy => None,
        Net::Hosts(_) => Some(Hint::NotThroughProxy),
        Net::Open => None,
        Net::None | Net::Loopback => {
            // The arguments say most exactly what was wanted, with a scheme or a port.
            let args = failed.args.iter().map(String::as_str);
            let mut words = args.chain(complaint.split_whitespace());
            let wanted = words.find_map(url).or_else(|| host_of(complaint));
            // Within its own loopback something may just not be there.
            (wanted.is_some() || failed.rights.net == Net::None).then_some(Hint::NoNetwork(wanted))
        }
    }
}

/// The host and port of a URL.
fn url(word: &str) -> Option<String> {
    let word = word.trim_matches(|char: char| "'\"`<>,;()".contains(char));
    let (rest, port) = PORTS
        .iter()
        .find_map(|(scheme, port)| Some((word.split_once(scheme)?.1, *port)))?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (_, authority) = authority.rsplit_once('@').unwrap_or(("", authority));
    target(authority, port)
}

/// The last word of a complaint that can be a host: `ssh: connect to host example.org port 22: …`.
fn host_of(complaint: &str) -> Option<String> {
    // First stands who complains.
    let (_, complaint) = complaint.split_once(": ").unwrap_or(("", complaint));
    let words: Vec<_> = complaint
        .split_whitespace()
        .map(|word| word.trim_matches(|char: char| "'\"`<>,;:()".contains(char)))
        .collect();
    let port = words
        .windows(2)
        .find(|pair| pair[0] == "port")
        .and_then(|pair| pair[1].parse().ok());
    let named = words
        .iter()
        .rev()
        .filter(|word| word.contains('.') || word.contains(':'));
    named
        .into_iter()
        .find_map(|word| target(word, port.unwrap_or(ELSE)))
}

/// In the form of a rule, if it is one.
fn target(authority: &str, port: u16) -> Option<String> {
    let rule =
        HostRule::parse(authority).or_else(|_| HostRule::parse(&format!("{authority}:{port}")));
    let rule = rule.ok()?.to_string();
    // Any host below a domain is nothing that a program asks for.
    (!rule.contains('*')).then_some(rule)
}
