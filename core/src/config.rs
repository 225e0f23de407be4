//! What a machine is told at birth: names, times and limits. Every bound of the machines stands here.

use crate::id::{IndexId, ModuleId};

/// Modules and the indices they own. Modules own disjoint indices (`docs/protocol.md` section 5).
///
/// The numbers are fixed while the process lives, so that a document's index is two bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Catalogue {
    modules: Vec<Module>,
    indices: Vec<Index>,
}

/// A producer of inventory, such as `syscollector`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Module {
    /// The name that a Start carries.
    pub name: String,
    /// The indices it may write, ascending.
    pub indices: Vec<IndexId>,
}

/// An index and the module that owns it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Index {
    /// The exact name in the Indexer.
    pub name: String,
    /// Its owner.
    pub module: ModuleId,
}

/// Why a catalogue was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatalogueError {
    /// Two modules of one name, or one module twice.
    DuplicateModule(String),
    /// An index that two modules claim, or one module twice.
    DuplicateIndex(String),
    /// More modules or indices than two bytes can count.
    TooMany,
}

impl std::fmt::Display for CatalogueError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::DuplicateModule(name) => write!(f, "module {name:?} is configured twice"),
            Self::DuplicateIndex(name) => write!(
                f,
                "index {name:?} is configured twice: an index belongs to exactly one module"
            ),
            Self::TooMany => write!(f, "more than {} modules or indices", u16::MAX - 1),
        }
    }
}

impl std::error::Error for CatalogueError {}

impl Catalogue {
    /// Numbers modules and indices in the order given.
    ///
    /// # Errors
    /// When a name stands twice, or there are more than 65 534 of them.
    pub fn new<M, I>(modules: M) -> Result<Self, CatalogueError>
    where
        M: IntoIterator<Item = (String, I)>,
        I: IntoIterator<Item = String>,
    {
        let mut catalogue = Self::default();
        for (name, indices) in modules {
            if catalogue.module(&name).is_some() {
                return Err(CatalogueError::DuplicateModule(name));
            }
            let module = ModuleId(
                u16::try_from(catalogue.modules.len()).map_err(|_| CatalogueError::TooMany)?,
            );
            let mut owned = Vec::new();
            for index in indices {
                if catalogue.index(&index).is_some() {
                    return Err(CatalogueError::DuplicateIndex(index));
                }
                let id = u16::try_from(catalogue.indices.len())
                    .ok()
                    .filter(|id| *id != IndexId::UNKNOWN.0)
                    .ok_or(CatalogueError::TooMany)?;
                owned.push(IndexId(id));
                catalogue.indices.push(Index {
                    name: index,
                    module,
                });
            }
            catalogue.modules.push(Module {
                name,
                indices: owned,
            });
        }
        Ok(catalogue)
    }

    /// All modules, by number.
    #[must_use]
    pub fn modules(&self) -> &[Module] {
        &self.modules
    }

    /// All indices, by number.
    #[must_use]
    pub fn indices(&self) -> &[Index] {
        &self.indices
    }

    /// The module of that name. There are few: a scan of the list beats a map.
    #[must_use]
    pub fn module(&self, name: &str) -> Option<ModuleId> {
        let place = self.modules.iter().position(|module| module.name == name)?;
        u16::try_from(place).ok().map(ModuleId)
    }

    /// The index of that exact name.
    #[must_use]
    pub fn index(&self, name: &str) -> Option<IndexId> {
        let place = self.indices.iter().position(|index| index.name == name)?;
        u16::try_from(place).ok().map(IndexId)
    }

    /// The name of an index; empty for one that is not in the catalogue.
    #[must_use]
    pub fn index_name(&self, index: IndexId) -> &str {
        self.indices
            .get(usize::from(index.0))
            .map_or("", |index| index.name.as_str())
    }
}

/// Times and limits of the manager. The order `request_timeout < request_deadline < late_write_bound <
/// delivery_deadline < session_max` is checked by [`Config::validate`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Config {
    /// Modules and indices.
    pub catalogue: Catalogue,
    /// The cluster's name, a part of every document id: `[a-z0-9-]+`.
    pub cluster: String,
    /// Below this protocol version a Start is refused (UnsupportedVersion). A Start without a version
    /// comes from a base peer and is always accepted.
    pub protocol_version_min: u16,

    /// How long the manager waits for an agent that owes it something.
    pub idle_timeout_ms: u64,
    /// From Start to the end of everything.
    pub session_max_ms: u64,
    /// What the Indexer is told as its own limit for a request.
    pub request_timeout_ms: u64,
    /// When we give a request up.
    pub request_deadline_ms: u64,
    /// How long a request that was given up may still be applied.
    pub late_write_bound_ms: u64,
    /// How long a delivery may stand still before it is given up: from dispatch, and anew from each listing and
    /// each answer that decides an operation of it. Waiting for taint or a pause is not counted.
    pub delivery_deadline_ms: u64,
    /// From a session's dispatch to its end when an index it needs is paused; taint is not counted.
    pub paused_index_deadline_ms: u64,
    /// First retry delay; doubles up to `retry_max_ms`, with jitter.
    pub retry_base_ms: u64,
    /// Longest retry delay.
    pub retry_max_ms: u64,
    /// How long a bulk that is not full waits for company.
    pub linger_ms: u64,
    /// The shortest `retry_after_ms` that a refusal tells; jitter adds up to as much again.
    pub retry_after_ms: u32,
    /// How long a verdict can be asked for again.
    pub verdict_kept_ms: u64,

    /// Live sessions of this shard; beyond it a Start gets Offline/Overloaded.
    pub sessions_max: usize,
    /// Items that live sessions of this shard may have announced.
    pub items_max: u64,
    /// Items one agent may have announced.
    pub items_per_agent_max: u64,
    /// Items of one session; told as `max_items`; beyond it SizeInvalid.
    pub items_per_session_max: u64,
    /// Staged bytes of this shard; beyond it the session whose frame does not fit ends Overloaded.
    pub bytes_max: u64,
    /// Staged bytes of one agent.
    pub bytes_per_agent_max: u64,
    /// Staged bytes of one session.
    pub bytes_per_session_max: u64,
    /// Separate runs of received sequences that one session may leave open; beyond it Overloaded.
    pub runs_per_session_max: usize,
    /// Writes of one connection that are not yet answered, in bytes; beyond it the connection is not
    /// read (a relay's agent gets Overloaded instead).
    pub open_bytes_per_connection_max: u64,
    /// Bad frames in a row after which a connection that is not a relay is closed.
    pub bad_frames_max: u32,
    /// Ranges in one ReqRet.
    pub ranges_per_request_max: usize,
    /// Failed items listed in a verdict (`docs/protocol.md` section 4: 1000).
    pub failed_items_max: usize,
    /// Finished sessions kept per lane, so that a verdict can be repeated.
    pub verdicts_per_lane: usize,
    /// Bytes of all finished sessions kept; the oldest go first.
    pub verdict_bytes_max: usize,
    /// Store failures that end a session.
    pub store_failures_max: u32,

    /// Bytes of one bulk request's body.
    pub bulk_bytes_max: u64,
    /// Operations of one bulk request.
    pub bulk_operations_max: u32,
    /// Bulk requests of this shard in flight.
    pub concurrency: usize,
}

