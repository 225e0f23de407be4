//! The messages as owned values.
//!
//! Fields have the contract's names and units. Strings and lists that merely inform are empty when
//! absent, and left out of the message when empty. A number is 0 when absent.

use super::codes::{Mode, Operation, Reason, Status};

/// What the manager writes into an agent's documents, as the agent said it. Unknown parts are empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct AgentInfo {
    /// The agent's name.
    pub name: String,
    /// The agent's version.
    pub version: String,
    /// The host's architecture.
    pub architecture: String,
    /// The host's name.
    pub hostname: String,
    /// The operating system's name.
    pub os_name: String,
    /// The operating system's platform, such as `debian`.
    pub os_platform: String,
    /// The operating system's type, such as `linux`.
    pub os_type: String,
    /// The operating system's version.
    pub os_version: String,
    /// The groups the agent is in.
    pub groups: Vec<String>,
}

/// Opens a session (`docs/protocol.md`, section 3).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Start {
    /// What the session is for; `None` is a mode this build does not know. Written as -128, which
    /// no build knows, so that a copy is as unknown as its original.
    pub mode: Option<Mode>,
    /// How many items follow, sequences 0 to `size - 1`.
    pub size: u64,
    /// The module that speaks, such as `syscollector`.
    pub module: String,
    /// The agent that speaks.
    pub agent_id: u64,
    /// The sender's protocol version; 0 is a base peer.
    pub protocol_version: u16,
    /// Incarnation in the upper and counter in the lower 32 bits; 0 asks for no deduplication.
    pub nonce: u64,
    /// The indices concerned; empty means the module's family.
    pub indices: Vec<String>,
    /// What to write into the documents.
    pub agent: Option<AgentInfo>,
    /// The version that metadata and group sessions speak of.
    pub global_version: u64,
    /// The cluster the agent thinks it belongs to; empty is accepted by any.
    pub cluster_name: String,
    /// The highest version the agent ever heard of.
    pub version_floor: u64,
    /// Lower end of a range of ids.
    pub id_from: Option<String>,
    /// Upper end of a range of ids.
    pub id_to: Option<String>,
}

/// All items were sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct End {
    /// The session.
    pub session: u64,
}

/// The answer to a Start.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StartAck {
    /// Whether the session is open. An unknown status is read as Error: only a known Ok opens.
    pub status: Status,
    /// The session, or [`NO_SESSION`](super::NO_SESSION).
    pub session: u64,
    /// The Start's module.
    pub module: String,
    /// The Start's nonce.
    pub nonce: u64,
    /// Why not; an unknown reason is read as None.
    pub reason: Reason,
    /// A sentence for people.
    pub detail: String,
    /// How long to wait before the next Start, in milliseconds.
    pub retry_after_ms: u32,
    /// After how many milliseconds of silence the session ends.
    pub idle_timeout_ms: u32,
    /// The largest `size` that would be accepted.
    pub max_items: u64,
    /// The highest version given to the agent so far.
    pub version: u64,
    /// Indices whose whole content the manager asks for.
    pub resync: Vec<String>,
}

impl Default for StartAck {
    fn default() -> Self {
        Self {
            status: Status::Ok,
            session: 0,
            module: String::new(),
            nonce: 0,
            reason: Reason::None,
            detail: String::new(),
            retry_after_ms: 0,
            idle_timeout_ms: 0,
            max_items: 0,
            version: 0,
            resync: Vec::new(),
        }
    }
}

/// A session's verdict, or an answer to what belongs to no session.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EndAck {
    /// The verdict. An unknown status is read as Error: only a known Ok acknowledges.
    pub status: Status,
    /// The session, or [`NO_SESSION`](super::NO_SESSION).
    pub session: u64,
    /// The session's module.
    pub module: String,
    /// Why; an unknown reason is read as None.
    pub reason: Reason,
    /// A sentence for people.
    pub detail: String,
    /// How long to wait before the next Start, in milliseconds.
    pub retry_after_ms: u32,
    /// Items that were not stored, ascending by sequence.
    pub failed: Vec<FailedItem>,
    /// Whether more items failed than are listed.
    pub failed_more: bool,
    /// The highest version given to the agent so far.
    pub version: u64,
    /// Indices whose whole content the manager asks for.
    pub resync: Vec<String>,
}

impl Default for EndAck {
    fn default() -> Self {
        Self {
            status: Status::Ok,
            session: 0,
            module: String::new(),
            reason: Reason::None,
            detail: String::new(),
            retry_after_ms: 0,
            failed: Vec::new(),
            failed_more: false,
            version: 0,
            resync: Vec::new(),
        }
    }
}

/// One item that was not stored.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FailedItem {
    /// Its sequence.
    pub seq: u64,
    /// The Indexer's HTTP status for it; 0 when it was never asked.
    pub status: u16,
    /// The Indexer's error type (`type` on the wire).
    pub kind: String,
    /// Why, in the protocol's terms; an unknown reason is read as None.
    pub reason: Reason,
    /// Whether offering the same again can succeed.
    pub retryable: bool,
    /// A sentence for people.
    pub detail: String,
}

impl Default for FailedItem {
    fn default() -> Self {
        Self {
            seq: 0,
            status: 0,
            kind: String::new(),
            reason: Reason::None,
            retryable: false,
            detail: String::new(),
        }
    }
}

/// Sequences, both ends included. Whether `begin <= end` is for the reader to check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Pair {
    /// The first.
    pub begin: u64,
    /// The last.
    pub end: u64,
}

/// Asks for items that are missing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct ReqRet {
    /// What is missing, ascending.
    pub seq: Vec<Pair>,
    /// The session.
    pub session: u64,
    /// The session's module.
    pub module: String,
}

/// A Delta's statement that this session's items are all there is in an index.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct DataClean {
    /// Its sequence.
    pub seq: u64,
    /// The session.
    pub session: u64,
    /// The index; `None` when absent.
    pub index: Option<String>,
}

/// A document that informs and is not written.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct DataContext {
    /// Its sequence.
    pub seq: u64,
    /// The session.
    pub session: u64,
    /// The document's id; `None` when absent.
    pub id: Option<String>,
    /// The document's index; `None` when absent.
    pub index: Option<String>,
    /// The document; `None` when absent.
    pub data: Option<Vec<u8>>,
}

/// The checksum of an index, as the agent computes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct ChecksumModule {
    /// Its sequence.
    pub seq: u64,
    /// The session.
    pub session: u64,
    /// The index; `None` when absent.
    pub index: Option<String>,
    /// SHA-1 in hexadecimal.
    pub checksum: String,
}

/// A greeting; decides nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Hello {
    /// The sender's protocol version.
    pub protocol_version: u16,
    /// The agent that speaks or is spoken to.
    pub agent_id: u64,
    /// The agent's name.
    pub agent_name: String,
    /// The agent's version.
    pub agent_version: String,
    /// 0, and ignored.
    pub features: u64,
}

/// An item to be sent; [`DataView`](super::DataView) is one that was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Item<'a> {
    /// Its sequence in the session.
    pub seq: u64,
    /// What it does.
    pub operation: Operation,
    /// The document's id, without cluster and agent.
    pub id: &'a str,
    /// The document's index.
    pub index: &'a str,
    /// The document; a delete has none.
    pub data: Option<&'a [u8]>,
    /// The row's version at the agent; informational, 0 is left out.
    pub version: u64,
}
