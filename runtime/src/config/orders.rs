//! Which setting must be less than which, and what goes wrong otherwise.

/// `lesser` must be less than (or at most) `greater`, and why.
pub(super) struct Order {
    pub lesser: &'static str,
    pub strict: bool,
    pub greater: &'static str,
    pub why: &'static str,
}

const fn less(lesser: &'static str, greater: &'static str, why: &'static str) -> Order {
    Order {
        lesser,
        strict: true,
        greater,
        why,
    }
}

const fn at_most(lesser: &'static str, greater: &'static str, why: &'static str) -> Order {
    Order {
        lesser,
        strict: false,
        greater,
        why,
    }
}

/// The rules of `docs/protocol.md` section 5 ("Times") and those of the quotas.
pub(super) const ORDERS: &[Order] = &[
    less(
        "indexer.request_timeout_ms",
        "indexer.request_deadline_ms",
        "the Indexer must give up before we do, or its answer is lost and the outcome unknown",
    ),
    less(
        "indexer.connect_timeout_ms",
        "indexer.request_deadline_ms",
        "a request needs time after its connection stands",
    ),
    less(
        "indexer.request_deadline_ms",
        "indexer.late_write_bound_ms",
        "a request that is still out is not late yet",
    ),
    less(
        "indexer.late_write_bound_ms",
        "indexer.delivery_deadline_ms",
        "a session must be able to outlive one request of unknown outcome",
    ),
    less(
        "indexer.delivery_deadline_ms",
        "session.session_max_ms",
        "a session must live long enough to be delivered",
    ),
    less(
        "session.idle_timeout_ms",
        "session.session_max_ms",
        "the idle timeout would never be reached",
    ),
    at_most(
        "indexer.retry_base_ms",
        "indexer.retry_max_ms",
        "pauses grow from the first to the longest",
    ),
    less(
        "writer.renew_ms",
        "writer.lease_ms",
        "the lease must be renewed before it ends",
    ),
    at_most(
        "indexer.paused_index_deadline_ms",
        "indexer.delivery_deadline_ms",
        "a session does not wait for an index longer than it may stand still",
    ),
    at_most(
        "session.session_max_items",
        "session.agent_max_items",
        "a session's share is part of its agent's",
    ),
    at_most(
        "session.agent_max_items",
        "session.global_max_items",
        "an agent's share is part of the whole",
    ),
    at_most(
        "session.session_max_bytes",
        "session.agent_max_bytes",
        "a session's share is part of its agent's",
    ),
    at_most(
        "session.agent_max_bytes",
        "session.global_max_bytes",
        "an agent's share is part of the whole",
    ),
    at_most(
        "router.max_message_bytes",
        "router.connection_max_bytes",
        "one frame must be let through",
    ),
    at_most(
        "router.max_message_bytes",
        "session.session_max_bytes",
        "one frame must fit into a session",
    ),
];
