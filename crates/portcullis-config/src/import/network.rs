//! `permissions.network` of Wassette: hosts, as requests of the plugin itself. A denial takes away whatever it could be about.

use std::net::IpAddr;

use ipnet::IpNet;
use portcullis_policy::HttpHosts;

use super::entry::{Entry, Key};
use super::wassette::{List, NetworkPlace, Spot as _};
use crate::reglet::quoted;

/// Ranges that no name leads into here.
const INSIDE: [&str; 9] = [
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
];

pub(super) fn import(list: &List<NetworkPlace>, entry: &mut Entry<'_>) {
    let denials: Vec<_> = list.deny.iter().flatten().collect();
    for place in list.allow.iter().flatten() {
        if let Some(range) = &place.cidr {
            entry.note(
                Key::Http,
                range.at(entry.source),
                &range.value,
                "is left out: a request is to a host, and not to a range of addresses",
            );
            continue;
        }
        let Some(written) = &place.host else {
            continue;
        };
        let at = written.at(entry.source);
        let (scheme, host) = split(&written.value);
        let denied = denials.iter().find(|denied| could_mean(denied, host));
        if let Some(denied) = denied {
            let why = format!(
                "is left out: a denial, `{}`, is about some of it",
                denied.text()
            );
            entry.note(Key::Http, at, &written.value, why);
            continue;
        }
        if let Err(why) = plain(host) {
            entry.note(Key::Http, at, &written.value, format!("is left out: {why}"));
            continue;
        }
        entry.value(
            Key::Http,
            match scheme {
                None => quoted(host),
                Some(scheme) => format!(
                    "{{ host = {}, schemes = [{}] }}",
                    quoted(host),
                    quoted(scheme)
                ),
            },
        );
        if host.starts_with('*') {
            entry.note(Key::Http, at, &written.value, "means what is written: requests to every such name; the Wassette that compares names letter by letter lets none through");
        }
        if port(host).is_none() {
            entry.note(
                Key::Http,
                at,
                &written.value,
                "is for requests to ports 80 and 443, and for no other connections",
            );
        }
    }
}

/// The scheme, if one is written, and the rest.
fn split(host: &str) -> (Option<&str>, &str) {
    for scheme in ["https", "http"] {
        let rest = host
            .strip_prefix(scheme)
            .and_then(|rest| rest.strip_prefix("://"));
        if let Some(rest) = rest {
            return (Some(scheme), rest.strip_suffix('/').unwrap_or(rest));
        }
    }
    (None, host)
}

/// The name or address, without brackets and port.
fn name(host: &str) -> &str {
    if host.parse::<IpAddr>().is_ok() {
        return host;
    }
    let name = port(host).map_or(host, |(name, _)| name);
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.strip_suffix('.').unwrap_or(name)
}

fn port(host: &str) -> Option<(&str, &str)> {
    host.rsplit_once(':')
        .filter(|(_, port)| !port.contains(']'))
}

/// Whether the host is one of ours, written in characters that mean the same everywhere.
fn plain(host: &str) -> Result<(), String> {
    if !host.chars().all(is_known) {
        return Err("it is not the name of a host alone".to_owned());
    }
    HttpHosts::parse(host)
        .map(drop)
        .map_err(|error| error.to_string())
}

fn is_known(c: char) -> bool {
    c.is_ascii_alphanumeric() || ".-_:[]*".contains(c)
}

/// An address in its usual spelling.
fn address(name: &str) -> Option<IpAddr> {
    name.parse::<IpAddr>()
        .ok()
        .map(|address| address.to_canonical())
}

/// Whether a denial could be about a host that is allowed. What cannot be told apart is about it.
fn could_mean(denied: &NetworkPlace, host: &str) -> bool {
    let host = name(host).to_ascii_lowercase();
    if let Some(range) = &denied.cidr {
        let Ok(range) = range.value.parse::<IpNet>() else {
            return true;
        };
        let inside = |inside: &&str| {
            let inside = inside.parse::<IpNet>();
            inside.is_ok_and(|inside| inside.contains(&range))
        };
        return match address(&host) {
            Some(address) => range.contains(&address),
            None => !INSIDE.iter().any(inside),
        };
    }
    let Some(denied) = &denied.host else {
        return true;
    };
    let denied = name(split(&denied.value).1).to_ascii_lowercase();
    let last = denied.rsplit('.').next().unwrap_or_default();
    let odd = !denied.chars().all(is_known) || last.starts_with(|c: char| c.is_ascii_digit());
    match (address(&denied), address(&host)) {
        (Some(denied), Some(host)) => return denied == host,
        (None, Some(host)) if denied == "localhost" => return host.is_loopback(),
        // Another spelling of an address, or of a name.
        (None, _) if odd => return true,
        (Some(_), None) | (None, _) => {}
    }
    let suffix = |pattern: &str| pattern.strip_prefix('*').map(str::to_owned);
    match (suffix(&denied), suffix(&host)) {
        (None, None) => denied == host,
        (Some(denied), None) => host.ends_with(&denied),
        (None, Some(host)) => denied.ends_with(&host),
        (Some(denied), Some(host)) => denied.ends_with(&host) || host.ends_with(&denied),
    }
}
