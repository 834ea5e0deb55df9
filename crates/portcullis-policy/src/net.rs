//! Which network a command may reach.

use serde::Serialize;

use crate::host_rule::HostRule;

/// Which network a command may reach. Each value allows what the ones before it allow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Net {
    /// None.
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
}
