//! URLs and grants: what a request is decided to be, and where it may be connected to, beside a second statement of both.
//!
//! An input is lines. The first character says what the rest is: `g` an entry of the grants and `c` one of the ceiling,
//! to which a range `r`, a path `p`, a method `m` and a scheme `s` belong that follow it; `M` the method of the request,
//! `a` an address that its host stands for, and `u` its URL.

use std::net::IpAddr;

use portcullis_policy::{
    Bounded, Decision, Grants, Host, HttpDial, HttpHosts, HttpRequest, HttpRule, HttpUrl, Origin,
    PluginId, RuleId, decide,
};

use crate::url_reference::{self as reference, Place, Reading, Wide};
use crate::{Run, lines};

/// Entries of one input.
const MOST: usize = 8;

pub(crate) fn target() -> Run {
    Box::new(|data| {
        if let Some(asked) = Asked::read(data) {
            asked.check();
        }
    })
}

/// One entry, as the product has it and as the reference has it.
struct Entry {
    rule: HttpRule,
    wide: Wide,
}

#[derive(Default)]
struct Asked {
    allow: Vec<Entry>,
    ceiling: Vec<Entry>,
    method: String,
    url: String,
    addresses: Vec<IpAddr>,
}

impl Asked {
    fn read(data: &[u8]) -> Option<Self> {
        let mut asked = Self {
            method: "GET".to_owned(),
            ..Self::default()
        };
        let mut in_ceiling = false;
        for (kind, text) in lines(data)?.take(64) {
            let entries = match in_ceiling {
                true => &mut asked.ceiling,
                false => &mut asked.allow,
            };
            let last = entries.last_mut();
            match (kind, last) {
                ('g', _) => {
                    in_ceiling = false;
                    add(&mut asked.allow, text);
                }
                ('c', _) => {
                    in_ceiling = true;
                    add(&mut asked.ceiling, text);
                }
                ('r', Some(last)) => {
                    let unlocked = last.rule.hosts.unlock(text).ok();
                    last.wide.ranges.extend(unlocked.map(|()| text.to_owned()));
                }
                ('p', Some(last)) if HttpRule::is_path(text) => {
                    last.rule.paths.push(text.to_owned());
                    last.wide.paths.push(text.to_owned());
                }
                ('m', Some(last)) => {
                    last.rule.methods.push(text.to_owned());
                    last.wide.methods.push(text.to_owned());
                }
                ('s', Some(last)) => {
                    last.rule.schemes.push(text.to_owned());
                    last.wide.schemes.push(text.to_owned());
                }
                ('M', _) => asked.method = text.to_owned(),
                ('a', _) => asked.addresses.extend(text.parse::<IpAddr>()),
                ('u', _) => asked.url = text.to_owned(),
                _ => {}
            }
        }
        Some(asked)
    }

    fn check(&self) {
        let read = reference::read(&self.url);
        let url = match (HttpUrl::parse(&self.url), &read) {
            (Ok(url), Reading::Unknown) => url,
            (Ok(url), Reading::To { place, .. }) => {
                let found = Place::of(url.target());
                assert_eq!(&found, place, "another place: {:?}", self.url);
                url
            }
            (Ok(url), Reading::None) => panic!("`{url:?}` of no URL {:?}", self.url),
            (Err(why), Reading::To { place, .. }) => {
                panic!("{:?} leads to {place:?}, and is refused: {why}", self.url)
            }
            (Err(_), Reading::None | Reading::Unknown) => return,
        };
        as_it_is_sent(&url);
        let grants = self.grants();
        let request = HttpRequest {
            method: self.method.clone(),
            url: url.clone(),
        };
        let by_name = decide(&grants, request.clone());
        let by_name = matches!(by_name, Decision::Allow(_));
        let expected = self.allowed(&url, None);
        assert_eq!(planted(by_name, self, &url), expected, "{self}");
        let addresses = match url.target().host {
            // It is no other.
            Host::Address(address) => vec![address],
            Host::Name(_) => self.addresses.clone(),
        };
        for address in addresses {
            let request = request.clone();
            match decide(&grants, HttpDial { request, address }) {
                Decision::Allow(dial) => {
                    let socket = dial.request().socket();
                    assert_eq!(socket.ip(), address.to_canonical(), "{self}");
                    assert_eq!(socket.port(), url.target().port, "{self}");
                    assert!(by_name, "dialled without being asked for: {self}");
                    assert!(self.allowed(&url, Some(socket.ip())), "{socket}: {self}");
                }
                Decision::Ask { .. } | Decision::Deny(_) => {
                    assert!(!self.allowed(&url, Some(address)), "{address} not: {self}");
                }
            }
        }
    }