impl Config {
    /// The defaults of `docs/protocol.md` for a catalogue, as one shard of one.
    #[must_use]
    pub fn new(catalogue: Catalogue) -> Self {
        Self {
            catalogue,
            cluster: "wazuh".to_owned(),
            protocol_version_min: 1,
            idle_timeout_ms: 10_000,
            session_max_ms: 3_600_000,
            request_timeout_ms: 8_000,
            request_deadline_ms: 10_000,
            late_write_bound_ms: 30_000,
            delivery_deadline_ms: 120_000,
            paused_index_deadline_ms: 30_000,
            retry_base_ms: 250,
            retry_max_ms: 15_000,
            linger_ms: 5,
            retry_after_ms: 5_000,
            verdict_kept_ms: 600_000,
            sessions_max: 100_000,
            items_max: 64_000_000,
            items_per_agent_max: 8_000_000,
            items_per_session_max: 4_000_000,
            bytes_max: 64 << 30,
            bytes_per_agent_max: 8 << 30,
            bytes_per_session_max: 4 << 30,
            runs_per_session_max: 65_536,
            open_bytes_per_connection_max: 8 << 20,
            bad_frames_max: 5,
            ranges_per_request_max: 256,
            failed_items_max: 1_000,
            verdicts_per_lane: 4,
            verdict_bytes_max: 64 << 20,
            store_failures_max: 3,
            bulk_bytes_max: 10 << 20,
            bulk_operations_max: 50_000,
            concurrency: 1,
        }
    }

    /// Checks the order of the times and that no limit is zero.
    ///
    /// # Errors
    /// A sentence that names the two settings that contradict each other, or the one that is zero.
    pub fn validate(&self) -> Result<(), String> {
        let order = [
            ("request_timeout_ms", self.request_timeout_ms),
            ("request_deadline_ms", self.request_deadline_ms),
            ("late_write_bound_ms", self.late_write_bound_ms),
            ("delivery_deadline_ms", self.delivery_deadline_ms),
            ("session_max_ms", self.session_max_ms),
        ];
        for pair in order.windows(2) {
            let ((lower, low_ms), (upper, high_ms)) = (pair[0], pair[1]);
            if low_ms >= high_ms {
                return Err(format!(
                    "{lower} ({low_ms}) must be smaller than {upper} ({high_ms})"
                ));
            }
        }
        let positive = [
            ("request_timeout_ms", self.request_timeout_ms),
            ("idle_timeout_ms", self.idle_timeout_ms),
            ("retry_base_ms", self.retry_base_ms),
            ("sessions_max", self.sessions_max as u64),
            ("items_max", self.items_max),
            ("items_per_agent_max", self.items_per_agent_max),
            ("items_per_session_max", self.items_per_session_max),
            ("bytes_max", self.bytes_max),
            ("runs_per_session_max", self.runs_per_session_max as u64),
            ("ranges_per_request_max", self.ranges_per_request_max as u64),
            ("failed_items_max", self.failed_items_max as u64),
            ("bulk_bytes_max", self.bulk_bytes_max),
            ("bulk_operations_max", u64::from(self.bulk_operations_max)),
            ("concurrency", self.concurrency as u64),
        ];
        for (name, value) in positive {
            if value == 0 {
                return Err(format!("{name} must be greater than 0"));
            }
        }
        if self.items_per_session_max > u64::from(u32::MAX) {
            return Err(format!(
                "items_per_session_max must be at most {}",
                u32::MAX
            ));
        }
        if !is_cluster_name(&self.cluster) {
            return Err(format!(
                "cluster name {:?} must match [a-z0-9-]+",
                self.cluster
            ));
        }
        Ok(())
    }
}

/// Whether a cluster name can stand in a document id: `[a-z0-9-]+`.
#[must_use]
pub fn is_cluster_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cluster_names_that_can_stand_in_an_id() {
        for name in ["a", "0", "-", "wazuh", "eu-west-1"] {
            assert!(is_cluster_name(name), "{name:?}");
        }
        for name in ["", "A", "a_b", "a b", "é", "a.b", "a\n"] {
            assert!(!is_cluster_name(name), "{name:?}");
        }
    }
}
