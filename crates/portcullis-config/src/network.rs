//! What commands reach of the network, the key `net`; what the plugin itself does, `connect` and `lookup`; and the table
//! `[network]` of trusted files.

use std::path::PathBuf;

use portcullis_policy::{
    ConnectRule, DnsNames, HostRule, InvalidHost, LookupRule, Net as PolicyNet, Places, RuleId,
    Target,
};

use crate::error::ConfigCode;
use crate::raw::{HostEntry, Net, NetWord, Network as RawNetwork, Text, Texts};
use crate::reader::Reader;
use crate::source::At;

/// How the host itself reaches the network for commands that were granted hosts.
///
/// # Defaults
/// Directly, and with the certificates of the system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// An HTTP proxy through which everything goes. Addresses are then checked by it, not by the host.
    pub upstream_proxy: Option<Target>,
    /// The real path of a file of certificates in PEM that commands trust, most of them instead of those of the system.
    pub ca_file: Option<PathBuf>,
}

impl Reader<'_> {
    pub(crate) fn network(&mut self, raw: &RawNetwork, network: &mut Network) {
        if let Some(text) = &raw.upstream_proxy {
            network.upstream_proxy = self.proxy(text);
        }
        if let Some(text) = &raw.ca_file {
            let file = self.base.file(text);
            network.ca_file = self.take(ConfigCode::Path, text, file);
        }
    }

    fn proxy(&mut self, text: &Text) -> Option<Target> {
        let place = text.strip_prefix("http://").unwrap_or_default();
        let place = place.strip_suffix('/').unwrap_or(place);
        match Target::parse(place) {
            Ok(target) => Some(target),
            Err(_) => {
                // What is written there may hold a password, and is not repeated.
                let error = self
                    .error(ConfigCode::Pattern, text, "this is no address of a proxy")
                    .label("expected `http://host:port`, without a name, a password or a path");
                self.report.push(error);
                None
            }
        }
    }

    pub(crate) fn net(&mut self, net: &Net) -> PolicyNet {
        match net {
            Net::Word(NetWord::None) => PolicyNet::None,
            Net::Word(NetWord::Loopback) => PolicyNet::Loopback,
            Net::Word(NetWord::Open) => PolicyNet::Open,
            Net::Hosts(hosts) => {
                PolicyNet::Hosts(hosts.iter().filter_map(|host| self.host(host)).collect())
            }
        }
    }

    fn host(&mut self, entry: &At<HostEntry>) -> Option<HostRule> {
        self.unlocked(entry, HostRule::parse, HostRule::unlock)
    }

    /// The rules of the list `connect`.
    pub(crate) fn connect_rules(
        &mut self,
        list: Option<&At<Vec<At<HostEntry>>>>,
    ) -> Vec<ConnectRule> {
        let entries = list.iter().flat_map(|list| list.iter().enumerate());
        let rules = entries.filter_map(|(index, entry)| {
            Some(ConnectRule {
                id: RuleId(format!("connect[{index}]")),
                origin: self.origin(entry),
                places: self.unlocked(entry, Places::parse, Places::unlock)?,
            })
        });
        rules.collect()
    }

    /// The rules of the list `lookup`.
    pub(crate) fn lookup_rules(&mut self, list: Option<&Texts>) -> Vec<LookupRule> {
        let entries = list.iter().flat_map(|list| list.iter().enumerate());
        let rules = entries.filter_map(|(index, entry)| {
            let names = DnsNames::parse(entry).map_err(|error| error.to_string());
            Some(LookupRule {
                id: RuleId(format!("lookup[{index}]")),
                origin: self.origin(entry),
                names: self.take(ConfigCode::Pattern, entry, names)?,
            })
        });
        rules.collect()
    }

    /// An entry, with the ranges that its name may resolve to.
    fn unlocked<R>(
        &mut self,
        entry: &At<HostEntry>,
        parse: fn(&str) -> Result<R, InvalidHost>,
        unlock: fn(&mut R, &str) -> Result<(), InvalidHost>,
    ) -> Option<R> {
        let read = |text: &str| parse(text).map_err(|error| error.to_string());
        let table = match &**entry {
            HostEntry::Text(text) => return self.take(ConfigCode::Pattern, entry, read(text)),
            HostEntry::Table(table) => table,
        };
        let mut rule = self.take(ConfigCode::Pattern, &table.host, read(&table.host))?;
        for range in table.addresses.iter() {
            let unlocked = unlock(&mut rule, range).map_err(|error| error.to_string());
            self.take(ConfigCode::Pattern, range, unlocked)?;
        }
        Some(rule)
    }
}

/// The network of two layers: lists of hosts are united, of anything else the later layer's holds.
pub(crate) fn later(before: Option<PolicyNet>, net: PolicyNet) -> PolicyNet {
    match (before, net) {
        (Some(PolicyNet::Hosts(mut hosts)), PolicyNet::Hosts(more)) => {
            crate::draft::unite(&mut hosts, more);
            PolicyNet::Hosts(hosts)
        }
        (_, net) => net,
    }
}

/// The network with what a flag adds. A flag takes nothing away.
pub(crate) fn wider(before: Option<PolicyNet>, more: &PolicyNet) -> PolicyNet {
    match (before, more) {
        (Some(PolicyNet::Open), _) | (_, PolicyNet::Open) => PolicyNet::Open,
        (before @ Some(PolicyNet::Hosts(_)), PolicyNet::Hosts(_)) => later(before, more.clone()),
        (_, PolicyNet::Hosts(hosts)) => PolicyNet::Hosts(hosts.clone()),
        (None | Some(PolicyNet::None), PolicyNet::Loopback) => PolicyNet::Loopback,
        // The proxy to hosts is reached over the loopback.
        (before, PolicyNet::None | PolicyNet::Loopback) => before.unwrap_or_default(),
    }
}

/// Whether `inner` allows nothing that `outer` does not.
pub(crate) fn is_within(inner: &PolicyNet, outer: &PolicyNet) -> bool {
    PolicyNet::narrowest([inner, outer]) == PolicyNet::narrowest([inner])
}