    fn grants(&self) -> Grants {
        let rules = |entries: &[Entry]| entries.iter().map(|entry| entry.rule.clone()).collect();
        let mut grants = Grants::none(PluginId::new("p").unwrap());
        grants.http.allow = rules(&self.allow);
        if !self.ceiling.is_empty() {
            grants.http.ceiling = Some(Bounded {
                most: rules(&self.ceiling),
                origin: Origin::Code,
            });
        }
        grants
    }

    /// By the reference: whether the request may be sent, and to this address.
    fn allowed(&self, url: &HttpUrl, address: Option<IpAddr>) -> bool {
        let place = Place::of(url.target());
        let any = |entries: &[Entry]| {
            entries.iter().any(|entry| {
                let (scheme, path) = (url.as_url().scheme(), url.as_url().path());
                let wide = &entry.wide;
                wide.is_about(&place)
                    && wide.fits(&self.method, scheme, path)
                    && address.is_none_or(|address| wide.may_dial(&place, address))
            })
        };
        any(&self.allow) && (self.ceiling.is_empty() || any(&self.ceiling))
    }
}

impl std::fmt::Display for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let wide = |entries: &[Entry]| {
            let all = entries.iter().map(|entry| format!("{:?}", entry.wide));
            all.collect::<Vec<_>>().join("; ")
        };
        write!(
            f,
            "`{} {:?}` by {}",
            self.method,
            self.url,
            wide(&self.allow)
        )?;
        write!(f, ", within {}", wide(&self.ceiling))
    }
}

/// Adds an entry that both read.
fn add(entries: &mut Vec<Entry>, text: &str) {
    if entries.len() == MOST {
        return;
    }
    if let (Ok(hosts), Some(wide)) = (HttpHosts::parse(text), Wide::read(text)) {
        wide.is_sound();
        let rule = HttpRule {
            id: RuleId(text.to_owned()),
            origin: Origin::Code,
            hosts,
            schemes: Vec::new(),
            methods: Vec::new(),
            paths: Vec::new(),
        };
        entries.push(Entry { rule, wide });
    }
}

/// What is asked of a server is what was decided on.
fn as_it_is_sent(url: &HttpUrl) {
    let sent = url.as_url();
    let again = HttpUrl::parse(sent.as_str()).unwrap();
    assert_eq!(&again, url, "read again it is another");
    assert_eq!(sent.host_str().unwrap(), url.target().host.to_string());
    assert!(sent.username().is_empty() && sent.password().is_none() && sent.fragment().is_none());
    let line = [sent.path(), sent.query().unwrap_or_default()].concat();
    let plain = line.bytes().all(|byte| byte.is_ascii_graphic());
    assert!(plain && sent.path().starts_with('/'), "{line:?}");
    assert!(!url.redacted().contains('?'), "a query is written down");
}

/// The bug: a name ends like another, wherever its labels begin.
fn planted(allowed: bool, asked: &Asked, url: &HttpUrl) -> bool {
    let wide = |entry: &Entry| entry.wide.ends_like(&Place::of(url.target()));
    allowed || (cfg!(feature = "planted") && asked.allow.iter().any(wide))
}
