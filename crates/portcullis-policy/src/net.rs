//! Which network a command may reach.

use serde::Serialize;

use crate::host_rule::HostRule;

/// Which network a command may reach. Each value allows what the ones before it allow.
///
/// # Defaults
/// None.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Net {
    /// None.
    #[default]
    None,
    /// A network of its own, in which it reaches only what it starts itself.
    Loopback,
    /// Also these hosts, through a proxy. An empty list is no host.
    Hosts(Vec<HostRule>),
    /// All.
    Open,
}

impl Net {
    /// What both leave.
    pub fn intersect(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::None, _) | (_, Self::None) => Self::None,
            (Self::Loopback, _) | (_, Self::Loopback) => Self::Loopback,
            (Self::Open, narrower) | (narrower, Self::Open) => narrower.clone(),
            (Self::Hosts(ours), Self::Hosts(theirs)) => {
                let pairs = ours
                    .iter()
                    .flat_map(|one| theirs.iter().map(move |two| (one, two)));
                let mut left: Vec<_> = pairs.filter_map(|(one, two)| one.meet(two)).collect();
                left.sort_unstable();
                left.dedup();
                Self::Hosts(left)
            }
        }
    }

    /// What all of these leave, in whichever order; nothing at all leaves everything. Where no host is left there is no
    /// network either: neither an empty list nor two without a host in common mean anything else.
    pub fn narrowest<'a>(nets: impl IntoIterator<Item = &'a Self>) -> Self {
        let (lists, others): (Vec<_>, Vec<_>) = nets
            .into_iter()
            .partition(|net| matches!(net, Self::Hosts(_)));
        let meet = |net: Self, other: &Self| net.intersect(other);
        let hosts = match lists.into_iter().fold(Self::Open, meet) {
            Self::Hosts(hosts) if hosts.is_empty() => return Self::None,
            Self::Hosts(hosts) => Self::Hosts(widest(hosts)),
            other => other,
        };
        others.into_iter().fold(hosts, meet)
    }
}

/// Sorted, and without the rules that allow nothing that another one does not allow.
fn widest(mut rules: Vec<HostRule>) -> Vec<HostRule> {
    rules.sort_unstable();
    rules.dedup();
    let needed = |rule: &&HostRule| {
        let mut others = rules.iter().filter(|other| other != rule);
        !others.any(|other| rule.meet(other).as_ref() == Some(*rule))
    };
    rules.iter().filter(needed).cloned().collect()
}
