use portcullis_policy::{Code, Denial};

use crate::gate::Refused;

/// Why a lookup or a connection came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NetFailure {
    /// No rule is about it: what was asked for.
    Denied(String),
    /// No rule unlocks an address that this stands for: the place as it was asked for, never what a name resolved to.
    Address(String),
    /// No policy allows such a request: why, as a clause.
    Invalid(String),
    /// Called too often within a minute.
    Rate,
    /// Its time is over.
    TimedOut,
    /// There is no such name, it has no address, or no record of this type.
    NotFound(String),
    /// It failed: why, as a clause, with nothing in it that the other side said.
    Io(String),
    /// The host is not ready for it: why, as a clause that is for the operator alone.
    Unready(String),
    /// The trail cannot be written.
    Closed,
}

impl NetFailure {
    /// What is said to the operator, as a clause.
    pub(crate) fn why(&self) -> String {
        match self {
            Self::Denied(object) => format!("no rule is about `{object}`"),
            Self::Address(object) => format!("no rule unlocks what `{object}` stands for"),
            Self::Invalid(why) | Self::NotFound(why) | Self::Io(why) | Self::Unready(why) => {
                why.clone()
            }
            Self::Rate => "it is called too often".to_owned(),
            Self::TimedOut => "its time is over (`limits.net_timeout`, `limits.call`)".to_owned(),
            Self::Closed => "the audit trail cannot be written".to_owned(),
        }
    }
}

/// Of what is not about the request itself: the rate, and the trail.
impl From<Refused> for NetFailure {
    fn from(refused: Refused) -> Self {
        match refused.code {
            Some(Code::LimitCalls) => Self::Rate,
            Some(_) | None => Self::Closed,
        }
    }
}

/// Why what was allowed came to nothing.
#[derive(Debug)]
pub(super) enum Failed {
    /// Policy allows none of the addresses.
    Denied(Box<Denial>),
    Other(NetFailure),
}

impl Failed {
    pub(super) fn io(why: impl Into<String>) -> Self {
        Self::Other(NetFailure::Io(why.into()))
    }

    pub(super) fn unready(why: impl Into<String>) -> Self {
        Self::Other(NetFailure::Unready(why.into()))
    }
}
