//! What DNS says about a name.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use portcullis_policy::{Connection, HostName, LookupRequest, Target, shown};

use super::attempt::{Given, Outside, of_denial};
use super::failure::{Failed, NetFailure};
use super::tcp::{place, target};
use crate::capability::dial::{Way, sockets, way};
use crate::gate::Gate;
use crate::needs::Need;

/// The port of a name server that is named without one.
const PORT: u16 = 53;
/// Records that an answer may have.
const MAX_RECORDS: usize = 1000;
/// Names that lead to one another.
const MAX_CHAIN: usize = 16;

/// A lookup as a guest asks for it.
#[derive(Clone, Debug, Default)]
pub(crate) struct DnsAsk {
    /// With or without a final dot: it is a whole name either way.
    pub(crate) name: String,
    pub(crate) kind: RecordKind,
    /// Whom to ask, a host with or without a port; `None`: those that this machine asks.
    pub(crate) name_server: Option<String>,
    /// What the guest waits at most; `None`: as long as it may.
    pub(crate) timeout: Option<Duration>,
}

/// What is wanted of a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum RecordKind {
    /// Its addresses: those of IPv4, then those of IPv6.
    #[default]
    Addresses,
    A,
    Aaaa,
    /// The name that it stands for at last: itself where it has addresses of its own.
    Cname,
    Mx,
    Txt,
    Ns,
}

/// What there is. Names end with a dot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DnsAnswer {
    /// One text a record; empty for mail servers.
    pub(crate) records: Vec<String>,
    /// Mail servers and their preferences, the preferred one first.
    pub(crate) mail: Vec<(String, u16)>,
}

impl Given for DnsAnswer {
    fn bytes(&self) -> usize {
        let mail = self.mail.iter().map(|(host, _)| host);
        self.records.iter().chain(mail).map(String::len).sum()
    }
}

impl RecordKind {
    const fn name(self) -> &'static str {
        match self {
            Self::Addresses => "A and AAAA",
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Cname => "CNAME",
            Self::Mx => "MX",
            Self::Txt => "TXT",
            Self::Ns => "NS",
        }
    }
}

impl Gate {
    /// Asks DNS about a name. The answer is data: no address in it is any more reached for it.
    ///
    /// It takes no longer than `limits.net_timeout`, no longer than asked for, and no longer than the guest's own call.
    ///
    /// # Errors
    /// [`NetFailure`]
    pub(crate) async fn net_lookup(&mut self, ask: DnsAsk) -> Result<DnsAnswer, NetFailure> {
        let kind = ask.kind.name();
        let server = ask.name_server.as_deref().map(split_server);
        let mut what = format!("{kind} {}", shown(&ask.name));
        if let Some((host, port)) = &server {
            let port = port.as_ref().copied().unwrap_or_default();
            what.push_str(&format!(" at {}", place(host, port)));
        }
        let used = self.net_begin("lookup", &what)?;
        let name = ask.name.strip_suffix('.').unwrap_or(&ask.name);
        let name = HostName::parse(name).map_err(|error| error.to_string());
        let server = server.map(|(host, port)| target(host, port?)).transpose();
        let (name, server) = match name.and_then(|name| Ok((name, server?))) {
            Ok(both) => both,
            Err(why) => return Err(self.net_invalid(&used, &what, why)),
        };
        let request = LookupRequest { name: name.clone() };
        let allowed = self.authorize(&used, request);
        let allowed = allowed.map_err(|refused| of_denial(refused, name.as_str()))?;
        let rule = allowed.terms().clone();
        let told = || Need::Lookup(name.as_str().to_owned());
        self.parts().needs.tell(told);
        if let Some(server) = &server {
            self.net_reachable(&used, server)?;
        }
        let (allowed, outside) = self.net_allowed(used, what, rule, ask.timeout);
        let work = look_up(outside, name, ask.kind, server);
        self.net_attempt(allowed, work).await
    }
}

