//! Identities. Each is its own type, so that a session cannot be taken for a sequence.

use std::fmt;

macro_rules! identity {
    ($(#[$meta:meta])* $name:ident($inner:ty)) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

identity! {
    /// An endpoint, as its certificate or its relay names it. 0 is the manager's own machine.
    AgentId(u64)
}
identity! {
    /// A session: 64 random bits, never 0 and never [`NO_SESSION`] (`docs/protocol.md` section 3).
    SessionId(u64)
}
identity! {
    /// A connection. Ids grow: the larger of two is the newer connection.
    ConnectionId(u64)
}
identity! {
    /// A bulk request. Answered exactly once.
    BulkId(u64)
}
identity! {
    /// A write to the staging store. Ids grow in the order in which they were asked for, so that a
    /// range of them is answered at once.
    StageId(u64)
}
identity! {
    /// A module, as its place in [`crate::config::Catalogue::modules`].
    ModuleId(u16)
}
identity! {
    /// An index, as its place in [`crate::config::Catalogue::indices`]; fixed while the process lives.
    IndexId(u16)
}
identity! {
    /// A version of a document in the Indexer: Unix milliseconds × 2^10 (`docs/protocol.md` section 5).
    Version(u64)
}
identity! {
    /// A question of the coordinator to the world. Answered exactly once.
    RequestId(u64)
}
identity! {
    /// A durable record that a shard asked for. Answered exactly once.
    RecordId(u64)
}

/// The session id that means "no session": it stands in answers to what belongs to none.
pub const NO_SESSION: SessionId = SessionId(u64::MAX);

impl IndexId {
    /// An index name that the catalogue does not know.
    pub const UNKNOWN: Self = Self(u16::MAX);
}

/// Grants of one agent lie at least this far apart, so that a run which bumps versions by one never
/// reaches the next grant.
pub const VERSION_STEP: u64 = 1 << 10;

/// Above this a version reported by the Indexer is not taken as a floor (`docs/protocol.md` section 5).
pub const VERSION_CEILING: Version = Version(1 << 62);

impl Version {
    /// The version that stands for a wall-clock instant, in milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_unix_ms(unix_ms: u64) -> Self {
        Self(unix_ms.saturating_mul(VERSION_STEP))
    }

    /// The instant this version stands for, rounded down.
    #[must_use]
    pub const fn unix_ms(self) -> u64 {
        self.0 / VERSION_STEP
    }
}

/// Who sent a frame: the connection it came by and the identity that was authenticated for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer {
    /// The connection.
    pub connection: ConnectionId,
    /// The authenticated agent: the certificate's name, or what a listed relay states.
    pub agent: AgentId,
}
