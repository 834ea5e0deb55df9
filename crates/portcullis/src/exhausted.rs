//! What a guest has used up.

/// Something of which a guest may use so much in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Resource {
    /// Instructions, about: [`Limits::fuel`](crate::policy::Limits::fuel).
    Fuel,
    /// Bytes of linear memory, all memories together: [`Limits::memory`](crate::policy::Limits::memory).
    Memory,
    /// Elements of all tables together: [`Limits::table_elements`](crate::policy::Limits::table_elements).
    Tables,
    /// Milliseconds of wall-clock time: [`Limits::call`](crate::policy::Limits::call).
    Time,
}

impl Resource {
    /// The word in the audit trail.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fuel => "fuel",
            Self::Memory => "memory",
            Self::Tables => "tables",
            Self::Time => "time",
        }
    }

    /// What callers of a plugin are told in worlds that have a text for it. These are stable.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Fuel => "CPU time limit exceeded",
            Self::Memory => "memory limit exceeded",
            Self::Tables => "table limit exceeded",
            Self::Time => "execution time limit exceeded",
        }
    }
}

/// A resource that a call used up, in the unit of the resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted {
    /// What it was.
    pub resource: Resource,
    /// How much the guest had; it wanted more.
    pub used: u64,
    /// How much it may have.
    pub limit: u64,
}