/// The host and the port of a name server: `host`, `host:port`, an address, or one in brackets with a port.
fn split_server(text: &str) -> (&str, Result<u16, String>) {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port),
        Some(_) | None => return (text, Ok(PORT)),
    };
    let port = port.parse().map_err(|_| "a port is 1 to 65535".to_owned());
    (host, port)
}

async fn look_up(
    outside: Outside,
    name: HostName,
    kind: RecordKind,
    server: Option<Target>,
) -> Result<DnsAnswer, Failed> {
    let resolver = match server {
        Some(server) => asking(&allowed(&outside, &server).await?),
        None => match &outside.client.name_servers {
            Some(servers) => asking(servers),
            None => of_the_system().await,
        },
    };
    let resolver = resolver.map_err(|why| Failed::unready(format!("cannot ask DNS: {why}")))?;
    // With the final dot nothing is added to it.
    let wanted = Name::from_ascii(format!("{name}."));
    let wanted = wanted.map_err(|_| Failed::io(format!("`{name}` is no name of DNS")))?;
    match kind {
        RecordKind::Addresses => {
            let v4 = records(&resolver, &wanted, RecordType::A).await;
            let v6 = records(&resolver, &wanted, RecordType::AAAA).await;
            match (v4, v6) {
                (Ok(mut v4), Ok(v6)) => {
                    v4.records.extend(v6.records);
                    Ok(v4)
                }
                (Err(Failed::Other(NetFailure::NotFound(_))), other) => other,
                (one, Err(_)) => one,
                (Err(why), Ok(_)) => Err(why),
            }
        }
        RecordKind::Cname => match canonical(&resolver, &wanted, RecordType::A).await {
            Err(Failed::Other(NetFailure::NotFound(_))) => {
                canonical(&resolver, &wanted, RecordType::AAAA).await
            }
            found => found,
        },
        RecordKind::A => records(&resolver, &wanted, RecordType::A).await,
        RecordKind::Aaaa => records(&resolver, &wanted, RecordType::AAAA).await,
        RecordKind::Mx => records(&resolver, &wanted, RecordType::MX).await,
        RecordKind::Txt => records(&resolver, &wanted, RecordType::TXT).await,
        RecordKind::Ns => records(&resolver, &wanted, RecordType::NS).await,
    }
}

/// The addresses of a name server that the guest names, as far as policy allows them.
async fn allowed(outside: &Outside, server: &Target) -> Result<Vec<SocketAddr>, Failed> {
    let place = |address| Connection {
        target: server.clone(),
        address,
    };
    match way(&outside.client, &outside.grants, &server.host, place).await? {
        Way::Places(places) => Ok(sockets(&places)),
        Way::Through(_) => Err(Failed::io(
            "a name server is not reached through a proxy: name it by its address",
        )),
    }
}

/// A resolver that asks these. It is used once: what one plugin looked up no other finds sooner.
fn asking(servers: &[SocketAddr]) -> Result<TokioResolver, String> {
    let servers = servers.iter().map(|socket| {
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
        let connections = connections.map(|mut connection| {
            connection.port = socket.port();
            connection
        });
        NameServerConfig::new(socket.ip(), true, connections.into())
    });
    let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
    built(config, ResolverOpts::default())
}

/// A resolver that asks whom this machine asks, by `/etc/resolv.conf`.
async fn of_the_system() -> Result<TokioResolver, String> {
    let read = tokio::task::spawn_blocking(read_system_conf).await;
    let (config, options) = read
        .map_err(|error| error.to_string())?
        .map_err(|error| error.to_string())?;
    built(config, options)
}

fn built(config: ResolverConfig, mut options: ResolverOpts) -> Result<TokioResolver, String> {
    options.cache_size = 0;
    // What this machine calls its neighbours is nobody's record.
    options.use_hosts_file = ResolveHosts::Never;
    options.preserve_intermediates = true;
    let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    let built = builder.with_options(options).build();
    built.map_err(|error| error.to_string())
}

