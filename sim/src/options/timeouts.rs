//! The longest timeout of a world, by which is measured how soon it is at rest once it is healed.
//!
//! ```text
//!  healed ──▶ requests in doubt ──▶ retries, deliveries ──▶ verdicts ──▶ agents offer again ──▶ at rest
//!             deadline + late bound  retry_max, delivery     poll          backoff
//!  └─────────────────────────── at most TIMEOUTS_MAX times the longest of them ──────────────────────────┘
//! ```
//!
//! What is waited for one after the other after healing, each at most once or twice: a request that is given up
//! at its deadline and whose late write is waited for; the deliveries that it held up, up to their deadline; an
//! agent that asks for the verdict, and, if that is not Ok, backs off and offers its rows again, as a Full where
//! it owes one. The sum of a chain of different timeouts is at most their number times the longest, and no wait
//! is as long as the longest more than a few times. Work is no waiting: where a manager takes one session at a
//! time and a session has one item, a backlog of some hundred rows takes minutes, and that time is added.

use super::Options;
use crate::faults::{Fault, Rate};

/// A large document of a world, with its action, at the size of which a request is halved no more.
const DOCUMENT_BYTES: u64 = 3_000;

/// By how many times its longest timeout a healed world must be at rest.
pub(super) const TIMEOUTS_MAX: u64 = 10;

impl Options {
    /// How long the world may wait after healing until it is at rest: what [`converge_ms`](Self::converge_ms) says, or
    /// ten times the [longest timeout](Self::longest_timeout_ms). Where nothing is stated, the time that the agents'
    /// backlog takes without any waiting is added in the run.
    #[must_use]
    pub fn converge_bound_ms(&self) -> u64 {
        match self.converge_ms {
            0 => self.longest_timeout_ms().saturating_mul(TIMEOUTS_MAX),
            stated => stated,
        }
    }

    /// The longest that anybody waits for one thing in a healed world, in milliseconds. Not among them are:
    /// `session_max_ms`, for every session of a healed world is ended by a shorter limit before, or moves; times for which
    /// something is only remembered, such as `verdict_kept_ms` and `gc_deletes_ms`; and times of the agents that
    /// follow from those of the manager.
    #[must_use]
    pub fn longest_timeout_ms(&self) -> u64 {
        self.timeouts_ms()
            .into_iter()
            .map(|(_, timeout_ms)| timeout_ms)
            .max()
            .unwrap_or(0)
    }

    /// What can hold a healed world up, by name.
    pub(crate) fn timeouts_ms(&self) -> [(&'static str, u64); 13] {
        let manager = &self.config;
        let agent = self.agent_times();
        let has_base_peers = self.rates.of(Fault::AgentVersion) != Rate::Off;
        [
            // The manager, of an agent that is gone, and of a connection that is not read.
            ("idle_timeout_ms", manager.idle_timeout_ms),
            // The manager, of the Indexer.
            ("request_deadline_ms", manager.request_deadline_ms),
            ("late_write_bound_ms", manager.late_write_bound_ms),
            ("delivery_deadline_ms", manager.delivery_deadline_ms),
            ("paused_index_deadline_ms", manager.paused_index_deadline_ms),
            ("retry_max_ms", manager.retry_max_ms),
            // The manager, of its own lease: a second manager may have had it.
            ("lease_ms", self.lease_ms),
            // The agent, of the manager.
            ("answer_timeout_ms", agent.answer_timeout_ms),
            ("round_ms", if has_base_peers { self.round_ms() } else { 0 }),
            ("processing_poll_ms", agent.processing_poll_ms),
            ("connect_timeout_ms", agent.connect_timeout_ms),
            // The agent, before it tries again; what a refusal says may be doubled by jitter.
            ("backoff_max_ms", agent.backoff_max_ms),
            ("retry_after_ms", 2 * u64::from(manager.retry_after_ms)),
        ]
    }

    /// How long a session takes at the slowest, without its operations, when nothing goes wrong: its frames to and
    /// fro, its listing, its writes to the store, and the pause before the next one.
    pub(crate) fn session_ms(&self) -> u64 {
        8 * self.link_ms + 6 * self.indexer_ms + 4 * self.store_ms + self.config.linger_ms + 200
    }

    /// How long the operations of one session take, at the slowest, while every other module of the fleet has as
    /// many: they share what the Indexer takes. What moves is not given up, so that an agent that nobody tells
    /// Processing, and one that gives up a job, must be ready to wait for it.
    pub(crate) fn round_ms(&self) -> u64 {
        let lanes = u64::from(self.agents) * self.config.catalogue.modules().len() as u64;
        let taken = [self.takes_bytes_max, self.spares_bytes_max];
        let limits = taken.into_iter().filter(|most| *most > 0);
        let bytes = limits.fold(self.config.bulk_bytes_max, u64::min);
        let operations = u64::from(self.config.bulk_operations_max).min(bytes / DOCUMENT_BYTES);
        let requests = self.session_items().div_ceil(operations.max(1));
        lanes * requests * (2 * self.indexer_ms + self.config.linger_ms)
    }

    /// How long an impatient agent lets a job take: longer than any of a healed world, which waits for one delivery
    /// before its own; not always so long as all repetitions of what nobody answers.
    pub(crate) fn patience_ms(&self) -> Option<u64> {
        let manager = &self.config;
        let deliveries_ms = 2 * manager.delivery_deadline_ms + manager.idle_timeout_ms;
        self.impatient
            .then_some(deliveries_ms + 4 * self.session_ms() + self.round_ms())
    }

    /// Times of the agents.
    pub(crate) fn agent_times(&self) -> AgentTimes {
        let round_trip_ms = 2 * (self.link_ms + self.store_ms);
        AgentTimes {
            answer_timeout_ms: 500 + 4 * round_trip_ms,
            processing_poll_ms: 5_000 + round_trip_ms,
            connect_timeout_ms: 1_000 + 8 * round_trip_ms,
            backoff_max_ms: 20_000,
        }
    }
}

/// Times of an agent that speaks the present protocol.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AgentTimes {
    pub(crate) answer_timeout_ms: u64,
    pub(crate) processing_poll_ms: u64,
    pub(crate) connect_timeout_ms: u64,
    pub(crate) backoff_max_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_follows_the_longest_timeout_unless_it_is_stated() {
        let mut options = Options::calm(1);
        assert_eq!(options.longest_timeout_ms(), 60_000, "delivery_deadline_ms");
        assert_eq!(options.converge_bound_ms(), 600_000);
        options.lease_ms = 90_000;
        assert_eq!(options.converge_bound_ms(), 900_000);
        options.converge_ms = 1_234;
        assert_eq!(options.converge_bound_ms(), 1_234);
    }
}