/// The records of this type that a name has, or the name that it stands for.
async fn records(
    resolver: &TokioResolver,
    name: &Name,
    kind: RecordType,
) -> Result<DnsAnswer, Failed> {
    let found = found(resolver, name, kind).await?;
    let mut answer = DnsAnswer::default();
    for record in &found.records {
        match &record.data {
            RData::A(address) => answer.records.push(address.to_string()),
            RData::AAAA(address) => answer.records.push(address.to_string()),
            RData::NS(server) => answer.records.push(server.0.to_ascii()),
            RData::TXT(text) => {
                // One text is cut into parts only because a part has 255 bytes.
                let whole = text.txt_data.concat();
                answer
                    .records
                    .push(String::from_utf8_lossy(&whole).into_owned());
            }
            RData::MX(mail) => answer
                .mail
                .push((mail.exchange.to_ascii(), mail.preference)),
            _ => {}
        }
    }
    answer.mail.sort_by_key(|(_, preference)| *preference);
    Ok(answer)
}

/// The name that another one stands for at last.
async fn canonical(
    resolver: &TokioResolver,
    name: &Name,
    kind: RecordType,
) -> Result<DnsAnswer, Failed> {
    let found = found(resolver, name, kind).await?;
    Ok(DnsAnswer {
        records: vec![found.name.to_ascii()],
        mail: Vec::new(),
    })
}

struct Found {
    /// The name at the end of the chain.
    name: Name,
    records: Vec<Record>,
}

async fn found(resolver: &TokioResolver, name: &Name, kind: RecordType) -> Result<Found, Failed> {
    let none = || {
        Failed::Other(NetFailure::NotFound(format!(
            "`{name}` has no record {kind}"
        )))
    };
    let lookup = match resolver.lookup(name.clone(), kind).await {
        Ok(lookup) => lookup,
        Err(NetError::Dns(DnsError::NoRecordsFound(_))) => return Err(none()),
        Err(error) => return Err(unanswered(&error)),
    };
    // A server may answer more than it was asked.
    let answers = lookup.answers();
    let mut at = name;
    for _ in 0..MAX_CHAIN {
        let next = answers.iter().find_map(|record| match &record.data {
            RData::CNAME(next) if record.name == *at => Some(&next.0),
            _ => None,
        });
        let Some(next) = next else { break };
        at = next;
    }
    let own = |record: &&Record| record.name == *at && record.record_type() == kind;
    let records: Vec<_> = answers.iter().filter(own).cloned().collect();
    match records.len() {
        0 => Err(none()),
        count if count > MAX_RECORDS => Err(Failed::io(format!(
            "`{name}` has more than {MAX_RECORDS} records {kind}"
        ))),
        _ => Ok(Found {
            name: at.clone(),
            records,
        }),
    }
}

/// Why there is no answer. Of what a server sent nothing is in it but its code.
fn unanswered(error: &NetError) -> Failed {
    let why = match error {
        NetError::Timeout => return Failed::Other(NetFailure::TimedOut),
        NetError::Dns(DnsError::ResponseCode(code)) => {
            return Failed::io(format!(
                "a name server answers with an error, {}",
                u16::from(*code)
            ));
        }
        NetError::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => {
            return Failed::Other(NetFailure::TimedOut);
        }
        NetError::Io(error) => error.to_string(),
        NetError::NoConnections => "no name server can be reached".to_owned(),
        _ => "what it answers is no answer".to_owned(),
    };
    Failed::io(format!("cannot ask a name server: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_server_is_a_host_with_or_without_a_port() {
        for (text, host, port) in [
            ("9.9.9.9", "9.9.9.9", 53),
            ("9.9.9.9:5353", "9.9.9.9", 5353),
            ("dns.example", "dns.example", 53),
            ("dns.example:54", "dns.example", 54),
            ("2620:fe::fe", "2620:fe::fe", 53),
            ("[2620:fe::fe]", "[2620:fe::fe]", 53),
            ("[2620:fe::fe]:54", "[2620:fe::fe]", 54),
        ] {
            assert_eq!(split_server(text), (host, Ok(port)), "{text}");
        }
        for text in ["dns.example:", "dns.example:dns", "9.9.9.9:70000"] {
            assert!(split_server(text).1.is_err(), "{text}");
        }
    }
}
